"""The training loop of a renderer: a run that can be stopped, saved and gone on with."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from seesame.codecs.semantic.carrier.network import Carrier
from seesame.codecs.semantic.networks import Renderer, Shown
from seesame.codecs.semantic.training.augment import augment
from seesame.codecs.semantic.training.losses import loss, outside
from seesame.codecs.semantic.training.settings import TUNING, TrainingSettings, TrainingTuning
from seesame.errors import UserError
from seesame.neural.fitting.optimiser import Optimiser
from seesame.neural.render.geometry import shrink
from seesame.neural.weights.network import QuantisedWeights, QuantisingTuning
from seesame.neural.weights.quantiser import straight_through
from seesame.neural.weights.rows import Rows
from seesame.perception.stack import Stack
from seesame.video.resize import resize


class TrainedWeights(QuantisedWeights):
    """The weights of a renderer or a carrier, and their quantisers."""

    def __init__(self, network: Renderer | Carrier, first_step: float = TUNING.first_step) -> None:
        super().__init__(network, network.design.specs(), {})
        self.tuning = QuantisingTuning(first_step=first_step)


class Run:
    """One training, from its first step to its last.

    Args:
        network: a renderer as it starts; of another network :meth:`value` says the loss.
        stack: differentiable, on the device.
        sources: masks ``uint8 (N, h, w)`` of each drive, or kind of drives.
        settings: how long, and the seed.
        device: where all runs.
        trained: whether the renderer was trained before: the first part of the training, which
            finds the way, is then left out.
        tuning: the numbers of the loop.
        bit_value: what a bit of the weights adds to the loss once they are quantised.
        shown: the share of rows and columns that are shown, where it is always the same.
    """

    def __init__(
        self,
        network: Renderer | Carrier,
        stack: Stack,
        sources: list[Tensor],
        settings: TrainingSettings,
        device: str,
        trained: bool = False,
        tuning: TrainingTuning = TUNING,
        bit_value: float = 0.0,
        shown: Shown | None = None,
    ) -> None:
        self.tuning, self._bit_value, self._always = tuning, bit_value, shown
        self.settings, self.device = settings, torch.device(device)
        self._stack, self._sources = stack, sources
        # A long drive shows more than a short one, but not in proportion to its length.
        self._weights = torch.tensor([math.sqrt(len(masks)) for masks in sources])
        self._random = torch.Generator().manual_seed(settings.seed)
        self._template = network.to(self.device)
        self.weights = TrainedWeights(network, tuning.first_step).to(self.device)
        self._optimiser = Optimiser(self.weights.groups(), self.device)
        self._average = self._copy()
        self._half = _half_is_quick(self.device)
        self._first = tuning.again_from if trained else 0.0
        self.step, self.seconds, self.loss = 0, 0.0, math.nan
        self._bits = torch.zeros((), device=self.device)

    @property
    def share(self) -> float:
        """The share of the training that is done, 0..1."""
        if self.settings.steps is not None:
            return min(1.0, self.step / self.settings.steps)
        return min(1.0, self.seconds / self.settings.seconds)

    def train(
        self,
        told: Callable[[float, str], None],
        save: Callable[[], None] = lambda: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Go on to the end.

        Args:
            told: called with the share done and a text.
            save: called now and then, so that the run can be gone on with.
            stop: returns whether to end early.
        """
        saved = last = time.monotonic()
        while self.share < 1 and not stop():
            self._train_step()
            now = time.monotonic()
            self.seconds += now - last
            last = now
            told(self.share, f"step {self.step}, loss {self.loss:.3f}")
            if now - saved > self.tuning.save_every:
                save()
                saved = last = time.monotonic()
        self._start_quantising()

    def _train_step(self) -> None:
        share = self._first + (1 - self._first) * self.share
        if share >= self.tuning.quantise_from:
            self._start_quantising()
        cosine = 0.5 * (1 + math.cos(math.pi * share))
        rise = min(1.0, (self.step + 1) / self.tuning.warm_up)
        self._optimiser.set_rate(
            self.tuning.rate * rise * (self.tuning.last_rate + (1 - self.tuning.last_rate) * cosine)
        )
        value = self.value(share)
        value = value + self._bit_value * self._bits  # of the weights that were just drawn with
        self.loss = float(value.detach())
        if not math.isfinite(self.loss):
            raise UserError(
                f"the training for stack {self._stack.name} has diverged; try another seed"
            )
        self._optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        norm = torch.stack([g.norm() for g in self._optimiser.gradients]).norm()
        self._optimiser.step((self.tuning.clip / norm.clamp(min=1e-12)).clamp(max=1.0))
        self.step += 1
        kept = min(1 - 1 / self.tuning.average, self.step / (self.step + 10))
        with torch.no_grad():
            for mean, now in zip(self._average, self.weights.parameters(), strict=True):
                mean.lerp_(now, 1 - kept)

    def value(self, share: float) -> Tensor:
        """Return the loss of a random batch at a share 0..1 of the training."""
        masks = self._batch()
        shares = self._shown()
        with self._precision(True):
            drawn = self._drawn(masks, shares)
        drawn = drawn.float()
        size = drawn.shape[-2:]
        small = shrink(drawn, (round(shares[0] * size[0]), round(shares[1] * size[1])))
        shown = small.clamp(0, 255)
        with self._precision(share < self.tuning.exact_from):
            seen = resize(straight_through(shown, shown.round()), (size[0], size[1]))
            logits = self._stack.segment(seen)
        value = loss(logits.float(), masks, share, self.tuning)
        return value + self.tuning.outside * outside(small)

    def _shown(self) -> Shown:
        """Return the share of rows and columns that a clip of random size shows, mostly all."""
        if self._always is not None:
            return self._always
        if float(torch.rand((), generator=self._random)) >= self.tuning.small:
            return 1.0, 1.0
        rows, columns = torch.rand(2, generator=self._random).tolist()
        least = self.tuning.smallest
        return _in_steps(least + (1 - least) * rows), _in_steps(least + (1 - least) * columns)

    def _batch(self) -> Tensor:
        pixels = self._sources[0][0].numel()
        count = max(1, min(self.tuning.batch, self.tuning.pixels // pixels))
        # Twice as many as wanted: parts of the others are pasted into those that are.
        chosen = torch.multinomial(
            self._weights, 2 * count, replacement=True, generator=self._random
        )
        picked = [self._one_of(self._sources[int(index)]) for index in chosen]
        masks = torch.stack(picked).to(self.device)
        some = round(count * self.tuning.varied)
        found = masks[:count].clone()
        if some:
            others = masks[count : count + some]
            found[:some] = augment(found[:some], len(self._stack.classes), self._random, others)
        return found

    def _one_of(self, masks: Tensor) -> Tensor:
        return masks[int(torch.randint(len(masks), (), generator=self._random))]

    def _drawn(self, *inputs: Tensor | Shown | None) -> Tensor:
        weights = self.weights.quantised()
        self._bits = weights.bits
        drawn: Tensor = functional_call(self._template, weights.parameters, inputs)
        return drawn

    def _precision(self, half: bool) -> torch.autocast:
        kind = self.device.type
        return torch.autocast(kind, torch.bfloat16, enabled=half and self._half)

    def _start_quantising(self) -> None:
        """Begin to quantise, from the averaged weights, unless that has begun."""
        if self.weights.quantisers is not None:
            return
        self._take(self._average)
        self.weights.start_quantising()
        self.weights.to(self.device)
        self._optimiser.add(self.weights.quantiser_group())
        self._average = self._copy()

    def _copy(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self.weights.parameters()]

    @torch.no_grad()
    def _take(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self.weights.parameters(), values, strict=True):
            parameter.copy_(value)

    def result(self) -> dict[str, Rows]:
        """Return the averaged weights as symbols, after :meth:`train`."""
        assert self.weights.quantisers is not None, "the training is not over"
        present = self._copy()
        self._take(self._average)
        symbols, _ = self.weights.symbols()
        self._take(present)
        return symbols

    def state_dict(self) -> Mapping[str, Any]:
        """Return the whole state, for a checkpoint."""
        names = [name.replace(".", "/") for name, _ in self.weights.named_parameters()]
        return {
            "step": self.step,
            "seconds": self.seconds,
            "quantising": self.weights.quantisers is not None,
            "random": self._random.get_state(),
            "weights": dict(zip(names, self._copy(), strict=True)),
            "average": dict(zip(names, self._average, strict=True)),
            "optimiser": self._optimiser.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take a state back."""
        self.step, self.seconds = state["step"], state["seconds"]
        if state["quantising"]:
            self._start_quantising()
        names = [name.replace(".", "/") for name, _ in self.weights.named_parameters()]
        self._take([state["weights"][name] for name in names])
        self._average = [state["average"][name].to(self.device) for name in names]
        self._random.set_state(state["random"])
        self._optimiser.load_state_dict(state["optimiser"])


def _in_steps(share: float) -> float:
    """Return a share in eighths: each size has matrices of its own, which are kept."""
    return round(8 * share) / 8


def _half_is_quick(device: torch.device) -> bool:
    """Return whether bfloat16 is quicker than float32 on a device."""
    if device.type == "cpu":
        supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        return bool(supported and supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


def disagreement(
    renderer: nn.Module, stack: Stack, masks: Tensor, device: str, batch: int = 8
) -> Tensor:
    """Return the share of pixels that a stack sees otherwise than each mask says, ``(N,)``.

    It sees what is decoded: pictures of whole grey levels in 0..255.

    Args:
        renderer: draws the pictures, on the device.
        stack: on the device.
        masks: ``uint8 (N, h, w)``, one or more.
        device: where all runs.
        batch: masks at once.
    """
    found = []
    with torch.inference_mode():
        for begin in range(0, len(masks), batch):
            wanted = masks[begin : begin + batch].to(device)
            seen = stack.segment(renderer(wanted).clamp(0, 255).round()).argmax(1)
            found.append((seen != wanted).float().mean((1, 2)).cpu())
    return torch.cat(found)
