"""Small videos for tests: encoded, remuxed packet by packet, and their bytes edited."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image


def make_frames(count=6, height=48, width=64, seed=0):
    """Smooth moving pictures: every frame is different, and codecs take to them."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    big = np.asarray(Image.fromarray(coarse).resize((width + 40, height + 40), 3))
    return np.stack([big[t % 40 : t % 40 + height, t % 40 : t % 40 + width] for t in range(count)])


def make_video(
    path, frames, codec="libx264", pix="yuv420p", rate=25, pts=None, encoder=None, **options
):
    """Encode with FFmpeg's own colour conversion; options are the muxer's."""
    kind = {".hevc": "hevc", ".h264": "h264"}.get(path.suffix)
    with av.open(str(path), "w", format=kind, options=options) as container:
        usual = {} if codec in ("ffv1", "png") else {"g": "12"}
        encoder = usual if encoder is None else dict(encoder)
        if codec == "libx264rgb":
            encoder["qp"] = "0"
        stream = container.add_stream(codec, rate=rate, options=encoder)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix
        for t, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame.pts = t if pts is None else pts[t]
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_all(clip, batch_size=4):
    return np.concatenate(list(clip.batches(batch_size)))


def remux(
    source: Path,
    target: Path,
    change: Callable[[list[av.Packet]], Iterable[av.Packet]] = iter,
    **options: str,
) -> Path:
    """Copy a video's packets into another container; ``change`` may drop or edit them."""
    with av.open(str(source)) as before, av.open(str(target), "w", options=options) as after:
        stream = before.streams.video[0]
        copy = after.add_stream_from_template(stream)
        for packet in change([packet for packet in before.demux(stream) if packet.size]):
            packet.stream = copy
            after.mux(packet)
    return target


def without(*numbers: int) -> Callable[[list[av.Packet]], Iterable[av.Packet]]:
    """Return a change that drops packets by their number in decoding order."""
    return lambda packets: (p for k, p in enumerate(packets) if k not in numbers)
