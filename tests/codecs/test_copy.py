from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from seesame.bitstream.container import Container, Section
from seesame.codecs.copy import CopyCodec
from seesame.context import EncodeContext
from seesame.errors import DamagedError, UserError
from seesame.video.clip import ArrayClip, Clip, Frames
from seesame.video.reading.reader import open_clip


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Five frames of noise, 64x48 at 25 frames a second."""
    path = tmp_path / "source.MKV"
    with av.open(str(path), "w", format="matroska") as output:
        stream = output.add_stream("libx264", rate=25, width=64, height=48, pix_fmt="yuv420p")
        for seed in range(5):
            noise = np.random.default_rng(seed).integers(0, 256, (72, 64), dtype=np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="yuv420p")))
        output.mux(stream.encode(None))
    return path


def frames(clip: Clip, batch_size: int = 4) -> Frames:
    return np.concatenate(list(clip.batches(batch_size)))


def copied(clip: Clip) -> Container:
    return Container.from_bytes(CopyCodec().encode(clip, {}, EncodeContext()).to_bytes())


def test_the_copy_gives_identical_frames(video: Path) -> None:
    source = open_clip(video)
    container = copied(source)
    assert container.sections[Section.STREAM].endswith(video.read_bytes())
    assert len(container.to_bytes()) < video.stat().st_size + 64
    decoded = CopyCodec().decode(container)
    assert (decoded.width, decoded.height, decoded.num_frames) == (64, 48, 5)
    assert decoded.fps == source.fps
    assert decoded.source_bytes == video.stat().st_size
    np.testing.assert_array_equal(frames(decoded), frames(source))
    np.testing.assert_array_equal(frames(decoded, 5), frames(source))


def test_a_chosen_rate_is_kept(video: Path) -> None:
    decoded = CopyCodec().decode(copied(open_clip(video, fps=Fraction(30000, 1001))))
    assert decoded.fps == Fraction(30000, 1001)


def test_raw_is_copied_with_its_size(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 10, 14, 3), dtype=np.uint8)
    path = tmp_path / "clip.raw"
    path.write_bytes(noise.tobytes())
    decoded = CopyCodec().decode(copied(open_clip(path, size=(10, 14), fps=5)))
    np.testing.assert_array_equal(frames(decoded), noise)


def test_only_a_file_can_be_copied(tmp_path: Path) -> None:
    clip = ArrayClip(np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(UserError, match="one video file"):
        CopyCodec().encode(clip, {}, EncodeContext())


def test_settings_are_refused(video: Path) -> None:
    with pytest.raises(UserError, match="takes no settings, not crf"):
        CopyCodec().encode(open_clip(video), {"crf": 1}, EncodeContext())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 66}, "64x48, but the header says 66x48"),
        ({"num_frames": 4}, "more frames, but the header says 4"),
        ({"num_frames": 6}, "5 frames, but the header says 6"),
        ({"sections": {}}, "no video stream"),
        ({"sections": {Section.STREAM: b"\x05../..x"}}, "suffix"),
        ({"sections": {Section.STREAM: b"\x7f.mkv"}}, "suffix"),
        ({"sections": {Section.STREAM: b"\x04.mkv"}}, "empty"),
        ({"sections": {Section.STREAM: b"\x04.mkvhello"}}, "the copied clip"),
    ],
)
def test_a_damaged_copy_is_refused(video: Path, change: dict[str, object], message: str) -> None:
    container = copied(open_clip(video))
    for key, value in change.items():
        setattr(container, key, value)
    with pytest.raises(DamagedError, match=message) as caught:
        frames(CopyCodec().decode(container))
    assert "/tmp" not in str(caught.value)
    assert "seesame-" not in str(caught.value)


def test_a_frame_beyond_the_copied_clip_is_refused() -> None:
    corpus = Path(__file__).parents[1] / "fuzz" / "corpus"
    container = Container.read(corpus / "copy-0.ssm")
    container.num_frames = 40
    clip = CopyCodec().decode(container)
    with pytest.raises(DamagedError, match="header says 40"):
        list(clip.batches_from(20, 1))  # type: ignore[attr-defined]
