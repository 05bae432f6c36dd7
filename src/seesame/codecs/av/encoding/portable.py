"""The pictures of a portable file: a clip coded as its source stores it, for any decoder.

The pictures get the source's own colour conversion back wherever the reader undoes it by the tags
that are copied; so what any reader makes of the source's samples, it makes of the new file's.
Turned videos are coded as they were stored, since the copied display matrix turns them again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.stream import VideoStream

from seesame.codecs.av.encoding.closed_loop import Correction
from seesame.codecs.av.encoding.encode import encoder_errors, numbered, prepare, scaled_size
from seesame.codecs.av.encoding.pictures import coded_pictures
from seesame.codecs.av.encoding.threads import usual_scheduling
from seesame.codecs.av.options import AT_DECODE, AvSettings
from seesame.codecs.av.planes import BT601, Colour
from seesame.codecs.av.settings import MAX_GOP, Member, check_together, parse_settings
from seesame.context import EncodeContext
from seesame.errors import UnsupportedSettingError, UserError
from seesame.video.clip import Clip, Frames
from seesame.video.pixels import LUMA_WEIGHTS, upright
from seesame.video.writing.tracks import Stored

GOP_SECONDS = 2
"""Seconds from one key frame to the next at most, where no setting says otherwise."""
LEAST_SIDE = 64
"""The smallest width and height that all encoders take."""

_BITEXACT = int(av.container.Flags.bitexact.value)  # type: ignore[call-overload]
_BT601_MATRIX, _LIMITED = 6, 1
_EXACT = ("yuv420p", "yuva420p", "nv12", "nv21")
"""Formats that the reader takes as limited-range BT.601, whatever their matrix is, unless full."""


@dataclass(frozen=True)
class Plan:
    """The codec, settings, size and colours of a portable file of one clip.

    Args:
        member: the codec.
        settings: all of its settings.
        size: ``(height, width)`` as coded.
        colour: how RGB becomes YUV.
        stored: the tags to write; those of the source but for the colours' conversion.
    """

    member: Member
    settings: AvSettings
    size: tuple[int, int]
    colour: Colour
    stored: Stored

    @property
    def turned(self) -> bool:
        """True where the file stores its pictures turned or mirrored."""
        return _turns(self.stored)

    @property
    def shown(self) -> tuple[int, int]:
        """The size ``(height, width)`` of the frames that a reader shows, turned upright."""
        return self.size[::-1] if _sideways(self.stored) else self.size


def plan(member: Member, settings: Mapping[str, Any], clip: Clip, stored: Stored | None) -> Plan:
    """Return how a clip is coded into a portable file.

    Where the settings do not say so, the pictures have the source's size, and a key frame comes
    every two seconds.

    Args:
        member: the codec.
        settings: its settings; those that act at decode time are refused.
        clip: the source.
        stored: how its file stores its pictures; None for a clip that is no video file.

    Raises:
        UnsupportedSettingError: bad settings, or one that a plain file cannot have.
        UserError: a clip of a size that no plain file of this kind can have.
    """
    usual = {"scale": 1.0, "gop": max(1, min(MAX_GOP, round(GOP_SECONDS * clip.fps)))}
    chosen = parse_settings(member, {**usual, **settings})
    check_together(member, chosen)
    for name in AT_DECODE:
        if name in settings and getattr(chosen, name) != getattr(member.defaults, name):
            raise UnsupportedSettingError(
                f"{name} acts when an .ssm file is decoded, and a video file has no such step; "
                "leave it out"
            )
    tags = stored or Stored("rgb24")
    turned = tags.quarter is not None and _turns(tags)
    if turned and chosen.roi_qp:
        raise UnsupportedSettingError(
            "roi_qp is not for a portable file of a video that is stored turned; leave it out"
        )
    width, height = scaled_size(clip.width, clip.height, chosen.scale)
    if width % 2 or height % 2:
        raise UserError(
            f"the clip is {clip.width}x{clip.height}, and a portable file needs even sides; give "
            "it a scale below 1, as scale=0.99"
        )
    if min(width, height) < LEAST_SIDE:
        raise UserError(
            f"a portable file of {width}x{height} is too small; it needs {LEAST_SIDE} pixels a side"
        )
    size = (width, height) if _sideways(tags) else (height, width)
    colour, tags = _colours(tags, chosen.depth)
    return Plan(member, chosen, size, colour, tags)


def _colours(stored: Stored, depth: int) -> tuple[Colour, Stored]:
    """Return the conversion to YUV and the tags under which every reader undoes it.

    Raises:
        UnsupportedSettingError: there are none for this depth.
    """
    exact = not stored.full and stored.pixels in _EXACT
    if exact and depth == 8:
        # The reader took the samples as BT.601, and does so again; others go by the tags.
        return BT601, stored
    if exact and stored.matrix not in (2, 5, 6):
        raise UnsupportedSettingError(
            "depth=10 is not for this clip: it has 8 bits and its colours are not tagged as "
            "BT.601, by which such clips are read; take depth=8"
        )
    yuv = stored.pixels.startswith(("yuv", "nv", "p0", "yuyv", "uyvy"))
    weights = LUMA_WEIGHTS.get(stored.matrix)
    if yuv and weights is not None and (stored.full or depth == 10):
        return Colour(*weights, stored.full), stored
    return BT601, replace(stored, matrix=_BT601_MATRIX, colour_range=_LIMITED, full=False)


def _turns(stored: Stored) -> bool:
    marks = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    return not np.array_equal(upright(marks, stored.quarter), marks)


def _sideways(stored: Stored) -> bool:
    """Return whether the display matrix exchanges width and height."""
    return bool(upright(np.zeros((1, 2, 3), np.uint8), stored.quarter).shape[0] == 2)


class _AsStored:
    """A clip whose frames are turned back to how its file stores them."""

    def __init__(self, clip: Clip, stored: Stored) -> None:
        self._clip, self.turn = clip, stored.quarter
        sides = clip.height, clip.width
        self.height, self.width = sides[::-1] if _sideways(stored) else sides
        self.fps: Fraction = clip.fps
        self.num_frames, self.source_bytes = clip.num_frames, clip.source_bytes

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order. Raises DamagedError."""
        assert self.turn is not None
        a, b, c, d = self.turn
        for batch in self._clip.batches(batch_size):
            # A quarter turn's matrix is undone by its transpose.
            yield np.ascontiguousarray([upright(frame, (a, c, b, d)) for frame in batch])


