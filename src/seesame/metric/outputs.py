"""The networks' outputs for batches of a clip's frames."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from seesame.errors import DamagedError, UserError
from seesame.perception.stack import Stack
from seesame.video.clip import Clip, Frames
from seesame.video.resize import resize


@dataclass(frozen=True, eq=False)
class Outputs:
    """The stack's outputs for one batch of pairs of one clip."""

    classes: Tensor
    """Arg-max classes of the second frames, integer ``(B, h, w)``."""
    poses: Tensor
    """Pose values of the pairs, float32 ``(B, P)``; ``P`` is 0 where a batch has no pair."""
    first_classes: Tensor | None
    """Arg-max classes of the other frames, ``(B, h, w)``, or one more with an odd last frame; None
    where they are not judged."""

    @property
    def frames(self) -> Tensor:
        """The class maps of all judged frames in their order, ``(F, h, w)``."""
        first, second = self.first_classes, self.classes
        if first is None:
            return second
        found = first.new_empty(len(first) + len(second), *first.shape[1:])
        found[0::2], found[1::2] = first, second
        return found


def outputs_of(rgb: Tensor, stack: Stack, every_frame: bool) -> Outputs:
    """Return the outputs for frames ``(F, 3, H, W)`` of whole pairs and, last, an odd frame.

    Second frames and the others go through the network one after the other, so that the outputs of
    second frames do not depend on whether the others are judged.
    """
    first = _classes(rgb[0::2], stack) if every_frame else None
    pairs = rgb[: len(rgb) // 2 * 2].view(-1, 2, *rgb.shape[1:]) if len(rgb) > 1 else None
    if pairs is None:
        assert first is not None
        return Outputs(first[:0], rgb.new_zeros(0, 0), first)
    classes = _classes(pairs[:, 1], stack)
    poses = stack.pose(pairs).float() if stack.has_pose else rgb.new_zeros(len(pairs), 0)
    _check_finite(poses, stack)
    return Outputs(classes, poses, first)


def _classes(rgb: Tensor, stack: Stack) -> Tensor:
    """Return the arg-max classes ``(B, h, w)`` of frames. Raises UserError for no numbers."""
    logits = stack.segment(rgb)
    _check_finite(logits, stack)
    return _arg_max(logits)


def _check_finite(values: Tensor, stack: Stack) -> None:
    # NaN would compare as class 0 everywhere and pass for a perfect match.
    if not _finite(values):
        raise UserError(f"stack {stack.name} gives values that are not finite; check its weights")


def moved(outputs: Outputs, device: str) -> Outputs:
    """Return the outputs on a torch device."""
    first = outputs.first_classes
    return Outputs(
        outputs.classes.to(device),
        outputs.poses.to(device),
        None if first is None else first.to(device),
    )


def _arg_max(logits: Tensor) -> Tensor:
    """Return the first of the largest channels, ``(B, C, h, w)`` to ``(B, h, w)``.

    As ``torch.argmax``, which takes ten times as long where the channels are few and far apart.
    """
    kind = torch.uint8 if logits.shape[1] <= 256 else torch.int16
    best = logits[:, 0].clone(memory_format=torch.contiguous_format)
    classes = torch.zeros_like(best, dtype=kind)
    for index in range(1, logits.shape[1]):
        channel = logits[:, index]
        classes.masked_fill_(channel > best, index)
        torch.maximum(best, channel, out=best)
    return classes


def _finite(values: Tensor) -> bool:
    """Return whether all values are finite; NaN and infinity both show in the extremes."""
    return values.numel() == 0 or bool(torch.isfinite(torch.stack(torch.aminmax(values))).all())


def seen_frames(
    batches: Iterable[Frames], stack: Stack, device: str
) -> Generator[Tensor, None, None]:
    """Yield frames ``uint8 (F, H, W, 3)`` as the networks take them: float32 ``(F, 3, h, w)``.

    Where both networks read frames of one size, every frame is resized to it here, once, and by
    itself: a batch of whole frames in float32 would be large.
    """
    height, width = stack.input_size
    for batch in batches:
        writeable = batch if batch.flags.writeable else batch.copy()  # torch would warn
        frames = torch.from_numpy(writeable).to(device).permute(0, 3, 1, 2)
        if not stack.shared_input:
            yield frames.to(torch.float32, memory_format=torch.contiguous_format)
            continue
        rgb = torch.empty(len(batch), 3, height, width, device=frames.device)
        for frame, small in zip(frames, rgb, strict=True):
            # Channels last, as the frame is: the same values in half the time.
            small.copy_(resize(frame[None].float(), (height, width))[0])
        yield rgb


def frame_batches(clip: Clip, batch_pairs: int, odd: bool) -> Generator[Frames, None, None]:
    """Yield whole pairs, ``uint8 (F, H, W, 3)``, of exactly the frames that the clip promises.

    Args:
        clip: to read.
        batch_pairs: pairs a batch.
        odd: with an odd last frame, which forms no pair.
    """
    seen = 0
    for frames in clip.batches(2 * batch_pairs):
        seen += len(frames)
        kept = frames if odd else frames[: len(frames) // 2 * 2]
        if len(kept):
            yield kept
    if seen != clip.num_frames:
        raise DamagedError(f"the clip promises {clip.num_frames} frames, but gave {seen}")
