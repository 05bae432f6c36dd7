"""One encode: plans the time, trains, judges candidates, corrects the best."""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from seesame.bitstream.container import Container, Section, pack_config
from seesame.codecs.base import EncodeContext
from seesame.codecs.hnerv.checkpoint import Checkpoint
from seesame.codecs.hnerv.config import HnervSettings, Schedule
from seesame.codecs.hnerv.correct import Plan, search
from seesame.codecs.hnerv.decode import HnervClip, unpack, unpack_latent_rows
from seesame.codecs.hnerv.model import Architecture
from seesame.codecs.hnerv.pack import (
    LAYOUT,
    pack_architecture,
    pack_latents,
    pack_weights,
    unpack_architecture,
)
from seesame.codecs.hnerv.representation import Representation, tensor_axes
from seesame.codecs.hnerv.sidecar import pack_sidecar
from seesame.codecs.hnerv.train import Candidate, Clock, Material, Training
from seesame.errors import UserError
from seesame.metric.evaluator import ReferenceOutputs, evaluate
from seesame.perception.stack import Stack
from seesame.video.clip import Clip

CODEC_ID = 16
LEAST_TRAINING_SECONDS = 10.0
STATE = 4
"""What a checkpoint holds; raised when that changes, so that an older one is refused."""
CORRECTING_SHARE = 0.06
"""Share of an encode's time that the search for corrections may take."""
CORRECTING_ROUNDS = 1
"""Passes of that search in a run of so many steps, which must not depend on the time."""


class Job:
    """One encode: plans the time, trains, judges candidates."""

    def __init__(
        self,
        clip: Clip,
        stack: Stack,
        settings: HnervSettings,
        context: EncodeContext,
        outputs: ReferenceOutputs,
        architecture: Architecture,
    ) -> None:
        self.clip, self.stack, self.settings = clip, stack, settings
        self.context, self.outputs = context, outputs
        self.rep = Representation(architecture, -(-clip.num_frames // 2))
        self.judging = 0.0
        """Seconds that judging a candidate takes."""
        self.planned = 0
        """Judgings still to come, that of whoever asked for the file included."""

    def train(
        self, material: Material, start: float, look: float, stop: threading.Event
    ) -> Candidate:
        schedule = Schedule()
        training = Training(self.rep, material, self.stack, self.settings, schedule, self.context)
        checkpoint = self._checkpoint()
        done = 0.0
        if self.settings.resume:
            if checkpoint is None:
                raise UserError("--resume needs the work folder of an earlier run")
            done = checkpoint.load(training) or 0.0
        # Judging a candidate takes about as long as the look at the source did, and whoever asked
        # for the file will judge it once more.
        self.judging = 1.2 * look
        # A run of so many steps must not depend on how fast the machine is.
        timed = self.settings.steps is None
        times = schedule.evaluations
        if timed:
            times = schedule.affordable(self.settings.seconds, self.judging)
        correcting = self._correcting()
        self.planned = times + 1 + (1 if correcting else 0)
        end = start + self.settings.seconds
        seconds = end - time.monotonic() - correcting - self.judging * self.planned
        clock = Clock(max(seconds, LEAST_TRAINING_SECONDS), self.settings.steps, done)

        def judge() -> Candidate:
            before, expected = time.monotonic(), self.judging
            found = self.judge()
            self.judging = time.monotonic() - before
            clock.extend((expected - self.judging) * self.planned)
            self.planned -= 1
            return found

        best = training.run(clock, judge, times, stop.is_set, checkpoint)
        reached = self.settings.limits.given and not best.excess
        if correcting and not stop.is_set() and not reached:
            best = self.correct(best, end - time.monotonic() - 2 * self.judging, stop)
        # An interrupted run has saved its state and can be resumed; a finished one is done.
        if checkpoint is not None and not stop.is_set():
            checkpoint.remove()
        return best

    def _correcting(self) -> float:
        """Seconds to plan for the search for corrections; 0 where it would come to nothing."""
        share = CORRECTING_SHARE * self.settings.seconds
        # Before it can improve anything it judges every pair, and its result is judged again.
        worthwhile = self.settings.steps is not None or share >= 2 * self.judging
        return share if self.settings.sidecar and worthwhile else 0.0

    def _checkpoint(self) -> Checkpoint | None:
        if self.context.work is None:
            return None
        frames = f"{self.clip.width}x{self.clip.height}x{self.clip.num_frames}"
        outputs = hashlib.sha256(self.outputs.poses.numpy().tobytes())
        outputs.update(self.outputs.classes.numpy().tobytes())
        identity = {
            "clip": frames,
            "outputs": outputs.hexdigest(),
            "stack": self.stack.fingerprint,
            "architecture": repr(self.rep.architecture),
            "seed": self.context.seed,
            "state": STATE,
        }
        return Checkpoint(self.context.work, identity)

    def judge(self) -> Candidate:
        """Pack the present state, decode the bytes, and score what comes out."""
        return self.scored(self.pack())

    def correct(self, best: Candidate, seconds: float, stop: threading.Event) -> Candidate:
        """The file with the corrections that a search finds, if its true score is lower."""
        self.context.progress(1.0, "correcting")
        plan = Plan(seconds=seconds)
        if self.settings.steps is not None:
            plan = Plan(rounds=CORRECTING_ROUNDS)
        container = Container.from_bytes(best.data)
        changed = corrected(
            container, self.outputs, self.stack, plan, self.context.device, stop.is_set
        )
        if changed.sections == container.sections:
            return best
        found = self.scored(changed)
        better = (found.excess, found.score) < (best.excess, best.score)
        return found if better else best

    def scored(self, container: Container) -> Candidate:
        """A file and its true score: its bytes are read back and decoded."""
        data = container.to_bytes()
        decoded = HnervClip(Container.from_bytes(data), self.context.device)
        found = evaluate(self.outputs, decoded, self.stack, len(data), device=self.context.device)
        excess = self.settings.limits.excess(found.score, len(data))
        payload = sum(len(container.sections[s]) for s in (Section.WEIGHTS, Section.LATENTS))
        return Candidate(found.score.total, data, excess, payload)

    def pack(self) -> Container:
        """The file of the present state."""
        weights, latents = self.rep.symbols()
        config: dict[str, Any] = {
            k: v
            for k, v in vars(self.settings).items()
            if v != getattr(HnervSettings, k) and k not in ("resume", "init")
        }
        config |= {"stack": self.stack.name, "seed": self.context.seed}
        return Container(
            codec_id=CODEC_ID,
            width=self.clip.width,
            height=self.clip.height,
            fps=self.clip.fps,
            num_frames=self.clip.num_frames,
            source_bytes=self.clip.source_bytes,
            sections={
                Section.CONFIG: pack_config(config),
                Section.MODEL: pack_architecture(self.rep.architecture),
                Section.WEIGHTS: pack_weights(weights, tensor_axes(self.rep.architecture)),
                Section.LATENTS: pack_latents(latents),
            },
        )


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
    found = search(decoder.to(torch.device(device)), latents, outputs, stack, plan, stop)
    sections: dict[Section, bytes] = dict(container.sections)
    sections.pop(Section.SIDECAR, None)
    if (found.latents.symbols != latents.symbols).any():
        sections[Section.LATENTS] = pack_latents(found.latents)
    payload = pack_sidecar(found.corrections)
    if payload:
        sections[Section.SIDECAR] = payload
    return replace(container, sections=sections)
