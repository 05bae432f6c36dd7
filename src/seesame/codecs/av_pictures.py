"""What an encoder of the av family gets: pictures made smaller, filtered, in YUV.

They depend on few of the settings. A search, which encodes the same clip again and again, keeps
those of its last encodes, and is spared the source's decoding and the filters.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from typing import Any

import torch
from av.video.frame import VideoFrame
from torch import Tensor

from seesame.codecs import av_filters
from seesame.codecs.av_options import AvSettings
from seesame.codecs.av_planes import padded, pictures
from seesame.codecs.av_regions import with_regions
from seesame.codecs.base import EncodeContext
from seesame.codecs.roi import BLOCK, Focus, offsets, soften
from seesame.video.clip import Clip
from seesame.video.resize import resize, to_float

BATCH = 16
"""Frames read at a time."""
PREPARING = ("down", "depth", "blur", "chroma", "presharpen", "first_blur")
"""Settings that change the pictures; those of regions, which need the stack, are never kept."""
MOST_KEPT = 256 << 20
"""Bytes of kept pictures."""


class KeptPictures:
    """Pictures of the last encodes, the oldest given up first.

    Args:
        most: bytes to keep.
    """

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._found: OrderedDict[Any, tuple[int, list[VideoFrame]]] = OrderedDict()

    def get(self, key: Any) -> list[VideoFrame] | None:
        """What was kept under a key, or None."""
        if key not in self._found:
            return None
        self._found.move_to_end(key)
        return self._found[key][1]

    def room(self, size: int) -> bool:
        """Make room for so many bytes; false where there cannot be so much."""
        if size > self._most:
            return False
        while self._found and size + sum(taken for taken, _ in self._found.values()) > self._most:
            self._found.popitem(last=False)
        return True

    def put(self, key: Any, size: int, made: list[VideoFrame]) -> None:
        """Keep pictures of so many bytes."""
        if self.room(size):
            self._found[key] = size, made


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
    if settings.roi or settings.roi_qp or context.kept is None:
        yield from _made(clip, size, settings, context)
        return
    kept = context.kept.setdefault("pictures", KeptPictures())
    chosen = asdict(settings)
    key = (size, *(chosen[name] for name in PREPARING))
    found = kept.get(key)
    if found is not None:
        yield from found
        return
    samples = 3 * padded(size[0]) * padded(size[1]) // 2
    total = clip.num_frames * samples * (1 if settings.depth == 8 else 2)
    keep = kept.room(total)
    fresh = []
    for picture in _made(clip, size, settings, context):
        if keep:
            fresh.append(picture)
        yield picture
    if keep and len(fresh) == clip.num_frames:
        kept.put(key, total, fresh)


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
