"""Recordings as cameras write them: an uneven frame rate, sound, and tracks of other kinds."""

from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TICKS = (0, 3000, 6000, 9100, 12000, 15007, 18000, 27000, 30000, 33001, 36000, 39000)
"""Timestamps of the frames; a pause after the seventh."""
HEIGHT, WIDTH = 96, 128
QUARTER = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
"""The display matrix of a quarter turn."""


def record(
    path: Path,
    *,
    tick: Fraction = Fraction(1, 90000),
    start: int = 0,
    turn: tuple[int, ...] | None = None,
    matrix: int = 2,
    aspect: Fraction | None = None,
    telemetry: bool = True,
    frames: int = len(TICKS),
) -> Path:
    """Write a clip of 128 by 96 pixels with sound, subtitles (or telemetry), and metadata.

    An .mp4 or .mov has AAC and, with ``telemetry``, a track of kind ``gpmd``, as action cameras
    write it; else subtitles. A .mkv has Opus, subtitles and an attachment.
    """
    matroska = path.suffix == ".mkv"
    options = {} if matroska else {"movie_timescale": "90000", "video_track_timescale": "90000"}
    with av.open(str(path), "w", container_options=options) as container:
        container.metadata["title"] = "a drive"
        container.metadata["creation_time"] = "2021-02-03T04:05:06.000000Z"
        video = container.add_stream("libx264", rate=30, options={"crf": "8"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.time_base = video.time_base = tick
        video.colorspace = video.color_primaries = video.color_trc = matrix
        if aspect is not None:
            video.codec_context.sample_aspect_ratio = aspect
        if turn is not None:
            video.set_display_matrix(turn)
        rate = 48000 if matroska else 44100
        sound = container.add_stream("libopus" if matroska else "aac", rate=rate)
        words = container.add_mux_stream(
            "subrip" if matroska else "mov_text", time_base=Fraction(1, 1000)
        )
        words.metadata["language"] = "deu"
        if matroska:
            container.add_attachment("notes.txt", "text/plain", b"the camera's serial number")
        for number, ticks in enumerate(TICKS[:frames]):
            frame = av.VideoFrame.from_ndarray(_picture(number), format="rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = start + round(Fraction(ticks, 90000) / tick), tick
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        _speak(container, sound, rate)
        for number in range(3):
            text = f"line {number}".encode()
            packet = av.Packet(text if matroska else len(text).to_bytes(2, "big") + text)
            packet.stream, packet.time_base = words, Fraction(1, 1000)
            packet.pts = packet.dts = 100 * number
            packet.duration = 60
            container.mux(packet)
    if telemetry and not matroska:
        data = path.read_bytes().replace(b"tx3g", b"gpmd").replace(b"sbtl", b"meta")
        path.write_bytes(data.replace(b"text\0\0\0\0\0\0\0\0", b"meta\0\0\0\0\0\0\0\0"))
    return path


def _picture(number: int) -> np.ndarray:
    """Return a smooth picture that moves."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    planes = [x + 3 * number, y + 40, x + y - 2 * number]
    return np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8)


def _speak(container, sound, rate: int) -> None:
    random, size = np.random.default_rng(0), sound.codec_context.frame_size or 1024
    for start in range(0, rate // 3, size):
        samples = (random.standard_normal((2, size)) / 10).astype(np.float32)
        interleaved = sound.codec_context.format.name == "flt"
        frame = av.AudioFrame.from_ndarray(
            samples.T.reshape(1, -1).copy() if interleaved else samples,
            format="flt" if interleaved else "fltp",
            layout="stereo",
        )
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        container.mux(sound.encode(frame))
    container.mux(sound.encode(None))


def shown(path: Path, number: int = 0) -> list[Fraction]:
    """Return the seconds at which the frames of a file's video are shown."""
    with av.open(str(path)) as container:
        stream = container.streams.video[number]
        stamps = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
        return [stamp * stream.time_base for stamp in sorted(stamps)]


def beside(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return all packets of the tracks beside the video: time, decoding time, duration, bytes."""
    found: dict[str, list[tuple[object, ...]]] = defaultdict(list)
    with av.open(str(path)) as container:
        for packet in container.demux():
            stream = packet.stream
            if stream.type == "video" or not packet.size:
                continue
            if stream.type == "subtitle" and bytes(packet) == b"\0\0":
                continue  # the time between two subtitles
            tick = stream.time_base
            values = (packet.pts * tick, packet.dts * tick, packet.duration * tick, bytes(packet))
            found[f"{stream.type} {stream.name}"].append(values)
        for stream in container.streams:
            if stream.type == "attachment":
                found["attachment"].append((stream.name, stream.mimetype, stream.data))
    return dict(found)


def samples(path: Path) -> bytes:
    """Return the decoded sound of a file."""
    with av.open(str(path)) as container:
        return b"".join(frame.to_ndarray().tobytes() for frame in container.decode(audio=0))
