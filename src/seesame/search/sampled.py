"""A search on a sample of a long clip, whose best settings are then tried on the whole clip.

A sample's figures are not the whole clip's: it has fewer frames, and a cut between one window and
the next. So they only choose the settings that are tried on the whole clip, where the quality of
the best is then moved for as long as that helps.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from seesame.jobs.runner import Runner
from seesame.jobs.spec import Source
from seesame.jobs.trial import Trial
from seesame.search.auto import Tell
from seesame.search.excerpt import Span, sample, windows
from seesame.search.goal import Goal
from seesame.search.space import SPACES
from seesame.search.tuning import SampleTuning
from seesame.temporary import temporary_folder
from seesame.video.clip import Clip


def sampled(
    runner: Runner,
    goal: Goal,
    spans: Sequence[Span],
    search: Callable[[Runner, Goal], list[Trial]],
    tell: Tell,
    late: Callable[[], bool] = lambda: False,
    tuning: SampleTuning = SampleTuning(),
) -> list[Trial]:
    """Search on a sample, and try the settings that do best there on the whole clip.

    Args:
        runner: of the whole clip.
        goal: decides which trial is best.
        spans: the windows of the sample.
        search: searches with a runner, for a goal.
        tell: called with every result on the whole.
        late: asked after the search; true leaves time for the sample's best alone.
        tuning: how many settings are tried on the whole clip.

    Returns:
        The trials on the whole clip; none where every encode failed.

    Raises:
        UserError: as the search and :meth:`Runner.run` do.
        DamagedError: the clip ends early.
    """
    with temporary_folder() as folder:
        piece = sample(runner.clip, spans, folder)
        aim = scaled(goal, piece.frames / runner.clip.num_frames)
        with runner.on(Source(piece.path, source_bytes=piece.source_bytes)) as part:
            ranked = sorted(search(part, aim), key=aim.rank)[: tuning.confirmed]
    found: dict[tuple[str, str], Trial] = {}

    def tried(wanted: Sequence[tuple[str, dict[str, object]]]) -> None:
        fresh = [one for one in wanted if _name(*one) not in found]
        for result in runner.run(fresh):
            tell(result)
            if result.trial is not None:
                found[_name(*result.wanted)] = result.trial

    most = 1 if late() else tuning.confirmed
    tried([(trial.codec, dict(trial.settings)) for trial in ranked[:most]])
    for step in tuning.steps:
        best, moved = goal.best(found.values()), True
        while best is not None and moved and len(found) < tuning.most and not late():
            crfs = SPACES[best.codec].axis("crf").values
            near = [best.settings["crf"] + move for move in (-step, step)]
            tried([(best.codec, {**best.settings, "crf": crf}) for crf in near if crf in crfs])
            before, best = best, goal.best(found.values())
            moved = best is not before
    return list(found.values())


def usual_windows(clip: Clip, tuning: SampleTuning = SampleTuning()) -> list[Span] | None:
    """Return the windows that a long clip is searched on; None for a short clip."""
    if clip.num_frames <= tuning.long_seconds * clip.fps:
        return None
    return windows(clip, tuning.seconds, tuning.window_seconds)


def scaled(goal: Goal, share: float) -> Goal:
    """Return the goal for a part of a clip: as good as the whole, in its share of the bytes."""
    limits = goal.limits
    size = None if limits.bytes is None else max(1, round(share * limits.bytes))
    return Goal(replace(limits, bytes=size))


def _name(codec: str, settings: object) -> tuple[str, str]:
    return codec, str(settings)
