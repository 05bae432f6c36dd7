"""The search for corrections: steps of the latents' symbols and the sidecar's numbers.

The score is linear in the pairs' seg distortions and in the bits; its root is taken as linear in
the pose distortion at the clip's present mean, renewed every round. For each pair the slopes
propose numbers, by matching pursuit in integers (after Mallat and Zhang 1993), and steps of the
latents. What is kept is what the nets themselves find better by more than its bits cost.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seesame.codecs.hnerv.geometry import enlarge
from seesame.codecs.hnerv.model import Decoder
from seesame.codecs.hnerv.pack import Rows
from seesame.codecs.hnerv.prices import Prices
from seesame.codecs.hnerv.sidecar import KINDS, Corrections, apply, pack_sidecar, without
from seesame.codecs.hnerv.slopes import NUMBERS, Slopes, Weights, linearise, pursue
from seesame.metric.evaluator import ReferenceOutputs
from seesame.perception.stack import Stack

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BATCH_PAIRS = 8
SNAPSHOTS = (1, 2, 4, 7)
"""Steps of the pursuit after which its numbers are tried."""
LATENT_STEPS = (1, 3, 6)
"""How many latent symbols are moved at once, the most promising first."""
PATIENCE = 4
"""Rounds without success after which a pair is left alone."""
SEARCHING = 0.85
"""Share of the time before pruning begins."""
SECTION_BYTES = 8
"""What one more section costs an ordinary file beside its payload."""


@dataclass(frozen=True)
class Plan:
    """How long to search, and for what.

    Args:
        seconds: wall time, exceeded by a batch at most.
        rounds: passes over the clip at most; with this bound alone a search is repeatable.
        kinds: the sidecar's kinds of correction to look for, of :data:`KINDS`.
        latents: whether the latents' symbols may change.
    """

    seconds: float = math.inf
    rounds: int = 1000
    kinds: tuple[str, ...] = tuple(KINDS)
    latents: bool = True


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found."""

    latents: Rows
    corrections: Corrections
    rounds: int
    """Passes over the clip, begun ones included."""


@dataclass
class _Trials:
    """Numbers to try: ``batch (T,)`` says for which pair of the batch."""

    batch: Ints
    values: NDArray[np.int8]
    symbols: Ints


def search(
    decoder: Decoder,
    latents: Rows,
    outputs: ReferenceOutputs,
    stack: Stack,
    plan: Plan,
    stop: Callable[[], bool] = lambda: False,
) -> Found:
    """Look for corrections of a trained file.

    Args:
        decoder: the network of the file; it says the device.
        latents: the file's ``(d, N)`` symbols; they are not changed.
        outputs: what the stack sees in the source.
        stack: differentiable nets.
        plan: time and kinds.
        stop: asked after every batch; true ends the search with what was found so far.
    """
    return _Search(decoder, latents, outputs, stack, plan, stop).run()


