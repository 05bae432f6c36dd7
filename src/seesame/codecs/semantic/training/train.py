"""Training a shared renderer in stages: what draws masks, the carrier, the prior of masks."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from seesame.codecs.semantic.carrier.network import Carrier
from seesame.codecs.semantic.masks.prior import learn_prior
from seesame.codecs.semantic.networks import Renderer, RendererDesign
from seesame.codecs.semantic.renderer_file import Part
from seesame.codecs.semantic.sections import MAX_CLASSES
from seesame.codecs.semantic.shared import SharedRenderer, Weights
from seesame.codecs.semantic.training.carrier import CarrierRun, design_for
from seesame.codecs.semantic.training.drives import Seen
from seesame.codecs.semantic.training.loop import Run
from seesame.codecs.semantic.training.settings import TUNING, TrainingSettings
from seesame.errors import UserError
from seesame.neural.fitting.checkpoint import Checkpoint
from seesame.neural.render.bounds import MAX_SIDE
from seesame.perception.stack import Stack

Progress = Callable[[float, str], None]
Stages = Callable[[str], AbstractContextManager[Progress]]
CARRIER = "carrier"
"""The folder of the carrier's checkpoint, in that of the renderer's."""


@dataclass(frozen=True)
class Training:
    """What the stages of a training share.

    Args:
        stack: differentiable, on the device.
        drives: what it sees in each drive, or kind of drives.
        settings: how long, and the seed.
        device: where all runs.
        stages: called with the label of a stage that begins.
        folder: of the checkpoints, one of each stage, which are removed in the end.
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
    """Train a renderer for a stack and what goes with it.

    That is a carrier, where the stack has a pose network, and what is known of masks before a
    clip's first.

    Raises:
        UserError: the stack has no gradients, there are no masks, or the checkpoint is of another
            training.
    """
    if not training.drives:
        raise UserError("there is nothing to train on: name drives, or allow synthetic ones")
    stack, whole = training.stack, training.settings.seconds
    posed = [seen for seen in training.drives if seen.poses.shape[1]]
    carries = stack.has_pose and stack.judged > 0 and bool(posed)
    later = TUNING.carrier_share * whole if carries else 0.0
    shared, checkpoint = _train_renderer(training, whole - later)
    if carries:
        shared = _train_carrier(training, shared, posed, later)
    shared = shared.with_part(
        Part.PRIOR, learn_prior_of(training.drives, training.stack, training.stages)
    )
    checkpoint.remove()
    return shared


def learn_prior_of(drives: Sequence[Seen], stack: Stack, stages: Stages) -> bytes:
    """Return what the coder of masks learns from drives.

    Args:
        drives: what the stack sees in them.
        stack: whose classes the masks have.
        stages: called with the label of the stage.
    """
    clips = [seen.second.numpy() for seen in drives]
    most = max(1, TUNING.prior_masks // len(clips))
    with stages("learn prior"):
        return learn_prior([clip[:most] for clip in clips], len(stack.classes))


def check_stack(stack: Stack) -> RendererDesign:
    """Return the shape of a stack's renderer. Raises UserError for a stack that can have none."""
    if not stack.differentiable:
        raise UserError(
            f"stack {stack.name} is not differentiable, so that no renderer can be trained for it"
        )
    if not 2 <= len(stack.classes) <= MAX_CLASSES:
        raise UserError(
            f"stack {stack.name} has {len(stack.classes)} classes; codec semantic takes 2 to "
            f"{MAX_CLASSES}"
        )
    if max(stack.input_size) > MAX_SIDE:
        height, width = stack.input_size
        raise UserError(
            f"stack {stack.name} reads {width}x{height} pixels; codec semantic takes at most "
            f"{MAX_SIDE} a side"
        )
    try:
        return RendererDesign(len(stack.classes), *stack.input_size)
    except ValueError as error:
        raise UserError(f"stack {stack.name}: a renderer's {error}") from error


def _train_renderer(training: Training, seconds: float) -> tuple[SharedRenderer, Checkpoint]:
    """Train the network that draws masks; its checkpoint stays until the whole is done."""
    stack, start = training.stack, training.start
    design = check_stack(stack)
    settings = replace(training.settings, seconds=seconds)
    torch.manual_seed(settings.seed)
    renderer = Renderer(design)
    if start is not None:
        _check_start(start, stack, design)
        renderer.load_state_dict(start.renderer.state_dict())
    sources = [seen.masks for seen in training.drives]
    run = Run(renderer, stack, sources, settings, training.device, trained=start is not None)
    checkpoint = Checkpoint(training.folder, _identity(training, start))
    # Once the carrier's stage has begun, another budget must not change the renderer below it.
    over = Checkpoint(training.folder / CARRIER, {}).exists
    _go_through(run, checkpoint, training, "train renderer", over)
    weights = Weights(design, run.result())
    return SharedRenderer.make(stack, {Part.RENDERER: weights}), checkpoint


def _train_carrier(
    training: Training, shared: SharedRenderer, drives: list[Seen], seconds: float
) -> SharedRenderer:
    """Return a renderer with a carrier that is trained on its pictures."""
    stack, device = training.stack, torch.device(training.device)
    settings = replace(training.settings, seconds=seconds)
    torch.manual_seed(settings.seed)
    design = design_for(stack, drives)
    carrier, start = Carrier(design), training.start
    if start is not None and start.carrier is not None:
        carrier.take_over(start.carrier)
    renderer = shared.renderer.to(device)
    run = CarrierRun(carrier, renderer, stack, drives, settings, training.device)
    checkpoint = Checkpoint(training.folder / CARRIER, _identity(training, shared))
    _go_through(run, checkpoint, training, "train carrier")
    made = shared.with_part(Part.CARRIER, Weights(design, run.result()))
    checkpoint.remove()
    return made


def _go_through(
    run: Run, checkpoint: Checkpoint, training: Training, label: str, over: bool = False
) -> None:
    """Train to the end, from the checkpoint where that is wanted, and keep what is reached.

    Args:
        run: one stage.
        checkpoint: of that stage.
        training: of which it is a stage.
        label: of the stage.
        over: a checkpoint that is gone on from is the end of the stage.
    """
    if training.resume and checkpoint.exists:
        checkpoint.load(run)
        if over:
            return
    with training.stages(label) as told:
        try:
            run.train(told, lambda: checkpoint.save(run))
        finally:
            checkpoint.save(run)  # when it is stopped, and for the stage after it


def _check_start(start: SharedRenderer, stack: Stack, design: RendererDesign) -> None:
    if start.fingerprint != stack.fingerprint:
        raise UserError(f"the first renderer belongs to stack {start.stack}, not {stack.name}")
    if start.renderer.design != design:
        raise UserError("the first renderer has another shape than the one to be trained")


def _identity(training: Training, start: SharedRenderer | None) -> Mapping[str, object]:
    """Return what must agree for a checkpoint to be gone on with."""
    stack = training.stack
    return {
        "stack": stack.fingerprint or stack.name,
        "drives": [len(seen.second) for seen in training.drives],
        "seed": training.settings.seed,
        "steps": training.settings.steps,
        "first renderer": start.digest if start else "",
    }
