"""Writing clips: lossless or x264 video files, folders of PNG, headerless ``.raw``."""

import errno
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from seesame.errors import DamagedError, UserError
from seesame.files import PICTURE_FOLDER, replacing
from seesame.video.clip import Frames
from seesame.video.colour import rgb_to_yuv420, rgb_to_yuv444
from seesame.video.reading.complete import check_complete
from seesame.video.times import Times
from seesame.video.writing.mux import Others, regular_times
from seesame.video.writing.tracks import temporary_file
from seesame.video.writing.verify import check_container, mux_checked, ticks_fit

_VIDEO = (".mkv", ".mp4")
_BITEXACT = int(av.container.Flags.bitexact.value)  # type: ignore[call-overload]
_BT601 = 6
"""SMPTE 170M: the value of matrix, primaries and transfer alike (ITU-T H.273)."""


def folder_names(path: Path) -> re.Pattern[str] | None:
    """Return the names of the files in a folder that :func:`write_clip` makes of a path.

    None for a path that becomes a file.
    """
    return None if path.suffix else PICTURE_FOLDER


def write_clip(
    path: Path,
    batches: Iterable[Frames],
    *,
    fps: Fraction,
    width: int,
    height: int,
    crf: int | None = None,
    overwrite: bool = False,
    times: Times | None = None,
    tracks: bytes = b"",
) -> int:
    """Write frames to a file or folder, by its suffix; nothing is left behind on failure.

    ``.mkv`` and ``.mp4`` are lossless RGB H.264 without ``crf`` (bit exact when read back), else
    x264 in BT.601 limited range: 4:2:0, or 4:4:4 where a side is odd. A path without suffix
    becomes a folder of ``000000.png`` and on; ``.raw`` is the challenge's headerless RGB.

    Args:
        path: the output.
        batches: ``uint8 (B, height, width, 3)`` each.
        fps: frames a second; lost in ``.raw`` and folders.
        width: pixels a row.
        height: rows a frame.
        crf: x264's quality, 0 (best) to 51; for ``.mkv`` and ``.mp4`` only.
        overwrite: replace an existing output.
        times: timestamps of the frames; None where ``fps`` says them. Lost in ``.raw`` and folders.
        tracks: a file with the tracks to put beside the video, as :func:`tracks_of` made it.

    Returns:
        How many frames were written.

    Raises:
        UserError: an output that exists or cannot be written, an unknown suffix, no frames.
        ValueError: a batch of another shape or type.
    """
    suffix = path.suffix.lower()
    if suffix not in (*_VIDEO, ".raw", ""):
        raise UserError(
            f"{path}: cannot write {suffix}; use .mkv, .mp4, .raw, or no suffix for a folder of PNG"
        )
    if crf is not None and (suffix not in _VIDEO or not 0 <= crf <= 51):
        raise UserError(f"{path}: crf {crf} is for .mkv and .mp4, from 0 (best) to 51")
    encoder = _encoder(path, (height, width), crf) if suffix in _VIDEO else None
    frames = _frames(batches, height, width)
    if encoder is not None and (times is not None or tracks):
        return _write_timed(path, frames, fps, (height, width), encoder, overwrite, times, tracks)
    with replacing(path, overwrite, holds=folder_names(path)) as temporary:
        try:
            if encoder is not None:
                count = _write_video(temporary, frames, fps, (height, width), encoder)
                whole = not count or _packets(temporary) == count
            else:
                writer = _write_raw if suffix == ".raw" else _write_pictures
                count, whole = writer(temporary, frames), True
        except av.error.FFmpegError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise UserError(f"{path}: no space left on the device") from error
            raise UserError(f"{path}: cannot be encoded ({error.strerror})") from error
        if not count:
            raise UserError(f"{path}: there are no frames to write")
        if not whole:
            raise UserError(f"{path}: did not reach the disk whole; free some space")
        return count


