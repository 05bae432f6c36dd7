"""The search for the codes with which the carrier makes the pose net see each pair's pose.

The carrier is trained so that a code is, nearly, the wanted pose itself in the carrier's own units.
What is missing is found pair by pair with Broyden's method (Broyden 1965, "A class of methods for
solving nonlinear simultaneous equations"): the derivatives start as those that the carrier was
trained to have, and every picture that is tried corrects them. No gradient is taken, so a try costs
one picture and one pass of the pose net. The few pairs where this gets stuck have their derivatives
measured by finite differences, and other starts. Every try is what a decoder would draw: a whole
multiple of the quantiser's step, and a picture rounded to whole bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from seesame.codecs.semantic.carrier import Carrier
from seesame.perception.stack import Stack


@dataclass(frozen=True)
class SolveTuning:
    """The effort that is spent on codes.

    Args:
        batch: pairs that the nets see at once.
        rounds: most steps of Broyden's method from one start.
        damping: of the least squares, in squared pose units a code unit.
        radius: longest first step in code units; it grows and shrinks with success.
        grow: factor on the radius after a step that helped.
        shrink: the same after one that did not.
        tolerance: pose distortion below which a pair is solved well enough whatever its step.
        hard: pose distortion above which a pair gets measured derivatives and other starts.
        probe: distance in code units over which derivatives are measured.
        measured_rounds: steps of Broyden's method between two measurements.
        attempts: most measurements of a hard pair.
        spreads: distances of other starts from the best code so far, in code units.
    """

    batch: int = 16
    rounds: int = 14
    damping: float = 1e-3
    radius: float = 1.0
    grow: float = 1.5
    shrink: float = 0.5
    tolerance: float = 1e-6
    hard: float = 2e-4
    probe: float = 0.1
    measured_rounds: int = 5
    attempts: int = 4
    spreads: tuple[float, ...] = (0.3, 0.6, 1.0)
    seed: int = 0


TUNING = SolveTuning()


class SolvedCodes(NamedTuple):
    """The codes of a clip's pairs."""

    symbols: Tensor
    """int64 ``(N, K)``; a code is its symbols times the step."""
    distortions: Tensor
    """float32 ``(N,)``: the pose distortion of each pair, as decoded."""
    slopes: Tensor
    """float32 ``(N, P, K)``: how the pose follows the code, as the search came to know it."""


@dataclass
class _State:
    """The search's present state: the best codes, what they miss, derivatives and step lengths."""

    codes: Tensor
    misses: Tensor
    slopes: Tensor
    radius: Tensor

    @property
    def errors(self) -> Tensor:
        return self.misses.square().mean(1)


