"""The public contest entries' recipe, written afresh: model, training, file.

As published with the entries to the comma video compression challenge (its pull request 95 and
those that build on it): a latent of 28 values for each pair, a HNeRV-like decoder with channels
36-36-36-27-20-18-18, a curriculum of losses that ends at the score's distortion terms, int8
quantisation in the last part of training, and brotli over the bytes. No rate in the loss. The
refinements that later entries stacked on top (entropy-coded repacking, sidecars, Muon) are left
out.

The published decoder has seven widths: of the stem's 6x8 grid, then of six stages that double it
to 384x512. A smaller render size needs fewer doublings from such a grid (five at 192x256). The
stages left over do not double: they are refinements at the stem's resolution, the first ones, so
that each width stays with the resolution, counted from the picture, for which it was published.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import brotli
import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from seesame.metric.evaluator import ReferenceOutputs
from seesame.neural.fitting.optimiser import set_rate
from seesame.neural.fitting.replay import Replay
from seesame.perception.stack import Stack
from seesame.video.clip import Clip, Frames
from seesame.video.resize import resize, resize_matrix, to_float, to_uint8

WIDTHS = (36, 36, 36, 27, 20, 18, 18)
LATENT = 28
STEM_SIDE = 6
"""Rows of the published stem's grid; the grid's shorter side here has about as many."""


@dataclass(frozen=True)
class Design:
    """The design of a model: all that the published inflate scripts know without the file.

    Args:
        render: ``(height, width)`` of the rendered pictures.
        width: the channels as a share of the published ones.
        num_pairs: latents; a trailing odd frame repeats the one before it.
    """

    render: tuple[int, int]
    width: float
    num_pairs: int

    @classmethod
    def of(cls, clip: Clip, stack: Stack, width: float) -> "Design":
        """Return a design that renders at the stack's input size, or the source's if smaller."""
        height, across = stack.input_size
        render = min(clip.height, height), min(clip.width, across)
        return cls(render, width, clip.num_frames // 2)

    @property
    def channels(self) -> tuple[int, ...]:
        """The seven widths."""
        return tuple(max(4, round(self.width * c)) for c in WIDTHS)

    @property
    def doublings(self) -> int:
        """The number of the six stages that double the resolution."""
        wanted = math.ceil(math.log2(min(self.render) / STEM_SIDE))
        return max(1, min(len(WIDTHS) - 1, wanted))

    @property
    def grid(self) -> tuple[int, int]:
        """The stem's grid."""
        step = 2**self.doublings
        return -(-self.render[0] // step), -(-self.render[1] // step)


class Model(nn.Module):
    """The latents of all pairs and their decoder; ``forward`` renders pairs by their numbers."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design = design
        widths, (rows, columns) = design.channels, design.grid
        self.latents = nn.Embedding(design.num_pairs, LATENT)
        self.stem = nn.Linear(LATENT, widths[0] * rows * columns)
        refining = len(widths) - 1 - design.doublings
        self.scales = [1] * refining + [2] * design.doublings
        self.stages = nn.ModuleList(
            nn.Conv2d(a, b * scale * scale, 3, padding=1)
            for a, b, scale in zip(widths, widths[1:], self.scales, strict=False)
        )
        self.head = nn.Conv2d(widths[-1], 6, 3, padding=1)
        for stage in self.stages:
            assert isinstance(stage, nn.Conv2d)
            nn.init.normal_(stage.weight, std=1.3 * (9 * stage.in_channels) ** -0.5)
            nn.init.zeros_(stage.bias)
        nn.init.normal_(self.head.weight, std=0.5 * (9 * widths[-1]) ** -0.5)
        nn.init.zeros_(self.head.bias)
        nn.init.normal_(self.stem.weight, std=LATENT**-0.5)
        nn.init.zeros_(self.stem.bias)

    def forward(self, pairs: Tensor) -> Tensor:
        """Return the frames of pairs ``(B,)``: ``(B, 2, 3, h, w)`` in 0..255."""
        x = F.gelu(self.stem(self.latents(pairs)))
        x = x.view(len(pairs), -1, *self.design.grid)
        for stage, scale in zip(self.stages, self.scales, strict=True):
            # The layout that oneDNN is quick with; pixel_shuffle leaves another behind.
            x = F.gelu(stage(x.contiguous(memory_format=torch.channels_last)))
            x = F.pixel_shuffle(x, scale)
        x = self.head(x.contiguous(memory_format=torch.channels_last))
        height, width = self.design.render
        frames = 255 * torch.sigmoid(x[:, :, :height, :width].float())
        return frames.reshape(-1, 2, 3, height, width)

    def size(self) -> int:
        """Return the number of values in the file: weights, biases, latents."""
        return sum(p.numel() for p in self.parameters())


def int8_scale(tensor: Tensor) -> Tensor:
    """Return the step of a tensor's symmetric int8 code, as the file's float16 has it."""
    scale = (tensor.detach().abs().amax() / 127).clamp(min=1e-6)
    return scale.half().float()


def fake_quantised(model: Model) -> dict[str, Tensor]:
    """Return all parameters as the file will give them; the gradient passes straight through."""
    made = {}
    for name, p in model.named_parameters():
        scale = int8_scale(p)
        rounded = (p / scale).round().clamp(-127, 127) * scale
        made[name] = p + (rounded - p).detach()
    return made


def pack(model: Model) -> bytes:
    """Return one brotli stream of the int8 symbols of all tensors and their float16 scales."""
    symbols, scales = [], []
    for p in model.parameters():
        scale = int8_scale(p)
        values = (p.detach() / scale).round().clamp(-127, 127)
        symbols.append(values.to(torch.int8).cpu().numpy().tobytes())
        scales.append(np.float16(float(scale)).tobytes())
    return brotli.compress(b"".join([*symbols, *scales]), quality=11, lgwin=24)


def unpack(data: bytes, design: Design) -> Model:
    """Return the model of a file. Raises ValueError for another design."""
    plain = brotli.decompress(data)
    model = Model(design)
    parameters = list(model.parameters())
    scales = np.frombuffer(plain[-2 * len(parameters) :], np.float16)
    start = 0
    for p, scale in zip(parameters, scales, strict=True):
        values = np.frombuffer(plain, np.int8, p.numel(), start).astype(np.float32)
        p.data = torch.from_numpy(values * np.float32(scale)).view(p.shape)
        start += p.numel()
    if start + 2 * len(parameters) != len(plain):
        raise ValueError("the file is of another design")
    return model.requires_grad_(False).eval()


class RecipeClip:
    """The decoded clip: rendered, enlarged bilinearly to source size, rounded."""

    def __init__(self, path: Path, design: Design, source: Clip, device: str = "cpu") -> None:
        self.width, self.height = source.width, source.height
        self.num_frames, self.source_bytes = source.num_frames, source.source_bytes
        self.fps: Fraction = source.fps
        self._device = device
        self._model = unpack(path.read_bytes(), design).to(device)

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield frames in order, ``uint8 (B, H, W, 3)``."""
        last = self._model.design.num_pairs - 1
        for start in range(0, self.num_frames, batch_size):
            wanted = torch.arange(start, min(start + batch_size, self.num_frames))
            numbers = (wanted // 2).clamp(max=last)
            second = torch.where(wanted // 2 > last, 1, wanted % 2)
            frames = []
            for number in numbers.unique():
                with torch.no_grad():
                    pair = self._model(number[None].to(self._device))[0]
                    for which in second[numbers == number]:
                        one = resize(pair[which][None], (self.height, self.width))
                        frames.append(to_uint8(one))
            yield np.concatenate(frames)


@dataclass(frozen=True)
class Plan:
    """The schedule, in shares of the training.

    Args:
        rate: peak of the learning rate at full width; a narrower model's is higher in proportion
            (as Yang et al. 2022, "Tensor Programs V", scale Adam's).
        latent_rate: of the latents, in units of the weights' rate.
        pixels_to: the pixel warm-up ends; cross-entropy begins.
        entropy_to: cross-entropy ends; the margin's softplus begins.
        margin_to: the margin ends; the smooth disagreement begins.
        quantise_from: int8 in the loop begins.
        batch: pairs a step.
        decay: weight decay of the decoder.
        average: decay of the moving average, over this share of the training.
    """

    rate: float = 4e-3
    latent_rate: float = 3.0
    pixels_to: float = 0.10
    entropy_to: float = 0.35
    margin_to: float = 0.55
    quantise_from: float = 0.75
    batch: int = 6
    decay: float = 1e-4
    average: float = 0.005


class Trainer:
    """One training of the recipe.

    Args:
        model: trained in place.
        frames: the source's whole pairs at render size, ``uint8 (N, 2, 3, h, w)``.
        outputs: what the stack sees in the source.
        stack: the frozen nets.
        source: ``(height, width)`` of the source.
        plan: the schedule.
        device: where it runs.
    """

    def __init__(
        self,
        model: Model,
        frames: Tensor,
        outputs: ReferenceOutputs,
        stack: Stack,
        source: tuple[int, int],
        plan: Plan,
        device: str = "cpu",
    ) -> None:
        self.model, self.stack, self.plan, self.device = model.to(device), stack, plan, device
        self.frames, self.classes, self.poses = (
            x.to(device) for x in (frames, outputs.classes, outputs.poses[:, : stack.judged])
        )
        gpu = device.startswith("cuda")
        self.replay: Replay[Tensor] = Replay(self._advance, torch.device(device), gpu)
        self.peak = plan.rate / model.design.width
        decoder = [p for n, p in model.named_parameters() if not n.startswith("latents")]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": decoder, "scale": 1.0, "weight_decay": plan.decay},
                {"params": [model.latents.weight], "scale": plan.latent_rate, "weight_decay": 0.0},
            ],
            betas=(0.9, 0.98),
            fused=gpu,
            capturable=gpu,
        )
        self.average = {n: p.detach().clone() for n, p in model.named_parameters()}
        # The judged file is enlarged and the stack shrinks it again: one matrix an axis.
        self.through = [
            (resize_matrix(r, s, "bilinear") @ resize_matrix(s, r, "bilinear")).to(device)
            for r, s in zip(model.design.render, source, strict=True)
        ]

    def run(self, share: Callable[[], float], note: Callable[[float, float], None]) -> int:
        """Train until ``share`` reaches 1; ``note`` gets share and loss. Returns the steps."""
        count = len(self.frames)
        size = min(self.plan.batch, count)
        steps, before, order = 0, 0.0, torch.empty(0, dtype=torch.long)
        while (now := share()) < 1.0:
            if len(order) < size:
                order = torch.cat([order, torch.randperm(count)])
            batch, order = order[:size], order[size:]
            note(now, self._step(batch, now))
            # The average's memory is a share of the training, however many steps that has.
            keep = math.exp(-max(now - before, 1e-9) / self.plan.average)
            now_there = [p.detach() for p in self.model.parameters()]
            torch._foreach_lerp_(list(self.average.values()), now_there, 1 - keep)
            steps, before = steps + 1, now
        return steps

    def averaged(self) -> Model:
        """Return the model of the moving average."""
        made = Model(self.model.design)
        made.load_state_dict(self.average)
        return made.to(self.device)

    def _step(self, batch: Tensor, share: float) -> float:
        plan = self.plan
        near = batch.to(self.device)
        inputs = {
            "pairs": near,
            "frames": self.frames[near],
            "classes": self.classes[near],
            "poses": self.poses[near],
            "temperature": torch.tensor(0.6 - 0.4 * share, device=self.device),
        }
        kind = share >= plan.quantise_from, self._stage(share)

        def descend(read: Mapping[str, Tensor]) -> Tensor:
            return self._descend(read, *kind)

        loss, norm = self.replay.first(kind, descend, inputs).tolist()
        if math.isfinite(norm):
            cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share))
            rate = self.peak * min(1.0, share / 0.02 + 0.02) * cosine
            set_rate(self.optimiser, rate, near.device)
            limit = 5.0 if share < plan.pixels_to else 50.0
            self.replay.second(min(1.0, limit / (norm + 1e-6)))
        return loss

    def _stage(self, share: float) -> str:
        plan = self.plan
        ends = {"pixels": plan.pixels_to, "entropy": plan.entropy_to, "margin": plan.margin_to}
        return next((name for name, end in ends.items() if share < end), "smooth")

    def _descend(self, read: Mapping[str, Tensor], quantised: bool, stage: str) -> Tensor:
        """Compute gradients; return the loss and the gradients' norm."""
        if quantised:
            frames = functional_call(self.model, fake_quantised(self.model), (read["pairs"],))
        else:
            frames = self.model(read["pairs"])
        if stage == "pixels":
            loss = (frames - read["frames"].float()).abs().mean()
        else:
            rows, columns = self.through
            seen = rows @ (frames @ columns.T)
            loss = self._seg(seen, read, stage) + self._pose(seen, read)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.get_total_norm([p.grad for p in self.model.parameters()])
        return torch.stack([loss.detach(), norm])

    def _advance(self, read: Mapping[str, Tensor]) -> None:
        torch._foreach_mul_([p.grad for p in self.model.parameters()], read["factor"])
        self.optimiser.step()

    def _seg(self, seen: Tensor, read: Mapping[str, Tensor], stage: str) -> Tensor:
        logits = self.stack.segment(seen[:, 1]).float()
        classes = read["classes"].long()
        if stage == "entropy":
            return 20 * F.cross_entropy(logits, classes)
        own = logits.gather(1, classes[:, None])[:, 0]
        lead = own - logits.scatter(1, classes[:, None], -math.inf).amax(1)
        if stage == "margin":
            return 30 * F.softplus(1 - 2 * lead).mean()
        return 100 * torch.sigmoid(-lead / read["temperature"]).mean()

    def _pose(self, seen: Tensor, read: Mapping[str, Tensor]) -> Tensor:
        if not self.stack.has_pose:
            return seen.new_zeros(())
        judged = self.stack.judged
        square = (self.stack.pose(seen).float()[:, :judged] - read["poses"]).square().mean()
        return torch.sqrt(10 * square + 1e-6)


def small_pairs(clip: Clip, size: tuple[int, int]) -> Tensor:
    """Return the whole pairs of a clip at render size, ``uint8 (N, 2, 3, h, w)``."""
    parts = [resize(to_float(b), size, "area").round().byte() for b in clip.batches(16)]
    frames = torch.cat(parts)[: clip.num_frames // 2 * 2]
    return frames.view(-1, 2, *frames.shape[1:])


def clock(start: float, seconds: float, now: Callable[[], float]) -> Callable[[], float]:
    """Return a function that gives the share of some seconds that has passed since ``start``."""
    return lambda: (now() - start) / seconds


def timer(device: str) -> Callable[[], float]:
    """Return a clock: CPU seconds of this process, or wall seconds where a GPU does the work."""
    return time.process_time if device == "cpu" else time.monotonic
