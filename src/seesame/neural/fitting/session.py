"""One encode that trains: the only place that orchestrates it, for every trained codec.

A codec supplies a :class:`.trained_file.TrainedFile`: how its network is built, how its file is
packed and opened, and how corrections are searched. :func:`fit` does everything else: it reads the
source, plans the time, trains, judges candidates by their true score, corrects the best one, keeps
checkpoints and the log, and heeds the user's limits and Ctrl-C.
"""

import hashlib
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from seesame.bitstream.container import Container
from seesame.context import EncodeContext
from seesame.errors import MissingStackError, UserError
from seesame.metric.evaluator import evaluate, reference_outputs
from seesame.neural.corrections.search import CorrectionSearch, Plan
from seesame.neural.fitting.checkpoint import Checkpoint
from seesame.neural.fitting.loop import Candidate, Clock, Training
from seesame.neural.fitting.losses import Material, Term
from seesame.neural.fitting.robustness import guard_terms
from seesame.neural.fitting.source import SourcePairs
from seesame.neural.fitting.trained_file import TrainedFile
from seesame.neural.weights.network import QuantisedNetwork
from seesame.perception.stack import Stack
from seesame.runlog import RunLog, logged
from seesame.video.clip import Clip

STATE = 6
"""The form of a checkpoint; raised when that changes, so that an older one is refused."""


@dataclass(frozen=True)
class SessionTuning:
    """The division of an encode's time.

    Args:
        least_training_s: seconds of training at least, however short the time is.
        correcting_share: share of the time that the search for corrections may take.
        correcting_rounds: passes of that search in a run of so many steps, which must not depend
            on the time.
        judging: seconds that judging a candidate takes for a second of reading the source.
        timed_pairs: pairs on which the networks are timed where their outputs are known already.
    """

    least_training_s: float = 10.0
    correcting_share: float = 0.06
    correcting_rounds: int = 1
    judging: float = 1.2
    timed_pairs: int = 8


TUNING = SessionTuning()


def fit(
    file_type: type[TrainedFile],
    codec: str,
    clip: Clip,
    settings: Mapping[str, Any],
    context: EncodeContext,
) -> Container:
    """Train a file for a clip against the context's stack and return the best one.

    The first Ctrl-C ends training and the best file so far is returned; the second stops at once.

    Args:
        file_type: the codec's part.
        codec: its name.
        clip: the source.
        settings: plain values, as the user gave them.
        context: stack, device, seed, progress, work folder, log, guards.

    Raises:
        UserError: bad settings, no stack or one without gradients, a clip that forms no pair or
            has no bytes, or a checkpoint that does not fit.
        DamagedError: the clip ends early.
    """
    start = time.monotonic() if context.started is None else context.started
    chosen = file_type.settings_type.from_mapping(settings)
    stack = _trainable(codec, clip, context)
    torch.manual_seed(context.seed)
    planned = chosen.seconds(context.device)
    with (
        _interruptible() as stop,
        logged(
            codec,
            clip,
            context,
            settings,
            seconds=planned,
            steps=chosen.steps,
            resume=chosen.resume,
        ) as log,
    ):
        file = file_type(clip, stack, chosen, context, log)
        log.stage("reading the source")
        context.progress(0.0, "reading the source")
        material, look = _read(file, clip, stack, context, chosen.limits.every_frame)
        terms = (*file.terms(), *guard_terms(clip, chosen.guard_weight, context))
        network = file.build(material.frames, material.outputs)
        session = _Session(file, network, material, terms, start, look, stop, log)
        best = session.run()
        session.close(best)
    return Container.from_bytes(best.data)


def _trainable(codec: str, clip: Clip, context: EncodeContext) -> Stack:
    """Return the stack that a codec trains against; raise UserError if it cannot."""
    stack = context.stack
    if stack is None:
        raise MissingStackError(f"{codec} trains against a perception stack, and none was given")
    if not stack.differentiable:
        raise UserError(f"stack {stack.name} has no gradients; {codec} cannot train against it")
    if clip.source_bytes < 1:
        raise UserError("the source has no bytes, so that there is no rate to train for")
    return stack


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C sets; the second raises KeyboardInterrupt as usual."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    usual = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: Any) -> None:
        event.set()
        signal.signal(signal.SIGINT, usual)

    signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, usual)


