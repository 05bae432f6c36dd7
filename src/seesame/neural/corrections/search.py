"""The search for corrections: steps of the latents' symbols and the sidecar's numbers.

The score is linear in the pairs' seg distortions and in the bits; its root is taken as linear in
the pose distortion at the clip's present mean, renewed every round. For each pair the slopes
propose numbers, by matching pursuit in integers (after Mallat and Zhang 1993), and steps of the
latents. A change is kept where the networks themselves find it better by more than its bits cost.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seesame.metric.distortion import pose_distortion, seg_distortion
from seesame.metric.evaluator import ReferenceOutputs
from seesame.neural.corrections.apply import apply
from seesame.neural.corrections.prices import Prices
from seesame.neural.corrections.sidecar import (
    KINDS,
    MAX_PAIRS,
    Corrections,
    Values,
    pack_sidecar,
    without,
)
from seesame.neural.corrections.slopes import NUMBERS, Slopes, Weights, linearise, pursue
from seesame.neural.render.geometry import enlarge
from seesame.neural.weights.rows import EXPONENTS, Rows
from seesame.perception.stack import Stack

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SearchTuning:
    """The numbers of the search.

    Args:
        batch_pairs: pairs that go through the networks at a time.
        snapshots: steps of the pursuit after which its numbers are tried.
        latent_trials: trials of latent symbols a pair and round.
        latent_steps: latent symbols that one trial moves, the most promising first.
        patience: rounds without success after which a pair is left alone.
        forget: rounds for which a step of a latent that failed is not tried again.
        most_symbol: as large as a symbol may become: half of what the file can hold, for the
            differences.
        searching: share of the time before pruning begins.
        section_bytes: bytes that one more section costs an ordinary file beside its payload.
    """

    batch_pairs: int = 8
    snapshots: tuple[int, int] = (1, 4)
    latent_trials: int = 3
    latent_steps: int = 2
    patience: int = 4
    forget: int = 2
    most_symbol: int = 1 << 14
    searching: float = 0.85
    section_bytes: int = 8


TUNING = SearchTuning()


@dataclass(frozen=True)
class Plan:
    """The time to search for, and the kinds of correction to look for.

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
    """The latents and corrections that a search found."""

    latents: Rows
    corrections: Corrections
    rounds: int
    """Whole passes over the clip."""


class Renderer(Protocol):
    """Renders a file's pairs before correction."""

    device: torch.device
    size: tuple[int, int]
    """``(height, width)`` of its frames."""

    def __call__(self, latents: Tensor, pairs: Tensor) -> Tensor:
        """Return frames ``(B, 2, 3, h, w)`` of the pairs numbered ``(B,)`` with these latents."""


@dataclass(frozen=True)
class CorrectionSearch:
    """A search for corrections of trained files of one clip, as a codec is handed it.

    Args:
        outputs: the stack's outputs on the source.
        stack: differentiable networks.
        plan: time and kinds.
        stop: asked after every batch; true ends the search with what was found so far.
    """

    outputs: ReferenceOutputs
    stack: Stack
    plan: Plan
    stop: Callable[[], bool] = lambda: False

    def __call__(
        self,
        renderer: Renderer,
        latents: Rows,
        *,
        move_latents: bool = True,
        start: Corrections | None = None,
    ) -> Found:
        """Search, and return what was found; whether it pays is judged on the file.

        Args:
            renderer: of the file; its frames must have gradients in the latents.
            latents: the ``(d, N)`` symbols of one of the file's streams; they are not changed.
            move_latents: whether other symbols may be proposed for them.
            start: corrections to begin with; none when left out.
        """
        plan = replace(self.plan, latents=self.plan.latents and move_latents)
        return _Search(renderer, latents, self.outputs, self.stack, plan, self.stop, start).run()


