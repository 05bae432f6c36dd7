"""A clip in parts, each with settings of its own that are chosen together; experimental.

One more byte must gain the same in every part (equal slope; Shoham and Gersho 1988, "Efficient bit
allocation for an arbitrary set of quantizers"): of each part's trials the one with the least
weighted sum of seg, pose and bytes is taken, with the same weights in all parts. Many weights are
tried, and those are kept with which the whole clip does best by the goal, because the weight of
pose in the score depends on the whole clip's pose distortion, which is not known before.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from seesame.codecs.segments import NAME
from seesame.errors import UserError
from seesame.jobs.runner import Result, Runner
from seesame.jobs.spec import Source
from seesame.jobs.trial import Trial
from seesame.metric.figures import combined
from seesame.metric.score import Score
from seesame.search.auto import Tell, auto
from seesame.search.excerpt import cut_out
from seesame.search.goal import Goal
from seesame.search.outcome import chosen_settings
from seesame.search.sampled import scaled
from seesame.search.space import SPACES, Axis, Space
from seesame.search.tuning import PartsTuning
from seesame.temporary import temporary_folder


def segmented(
    runner: Runner,
    goal: Goal,
    best: Trial,
    cuts: Sequence[int],
    trials: int,
    seed: int,
    tell: Tell,
    tuning: PartsTuning = PartsTuning(),
) -> Result:
    """Search each part near the best settings of the whole, and make the file of all parts.

    Args:
        runner: of the whole clip.
        goal: decides which file of the whole clip is best.
        best: the whole clip's best trial, of a classical codec.
        cuts: numbers of the frames that begin a part, without the first; rising and even.
        trials: encodes of each part.
        seed: of the search.
        tell: called with every result.
        tuning: how far parts may differ, and how they are chosen.

    Returns:
        The trial of the whole file, encoded and judged like any other; none, and why, where no
        encoder took one of the parts.

    Raises:
        MissingExtraError: Optuna is not installed.
        DamagedError: the clip ends early.
    """
    clip = runner.clip
    found: list[tuple[int, list[Trial]]] = []
    space = near(best, tuning)
    with temporary_folder() as folder:
        for piece in cut_out(clip, cuts, folder):
            aim = scaled(goal, piece.frames / clip.num_frames)
            with runner.on(Source(piece.path, source_bytes=piece.source_bytes)) as part:
                tried = auto([space], aim, part, trials, seed, tell)
            if not tried:
                first = sum(frames for frames, _ in found)
                why = f"no encoder takes frames {first} to {first + piece.frames - 1}"
                return Result((NAME, {}), None, why=why)
            found.append((piece.frames, tried))
    chosen = together(found, goal, clip.source_bytes, tuning)
    (result,) = runner.run([(NAME, dict(chosen.settings))])
    return result


def near(best: Trial, tuning: PartsTuning = PartsTuning()) -> Space:
    """Return the settings near a trial's: other qualities and scales, all else as it is."""
    own = SPACES[best.codec]
    chosen = chosen_settings(best)
    crf, scale = chosen["crf"], chosen["scale"]
    crfs = tuple(v for v in own.axis("crf").values if abs(v - crf) <= tuning.near_crf)
    most = tuning.near_scale
    scales = tuple(v for v in own.axis("scale").values if 1 / most <= v / scale <= most)
    axes = {name: Axis(name, (value,), (value,)) for name, value in chosen.items()}
    axes["crf"] = Axis("crf", crfs, crfs)
    axes["scale"] = Axis("scale", *2 * (tuple(sorted({*scales, scale})),))
    starts = ({"crf": crf, "scale": scale},)
    return Space(best.codec, tuple(axes.values()), starts)