class _Search:
    def __init__(
        self,
        decoder: Decoder,
        latents: Rows,
        outputs: ReferenceOutputs,
        stack: Stack,
        plan: Plan,
        stop: Callable[[], bool],
    ) -> None:
        self.decoder, self.outputs, self.stack, self.plan = decoder, outputs, stack, plan
        self.stop, self.start = stop, time.monotonic()
        self.device = decoder.stem.weight.device
        self.exponents, self.symbols = latents.exponents, latents.symbols.T.copy()
        self.values = Corrections.none(len(self.symbols)).values
        self.judged = stack.judged if stack.has_pose else 0
        self.pairs = len(outputs.classes)
        self.price = 25 / 8 / outputs.source_bytes
        self.seg, self.pose = np.zeros(self.pairs), np.zeros(self.pairs)
        self.stale = np.zeros(self.pairs, np.int64)
        self.random = np.random.default_rng(0)
        allowed = [KINDS[kind] for kind in plan.kinds]
        fields = np.zeros((2, NUMBERS // 2), bool)
        fields[:, [field for group in allowed for field in group]] = True
        self.allowed = fields.ravel()
        render = decoder.architecture.render
        size = (outputs.height, outputs.width)
        # Elsewhere the stack sees what is rendered, rounded; see the geometry trick.
        self.between = any(r < s < 2 * r for r, s in zip(render, size, strict=True))

    def run(self) -> Found:
        """Measure, search round by round, prune."""
        rounds = 0
        if self._measure_all():
            while rounds < self.plan.rounds and self._round(rounds):
                rounds += 1
            self._prune()
        latents = Rows(self.symbols.T.copy(), self.exponents)
        return Found(latents, Corrections(self.values), rounds)

    def _late(self, share: float = 1.0) -> bool:
        return self.stop() or time.monotonic() - self.start > share * self.plan.seconds

    def _measure_all(self) -> bool:
        """What the stack sees now; false when there was no time even for that."""
        for batch in _batches(np.arange(self.pairs)):
            if self._late(SEARCHING / 2):
                return False
            rendered = self._render(self.symbols[batch])
            self.seg[batch], self.pose[batch] = self._measure(batch, rendered)
        return True

    def _round(self, number: int) -> bool:
        """Try to improve every pair, the worst first; false when it is time to end."""
        self.weights = self._weights()
        self.prices = Prices(self.values, self.symbols, number > 0)
        left = np.flatnonzero(self.stale < PATIENCE)
        worst = self.weights.seg * self.seg[left] + self.weights.pose * self.pose[left]
        for batch in _batches(left[np.argsort(-worst, kind="stable")]):
            if self._late(SEARCHING):
                return False
            self._improve(batch)
        return len(left) > 0

    def _weights(self) -> Weights:
        """What a pair's distortions weigh: the score's derivative at the present means."""
        root = math.sqrt(10 * max(float(self.pose.mean()), 1e-8))
        return Weights(100 / self.pairs, 5 / root / self.pairs)

    def _improve(self, batch: Ints) -> None:
        """Try proposals for a batch of pairs and keep each pair's best."""
        steps = np.exp2(self.exponents / 8)
        slopes = linearise(
            self.decoder,
            self.stack,
            self._latents(self.symbols[batch]),
            torch.from_numpy(self.values[batch]),
            self.outputs.classes[batch].to(self.device),
            self.outputs.poses[batch, : self.judged].to(self.device),
            self.weights,
        )
        parts = self._fields(batch, slopes)
        if self.plan.latents:
            parts += self._steps(batch, slopes.latent * steps)
        best = np.zeros(len(batch))
        chosen: dict[int, tuple[NDArray[np.int8], Ints, float, float]] = {}
        for trials in parts:
            gains, seg, pose = self._try(batch, trials, slopes.rendered)
            for index, pair in enumerate(trials.batch):
                if gains[index] > best[pair]:
                    best[pair] = gains[index]
                    new = (trials.values[index], trials.symbols[index], seg[index], pose[index])
                    chosen[int(pair)] = new
        self.stale[batch] += 1
        for pair, (values, symbols, wrong, error) in chosen.items():
            at = batch[pair]
            self.values[at], self.symbols[at] = values, symbols
            self.seg[at], self.pose[at], self.stale[at] = wrong, error, 0

    def _fields(self, batch: Ints, slopes: Slopes) -> list[_Trials]:
        """Proposals for the sidecar's numbers."""
        now = self.values[batch].reshape(len(batch), -1).astype(np.int64)
        allowed = np.broadcast_to(self.allowed, now.shape).copy()
        # What failed once would fail again: a pair without success tries some of the numbers.
        again = self.stale[batch] > 0
        allowed[again] &= self.random.random((int(again.sum()), NUMBERS)) < 0.5
        table = self.prices.fields
        path = pursue(slopes, now, table, self.price, allowed, SNAPSHOTS[-1])
        found, before = [], now
        for count in SNAPSHOTS:
            after = path[count - 1]
            which = np.flatnonzero((after != before).any(1))
            values = after[which].reshape(len(which), 2, -1).astype(np.int8)
            found.append(_Trials(which, values, self.symbols[batch[which]]))
            before = after
        return [trials for trials in found if len(trials.batch)]

    def _steps(self, batch: Ints, slopes: Floats) -> list[_Trials]:
        """Proposals for the latents: the steps that promise most, together, later one by one."""
        moves = -np.sign(slopes).astype(np.int64)
        moves[np.abs(self.symbols[batch] + moves) >= 1 << 14] = 0
        promise = np.abs(slopes) - self.price * self.prices.steps(batch, self.symbols, moves)
        order = np.argsort(-promise, axis=1, kind="stable")
        rank = np.argsort(order, axis=1, kind="stable")
        stale = self.stale[batch][:, None]
        found = []
        for index, count in enumerate(LATENT_STEPS):
            first = rank < count
            alone = rank == (stale - 1) * len(LATENT_STEPS) + index + 1
            use = np.where(stale > 0, alone, first & (promise > 0)) & (moves != 0)
            which = np.flatnonzero(use.any(1))
            symbols = self.symbols[batch[which]] + (moves * use)[which]
            found.append(_Trials(which, self.values[batch[which]], symbols))
        return [trials for trials in found if len(trials.batch)]

    def _try(
        self, batch: Ints, trials: _Trials, rendered: Tensor
    ) -> tuple[Floats, Floats, Floats]:
        """How much each trial lowers the score, and its seg and pose distortions, ``(T,)``."""
        pairs = batch[trials.batch]
        moved = (trials.symbols != self.symbols[pairs]).any(1)
        base = rendered[torch.from_numpy(trials.batch)]
        if moved.any():
            base = self._render(trials.symbols)
        second = moved | (trials.values[:, 1] != self.values[pairs, 1]).any(1)
        frames = apply(base, torch.from_numpy(trials.values))
        seg, pose = self._measure(pairs, frames, second)
        bits = self.prices.change(
            pairs, (self.values, self.symbols), (trials.values, trials.symbols)
        )
        gains = self.weights.seg * (self.seg[pairs] - seg) - self.price * bits
        return gains + self.weights.pose * (self.pose[pairs] - pose), seg, pose

    def _latents(self, symbols: Ints) -> Tensor:
        """Latents ``(B, d)`` of symbols ``(B, d)``."""
        values = Rows(symbols.T, self.exponents).values().T
        return torch.from_numpy(values.copy()).to(self.device)

    @torch.no_grad()
    def _render(self, symbols: Ints) -> Tensor:
        frames: Tensor = self.decoder(self._latents(symbols))
        return frames

    @torch.no_grad()
    def _measure(
        self, pairs: Ints, frames: Tensor, second: NDArray[np.bool_] | None = None
    ) -> tuple[Floats, Floats]:
        """Seg and pose distortion ``(B,)`` of pairs whose corrected frames are given.

        ``second`` says of which pairs the second frame has changed: the others keep their seg.
        """
        frames = frames.clamp(0, 255)
        if self.between:
            frames = enlarge(frames, (self.outputs.height, self.outputs.width)).clamp(0, 255)
        frames = frames.round()
        seg, pose = self.seg[pairs].copy(), np.zeros(len(pairs))
        changed = np.arange(len(pairs)) if second is None else np.flatnonzero(second)
        if len(changed):
            seen = self.stack.segment(frames[torch.from_numpy(changed), 1]).argmax(1)
            wanted = self.outputs.classes[pairs[changed]].to(self.device)
            seg[changed] = (seen != wanted).double().mean((1, 2)).cpu().numpy()
        if self.judged:
            poses = self.outputs.poses[pairs, : self.judged].to(self.device)
            error = self.stack.pose(frames).float()[:, : self.judged] - poses
            pose = error.square().mean(1).double().cpu().numpy()
        return seg, pose

    def _prune(self) -> None:
        """Take back corrections that do not pay: of single pairs, then of a whole kind."""
        self.weights = self._weights()
        self.prices = Prices(self.values, self.symbols, True)
        gain = 0.0
        for kind in self.plan.kinds:
            gain += self._prune_kind(KINDS[kind])
        size = len(pack_sidecar(Corrections(self.values))) + SECTION_BYTES
        if not self._late() and gain <= 8 * self.price * size:
            self.values[:] = 0

    def _prune_kind(self, fields: Sequence[int]) -> float:
        """What a kind still gains, before its bytes."""
        used = np.flatnonzero(self.values[: self.pairs, :, list(fields)].any((1, 2)))
        gains = np.zeros(self.pairs)
        for batch in _batches(used):
            if self._late():
                return math.inf
            bare = without(self.values[batch], fields)
            trials = _Trials(np.arange(len(batch)), bare, self.symbols[batch])
            losses, seg, pose = self._try(batch, trials, self._render(self.symbols[batch]))
            drop = losses >= 0
            at = batch[drop]
            self.values[at], self.seg[at], self.pose[at] = bare[drop], seg[drop], pose[drop]
            bits = self.prices.change(
                batch, (self.values, self.symbols), (bare, self.symbols[batch])
            )
            gains[batch] = np.where(drop, 0.0, -losses - self.price * bits)
        bare = without(self.values, fields)
        size = len(pack_sidecar(Corrections(self.values))) - len(pack_sidecar(Corrections(bare)))
        if gains.sum() > 8 * self.price * size:
            return float(gains.sum())
        self.values = bare
        return 0.0


def _batches(pairs: Ints) -> list[Ints]:
    return [pairs[i : i + BATCH_PAIRS] for i in range(0, len(pairs), BATCH_PAIRS)]
