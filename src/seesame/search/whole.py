"""A whole search, from a clip to its best trial: by ``auto`` or a grid, on a sample, in parts."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from seesame.context import EncodeContext, Note, no_note
from seesame.errors import UserError
from seesame.jobs.runner import Runner
from seesame.jobs.spec import Job, Stages, silent
from seesame.jobs.store import Store
from seesame.jobs.trial import Trial
from seesame.metric.limits import Limits
from seesame.metric.memory import keep_freed_memory
from seesame.runlog import RunLog, logged
from seesame.search.auto import auto
from seesame.search.excerpt import Span, even_cuts, windows
from seesame.search.goal import Goal
from seesame.search.grid import grid
from seesame.search.sampled import sampled, usual_windows
from seesame.search.segmented import segmented
from seesame.search.space import Space
from seesame.search.tracker import Tracker
from seesame.search.tuning import PartsTuning, SampleTuning
from seesame.video.clip import Clip
from seesame.video.cuts import scene_cuts


@dataclass(frozen=True)
class Search:
    """The spaces, the goal and the method of a search.

    Args:
        spaces: the settings, one space for each codec.
        limits: bounds that a file has to keep; they decide which trial is best.
        method: ``auto`` spends its encodes where they gain most, ``grid`` tries every combination.
        trials: encodes that ``auto`` may ask for.
        sample: seconds of the clip to search on; ``"all"`` for the whole clip, ``"usual"`` for the
            whole of a short clip and a sample of a long one.
        cut: gives each part of the clip settings of its own (experimental): ``"scenes"`` cuts where
            the scene changes, a number every so many seconds; None for no parts.
        sample_tuning: of a search on a sample.
        parts_tuning: of a clip in parts.
    """

    spaces: Sequence[Space]
    limits: Limits = field(default_factory=Limits)
    method: Literal["auto", "grid"] = "auto"
    trials: int = 40
    sample: float | Literal["all", "usual"] = "usual"
    cut: float | Literal["scenes"] | None = None
    sample_tuning: SampleTuning = field(default_factory=SampleTuning, repr=False)
    parts_tuning: PartsTuning = field(default_factory=PartsTuning, repr=False)

    @property
    def goal(self) -> Goal:
        """Decides which trial is best."""
        return Goal(self.limits)

    def windows(self, clip: Clip) -> list[Span] | None:
        """Return the windows of the sample; None where the whole clip is searched."""
        if self.sample == "all":
            return None
        if self.sample == "usual":
            return usual_windows(clip, self.sample_tuning)
        return windows(clip, self.sample, self.sample_tuning.window_seconds)

    def look(self, runner: Runner, aim: Goal, seed: int, tell: Tracker) -> list[Trial]:
        """Return the trials that the method makes on a runner's clip."""
        if self.method == "grid":
            return grid(self.spaces, runner, tell)
        return auto(self.spaces, aim, runner, self.trials, seed, tell)


@dataclass(frozen=True)
class Found:
    """The trials of a search, its best by a goal, and how many were not in the store.

    The goal's limits follow the stack's rule and have the whole names of its classes.
    """

    trials: list[Trial]
    best: Trial
    made: int
    goal: Goal


def search_clip(
    job: Job,
    search: Search,
    store: Store,
    jobs: int = 1,
    *,
    stages: Stages = silent,
    note: Note = no_note,
) -> Found:
    """Search the settings that suit a clip and a stack best.

    Args:
        job: the clip, the stack, the device, the seed, and the file for the log; its codec is what
            the log says was searched.
        search: the settings, the goal and the method.
        store: where trials are kept; those that it has cost nothing.
        jobs: encodes at once.
        stages: told of every stage, and of its progress.
        note: called with what encoders refused, and with why a clip is not cut.

    Raises:
        MissingExtraError: the method needs Optuna, which is not installed.
        UserError: the clip forms no pair, no encode succeeded, a limit is on no class of the stack,
            or the store or log fails.
        DamagedError: the clip cannot be decoded to its end.
    """
    keep_freed_memory()
    job = replace(job, limits=search.limits)
    with Runner.open(job, store, jobs, stages=stages, note=note) as runner:
        search = replace(search, limits=runner.bench.bound(search.limits))
        spans = search.windows(runner.clip)
        total = sum(space.size() for space in search.spaces)
        total = search.trials if search.method == "auto" else total
        total += 0 if spans is None else search.sample_tuning.most
        context = EncodeContext(runner.stack, runner.bench.device, job.seed, log=job.log)
        noted = {
            "codec": job.codec,
            "method": search.method,
            "goal": str(search.goal),
            "cut": search.cut,
        }
        with logged(
            "search", runner.clip, context, noted, seconds=0, steps=total, resume=False
        ) as log:
            found = _searched(runner, search, spans, total, log, stages, note)
            return Found(*found, runner.made, search.goal)


def _searched(
    runner: Runner,
    search: Search,
    spans: list[Span] | None,
    total: int,
    log: RunLog,
    stages: Stages,
    note: Note,
) -> tuple[list[Trial], Trial]:
    """All trials on the whole clip, and the best."""
    goal, seed = search.goal, runner.job.seed
    log.stage("searching" if spans is None else "searching a sample")
    with stages("search") as bar:
        tracker = Tracker(goal, total, bar, log)
        if spans is None:
            found = search.look(runner, goal, seed, tracker)
        else:
            found = sampled(
                runner,
                goal,
                spans,
                lambda part, aim: search.look(part, aim, seed, tracker),
                tracker.whole,
                tuning=search.sample_tuning,
            )
    for line in tracker.refused:
        note(line)
    best = goal.best(found)
    if best is None:
        why = f"; {tracker.refused[-1]}" if tracker.refused else ""
        raise UserError(f"{runner.job.source.path}: no encode succeeded{why}")
    if search.cut is not None:
        log.stage("searching in parts")
        parts = _in_parts(runner, search, best, stages, note)
        for trial in parts:
            tracker.note(trial)
        found = [*found, *parts]
        best = goal.best(found)
        assert best is not None
    tracker.ended(best)
    return found, best


def _in_parts(
    runner: Runner, search: Search, best: Trial, stages: Stages, note: Note
) -> list[Trial]:
    """The trial of the clip in parts; none where there is nothing to cut."""
    clip, path = runner.clip, runner.job.source.path
    if isinstance(search.cut, float | int):
        cuts = even_cuts(clip.num_frames, round(search.cut * clip.fps))
        what = f"it is no longer than {search.cut:g} s"
    else:
        cuts, what = scene_cuts(clip), "its scene never changes"
    if not cuts:
        note(f"{path}: is one part: {what}")
        return []
    count = len(cuts) + 1
    each = max(search.parts_tuning.least_trials, search.trials // 2)
    with stages(f"{count} parts") as bar:
        tracker = Tracker(search.goal, each * count, bar, RunLog())
        result = segmented(
            runner, search.goal, best, cuts, each, runner.job.seed, tracker, search.parts_tuning
        )
    for line in tracker.refused:
        note(line)
    if result.trial is None:
        note(f"{path}: the file of {count} parts cannot be made: {result.why}")
    return [] if result.trial is None else [result.trial]