def together(
    parts: Sequence[tuple[int, Sequence[Trial]]],
    goal: Goal,
    source_bytes: int,
    tuning: PartsTuning = PartsTuning(),
) -> Trial:
    """Choose one trial of each part so that the whole does best by the goal.

    Args:
        parts: each part's frames and trials, one or more.
        goal: decides which choice is best.
        source_bytes: size of the whole source.
        tuning: of the choice.

    Returns:
        The figures that the whole file should have; its settings are those of codec ``segments``.

    Raises:
        UserError: a part has no trial.
    """
    for number, (_, trials) in enumerate(parts, start=1):
        if not trials:
            raise UserError(f"part {number} of the clip has no trial: no encoder takes it")
    pairs = [frames // 2 for frames, _ in parts]
    total = max(1, sum(pairs))

    def whole(chosen: Sequence[Trial]) -> Trial:
        seg, pose = (
            sum(n * getattr(trial, name) for n, trial in zip(pairs, chosen, strict=True)) / total
            for name in ("seg", "pose")
        )
        settings = {
            "parts": [
                {"frames": frames, "codec": trial.codec, "settings": chosen_settings(trial)}
                for (frames, _), trial in zip(parts, chosen, strict=True)
            ]
        }
        size = sum(trial.bytes for trial in chosen)
        judged = None
        if goal.limits.given:
            counts = [frames for frames, _ in parts]
            own = [trial.judged for trial in chosen]
            score = Score(seg, pose, size / source_bytes).total
            judged = combined(list(zip(counts, own, strict=True)), score, size)
        return Trial(NAME, settings, size, source_bytes, seg, pose, 0.0, 0.0, judged)

    weights = np.geomspace(*tuning.weights)
    combinations = _at_equal_slopes(parts, pairs, source_bytes, weights)
    best = min(combinations, key=lambda chosen: goal.rank(whole(chosen)))
    return whole(_refined(best, parts, lambda chosen: goal.rank(whole(chosen)), tuning))


def _at_equal_slopes(
    parts: Sequence[tuple[int, Sequence[Trial]]],
    pairs: Sequence[int],
    source_bytes: int,
    weights: NDArray[np.float64],
) -> list[tuple[Trial, ...]]:
    """For all weights of pose and bytes, each part's trial with the least weighted sum."""
    total = max(1, sum(pairs))
    pose_weight, byte_weight = (grid.reshape(-1, 1) for grid in np.meshgrid(weights, weights))
    picks = []
    for (_, trials), count in zip(parts, pairs, strict=True):
        seg, pose, rate = (
            np.array([getattr(trial, name) for trial in trials], dtype=float)
            for name in ("seg", "pose", "bytes")
        )
        share = count / total
        costs = 100 * share * seg + pose_weight * share * pose
        picks.append((costs + byte_weight * 25 * rate / source_bytes).argmin(axis=1))
    unique = {tuple(int(i) for i in row) for row in np.stack(picks, axis=1)}
    return [
        tuple(trials[i] for (_, trials), i in zip(parts, row, strict=True))
        for row in sorted(unique)
    ]


def _refined(
    chosen: tuple[Trial, ...],
    parts: Sequence[tuple[int, Sequence[Trial]]],
    rank: Callable[[Sequence[Trial]], tuple[float, float]],
    tuning: PartsTuning,
) -> tuple[Trial, ...]:
    """Change one part, or two against each other, while that helps.

    Slopes reach the corners of the convex hull only; under a limit the best lies between them.
    """
    ordered = [sorted(trials, key=lambda trial: trial.bytes) for _, trials in parts]
    best = rank(chosen)
    improved = True
    while improved:
        improved = False
        for other in _neighbours(chosen, ordered, tuning):
            if rank(other) < best:
                chosen, best, improved = other, rank(other), True
                break
    return chosen


def _neighbours(
    chosen: tuple[Trial, ...], ordered: Sequence[Sequence[Trial]], tuning: PartsTuning
) -> Iterator[tuple[Trial, ...]]:
    """Yield choices that differ in one part, or by a few steps in bytes in each of two."""
    for place, trials in enumerate(ordered):
        for trial in trials:
            yield (*chosen[:place], trial, *chosen[place + 1 :])
    if len(chosen) > tuning.most_paired:
        return
    near = []
    for trial, trials in zip(chosen, ordered, strict=True):
        at = trials.index(trial)
        near.append(trials[max(0, at - tuning.steps) : at + tuning.steps + 1])
    for one, two in itertools.combinations(range(len(chosen)), 2):
        for pair in itertools.product(near[one], near[two]):
            other = list(chosen)
            other[one], other[two] = pair
            yield tuple(other)
