"""Compiled views of what lies around a pixel of a mask, for the coder of masks.

Planes are masks with a margin of ``NOTHING`` on all sides, seen as flat arrays: ``here`` is the
place of a pixel in them, ``stride`` the way to the pixel below.
"""

from typing import Any, NamedTuple

import numpy as np

from seesame.bitstream.mixing_loops import compiled, inlined
from seesame.codecs.semantic.masks import predictor
from seesame.codecs.semantic.masks.predictor import I, Scratch

MARGIN = 12
NOTHING = 31
GROUPS = 5
"""Neighbours come from: this mask, the last, the last shifted, the one before, that one shifted."""

SPOTS = 12

_FAR = 15
_RADIUS = 2
TEMPLATE = np.array(
    [
        (0, -1, 4), (-1, 0, 4), (-1, 1, 4), (-1, -1, 4), (0, -2, 2), (-2, 0, 2), (-1, 2, 2),
        (-1, -2, 2), (-2, 1, 2), (-2, -1, 2), (0, -3, 1), (-1, 3, 1), (-3, 0, 1), (-1, -3, 1),
    ],
    np.int64,
)  # fmt: skip
"""Rows, columns and weights of the pixels by which a shift of the last mask is judged."""


_LIKELY = np.array([0, 1, 16, 3, 33, 34, 18, 17, 45], np.int64)
"""Named neighbours whose classes are likely, best first."""
_CENTRE = 49
"""Place of the pixel itself among the neighbours in the last mask, a box of 9 rows by 11."""


class Layout(NamedTuple):
    """Places of the neighbours relative to a pixel, group by group."""

    named: Any
    named_starts: Any
    near: Any
    near_starts: Any


class Memory(NamedTuple):
    """Facts about each pixel of the last masks, one plane for each fact."""

    surprise: Any
    """uint8: bits of the last eight masks in which the first guess was wrong."""
    distance: Any
    """uint8: chessboard distance to the nearest other class in the last mask, up to 15."""
    right: Any
    """uint8: how many pixels to the right are of the same class in the last mask, up to 15."""
    down: Any
    """uint8: the same downwards."""
    errors: Any
    """uint8: for ``CHOOSE``, length of the chain of wrong pixels that ends here."""


@compiled
def survey(last: Any, memory: Memory) -> None:
    """Fill the distances to borders and the runs of the last mask, a plane."""
    distance, right, down = memory.distance, memory.right, memory.down
    height, width = last.shape
    for y in range(height - 2, 0, -1):
        for x in range(width - 2, 0, -1):
            c = last[y, x]
            right[y, x] = min(right[y, x + 1] + 1, _FAR) if last[y, x + 1] == c else 0
            down[y, x] = min(down[y + 1, x] + 1, _FAR) if last[y + 1, x] == c else 0
            alike = last[y, x + 1] == c and last[y, x - 1] == c
            for i in range(x - 1, x + 2):
                alike = alike and last[y - 1, i] == c and last[y + 1, i] == c
            nearest = min(distance[y + 1, x - 1], distance[y + 1, x])
            nearest = min(nearest, distance[y + 1, x + 1], distance[y, x + 1])
            distance[y, x] = min(_FAR, nearest + 1) if alike else 1
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if distance[y, x] > 1:
                nearest = min(distance[y - 1, x - 1], distance[y - 1, x])
                nearest = min(nearest, distance[y - 1, x + 1], distance[y, x - 1])
                distance[y, x] = min(distance[y, x], nearest + 1)


@inlined
def best_shift(here: int, stride: int, mask: Any, last: Any, offsets: Any, bend: Any) -> Any:
    """Return by what shift of the last mask the pixels before this one are explained best.

    Args:
        here: the place.
        stride: of the planes.
        mask: this mask, as far as it is coded.
        last: the last mask.
        offsets: places of the template's pixels.
        bend: int64 ``(2,)``: the shift found last, which wins a tie; changed.

    Returns:
        the way to the shifted place, the weighted misfit there, and that without any shift.
    """
    still = I(0)
    for k in range(offsets.shape[0]):
        if mask[here + offsets[k]] != last[here + offsets[k]]:
            still += TEMPLATE[k, 2]
    if still == 0:
        bend[0] = bend[1] = 0
        return I(0), I(0), I(0)
    least: Any = 4 * still
    way, rows, columns = 0, 0, 0
    for dy in range(-_RADIUS, _RADIUS + 1):
        for dx in range(-_RADIUS, _RADIUS + 1):
            if dy == 0 and dx == 0:
                continue
            there = here + dy * stride + dx
            misfit = abs(dy) + abs(dx) - (2 if dy == bend[0] and dx == bend[1] else 0)
            for k in range(offsets.shape[0]):
                if mask[here + offsets[k]] != last[there + offsets[k]]:
                    misfit += 4 * TEMPLATE[k, 2]
            if misfit < least:
                least, way, rows, columns = misfit, dy * stride + dx, dy, dx
    bend[0], bend[1] = rows, columns
    return way, (least + 2) >> 2, still


