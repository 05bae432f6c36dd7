"""Which masks to code: a wrong pixel where the right one costs more bytes than it is worth.

The coder itself chooses while it codes: where "no" to the likeliest class costs more bits than a
wrong pixel may, it says "yes". Left alone that runs away, since a border that never begins is never
coded. Two things hold it: a chain of wrong pixels, in space and time, may only be so long; and what
a choice saved around it is looked up afterwards in the bits that the coder really spent. Only
choices that paid may be made again in the next round, which then are surer ones. The best round by
its true total is kept.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from seesame.codecs.semantic.masks.coder import Masks, choose_masks, mask_bits
from seesame.codecs.semantic.masks.model import Primer

Reals = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class EditSettings:
    """The effort of the search for cheaper masks.

    Attributes:
        rounds: how often the masks are coded to choose.
        chain: how many wrong pixels may hang together.
        first: how many times its worth a wrong pixel must save at once in the first round.
        again: the same in later rounds, for the choices that paid.
        reach: how far around a pixel, in pixels, the bits count that its choice changed.
        group: masks that are chosen together, which bounds the memory.
    """

    rounds: int = 3
    chain: int = 3
    first: float = 1.5
    again: float = 0.5
    reach: int = 2
    group: int = 256


def cheaper_masks(
    masks: Masks,
    classes: int,
    byte_value: float,
    prior: Primer | None = None,
    cost: NDArray[np.float32] | None = None,
    settings: EditSettings | None = None,
) -> Masks:
    """Return masks that are never worse than the true ones in bytes and wrong pixels together.

    A round takes as long as coding does.

    Args:
        masks: uint8 ``(T, h, w)``.
        classes: as for :func:`~seesame.codecs.semantic.masks.coder.encode_masks`.
        byte_value: how many wrong pixels one byte is worth.
        prior: as for the coder.
        cost: float32 ``(T, h, w)``, what each pixel costs if it is wrong; 1 when None.
        settings: how much is tried.

    Raises:
        ValueError: ``byte_value`` is not positive, or the costs are of another shape.
    """
    settings = settings or EditSettings()
    if not byte_value > 0:
        raise ValueError(f"a byte is worth more than {byte_value} pixels")
    if cost is not None and cost.shape != masks.shape:
        raise ValueError(f"costs are of the masks' shape {masks.shape}, not {cost.shape}")
    chosen = masks.copy()
    for start in range(0, len(masks), settings.group):
        part = slice(start, start + settings.group)
        costs = np.ones(masks[part].shape, np.float32) if cost is None else cost[part]
        chosen[part] = _best_round(masks[part], classes, byte_value, prior, costs, settings)
    if len(masks) <= settings.group or not (chosen != masks).any():
        return chosen
    # Groups were judged one by one; the coder goes on from one to the next.
    before = total_cost(masks, masks, classes, byte_value, prior, cost)
    after = total_cost(chosen, masks, classes, byte_value, prior, cost)
    return chosen if after < before else masks.copy()


def total_cost(
    chosen: Masks,
    masks: Masks,
    classes: int,
    byte_value: float,
    prior: Primer | None = None,
    cost: NDArray[np.float32] | None = None,
) -> float:
    """Return bytes times their value and wrong pixels, in wrong pixels.

    Args:
        chosen: the masks that are coded.
        masks: the true ones.
        classes: as for :func:`cheaper_masks`.
        byte_value: the same.
        prior: the same.
        cost: the same.
    """
    spent = float(mask_bits(chosen, classes, prior).sum(dtype=np.float64))
    wrong = chosen != masks
    lost = float(wrong.sum() if cost is None else cost[wrong].sum(dtype=np.float64))
    return spent / 8 * byte_value + lost


def _best_round(
    masks: Masks,
    classes: int,
    byte_value: float,
    prior: Primer | None,
    cost: NDArray[np.float32],
    settings: EditSettings,
) -> Masks:
    """Return the choice of the round with the lowest total, or the masks themselves."""
    bits = mask_bits(masks, classes, prior)
    best, least = masks, float(bits.sum(dtype=np.float64)) / 8 * byte_value
    for chosen, spent in _rounds(masks, bits, classes, byte_value, prior, cost, settings):
        lost = float(cost[chosen != masks].sum(dtype=np.float64))
        total = float(spent.sum(dtype=np.float64)) / 8 * byte_value + lost
        if total < least:
            best, least = chosen, total
    return best


def _rounds(
    masks: Masks,
    bits: NDArray[np.float32],
    classes: int,
    byte_value: float,
    prior: Primer | None,
    cost: NDArray[np.float32],
    settings: EditSettings,
) -> Iterator[tuple[Masks, NDArray[np.float32]]]:
    """Yield the masks and bits of round after round."""
    worth = cost * np.float32(8 / byte_value)
    forbidden = np.zeros(masks.shape, bool)
    forbidden[:1] = True  # nothing is known before the first mask, so all in it looks dear
    for number in range(settings.rounds):
        factor = np.float32(settings.again if number else settings.first)
        wrong = np.where(forbidden, np.float32(np.inf), worth * factor)
        chosen, spent = choose_masks(masks, classes, wrong, settings.chain, prior)
        yield chosen, spent
        odd = chosen != masks
        if not odd.any():
            return
        saved = _around(bits - spent, settings.reach)
        saved[:-1] += saved[1:]  # the next mask pays or saves as well
        forbidden |= ~odd | (saved < _around(np.where(odd, worth, 0), settings.reach))


def _around(values: NDArray[np.float32], reach: int) -> Reals:
    """Return sums over the square of pixels around each pixel, ``(T, h, w)``."""
    sums: Reals = values.astype(np.float64)
    for axis in (1, 2):
        pads = [(0, 0)] * 3
        pads[axis] = (reach + 1, reach)
        running = np.cumsum(np.pad(sums, pads), axis)
        width = 2 * reach + 1
        after = np.take(running, range(width, running.shape[axis]), axis)
        sums = after - np.take(running, range(running.shape[axis] - width), axis)
    return sums
