"""The training loop: one clip, one stack, a schedule bounded by wall time or by steps."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from seesame.codecs.base import EncodeContext
from seesame.codecs.hnerv.checkpoint import Checkpoint
from seesame.codecs.hnerv.config import Schedule
from seesame.codecs.hnerv.guard import Guard
from seesame.codecs.hnerv.objective import PoseTerm, pixel_term, seen_bytes, seg_term
from seesame.codecs.hnerv.optimiser import Optimiser
from seesame.codecs.hnerv.quantised import QuantisedNetwork
from seesame.codecs.hnerv.settings import TrainSettings
from seesame.codecs.hnerv.step import Step
from seesame.codecs.hnerv.transfer import SegTerm, TransferTerm
from seesame.codecs.runlog import RunLog
from seesame.errors import UserError
from seesame.metric.evaluator import ReferenceOutputs
from seesame.perception.stack import Stack

CHECKPOINT_SECONDS = 30.0
ORPHAN_PIXEL_WEIGHT = 0.05
RANGE_WEIGHT = 0.05
PRESSURE_GAIN = 60.0
"""How fast the rate weight answers a wrong size, a unit of training."""


@dataclass
class Material:
    """What training reads: frames at render size and what the stack sees in the source.

    Args:
        frames: ``uint8 (N, 2, 3, h, w)``; a trailing odd frame stands twice in its pair.
        outputs: the stack's outputs on the source; they cover the whole pairs only.
        source_bytes: denominator of the rate.
        transfer: terms of the loss for other eyes.
    """

    frames: Tensor
    outputs: ReferenceOutputs
    source_bytes: int
    transfer: tuple[TransferTerm, ...] = ()


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
        self.pose_term = PoseTerm()
        self.pressure = 0.0  # log of the extra rate weight that --bytes asks for
        self.pressed_at = 0.0
        self.usual_norm = 0.0
        self.coding = 1.0
        """What the coder writes for a bit of the loss's rate, found when a file was judged."""
        self.low_precision = _low_precision(self.device)
        self.optimiser = Optimiser(dict(self.rep.rows.items()), self.rep.latents)
        self.guard = Guard(self.rep, self.optimiser)
        if self.rep.quantizers is not None:
            self.add_quantizers()

    def add_quantizers(self) -> None:
        """Hand the representation's quantisers to the optimiser."""
        assert self.rep.quantizers is not None
        self.rep.quantizers.to(self.device)
        self.optimiser.add(self.rep.quantizers.parameters())
        self.guard.restart()

    def _batches(self) -> Iterator[Tensor]:
        """Endless batches of pair numbers, every pair once an epoch."""
        count = len(self.material.frames)
        size = min(self.schedule.batch_pairs, count)
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
            self.context.progress(share, made.text(known))
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

    def _step(self, batch: Tensor, share: float) -> Step:
        phase = self.schedule.at(share)
        hot, cold = self.schedule.temperature
        temperature = hot + (cold - hot) * share
        parameters, latents, bits = self.rep.quantised()
        bits = self.coding * bits
        low = self.low_precision and share < self.schedule.exact_from
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            frames = self.rep.decode(parameters, latents, batch.to(self.device))
        seen = seen_bytes(frames, RANGE_WEIGHT)
        outputs = self.material.outputs
        judged = batch < len(outputs.classes)
        which = batch[judged]
        if len(which) < len(batch):  # an odd last frame forms no sample
            seen = seen[judged]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            logits = self.stack.segment(seen[:, 1])
            values = self.stack.pose(seen) if self.stack.has_pose else None
        classes = outputs.classes[which].to(self.device)
        seg = partial(seg_term, phase=phase, temperature=temperature)
        terms = {"seg": seg(logits, classes)}
        if values is not None:
            terms["pose"] = self.pose_term(
                values.float()[:, : self.stack.judged],
                outputs.poses[which, : self.stack.judged].to(self.device),
            )
        terms |= self._transfer(seen, which, seg)
        terms["pixel"] = self._pixels(frames, batch, judged, phase.pixel)
        size = float(bits.detach()) / 8
        weight = self._rate_weight(phase.rate, size, share)
        quantised = self.rep.quantizers is not None
        if quantised:
            terms["rate"] = weight * 25 * bits / 8 / self.material.source_bytes
        first, *others = terms.values()
        loss = sum(others, start=first)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._clip_gradient()
        rate = self._rate_of_learning(share)
        self.optimiser.step(rate)
        self.guard.watch(float(loss.detach()))
        return Step(
            loss=float(loss.detach()),
            terms={name: term.detach() for name, term in terms.items()},
            logits=logits.detach(),
            classes=classes,
            pose=self.pose_term.mean,
            bytes=size + self.beside if quantised else None,
            learning_rate=rate,
            temperature=temperature,
        )

    def _transfer(self, seen: Tensor, which: Tensor, seg: SegTerm) -> dict[str, Tensor]:
        """The terms for other eyes. They look at the batch's first pair: the order is random."""
        if not len(which) or not self.material.transfer:
            return {}
        source = self.material.frames[which[:1]].to(self.device).float()
        weight, pair = self.settings.guard_weight, int(which[0])
        return {
            term.name: weight * term(seen[:1], source, pair, seg) for term in self.material.transfer
        }

    def _clip_gradient(self) -> None:
        """Hold a gradient to twice its usual length: one bad batch must not undo a thousand."""
        limit = 2 * self.usual_norm if self.usual_norm else float("inf")
        norm = min(float(torch.nn.utils.clip_grad_norm_(self.optimiser.parameters, limit)), limit)
        if not math.isfinite(norm):
            self.optimiser.zero_grad()
            return
        if self.usual_norm:
            norm = 0.98 * self.usual_norm + 0.02 * norm
        self.usual_norm = norm

    def _pixels(self, frames: Tensor, batch: Tensor, judged: Tensor, weight: float) -> Tensor:
        """The pixel term. A pair without a sample (an odd last frame) is trained by it alone."""
        target = self.material.frames[batch].to(self.device).float()
        weight = max(weight, self.settings.pixel_weight)
        total = frames.new_zeros(())
        if weight:
            total = total + weight * pixel_term(frames, target)
        if not judged.all():
            alone = ~judged
            total = total + ORPHAN_PIXEL_WEIGHT * pixel_term(frames[alone], target[alone])
        return total

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
