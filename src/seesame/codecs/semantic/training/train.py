"""Training a shared renderer from masks, in stages: the renderer, then what else goes with it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor

from seesame.codecs.semantic.networks import Renderer, RendererDesign
from seesame.codecs.semantic.shared import Part, SharedRenderer, Weights
from seesame.codecs.semantic.training.loop import Run
from seesame.codecs.semantic.training.settings import TrainingSettings
from seesame.errors import UserError
from seesame.neural.fitting.checkpoint import Checkpoint
from seesame.perception.stack import Stack

Progress = Callable[[float, str], None]
Stages = Callable[[str], AbstractContextManager[Progress]]


def check_stack(stack: Stack) -> None:
    """Refuse a stack that no renderer can be trained for. Raises UserError."""
    if not stack.differentiable:
        raise UserError(
            f"stack {stack.name} is not differentiable, so that no renderer can be trained for it"
        )
    if not 2 <= len(stack.classes) <= 256:
        raise UserError(
            f"stack {stack.name} has {len(stack.classes)} classes; a renderer takes 2 to 256"
        )


def design_for(stack: Stack) -> RendererDesign:
    """Return the shape of a stack's renderer. Raises UserError for a stack that has none."""
    check_stack(stack)
    height, width = stack.input_size
    try:
        return RendererDesign(len(stack.classes), height, width)
    except ValueError as error:
        raise UserError(f"stack {stack.name}: a renderer's {error}") from error


def train_renderer(
    stack: Stack,
    sources: Sequence[Tensor],
    settings: TrainingSettings,
    device: str,
    stages: Stages,
    *,
    folder: Path,
    resume: bool = False,
    start: SharedRenderer | None = None,
) -> SharedRenderer:
    """Train a renderer for a stack.

    Args:
        stack: differentiable, on the device.
        sources: masks ``uint8 (N, h, w)`` of each drive, or kind of drives.
        settings: how long, and the seed.
        device: where all runs.
        stages: called with the label of a stage that begins.
        folder: of the checkpoint, which is removed in the end.
        resume: go on from the checkpoint, where there is one.
        start: a renderer to start from; the weights start at random without it.

    Raises:
        UserError: the stack has no gradients, there are no masks, or the checkpoint is of another
            training.
    """
    design = design_for(stack)
    sources = [_sized(masks, design) for masks in sources if len(masks)]
    if not sources:
        raise UserError("there is nothing to train on: name drives, or allow synthetic ones")
    torch.manual_seed(settings.seed)
    renderer = Renderer(design)
    if start is not None:
        renderer = _started(start, stack, design)
    run = Run(renderer, stack, sources, settings, device, trained=start is not None)
    checkpoint = Checkpoint(folder, _identity(stack, sources, settings, start))
    if resume and checkpoint.exists:
        checkpoint.load(run)
    with stages("train renderer") as told:
        try:
            run.train(told, lambda: checkpoint.save(run))
        except KeyboardInterrupt:
            checkpoint.save(run)
            raise
    shared = SharedRenderer.make(stack, {Part.RENDERER: Weights(design, run.result())})
    checkpoint.remove()
    return shared


def _sized(masks: Tensor, design: RendererDesign) -> Tensor:
    """Return masks as they are; their classes must be the design's. Raises UserError."""
    if int(masks.max()) >= design.classes:
        raise UserError(f"a mask has class {int(masks.max())}, of {design.classes} classes")
    return masks


def _started(start: SharedRenderer, stack: Stack, design: RendererDesign) -> Renderer:
    if start.fingerprint != stack.fingerprint:
        raise UserError(
            f"the renderer to start from belongs to stack {start.stack}, not {stack.name}"
        )
    renderer = Renderer(design)
    if start.renderer.design != design:
        raise UserError("the renderer to start from has another shape")
    renderer.load_state_dict(start.renderer.state_dict())
    return renderer


def _identity(
    stack: Stack,
    sources: Sequence[Tensor],
    settings: TrainingSettings,
    start: SharedRenderer | None,
) -> Mapping[str, object]:
    """Return what must agree for a checkpoint to be gone on with."""
    return {
        "stack": stack.fingerprint or stack.name,
        "drives": [len(masks) for masks in sources],
        "seed": settings.seed,
        "steps": settings.steps,
        "start": start.digest if start else "",
    }
