"""Training a shared renderer, in stages: the renderer, then what else belongs to it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch

from seesame.codecs.semantic.networks import Renderer, RendererDesign
from seesame.codecs.semantic.renderer_file import Part
from seesame.codecs.semantic.shared import SharedRenderer, Weights
from seesame.codecs.semantic.training.drives import Seen
from seesame.codecs.semantic.training.loop import Run
from seesame.codecs.semantic.training.settings import TrainingSettings
from seesame.errors import UserError
from seesame.neural.fitting.checkpoint import Checkpoint
from seesame.perception.stack import Stack

Progress = Callable[[float, str], None]
Stages = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True)
class Training:
    """What the stages of a training share.

    Args:
        stack: differentiable, on the device.
        drives: what it sees in each drive, or kind of drives.
        settings: how long, and the seed.
        device: where all runs.
        stages: called with the label of a stage that begins.
        folder: of the checkpoints, which are removed in the end.
        resume: go on from the checkpoint, where there is one.
        start: a renderer to start from; the weights start at random without it.
    """

    stack: Stack
    drives: Sequence[Seen]
    settings: TrainingSettings
    device: str
    stages: Stages
    folder: Path
    resume: bool = False
    start: SharedRenderer | None = None


def train_shared(training: Training) -> SharedRenderer:
    """Train a renderer for a stack, with all that goes with it.

    Raises:
        UserError: the stack has no gradients, there are no masks, or the checkpoint is of another
            training.
    """
    return train_renderer(training)


def check_stack(stack: Stack) -> RendererDesign:
    """Return the shape of a stack's renderer. Raises UserError for a stack that can have none."""
    if not stack.differentiable:
        raise UserError(
            f"stack {stack.name} is not differentiable, so that no renderer can be trained for it"
        )
    if not 2 <= len(stack.classes) <= 256:
        raise UserError(
            f"stack {stack.name} has {len(stack.classes)} classes; a renderer takes 2 to 256"
        )
    try:
        return RendererDesign(len(stack.classes), *stack.input_size)
    except ValueError as error:
        raise UserError(f"stack {stack.name}: a renderer's {error}") from error


def train_renderer(training: Training) -> SharedRenderer:
    """Train the network that draws masks; see :func:`train_shared`."""
    stack, settings, start = training.stack, training.settings, training.start
    design = check_stack(stack)
    if not training.drives:
        raise UserError("there is nothing to train on: name drives, or allow synthetic ones")
    torch.manual_seed(settings.seed)
    renderer = Renderer(design)
    if start is not None:
        _check_start(start, stack, design)
        renderer.load_state_dict(start.renderer.state_dict())
    sources = [seen.masks for seen in training.drives]
    run = Run(renderer, stack, sources, settings, training.device, trained=start is not None)
    checkpoint = Checkpoint(training.folder, _identity(training))
    if training.resume and checkpoint.exists:
        checkpoint.load(run)
    with training.stages("train renderer") as told:
        try:
            run.train(told, lambda: checkpoint.save(run))
        except KeyboardInterrupt:
            checkpoint.save(run)
            raise
    shared = SharedRenderer.make(stack, {Part.RENDERER: Weights(design, run.result())})
    checkpoint.remove()
    return shared


def _check_start(start: SharedRenderer, stack: Stack, design: RendererDesign) -> None:
    if start.fingerprint != stack.fingerprint:
        raise UserError(f"the first renderer belongs to stack {start.stack}, not {stack.name}")
    if start.renderer.design != design:
        raise UserError("the first renderer has another shape than the one to be trained")


def _identity(training: Training) -> Mapping[str, object]:
    """Return what must agree for a checkpoint to be gone on with."""
    stack, start = training.stack, training.start
    return {
        "stack": stack.fingerprint or stack.name,
        "drives": [len(seen.second) for seen in training.drives],
        "seed": training.settings.seed,
        "steps": training.settings.steps,
        "first renderer": start.digest if start else "",
    }
