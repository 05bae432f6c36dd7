"""Lossless coding of masks, the class maps of a clip, by context mixing.

Each pixel is coded as a few yes-or-no decisions, "is it of that class?", likely classes first. The
pixels around that are known already, those of the last two masks, and the last mask shifted as the
pixels around suggest predict each decision, see :mod:`~seesame.codecs.semantic.masks.predictor`.
Where all surroundings agree, one decision covers a run of pixels. All of it is in integers, so
that every machine decodes the same masks.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seesame.bitstream import mixing
from seesame.bitstream.mixing_loops import DECODE, ENCODE, PLACE, PRICE
from seesame.bounds import BOUNDS
from seesame.codecs.semantic.masks.model import Primer, new_model
from seesame.codecs.semantic.sections import MAX_CLASSES
from seesame.errors import DamagedError, UserError

Masks = NDArray[np.uint8]


class _Walk:
    """The masks of a clip, one after another, through the compiled code."""

    def __init__(self, shape: tuple[int, int, int], classes: int, model: Any, mode: int) -> None:
        from seesame.codecs.semantic.masks.surroundings import MARGIN, NOTHING

        _, height, width = shape
        if not 1 <= classes <= MAX_CLASSES:
            raise ValueError(f"masks have 1 to {MAX_CLASSES} classes, not {classes}")
        self.shape, self.classes, self.model, self.mode = shape, classes, model, mode
        self.bits = np.zeros((height, width) if mode >= PRICE else (1, 1), np.float32)
        self._inner = slice(MARGIN, MARGIN + height), slice(MARGIN, MARGIN + width)
        size = height + 2 * MARGIN, width + 2 * MARGIN
        self._blank = np.full(size, NOTHING, np.uint8)
        self._last = self._before = self._blank

    def mask(
        self,
        coder: NDArray[np.int64],
        data: NDArray[np.uint8],
        mask: Masks | None = None,
        wrong: NDArray[np.float32] | None = None,
    ) -> Masks:
        """Code one mask and return it, ``(h, w)``; ``self.bits`` has the bits of each pixel."""
        from seesame.codecs.semantic.masks.loops import Task, code_mask
        from seesame.codecs.semantic.masks.surroundings import survey

        plane = self._blank.copy()
        if mask is not None:
            plane[self._inner] = mask
        if self._last is not self._blank:
            survey(self._last, self.model.memory)
        wrong = np.zeros((1, 1), np.float32) if wrong is None else wrong
        task = Task(coder, data, np.zeros(1, np.float64), self.bits, wrong)
        code_mask(self.mode, task, self.model, self.classes, plane, self._last, self._before)
        if self.mode < PRICE and task.price[0] > BOUNDS.mask_decisions + plane[self._inner].size:
            kind = DamagedError if self.mode == DECODE else UserError
            raise kind("a mask takes too many decisions: it is nothing but noise")
        self._last, self._before = plane, self._last
        return plane[self._inner]


def _checked(masks: Masks, classes: int) -> Masks:
    masks = np.asarray(masks)
    if masks.ndim != 3 or masks.dtype != np.uint8:
        raise ValueError(f"masks are uint8 (T, h, w), not {masks.dtype} {masks.shape}")
    if masks.size and int(masks.max()) >= classes:
        raise ValueError(f"masks have classes up to {masks.max()}, not below {classes}")
    return masks


def encode_masks(masks: Masks, classes: int, prior: Primer | None = None) -> bytes:
    """Return masks as bytes.

    Args:
        masks: uint8 ``(T, h, w)``, values below ``classes``.
        classes: 1..30.
        prior: what is known from other drives; the decoder needs the same.

    Raises:
        ValueError, UserError: they are not of that kind, or noise that takes too long to decode.
    """
    masks = _checked(masks, classes)
    walk = _Walk(masks.shape, classes, new_model(masks.shape[1], masks.shape[2], prior), ENCODE)
    coder, written = mixing.encoder_state(), bytearray()
    # A decision costs 17 bits at most, and a pixel one decision a class and two for its run.
    data = np.empty(masks[:1].size * 3 * (classes + 2) + 64, np.uint8)
    for mask in masks:
        walk.mask(coder, data, mask)
        written += data[: coder[PLACE]].tobytes()
        coder[PLACE] = 0
    return bytes(written) + mixing.last_bytes(coder)


class MaskDecoder(Iterator[Masks]):
    """An iterator over the masks of :func:`encode_masks`, uint8 ``(h, w)``, decoded one by one.

    Args:
        data: the bytes.
        shape: ``(T, h, w)``, which the caller has checked against what may be allocated.
        classes: as for the encoder.
        prior: as for the encoder.
        name: what errors call the data.

    Raises:
        DamagedError: the data end too early, or not where they should; raised by the iteration.
    """

    def __init__(
        self,
        data: bytes,
        shape: tuple[int, int, int],
        classes: int,
        prior: Primer | None = None,
        name: str = "the file",
    ) -> None:
        self._data, self._name, self._left = data, name, shape[0]
        self._bytes = np.frombuffer(bytearray(data or b"\0"), np.uint8)
        self._coder = mixing.decoder_state(data)
        self._walk = _Walk(shape, classes, new_model(*shape[1:], prior), DECODE)

    def __iter__(self) -> Iterator[Masks]:
        return self

    def __next__(self) -> Masks:
        if not self._left:
            mixing.check_end(self._coder, self._data, self._name)
            raise StopIteration
        mask = self._walk.mask(self._coder, self._bytes).copy()
        mixing.check_place(self._coder, self._data, self._name)
        self._left -= 1
        if not self._left:
            mixing.check_end(self._coder, self._data, self._name)
        return mask


def decode_masks(
    data: bytes,
    shape: tuple[int, int, int],
    classes: int,
    prior: Primer | None = None,
    name: str = "the file",
) -> Masks:
    """Return the masks of :func:`encode_masks`, uint8 ``(T, h, w)``; see :class:`MaskDecoder`.

    Raises:
        DamagedError: the data end too early, or not where they should.
    """
    masks = list(MaskDecoder(data, shape, classes, prior, name))
    return np.array(masks, np.uint8).reshape(shape)


def mask_bits(
    masks: Masks, classes: int, prior: Primer | None = None, model: Any = None
) -> NDArray[np.float32]:
    """Return the bits that each pixel costs, float32 ``(T, h, w)``; a run shares its bits.

    Args:
        masks: as for :func:`encode_masks`.
        classes: the same.
        prior: the same.
        model: of :func:`new_model`, to learn from these masks; a fresh one when None.
    """
    masks = _checked(masks, classes)
    model = new_model(masks.shape[1], masks.shape[2], prior) if model is None else model
    walk, bits = _Walk(masks.shape, classes, model, PRICE), np.empty(masks.shape, np.float32)
    coder, data = mixing.encoder_state(), np.zeros(1, np.uint8)
    for mask, costs in zip(masks, bits, strict=True):
        walk.mask(coder, data, mask)
        costs[:] = walk.bits
    return bits


def choose_masks(
    masks: Masks,
    classes: int,
    wrong: NDArray[np.float32],
    chain: int,
    prior: Primer | None = None,
) -> tuple[Masks, NDArray[np.float32]]:
    """Return masks with wrong pixels where they save bits at once, and the bits of each pixel.

    Args:
        masks: as for :func:`encode_masks`.
        classes: the same.
        wrong: float32 ``(T, h, w)``: how many bits a pixel must save to become wrong.
        chain: how many wrong pixels may hang together, in space and time.
        prior: as for :func:`encode_masks`.
    """
    from seesame.codecs.semantic.masks.loops import CHOOSE

    model = new_model(masks.shape[1], masks.shape[2], prior)
    model.settings[-1] = chain
    walk = _Walk(masks.shape, classes, model, CHOOSE)
    chosen, bits = np.empty(masks.shape, np.uint8), np.empty(masks.shape, np.float32)
    coder, data = mixing.encoder_state(), np.zeros(1, np.uint8)
    for t in range(len(masks)):
        chosen[t] = walk.mask(coder, data, masks[t], wrong[t])
        bits[t] = walk.bits
    return chosen, bits
