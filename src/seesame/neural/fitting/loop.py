"""The training loop: one clip, one stack, a schedule bounded by wall time or by steps."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seesame.context import EncodeContext
from seesame.metric.limits import LEAST, Held
from seesame.neural.fitting.checkpoint import Checkpoint
from seesame.neural.fitting.divergence import Divergence
from seesame.neural.fitting.limits.limited import LimitTerm
from seesame.neural.fitting.limits.rate import RateControl
from seesame.neural.fitting.loss.losses import Loss, LossOf, LossWeights, Material, Term
from seesame.neural.fitting.optimiser import Optimiser
from seesame.neural.fitting.replay import Replay
from seesame.neural.fitting.schedule import Schedule
from seesame.neural.fitting.settings import TrainSettings
from seesame.neural.fitting.step import Step
from seesame.neural.weights.network import QuantisedNetwork
from seesame.perception.stack import Stack
from seesame.runlog import RunLog


@dataclass(frozen=True)
class LoopTuning:
    """The loop's own numbers.

    Args:
        checkpoint_s: seconds from one checkpoint to the next.
        warm_up: share of the training over which the learning rate rises.
        last_rate: learning rate at the end as a share of its peak.
        clip: longest gradient as a multiple of its usual length.
        usual: share of the usual length of a gradient that one step replaces.
    """

    checkpoint_s: float = 30.0
    warm_up: float = 0.02
    last_rate: float = 0.02
    clip: float = 2.0
    usual: float = 0.02


TUNING = LoopTuning()


@dataclass
class Candidate:
    """A file that could be written.

    Args:
        score: its true score.
        data: its bytes.
        excess: how far beyond the user's limits it is.
        trained: bytes of everything in it that is trained.
        held: what limits bind, beside the bounds.
        cost: what decides among files that keep the limits; the score when None.
        number: in the log of the run.
    """

    score: float
    data: bytes
    excess: float = 0.0
    trained: int | None = None
    held: tuple[Held, ...] = ()
    cost: float | None = None
    number: int | None = None

    @property
    def rank(self) -> tuple[float, float]:
        """Less is better: the limits come first, then the score, or the cost if there is one."""
        return self.excess, self.score if self.cost is None else self.cost

    def reach(self, pose_gain: float = 1.0) -> float:
        """Return the largest distortion that is bound as a multiple of its bound; 0 for none.

        Args:
            pose_gain: by which what is bound of the pose distortion is divided.
        """
        found = [0.0]
        for name, value, bound in self.held:
            if name.startswith(("seg", "pose")):
                gain = pose_gain if name.startswith("pose") else 1.0
                found.append(value / max(bound, LEAST) / gain)
        return max(found)


class Clock:
    """The share of the training that is done, by steps or by wall time.

    Args:
        seconds: wall time of the training.
        steps: number of steps, which bounds the training instead of the time.
        done: share that an earlier run has done.
    """

    def __init__(self, seconds: float, steps: int | None, done: float = 0.0) -> None:
        self.seconds, self.steps, self.count = seconds, steps, 0
        self.start = time.monotonic() - done * seconds
        self.offset = done

    def share(self) -> float:
        """Return the share that is done, 0..1."""
        if self.steps is not None:
            return min(1.0, self.offset + self.count / self.steps)
        return min(1.0, (time.monotonic() - self.start) / self.seconds)

    def extend(self, seconds: float) -> None:
        """Train longer (or shorter) by what something else took less (or more) than planned."""
        self.seconds = max(self.seconds + seconds, 0.8 * self.seconds)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time inside out of account."""
        before = time.monotonic()
        yield
        self.start += time.monotonic() - before