def _read(
    file: TrainedFile, clip: Clip, stack: Stack, context: EncodeContext, every_frame: bool
) -> tuple[Material, float]:
    """Read the source; return what training reads, and the seconds that a judged pass takes."""
    before = time.monotonic()
    source = SourcePairs(clip, file.render)
    outputs = context.outputs
    if outputs is None:
        outputs = reference_outputs(source, stack, every_frame=every_frame, device=context.device)
        return Material(source.pairs(), outputs, clip.source_bytes), time.monotonic() - before
    for _ in source.batches(16):
        pass
    frames = source.pairs()
    some = frames[: TUNING.timed_pairs].float().to(context.device)
    reading, before = time.monotonic() - before, time.monotonic()
    with torch.inference_mode():
        stack.segment(some[:, 1])
        if stack.has_pose:
            stack.pose(some)
    judging = (time.monotonic() - before) * len(frames) / len(some)
    return Material(frames, outputs, clip.source_bytes), reading + judging


class _Session:
    """The state of one encode: what it has found, and the time that is left.

    Args:
        file: the codec's part.
        network: what is trained.
        material: what training reads.
        terms: of the loss, beside the usual ones.
        start: when the encode began, of ``time.monotonic``.
        look: seconds that a pass over the source with the networks takes.
        stop: set when the user has had enough.
        log: told of stages, steps and candidates.
    """

    def __init__(
        self,
        file: TrainedFile,
        network: QuantisedNetwork,
        material: Material,
        terms: Sequence[Term],
        start: float,
        look: float,
        stop: threading.Event,
        log: RunLog,
    ) -> None:
        self.file, self.network, self.material, self.terms = file, network, material, terms
        self.settings, self.context, self.stop, self.log = file.settings, file.context, stop, log
        self.seconds = self.settings.seconds(self.context.device)
        self.end = start + self.seconds
        self.best_rank = (float("inf"), float("inf"))
        # Judging a candidate takes about as long as reading the source did, and whoever asked
        # for the file will judge it once more.
        self.look, self.judging = look, TUNING.judging * look

    def run(self) -> Candidate:
        """Return the best file by its true score."""
        best = None
        if self.file.first is not None:
            best = self._first(self.file.first)
        if self.file.trains and not self._enough(best):
            trained = self._train()
            best = trained if best is None or trained.rank < best.rank else best
        assert best is not None
        return best

    def _enough(self, best: Candidate | None) -> bool:
        kept = best is not None and self.settings.limits.given and not best.excess
        return self.stop.is_set() or kept

    def _first(self, container: Container) -> Candidate:
        """Judge and correct the file that needs no training."""
        self.log.stage("judging the base")
        best = self._scored(container)
        if self.settings.sidecar and not self._enough(best):
            left = self.end - time.monotonic()
            best = self._correct(best, self.file.first_share * left - 2 * self.look, share=0.0)
            self.file.train_over(Container.from_bytes(best.data), self.network)
        return best

    def _train(self) -> Candidate:
        """Train, judge, correct; return the best file."""
        file, schedule = self.file, self.file.schedule
        training = Training(
            self.network,
            self.material,
            file.stack,
            file.train_settings,
            schedule,
            self.context,
            self.log,
            self.terms,
            file.fixed_bytes,
        )
        checkpoint = self._checkpoint(training)
        # A run of so many steps must not depend on how fast the machine is.
        times = schedule.evaluations
        if self.settings.steps is None:
            times = schedule.affordable(self.seconds, self.judging)
        correcting = self._correcting()
        planned = times + 1 + (1 if correcting else 0)
        seconds = self.end - time.monotonic() - correcting - self.judging * planned
        seconds = max(seconds, TUNING.least_training_s)
        clock = Clock(seconds, self.settings.steps, training.done)

        def judge() -> Candidate:
            nonlocal planned
            before, expected = time.monotonic(), self.judging
            found = self._scored(file.pack(self.network))
            self.judging = time.monotonic() - before
            clock.extend((expected - self.judging) * planned)
            planned -= 1
            return found

        best = training.run(clock, judge, times, self.stop.is_set, checkpoint)
        if correcting and not self._enough(best):
            best = self._correct(best, self.end - time.monotonic() - 2 * self.judging)
        # An interrupted run has saved its state and can be resumed; a finished one is done.
        if checkpoint is not None and not self.stop.is_set():
            checkpoint.remove()
        return best

    def _correcting(self) -> float:
        """Return seconds to plan for the search for corrections; 0 where it could find nothing."""
        share = TUNING.correcting_share * self.seconds
        # Before it can improve anything it judges every pair, and its result is judged again.
        worthwhile = self.settings.steps is not None or share >= 2 * self.judging
        return share if self.settings.sidecar and worthwhile else 0.0

    def _checkpoint(self, training: Training) -> Checkpoint | None:
        """Return where the state is kept; an earlier state is restored if the user wants it."""
        work = self.context.work
        if work is None:
            if self.settings.resume:
                raise UserError("resume needs the work folder of an earlier run")
            return None
        checkpoint = Checkpoint(work, self._identity())
        if self.settings.resume and checkpoint.exists:
            checkpoint.load(training)
        elif self.settings.resume:
            self.context.note(f"{checkpoint.path}: no checkpoint there; training starts anew")
        return checkpoint

    def _identity(self) -> dict[str, Any]:
        """Return everything that must agree for a checkpoint to be resumed."""
        clip, outputs = self.file.clip, self.material.outputs
        digest = hashlib.sha256(outputs.poses.numpy().tobytes())
        digest.update(outputs.classes.numpy().tobytes())
        return {
            "clip": f"{clip.width}x{clip.height}x{clip.num_frames}",
            "source": digest.hexdigest(),
            "stack": self.file.stack.fingerprint,
            "guards": [guard.fingerprint for guard in self.context.guards],
            "settings": self.settings.shaping(),
            "network": {name: spec.axes for name, spec in self.network.specs.items()},
            "seed": self.context.seed,
            "form of the checkpoint": STATE,
            **self.file.identity(),
        }

    def _correct(self, best: Candidate, seconds: float, share: float = 1.0) -> Candidate:
        """Return the file with the corrections that a search finds, if its true rank is lower.

        Args:
            best: the file before.
            seconds: to search for.
            share: of the encode that is done.
        """
        text = f"correcting, best score {best.score:.4f} in {len(best.data):,} bytes"
        self.context.progress(share, text)
        self.log.stage("correcting")
        plan = Plan(seconds=seconds)
        if self.settings.steps is not None:
            plan = Plan(rounds=TUNING.correcting_rounds)
        outputs, stack = self.material.outputs, self.file.stack
        search = CorrectionSearch(outputs, stack, plan, self.stop.is_set)
        container = Container.from_bytes(best.data)
        try:
            changed = self.file.corrections(container, search)
        except RuntimeError as error:  # of torch: what was trained is worth more than corrections
            why = " ".join(str(error).split())[:200]
            self.context.note(f"the search for corrections failed ({why}); the file has none")
            return best
        if changed.sections == container.sections:
            return best
        found = self._scored(changed)
        return found if found.rank < best.rank else best

    def _scored(self, container: Container) -> Candidate:
        """Return a file with its true score: its bytes are read back and decoded."""
        data = container.to_bytes()
        decoded = self.file.open(Container.from_bytes(data))
        outputs, stack = self.material.outputs, self.file.stack
        limits = self.settings.limits
        found = evaluate(
            outputs,
            decoded,
            stack,
            len(data),
            every_frame=limits.every_frame,
            device=self.context.device,
        )
        excess = limits.excess(found.figures) if limits.given else 0.0
        made = Candidate(found.score.total, data, excess, self.file.trained_bytes(container))
        best = made.rank <= self.best_rank
        self.best_rank = min(made.rank, self.best_rank)
        made.number = self.log.candidate(found.score, len(data), excess, best)
        return made

    def close(self, best: Candidate) -> None:
        """Write the log's last line: why the encode ended, and which candidate its file is."""
        why = "finished"
        if self.stop.is_set():
            why = "interrupted"
        elif self.settings.limits.given:
            why = "finished" if best.excess else "limits kept"
        self.log.write("end", why=why, number=best.number, bytes=len(best.data), score=best.score)
