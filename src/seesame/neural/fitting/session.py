"""One encode that trains: the only place that orchestrates it, for every trained codec.

A codec supplies a :class:`.trained_file.TrainedFile`: how its network is built, how its file is
packed and opened, and how corrections are searched. :func:`fit` does everything else: it reads the
source, plans the time, trains, judges candidates by their true score, corrects the best one, keeps
checkpoints and the log, and heeds the user's limits and Ctrl-C.
"""

import hashlib
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from seesame.bitstream.container import Container
from seesame.context import EncodeContext
from seesame.metric.evaluator import evaluate
from seesame.metric.limits import Limits
from seesame.neural.corrections.search import CorrectionSearch, Plan
from seesame.neural.fitting.checkpoint import Checkpoint
from seesame.neural.fitting.limits.advice import advice
from seesame.neural.fitting.limits.limited import LimitTerm
from seesame.neural.fitting.loop import Candidate, Clock, Training
from seesame.neural.fitting.loss.losses import Material, Term
from seesame.neural.fitting.loss.robustness import guard_terms
from seesame.neural.fitting.prepare import (
    bound_limits,
    interruptible,
    of_the_budget,
    read_source,
    say_what_resumes,
    trainable,
)
from seesame.neural.fitting.trained_file import TrainedFile
from seesame.neural.weights.network import QuantisedNetwork
from seesame.runlog import RunLog, logged
from seesame.video.clip import Clip