class _Search:
    """The state of one search: every pair's present numbers, and their distortions."""

    def __init__(
        self,
        renderer: Renderer,
        latents: Rows,
        outputs: ReferenceOutputs,
        stack: Stack,
        plan: Plan,
        stop: Callable[[], bool],
        start: Corrections | None,
    ) -> None:
        self.renderer, self.outputs, self.stack, self.plan = renderer, outputs, stack, plan
        self.stop, self.start = stop, time.monotonic()
        self.device = renderer.device
        self.exponents, self.symbols = latents.exponents, latents.symbols.T.copy()
        self.known = start is not None
        begun = start or Corrections.none(len(self.symbols))
        self.values = begun.values.copy()
        self.judged = stack.judged if stack.has_pose else 0
        self.pairs = len(outputs.classes)
        self.price = 25 / 8 / outputs.source_bytes
        self.seg, self.pose = np.zeros(self.pairs), np.zeros(self.pairs)
        self.stale = np.zeros(self.pairs, np.int64)
        self.failed = np.full((self.pairs, self.symbols.shape[1]), -TUNING.forget - 1)
        self.jacobian: dict[int, Tensor] = {}
        self.rounds = 0
        self.random = np.random.default_rng(0)
        allowed = [KINDS[kind] for kind in plan.kinds]
        fields = np.zeros((2, NUMBERS // 2), bool)
        if len(self.symbols) <= MAX_PAIRS:
            fields[:, [field for group in allowed for field in group]] = True
        self.allowed = fields.ravel()
        size = (outputs.height, outputs.width)
        # Otherwise the stack receives exactly the rendered frames, rounded (render/geometry.py).
        self.between = any(r < s < 2 * r for r, s in zip(renderer.size, size, strict=True))

    def run(self) -> Found:
        """Measure, search round by round, prune."""
        if self._measure_all():
            while self.rounds < self.plan.rounds and self._round():
                self.rounds += 1
            self._prune()
        latents = Rows(self.symbols.T.copy(), self.exponents)
        return Found(latents, Corrections(self.values), self.rounds)

    def _late(self, share: float = 1.0) -> bool:
        return self.stop() or time.monotonic() - self.start > share * self.plan.seconds

    def _measure_all(self) -> bool:
        """Measure all pairs as they are; return false when there was no time even for that."""
        for batch in _batches(np.arange(self.pairs)):
            if self._late(TUNING.searching / 2):
                return False
            rendered = self._render(batch, self.symbols[batch])
            rendered = apply(rendered, torch.from_numpy(self.values[batch]))
            self.seg[batch], self.pose[batch] = self._measure(batch, rendered)
        return True

    def _round(self) -> bool:
        """Try to improve every pair, the worst first; return false when it is time to end."""
        self.weights = self._weights()
        self.prices = Prices(self.values, self.symbols, self.known or self.rounds > 0)
        left = np.flatnonzero(self.stale < TUNING.patience)
        worst = self.weights.seg * self.seg[left] + self.weights.pose * self.pose[left]
        for batch in _batches(left[np.argsort(-worst, kind="stable")]):
            if self._late(TUNING.searching):
                return False
            self._improve(batch)
        return len(left) > 0

    def _weights(self) -> Weights:
        """Return what a pair's distortions weigh: the score's derivative at the present means."""
        root = math.sqrt(10 * max(float(self.pose.mean()), 1e-8))
        return Weights(100 / self.pairs, 5 / root / self.pairs)

    def _improve(self, batch: Ints) -> None:
        """Try proposals for a batch of pairs, one after another, and keep those that help."""
        slopes = self._linearise(batch)
        helped = np.zeros(len(batch), bool)
        if self.allowed.any():
            for values in self._fields(batch, slopes):
                helped |= self._try(batch, values, self.symbols[batch], slopes.rendered)
        if self.plan.latents:
            for moves in self._steps(batch, slopes.latent * np.exp2(self.exponents / EXPONENTS)):
                better = self._try(batch, self.values[batch], self.symbols[batch] + moves)
                which, field = np.nonzero(moves * ~better[:, None])
                self.failed[batch[which], field] = self.rounds
                helped |= better
        self.stale[batch] = np.where(helped, 0, self.stale[batch] + 1)

    def _linearise(self, batch: Ints) -> Slopes:
        known = None
        if not self.allowed.any():
            known = torch.zeros(len(batch), self.judged, NUMBERS, device=self.device)
        elif all(int(pair) in self.jacobian for pair in batch):
            known = torch.stack([self.jacobian[int(pair)] for pair in batch])
        slopes = linearise(
            lambda latents: self.renderer(latents, torch.from_numpy(batch)),
            self.stack,
            self._latents(self.symbols[batch]),
            torch.from_numpy(self.values[batch]),
            self._wanted(batch),
            self.weights,
            known,
        )
        self.jacobian |= {int(p): j for p, j in zip(batch, slopes.jacobian, strict=True)}
        return slopes

    def _fields(self, batch: Ints, slopes: Slopes) -> list[Values]:
        """Return proposals for the sidecar's numbers, ``(B, 2, 7)`` each."""
        now = self.values[batch].reshape(len(batch), -1).astype(np.int64)
        allowed = np.broadcast_to(self.allowed, now.shape).copy()
        # What failed once would fail again: a pair without success tries some of the numbers.
        again = self.stale[batch] > 0
        allowed[again] &= self.random.random((int(again.sum()), NUMBERS)) < 0.5
        table = self.prices.fields
        path = pursue(slopes, now, table, self.price, allowed, TUNING.snapshots[-1])
        return [path[n - 1].reshape(len(batch), 2, -1).astype(np.int8) for n in TUNING.snapshots]

    def _steps(self, batch: Ints, slopes: Floats) -> Iterator[Ints]:
        """Yield moves of the latents' symbols, ``(B, d)`` each, the most promising first."""
        moves = -np.sign(slopes).astype(np.int64)
        promise = np.abs(slopes) - self.price * self.prices.steps(batch, self.symbols, moves)
        moves[promise <= 0] = 0
        moves[np.abs(self.symbols[batch] + moves) > TUNING.most_symbol] = 0
        # What failed a moment ago would fail again.
        moves[self.rounds - self.failed[batch] <= TUNING.forget] = 0
        order = np.argsort(np.where(moves, -promise, np.inf), axis=1, kind="stable")
        rank = np.argsort(order, axis=1, kind="stable")
        for trial in range(TUNING.latent_trials):
            yield moves * (rank // TUNING.latent_steps == trial)

    def _try(
        self, batch: Ints, values: Values, symbols: Ints, rendered: Tensor | None = None
    ) -> NDArray[np.bool_]:
        """Keep other numbers where they lower the score; return for which pairs, ``(B,)``."""
        gains, seg, pose = self._compare(batch, values, symbols, rendered)
        better = gains > 0
        self._keep(batch[better], values[better], symbols[better], seg[better], pose[better])
        return better

    def _keep(self, at: Ints, values: Values, symbols: Ints, seg: Floats, pose: Floats) -> None:
        self.values[at], self.symbols[at], self.seg[at], self.pose[at] = values, symbols, seg, pose

    def _compare(
        self, batch: Ints, values: Values, symbols: Ints, rendered: Tensor | None = None
    ) -> tuple[Floats, Floats, Floats]:
        """Return how much other numbers would lower the score, and both distortions, ``(B,)`` each.

        Args:
            batch: pairs ``(B,)``.
            values: their corrections ``(B, 2, 7)``.
            symbols: their latents ``(B, d)``.
            rendered: what the latents render to, when it is known.
        """
        seg, pose = self.seg[batch].copy(), self.pose[batch].copy()
        moved = (symbols != self.symbols[batch]).any(1)
        second = moved | (values[:, 1] != self.values[batch, 1]).any(1)
        new = np.flatnonzero(second | (values[:, 0] != self.values[batch, 0]).any(1))
        if len(new):
            known = None if rendered is None else rendered[torch.from_numpy(new)]
            base = self._render(batch[new], symbols[new]) if known is None else known
            frames = apply(base, torch.from_numpy(values[new]))
            seg[new], pose[new] = self._measure(batch[new], frames, second[new])
        bits = self.prices.change(batch, (self.values, self.symbols), (values, symbols))
        gains = self.weights.seg * (self.seg[batch] - seg) - self.price * bits
        return gains + self.weights.pose * (self.pose[batch] - pose), seg, pose

    def _wanted(self, pairs: Ints) -> tuple[Tensor, Tensor]:
        """Return the reference's classes and judged pose values."""
        classes = self.outputs.classes[pairs].to(self.device)
        return classes, self.outputs.poses[pairs, : self.judged].to(self.device)

    def _latents(self, symbols: Ints) -> Tensor:
        """Return latents ``(B, d)`` of symbols ``(B, d)``."""
        values = Rows(symbols.T, self.exponents).values().T
        return torch.from_numpy(values.copy()).to(self.device)

    @torch.no_grad()
    def _render(self, pairs: Ints, symbols: Ints) -> Tensor:
        return self.renderer(self._latents(symbols), torch.from_numpy(pairs))

    @torch.no_grad()
    def _measure(
        self, pairs: Ints, frames: Tensor, second: NDArray[np.bool_] | None = None
    ) -> tuple[Floats, Floats]:
        """Return seg and pose distortion ``(B,)`` of pairs whose corrected frames are given.

        ``second`` says of which pairs the second frame has changed: the others keep their seg.
        """
        frames = frames.clamp(0, 255)
        if self.between:
            frames = enlarge(frames, (self.outputs.height, self.outputs.width)).clamp(0, 255)
        frames = frames.round()
        classes, poses = self._wanted(pairs)
        seg, pose = self.seg[pairs].copy(), np.zeros(len(pairs))
        changed = torch.arange(len(pairs))
        if second is not None:
            changed = changed[torch.from_numpy(second)]
        if len(changed):
            seen = self.stack.segment(frames[changed, 1]).argmax(1)
            seg[changed.numpy()] = seg_distortion(classes[changed], seen).cpu().numpy()
        if self.judged:
            found = self.stack.pose(frames).float()
            pose = pose_distortion(poses, found[:, : self.judged], self.judged).cpu().numpy()
        return seg, pose

    def _prune(self) -> None:
        """Take back corrections that do not pay: of single pairs, then of a whole kind."""
        self.weights = self._weights()
        self.prices = Prices(self.values, self.symbols, True)
        gain = sum(self._prune_kind(KINDS[kind]) for kind in self.plan.kinds)
        size = len(pack_sidecar(Corrections(self.values))) + TUNING.section_bytes
        if not self._late() and gain <= 8 * self.price * size:
            self.values[:] = 0

    def _prune_kind(self, fields: Sequence[int]) -> float:
        """Take back what does not pay; return what the kind still gains, before its bytes."""
        gained, seg, pose = 0.0, self.seg.copy(), self.pose.copy()
        used = np.flatnonzero(self.values[: self.pairs, :, list(fields)].any((1, 2)))
        for batch in _batches(used):
            if self._late():
                return math.inf
            bare, symbols = without(self.values[batch], fields), self.symbols[batch]
            gains, seg[batch], pose[batch] = self._compare(batch, bare, symbols)
            bits = self.prices.change(batch, (self.values, self.symbols), (bare, symbols))
            drop = gains >= 0
            gained -= float((gains + self.price * bits)[~drop].sum())
            at = batch[drop]
            self._keep(at, bare[drop], symbols[drop], seg[at], pose[at])
        bare = without(self.values, fields)
        size = len(pack_sidecar(Corrections(self.values))) - len(pack_sidecar(Corrections(bare)))
        if gained > 8 * self.price * size:
            return gained
        self.values, self.seg, self.pose = bare, seg, pose
        return 0.0


def _batches(pairs: Ints) -> list[Ints]:
    return [pairs[i : i + TUNING.batch_pairs] for i in range(0, len(pairs), TUNING.batch_pairs)]
