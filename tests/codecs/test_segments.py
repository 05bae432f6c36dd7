"""Parts of a clip, each a file of its own."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_stack import FakeStack
from hypothesis import given, settings
from hypothesis import strategies as st

from seesame.bitstream.container import Container, Section
from seesame.bitstream.varint import pack_varint
from seesame.codecs.av.codec import AvCodec
from seesame.codecs.segments import SegmentsCodec
from seesame.context import EncodeContext
from seesame.errors import DamagedError, UserError
from seesame.video.clip import ArrayClip, Clip, Frames

GOLDEN = Path(__file__).parents[1] / "golden" / "segments" / "small.ssm"
X264 = {"frames": 6, "codec": "x264", "settings": {"crf": 20, "preset": "ultrafast", "scale": 1}}
SVTAV1 = {"frames": 5, "codec": "svtav1", "settings": {"crf": 20, "preset": 10, "scale": 0.5}}


def source(num_frames: int = 11) -> ArrayClip:
    """Flat pictures, every frame with a level of its own, brighter by far from frame 6 on."""
    levels = 40 + 4 * np.arange(num_frames) + 100 * (np.arange(num_frames) >= 6)
    frames = np.ones((num_frames, 64, 96, 3)) * levels[:, None, None, None]
    return ArrayClip(frames.astype(np.uint8), Fraction(25), 10**6)


def encode(*parts: Any, **more: Any) -> Container:
    return SegmentsCodec().encode(source(), {"parts": list(parts), **more}, EncodeContext())


@pytest.fixture(scope="module")
def container() -> Container:
    return Container.from_bytes(encode(X264, SVTAV1).to_bytes())


def frames(clip: Clip, batch_size: int = 4) -> Frames:
    return np.concatenate(list(clip.batches(batch_size)))


def with_stream(container: Container, stream: bytes) -> Container:
    sections = {**container.sections, Section.STREAM: stream}
    values = {**vars(container), "sections": sections}
    return Container(**values)


def test_parts_come_back_one_after_the_other(container: Container) -> None:
    decoded = SegmentsCodec().decode(container)
    assert (decoded.width, decoded.height, decoded.num_frames) == (96, 64, 11)
    shown = frames(decoded)
    assert np.abs(shown.astype(float) - source().frames).mean(axis=(1, 2, 3)).max() < 1.9
    sizes = [len(batch) for batch in decoded.batches(4)]
    assert sizes == [4, 4, 3]  # batches do not end with the parts
    assert np.array_equal(frames(decoded, 11), shown)


def test_a_part_is_what_its_codec_makes_of_the_frames_alone(container: Container) -> None:
    alone = ArrayClip(source().frames[:6], Fraction(25))
    single = AvCodec("x264").encode(alone, X264["settings"], EncodeContext())
    shown = frames(SegmentsCodec().decode(container))[:6]
    assert np.array_equal(shown, frames(AvCodec("x264").decode(single)))
    data = single.to_bytes(contest=True)
    assert container.sections[Section.STREAM].startswith(pack_varint(len(data)) + data)


def test_info_names_the_parts(container: Container) -> None:
    notes = SegmentsCodec().notes(container)
    assert list(notes) == ["part 1", "part 2"]
    assert notes["part 1"].startswith("x264, frames 0 to 5, ")
    assert notes["part 2"].startswith("svtav1, frames 6 to 10, ")
    assert container.config()["parts"] == [X264, SVTAV1]


def test_bytes_of_frames_where_all_parts_tell(container: Container) -> None:
    codec = SegmentsCodec()
    assert codec.frame_bytes(container) == ()  # x264 does not
    both = encode({**SVTAV1, "frames": 6}, SVTAV1)
    sizes = codec.frame_bytes(both)
    assert len(sizes) == 11
    assert min(sizes) > 0
    assert sum(sizes) < len(both.sections[Section.STREAM])


def test_progress_is_of_the_whole() -> None:
    told: list[tuple[float, str]] = []
    context = EncodeContext(progress=lambda share, text: told.append((share, text)))
    SegmentsCodec().encode(source(), {"parts": [X264, SVTAV1]}, context)
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert told[0][1].startswith("part 1: ")
    assert told[-1][1].startswith("part 2: ")


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ("x264", "parts must be a list"),
        ([], "parts must be a list"),
        ([7], "part 1 must be an object"),
        ([{**X264, "more": 1}], "part 1 must be an object"),
        ([{**X264, "frames": "6"}], "part 1 must have frames"),
        ([{**X264, "frames": 0}], "part 1 must have frames"),
        ([{**X264, "codec": "segments"}], "part 1 cannot be of codec 'segments'"),
        ([{**X264, "codec": "copy"}], "part 1 cannot be of codec 'copy'"),
        ([{**X264, "codec": "h266"}], "unknown codec 'h266'"),
        ([{**X264, "frames": 5}, SVTAV1], "part 1 has 5 frames: a pair is torn"),
        ([X264, X264], "the parts have 12 frames, the clip 11"),
        ([X264, {**SVTAV1, "settings": {"crf": 99}}], "crf must be"),
    ],
)
def test_bad_settings(parts: Any, why: str) -> None:
    with pytest.raises(UserError, match=why):
        SegmentsCodec().encode(source(), {"parts": parts}, EncodeContext())


def test_an_unknown_setting() -> None:
    with pytest.raises(UserError, match="no setting 'crf'"):
        encode(X264, SVTAV1, crf=3)


def test_parts_that_do_not_fit_are_damage(container: Container) -> None:
    stream = container.sections[Section.STREAM]
    codec = SegmentsCodec()
    first = AvCodec("x264").encode(
        ArrayClip(source().frames[:6], Fraction(25)), X264["settings"], EncodeContext()
    )

    def part(**changed: Any) -> bytes:
        data = Container(**{**vars(first), **changed}).to_bytes(contest=True)
        return pack_varint(len(data)) + data

    for bad, why in [
        (stream[:-1], "part 2"),
        (stream + part(), "17 frames, the header says 11"),
        (part(), "6 frames, the header says 11"),
        (b"", "0 frames"),
        (part(fps=Fraction(24)), "size or rate"),
        (part(width=95), "size or rate"),
        (part(codec_id=18), "cannot be of codec segments"),
        (part(codec_id=0), "cannot be of codec copy"),
        (part(codec_id=99), "codec id 99"),
    ]:
        with pytest.raises(DamagedError, match=why):
            codec.decode(with_stream(container, bad))
    with pytest.raises(DamagedError, match="holds no parts"):
        codec.decode(Container(**{**vars(container), "sections": {}}))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_never_is_another_error(container: Container, data: st.DataObject) -> None:
    stream = bytearray(container.sections[Section.STREAM])
    for _ in range(data.draw(st.integers(1, 4))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = SegmentsCodec().decode(with_stream(container, bytes(stream)))
        shown = frames(decoded)
    except DamagedError:
        return
    assert shown.shape == (11, 64, 96, 3)


def test_the_golden_file_decodes_as_ever() -> None:
    container = Container.read(GOLDEN)
    assert container.config()["parts"] == [X264, SVTAV1]
    shown = frames(SegmentsCodec().decode(container))
    assert np.abs(shown.astype(float) - source().frames).mean(axis=(1, 2, 3)).max() < 1.9


class Counted(ArrayClip):
    """Counts the frames that were decoded of it."""

    decoded = 0

    def batches(self, batch_size: int) -> Iterator[Frames]:
        for batch in super().batches(batch_size):
            self.decoded += len(batch)
            yield batch


def test_the_source_is_decoded_once_for_all_parts() -> None:
    """Not from its first frame for every part."""
    clip = Counted(np.repeat(source().frames, 12, axis=0)[:128], Fraction(25), 10**6)
    part = {**X264, "frames": 4}
    made = SegmentsCodec().encode(clip, {"parts": [part] * 32}, EncodeContext())
    assert clip.decoded == 128
    shown = frames(SegmentsCodec().decode(made), 16)
    assert np.abs(shown.astype(float) - clip.frames).mean(axis=(1, 2, 3)).max() < 1.9


def test_a_part_whose_codec_reads_twice_gets_the_same_frames() -> None:
    """Hybrid reads its part several times; the parts beside it are not disturbed."""
    settings = {"network": False, "sidecar": False, "steps": 1, "base": "x264", "base.crf": 20}
    hybrid = {"frames": 5, "codec": "hybrid", "settings": settings | {"base.scale": 1}}
    parts = [{**X264, "frames": 2}, {**X264, "frames": 4}, hybrid]
    context = EncodeContext(FakeStack())
    made = SegmentsCodec().encode(source(), {"parts": parts}, context)
    shown = frames(SegmentsCodec().decode(made))
    assert np.abs(shown.astype(float) - source().frames).mean(axis=(1, 2, 3)).max() < 1.9


def test_a_clip_that_ends_early_is_refused() -> None:
    clip = source()
    clip.frames = clip.frames[:9]
    with pytest.raises(DamagedError, match="promises 5 frames, but gave 3"):
        SegmentsCodec().encode(clip, {"parts": [X264, SVTAV1]}, EncodeContext())


def test_a_stack_is_needed_where_a_part_needs_one() -> None:
    codec = SegmentsCodec()
    assert not codec.needs_stack({"parts": [X264, SVTAV1]})
    assert codec.needs_stack({"parts": [X264, {"frames": 5, "codec": "hnerv"}]})
    with pytest.raises(UserError, match="parts must be a list"):
        codec.needs_stack({"parts": "nonsense"})
