"""What an encoder of the av family gets: pictures made smaller, filtered, in YUV.

They depend on few of the settings. A search, which encodes the same clip again and again, keeps
those of its last encodes, and is spared the source's decoding and the filters.
"""

from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction

import torch
from av.video.frame import VideoFrame
from torch import Tensor

from seesame.codecs.av import filters as av_filters
from seesame.codecs.av.options import AvSettings
from seesame.codecs.av.planes import padded, pictures
from seesame.codecs.av.regions import with_regions
from seesame.codecs.av.roi import BLOCK, Focus, offsets, soften
from seesame.context import EncodeContext
from seesame.video.clip import Clip
from seesame.video.resize import resize, to_float

BATCH = 16
"""Frames read at a time."""
PREPARING = ("down", "depth", "blur", "chroma", "presharpen", "first_blur")
"""Settings that change the pictures; those of regions, which need the stack, are never kept."""


def coded_pictures(
    clip: Clip, size: tuple[int, int], settings: AvSettings, context: EncodeContext
) -> Iterator[VideoFrame]:
    """All pictures in order, without times.

    Args:
        clip: the source.
        size: ``(height, width)`` to code at.
        settings: the codec's.
        context: with the stack, for regions, and where pictures may be kept.

    Raises:
        DamagedError: the clip ends early or is damaged.
        UserError: regions without a stack.
    """
    memory = context.memory
    if settings.roi or settings.roi_qp or memory is None:
        yield from _made(clip, size, settings, context)
        return
    chosen = asdict(settings)
    key = ("pictures", size, *(chosen[name] for name in PREPARING))
    found = memory.recall(key, list)
    if found is not None:
        yield from found
        return
    samples = 3 * padded(size[0]) * padded(size[1]) // 2
    total = clip.num_frames * samples * (1 if settings.depth == 8 else 2)
    keep = memory.fits(total)
    fresh = []
    for picture in _made(clip, size, settings, context):
        if keep:
            fresh.append(picture)
        yield picture
    if keep and len(fresh) == clip.num_frames:
        memory.keep(key, total, fresh)


def _made(
    clip: Clip, size: tuple[int, int], settings: AvSettings, context: EncodeContext
) -> Iterator[VideoFrame]:
    focus = Focus(context) if settings.roi or settings.roi_qp else None
    seen = 0
    for batch in clip.batches(BATCH):
        frames = to_float(batch)
        keep = None if focus is None else focus(frames, seen, size)
        small = _prepared(frames, seen, size, settings, keep)
        quantiser = None if keep is None else offsets(keep, settings.roi_qp)
        for number, picture in enumerate(pictures(small, settings.depth)):
            if quantiser is not None:
                picture.pts, picture.time_base = seen + number, 1 / Fraction(clip.fps)
                picture = with_regions(picture, quantiser[number], BLOCK)
            yield picture
        seen += len(batch)


def _prepared(
    frames: Tensor, start: int, size: tuple[int, int], settings: AvSettings, keep: Tensor | None
) -> Tensor:
    """What the encoder gets of some frames, the first of which has the number ``start``."""
    with torch.no_grad():
        small = resize(frames, size, settings.down)
        if keep is not None and settings.roi:
            small = soften(small, keep, settings.roi)
        if settings.first_blur:
            first = slice(start % 2, None, 2)
            small = small.clone()  # it may be the frames themselves
            small[first] = av_filters.blur(small[first], settings.first_blur)
        small = av_filters.blur(small, settings.blur)
        small = av_filters.presharpen(small, settings.presharpen)
        return av_filters.fade_colour(small, settings.chroma)
