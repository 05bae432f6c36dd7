"""A search that spends its encodes where they pay: a model of the whole space, then its valley.

The first part of the trials are sensible settings and what TPE proposes (Bergstra et al. 2011,
"Algorithms for hyper-parameter optimization"; Optuna's, Akiba et al. 2019): they look around. From
then on each trial is the best of all settings by a response surface (``surface.py``), which is
fitted anew with every result and soon is true where it matters. Halfway there, values that were
only seen in poor company (a slow preset with much grain) are tried beside the best, one at a time.
"""

import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seesame.errors import UserError
from seesame.jobs.runner import Result, Runner, Wanted
from seesame.jobs.trial import Trial
from seesame.search.goal import Goal
from seesame.search.space import Space, complete
from seesame.search.surface import REACH, Surface, is_long

MODEL_SHARE = 0.35
"""Of the trials, those of the first part."""
PATIENCE = 4
"""Rounds for each trial: settings that were asked for before are no new trial."""
DEPTH = 50
"""How far down the predictions are read for each trial that may be among them."""

PROOFS = 0.5
"""Of the trials left halfway, those for values that were not tried near the best."""

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
) -> list[Trial]:
    """Search some codecs' spaces.

    Args:
        spaces: one a codec.
        goal: what to look for.
        runner: makes the trials; trials that its store has count as well.
        trials: how many to ask for in all.
        seed: of TPE.
        tell: called with every result.
        late: asked before trials are; true ends the search.

    Returns:
        What was tried, in the order in which it ended.

    Raises:
        UserError: Optuna is not installed; or as :meth:`Runner.run`.
    """
    proposer = _Proposer(spaces, seed, max(4, round(MODEL_SHARE * trials)))
    surfaces = [Surface(space, seed) for space in spaces]
    first = max(sum(len(space.starts) for space in spaces), round(MODEL_SHARE * trials))
    half = (first + trials) // 2
    proofs = round(PROOFS * (trials - half))
    turns = itertools.cycle(surfaces)
    found: dict[str, Trial] = {}
    asked: set[str] = set()
    # A proposal that was made before costs nothing, but there must be an end to them.
    for _ in range(PATIENCE * trials):
        if len(asked) >= trials or late():
            break
        count = min(runner.jobs, trials - len(asked))
        wanted: list[Wanted] = []
        if proofs and len(asked) >= half:
            wanted = _unproven(spaces, goal, list(found.values()), asked)[: min(count, proofs)]
            proofs = proofs - len(wanted) if wanted else 0
        if not wanted and len(asked) >= first:
            # At first every codec in turn, or the one that was lucky early would get all.
            some = [next(turns)] if len(asked) < half else surfaces
            wanted = _promising(some, goal, list(found.values()), asked, count)
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
        first: how many proposals look around before any are drawn near the good ones.

    Raises:
        UserError: Optuna is not installed.
    """

    def __init__(self, spaces: Sequence[Space], seed: int, first: int) -> None:
        try:
            import optuna
        except ImportError as error:
            raise UserError(
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
        """Settings to try next, all different; at most ``count``."""
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
        """What became of the settings that were asked for last."""
        for result in results:
            for proposal in self._open[_name(result.wanted)]:
                if result.trial is None:
                    self._study.tell(proposal, state=self._failed)
                else:
                    self._study.tell(proposal, goal.penalised(result.trial))


def _starts(space: Space) -> Iterator[dict[str, Any]]:
    """The space's sensible settings as Optuna's parameters."""
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
    """Settings that Optuna proposes: numbers by their place on the axis."""
    chosen = {}
    for axis in space.axes:
        name = f"{space.codec} {axis.name}"
        if axis.ordered:
            chosen[axis.name] = axis.values[proposal.suggest_int(name, 0, len(axis.values) - 1)]
        else:
            chosen[axis.name] = proposal.suggest_categorical(name, axis.values)
    return complete(space.codec, chosen)


def _unproven(
    spaces: Sequence[Space], goal: Goal, trials: Sequence[Trial], asked: set[str]
) -> list[Wanted]:
    """The best trial with one setting changed to a value that no trial near the best has.

    Long axes are the surface's. The first axes of a space come first: they pay most.
    """
    best = goal.best(trials)
    if best is None:
        return []
    near = [
        trial
        for trial in trials
        if trial.codec == best.codec and goal.penalised(trial) <= goal.penalised(best) + REACH
    ]
    axes = next(space.axes for space in spaces if space.codec == best.codec)
    wanted = [
        (best.codec, {**best.settings, axis.name: value})
        for axis in axes
        if not is_long(axis)
        for value in axis.values
        if all(trial.settings[axis.name] != value for trial in near)
    ]
    return [one for one in wanted if _name(one) not in asked]


def _promising(
    surfaces: Sequence[Surface], goal: Goal, trials: Sequence[Trial], asked: set[str], count: int
) -> list[Wanted]:
    """The best settings that surfaces predict and nobody has asked for yet.

    Several at once differ in more than their quality, or they would tell the same.
    """
    predicted: list[tuple[float, Surface, int]] = []
    for surface in surfaces:
        known = [trial for trial in trials if trial.codec == surface.space.codec]
        value = surface.predict(known, goal)
        if value is not None:
            deep = min(DEPTH * (len(asked) + 1), len(value))
            order = np.argpartition(value, deep - 1)[:deep]
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
