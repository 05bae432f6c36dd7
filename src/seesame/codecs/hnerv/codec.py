"""The hnerv codec: reference pass, training, packing, and lazy decoding."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seesame.bitstream.container import Container, Section, pack_config
from seesame.codecs.base import EncodeContext
from seesame.codecs.hnerv.checkpoint import Checkpoint
from seesame.codecs.hnerv.config import HnervSettings, Schedule, design
from seesame.codecs.hnerv.correct import Plan, search
from seesame.codecs.hnerv.geometry import enlarge
from seesame.codecs.hnerv.interrupt import interruptible
from seesame.codecs.hnerv.model import Architecture, Decoder
from seesame.codecs.hnerv.pack import (
    LAYOUT,
    pack_architecture,
    pack_latents,
    pack_weights,
    unpack_architecture,
    unpack_latents,
    unpack_weights,
)
from seesame.codecs.hnerv.representation import Representation, row_shapes, tensor_axes
from seesame.codecs.hnerv.rows import Rows
from seesame.codecs.hnerv.sidecar import Corrections, apply, pack_sidecar, unpack_sidecar
from seesame.codecs.hnerv.train import Candidate, Clock, Material, Training
from seesame.codecs.hnerv.warm import Start, picture_latents
from seesame.errors import DamagedError, UserError
from seesame.metric.evaluator import ReferenceOutputs, evaluate, reference_outputs
from seesame.perception.stack import Stack
from seesame.video.clip import Clip, Frames
from seesame.video.resize import resize, to_float, to_uint8

CODEC_ID = 16
MAX_LATENT_SYMBOLS = 1 << 24
DECODE_PAIRS = 4
"""Pairs decoded at once: fixed, so that the pixels do not depend on the reader's batch size."""

MAX_ENLARGEMENT = 64
"""A file that asks for more was not made by the encoder; it would only cost memory."""

LEAST_TRAINING_SECONDS = 10.0
CORRECTING_SHARE = 0.06
"""Share of an encode's time that the search for corrections may take."""
CORRECTING_ROUNDS = 1
"""Passes of that search in a run of so many steps, which must not depend on the time."""


