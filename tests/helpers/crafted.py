"""Files of a few bytes that claim much, and what it costs to decode one, in its own process."""

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from seesame.bitstream.container import Container, Section
from seesame.bitstream.varint import pack_varint
from seesame.bounds import BOUNDS
from seesame.codecs.av.head import Head
from seesame.codecs.av.stream import pack_stream, read_stream
from seesame.codecs.hnerv.architecture import Architecture, pack_architecture
from seesame.codecs.hybrid.design import Design
from seesame.codecs.registry import get_codec
from seesame.codecs.semantic.carrier.codes import encode_codes
from seesame.codecs.semantic.carrier.network import CarrierDesign
from seesame.codecs.semantic.networks import RendererDesign
from seesame.codecs.semantic.renderer_file import Part, pack_file
from seesame.codecs.semantic.sections import Head as MaskHead
from seesame.context import EncodeContext
from seesame.neural.weights import pack
from seesame.neural.weights.rows import Rows
from seesame.neural.weights.tensors import Specs
from seesame.video.clip import ArrayClip

Size = tuple[int, int]
MOST_MEMORY = 14 << 30
"""Address space of a process that decodes, so that no test can take the machine's."""


def file_of(codec: str, size: Size, frames: int, sections: dict[Section, bytes]) -> Container:
    """Return a file of a codec, whatever it claims."""
    number = get_codec(codec).codec_id
    return Container(number, size[1], size[0], Fraction(20), frames, 0, sections)


def classical(
    codec: str, coded: Size, size: Size, frames: int = 1, *, depth: int = 8, **head: Any
) -> Container:
    """Return black pictures of one size, all of them key frames, whose header promises another."""
    clip = ArrayClip(np.zeros((1, *coded, 3), np.uint8))
    settings = {"scale": 1.0} | ({"depth": depth} if depth != 8 else {})
    _, packets = read_stream(get_codec(codec).encode(clip, settings, EncodeContext()), codec)
    told = Head(head.pop("up", "bicubic"), coded[1], coded[0], depth, **head)
    return file_of(codec, size, frames, {Section.STREAM: pack_stream(told, packets * frames)})


def many_packets(count: int, size: int) -> Container:
    """Return a file of H.264 whose packets are all alike, a number of zeros."""
    made = file_of("x264", (64, 64), BOUNDS.frames, {})
    packets = (pack_varint(size) + bytes(size)) * count
    made.sections[Section.STREAM] = Head("bicubic", 64, 64).pack() + packets
    return made


def hidden(size: Size, times: int, packets: int) -> Container:
    """Return a file of AV1 whose frames wait for repeats of one that is never shown.

    Args:
        size: ``(height, width)``.
        times: that each packet repeats it.
        packets: that hold nothing else, between the first picture and the rest.
    """
    clip = ArrayClip(np.zeros((20, *size, 3), np.uint8))
    made = get_codec("svtav1").encode(clip, {"scale": 1.0, "preset": 10}, EncodeContext())
    head, (first, second, *others) = read_stream(made, "svtav1")
    assert second[0] == 0b0_0110_0_1_0  # a frame, without an extension, with a size of one byte
    assert second[1] < 0x80
    assert not second[2] & 0b1001_0000  # neither shown before nor now
    frame = second[: 2 + second[1]]
    told = [first, *[frame * times] * packets, second, *others]
    return file_of("svtav1", size, len(told), {Section.STREAM: pack_stream(head, told)})


def zeros(specs: Specs) -> dict[str, Rows]:
    """Return weights that are all zero, which take no bytes."""
    return {
        key: Rows(np.zeros(spec.row_shape, np.int64), np.zeros(spec.rows, np.int64))
        for key, spec in specs.items()
    }


