"""One hnerv encode: its file, and the corrections of one."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from seesame.bitstream.container import Container, Section, pack_config
from seesame.codecs.hnerv.config import HnervSettings
from seesame.codecs.hnerv.decode import HnervClip, unpack, unpack_latent_rows
from seesame.codecs.hnerv.model import Architecture, Decoder, pack_architecture, unpack_architecture
from seesame.codecs.hnerv.representation import Representation, tensor_axes
from seesame.context import EncodeContext
from seesame.metric.evaluator import ReferenceOutputs
from seesame.neural.corrections.search import Found, Plan, search
from seesame.neural.corrections.sidecar import pack_sidecar
from seesame.neural.fitting.session import Job
from seesame.neural.weights.pack import pack_latents, pack_weights
from seesame.neural.weights.rows import Rows
from seesame.neural.weights.unpack import LAYOUT
from seesame.perception.stack import Stack
from seesame.runlog import RunLog
from seesame.video.clip import Clip

CODEC_ID = 16


class HnervJob(Job):
    """Trains a representation of a clip; ``architecture`` is its decoder's shape."""

    def __init__(
        self,
        clip: Clip,
        stack: Stack,
        settings: HnervSettings,
        context: EncodeContext,
        outputs: ReferenceOutputs,
        architecture: Architecture,
        log: RunLog | None = None,
    ) -> None:
        rep = Representation(architecture, -(-clip.num_frames // 2))
        super().__init__(clip, stack, settings, context, outputs, rep, repr(architecture), log)
        self.architecture, self.representation = architecture, rep

    def pack(self) -> Container:
        """The file of the present state."""
        weights, latents = self.rep.symbols()
        config = {k: v for k, v in self.settings.stored(self.context).items() if k != "init"}
        return Container(
            codec_id=CODEC_ID,
            width=self.clip.width,
            height=self.clip.height,
            fps=self.clip.fps,
            num_frames=self.clip.num_frames,
            source_bytes=self.clip.source_bytes,
            sections={
                Section.CONFIG: pack_config(config),
                Section.MODEL: pack_architecture(self.architecture),
                Section.WEIGHTS: pack_weights(weights, tensor_axes(self.architecture)),
                Section.LATENTS: pack_latents(latents),
            },
        )

    def decoded(self, container: Container) -> Clip:
        """The clip that a file decodes to."""
        return HnervClip(container, self.context.device)

    def corrected(self, container: Container, plan: Plan, stop: Callable[[], bool]) -> Container:
        """A file with the corrections that a search finds; whether they pay is not judged."""
        return corrected(container, self.outputs, self.stack, plan, self.context.device, stop)


class NetworkRenderer:
    """Renders latents with a decoder.

    Args:
        decoder: the network; moved to the device.
        device: where it runs.
    """

    def __init__(self, decoder: Decoder, device: str) -> None:
        self.device = torch.device(device)
        self.size = decoder.architecture.render
        self._decoder = decoder.to(self.device)

    def __call__(self, latents: Tensor, pairs: Tensor) -> Tensor:
        """Frames of the latents ``(B, d)``, whatever pairs they are of."""
        frames: Tensor = self._decoder(latents)
        return frames


def corrected(
    container: Container,
    outputs: ReferenceOutputs,
    stack: Stack,
    plan: Plan,
    device: str = "cpu",
    stop: Callable[[], bool] = lambda: False,
) -> Container:
    """A trained file with the corrections that a search finds; whether they pay is not judged.

    Args:
        container: the file; corrections that it has already are dropped.
        outputs: what the stack sees in the source.
        stack: differentiable nets.
        plan: how long to search, and for what.
        device: where to.
        stop: asked now and then; true ends the search.

    Raises:
        DamagedError: a section is missing or does not decode.
    """
    decoder, _ = unpack(container)
    architecture, layout = unpack_architecture(container.sections[Section.MODEL], "the file")
    latents = unpack_latent_rows(container, architecture, layout)
    if layout != LAYOUT:
        plan = replace(plan, latents=False)  # its LATENTS are no longer written
    found = search(NetworkRenderer(decoder, device), latents, outputs, stack, plan, stop)
    return with_found(container, latents, found)


def with_found(container: Container, latents: Rows, found: Found) -> Container:
    """A file with what a search found in place of its corrections and of its ``latents``."""
    sections: dict[Section, bytes] = dict(container.sections)
    sections.pop(Section.SIDECAR, None)
    if (found.latents.symbols != latents.symbols).any():
        sections[Section.LATENTS] = pack_latents(found.latents)
    payload = pack_sidecar(found.corrections)
    if payload:
        sections[Section.SIDECAR] = payload
    return replace(container, sections=sections)
