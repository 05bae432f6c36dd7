"""The method ``auto``: a search that spends its encodes where they gain most.

The first part of the trials explores: sensible settings, then proposals of TPE (Bergstra et al.
2011, "Algorithms for hyper-parameter optimization"; Optuna's, Akiba et al. 2019). From then on each
trial is the best of all settings by a response surface (``surface.py``), which is fitted anew with
every result and soon is accurate near the best. Halfway through, values that were only tried
together with bad settings (a slow preset with much grain), and so say nothing about themselves, are
tried again with the best settings, one at a time.
"""

import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seesame.errors import MissingExtraError
from seesame.jobs.runner import Result, Runner, Wanted
from seesame.jobs.trial import Trial
from seesame.search.goal import Goal
from seesame.search.space import Space, complete
from seesame.search.surface import Surface
from seesame.search.tuning import AutoTuning

Tell = Callable[[Result], None]
"""Called with every result."""


def auto(
    spaces: Sequence[Space],
    goal: Goal,
    runner: Runner,
    trials: int,
    seed: int,
    tell: Tell,
    late: Callable[[], bool] = lambda: False,
    tuning: AutoTuning = AutoTuning(),
) -> list[Trial]:
    """Search some codecs' spaces.

    Args:
        spaces: one for each codec.
        goal: decides which trial is best.
        runner: makes the trials; trials that its store has count as well.
        trials: how many to ask for in all.
        seed: of TPE.
        tell: called with every result.
        late: asked before trials are; true ends the search.
        tuning: how the trials are spent.

    Returns:
        All trials that succeeded, in the order in which they ended.

    Raises:
        MissingExtraError: Optuna is not installed.
        UserError: as :meth:`Runner.run`.
    """
    explored = round(tuning.model_share * trials)
    proposer = _Proposer(spaces, seed, max(4, explored))
    surfaces = [Surface(space, seed) for space in spaces]
    first = max(sum(len(space.starts) for space in spaces), explored)
    half = (first + trials) // 2
    proofs = round(tuning.proofs * (trials - half))
    turns = itertools.cycle(surfaces)
    found: dict[str, Trial] = {}
    asked: set[str] = set()
    # A proposal that was made before costs nothing, but there must be an end to them.
    for _ in range(tuning.patience * trials):
        if len(asked) >= trials or late():
            break
        count = min(runner.jobs, trials - len(asked))
        wanted: list[Wanted] = []
        if proofs and len(asked) >= half:
            unproven = untried_near_best(surfaces, goal, list(found.values()))
            fresh = [one for one in unproven if _name(one) not in asked]
            wanted = fresh[: min(count, proofs)]
            proofs = proofs - len(wanted) if wanted else 0
        if not wanted and len(asked) >= first:
            # At first each codec in turn: else the one with the best early trial would get all.
            some = [next(turns)] if len(asked) < half else surfaces
            deep = tuning.depth * (len(asked) + 1)
            wanted = _promising(some, goal, list(found.values()), asked, count, deep)
        proposed = not wanted
        if proposed:
            wanted = proposer.ask(count)
        asked |= {_name(one) for one in wanted}
        results = []
        for result in runner.run(wanted):
            tell(result)
            results.append(result)
            if result.trial is not None:
                found[_name(result.wanted)] = result.trial
        if proposed:
            proposer.tell(results, goal)
    return list(found.values())


def _name(wanted: Wanted) -> str:
    codec, settings = wanted
    return f"{codec} {sorted(settings.items())}"