def stream(values: int, frames: int) -> bytes:
    """Return a stream of zeros for each pair."""
    pairs = -(-frames // 2)
    symbols = np.zeros((values, pairs), np.int64)
    return pack.pack_stream(Rows(symbols, np.zeros(values, np.int64)))


def hnerv(render: Size, size: Size, channels: tuple[int, ...] = (1,) * 5, **more: int) -> Container:
    """Return a file of hnerv whose network is zero."""
    frames, latent = more.get("frames", 2), more.get("latent", 1)
    shape = Architecture(render, latent, channels)
    sections = {
        Section.MODEL: pack_architecture(shape),
        Section.WEIGHTS: pack.pack_weights(zeros(shape.tensors()), shape.tensors()),
        Section.LATENTS: stream(latent, frames),
    }
    return file_of("hnerv", size, frames, sections)


def hybrid(render: Size, coded: Size, size: Size, design: tuple[int, int, int]) -> Container:
    """Return eight frames of hybrid: black pictures under a network that is zero."""
    base, shape = classical("vp9", coded, size, 8), Design(render, *design)
    sections = {
        Section.STREAM: pack_varint(base.codec_id) + base.sections[Section.STREAM],
        Section.MODEL: shape.pack(),
    }
    if shape.network:
        sections[Section.WEIGHTS] = pack.pack_weights(zeros(shape.tensors()), shape.tensors())
        sections[Section.LATENTS] = stream(shape.code, 8)
    return file_of("hybrid", size, 8, sections)


def segments(part: Container, count: int) -> Container:
    """Return a file of many like parts."""
    data = part.to_bytes(contest=True)
    whole = (pack_varint(len(data)) + data) * count
    size = part.height, part.width
    return file_of("segments", size, count * part.num_frames, {Section.STREAM: whole})


def copied_png(coded: Size, size: Size) -> Container:
    """Return a copy of a QuickTime film of one black PNG."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mov"
        with av.open(str(path), "w") as out:
            film = out.add_stream("png", rate=20, width=coded[1], height=coded[0], pix_fmt="rgb24")
            black = np.zeros((*coded, 3), np.uint8)
            out.mux(film.encode(av.VideoFrame.from_ndarray(black, format="rgb24")))
            out.mux(film.encode(None))
        data = pack_varint(4) + b".mov" + path.read_bytes()
    return file_of("copy", size, 1, {Section.STREAM: data})


def semantic(
    drawn: Size, size: Size, masks: Size, data: bytes = b"", frames: int = 2, **shape: Any
) -> Container:
    """Return a file of semantic with an embedded renderer whose weights are zero."""
    small = {"classes": 2, "trunk": 1, "fine": 1, "lifted": 1, "dilations": ()}
    carried = shape.pop("carrier", None)
    design = RendererDesign(height=drawn[0], width=drawn[1], **(small | shape))
    header: dict[str, Any] = {"stack": "", "fingerprint": "", "judged": 0}
    header["classes"] = [str(number) for number in range(design.classes)]
    header["networks"] = {"renderer": design.values()}
    parts = {Part.RENDERER: pack.pack_weights(zeros(design.specs()), design.specs())}
    code = 0
    sections: dict[Section, bytes] = {}
    if carried is not None:
        carrier = CarrierDesign(*drawn, (0,), (256,), **carried)
        header["networks"]["carrier"] = carrier.values()
        header["judged"], code = 1, carrier.code
        sections[Section.LATENTS] = encode_codes(np.zeros((frames // 2, code), np.int64))
        parts[Part.CARRIER] = pack.pack_weights(zeros(carrier.specs()), carrier.specs())
    head = MaskHead(b"", masks, design.classes, False, code, 0, 0)
    sections[Section.MODEL], sections[Section.MASKS] = head.pack(), data
    sections[Section.RENDERER] = pack_file(header, parts)
    return file_of("semantic", size, frames, sections)


class Cost(NamedTuple):
    """What decoding took: the error or nothing, processor seconds, and bytes at the peak."""

    error: str
    kind: str
    seconds: float
    memory: int


def decoding(data: bytes, frames: int = 2) -> Cost:
    """Return what it costs to open a file and to decode its first frames."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    with context.Pool(1) as pool:
        return pool.apply(_decode, (data, frames))


def decompressing(data: bytes) -> Cost:
    """Return what it costs to write a file's video, with the tracks beside it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    with context.Pool(1) as pool:
        return pool.apply(_decompress, (data,))


_PRELOADED = [
    "seesame.decoders",
    "seesame.codecs.av.decode",
    "seesame.codecs.hnerv.decode",
    "seesame.codecs.hybrid.decode",
    "seesame.codecs.semantic.decode",
    "seesame.codecs.segments",
    "seesame.video.reading.reader",
]


def _decode(data: bytes, frames: int) -> Cost:
    def work() -> None:
        from seesame.decoders import batch_frames, open

        video, seen = open(data), 0
        for batch in video.batches(batch_frames(video)):
            seen += len(batch)
            if seen >= frames:
                break

    return _cost(work)


def _decompress(data: bytes) -> Cost:
    def work() -> None:
        from seesame.decoders import batch_frames, decode_file
        from seesame.video.writing.writer import write_clip

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "file.ssm"
            file.write_bytes(data)
            clip = decode_file(file, "cpu")
            frames = clip.batches(batch_frames(clip))
            size = {"width": clip.width, "height": clip.height}
            write_clip(Path(folder) / "out.mkv", frames, fps=clip.fps, **size, tracks=clip.tracks)

    return _cost(work)


def _cost(work: Callable[[], None]) -> Cost:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    import torch

    from seesame.errors import UserError

    torch.set_num_threads(1)
    start, error, kind = time.process_time(), "", ""
    try:
        work()
    except UserError as found:
        error, kind = str(found), type(found).__name__
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Cost(error, kind, time.process_time() - start, peak)
