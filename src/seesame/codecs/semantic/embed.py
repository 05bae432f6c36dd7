"""The renderer of one clip, which goes into its file: how long it trains, and what ends that."""

import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from seesame.codecs.semantic.config import SemanticSettings
from seesame.codecs.semantic.shared import SharedRenderer
from seesame.codecs.semantic.training.embedded import ClipTraining
from seesame.codecs.semantic.training.train import check_stack
from seesame.context import EncodeContext
from seesame.errors import UserError
from seesame.metric.evaluator import ReferenceOutputs
from seesame.neural.fitting.prepare import interruptible, of_the_budget
from seesame.neural.render.geometry import render_size
from seesame.perception.stack import Stack
from seesame.video.clip import Clip


@dataclass(frozen=True)
class EmbedTuning:
    """The division of the time of an encode that embeds.

    Args:
        usual: seconds of an encode where the user names none.
        least: share of the time that the training gets, however long the rest takes.
        timed: pairs on which the pose network is timed.
        solving: passes of that network over all pairs that drawing, the search for codes and
            residuals, and judging take together.
    """

    usual: float = 480.0
    least: float = 0.3
    timed: int = 8
    solving: float = 60.0


TUNING = EmbedTuning()


def planned(context: EncodeContext, chosen: SemanticSettings, start: float) -> EncodeContext:
    """Return the context of an encode that embeds: its progress is the share of the whole time."""
    if chosen.steps is not None:
        return context
    seconds = chosen.budget_s or TUNING.usual
    return replace(context, progress=of_the_budget(context.progress, start, seconds))


def check_clip(stack: Stack, clip: Clip) -> None:
    """Raise UserError for a stack or a clip of which no embedded renderer can be trained."""
    check_stack(stack)
    if clip.source_bytes < 1:
        raise UserError("the source has no bytes, so that there is no rate to train for")


def own_renderer(
    clip: Clip,
    masks: NDArray[np.uint8],
    outputs: ReferenceOutputs,
    chosen: SemanticSettings,
    context: EncodeContext,
    start: float,
) -> SharedRenderer:
    """Train a renderer for a clip alone.

    The first Ctrl-C ends the training, and what was learned so far is used; the second stops.

    Args:
        clip: the source.
        masks: to be drawn, ``uint8 (T, h, w)``.
        outputs: of the stack, for the source.
        chosen: the settings.
        context: stack, device, seed and progress.
        start: when the encode began, of ``time.monotonic``.

    Raises:
        UserError: the training diverges.
    """
    stack = context.stack
    assert stack is not None
    training = ClipTraining(
        stack=stack,
        masks=torch.from_numpy(masks),
        poses=outputs.poses[:, : stack.judged].cpu(),
        every_frame=chosen.every_frame,
        render=render_size(clip, stack),
        byte_value=25 / clip.source_bytes,
        device=context.device,
        seed=context.seed,
        steps=chosen.steps,
    )
    whole = chosen.budget_s or TUNING.usual
    later = TUNING.solving * _pass(stack, len(outputs.poses), context.device)
    left = start + whole - time.monotonic() - later
    with interruptible() as stop:
        return training.train(
            max(left, TUNING.least * whole), context.progress, stop.is_set
        ).without_stack()


def _pass(stack: Stack, pairs: int, device: str) -> float:
    """Return the seconds that the pose network takes for all pairs."""
    if not stack.has_pose:
        return 0.0
    count = min(pairs, TUNING.timed)
    some = torch.zeros(count, 2, 3, *stack.input_size, device=torch.device(device))
    with torch.inference_mode():
        stack.pose(some)  # the first call takes longer than others
        before = time.monotonic()
        stack.pose(some)
    return (time.monotonic() - before) * pairs / count
