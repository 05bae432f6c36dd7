"""A search on a sample of a clip, whose best settings are then made on the whole.

A sample's figures are not the whole's: other frames, and a cut between one window and the next. So
they only choose what is tried on the whole, whose quality is then moved until that no longer helps.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from seesame.jobs.runner import Runner
from seesame.jobs.trial import Trial
from seesame.metric.cache import cached_reference_outputs
from seesame.metric.limits import Limits
from seesame.search.auto import Tell
from seesame.search.excerpt import Piece, Span, sample, windows
from seesame.search.goal import Goal
from seesame.search.space import SPACES
from seesame.video.clip import Clip

CONFIRMED = 3
"""Settings of the sample's best that are tried on the whole."""
STEPS = (3, 1)
"""By how much CRF is moved then."""
MOST = 11
"""Trials on the whole."""
LONG_SECONDS, SAMPLE_SECONDS = 90.0, 24.0
"""A longer clip is searched on a sample of so much of it."""


def sampled(
    runner: Runner,
    goal: Goal,
    spans: Sequence[Span],
    search: Callable[[Runner, Goal], list[Trial]],
    tell: Tell,
    late: Callable[[], bool] = lambda: False,
) -> list[Trial]:
    """Search on a sample, and try what does best on the whole.

    Args:
        runner: of the whole clip.
        goal: what to look for.
        spans: the windows of the sample.
        search: searches with a runner, for a goal.
        tell: called with every result on the whole.
        late: whether time is up after the search; the sample's best alone is then made.

    Returns:
        The trials on the whole; none where every encode failed.

    Raises:
        UserError: as the search and :meth:`Runner.run` do.
        DamagedError: the clip ends early.
    """
    with tempfile.TemporaryDirectory(prefix="seesame-sample-") as folder:
        piece = sample(runner.clip, spans, Path(folder))
        aim = scaled(goal, piece.frames / runner.clip.num_frames)
        with on_piece(runner, piece) as part:
            ranked = sorted(search(part, aim), key=aim.rank)[:CONFIRMED]
    found: dict[tuple[str, str], Trial] = {}

    def tried(wanted: Sequence[tuple[str, dict[str, object]]]) -> None:
        fresh = [one for one in wanted if _name(*one) not in found]
        for result in runner.run(fresh):
            tell(result)
            if result.trial is not None:
                found[_name(*result.wanted)] = result.trial

    most = 1 if late() else CONFIRMED
    tried([(trial.codec, dict(trial.settings)) for trial in ranked[:most]])
    for step in STEPS:
        best, moved = goal.best(found.values()), True
        while best is not None and moved and len(found) < MOST and not late():
            crfs = SPACES[best.codec].axis("crf").values
            near = [best.settings["crf"] + move for move in (-step, step)]
            tried([(best.codec, {**best.settings, "crf": crf}) for crf in near if crf in crfs])
            before, best = best, goal.best(found.values())
            moved = best is not before
    return list(found.values())


def usual_windows(clip: Clip) -> list[Span] | None:
    """The windows that a long clip is searched on; None for others, where the whole is."""
    if clip.num_frames <= LONG_SECONDS * clip.fps:
        return None
    return windows(clip, SAMPLE_SECONDS)


def on_piece(runner: Runner, piece: Piece) -> Runner:
    """As a runner, but on a piece of its clip. Raises UserError or DamagedError."""
    place = replace(
        runner.source, path=piece.path, source_bytes=piece.source_bytes, size=None, fps=None
    )
    opened = source, eyes = place.open()
    outputs = cached_reference_outputs(piece.path, source, eyes, device=place.device)
    return Runner(place, opened, outputs, runner.store, runner.jobs)


def scaled(goal: Goal, share: float) -> Goal:
    """The goal for a part of a clip: as good as the whole, in its share of the bytes."""
    limits = goal.limits
    size = None if limits.bytes is None else max(1, round(share * limits.bytes))
    return Goal(Limits(limits.score, limits.seg, limits.pose, size))


def _name(codec: str, settings: object) -> tuple[str, str]:
    return codec, str(settings)
