"""The hybrid codec: the base's encode, the reference pass, then a job that trains."""

import time
from collections.abc import Mapping
from typing import Any

import torch

from seesame.bitstream.container import Container, Section
from seesame.codecs.hybrid.base import encode_base
from seesame.codecs.hybrid.config import HybridSettings, design
from seesame.codecs.hybrid.decode import open_file
from seesame.codecs.hybrid.job import HybridJob
from seesame.codecs.hybrid.pack import CODEC_ID, unpack_base, unpack_network
from seesame.context import EncodeContext
from seesame.metric.evaluator import reference_outputs
from seesame.neural.fitting.losses import Material
from seesame.neural.fitting.robustness import transfer_terms
from seesame.neural.fitting.session import judges, running
from seesame.neural.fitting.tapped import TappedClip
from seesame.neural.render.clip import unpack_corrections
from seesame.video.clip import Clip


class HybridCodec:
    """A classical stream, and a small network and corrections that mend it for the stack."""

    name = "hybrid"
    codec_id = CODEC_ID
    summary = "a classical base mended by a small network trained against the stack; minutes"

    def needs_stack(self, settings: Mapping[str, Any]) -> bool:
        """Return True: it trains against the stack. Raises UserError for bad settings."""
        HybridSettings.from_mapping(settings)
        return True

    def encode(self, clip: Clip, settings: Mapping[str, Any], context: EncodeContext) -> Container:
        """Encode the base, train what is added to it, and keep what lowers the true score.

        The first Ctrl-C ends training and returns the best file so far; the second stops at once.

        Raises:
            UserError: bad settings, no stack, a clip that forms no pair, a guard without gradients.
            DamagedError: the clip ends early.
        """
        start = time.monotonic()
        chosen = HybridSettings.from_mapping(settings)
        stack = judges(self.name, clip, context)
        torch.manual_seed(context.seed)
        with running(self.name, clip, context, settings, chosen) as (interrupted, log):
            log.stage("encoding the base")
            shape = design(clip, stack, chosen)
            base = encode_base(clip, chosen, shape, context)
            context.progress(0.0, "looking at the source")
            log.stage("looking at the source")
            before = time.monotonic()
            tapped = TappedClip(clip, shape.render)
            outputs = reference_outputs(tapped, stack, device=context.device)
            look = time.monotonic() - before
            transfer = transfer_terms(clip, stack, chosen, context)
            material = Material(tapped.pairs(), outputs, clip.source_bytes, transfer)
            job = HybridJob(clip, stack, chosen, context, outputs, base, shape, log)
            best = job.run(material, start, look, interrupted)
            job.ended(best, interrupted)
        return Container.from_bytes(best.data)

    def decode(self, container: Container, device: str = "cpu") -> Clip:
        """The decoded clip. Raises DamagedError when the sections do not fit together."""
        return open_file(container, device)

    def notes(self, container: Container) -> dict[str, str]:
        """What ``seesame info`` says of the parts. Raises DamagedError when they are damaged."""
        base = unpack_base(container)
        size = len(container.sections[Section.STREAM])
        lines = {"base": f"{base.name}, {size:,} bytes, coded at {base.size[1]}x{base.size[0]}"}
        found = unpack_network(container)
        if found is not None and found.network is not None:
            weights = sum(p.numel() for p in found.network.parameters())
            used = sum(len(container.sections[s]) for s in (Section.WEIGHTS, Section.LATENTS))
            lines["network"] = f"{weights:,} weights, {used:,} bytes with the pairs' codes"
        corrections = unpack_corrections(container)
        if corrections is not None:
            lines["sidecar"] = corrections.text(len(container.sections[Section.SIDECAR]))
        return lines

    def tensors(self, container: Container) -> dict[str, int]:
        """Bytes of each tensor of the network. Raises DamagedError when it does not decode."""
        sizes: dict[str, int] = {}
        unpack_network(container, sizes=sizes)
        return sizes

    def frame_bytes(self, container: Container) -> tuple[int, ...]:
        """Bytes of the base's stream for each frame, as the base's codec tells them."""
        return unpack_base(container).frame_bytes
