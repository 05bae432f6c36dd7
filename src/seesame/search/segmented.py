"""A clip in parts, each with settings of its own that are chosen together.

What one more byte buys must be the same in every part (equal slope; Shoham and Gersho 1988,
"Efficient bit allocation for an arbitrary set of quantizers"): of each part's trials the one with
the least weighted sum of seg, pose and bytes is taken, with the same weights everywhere. They are
those with which the whole does best by the goal; how much pose weighs in the score depends on the
whole's pose distortion, which is not known before.
"""

import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from seesame.codecs.segments import NAME
from seesame.jobs.runner import Result, Runner
from seesame.jobs.trial import Trial
from seesame.search.auto import Tell, auto
from seesame.search.excerpt import cut_out
from seesame.search.goal import Goal
from seesame.search.outcome import chosen_settings
from seesame.search.sampled import on_piece, scaled
from seesame.search.space import SPACES, Axis, Space

NEAR_CRF, NEAR_SCALE = 12, 1.6
"""How far a part's settings may be from the whole's: steps of CRF, and a factor."""
WEIGHTS = np.geomspace(1e-3, 1e3, 61)
"""Of pose and of bytes against 100·seg."""

STEPS = 3
"""Trials, by their bytes, to either side that two parts may change by at once."""
MOST_PAIRED = 16
"""Parts; with more, slopes come near any limit by themselves."""


def segmented(
    runner: Runner,
    goal: Goal,
    best: Trial,
    cuts: Sequence[int],
    trials: int,
    seed: int,
    tell: Tell,
) -> Result:
    """Search each part near the best settings of the whole, and make the file of all parts.

    Args:
        runner: of the whole clip.
        goal: what the whole is to be good at.
        best: the whole's best trial, of a classical codec.
        cuts: frames that begin a part, beside the first; rising and even.
        trials: encodes of each part.
        seed: of the search.
        tell: called with every result.

    Returns:
        The trial of the whole file, encoded and judged like any other.

    Raises:
        UserError: Optuna is not installed, or no part could be encoded.
        DamagedError: the clip ends early.
    """
    clip, found = runner.clip, []
    space = near(best)
    with tempfile.TemporaryDirectory(prefix="seesame-parts-") as folder:
        for piece in cut_out(clip, cuts, Path(folder)):
            aim = scaled(goal, piece.frames / clip.num_frames)
            with on_piece(runner, piece) as part:
                found.append((piece.frames, auto([space], aim, part, trials, seed, tell)))
    (result,) = runner.run([(NAME, dict(together(found, goal, clip.source_bytes).settings))])
    return result


def near(best: Trial) -> Space:
    """The settings near a trial's: other qualities and scales, all else as it is."""
    own = SPACES[best.codec]
    chosen = chosen_settings(best)
    crf, scale = chosen["crf"], chosen["scale"]
    crfs = tuple(v for v in own.axis("crf").values if abs(v - crf) <= NEAR_CRF)
    scales = tuple(v for v in own.axis("scale").values if 1 / NEAR_SCALE <= v / scale <= NEAR_SCALE)
    axes = {name: Axis(name, (value,), (value,)) for name, value in chosen.items()}
    axes["crf"] = Axis("crf", crfs, crfs)
    axes["scale"] = Axis("scale", *2 * (tuple(sorted({*scales, scale})),))
    starts = ({"crf": crf, "scale": scale},)
    return Space(best.codec, tuple(axes.values()), starts)


def together(parts: Sequence[tuple[int, Sequence[Trial]]], goal: Goal, source_bytes: int) -> Trial:
    """Choose one trial of each part so that the whole does best by the goal.

    Args:
        parts: each part's frames and trials, one or more.
        goal: of the whole.
        source_bytes: of the whole.

    Returns:
        What the whole would come to; its settings are those of codec ``segments``.

    Raises:
        ValueError: a part has no trial.
    """
    if not all(trials for _, trials in parts):
        raise ValueError("a part has no trial")
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
        return Trial(NAME, settings, size, source_bytes, seg, pose, 0.0, 0.0)

    combinations = _at_equal_slopes(parts, pairs, source_bytes)
    best = min(combinations, key=lambda chosen: goal.rank(whole(chosen)))
    return whole(_refined(best, parts, lambda chosen: goal.rank(whole(chosen))))


def _at_equal_slopes(
    parts: Sequence[tuple[int, Sequence[Trial]]], pairs: Sequence[int], source_bytes: int
) -> list[tuple[Trial, ...]]:
    """For all weights of pose and bytes, each part's trial with the least weighted sum."""
    total = max(1, sum(pairs))
    pose_weight, byte_weight = (grid.reshape(-1, 1) for grid in np.meshgrid(WEIGHTS, WEIGHTS))
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
) -> tuple[Trial, ...]:
    """Change one part, or two against each other, while that helps.

    Slopes reach the corners of the convex hull alone; under a limit the best lies between them.
    """
    ordered = [sorted(trials, key=lambda trial: trial.bytes) for _, trials in parts]
    best = rank(chosen)
    improved = True
    while improved:
        improved = False
        for other in _neighbours(chosen, ordered):
            if rank(other) < best:
                chosen, best, improved = other, rank(other), True
                break
    return chosen


def _neighbours(
    chosen: tuple[Trial, ...], ordered: Sequence[Sequence[Trial]]
) -> Iterator[tuple[Trial, ...]]:
    """Choices that differ in one part, or by a few steps in bytes in each of two."""
    for place, trials in enumerate(ordered):
        for trial in trials:
            yield (*chosen[:place], trial, *chosen[place + 1 :])
    if len(chosen) > MOST_PAIRED:
        return
    near = []
    for trial, trials in zip(chosen, ordered, strict=True):
        at = trials.index(trial)
        near.append(trials[max(0, at - STEPS) : at + STEPS + 1])
    for one, two in itertools.combinations(range(len(chosen)), 2):
        for pair in itertools.product(near[one], near[two]):
            other = list(chosen)
            other[one], other[two] = pair
            yield tuple(other)