class _Search:
    def __init__(
        self,
        carrier: Carrier,
        stack: Stack,
        poses: Tensor,
        second: Tensor,
        first: Tensor | None,
        step: float,
        tuning: SolveTuning,
    ) -> None:
        self.carrier, self.stack, self.poses = carrier, stack, poses
        self.second, self.first, self.step, self.tuning = second, first, step, tuning
        self.tries = 0

    def misses(self, codes: Tensor, pairs: Tensor) -> Tensor:
        """Return by how much the poses of these codes ``(B, K)`` miss those wanted, ``(B, P)``."""
        found = []
        for part in torch.arange(len(pairs)).split(self.tuning.batch):
            which = pairs[part]
            second = self.second[which].float()
            first = None if self.first is None else self.first[which].float()
            drawn = self.carrier(codes[part], second, first).clamp(0, 255).round()
            seen = self.stack.pose(torch.stack([drawn, second], 1))
            found.append(seen[:, : self.poses.shape[1]] - self.poses[which])
        self.tries += len(pairs)
        return torch.cat(found)

    def on_grid(self, codes: Tensor) -> Tensor:
        return (codes / self.step).round() * self.step

    def start(self, codes: Tensor) -> _State:
        pairs = torch.arange(len(codes))
        codes = self.on_grid(codes)
        slopes = torch.linalg.pinv(self.carrier.first_guess.weight)
        slopes = slopes.expand(len(codes), -1, -1).clone()
        radius = torch.full((len(codes),), self.tuning.radius)
        return _State(codes, self.misses(codes, pairs), slopes, radius)

    def broyden(self, state: _State, pairs: Tensor, rounds: int) -> None:
        t = self.tuning
        for _ in range(rounds):
            codes, misses, slopes = state.codes[pairs], state.misses[pairs], state.slopes[pairs]
            step = self._step(misses, slopes, state.radius[pairs])
            tried = self.on_grid(codes + step)
            step = tried - codes
            moved = step.abs().amax(1) > self.step / 2
            moved &= state.errors[pairs] > t.tolerance
            pairs, codes, misses, slopes = pairs[moved], codes[moved], misses[moved], slopes[moved]
            step, tried = step[moved], tried[moved]
            if not len(pairs):
                return
            new = self.misses(tried, pairs)
            surprise = new - misses - (slopes @ step[..., None])[..., 0]
            lengths = step.square().sum(1)
            state.slopes[pairs] = slopes + (
                surprise[:, :, None] * step[:, None, :] / lengths[:, None, None]
            )
            better = new.square().mean(1) < misses.square().mean(1)
            good, bad = pairs[better], pairs[~better]
            state.codes[good], state.misses[good] = tried[better], new[better]
            state.radius[good] *= t.grow
            state.radius[bad] = t.shrink * torch.minimum(
                state.radius[bad], lengths[~better].sqrt()
            )

    def _step(self, misses: Tensor, slopes: Tensor, radius: Tensor) -> Tensor:
        across = slopes.transpose(1, 2)
        square = slopes @ across + self.tuning.damping * torch.eye(misses.shape[1])
        step = -(across @ torch.linalg.solve(square, misses[..., None]))[..., 0]
        lengths = step.norm(dim=1).clamp(min=1e-9)
        return step * (radius / lengths).clamp(max=1)[:, None]

    def measure(self, state: _State, pairs: Tensor) -> None:
        """Measure the derivatives at the present codes by differences."""
        count, values = len(pairs), state.codes.shape[1]
        reach = max(self.step, self.tuning.probe)
        tried = state.codes[pairs].repeat_interleave(values, 0)
        tried += reach * torch.eye(values).repeat(count, 1)
        new = self.misses(tried, pairs.repeat_interleave(values))
        change = new.view(count, values, -1) - state.misses[pairs][:, None]
        state.slopes[pairs] = change.transpose(1, 2) / reach
        # a probe that is better than the code it probes is a step
        errors = new.square().mean(1).view(count, values)
        best = errors.argmin(1)
        better = errors.gather(1, best[:, None])[:, 0] < state.errors[pairs]
        state.radius[pairs] = self.tuning.radius
        if float(reach / self.step).is_integer():
            rows = torch.arange(count) * values + best
            state.codes[pairs[better]] = tried[rows[better]]
            state.misses[pairs[better]] = new[rows[better]]


@torch.no_grad()
def solve_codes(carrier, stack, poses, second, first=None, *, step, start=None, tuning=TUNING) -> SolvedCodes:
    s = _Search(carrier, stack, poses, second, first, step, tuning)
    state = s.start(carrier.guess(poses) if start is None else start)
    pairs = torch.arange(len(poses))
    s.broyden(state, pairs, tuning.rounds)
    for _ in range(tuning.attempts):
        hard = pairs[state.errors > tuning.hard]
        print('hard', len(hard), 'mean', float(state.errors.mean()), 'max', float(state.errors.max()), s.tries)
        if not len(hard):
            break
        s.measure(state, hard)
        s.broyden(state, hard, tuning.measured_rounds)
    return SolvedCodes((state.codes / step).round().long(), state.errors, state.slopes)
