"""The search for the codes with which the carrier makes the pose net see each pair's pose.

The carrier is trained so that a code is, nearly, the wanted pose itself. What is missing is found
pair by pair with Broyden's method (Broyden 1965, "A class of methods for solving nonlinear
simultaneous equations"): the derivatives start as those that training aimed at, and every picture
that is tried corrects them. No gradient is taken, so that a try costs one picture and one pass of
the pose net. The few pairs where this gets stuck have their derivatives measured by differences,
those of the free values included, and are taken up again. Every try is what a decoder would draw:
whole multiples of the quantiser's step, and pictures rounded to whole bytes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seesame.codecs.semantic.carrier.codes import MAX_SYMBOL, encode_codes
from seesame.codecs.semantic.carrier.network import Carrier
from seesame.perception.stack import Stack
from seesame.video.resize import resize

Through = Callable[[Tensor], Tensor]
Told = Callable[[float], None]


@dataclass(frozen=True)
class SolveTuning:
    """The effort that is spent on codes.

    Args:
        batch: pairs that the nets see at once.
        rounds: most steps of Broyden's method from the first guess.
        damping: of the least squares, in squared pose spreads a code unit.
        radius: longest first step in code units; it grows and shrinks with success.
        grow: factor on the radius after a step that helped.
        shrink: the same after one that did not.
        solved: pose distortion, in squared spreads, below which a pair is not taken up any more.
        hard: the same above which a pair gets measured derivatives.
        probe: distance in code units over which derivatives are measured.
        again: steps of Broyden's method after a measurement.
        attempts: most measurements of a hard pair.
        stuck: a pair is given up after an attempt that leaves more than this share of its error.
        step_bits: the step is two to minus this power: the finest, that of the search, and the
            coarsest.
    """

    batch: int = 16
    rounds: int = 14
    damping: float = 1e-3
    radius: float = 1.0
    grow: float = 1.5
    shrink: float = 0.5
    solved: float = 2e-6
    hard: float = 1e-4
    probe: float = 0.125
    again: int = 6
    attempts: int = 2
    stuck: float = 0.99
    step_bits: tuple[int, int] = (8, 3)


TUNING = SolveTuning()


@dataclass(frozen=True)
class SolvedCodes:
    """The codes of a clip's pairs.

    Args:
        symbols: int32 ``(N, K)``; a code is its symbols times ``2**-step_bits``.
        step_bits: of the quantiser.
        distortions: pose distortion of each pair as decoded, float32 ``(N,)``.
    """

    symbols: NDArray[np.int32]
    step_bits: int
    distortions: NDArray[np.float32]


class _Search:
    """The search's present state: for each pair its best code, what it misses, and derivatives.

    Codes ``(N, K)`` are counted in units, poses in spreads, derivatives are ``(N, P, K)``.
    """

    def __init__(
        self,
        carrier: Carrier,
        stack: Stack,
        poses: Tensor,
        pictures: tuple[Tensor, Tensor | None],
        through: Through,
        step: float,
        tuning: SolveTuning,
    ) -> None:
        self.carrier, self.stack, self.through = carrier, stack, through
        self.device = carrier.spreads.device
        self.poses = poses.to(self.device).float()
        self.second, self.first = pictures
        self.step, self.tuning = step, tuning
        self.reach = carrier.reach()
        self.codes = self._on_grid(carrier.guess(self.poses))
        everyone = torch.arange(len(poses), device=self.device)
        self.misses = self._try(self.codes, everyone)
        slopes = carrier.slopes() / carrier.spreads[:, None]
        self.slopes = slopes.expand(len(poses), -1, -1).clone()
        self.radius = torch.full((len(poses),), tuning.radius, device=self.device)

    @property
    def errors(self) -> Tensor:
        """Pose distortion of each pair, in squared spreads."""
        return self.misses.square().mean(1)

    @property
    def distortions(self) -> Tensor:
        """Pose distortion of each pair."""
        return (self.misses * self.carrier.spreads).square().mean(1)

    def _on_grid(self, codes: Tensor) -> Tensor:
        return (codes / self.step).round().clamp(-MAX_SYMBOL, MAX_SYMBOL) * self.step

    def _try(self, codes: Tensor, pairs: Tensor) -> Tensor:
        """Return by how much poses drawn from these codes miss those wanted, in spreads."""
        size = self.carrier.design.height, self.carrier.design.width
        found = []
        for start in range(0, len(pairs), self.tuning.batch):
            part = slice(start, start + self.tuning.batch)
            which = pairs[part].cpu()
            second = resize(self.second[which].to(self.device).float(), size)
            first = None
            if self.first is not None:
                first = resize(self.first[which].to(self.device).float(), size)
            drawn = self.through(self.carrier(codes[part], second, first))
            seen = self.stack.pose(torch.stack([drawn, second], 1))
            wanted = self.poses[pairs[part]]
            found.append((seen[:, : wanted.shape[1]] - wanted) / self.carrier.spreads)
        return torch.cat(found)

    def broyden(self, pairs: Tensor, rounds: int) -> None:
        """Improve the codes of some pairs by at most so many tries of each."""
        for _ in range(rounds):
            pairs = pairs[self.errors[pairs] > self.tuning.solved]
            tried = self._on_grid(self.codes[pairs] + self._step(pairs))
            moved = (tried != self.codes[pairs]).any(1)
            pairs, tried = pairs[moved], tried[moved]
            if not len(pairs):
                return
            self._learn(pairs, tried)

    def _step(self, pairs: Tensor) -> Tensor:
        """Return the damped least-squares steps, no longer than each pair's radius."""
        slopes = self.slopes[pairs] * self.reach
        square = slopes @ slopes.transpose(1, 2)
        square += self.tuning.damping * torch.eye(square.shape[1], device=self.device)
        away = torch.linalg.solve(square, self.misses[pairs, :, None])
        step = -(slopes.transpose(1, 2) @ away)[..., 0]
        length = step.norm(dim=1, keepdim=True).clamp(min=1e-9)
        short = (self.radius[pairs, None] / length).clamp(max=1)
        within: Tensor = step * short * self.reach
        return within

    def _learn(self, pairs: Tensor, tried: Tensor) -> None:
        """Try codes, correct the derivatives by what they show, and keep those that are better."""
        step = tried - self.codes[pairs]
        new = self._try(tried, pairs)
        surprise = new - self.misses[pairs] - (self.slopes[pairs] @ step[..., None])[..., 0]
        scaled = step / self.reach
        lengths = scaled.square().sum(1)
        # The least change of the derivatives, seen per unit of reach, that explains the try.
        along = (scaled / lengths[:, None] / self.reach)[:, None, :]
        self.slopes[pairs] += surprise[:, :, None] * along
        better = new.square().mean(1) < self.errors[pairs]
        good, bad = pairs[better], pairs[~better]
        self.codes[good], self.misses[good] = tried[better], new[better]
        self.radius[good] *= self.tuning.grow
        short = torch.minimum(self.radius[bad], lengths[~better].sqrt())
        self.radius[bad] = self.tuning.shrink * short

    def measure(self, pairs: Tensor) -> None:
        """Measure the derivatives of some pairs; a probe that is better becomes their code."""
        count, values = len(pairs), self.codes.shape[1]
        probe = max(self.step, round(self.tuning.probe / self.step) * self.step)
        # The free values reach further: their probes are whole steps that go as far.
        probes = torch.diag((probe * self.reach / self.step).round().clamp(min=1) * self.step)
        tried = (self.codes[pairs][:, None] + probes).flatten(0, 1)
        new = self._try(tried, pairs.repeat_interleave(values)).view(count, values, -1)
        change = new - self.misses[pairs][:, None]
        self.slopes[pairs] = change.transpose(1, 2) / probes.diag()
        self.radius[pairs] = self.tuning.radius
        # A probe may lie beyond the codes that can be stored.
        beyond = (tried.abs() > MAX_SYMBOL * self.step).any(1).view(count, values)
        best = new.square().mean(2).masked_fill(beyond, math.inf).argmin(1)
        rows = torch.arange(count, device=self.device)
        better = new[rows, best].square().mean(1) < self.errors[pairs]
        better &= ~beyond[rows, best]
        rows, best, chosen = rows[better], best[better], pairs[better]
        self.codes[chosen] = tried.view(count, values, -1)[rows, best]
        self.misses[chosen] = new[rows, best]

    def requantise(self, step: float) -> None:
        """Go over to another step; the codes move to its grid."""
        self.step = step
        pairs = torch.arange(len(self.codes), device=self.device)
        rounded = self._on_grid(self.codes)
        moved = (rounded != self.codes).any(1)
        self.codes = rounded
        if moved.any():
            self.misses[pairs[moved]] = self._try(rounded[moved], pairs[moved])
        self.radius.clamp_(min=self.tuning.radius)

    def symbols(self, step: float) -> NDArray[np.int32]:
        """Return the present codes in whole steps."""
        whole = (self.codes / step).round()
        found: NDArray[np.int32] = whole.cpu().numpy().astype(np.int32)
        return found


