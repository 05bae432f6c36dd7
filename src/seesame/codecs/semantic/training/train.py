"""Training a shared renderer, in stages: the renderer, then what else belongs to it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from seesame.codecs.semantic.carrier import Carrier
from seesame.codecs.semantic.networks import Renderer, RendererDesign
from seesame.codecs.semantic.renderer_file import Part
from seesame.codecs.semantic.shared import SharedRenderer, Weights
from seesame.codecs.semantic.training.carrier import CarrierRun, design_for
from seesame.codecs.semantic.training.drives import Seen
from seesame.codecs.semantic.training.loop import Run
from seesame.codecs.semantic.training.settings import TUNING, TrainingSettings
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
    shared = train_renderer(training)
    if training.stack.has_pose and training.stack.judged:
        shared = train_carrier(training, shared)
    for checkpoint in (_carriers(training), _renderers(training)):
        checkpoint.remove()
    return shared


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
    settings = _share_of(training, 0.0)
    run = Run(renderer, stack, sources, settings, training.device, trained=start is not None)
    _train(run, _renderers(training), training, "train renderer")
    return SharedRenderer.make(stack, {Part.RENDERER: Weights(design, run.result())})


def train_carrier(training: Training, shared: SharedRenderer) -> SharedRenderer:
    """Train the network that draws first frames for a renderer; return both."""
    stack, start = training.stack, training.start
    torch.manual_seed(training.settings.seed)
    if start is not None and start.carrier is not None:
        carrier = Carrier(start.carrier.design)
        carrier.load_state_dict(start.carrier.state_dict())
    else:
        carrier = Carrier(design_for(stack, training.drives))
    renderer = shared.renderer.to(training.device)
    settings = _share_of(training, TUNING.carrier)
    run = CarrierRun(carrier, renderer, stack, training.drives, settings, training.device)
    _train(run, _carriers(training), training, "train carrier")
    return shared.with_part(Part.CARRIER, Weights(carrier.design, run.result()))


def _share_of(training: Training, carrier: float) -> TrainingSettings:
    """Return the settings of a stage: the carrier's share of the time, or without it the rest."""
    stack, settings = training.stack, training.settings
    if not (stack.has_pose and stack.judged):
        return settings
    return replace(settings, seconds=settings.seconds * (carrier or 1 - TUNING.carrier))


def _train(run: Run, checkpoint: Checkpoint, training: Training, label: str) -> None:
    """Train to the end, from the checkpoint if wanted; the finished run stays as a checkpoint."""
    if training.resume and checkpoint.exists:
        checkpoint.load(run)
    with training.stages(label) as told:
        try:
            run.train(told, lambda: checkpoint.save(run))
        finally:
            checkpoint.save(run)


def _renderers(training: Training) -> Checkpoint:
    return Checkpoint(training.folder, _identity(training))


def _carriers(training: Training) -> Checkpoint:
    return Checkpoint(training.folder / "carrier", _identity(training))


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
