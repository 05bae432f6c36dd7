"""What a response surface predicts, on a landscape that is one."""

import math
from dataclasses import replace

import numpy as np
from judged import flat, judged

from seesame.jobs.trial import Trial
from seesame.metric.limits import Bound, Limits
from seesame.search.goal import BEYOND, Goal
from seesame.search.space import SPACES, Axis
from seesame.search.surface import Surface

SPACE = SPACES["x264"].holding(
    [
        Axis("preset", ("medium", "slow"), ()),
        Axis("gop", (60,), ()),
        Axis("down", ("lanczos",), ()),
        Axis("up", ("bicubic", "lanczos"), ()),
    ]
)


def landscape(point: int, surface: Surface) -> Trial:
    """Quadratic in the logarithms, a step for each name."""
    s = surface.settings(point)
    size = 3e5 * math.exp(-s["crf"] / 9) * s["scale"] ** 1.4
    size *= 0.9 if s["preset"] == "slow" else 1
    seg = 0.001 * math.exp(s["crf"] ** 2 / 900) / s["scale"]
    seg *= 0.95 if s["up"] == "lanczos" else 1
    return judged(Trial("x264", s, round(size) + 1, 100_000, seg, 0.001, 1.0, 1.0))


def test_a_surface_of_its_own_kind_is_found_again() -> None:
    surface, goal = Surface(SPACE), Goal(Limits())
    rng = np.random.default_rng(0)
    some = rng.choice(len(surface.places), 40, replace=False)
    trials = [landscape(int(point), surface) for point in some]
    predicted = surface.predict(trials, goal)
    assert predicted is not None
    true = np.array([goal.penalised(landscape(p, surface)) for p in range(len(surface.places))])
    found = int(np.argmin(predicted))
    assert true[found] <= true.min() + 0.02


def test_limits_are_walls() -> None:
    surface, goal = Surface(SPACE), Goal(Limits(bytes=5000))
    trials = [landscape(point, surface) for point in range(0, len(surface.places), 40)]
    predicted = surface.predict(trials, goal)
    assert predicted is not None
    sizes = [landscape(p, surface).bytes for p in range(len(surface.places))]
    beyond = predicted >= BEYOND
    agree = np.mean(beyond == (np.array(sizes) > 5000))
    assert agree > 0.97


def test_a_limit_on_the_worst_frame_is_predicted_too() -> None:
    surface = Surface(SPACE)

    def trial(point: int) -> Trial:
        made = landscape(point, surface)
        # The worst frame follows a law of its own, so that the mean foretells nothing about it.
        worst = 0.004 * math.exp(made.settings["crf"] / 20)
        return replace(made, figures=flat(made.seg, 0.001, made.bytes, 100_000, worst=worst))

    goal = Goal(Limits(more=(Bound("seg", "worst", 0.02),)))
    predicted = surface.predict([trial(p) for p in range(0, len(surface.places), 40)], goal)
    assert predicted is not None
    worst = [trial(point).judged.worst_seg for point in range(len(surface.places))]
    assert np.mean((predicted >= BEYOND) == (np.array(worst) > 0.02)) > 0.97


def test_too_few_trials_predict_nothing() -> None:
    surface = Surface(SPACE)
    trials = [landscape(point, surface) for point in (0, 1)]
    assert surface.predict(trials, Goal(Limits())) is None
    other = Trial("x264", {**trials[0].settings, "gop": 17}, 9, 9, 0.1, 0.1, 1, 1)
    assert surface.predict([*trials, other], Goal(Limits())) is None


def test_a_huge_space_is_thinned_out() -> None:
    fine = Axis("scale", tuple(0.05 + i / 10_000 for i in range(9000)), ())
    surface = Surface(SPACES["svtav1"].holding([fine]))
    assert 10_000 < len(surface.places) <= 120_000
    assert surface.settings(7)["scale"] in fine.values