@inlined
def same_run(plane: Any, here: int, step: int, limit: int) -> Any:
    """Return how many pixels on from ``here`` by ``step`` are of its class, up to a limit."""
    length = 0
    while length < limit and plane[here + (length + 1) * step] == plane[here]:
        length += 1
    return length


@inlined
def candidates(classes: int, guess: int, named: Any, order: Any, listed: Any) -> None:
    """Order the classes by how likely they are: the guess, then those of the neighbours."""
    count = 0
    for i in range(10):
        c = guess if i == 0 else I(named[_LIKELY[i - 1]])
        if c < classes and listed[c] == 0:
            order[count] = c
            listed[c] = 1
            count += 1
    for c in range(classes):
        if listed[c] == 0:
            order[count] = c
            count += 1
        listed[c] = 0


@inlined
def differences(c: int, near: Any, starts: Any, scratch: Scratch) -> Any:
    """List which adjacent neighbours differ in being of class c, and return how many do."""
    same, edges = scratch.same, scratch.edges
    size = edges.shape[0]
    wanted = np.uint8(c)
    for j in range(size):
        same[j + 1] = np.int8(near[j] == wanted)
    for j in range(size):
        edges[j] = same[j + 1] - same[j]
    edges[0] = same[1]
    centre = same[starts[1] + 1 + _CENTRE]
    edges[starts[1]] = same[starts[1] + 1] - same[1]
    for j in range(2, GROUPS):
        edges[starts[j]] = same[starts[j] + 1] - centre
    for j in range(starts[GROUPS], size):
        edges[j] = 0
    words = edges.view(np.int64)
    number = 0
    for j in range(words.shape[0]):
        if words[j] != 0:
            for k in range(8 * j, 8 * j + 8):
                scratch.active[number] = k
                scratch.signs[number] = edges[k]
                number += 1 if edges[k] != 0 else 0
    return number


@inlined
def also(place: int, number: int, scratch: Scratch) -> Any:
    """List one more input of the network, and return how many there are."""
    scratch.active[number] = place
    scratch.signs[number] = 1
    return number + 1


@inlined
def uniform(here: int, stride: int, mask: Any, last: Any) -> Any:
    """Return whether all pixels around that are coded are of the class here in the last mask."""
    c, above = last[here], here - stride
    beside = mask[here - 1] == c and mask[here - 2] == c and mask[above] == c
    return beside and mask[above - 1] == c and mask[above + 1] == c and mask[above + 2] == c


@inlined
def look(
    y: int, x: int, here: int, stride: int, height: int, width: int, blank: bool,
    mask: Any, last: Any, before: Any, layout: Layout, planes: Any, template: Any, bend: Any,
    named: Any, near: Any, scratch: Scratch, spots: Any,
) -> None:  # fmt: skip
    """Gather all that predicts a pixel: its neighbours, the facts, the network's further inputs."""
    surprise, distance, right, down, _ = planes
    way, misfit, still = I(0), I(1000), I(0)
    if not blank:
        way, misfit, still = best_shift(here, stride, mask, last, template, bend)
    for g in range(GROUPS):
        source = mask if g == 0 else (last if g < 3 else before)
        there = here + (way if g == 2 else (2 * way if g == 4 else 0))
        for k in range(layout.named_starts[g], layout.named_starts[g + 1]):
            named[k] = source[there + layout.named[k]]
        for k in range(layout.near_starts[g], layout.near_starts[g + 1]):
            near[k] = source[there + layout.near[k]]
    above = here - stride
    history = I(surprise[here] & 15)
    nearby = I(surprise[here - 1] & 1) | (I(surprise[above] & 1) << 1)
    nearby |= (I(surprise[above + 1] & 1) << 2) | (I(surprise[above - 1] & 1) << 3)
    border, close = I(min(distance[here], 7)), min(misfit, 7 if misfit < 12 else 8)
    run_x = same_run(mask, here - 1, -1, MARGIN - 3) + 1
    run_y = same_run(mask, above, -stride, MARGIN - 3) + 1
    ahead = I(min(right[here], 8)) * 81 + same_run(last, here, -1, 8) * 9
    facts = scratch.facts
    facts[predictor.Y], facts[predictor.X] = y, x
    facts[predictor.AREA] = (y >> 2) * 1024 + (x >> 3)
    facts[predictor.SURPRISES], facts[predictor.NEARBY] = history * 16 + nearby, nearby
    facts[predictor.MISFIT], facts[predictor.PLACE] = close, y * 4096 + x
    facts[predictor.BORDER], facts[predictor.RUNS] = border, run_x * 16 + run_y
    facts[predictor.EARLIER_RUNS] = ahead + same_run(mask, above, 1, 8)
    facts[predictor.SHIFT] = way
    facts[predictor.MISFITS] = I(min(int(misfit), 15)) * 16 + I(min(int(still), 15))
    spots[0] = y * 16 // height
    spots[1] = 16 + x * 16 // width
    spots[2] = 32 + close
    spots[3] = 42 + border
    spots[4] = 50 + history
    spots[5] = 66 + nearby
    spots[6] = 82 + I(min(int(still), 15))
    spots[7] = 98 + right[here]
    spots[8] = 114 + down[here]
    spots[9] = run_x
    spots[10] = y * 32 // height
    spots[11] = min(still, 15)