@torch.inference_mode()
def solve_codes(
    carrier: Carrier,
    stack: Stack,
    poses: Tensor,
    second: Tensor,
    first: Tensor | None = None,
    *,
    through: Through | None = None,
    step_bits: int | None = None,
    byte_value: float = 0.0,
    told: Told = lambda share: None,
    tuning: SolveTuning = TUNING,
) -> SolvedCodes:
    """Return codes for pairs, of at most the pose distortion that the first guess has.

    Args:
        carrier: on the device where all runs.
        stack: on that device; its gradients are not needed.
        poses: wanted, ``(N, P)``.
        second: the second frames' pictures, ``uint8 (N, 3, h, w)``.
        first: those of the first frames, where these have masks of their own.
        through: makes of drawn pictures those that the stack will see; rounds to whole bytes where
            it is None.
        step_bits: the quantiser's step is two to minus this power; None chooses it.
        byte_value: what a byte costs in the score, 25 over the source's bytes, for that choice.
        told: called with the share done.
        tuning: the effort.
    """
    finest, coarsest = tuning.step_bits
    bits = finest if step_bits is None else step_bits
    shown = through or _rounded
    search = _Search(carrier, stack, poses, (second, first), shown, 2.0**-bits, tuning)
    told(0.1)
    search.broyden(torch.arange(len(poses), device=search.device), tuning.rounds)
    hard = (search.errors > tuning.hard).nonzero()[:, 0]
    for attempt in range(tuning.attempts):
        told(0.6 + 0.3 * attempt / tuning.attempts)
        if not len(hard):
            break
        before = search.errors[hard]
        search.measure(hard)
        search.broyden(hard, tuning.again)
        left = search.errors[hard]
        hard = hard[(left > tuning.hard) & (left < tuning.stuck * before)]
    if step_bits is None and byte_value > 0:
        bits = _best_step(search, range(coarsest, finest + 1), byte_value)
        if bits != finest:
            guess = search.distortions.clone()
            search.requantise(2.0**-bits)
            search.broyden(torch.arange(len(guess), device=search.device), 2)
    told(1.0)
    return SolvedCodes(search.symbols(2.0**-bits), bits, search.distortions.cpu().numpy())


def _best_step(search: _Search, choices: range, byte_value: float) -> int:
    """Return the bits of the step with the least score, by what the derivatives say of it."""
    costs = {}
    for bits in choices:
        step = 2.0**-bits
        symbols = search.symbols(step)
        moved = torch.from_numpy(symbols).to(search.device) * step - search.codes
        misses = search.misses + (search.slopes @ moved[..., None])[..., 0]
        distortion = float((misses * search.carrier.spreads).square().mean())
        costs[bits] = byte_value * len(encode_codes(symbols)) + math.sqrt(10 * distortion)
    return min(costs, key=lambda bits: costs[bits])


def _rounded(drawn: Tensor) -> Tensor:
    return drawn.clamp(0, 255).round()
