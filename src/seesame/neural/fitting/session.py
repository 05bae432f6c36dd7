"""One encode that trains: plans the time, judges candidates, corrects the best."""

import hashlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from seesame.bitstream.container import Container, Section
from seesame.codecs.hnerv.config import Schedule
from seesame.context import EncodeContext
from seesame.errors import UserError
from seesame.metric.evaluator import ReferenceOutputs, evaluate
from seesame.neural.corrections.search import Plan
from seesame.neural.fitting.checkpoint import Checkpoint
from seesame.neural.fitting.interrupt import interruptible
from seesame.neural.fitting.loop import Candidate, Clock, Training
from seesame.neural.fitting.losses import Material
from seesame.neural.fitting.settings import TrainSettings
from seesame.neural.weights.network import QuantisedNetwork
from seesame.perception.stack import Stack
from seesame.runlog import RunLog, logged
from seesame.video.clip import Clip

LEAST_TRAINING_SECONDS = 10.0
STATE = 5
"""What a checkpoint holds; raised when that changes, so that an older one is refused."""
CORRECTING_SHARE = 0.06
"""Share of an encode's time that the search for corrections may take."""
CORRECTING_ROUNDS = 1
"""Passes of that search in a run of so many steps, which must not depend on the time."""


@contextmanager
def running(
    name: str,
    clip: Clip,
    context: EncodeContext,
    settings: Mapping[str, Any],
    chosen: TrainSettings,
) -> Iterator[tuple[threading.Event, RunLog]]:
    """An encode that trains: the event that Ctrl-C sets, and the log.

    Args:
        name: of the codec.
        clip: the source.
        context: says where to log.
        settings: as the user gave them.
        chosen: the same, with defaults.

    Raises:
        UserError: the log cannot be opened.
    """
    with (
        interruptible() as stop,
        logged(
            name,
            clip,
            context,
            settings,
            seconds=chosen.seconds(context.device),
            steps=chosen.steps,
            resume=chosen.resume,
        ) as log,
    ):
        yield stop, log


def judges(codec: str, clip: Clip, context: EncodeContext) -> Stack:
    """The stack that a codec trains against.

    Raises:
        UserError: there is none, it has no gradients, or the clip has no bytes.
    """
    stack = context.stack
    if stack is None:
        raise UserError(f"{codec} trains against a perception stack; name one with --stack")
    if not stack.differentiable:
        raise UserError(f"stack {stack.name} has no gradients; {codec} cannot train against it")
    if clip.source_bytes < 1:
        raise UserError("the source has no bytes, so that there is no rate to train for")
    return stack


class Job(ABC):
    """One encode. What is trained, and the file that is made of it, are a codec's own.

    Args:
        clip: the source.
        stack: the nets.
        settings: the user's.
        context: device, seed, progress, work folder.
        outputs: what the stack sees in the source.
        rep: what is trained.
        shape: of its network, in words; a checkpoint of another is refused.
        log: told of stages, steps and candidates.
    """

    schedule = Schedule()

    def __init__(
        self,
        clip: Clip,
        stack: Stack,
        settings: TrainSettings,
        context: EncodeContext,
        outputs: ReferenceOutputs,
        rep: QuantisedNetwork,
        shape: str,
        log: RunLog | None = None,
    ) -> None:
        self.clip, self.stack, self.settings = clip, stack, settings
        self.context, self.outputs, self.rep, self.shape = context, outputs, rep, shape
        self.train_settings = settings
        """What training goes by, where that is not the whole of the user's."""
        self.beside = 0
        """Bytes of the file that training does not change."""
        self.log = log or RunLog()
        self._best = (float("inf"), float("inf"))
        self.judging = 0.0
        """Seconds that judging a candidate takes."""
        self.planned = 0
        """Judgings still to come, that of whoever asked for the file included."""

    @property
    def seconds(self) -> float:
        """Wall time of the whole encode."""
        return self.settings.seconds(self.context.device)

    @abstractmethod
    def pack(self) -> Container:
        """The file of the present state."""

    @abstractmethod
    def decoded(self, container: Container) -> Clip:
        """The clip that a file decodes to."""

    @abstractmethod
    def corrected(self, container: Container, plan: Plan, stop: Callable[[], bool]) -> Container:
        """A file with the corrections that a search finds; whether they pay is not judged."""

    def train(
        self, material: Material, start: float, look: float, stop: threading.Event
    ) -> Candidate:
        """Train, judge, correct; returns the best file.

        Args:
            material: what training reads.
            start: when the encode began, of ``time.monotonic``.
            look: seconds that a pass over the source takes with the nets.
            stop: set when the user has had enough.
        """
        schedule = self.schedule
        training = Training(
            self.rep, material, self.stack, self.train_settings, schedule, self.context, self.log
        )
        training.beside = self.beside
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
            times = schedule.affordable(self.seconds, self.judging)
        correcting = self._correcting()
        self.planned = times + 1 + (1 if correcting else 0)
        end = start + self.seconds
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
        share = CORRECTING_SHARE * self.seconds
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
            "architecture": self.shape,
            "seed": self.context.seed,
            "state": STATE,
        }
        return Checkpoint(self.context.work, identity)

    def judge(self) -> Candidate:
        """Pack the present state, decode the bytes, and score what comes out."""
        return self.scored(self.pack())

    def correct(
        self, best: Candidate, seconds: float, stop: threading.Event, share: float = 1.0
    ) -> Candidate:
        """The file with the corrections that a search finds, if its true score is lower.

        Args:
            best: the file before.
            seconds: to search for.
            stop: set when the user has had enough.
            share: of the encode that is done.
        """
        self.context.progress(
            share, f"correcting, best score {best.score:.4f} in {len(best.data):,} bytes"
        )
        self.log.stage("correcting")
        plan = Plan(seconds=seconds)
        if self.settings.steps is not None:
            plan = Plan(rounds=CORRECTING_ROUNDS)
        container = Container.from_bytes(best.data)
        changed = self.corrected(container, plan, stop.is_set)
        if changed.sections == container.sections:
            return best
        found = self.scored(changed)
        better = (found.excess, found.score) < (best.excess, best.score)
        return found if better else best

    def scored(self, container: Container) -> Candidate:
        """A file and its true score: its bytes are read back and decoded."""
        data = container.to_bytes()
        decoded = self.decoded(Container.from_bytes(data))
        found = evaluate(self.outputs, decoded, self.stack, len(data), device=self.context.device)
        excess = self.settings.limits.excess(found.score, len(data))
        trained = (Section.WEIGHTS, Section.LATENTS)
        payload = sum(len(container.sections.get(s, b"")) for s in trained)
        rank = (excess, found.score.total)
        best = rank <= self._best
        self._best = min(rank, self._best)
        number = self.log.candidate(found.score, len(data), excess, best)
        return Candidate(found.score.total, data, excess, payload, number)

    def ended(self, best: Candidate, stop: threading.Event) -> None:
        """Write the log's last line: why the encode ended, and which candidate its file is."""
        why = "finished"
        if stop.is_set():
            why = "interrupted"
        elif self.settings.limits.given:
            why = "finished" if best.excess else "limits kept"
        self.log.write("end", why=why, number=best.number, bytes=len(best.data), score=best.score)