def encode_to(
    path: Path,
    clip: Clip,
    how: Plan,
    context: EncodeContext,
    corrections: Sequence[Correction] = (),
) -> None:
    """Code a clip into a file with nothing but the video, whose frames are numbered, not timed.

    The same clip and plan give the same bytes.

    Args:
        path: the file; its suffix chooses the container.
        clip: the source.
        how: what :func:`plan` gave for it.
        context: for progress, regions and the memory of pictures.
        corrections: by what earlier encodes of the clip made of the stack's outputs; not for a
            video that is stored turned.

    Raises:
        UserError: the encoder refuses the clip, or the file cannot be written.
        DamagedError: the clip ends early.
    """
    source: Clip = clip if not _turns(how.stored) else _AsStored(clip, how.stored)
    tags = how.stored
    with encoder_errors(how.member), av.open(f"file:{path}", "w") as container:
        container.flags |= _BITEXACT
        stream = container.add_stream(how.member.encoder)
        assert isinstance(stream, VideoStream)
        encoder = stream.codec_context
        prepare(encoder, source, how.size, how.member, how.settings)
        stream.time_base = encoder.time_base
        encoder.colorspace, encoder.color_range = tags.matrix, tags.colour_range
        encoder.color_primaries, encoder.color_trc = tags.primaries, tags.transfer
        if tags.aspect is not None:
            encoder.sample_aspect_ratio = tags.aspect
        with usual_scheduling():
            container.start_encoding()
        pictures = coded_pictures(source, how.size, how.settings, context, how.colour, corrections)
        for picture in numbered(pictures, source, context):
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
