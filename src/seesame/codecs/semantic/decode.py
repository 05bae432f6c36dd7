"""The decoder's side: masks are decoded in order, drawn when they are asked for, and enlarged."""

import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seesame.bitstream.container import Container, Section
from seesame.codecs.semantic.carrier.codes import decode_codes
from seesame.codecs.semantic.carrier.residual import Residuals
from seesame.codecs.semantic.draw import Drawing
from seesame.codecs.semantic.installed import find_renderer
from seesame.codecs.semantic.masks.coder import MaskDecoder
from seesame.codecs.semantic.masks.model import Primer
from seesame.codecs.semantic.sections import MAX_CODE, Head, read_head
from seesame.codecs.semantic.shared import SharedRenderer
from seesame.errors import DamagedError
from seesame.neural.render.bounds import check_macs, check_stream, num_pairs, section
from seesame.neural.render.clip import RenderedClip

Mask = NDArray[np.uint8]


class Masks:
    """The masks of a file, decoded in order as far as they were asked for.

    Those that were decoded are kept, packed, since a mask can only be decoded after those before
    it.

    Args:
        container: the file.
        head: what it says of itself.
        prior: what the shared renderer knows of masks.
        name: of the file, for messages.
    """

    def __init__(
        self, container: Container, head: Head, prior: Primer | None, name: str = "the file"
    ) -> None:
        self._size, self.count = head.size, head.num_masks(container)
        data, shape = section(container, Section.MASKS, name), (self.count, *head.size)
        self._decoder = iter(MaskDecoder(data, shape, head.classes, prior, name))
        self._packed: list[bytes] = []
        self._lock = Lock()  # several readers may each decode ahead

    def __getitem__(self, number: int) -> Mask:
        """Return a mask ``uint8 (h, w)``. Raises DamagedError, IndexError."""
        if not 0 <= number < self.count:
            raise IndexError(number)
        with self._lock:
            while len(self._packed) <= number:
                mask = next(self._decoder)
                self._packed.append(zlib.compress(mask.tobytes(), 1))
                if len(self._packed) > number:
                    return mask
        whole = zlib.decompress(self._packed[number])
        return np.frombuffer(whole, np.uint8).reshape(self._size)

    def some(self, numbers: range) -> Tensor:
        """Return masks ``uint8 (B, h, w)``; a number beyond the last means the last."""
        last = self.count - 1
        return torch.from_numpy(np.stack([self[min(number, last)] for number in numbers]))


def renderer_of(container: Container, head: Head, name: str = "the file") -> SharedRenderer:
    """Return the renderer of a file: the one that it holds, or the shared one that it names.

    Raises:
        UserError: the shared one is not installed.
        DamagedError: the one that it holds is damaged, or the file does not fit its renderer.
    """
    if head.embedded:
        own = section(container, Section.RENDERER, name)
        shared = SharedRenderer.from_bytes(own, f"the renderer in {name}")
    else:
        shared = find_renderer(head.renderer.hex())
    code = 0 if shared.carrier is None else shared.carrier.design.code
    larger = any(mask > side for mask, side in zip(head.size, shared.size, strict=True))
    if larger or (head.classes, head.code) != (len(shared.classes), code):
        raise DamagedError(f"{name} is damaged: it does not fit its renderer")
    return shared


def read_codes(container: Container, head: Head, name: str = "the file") -> NDArray[np.int32]:
    """Return the symbols of the codes, ``(N, K)``. Raises DamagedError."""
    check_stream(container, MAX_CODE, name)
    shape = (num_codes(container.num_frames), head.code)
    if not head.code:
        return np.zeros(shape, np.int32)
    return decode_codes(section(container, Section.LATENTS, name), shape, name)


def read_residuals(container: Container, head: Head, name: str = "the file") -> Residuals:
    """Return the residuals of a file. Raises DamagedError."""
    data = container.sections.get(Section.RESIDUALS, b"")
    if data and not head.code:
        raise DamagedError(f"{name} is damaged: it has residuals, but no codes")
    return Residuals.from_bytes(data, num_codes(container.num_frames), name)


def num_codes(num_frames: int) -> int:
    """Return how many codes a clip has: one for each whole pair."""
    return num_frames // 2


class SemanticClip(RenderedClip):
    """The decoded clip of a semantic file.

    Args:
        container: the file.
        device: where its pictures are drawn.
    """

    def __init__(self, container: Container, device: str) -> None:
        head = read_head(container)
        shared = renderer_of(container, head)
        height, width = shared.size
        render = min(container.height, height), min(container.width, width)
        drawing = Drawing(shared.renderer, shared.carrier, shared.size, render, device)
        check_macs(drawing.macs, container, "the file")
        super().__init__(container, device, drawing.pairs)
        self._drawing, self._head = drawing, head
        self._masks = Masks(container, head, shared.prior)
        codes = torch.from_numpy(read_codes(container, head)).float() * head.step
        # An odd last frame has no code: whatever stands before it is drawn.
        pairs = num_pairs(container)
        missing = pairs - len(codes)
        self._codes = torch.cat([codes, codes.new_zeros(missing, head.code)])
        self._grids = read_residuals(container, head).grids(pairs)

    def render_pairs(self, first: int) -> Iterator[Tensor]:
        """See :class:`~seesame.neural.render.clip.RenderedClip`."""
        starts = range(first, len(self._codes), self._at_once)
        if not starts:
            return
        with ThreadPoolExecutor(1) as ahead:  # masks are decoded while the last ones are drawn
            coming = ahead.submit(self._masks_of, first)
            for start in starts:
                masks = coming.result()
                if start != starts[-1]:
                    coming = ahead.submit(self._masks_of, start + self._at_once)
                with _a_core_left_over():
                    pairs = self._pairs(start, *masks)
                yield pairs

    def _masks_of(self, start: int) -> tuple[Tensor | None, Tensor]:
        """Return the masks of the first frames of some pairs, where there are any, and of second.

        Raises DamagedError.
        """
        end = min(start + self._at_once, len(self._codes))
        if not self._head.every_frame:
            return None, self._masks.some(range(start, end))
        both = self._masks.some(range(2 * start, 2 * end))
        return both[0::2], both[1::2]

    def _pairs(self, start: int, first: Tensor | None, second: Tensor) -> Tensor:
        """Return pairs ``(B, 2, 3, h, w)`` in whole grey levels, from their masks."""
        which = slice(start, start + len(second))
        drawn = self._drawing.pictures(second)
        own = None if first is None else self._drawing.pictures(first)
        firsts = self._drawing.first(self._codes[which], self._grids[which], drawn, own)
        return torch.stack([firsts, drawn], dim=1)


@contextmanager
def _a_core_left_over() -> Iterator[None]:
    """Let torch use one thread fewer, so that its threads do not wait for the one of the masks."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads - 1))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def open_file(container: Container, device: str) -> SemanticClip:
    """Return the decoded clip, drawn lazily.

    Raises:
        DamagedError: sections that are missing, do not fit together or do not decode.
        UserError: the renderer that the file names is not installed.
    """
    return SemanticClip(container, device)
