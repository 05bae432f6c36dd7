"""The encoder: what the stack saw, masks made cheaper where that pays, and codes for the pose."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seesame.bitstream.container import Container, Section, pack_config
from seesame.bounds import BOUNDS
from seesame.codecs.base import container_for
from seesame.codecs.semantic.carrier.codes import encode_codes
from seesame.codecs.semantic.carrier.residual import Residuals
from seesame.codecs.semantic.carrier.solve import SolvedCodes, solve_codes
from seesame.codecs.semantic.carrier.solve_residual import Pairs, solve_residuals
from seesame.codecs.semantic.config import SemanticSettings
from seesame.codecs.semantic.draw import Drawing
from seesame.codecs.semantic.embed import check_clip, own_renderer, planned
from seesame.codecs.semantic.installed import find_renderer, renderer_for
from seesame.codecs.semantic.masks.coder import encode_masks
from seesame.codecs.semantic.masks.edits import cheaper_masks
from seesame.codecs.semantic.sections import (
    CODEC_ID,
    MAX_CODE,
    MAX_MASK_PIXELS,
    Head,
    num_masks,
)
from seesame.codecs.semantic.shared import SharedRenderer
from seesame.context import EncodeContext, Progress
from seesame.errors import MissingStackError, UserError
from seesame.metric.evaluator import ReferenceOutputs, reference_outputs
from seesame.neural.render.geometry import render_size
from seesame.perception.stack import Stack
from seesame.video.clip import Clip

Array = NDArray[np.uint8]


@dataclass(frozen=True)
class EncodeTuning:
    """The division of an encode's progress.

    Args:
        seen: share of the pass of the source through the stack.
        edited: the same up to the end of the choice of masks.
        drawn: the same up to the end of drawing them.
        solved: the same up to the end of the search for codes.
    """

    seen: float = 0.25
    edited: float = 0.5
    drawn: float = 0.6
    solved: float = 0.95


TUNING = EncodeTuning()


def encode(clip: Clip, settings: Mapping[str, Any], context: EncodeContext) -> Container:
    """Return a file of a clip: masks, and a code for each pair.

    Raises:
        UserError: bad settings, no renderer for the stack, or a clip of no pair.
        MissingStackError: there is no stack.
        DamagedError: the clip ends early.
    """
    chosen = SemanticSettings.from_mapping(settings)
    stack = context.stack
    if stack is None:
        raise MissingStackError("codec semantic needs perception networks; name a stack")
    if clip.num_frames < 2:
        raise UserError("codec semantic: one frame forms no pair")
    start = time.monotonic() if context.started is None else context.started
    shared = None
    if chosen.embed:
        check_clip(stack, clip)
        context = planned(context, chosen, start)
    else:
        shared = renderer_for(stack, chosen.renderer)
        find_renderer(shared.digest)  # without which the file could not be decoded here
    _check(clip, stack, shared, chosen.every_frame)
    prior, classes = None if shared is None else shared.prior, len(stack.classes)
    outputs = _seen(clip, stack, chosen.every_frame, context)
    masks = _masks_of(outputs, chosen.every_frame)
    context.progress(TUNING.seen, "choosing masks")
    simpler = masks
    if chosen.simplify:
        value = chosen.price * byte_value(masks, clip)
        simpler = cheaper_masks(masks, classes, value, prior=prior)
    if shared is None:
        told = part_of(context.progress, TUNING.edited, TUNING.drawn)
        shared = own_renderer(
            clip, simpler, outputs, chosen, replace(context, progress=told), start
        )
    context.progress(TUNING.edited, "drawing")
    drawing = Drawing(
        shared.renderer, shared.carrier, shared.size, render_size(clip, stack), context.device
    )
    found, residuals = _codes(drawing, simpler, outputs, chosen.every_frame, clip, context)
    context.progress(TUNING.solved, "packing")
    head = Head(
        renderer=b"" if chosen.embed else bytes.fromhex(shared.digest),
        size=(masks.shape[1], masks.shape[2]),
        classes=classes,
        every_frame=chosen.every_frame,
        code=found.symbols.shape[1],
        step_bits=found.step_bits,
        changed=int((simpler != masks).sum()),
    )
    sections = {
        Section.CONFIG: pack_config(chosen.stored()),
        Section.MODEL: head.pack(),
        Section.MASKS: encode_masks(simpler, classes, prior),
    }
    if chosen.embed:
        sections[Section.RENDERER] = shared.to_bytes()
    if head.code:
        sections[Section.LATENTS] = encode_codes(found.symbols)
    if len(residuals.pairs):
        sections[Section.RESIDUALS] = residuals.to_bytes()
    return container_for(clip, CODEC_ID, sections)


def _check(clip: Clip, stack: Stack, shared: SharedRenderer | None, every_frame: bool) -> None:
    """Raise UserError for what could not be decoded or would lack the pose."""
    if stack.has_pose and stack.judged and shared is not None and shared.carrier is None:
        raise UserError(
            f"the renderer {shared.digest[:16]} has no carrier for the pose of stack {stack.name}; "
            "train one on drives (seesame renderer train --drives)"
        )
    height, width = stack.input_size
    pairs = BOUNDS.stream_symbols // MAX_CODE
    pixels = num_masks(clip.num_frames, every_frame) * height * width
    if clip.num_frames > 2 * pairs or pixels > MAX_MASK_PIXELS:
        frames = min(2 * pairs, MAX_MASK_PIXELS // (height * width) * (1 if every_frame else 2))
        raise UserError(
            f"codec semantic takes at most {frames:,} frames, not {clip.num_frames:,}; cut the clip"
        )


def byte_value(masks: Array, clip: Clip) -> float:
    """Return how many wrong pixels cost the score as much as one byte."""
    return 0.25 * masks.size / max(1, clip.source_bytes)


def _seen(clip: Clip, stack: Stack, every_frame: bool, context: EncodeContext) -> ReferenceOutputs:
    """Return the stack's outputs for the source, from the caller where it has them."""
    known = context.outputs
    if known is not None and not (every_frame and known.first_maps is None):
        return known
    return reference_outputs(
        clip,
        stack,
        every_frame=every_frame,
        device=context.device,
        progress=part_of(context.progress, 0.0, TUNING.seen),
    )


