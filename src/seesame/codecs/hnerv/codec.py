"""The hnerv codec: the reference pass, then a job that trains; decoding is lazy."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from seesame.bitstream.container import Container, Section
from seesame.codecs.hnerv.config import HnervSettings, design
from seesame.codecs.hnerv.decode import HnervClip, unpack
from seesame.codecs.hnerv.file import CODEC_ID, HnervJob
from seesame.codecs.hnerv.first_guess import guess
from seesame.codecs.hnerv.warm_start import Start
from seesame.context import EncodeContext
from seesame.errors import UserError
from seesame.metric.evaluator import reference_outputs
from seesame.neural.fitting.losses import Material
from seesame.neural.fitting.robustness import transfer_terms
from seesame.neural.fitting.session import judges, running
from seesame.neural.fitting.tapped import TappedClip
from seesame.neural.render.clip import unpack_corrections
from seesame.video.clip import Clip


class HnervCodec:
    """A network overfitted to the clip against the stack; the file is the network."""

    name = "hnerv"
    codec_id = CODEC_ID
    summary = "neural representation trained against the stack; slow to encode, smallest files"

    def needs_stack(self, settings: Mapping[str, Any]) -> bool:
        """Return True: it trains against the stack. Raises UserError for bad settings."""
        HnervSettings.from_mapping(settings)
        return True

    def encode(self, clip: Clip, settings: Mapping[str, Any], context: EncodeContext) -> Container:
        """Train a representation of the clip and pack it.

        The first Ctrl-C ends training and returns the best file so far; the second stops at once.

        Raises:
            UserError: bad settings, no stack, a clip that forms no pair, a guard without gradients.
        """
        start = time.monotonic()
        chosen = HnervSettings.from_mapping(settings)
        stack = judges(self.name, clip, context)
        torch.manual_seed(context.seed)
        architecture = design(clip, stack, chosen)
        warm = None if chosen.init is None else _start(Path(chosen.init))
        if warm is not None:
            architecture = warm.architecture(architecture)
        with running(self.name, clip, context, settings, chosen) as (interrupted, log):
            log.stage("looking at the source")
            context.progress(0.0, "looking at the source")
            tapped = TappedClip(clip, architecture.render)
            outputs = reference_outputs(tapped, stack, device=context.device)
            look = time.monotonic() - start
            transfer = transfer_terms(clip, stack, chosen, context)
            material = Material(tapped.pairs(), outputs, clip.source_bytes, transfer)
            job = HnervJob(clip, stack, chosen, context, outputs, architecture, log)
            if warm is not None:
                warm.fill(job.representation, material.frames, outputs, stack)
            else:
                poses = outputs.poses[:, : stack.judged]
                guess(job.representation, material.frames, outputs.classes, poses)
            best = job.train(material, start, look, interrupted)
            job.ended(best, interrupted)
        return Container.from_bytes(best.data)

    def decode(self, container: Container, device: str = "cpu") -> Clip:
        """The decoded clip. Raises DamagedError when the sections do not fit together."""
        return HnervClip(container, device)

    def notes(self, container: Container) -> dict[str, str]:
        """What ``seesame info`` says of the sidecar. Raises DamagedError when it is damaged."""
        corrections = unpack_corrections(container)
        if corrections is None:
            return {}
        return {"sidecar": corrections.text(len(container.sections[Section.SIDECAR]))}

    def tensors(self, container: Container) -> dict[str, int]:
        """Bytes of each tensor of the network. Raises DamagedError when it does not decode."""
        sizes: dict[str, int] = {}
        unpack(container, sizes=sizes)
        return sizes


def _start(path: Path) -> Start:
    """The decoder of another clip's file. Raises UserError or DamagedError, with the path."""
    container = Container.read(path)
    if container.codec_id != CODEC_ID:
        raise UserError(f"{path}: not a file of hnerv, so there is no decoder to start from")
    return Start(*unpack(container, str(path)))
