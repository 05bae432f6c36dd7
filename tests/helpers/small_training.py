"""A training run that is small enough for a test."""

import torch
from fake_stack import FakeStack, tiny_clip

from seesame.codecs.hnerv.architecture import Architecture
from seesame.codecs.hnerv.config import HnervSettings
from seesame.codecs.hnerv.representation import Representation
from seesame.context import EncodeContext, Progress, no_progress
from seesame.metric.evaluator import reference_outputs
from seesame.neural.fitting.loop import Training
from seesame.neural.fitting.loss.losses import Material
from seesame.neural.fitting.schedule import Schedule
from seesame.neural.fitting.source import SourcePairs

SIZE = (32, 64)
SMALL = Architecture(SIZE, 3, (5, 4, 4, 4, 4))


def small_network(num_pairs: int, seed: int = 0) -> Representation:
    torch.manual_seed(seed)
    return Representation(SMALL, num_pairs)


def small_material(num_frames: int, stack: FakeStack, device: str = "cpu") -> Material:
    clip = SourcePairs(tiny_clip(num_frames), SIZE)
    outputs = reference_outputs(clip, stack, device=device)
    return Material(clip.pairs(), outputs, clip.source_bytes)


def small_training(
    num_frames: int = 8,
    stack: FakeStack | None = None,
    device: str = "cpu",
    settings: HnervSettings | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Training:
    stack = stack or FakeStack()
    material = small_material(num_frames, stack, device)
    network = small_network(-(-num_frames // 2), seed)
    context = EncodeContext(stack=stack, device=device, seed=seed, progress=progress)
    chosen = settings or HnervSettings()
    return Training(network, material, stack, chosen, Schedule(), context)