def _masks_of(outputs: ReferenceOutputs, every_frame: bool) -> Array:
    """Return the masks to store, ``uint8 (T, h, w)``, in the order of the frames."""
    second = outputs.classes.numpy().astype(np.uint8)
    if not every_frame:
        return second
    assert outputs.first_classes is not None
    first = outputs.first_classes.numpy().astype(np.uint8)
    masks = np.empty((len(first) + len(second), *second.shape[1:]), np.uint8)
    masks[::2], masks[1::2] = first, second
    return masks


def _codes(
    drawing: Drawing,
    masks: Array,
    outputs: ReferenceOutputs,
    every_frame: bool,
    clip: Clip,
    context: EncodeContext,
) -> tuple[SolvedCodes, Residuals]:
    """Return the codes of the pairs, and residuals for those that no code serves."""
    drawn = drawing.all_pictures(
        torch.from_numpy(masks),
        lambda share: part_of(context.progress, TUNING.edited, TUNING.drawn)(share, "drawing"),
    )
    pairs = clip.num_frames // 2
    if drawing.carrier is None:
        nothing = np.zeros((pairs, 0), np.int32), 0, np.zeros(pairs, np.float32)
        return SolvedCodes(*nothing), Residuals.none()
    first, second = None, drawn
    if every_frame:
        first, second = drawn[0 : 2 * pairs : 2], drawn[1 : 2 * pairs : 2]
    assert context.stack is not None
    if drawing.render != drawing.size:
        second = drawing.seen(second.float())
        first = None if first is None else drawing.seen(first.float())
    poses, stack = outputs.poses[:, : context.stack.judged], context.stack
    byte_value = 25 / max(1, clip.source_bytes)
    found = solve_codes(
        drawing.carrier,
        stack,
        poses,
        second,
        first,
        through=drawing.through,
        byte_value=byte_value,
        told=lambda share: part_of(context.progress, TUNING.drawn, TUNING.solved)(share, "codes"),
    )
    if every_frame or not stack.differentiable:
        return found, Residuals.none()
    codes = torch.from_numpy(found.symbols).float() * 2.0**-found.step_bits
    pairs_now = Pairs(poses, second, first, codes, found.distortions.astype(np.float64))
    return found, solve_residuals(drawing.carrier, stack, pairs_now, drawing.through, byte_value)


def part_of(progress: Progress, start: float, end: float) -> Progress:
    """Return a progress of a stage that goes from ``start`` to ``end`` of the whole."""
    return lambda share, text: progress(start + share * (end - start), text)