class TappedClip:
    """A clip that shows every batch to an observer as it passes."""

    def __init__(self, clip: Clip, size: tuple[int, int]) -> None:
        self.width, self.height, self.fps = clip.width, clip.height, clip.fps
        self.num_frames, self.source_bytes = clip.num_frames, clip.source_bytes
        self._clip, self._size = clip, size
        # The whole clip once, at render size: what training reads at random.
        self._small = torch.empty(-(-clip.num_frames // 2) * 2, 3, *size, dtype=torch.uint8)

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """The clip's batches; keeps each frame at render size."""
        done = 0
        for batch in self._clip.batches(batch_size):
            small = resize(to_float(batch), self._size, "area").round()
            room = self._small[done : done + len(batch)]  # shorter if the clip gives too many
            room.copy_(small[: len(room)])
            done += len(batch)
            yield batch
        if done % 2:
            self._small[-1] = self._small[-2]

    def pairs(self) -> Tensor:
        """All frames at render size as pairs ``uint8 (N, 2, 3, h, w)``; an odd last one twice."""
        return self._small.view(-1, 2, *self._small.shape[1:])


class HnervClip:
    """The decoded clip, rendered lazily from a file's decoder and latents."""

    def __init__(self, container: Container, device: str) -> None:
        self.width, self.height = container.width, container.height
        self.num_frames, self.source_bytes = container.num_frames, container.source_bytes
        self.fps: Fraction = container.fps
        self._device = torch.device(device)
        self._decoder, self._latents = unpack(container)
        self._decoder.to(self._device)
        self._corrections = unpack_corrections(container)

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Frames in order, ``uint8 (B, H, W, 3)``."""
        waiting: list[Frames] = []
        held = 0
        for batch in self._rendered():
            waiting.append(batch)
            held += len(batch)
            if held >= batch_size:
                joined = np.concatenate(waiting)
                full = held - held % batch_size
                for start in range(0, full, batch_size):
                    yield joined[start : start + batch_size]
                waiting, held = [joined[full:]], held - full
        if held:
            yield np.concatenate(waiting)

    def _rendered(self) -> Iterator[Frames]:
        left = self.num_frames
        for start in range(0, len(self._latents), DECODE_PAIRS):
            part = self._latents[start : start + DECODE_PAIRS].to(self._device)
            with torch.inference_mode():
                frames = self._corrected(self._decoder(part), start).flatten(0, 1).clamp(0, 255)
            # One frame at a time: at source size a batch of floats would be large. Nothing is
            # yielded inside inference mode: a generator left unfinished would leave it switched on.
            for frame in frames[:left, None]:
                with torch.inference_mode():
                    whole = to_uint8(enlarge(frame, (self.height, self.width)))
                yield whole
            left -= 2 * len(part)

    def _corrected(self, frames: Tensor, start: int) -> Tensor:
        """Pairs ``(B, 2, 3, h, w)`` from number ``start`` on, with the sidecar's corrections."""
        if self._corrections is None:
            return frames
        values = self._corrections.values[start : start + len(frames)]
        return apply(frames, torch.from_numpy(values))


class HnervCodec:
    """A network overfitted to the clip against the stack; the file is the network."""

    name = "hnerv"
    codec_id = CODEC_ID
    summary = "neural representation trained against the stack; slow to encode, smallest files"

    def encode(self, clip: Clip, settings: Mapping[str, Any], context: EncodeContext) -> Container:
        """Train a representation of the clip and pack it.

        The first Ctrl-C ends training and returns the best file so far; the second stops at once.

        Raises:
            UserError: bad settings, no stack, a clip that forms no pair.
        """
        start = time.monotonic()
        chosen = HnervSettings.from_mapping(settings)
        stack = context.stack
        if stack is None:
            raise UserError("hnerv trains against a perception stack; name one with --stack")
        if not stack.differentiable:
            raise UserError(f"stack {stack.name} has no gradients; hnerv cannot train against it")
        if clip.source_bytes < 1:
            raise UserError("the source has no bytes, so that there is no rate to train for")
        torch.manual_seed(context.seed)
        architecture = design(clip, stack, chosen)
        warm = None if chosen.init is None else _start(Path(chosen.init))
        if warm is not None:
            architecture = warm.architecture(architecture)
        with interruptible() as interrupted:
            context.progress(0.0, "looking at the source")
            tapped = TappedClip(clip, architecture.render)
            outputs = reference_outputs(tapped, stack, device=context.device)
            look = time.monotonic() - start
            material = Material(tapped.pairs(), outputs, clip.source_bytes)
            job = _Job(clip, stack, chosen, context, outputs, architecture)
            if warm is not None:
                warm.fill(job.rep, outputs, stack)
            else:
                looks = picture_latents(material.frames, outputs.classes, architecture.latent)
                job.rep.latents.data.copy_(looks)
            best = job.train(material, start, look, interrupted)
        return Container.from_bytes(best.data)

    def decode(self, container: Container, device: str = "cpu") -> Clip:
        """The decoded clip. Raises DamagedError when the sections do not fit together."""
        return HnervClip(container, device)

    def notes(self, container: Container) -> dict[str, str]:
        """What ``seesame info`` says of the sidecar. Raises DamagedError when it is damaged."""
        corrections = unpack_corrections(container)
        if corrections is None:
            return {}
        used = ", ".join(f"{kind} {n}" for kind, n in corrections.counts().items() if n)
        size = len(container.sections[Section.SIDECAR])
        return {"sidecar": f"{size:,} bytes; of {_num_pairs(container):,} pairs corrected: {used}"}


class _Job:
    """One encode: plans the time, trains, judges candidates."""

    def __init__(
        self,
        clip: Clip,
        stack: Stack,
        settings: HnervSettings,
        context: EncodeContext,
        outputs: ReferenceOutputs,
        architecture: Architecture,
    ) -> None:
        self.clip, self.stack, self.settings = clip, stack, settings
        self.context, self.outputs = context, outputs
        self.rep = Representation(architecture, -(-clip.num_frames // 2))

    def train(
        self, material: Material, start: float, look: float, stop: threading.Event
    ) -> Candidate:
        schedule = Schedule()
        training = Training(self.rep, material, self.stack, self.settings, schedule, self.context)
        checkpoint = self._checkpoint()
        done = 0.0
        if self.settings.resume:
            if checkpoint is None:
                raise UserError("--resume needs the work folder of an earlier run")
            done = checkpoint.load(training) or 0.0
        # Judging a candidate takes about as long as the look at the source did, and whoever asked
        # for the file will judge it once more.
        judging = 1.2 * look
        # A run of so many steps must not depend on how fast the machine is.
        times = schedule.evaluations
        if self.settings.steps is None:
            times = schedule.affordable(self.settings.seconds, judging)
        spent = time.monotonic() - start
        seconds = self.settings.seconds - spent - judging * (times + 1)
        correcting = self._correcting(judging)
        seconds -= correcting + (judging if correcting else 0.0)
        clock = Clock(max(seconds, LEAST_TRAINING_SECONDS), self.settings.steps, done)
        best = training.run(clock, self.judge, times, stop.is_set, checkpoint)
        if correcting and not stop.is_set():
            left = start + self.settings.seconds - time.monotonic() - 2 * judging
            best = self.correct(best, min(correcting, left), stop)
        # An interrupted run has saved its state and can be resumed; a finished one is done.
        if checkpoint is not None and not stop.is_set():
            checkpoint.remove()
        return best

    def _correcting(self, judging: float) -> float:
        """Seconds to plan for the search for corrections; 0 where it would come to nothing."""
        share = CORRECTING_SHARE * self.settings.seconds
        # Before it can improve anything it judges every pair, and its result is judged again.
        worthwhile = self.settings.steps is not None or share >= 2 * judging
        return share if self.settings.sidecar and worthwhile else 0.0

    def _checkpoint(self) -> Checkpoint | None:
        if self.context.work is None:
            return None
        frames = f"{self.clip.width}x{self.clip.height}x{self.clip.num_frames}"
        outputs = hashlib.sha256(self.outputs.poses.numpy().tobytes())
        outputs.update(self.outputs.classes.numpy().tobytes())
        identity = {
            "clip": frames,
            "outputs": outputs.hexdigest(),
            "stack": self.stack.fingerprint,
            "architecture": repr(self.rep.architecture),
            "seed": self.context.seed,
        }
        return Checkpoint(self.context.work, identity)

    def judge(self) -> Candidate:
        """Pack the present state, decode the bytes, and score what comes out."""
        return self.scored(self.pack())

    def correct(self, best: Candidate, seconds: float, stop: threading.Event) -> Candidate:
        """The file with the corrections that a search finds, if its true score is lower."""
        self.context.progress(1.0, "correcting")
        plan = Plan(seconds=seconds)
        if self.settings.steps is not None:
            plan = Plan(rounds=CORRECTING_ROUNDS)
        container = Container.from_bytes(best.data)
        changed = corrected(
            container, self.outputs, self.stack, plan, self.context.device, stop.is_set
        )
        if changed.sections == container.sections:
            return best
        found = self.scored(changed)
        better = (found.excess, found.score) < (best.excess, best.score)
        return found if better else best

    def scored(self, container: Container) -> Candidate:
        """A file and its true score: its bytes are read back and decoded."""
        data = container.to_bytes()
        decoded = HnervClip(Container.from_bytes(data), self.context.device)
        found = evaluate(self.outputs, decoded, self.stack, len(data), device=self.context.device)
        excess = self.settings.limits.excess(found.score, len(data))
        return Candidate(found.score.total, data, excess)

    def pack(self) -> Container:
        """The file of the present state."""
        weights, latents = self.rep.symbols()
        config: dict[str, Any] = {
            k: v
            for k, v in vars(self.settings).items()
            if v != getattr(HnervSettings, k) and k not in ("resume", "init")
        }
        config |= {"stack": self.stack.name, "seed": self.context.seed}
        return Container(
            codec_id=CODEC_ID,
            width=self.clip.width,
            height=self.clip.height,
            fps=self.clip.fps,
            num_frames=self.clip.num_frames,
            source_bytes=self.clip.source_bytes,
            sections={
                Section.CONFIG: pack_config(config),
                Section.MODEL: pack_architecture(self.rep.architecture),
                Section.WEIGHTS: pack_weights(weights, tensor_axes(self.rep.architecture)),
                Section.LATENTS: pack_latents(latents),
            },
        )


def corrected(
    container: Container,
    outputs: ReferenceOutputs,
    stack: Stack,
    plan: Plan,
    device: str = "cpu",
    stop: Callable[[], bool] = lambda: False,
) -> Container:
    """A trained file with the corrections that a search finds; whether they pay is not judged.

    Args:
        container: the file; corrections that it has already are dropped.
        outputs: what the stack sees in the source.
        stack: differentiable nets.
        plan: how long to search, and for what.
        device: where to.
        stop: asked now and then; true ends the search.

    Raises:
        DamagedError: a section is missing or does not decode.
    """
    decoder, _ = unpack(container)
    architecture, layout = unpack_architecture(container.sections[Section.MODEL], "the file")
    latents = _latent_rows(container, architecture, layout)
    if layout != LAYOUT:
        plan = replace(plan, latents=False)  # its LATENTS are no longer written
    found = search(decoder.to(torch.device(device)), latents, outputs, stack, plan, stop)
    sections: dict[Section, bytes] = dict(container.sections)
    sections.pop(Section.SIDECAR, None)
    if (found.latents.symbols != latents.symbols).any():
        sections[Section.LATENTS] = pack_latents(found.latents)
    payload = pack_sidecar(found.corrections)
    if payload:
        sections[Section.SIDECAR] = payload
    return replace(container, sections=sections)


def _num_pairs(container: Container) -> int:
    return -(-container.num_frames // 2)


def _latent_rows(
    container: Container, architecture: Architecture, layout: int, name: str = "the file"
) -> Rows:
    shape = (architecture.latent, _num_pairs(container))
    return unpack_latents(container.sections[Section.LATENTS], shape, name, layout)


def unpack_corrections(container: Container) -> Corrections | None:
    """The sidecar of a file, or None. Raises DamagedError when it does not decode."""
    payload = container.sections.get(Section.SIDECAR)
    if payload is None:
        return None
    return unpack_sidecar(payload, _num_pairs(container), "the file")


def _start(path: Path) -> Start:
    """The decoder of another clip's file. Raises UserError or DamagedError, with the path."""
    container = Container.read(path)
    if container.codec_id != CODEC_ID:
        raise UserError(f"{path}: not a file of hnerv, so there is no decoder to start from")
    return Start(*unpack(container, str(path)))


def unpack(container: Container, name: str = "the file") -> tuple[Decoder, Tensor]:
    """The decoder and the latents ``(N, latent)`` of a file.

    Raises:
        DamagedError: a section is missing, impossible or does not decode.
    """
    for section in (Section.MODEL, Section.WEIGHTS, Section.LATENTS):
        if section not in container.sections:
            raise DamagedError(f"{name} is damaged: its {section.name} section is missing")
    architecture, layout = unpack_architecture(container.sections[Section.MODEL], name)
    size = (container.height, container.width)
    for rendered, side in zip(architecture.render, size, strict=True):
        if not rendered <= side <= MAX_ENLARGEMENT * rendered:
            raise DamagedError(f"{name} is damaged: it renders {rendered} pixels for {side}")
    num_pairs = _num_pairs(container)
    if num_pairs * architecture.latent > MAX_LATENT_SYMBOLS:
        raise DamagedError(f"{name} is damaged: it declares {container.num_frames:,} frames")
    weights = unpack_weights(
        container.sections[Section.WEIGHTS],
        row_shapes(architecture),
        tensor_axes(architecture),
        name,
        layout,
    )
    latents = _latent_rows(container, architecture, layout, name)
    decoder = Decoder(architecture)
    state = {
        key: torch.from_numpy(weights[key].values()).view(parameter.shape)
        for key, parameter in decoder.named_parameters()
    }
    decoder.load_state_dict(state)
    decoder.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return decoder.eval(), torch.from_numpy(latents.values().T.copy())
