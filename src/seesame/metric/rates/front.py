"""The Pareto front: what nothing else beats in size and distortion at once."""

import math
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def pareto_front(items: Iterable[T], place: Callable[[T], tuple[float, float]]) -> list[T]:
    """Return the items that no other beats in both values at once, by the first value.

    Args:
        items: in any order.
        place: an item's two values, as bytes and distortion; lower is better in both.
    """
    least, front = math.inf, []
    for item in sorted(items, key=place):
        distortion = place(item)[1]
        if distortion < least:
            least = distortion
            front.append(item)
    return front
