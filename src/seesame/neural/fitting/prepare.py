"""The preparation of an encode that trains: what is checked, read and arranged before it."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from seesame.context import EncodeContext, Progress
from seesame.errors import MissingStackError, UserError
from seesame.metric.evaluator import reference_outputs
from seesame.metric.limits import Limits
from seesame.neural.fitting.checkpoint import NAME
from seesame.neural.fitting.loss.losses import Material
from seesame.neural.fitting.settings import TrainSettings
from seesame.neural.fitting.source import SourcePairs
from seesame.neural.fitting.trained_file import TrainedFile
from seesame.perception.stack import Stack
from seesame.video.clip import Clip

TIMED_PAIRS = 8
"""Pairs on which the networks are timed where their outputs are known already."""


def trainable(codec: str, clip: Clip, context: EncodeContext) -> Stack:
    """Return the stack that a codec trains against; raise UserError if it cannot."""
    stack = context.stack
    if stack is None:
        raise MissingStackError(f"{codec} trains against a perception stack, and none was given")
    if not stack.differentiable:
        raise UserError(f"stack {stack.name} has no gradients; {codec} cannot train against it")
    if clip.source_bytes < 1:
        raise UserError("the source has no bytes, so that there is no rate to train for")
    return stack


def bound_limits(settings: TrainSettings, stack: Stack) -> Limits:
    """Return the user's limits by the stack's rule, with the whole names of its classes."""
    limits = settings.limits
    second_frames = limits.challenge_rule or getattr(stack, "challenge_rule", False)
    return replace(limits, challenge_rule=second_frames).resolved(stack.classes)


def say_what_resumes(resume: bool, context: EncodeContext) -> None:
    """Say at once where there is nothing to go on from. Raises UserError for no work folder."""
    if not resume:
        return
    if context.work is None:
        raise UserError("resume needs the work folder of an earlier run")
    if not (context.work / NAME).exists():
        context.note(
            f"{context.work / NAME}: no checkpoint there, as of a run that has finished; "
            "this one starts afresh"
        )


def of_the_budget(progress: Progress, start: float, seconds: float) -> Progress:
    """Return a callback that tells the share of the whole encode's time, not that of a stage."""

    def tell(share: float, text: str) -> None:
        passed = (time.monotonic() - start) / max(seconds, 1e-9)
        progress(min(max(passed, 0.0), 1.0), text)

    return tell


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C sets; the second raises KeyboardInterrupt as usual."""
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


def read_source(
    file: TrainedFile, clip: Clip, stack: Stack, context: EncodeContext, every_frame: bool
) -> tuple[Material, float]:
    """Read the source; return what training reads, and the seconds that a judged pass takes."""
    before = time.monotonic()
    source = SourcePairs(clip, file.render)
    outputs = context.outputs
    if outputs is None or (every_frame and outputs.first_maps is None):
        outputs = reference_outputs(source, stack, every_frame=every_frame, device=context.device)
        return Material(source.pairs(), outputs, clip.source_bytes), time.monotonic() - before
    for _ in source.batches(16):
        pass
    frames = source.pairs()
    some = frames[:TIMED_PAIRS].float().to(context.device)
    reading, before = time.monotonic() - before, time.monotonic()
    with torch.inference_mode():
        stack.segment(some[:, 1])
        if every_frame:
            stack.segment(some[:, 0])
        if stack.has_pose:
            stack.pose(some)
    judging = (time.monotonic() - before) * len(frames) / len(some)
    return Material(frames, outputs, clip.source_bytes), reading + judging