class Training:
    """One training run, with all of its state.

    Args:
        network: what is trained, in place.
        material: the clip.
        stack: the frozen networks; must be differentiable.
        settings: what training goes by.
        schedule: the curriculum.
        context: device, seed, progress.
        log: told of the steps.
        terms: of the loss, beside the usual ones.
        fixed_bytes: of the file, that training does not change.
        limit: the term of what limits bind; given where they choose the size, which is then
            controlled by it. It is one of the terms.
    """

    def __init__(
        self,
        network: QuantisedNetwork,
        material: Material,
        stack: Stack,
        settings: TrainSettings,
        schedule: Schedule,
        context: EncodeContext,
        log: RunLog | None = None,
        terms: Sequence[Term] = (),
        fixed_bytes: int = 0,
        limit: LimitTerm | None = None,
    ) -> None:
        self.network, self.settings, self.schedule = network, settings, schedule
        self.done = 0.0
        """Share of the training that is done."""
        self.rate = RateControl(settings, limit is not None)
        self._limit = limit
        self._context, self._log, self._fixed_bytes = context, log or RunLog(), fixed_bytes
        self._has_pose, self._pairs = stack.has_pose, len(material.frames)
        self._device = torch.device(context.device)
        network.to(self._device)
        self._random = torch.Generator().manual_seed(context.seed)
        self._loss_of = LossOf(network, material, stack, self._device, terms)
        self._usual_norm = 0.0
        self.low_precision = _low_precision(self._device)
        """True where the networks run in bfloat16 at first."""
        self._optimiser = Optimiser(network.groups(), self._device)
        self._divergence = Divergence(network, self._optimiser)
        capturing = self._device.type == "cuda" and self._loss_of.capturable
        self.replay: Replay[tuple[Loss, Tensor]] = Replay(
            lambda read: self._optimiser.step(read["factor"]), self._device, capturing
        )
        if network.quantisers is not None:
            self._add_quantisers()

    def _add_quantisers(self) -> None:
        """Hand the network's quantisers to the optimiser."""
        assert self.network.quantisers is not None
        self.network.quantisers.to(self._device)
        self._optimiser.add(self.network.quantiser_group())
        self._divergence.restart()
        self.replay.forget()

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state, for a checkpoint."""
        return {
            "done": self.done,
            "usual_norm": self._usual_norm,
            "random": self._random.get_state(),
            "rate": self.rate.state_dict(),
            "network": {k.replace(".", "|"): v for k, v in self.network.state_dict().items()},
            "optimiser": self._optimiser.state_dict(),
            "divergence": self._divergence.state_dict(),
            "loss": self._loss_of.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of an earlier run."""
        network = {key.replace("|", "."): value for key, value in state["network"].items()}
        if any(key.startswith("quantisers.") for key in network):
            self.network.start_quantising()
            self._add_quantisers()
        self.network.load_state_dict(network)
        self._optimiser.load_state_dict(state["optimiser"])
        self._divergence.load_state_dict(state["divergence"])
        self._loss_of.load_state_dict(state["loss"])
        self.rate.load_state_dict(state["rate"])
        self._random.set_state(state["random"])
        self.done, self._usual_norm = state["done"], state["usual_norm"]

    def run(
        self,
        clock: Clock,
        evaluate: Callable[[], Candidate],
        evaluations: int,
        stop: Callable[[], bool],
        checkpoint: Checkpoint | None,
    ) -> Candidate:
        """Train to the end of the clock; return the best file by its true score.

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
        for batch in self.batches():
            share = clock.share()
            if share >= 1.0 or stop():
                break
            if share >= self.schedule.quantise_from and self.network.quantisers is None:
                self.start_quantising()
            self._log.stage(self.schedule.stage(share))
            if marks and share >= marks[0]:
                marks.pop(0)
                with clock.paused():
                    best = _better(best, self._measured(evaluate()))
                if limited and not best.excess:
                    return best
            made = self.step(batch, share)
            clock.count += 1
            self._report(made, share, best, clock.count)
            if checkpoint is not None and time.monotonic() - saved > TUNING.checkpoint_s:
                self.done = clock.share()
                checkpoint.save(self)
                saved = time.monotonic()
        self.done = clock.share()
        if checkpoint is not None and stop():
            checkpoint.save(self)
        if self.network.quantisers is None:
            self.start_quantising()
        self._log.stage("judging")
        return _better(best, evaluate())

    def batches(self) -> Iterator[Tensor]:
        """Yield batches of pair numbers without end, every pair once an epoch."""
        gpu = self._device.type == "cuda"
        most = self.schedule.gpu_batch_pairs if gpu else self.schedule.batch_pairs
        size = min(most, self._pairs)
        while True:
            order = torch.randperm(self._pairs, generator=self._random)
            # The last, short batch of an epoch is filled from its beginning.
            for start in range(0, self._pairs, size):
                yield order[torch.arange(start, start + size).remainder(self._pairs)]

    def _report(self, made: Step, share: float, best: Candidate | None, count: int) -> None:
        """Tell progress line and log of a step."""
        text = made.text(None if best is None else (best.score, len(best.data)))
        if self.replay.refused:
            text += f", step by step ({self.replay.refused})"
        self._context.progress(share, text)
        self._log.step(partial(made.values, count, share))

    @torch.no_grad()
    def _measured(self, found: Candidate) -> Candidate:
        """Compare the bytes of a file with the rate that the loss saw; return the file."""
        if found.trained is not None:
            self.rate.coding = 8 * found.trained / float(self.network.quantised().bits)
        if found.reach() and self.rate.reach:
            self.rate.truth = found.reach() / self.rate.reach
        return found

    def start_quantising(self) -> None:
        """Make weights whole multiples of steps from now on, at first near the size to aim at."""
        settings = self.settings
        asked = settings.bytes or settings.max_bytes
        self.network.start_quantising(
            asked and settings.aim(asked),
            largest=settings.bytes is None,
            fine=self._limit is not None,
        )
        self._add_quantisers()

    def learning_rate(self, share: float) -> float:
        """Return the learning rate: a short rise, then a cosine."""
        least, rise = TUNING.last_rate, TUNING.warm_up
        fall = least + (1 - least) * 0.5 * (1 + float(np.cos(np.pi * share)))
        peak = self._divergence.gentleness * self.schedule.peak_rate
        return peak * min(1.0, share / rise + 0.05) * fall

    def step(self, pairs: Tensor, share: float) -> Step:
        """Take one step over pairs ``(B,)``, which are numbered on the CPU."""
        batch, weights = self._loss_of.read(pairs), self._weights(share)
        numbers = torch.tensor(list(weights.numbers().values()), device=self._device)
        loss, figures = self.replay.first(
            (weights.kind, len(batch["pairs"]), len(batch["classes"])),
            lambda read: self._gradients(read, weights.reading(read["weights"])),
            batch | {"weights": numbers},
        )
        total, bits, norm, pose, self.rate.reach = figures.tolist()
        self.rate.size = bits / 8
        rate = self.learning_rate(share)
        if math.isfinite(norm):
            self._optimiser.set_rate(rate)
            self.replay.second(self._clipping(norm))
        if self._divergence.watch(total):
            self.replay.forget()
        quantised = self.network.quantisers is not None
        return Step(
            loss=total,
            terms=loss.terms,
            logits=loss.logits,
            classes=batch["classes"],
            pose=pose if self._has_pose else None,
            bytes=self.rate.size + self._fixed_bytes if quantised else None,
            learning_rate=rate,
            temperature=float(weights.temperature),
        )

    def _weights(self, share: float) -> LossWeights:
        terms = self.schedule.at(share)
        terms["pixel"] = max(terms.get("pixel", 0.0), self.settings.pixel_weight)
        terms["rate"] = self.rate.weight(terms.get("rate", 0.0), share)
        hot, cold = self.schedule.temperature
        low = self.low_precision and share < self.schedule.exact_from
        return LossWeights(terms, hot + (cold - hot) * share, self.rate.coding, low)

    def _gradients(self, batch: Mapping[str, Tensor], weights: LossWeights) -> tuple[Loss, Tensor]:
        """Return the loss; its value, bits, the gradients' norm, pose, the reach of limits."""
        self._optimiser.zero_grad()
        loss = self._loss_of(batch, weights)
        loss.total.backward()  # type: ignore[no-untyped-call]
        loss = replace(loss, total=loss.total.detach())
        norm = torch.nn.utils.get_total_norm(self._optimiser.gradients)
        pose = self._loss_of.pose.root.mean
        reach = norm.new_zeros(()) if self._limit is None else self._limit.reach(pose)
        if pose is None:  # the stack has none
            pose = norm.new_zeros(())
        return loss, torch.stack([loss.total, loss.bits, norm, pose, reach])

    def _clipping(self, norm: float) -> float:
        """Return the factor on a gradient: one bad batch must not undo a thousand steps."""
        usual, new = self._usual_norm, TUNING.usual
        limit = TUNING.clip * usual if usual else math.inf
        held = min(norm, limit)
        self._usual_norm = (1 - new) * usual + new * held if usual else held
        return min(1.0, limit / (norm + 1e-6))


def _better(left: Candidate | None, right: Candidate) -> Candidate:
    """Return the candidate of less rank; among equals the later."""
    return right if left is None or right.rank <= left.rank else left


def _low_precision(device: torch.device) -> bool:
    """Return whether training runs in bfloat16 at first (judging never does).

    Only where the processor has matrix units for it; elsewhere it is slower.
    """
    if device.type == "cuda":
        return True
    return device.type == "cpu" and bool(torch.cpu._is_amx_tile_supported())
