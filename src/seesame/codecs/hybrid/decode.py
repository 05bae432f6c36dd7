"""The decoder's side: base pictures, through the network and the corrections, enlarged."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seesame.bitstream.container import Container
from seesame.codecs.av.decode import AvClip
from seesame.codecs.hybrid.design import Design
from seesame.codecs.hybrid.model import PostNetwork
from seesame.codecs.hybrid.sections import base_of, unpack_symbols
from seesame.errors import DamagedError
from seesame.neural.render.bounds import DECODE_PAIRS, pairs_at_once
from seesame.neural.render.clip import RenderedClip
from seesame.neural.weights.dequantise import dequantised
from seesame.neural.weights.rows import Rows
from seesame.video.clip import Clip
from seesame.video.resize import resize


@dataclass(frozen=True, eq=False)
class Network:
    """Everything that a file has between base and corrections.

    Args:
        design: its shape.
        network: None where the file has none.
        codes: ``(code, N)`` symbols; a row of zeros where there is no network.
    """

    design: Design
    network: PostNetwork | None
    codes: Rows


def unpack_network(container: Container, name: str = "the file") -> Network | None:
    """Return the network of a file; None where the file is only its base.

    Raises:
        DamagedError: sections that do not fit together, or do not decode.
    """
    found = unpack_symbols(container, name)
    if found is None:
        return None
    network = None
    if found.design.network:
        network = dequantised(PostNetwork(found.design), found.weights)
    return Network(found.design, network, found.codes)


def unpack_base(container: Container) -> AvClip:
    """Return the base's clip. Raises DamagedError when its stream is missing or damaged."""
    member, base = base_of(container)
    return AvClip(base, member)


def open_file(container: Container, device: str) -> Clip:
    """Return the decoded clip, lazily: the base's own where nothing was added to it.

    Raises:
        DamagedError: sections that are missing, do not fit together or do not decode.
    """
    found = unpack_network(container)
    if found is None:
        return unpack_base(container)
    return HybridClip(container, found, device)


class HybridClip(RenderedClip):
    """The decoded clip of a file that has a network or corrections."""

    def __init__(self, container: Container, found: Network, device: str) -> None:
        design = found.design
        pairs = pairs_at_once(design.largest_map(), design.macs())
        super().__init__(container, device, pairs)
        self._base = unpack_base(container)
        if self._base.sharpened:
            raise DamagedError("the file is damaged: its base is sharpened under a network")
        self._found = found
        self._codes = torch.from_numpy(found.codes.values().T.copy())
        if found.network is not None:
            found.network.to(self.device)

    def render_pairs(self, first: int) -> Iterator[Tensor]:
        """See :class:`~seesame.neural.render.clip.RenderedClip`."""
        done = first
        # Each picture by itself: at the base's size, those of several pairs could take much memory.
        pictures = (self._at_render_size(one) for one in _pictures(self._base, 2 * first))
        for base in _in_pairs(pictures, self._at_once):
            codes = self._codes[done : done + len(base)]
            yield self._render(codes, base)
            done += len(base)

    def entry(self, number: int) -> int:
        """Return the base's entry: frames from there on have to be decoded for a frame."""
        return self._base.entry(super().entry(number))

    @torch.inference_mode()
    def _render(self, codes: Tensor, base: Tensor) -> Tensor:
        """Return frames ``(B, 2, 3, h, w)`` of base pictures at the rendered size, not clamped."""
        if self._found.network is None:
            return base
        frames: Tensor = self._found.network(codes.to(self.device), base)
        return frames

    @torch.inference_mode()
    def _at_render_size(self, picture: Tensor) -> Tensor:
        """Return a base picture ``uint8 (1, 3, h', w')`` as floats of the rendered size."""
        whole = picture.to(self.device).float()
        return resize(whole, self._found.design.render, self._base.kernel)


def at_render_size(base: Tensor, size: tuple[int, int], kernel: str) -> Tensor:
    """Return base pictures ``uint8 (B, 2, 3, h', w')`` as floats of another size, not clamped."""
    flat = resize(base.flatten(0, 1).float(), size, kernel)
    return flat.view(*base.shape[:3], *size)


def base_pairs(base: AvClip) -> Iterator[Tensor]:
    """Yield the base's coded pictures, ``uint8 (B, 2, 3, h', w')``; an odd last one twice."""
    return _in_pairs(_pictures(base, 0), DECODE_PAIRS)


def _pictures(base: AvClip, start: int) -> Iterator[Tensor]:
    """Yield the base's coded pictures from a number on, ``uint8 (1, 3, h', w')``."""
    for picture in base.coded(start):
        yield picture.round().clamp(0, 255).to(torch.uint8)


def _in_pairs(pictures: Iterator[Tensor], batch_pairs: int) -> Iterator[Tensor]:
    """Yield pictures as pairs ``(B, 2, 3, h, w)``; an odd last one twice."""
    while part := list(itertools.islice(pictures, 2 * batch_pairs)):
        part += part[-1:] * (len(part) % 2)
        stacked = torch.cat(part)
        yield stacked.view(-1, 2, *stacked.shape[1:])
