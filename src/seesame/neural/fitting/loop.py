"""The training loop: one clip, one stack, a schedule bounded by wall time or by steps."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from seesame.codecs.hnerv.config import Schedule
from seesame.context import EncodeContext
from seesame.errors import UserError
from seesame.neural.fitting.checkpoint import Checkpoint
from seesame.neural.fitting.divergence import Guard
from seesame.neural.fitting.losses import Loss, LossOf, LossWeights, Material
from seesame.neural.fitting.objective import PoseTerm
from seesame.neural.fitting.optimiser import Optimiser
from seesame.neural.fitting.replay import Replay
from seesame.neural.fitting.settings import TrainSettings
from seesame.neural.fitting.step import Step
from seesame.neural.weights.network import QuantisedNetwork
from seesame.perception.stack import Stack
from seesame.runlog import RunLog

CHECKPOINT_SECONDS = 30.0
PRESSURE_GAIN = 60.0
"""How fast the rate weight answers a wrong size, a unit of training."""


@dataclass
class Candidate:
    """A file that could be written.

    Args:
        score: its true score.
        data: its bytes.
        excess: how far beyond the user's limits it is.
        payload: bytes of its weights and latents.
        number: in the log of the run.
    """

    score: float
    data: bytes
    excess: float = 0.0
    payload: int | None = None
    number: int | None = None


class Clock:
    """Share of the training that is done, by steps or by wall time."""

    def __init__(self, seconds: float, steps: int | None, done: float = 0.0) -> None:
        self.seconds, self.steps, self.count = seconds, steps, 0
        self.start = time.monotonic() - done * seconds
        self.offset = done

    def share(self) -> float:
        """0..1."""
        if self.steps is not None:
            return min(1.0, self.offset + self.count / self.steps)
        return min(1.0, (time.monotonic() - self.start) / self.seconds)

    def extend(self, seconds: float) -> None:
        """Train longer (or shorter) by what something else took less (or more) than planned."""
        self.seconds = max(self.seconds + seconds, 0.8 * self.seconds)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time spent inside does not count."""
        before = time.monotonic()
        yield
        self.start += time.monotonic() - before


