"""The best file for a clip within a time: classical settings are searched, then codecs trained.

Where the stack has a renderer and there is time for it, a file of semantic is made first. A part of
the time goes to the search; the rest to a hybrid over the best settings that it found and, where
there is enough of it, to hnerv. The file that does best by the goal is kept.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from seesame.context import Note, Progress, no_note, no_progress
from seesame.errors import MissingRendererError, UserError
from seesame.files import check_output
from seesame.jobs.runner import Result, Runner
from seesame.jobs.spec import Job, Outcome, Stages, silent
from seesame.jobs.store import Store
from seesame.jobs.trial import Trial
from seesame.search.auto import Tell, auto
from seesame.search.goal import Goal
from seesame.search.outcome import chosen_settings
from seesame.search.sampled import sampled, usual_windows
from seesame.search.space import SPACES
from seesame.search.tuning import ChoiceTuning
from seesame.search.within.quality import encode_within


@dataclass(frozen=True, eq=False)
class Chosen:
    """The best file, and the best trial of each codec that was in the running."""

    outcome: Outcome
    trials: tuple[Trial, ...]


def compress_automatically(
    job: Job,
    store: Store,
    seconds: float | None = None,
    *,
    stages: Stages = silent,
    note: Note = no_note,
    tuning: ChoiceTuning = ChoiceTuning(),
) -> Outcome:
    """Search, train, and write the best file within a time.

    Args:
        job: the clip, the stack and the output; its limits are what the file has to keep. Its codec
            and settings are not used.
        store: where the trials of the search are kept.
        seconds: for all of it; ``tuning.seconds`` when None.
        stages: told of every stage, and of its progress.
        note: called with the figures of the files that were not chosen.
        tuning: how the time is divided.

    Returns:
        The best file; ``encode_s`` is the time of the whole search and training.

    Raises:
        MissingExtraError: Optuna is not installed.
        UserError: no encode succeeded, or the output cannot be written.
        DamagedError: the clip cannot be decoded to its end.
    """
    if job.out is not None:
        check_output(job.out, job.overwrite)
    start = time.monotonic()
    seconds = tuning.seconds if seconds is None else seconds
    with Runner.open(job, store, stages=stages, note=note) as runner:
        goal = Goal(runner.bench.bound(job.limits))
        with stages("auto") as bar:
            told = _Told(goal, start, seconds, bar, tuning)
            left = seconds - (time.monotonic() - start)
            chosen = choose(runner, goal, left, told.search, told.training, job.seed, tuning)
        best, size = chosen.outcome, chosen.outcome.bytes
        if job.out is not None:
            size = best.container.write(job.out, job.overwrite)
    for trial in chosen.trials:
        if (trial.codec, trial.bytes) != (best.codec, best.bytes):
            figures = f"score {trial.score.total:.4f}, {trial.bytes:,} bytes"
            note(f"auto also tried {trial.codec}: {figures}")
    spent = time.monotonic() - start
    made = replace(best, path=job.out, bytes=size, encode_s=spent, limits=goal.limits)
    return replace(made, advice=_advice(made, seconds))


def _advice(outcome: Outcome, seconds: float) -> str:
    """Return what would help a file that misses limits; nothing for one that keeps them."""
    if [held.name for held in outcome.missed] == ["bytes"]:
        return f"--max-bytes {outcome.bytes}"
    return f"--budget {math.ceil(2 * seconds)}s, or higher limits" if outcome.missed else ""


class _Told:
    """Turns the progress of the search and of each training into that of the whole."""

    def __init__(
        self, goal: Goal, start: float, seconds: float, bar: Progress, tuning: ChoiceTuning
    ) -> None:
        self.goal, self.start, self.seconds, self.bar = goal, start, seconds, bar
        self.most = tuning.search_share
        self.count = 0
        self.best: Trial | None = None

    def search(self, result: Result) -> None:
        """Tell of a trial of the search."""
        self.count += 1
        known = [trial for trial in (self.best, result.trial) if trial is not None]
        self.best = self.goal.best(known)
        figures = ""
        if self.best is not None:
            figures = f", best score {self.best.score.total:.4f}, {self.best.bytes:,} bytes"
        share = min(self._share(), self.most)
        self.bar(share, f"{self.count} trials of classical settings{figures}")

    def training(self, codec: str) -> Progress:
        """Return the progress of a codec that is about to train."""
        began = self._share()
        return lambda share, text: self.bar(
            min(1.0, began + (1 - began) * share), f"{codec}: {text}"
        )

    def _share(self) -> float:
        return (time.monotonic() - self.start) / self.seconds


def choose(
    runner: Runner,
    goal: Goal,
    seconds: float,
    tell: Tell,
    training: Callable[[str], Progress],
    seed: int = 0,
    tuning: ChoiceTuning = ChoiceTuning(),
) -> Chosen:
    """Search, train, and keep the best.

    Args:
        runner: makes the search's trials; the training uses its clip and its stack as well.
        goal: decides which file is best.
        seconds: for all of it.
        tell: called with every result of the search.
        training: gives the progress of the codec with this name, which is about to train.
        seed: of every random step.
        tuning: how the time is divided.

    Raises:
        MissingExtraError: Optuna is not installed.
        UserError: no encode succeeded.
        DamagedError: the clip ends early.
    """
    start = time.monotonic()
    files: list[tuple[Trial, Outcome | None]] = []
    if seconds >= tuning.least_semantic:
        drawn = _drawn(runner, goal, seed, training("semantic"))
        if drawn is not None:
            files.append((Trial.of(drawn), drawn))
    searching = time.monotonic() - start + tuning.search_share * seconds
    spaces = [SPACES[codec] for codec in tuning.codecs]

    def late() -> bool:
        return time.monotonic() - start > searching

    def look(part: Runner, aim: Goal) -> list[Trial]:
        return auto(spaces, aim, part, tuning.most_trials, seed, tell, late)

    spans = usual_windows(runner.clip)
    tried = look(runner, goal) if spans is None else sampled(runner, goal, spans, look, tell, late)
    found = goal.best(tried)
    if found is None:
        raise UserError(f"{runner.job.source.path}: no encoder takes this clip")
    files.append((found, None))
    left = seconds - (time.monotonic() - start)
    for codec, share in _trained(left, runner.stack.differentiable, tuning):
        settings = _settings(codec, found, goal) | {"budget_s": max(10.0, share * left)}
        made = runner.bench.encode(
            codec, settings, limits=goal.limits, seed=seed, progress=training(codec)
        )
        files.append((Trial.of(made), made))
    best = goal.best(trial for trial, _ in files)
    assert best is not None
    outcome = next(outcome for trial, outcome in files if trial is best)
    if outcome is None:  # the store keeps figures only; classical encoders repeat themselves
        outcome = runner.bench.encode(best.codec, best.settings, progress=no_progress)
    return Chosen(outcome, tuple(trial for trial, _ in files))


def _drawn(runner: Runner, goal: Goal, seed: int, progress: Progress) -> Outcome | None:
    """Return a file of the codec semantic, which takes seconds; None without a renderer for it."""
    bench = runner.bench
    try:
        if goal.limits.given:
            return encode_within(bench, "semantic", {}, goal.limits, seed=seed, progress=progress)
        return bench.encode("semantic", {}, seed=seed, progress=progress)
    except MissingRendererError:
        return None


def _trained(left: float, differentiable: bool, tuning: ChoiceTuning) -> list[tuple[str, float]]:
    """The codecs to train in so many seconds, and the share of them that each gets."""
    if not differentiable or left < tuning.least_hybrid:
        return []
    if (1 - tuning.hybrid_share) * left < tuning.least_hnerv:
        return [("hybrid", 1.0)]
    return [("hybrid", tuning.hybrid_share), ("hnerv", 1 - tuning.hybrid_share)]


def _settings(codec: str, best: Trial, goal: Goal) -> dict[str, Any]:
    """The settings of a training: the goal's limits, and for a hybrid the base that was found."""
    given: dict[str, Any] = {}
    if codec == "hybrid":
        # Its quality is left to hybrid: with corrections and a network a lower one is enough.
        found = {k: v for k, v in chosen_settings(best).items() if k not in ("crf", "sharpen")}
        given |= {"base": best.codec} | {f"base.{k}": v for k, v in found.items()}
    return given
