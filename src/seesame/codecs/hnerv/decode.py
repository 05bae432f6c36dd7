"""The decoder's side: from a file's sections to a clip that is rendered lazily."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from seesame.bitstream.container import Container, Section
from seesame.codecs.hnerv.geometry import enlarge
from seesame.codecs.hnerv.model import Architecture, Decoder
from seesame.codecs.hnerv.pack import unpack_architecture, unpack_latents, unpack_weights
from seesame.codecs.hnerv.representation import row_shapes, tensor_axes
from seesame.codecs.hnerv.rows import Rows
from seesame.codecs.hnerv.sidecar import Corrections, apply, unpack_sidecar
from seesame.errors import DamagedError
from seesame.video.clip import Frames
from seesame.video.resize import to_uint8

N = TypeVar("N", bound=torch.nn.Module)

MAX_LATENT_SYMBOLS = 1 << 24
DECODE_PAIRS = 4
"""Pairs decoded at once: fixed, so that the pixels do not depend on the reader's batch size."""
MAX_ENLARGEMENT = 64
"""A file that asks for more was not made by the encoder; it would only cost memory."""


class RenderedClip(ABC):
    """A clip whose pairs are rendered at the size that the stack reads, lazily."""

    def __init__(self, container: Container, device: str) -> None:
        self.width, self.height = container.width, container.height
        self.num_frames, self.source_bytes = container.num_frames, container.source_bytes
        self.fps: Fraction = container.fps
        self._device = torch.device(device)
        self._corrections = unpack_corrections(container)

    @abstractmethod
    def _pairs(self) -> Iterator[Tensor]:
        """Frames ``(B, 2, 3, h, w)`` before correction, batch after batch.

        Nothing may be yielded inside inference mode: a generator left unfinished would leave it
        switched on.
        """

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Frames in order, ``uint8 (B, H, W, 3)``."""
        waiting: list[Frames] = []
        held = 0
        for batch in self._rendered():
            waiting.append(batch)
            held += len(batch)
            if held >= batch_size:
                joined = np.concatenate(waiting)
                full = held - held % batch_size
                for start in range(0, full, batch_size):
                    yield joined[start : start + batch_size]
                waiting, held = [joined[full:]], held - full
        if held:
            yield np.concatenate(waiting)

    def _rendered(self) -> Iterator[Frames]:
        left, done = self.num_frames, 0
        for pairs in self._pairs():
            with torch.inference_mode():
                frames = self._corrected(pairs, done).flatten(0, 1).clamp(0, 255)
            # One frame at a time: at source size a batch of floats would be large.
            for frame in frames[:left, None]:
                with torch.inference_mode():
                    whole = to_uint8(enlarge(frame, (self.height, self.width)))
                yield whole
            left -= 2 * len(pairs)
            done += len(pairs)

    def _corrected(self, frames: Tensor, start: int) -> Tensor:
        """Pairs ``(B, 2, 3, h, w)`` from number ``start`` on, with the sidecar's corrections."""
        if self._corrections is None:
            return frames
        values = self._corrections.values[start : start + len(frames)]
        return apply(frames, torch.from_numpy(values))


class HnervClip(RenderedClip):
    """The decoded clip, rendered lazily from a file's decoder and latents."""

    def __init__(self, container: Container, device: str) -> None:
        super().__init__(container, device)
        self._decoder, self._latents = unpack(container)
        self._decoder.to(self._device)

    def _pairs(self) -> Iterator[Tensor]:
        for start in range(0, len(self._latents), DECODE_PAIRS):
            part = self._latents[start : start + DECODE_PAIRS].to(self._device)
            with torch.inference_mode():
                frames = self._decoder(part)
            yield frames


def unpack(
    container: Container, name: str = "the file", sizes: dict[str, int] | None = None
) -> tuple[Decoder, Tensor]:
    """The decoder and the latents ``(N, latent)`` of a file.

    ``sizes``, where given, gets the bytes of each tensor of the decoder.

    Raises:
        DamagedError: a section is missing, impossible or does not decode.
    """
    for section in (Section.MODEL, Section.WEIGHTS, Section.LATENTS):
        if section not in container.sections:
            raise DamagedError(f"{name} is damaged: its {section.name} section is missing")
    architecture, layout = unpack_architecture(container.sections[Section.MODEL], name)
    check_render(architecture.render, container, name)
    if num_pairs(container) * architecture.latent > MAX_LATENT_SYMBOLS:
        raise DamagedError(f"{name} is damaged: it declares {container.num_frames:,} frames")
    weights = unpack_weights(
        container.sections[Section.WEIGHTS],
        row_shapes(architecture),
        tensor_axes(architecture),
        name,
        layout,
        sizes,
    )
    latents = unpack_latent_rows(container, architecture, layout, name)
    return dequantised(Decoder(architecture), weights), torch.from_numpy(latents.values().T.copy())


def dequantised(network: N, weights: Mapping[str, Rows]) -> N:
    """The network with these weights, as it decodes: frozen, channels last."""
    state = {
        key: torch.from_numpy(weights[key].values()).view(parameter.shape)
        for key, parameter in network.named_parameters()
    }
    network.load_state_dict(state)
    network.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval()


def check_render(render: tuple[int, int], container: Container, name: str) -> None:
    """Raise DamagedError for a render size that no encoder chooses for the file's frames."""
    size = (container.height, container.width)
    for rendered, side in zip(render, size, strict=True):
        if not rendered <= side <= MAX_ENLARGEMENT * rendered:
            raise DamagedError(f"{name} is damaged: it renders {rendered} pixels for {side}")


def num_pairs(container: Container) -> int:
    """Pairs of a file, an odd last frame counted as one."""
    return -(-container.num_frames // 2)


def unpack_latent_rows(
    container: Container, architecture: Architecture, layout: int, name: str = "the file"
) -> Rows:
    """The latents' symbols ``(latent, N)``. Raises DamagedError when they do not decode."""
    shape = (architecture.latent, num_pairs(container))
    return unpack_latents(container.sections[Section.LATENTS], shape, name, layout)


def unpack_corrections(container: Container) -> Corrections | None:
    """The sidecar of a file, or None. Raises DamagedError when it does not decode."""
    payload = container.sections.get(Section.SIDECAR)
    if payload is None:
        return None
    return unpack_sidecar(payload, num_pairs(container), "the file")