STATE = 7
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
        first_reach: the reach of a file that needs no training, from which training goes on to
            keep the limits: the largest figure as a multiple of its bound.
        near: logarithm of a reach's ratio to the wanted one that is near enough.
        pose_gain: how much more training and corrections lower pose than seg.
        sizings: files that are made anew at most to meet a reach, before and after training.
        later_sizings: of these, the ones that time is kept for after training.
        margin: the reach that a file made anew after training should have.
    """

    least_training_s: float = 10.0
    correcting_share: float = 0.06
    correcting_rounds: int = 1
    judging: float = 1.2
    first_reach: float = 1.4
    near: float = 0.25
    pose_gain: float = 4.0
    sizings: int = 3
    later_sizings: int = 2
    margin: float = 0.9


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
    stack = trainable(codec, clip, context)
    torch.manual_seed(context.seed)
    planned = chosen.seconds(context.device)
    say_what_resumes(chosen.resume, context)
    limits = bound_limits(chosen, stack)
    if chosen.steps is None:
        context = replace(context, progress=of_the_budget(context.progress, start, planned))
    with (
        interruptible() as stop,
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
        before = time.monotonic()
        file = file_type(clip, stack, chosen, context, log)
        making = time.monotonic() - before
        log.stage("reading the source")
        context.progress(0.0, "reading the source")
        material, look = read_source(file, clip, stack, context, limits.every_frame)
        terms = (*file.terms(), *guard_terms(clip, chosen.guard_weight, context))
        network = file.build(material.frames, material.outputs)
        session = _Session(file, network, material, limits, terms, start, look, stop, log)
        session.resizing = making + session.judging
        best = session.run()
        session.close(best)
    return Container.from_bytes(best.data)


class _Session:
    """The state of one encode: what it has found, and the time that is left.

    Args:
        file: the codec's part.
        network: what is trained.
        material: what training reads.
        limits: the user's, with the stack's whole names of classes.
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
        limits: Limits,
        terms: Sequence[Term],
        start: float,
        look: float,
        stop: threading.Event,
        log: RunLog,
    ) -> None:
        self.file, self.network, self.material, self.limits = file, network, material, limits
        self.settings, self.context, self.stop, self.log = file.settings, file.context, stop, log
        self.limit: LimitTerm | None = None
        if limits.on_seg or self.settings.by_limits:
            device = torch.device(self.context.device)
            self.limit = LimitTerm(limits, material.outputs, file.stack, device)
        self.terms = terms if self.limit is None else (*terms, self.limit)
        self.seconds = self.settings.seconds(self.context.device)
        self.end = start + self.seconds
        self.best_rank = (math.inf, math.inf)
        self.kept = math.inf
        """Bytes of the smallest file so far that keeps the limits."""
        # Judging a candidate takes about as long as reading the source did, and whoever asked
        # for the file will judge it once more.
        self.look, self.judging = look, TUNING.judging * look
        self.resizing = 0.0
        """Seconds that making the file anew and judging it takes."""

    def run(self) -> Candidate:
        """Return the best file: one that keeps the limits if there is one, the least rank else."""
        best, enough = None, False
        if self.file.first is not None:
            best, enough = self._first(self.file.first)
        if self.file.trains and not enough:
            trained = self._train()
            best = trained if best is None or trained.rank < best.rank else best
        assert best is not None
        if best.excess:
            reach, size = max(1.0, best.reach()), len(best.data)
            self.context.advise(advice(self.settings, reach, size, self.seconds))
        return best

    def _enough(self, best: Candidate) -> bool:
        return self.stop.is_set() or (self.limits.given and not best.excess)

    def _first(self, container: Container) -> tuple[Candidate, bool]:
        """Judge and correct the file that needs no training; return the best, and if it is enough.

        Where limits choose the size, it is made larger until it keeps them: that file is there
        whatever training brings. Then a smaller one is made, which training has to bring so far.
        """
        self.log.stage("judging the base")
        best = found = self._scored(container)
        for _ in range(TUNING.sizings):
            made = self._resized(found, TUNING.margin) if found.reach() > 1 else None
            if made is None:
                break
            found, best = made, min(best, made, key=lambda one: one.rank)
        for _ in range(TUNING.sizings if self.file.trains else 0):
            reach = found.reach(TUNING.pose_gain)
            if not reach or abs(math.log(reach / TUNING.first_reach)) < TUNING.near:
                break
            made = self._resized(found, TUNING.first_reach, TUNING.pose_gain)
            if made is None:
                break
            found, best = made, min(best, made, key=lambda one: one.rank)
        if self.settings.sidecar and not self._enough(found):
            left = self.end - time.monotonic()
            found = self._correct(found, self.file.first_share * left - 2 * self.look, share=0.0)
            self.file.train_over(Container.from_bytes(found.data), self.network)
        return min(best, found, key=lambda one: one.rank), self._enough(found)

    def _resized(
        self, present: Candidate, wanted: float, pose_gain: float = 1.0, trained: bool = False
    ) -> Candidate | None:
        """Return the file after its fixed part was made anew; None where that cannot be.

        Args:
            present: the file.
            wanted: the reach that it should have.
            pose_gain: see :meth:`.Candidate.reach`.
            trained: with what was trained; else the file that needs no training.
        """
        before, times = time.monotonic(), 1 if trained else 1 + TUNING.later_sizings
        late = self.settings.steps is None and before + times * self.resizing > self.end
        if not self._resizable() or self.stop.is_set() or late or not present.reach(pose_gain):
            return None
        if not self.file.resize(self.network, present.reach(pose_gain), wanted):
            return None
        made = self.file.pack(self.network) if trained else self.file.first
        assert made is not None
        found = self._scored(made)
        self.resizing = time.monotonic() - before
        return found

    def _resizable(self) -> bool:
        return self.settings.by_limits and self.file.resizable

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
            self.limit if self.settings.by_limits else None,
        )
        checkpoint = self._checkpoint(training)
        # A run of so many steps must not depend on how fast the machine is.
        times = schedule.evaluations
        if self.settings.steps is None:
            times = schedule.affordable(self.seconds, self.judging)
        correcting = self._correcting()
        planned = times + 1 + (1 if correcting else 0)
        seconds = self.end - time.monotonic() - correcting - self.judging * planned
        seconds -= TUNING.later_sizings * self.resizing if self._resizable() else 0.0
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
            best = self._correct(best, correcting if self._resizable() else self._left())
        best = self._mended(best)
        # An interrupted run has saved its state and can be resumed; a finished one is done.
        if checkpoint is not None and not self.stop.is_set():
            checkpoint.remove()
        return best

    def _left(self) -> float:
        """Return the seconds that are left for the search for corrections."""
        return self.end - time.monotonic() - 2 * self.judging

    def _mended(self, best: Candidate) -> Candidate:
        """Return a file whose fixed part was made anew, until it keeps the limits.

        Where a file that keeps them is there already, only a smaller one is of use.
        """
        last = best
        for _ in range(TUNING.sizings):
            made = None
            if not self._enough(best) and len(last.data) < self.kept:
                made = self._resized(last, TUNING.margin, trained=True)
            if made is None:
                break
            if self.settings.sidecar and made.reach() > made.reach(math.inf):  # pose is what misses
                made = self._correct(made, self._left())
            last, best = made, min(best, made, key=lambda one: one.rank)
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
            return None
        checkpoint = Checkpoint(work, self._identity())
        if self.settings.resume and checkpoint.exists:
            checkpoint.load(training)
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
        found = evaluate(
            outputs,
            decoded,
            stack,
            len(data),
            every_frame=self.limits.every_frame,
            device=self.context.device,
        )
        held = tuple(self.limits.held(found.figures)) if self.limits.given else ()
        excess = sum(one.excess for one in held)
        # Limits that choose the size ask for the smallest file that keeps them.
        cost = len(data) if self.settings.by_limits and self.limits.score is None else None
        trained = self.file.trained_bytes(container)
        made = Candidate(found.score.total, data, excess, trained, held, cost)
        best = made.rank <= self.best_rank
        self.best_rank = min(made.rank, self.best_rank)
        self.kept = min(self.kept, math.inf if excess else len(data))
        made.number = self.log.candidate(found.score, len(data), excess, best)
        return made

    def close(self, best: Candidate) -> None:
        """Write the log's last line: why the encode ended, and which candidate its file is."""
        why = "finished"
        if self.stop.is_set():
            why = "interrupted"
        elif self.limits.given:
            why = "finished" if best.excess else "limits kept"
        self.log.write("end", why=why, number=best.number, bytes=len(best.data), score=best.score)
