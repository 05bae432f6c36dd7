"""The decoder's side: base pictures, through the network and the corrections, enlarged."""

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from seesame.bitstream.container import Container
from seesame.codecs.av.codec import AvClip
from seesame.codecs.hybrid.model import PostNetwork
from seesame.codecs.hybrid.pack import Network, code_values, unpack_base, unpack_network
from seesame.errors import DamagedError
from seesame.neural.render.clip import DECODE_PAIRS, RenderedClip
from seesame.video.clip import Clip
from seesame.video.resize import resize


def open_file(container: Container, device: str) -> Clip:
    """The decoded clip, lazily: the base's own where nothing was added to it.

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
        super().__init__(container, device)
        self._base = unpack_base(container)
        if self._base.sharpened:
            raise DamagedError("the file is damaged: its base is sharpened under a network")
        self._found = found
        self._codes = code_values(found.codes)
        if found.network is not None:
            found.network.to(self._device)

    def _pairs(self) -> Iterator[Tensor]:
        done = 0
        for base in base_pairs(self._base):
            codes = self._codes[done : done + len(base)]
            yield render(self._found, self._base.kernel, codes, base, self._device)
            done += len(base)


@torch.inference_mode()
def render(
    found: Network, kernel: str, codes: Tensor, base: Tensor, device: torch.device
) -> Tensor:
    """Frames ``(B, 2, 3, h, w)`` of base pictures ``uint8 (B, 2, 3, h', w')``, not clamped."""
    pictures = at_render_size(base.to(device), found.design.render, kernel)
    if found.network is None:
        return pictures
    frames: Tensor = found.network(codes.to(device), pictures)
    return frames


def at_render_size(base: Tensor, size: tuple[int, int], kernel: str) -> Tensor:
    """Base pictures ``uint8 (B, 2, 3, h', w')`` as floats of another size, not clamped."""
    flat = resize(base.flatten(0, 1).float(), size, kernel)
    return flat.view(*base.shape[:3], *size)


def base_pairs(base: AvClip, batch_pairs: int = DECODE_PAIRS) -> Iterator[Tensor]:
    """The base's coded pictures, ``uint8 (B, 2, 3, h', w')``; an odd last one stands twice."""
    pictures = base.coded()
    while part := list(itertools.islice(pictures, 2 * batch_pairs)):
        part += part[-1:] * (len(part) % 2)
        stacked = torch.cat(part).round().clamp(0, 255).to(torch.uint8)
        yield stacked.view(-1, 2, *stacked.shape[1:])


class PostRenderer:
    """Renders pairs for the search for corrections.

    Args:
        found: the file's network, or none.
        pictures: the base's, ``uint8 (N, 2, 3, h', w')``.
        kernel: how they are resized.
        device: where.
    """

    def __init__(self, found: Network, pictures: Tensor, kernel: str, device: str) -> None:
        self.device, self.size = torch.device(device), found.design.render
        self._pictures, self._kernel = pictures, kernel
        self._network: PostNetwork | None = found.network
        if self._network is not None:
            self._network.to(self.device)

    def __call__(self, latents: Tensor, pairs: Tensor) -> Tensor:
        """Frames ``(B, 2, 3, h, w)`` of some pairs."""
        base = at_render_size(self._pictures[pairs].to(self.device), self.size, self._kernel)
        if self._network is None:
            return base + 0.0 * latents.sum()  # a gradient of zero: no code is read
        frames: Tensor = self._network(latents, base)
        return frames