def _write_timed(
    path: Path,
    frames: Iterator[Frames],
    fps: Fraction,
    size: tuple[int, int],
    encoder: "_Encoder",
    overwrite: bool,
    times: Times | None,
    tracks: bytes,
) -> int:
    """Write a video with timestamps or other tracks, read it back, and move it into place."""
    suffix = path.suffix.lower()
    with replacing(path, overwrite) as out, temporary_file(".tracks", tracks) as beside:
        others = Others(beside) if tracks else None
        check_container(path, encoder[0], others)
        if times is not None:
            ticks_fit(path, times)
        with temporary_file(suffix) as coded:
            rate = min(max(fps, Fraction(1)), Fraction(120))  # its frames are only counted
            try:
                count = _write_video(coded, frames, rate, size, encoder)
            except av.error.FFmpegError as error:
                raise UserError(f"{path}: cannot be encoded ({error.strerror})") from error
            if not count:
                raise UserError(f"{path}: there are no frames to write")
            clock = times or regular_times(count, fps)
            if len(clock.pts) != count:
                raise UserError(f"{path}: {count} frames, but {len(clock.pts)} timestamps")
            mux_checked(out, coded, clock, others, size)
        return count


def _frames(batches: Iterable[Frames], height: int, width: int) -> Iterator[Frames]:
    """Yield one checked frame after another."""
    for batch in batches:
        if batch.shape[1:] != (height, width, 3) or batch.dtype != np.uint8:
            raise ValueError(
                f"a batch must be uint8 (B, {height}, {width}, 3), not {batch.dtype} {batch.shape}"
            )
        yield from batch


def _write_raw(path: Path, frames: Iterator[Frames]) -> int:
    count = 0
    with path.open("wb") as file:
        for frame in frames:
            file.write(np.ascontiguousarray(frame).data)
            count += 1
    return count


def _write_pictures(path: Path, frames: Iterator[Frames]) -> int:
    path.mkdir()
    count = 0
    for frame in frames:
        Image.fromarray(np.ascontiguousarray(frame)).save(
            path / f"{count:06d}.png", compress_level=3
        )
        count += 1
    return count


_Encoder = tuple[str, dict[str, str], str]
"""Its name, its options, and the pixel format it is fed."""


def _write_video(
    path: Path, frames: Iterator[Frames], fps: Fraction, size: tuple[int, int], encoder: _Encoder
) -> int:
    count = 0
    codec, options, pixels = encoder
    with av.open(f"file:{path}", "w") as container:
        # Without a random identity or a date in it, so that equal frames make equal files.
        container.flags |= _BITEXACT
        stream = container.add_stream(codec, rate=fps.limit_denominator(100_000), options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = size
        stream.pix_fmt = pixels
        if pixels.startswith("yuv"):
            stream.color_range = av.video.reformatter.ColorRange.MPEG
            stream.colorspace = stream.color_primaries = stream.color_trc = _BT601
        for rgb in frames:
            frame = _to_frame(rgb, pixels)
            frame.pts, frame.time_base = count, 1 / fps
            container.mux(stream.encode(frame))
            count += 1
        if count:
            container.mux(stream.encode(None))
    return count


def _encoder(path: Path, size: tuple[int, int], crf: int | None) -> _Encoder:
    if crf is not None:
        odd = size[0] % 2 or size[1] % 2
        return "libx264", {"crf": str(crf), "preset": "medium"}, "yuv444p" if odd else "yuv420p"
    if "libx264rgb" in av.codecs_available:
        return "libx264rgb", {"qp": "0", "preset": "ultrafast"}, "rgb24"
    if path.suffix.lower() == ".mkv":
        return "ffv1", {"level": "3", "slicecrc": "1"}, "bgr0"
    raise UserError(
        f"{path}: this PyAV has no lossless encoder for .mp4; write .mkv, or give a crf"
    )


def _to_frame(rgb: Frames, pixels: str) -> VideoFrame:
    """Return a frame in the encoder's pixel format, BT.601 limited range where that is YUV."""
    if not pixels.startswith("yuv"):
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        return frame if pixels == "rgb24" else frame.reformat(format=pixels)
    frame = VideoFrame(rgb.shape[1], rgb.shape[0], pixels)
    planes = rgb_to_yuv420(rgb) if pixels == "yuv420p" else rgb_to_yuv444(rgb)
    for plane, samples in zip(frame.planes, planes, strict=True):
        padded = np.zeros((plane.height, plane.line_size), dtype=np.uint8)
        padded[:, : plane.width] = samples
        plane.update(padded.tobytes())
    return frame


def _packets(path: Path) -> int:
    """Return the number of frames in a file just written, by its packets; -1 if its end is lost."""
    try:
        with av.open(f"file:{path}") as container:
            check_complete(path, container.format.name)
            return sum(packet.size > 0 for packet in container.demux(video=0))
    except DamagedError:
        return -1