class _Proposer:
    """Optuna's TPE over some codecs' spaces, sensible settings first.

    Args:
        spaces: one a codec.
        seed: of TPE.
        first: how many proposals explore before any are drawn near the good ones.

    Raises:
        MissingExtraError: Optuna is not installed.
    """

    def __init__(self, spaces: Sequence[Space], seed: int, first: int) -> None:
        try:
            import optuna
        except ImportError as error:
            raise MissingExtraError(
                "the auto method needs optuna: pip install 'seesame[search]'"
            ) from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # multivariate and group count as experimental
            sampler = optuna.samplers.TPESampler(
                seed=seed, multivariate=True, group=True, n_startup_trials=first // 2
            )
        self._failed = optuna.trial.TrialState.FAIL
        self._study = optuna.create_study(sampler=sampler)
        self._spaces = {space.codec: space for space in spaces}
        self._open: dict[str, list[Any]] = {}
        for start in itertools.chain.from_iterable(itertools.zip_longest(*map(_starts, spaces))):
            if start is not None:
                self._study.enqueue_trial(start)

    def ask(self, count: int) -> list[Wanted]:
        """Return settings to try next, all different; at most ``count``."""
        wanted: dict[str, Wanted] = {}
        self._open = {}
        for _ in range(count):
            proposal = self._study.ask()
            codec = proposal.suggest_categorical("codec", sorted(self._spaces))
            one = codec, _suggested(self._spaces[codec], proposal)
            wanted[_name(one)] = one
            self._open.setdefault(_name(one), []).append(proposal)
        return list(wanted.values())

    def tell(self, results: Sequence[Result], goal: Goal) -> None:
        """Hand in the results of the settings that were asked for last."""
        for result in results:
            for proposal in self._open[_name(result.wanted)]:
                if result.trial is None:
                    self._study.tell(proposal, state=self._failed)
                else:
                    self._study.tell(proposal, goal.penalised(result.trial))


def _starts(space: Space) -> Iterator[dict[str, Any]]:
    """Yield the space's starting settings as Optuna's parameters."""
    for start in space.starts:
        whole = complete(space.codec, start)
        named: dict[str, Any] = {"codec": space.codec}
        for axis in space.axes:
            value = whole[axis.name] if whole[axis.name] in axis.values else axis.values[0]
            named[f"{space.codec} {axis.name}"] = (
                axis.values.index(value) if axis.ordered else value
            )
        yield named


def _suggested(space: Space, proposal: Any) -> dict[str, Any]:
    """Return the settings that Optuna proposes: numbers by their place on the axis."""
    chosen = {}
    for axis in space.axes:
        name = f"{space.codec} {axis.name}"
        if axis.ordered:
            chosen[axis.name] = axis.values[proposal.suggest_int(name, 0, len(axis.values) - 1)]
        else:
            chosen[axis.name] = proposal.suggest_categorical(name, axis.values)
    return complete(space.codec, chosen)


def untried_near_best(
    surfaces: Sequence[Surface], goal: Goal, trials: Sequence[Trial]
) -> list[Wanted]:
    """Return the best trial with one setting changed to a value that no trial near it has.

    A setting that was only tried together with bad settings says nothing about itself. Axes that
    the surface fits by a curve are left out. The first axes of a space come first: they matter
    most.
    """
    best = goal.best(trials)
    if best is None:
        return []
    surface = next(one for one in surfaces if one.space.codec == best.codec)
    worst = goal.penalised(best) + surface.tuning.reach
    near = [t for t in trials if t.codec == best.codec and goal.penalised(t) <= worst]
    return [
        (best.codec, {**best.settings, axis.name: value})
        for axis in surface.space.axes
        if not surface.is_long(axis)
        for value in axis.values
        if all(trial.settings[axis.name] != value for trial in near)
    ]


def _promising(
    surfaces: Sequence[Surface],
    goal: Goal,
    trials: Sequence[Trial],
    asked: set[str],
    count: int,
    deep: int,
) -> list[Wanted]:
    """Return the ``count`` best settings that surfaces predict and that were not asked for yet.

    Several at once differ in more than their quality, because else they would tell the same. They
    are among the ``deep`` best predictions of each surface.
    """
    predicted: list[tuple[float, Surface, int]] = []
    for surface in surfaces:
        known = [trial for trial in trials if trial.codec == surface.space.codec]
        value = surface.predict(known, goal)
        if value is not None:
            most = min(deep, len(value))
            order = np.argpartition(value, most - 1)[:most]
            predicted += [(float(value[point]), surface, int(point)) for point in order]
    chosen: list[Wanted] = []
    shapes: set[str] = set()
    for _, surface, point in sorted(predicted, key=lambda one: (one[0], one[2])):
        wanted = surface.space.codec, surface.settings(point)
        shape = _name((wanted[0], {k: v for k, v in wanted[1].items() if k != "crf"}))
        if _name(wanted) in asked or shape in shapes:
            continue
        chosen.append(wanted)
        shapes.add(shape)
        if len(chosen) == count:
            break
    return chosen