class Training:
    """State of one training run.

    Args:
        representation: what is trained, in place.
        material: the clip.
        stack: the frozen nets; must be differentiable.
        settings: the user's.
        schedule: the curriculum.
        context: device, seed, progress.
        log: told of the steps.
    """

    def __init__(
        self,
        representation: QuantisedNetwork,
        material: Material,
        stack: Stack,
        settings: TrainSettings,
        schedule: Schedule,
        context: EncodeContext,
        log: RunLog | None = None,
    ) -> None:
        if not stack.differentiable:
            raise UserError(f"stack {stack.name} has no gradients; hnerv cannot train against it")
        self.rep, self.material, self.stack = representation, material, stack
        self.settings, self.schedule, self.context = settings, schedule, context
        self.log = log or RunLog()
        self.beside = 0
        """Bytes of the file that are not trained, for what is told of its size."""
        self.device = torch.device(context.device)
        self.rep.to(self.device)
        self.random = torch.Generator().manual_seed(context.seed)
        self.loss_of = LossOf(self.rep, material, stack, self.device, settings.guard_weight)
        self.size = 0.0
        """Bytes of what is trained, as the last step estimated them."""
        self.pressure = 0.0  # log of the extra rate weight that --bytes asks for
        self.pressed_at = 0.0
        self.usual_norm = 0.0
        self.coding = 1.0
        """What the coder writes for a bit of the loss's rate, found when a file was judged."""
        self.low_precision = _low_precision(self.device)
        self.optimiser = Optimiser(dict(self.rep.rows.items()), self.rep.latents)
        self.guard = Guard(self.rep, self.optimiser)
        capturing = self.device.type == "cuda" and self.rep.capturable and not material.transfer
        self.replay: Replay[tuple[Loss, Tensor]] = Replay(
            lambda read: self.optimiser.step(read["factor"]), self.device, capturing
        )
        if self.rep.quantizers is not None:
            self.add_quantizers()

    @property
    def pose_term(self) -> PoseTerm:
        """The pose's share of the loss, with its running mean."""
        return self.loss_of.pose_term

    def add_quantizers(self) -> None:
        """Hand the representation's quantisers to the optimiser."""
        assert self.rep.quantizers is not None
        self.rep.quantizers.to(self.device)
        self.optimiser.add(self.rep.quantizers.parameters())
        self.guard.restart()
        self.replay.forget()

    def _batches(self) -> Iterator[Tensor]:
        """Endless batches of pair numbers, every pair once an epoch."""
        count = len(self.material.frames)
        gpu = self.device.type == "cuda"
        size = min(self.schedule.gpu_batch_pairs if gpu else self.schedule.batch_pairs, count)
        while True:
            order = torch.randperm(count, generator=self.random)
            # The last, short batch of an epoch is filled from its beginning.
            for start in range(0, count, size):
                yield (
                    torch.arange(start, start + size)
                    .remainder(count)
                    .apply_(lambda i, order=order: int(order[i]))
                )

    def run(
        self,
        clock: Clock,
        evaluate: Callable[[], Candidate],
        evaluations: int,
        stop: Callable[[], bool],
        checkpoint: Checkpoint | None,
    ) -> Candidate:
        """Train to the end of the clock; returns the best file by its true score.

        Args:
            clock: when to end.
            evaluate: packs, decodes and scores the present state.
            evaluations: how often to do so, the one at the end included.
            stop: asked after every step; true ends the training early.
            checkpoint: where the state is kept, or None.
        """
        best: Candidate | None = None
        limited = self.settings.limits.given
        first = self.schedule.look_from if limited else self.schedule.evaluate_from
        marks = [m for m in np.linspace(first, 1.0, max(evaluations, 1))[:-1] if m > clock.share()]
        saved = time.monotonic()
        for batch in self._batches():
            share = clock.share()
            if share >= 1.0 or stop():
                break
            if share >= self.schedule.quantise_from and self.rep.quantizers is None:
                self._start_quantising()
            self.log.stage(self.schedule.stage(share))
            if marks and share >= marks[0]:
                marks.pop(0)
                with clock.paused():
                    best = _better(best, self._measured(evaluate()))
                if limited and not best.excess:
                    return best
            made = self._step(batch, share)
            clock.count += 1
            known = None if best is None else (best.score, len(best.data))
            text = made.text(known)
            if self.replay.refused:
                text += f", step by step ({self.replay.refused})"
            self.context.progress(share, text)
            self.log.step(partial(made.values, clock.count, share))
            if checkpoint is not None and time.monotonic() - saved > CHECKPOINT_SECONDS:
                checkpoint.save(self, share)
                saved = time.monotonic()
        if checkpoint is not None and stop():
            checkpoint.save(self, clock.share())
        if self.rep.quantizers is None:
            self._start_quantising()
        self.log.stage("judging")
        return _better(best, evaluate())

    @torch.no_grad()
    def _measured(self, found: Candidate) -> Candidate:
        """Compare what was written with the rate that the loss saw; returns the file."""
        if found.payload is not None:
            self.coding = 8 * found.payload / float(self.rep.quantised()[2])
        return found

    def _start_quantising(self) -> None:
        """From now on weights are whole multiples of steps, at first near the size to aim at."""
        settings = self.settings
        asked = settings.bytes or settings.max_bytes
        self.rep.start_quantising(asked and settings.aim(asked), largest=settings.bytes is None)
        self.add_quantizers()

    def _rate_of_learning(self, share: float) -> float:
        """Warm-up over 2 % of the training, then a cosine to a fiftieth."""
        fall = 0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * share)))
        peak = self.guard.gentleness * self.schedule.peak_rate
        return peak * min(1.0, share / 0.02 + 0.05) * fall

    def _step(self, pairs: Tensor, share: float) -> Step:
        """One step over pairs ``(B,)``, which are numbered on the CPU."""
        batch, weights = self.loss_of.read(pairs), self._weights(share)
        loss, figures = self.replay.first(
            (weights.kind, len(batch["pairs"]), len(batch["classes"])),
            lambda read: self._gradients(read, weights.of(read["weights"])),
            batch | {"weights": torch.tensor(weights.values(), device=self.device)},
        )
        total, bits, norm, pose = figures.tolist()
        self.size = bits / 8
        rate = self._rate_of_learning(share)
        if math.isfinite(norm):
            self.optimiser.set_rate(rate)
            self.replay.second(self._clipping(norm))
        if self.guard.watch(total):
            self.replay.forget()
        return Step(
            loss=total,
            terms=loss.terms,
            logits=loss.logits,
            classes=batch["classes"],
            pose=pose if self.stack.has_pose else None,
            bytes=None if self.rep.quantizers is None else self.size + self.beside,
            learning_rate=rate,
            temperature=float(weights.temperature),
        )

    def _weights(self, share: float) -> LossWeights:
        phase = self.schedule.at(share)
        hot, cold = self.schedule.temperature
        phase = replace(
            phase,
            pixel=max(phase.pixel, self.settings.pixel_weight),
            rate=self._rate_weight(phase.rate, self.size, share),
        )
        low = self.low_precision and share < self.schedule.exact_from
        return LossWeights(phase, hot + (cold - hot) * share, self.coding, low)

    def _gradients(self, batch: Mapping[str, Tensor], weights: LossWeights) -> tuple[Loss, Tensor]:
        """The loss, and beside it, its bits, the gradients' norm and the pose distortion."""
        self.optimiser.zero_grad()
        loss = self.loss_of(batch, weights)
        loss.total.backward()  # type: ignore[no-untyped-call]
        loss = replace(loss, total=loss.total.detach())
        norm = torch.nn.utils.get_total_norm(self.optimiser.gradients)
        pose = self.pose_term.running
        if pose is None:  # the stack has none
            pose = norm.new_zeros(())
        return loss, torch.stack([loss.total, loss.bits, norm, pose])

    def _clipping(self, norm: float) -> float:
        """Holds a gradient to twice its usual length: one bad batch must not undo a thousand."""
        limit = 2 * self.usual_norm if self.usual_norm else math.inf
        held = min(norm, limit)
        self.usual_norm = 0.98 * self.usual_norm + 0.02 * held if self.usual_norm else held
        return min(1.0, limit / (norm + 1e-6))

    def _rate_weight(self, scheduled: float, size: float, share: float) -> float:
        """The rate's weight; with a size to aim at, raised or lowered until the size is met.

        With a largest size only, it is raised while the size is above.
        """
        settings = self.settings
        passed, self.pressed_at = share - self.pressed_at, share
        if (settings.bytes or settings.max_bytes) is None or not scheduled or not size:
            return scheduled
        pull = PRESSURE_GAIN * passed * float(np.log(size / settings.aim(10**9)))
        least = 0.0 if settings.bytes is None else -3.0
        self.pressure = float(np.clip(self.pressure + pull, least, 5))
        return scheduled * float(np.exp(self.pressure))


def _better(left: Candidate | None, right: Candidate) -> Candidate:
    """The one that keeps the limits better; among equals the better score, then the later."""
    if left is None or (right.excess, right.score) <= (left.excess, left.score):
        return right
    return left


def _low_precision(device: torch.device) -> bool:
    """Whether training runs in bfloat16 at first (judging never does).

    Only where the processor has matrix units for it; elsewhere it is slower.
    """
    if device.type == "cuda":
        return True
    return device.type == "cpu" and bool(torch.cpu._is_amx_tile_supported())
