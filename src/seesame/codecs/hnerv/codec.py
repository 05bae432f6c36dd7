"""The hnerv codec: reference pass, training, packing, and lazy decoding."""

import hashlib
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from seesame.codecs.hnerv.geometry import enlarge
from seesame.codecs.hnerv.model import Architecture, Decoder
from seesame.codecs.hnerv.pack import (
    pack_architecture,
    pack_latents,
    pack_weights,
    unpack_architecture,
    unpack_latents,
    unpack_weights,
)
from seesame.codecs.hnerv.representation import Representation, row_shapes, tensor_axes
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
                frames = self._decoder(part).flatten(0, 1).clamp(0, 255)
            # One frame at a time: at source size a batch of floats would be large. Nothing is
            # yielded inside inference mode: a generator left unfinished would leave it switched on.
            for frame in frames[:left].split(1):
                with torch.inference_mode():
                    whole = to_uint8(enlarge(frame, (self.height, self.width)))
                yield whole
            left -= 2 * len(part)


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
        with _interruptible() as interrupted:
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
        clock = Clock(max(seconds, LEAST_TRAINING_SECONDS), self.settings.steps, done)
        best = training.run(clock, self.judge, times, stop.is_set, checkpoint)
        # An interrupted run has saved its state and can be resumed; a finished one is done.
        if checkpoint is not None and not stop.is_set():
            checkpoint.remove()
        return best

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
        data = self.pack().to_bytes()
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
    num_pairs = -(-container.num_frames // 2)
    if num_pairs * architecture.latent > MAX_LATENT_SYMBOLS:
        raise DamagedError(f"{name} is damaged: it declares {container.num_frames:,} frames")
    weights = unpack_weights(
        container.sections[Section.WEIGHTS],
        row_shapes(architecture),
        tensor_axes(architecture),
        name,
        layout,
    )
    latents = unpack_latents(
        container.sections[Section.LATENTS], (architecture.latent, num_pairs), name, layout
    )
    decoder = Decoder(architecture)
    state = {
        key: torch.from_numpy(weights[key].values()).view(parameter.shape)
        for key, parameter in decoder.named_parameters()
    }
    decoder.load_state_dict(state)
    decoder.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return decoder.eval(), torch.from_numpy(latents.values().T.copy())


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second raises KeyboardInterrupt as usual."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    usual = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: Any) -> None:
        event.set()
        signal.signal(signal.SIGINT, usual)

    signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, usual)
