"""The pictures that an encoder of the av family gets: made smaller, filtered, in YUV.

They depend on few of the settings. A search, which encodes the same clip again and again, keeps
those of its last encodes in a memory, so that the source is not decoded and filtered again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from fractions import Fraction

import torch
from av.video.frame import VideoFrame
from torch import Tensor

from seesame.codecs.av import filters
from seesame.codecs.av.encoding.closed_loop import Correction
from seesame.codecs.av.encoding.regions import with_regions
from seesame.codecs.av.encoding.roi import BLOCK, Focus, offsets
from seesame.codecs.av.options import AvSettings
from seesame.codecs.av.planes import BT601, Colour, padded, pictures
from seesame.context import EncodeContext
from seesame.video.clip import Clip
from seesame.video.resize import resize, to_float

BATCH = 16
"""Frames read at a time."""
PREPARING = ("down", "depth", "blur", "chroma", "presharpen")
"""Settings that change the pictures; those of regions, which need the stack, are never kept."""


def coded_pictures(
    clip: Clip,
    size: tuple[int, int],
    settings: AvSettings,
    context: EncodeContext,
    colour: Colour = BT601,
    corrections: Sequence[Correction] = (),
) -> Iterator[VideoFrame]:
    """Yield all pictures in order, without times.

    Args:
        clip: the source.
        size: ``(height, width)`` to code at.
        settings: the codec's.
        context: with the stack, for regions, and a memory for pictures.
        colour: how they become YUV.
        corrections: by what earlier encodes made of the stack's outputs, applied in order.

    Raises:
        DamagedError: the clip ends early or is damaged.
        UserError: regions without a stack.
    """
    memory = context.memory
    if settings.roi_qp or corrections or memory is None:
        yield from _made(clip, size, settings, context, colour, corrections)
        return
    chosen = asdict(settings)
    turn = getattr(clip, "turn", None)  # frames as a file stores them are not those of the clip
    key = ("pictures", size, colour, turn, *(chosen[name] for name in PREPARING))
    found = memory.recall(key, list)
    if found is not None:
        yield from found
        return
    samples = 3 * padded(size[0]) * padded(size[1]) // 2
    total = clip.num_frames * samples * (1 if settings.depth == 8 else 2)
    fits = memory.fits(total)
    fresh = []
    for picture in _made(clip, size, settings, context, colour):
        if fits:
            fresh.append(picture)
        yield picture
    if fits and len(fresh) == clip.num_frames:
        memory.keep(key, total, fresh)


def _made(
    clip: Clip,
    size: tuple[int, int],
    settings: AvSettings,
    context: EncodeContext,
    colour: Colour,
    corrections: Sequence[Correction] = (),
) -> Iterator[VideoFrame]:
    focus = Focus(context) if settings.roi_qp else None
    seen = 0
    for batch in clip.batches(BATCH):
        frames = to_float(batch)
        keep = None if focus is None else focus(frames, seen, size)
        small = _prepared(frames, size, settings)
        for correct in corrections:
            small = correct(frames, small)
        quantiser = None if keep is None else offsets(keep, settings.roi_qp)
        for number, picture in enumerate(pictures(small, settings.depth, colour)):
            if quantiser is not None:
                picture.pts, picture.time_base = seen + number, 1 / Fraction(clip.fps)
                picture = with_regions(picture, quantiser[number], BLOCK)
            yield picture
        seen += len(batch)


def _prepared(frames: Tensor, size: tuple[int, int], settings: AvSettings) -> Tensor:
    """Return the pictures that the encoder gets of some frames."""
    with torch.no_grad():
        small = resize(frames, size, settings.down)
        small = filters.blur(small, settings.blur)
        small = filters.presharpen(small, settings.presharpen)
        return filters.fade_colour(small, settings.chroma)
