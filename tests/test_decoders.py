"""Random access to frames of every kind of file, and what opening refuses."""

import pickle
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seesame import decoders
from seesame.bitstream.container import MAGIC
from seesame.codecs.registry import get_codec
from seesame.context import EncodeContext
from seesame.decoders import VideoDecoder, open_clip, resolve_device
from seesame.errors import DamagedError, OutputExistsError, UserError
from seesame.video.clip import ArrayClip, Frames
from seesame.video.writing.writer import write_clip

COUNT = 90
"""Frames: three batches of the decoder's, the last of them short."""


@pytest.fixture(scope="module")
def frames() -> Frames:
    """Frames that differ from each other: frame ``i`` has ``i`` in its first channel."""
    numbers = np.arange(COUNT, dtype=np.uint8)
    return np.broadcast_to(numbers[:, None, None, None], (COUNT, 32, 48, 3)).copy()


def rows_first(frames: torch.Tensor) -> torch.Tensor:
    """Frames NCHW as NHWC."""
    return frames.permute(0, 2, 3, 1)


def shape_of(name: str) -> dict[str, tuple[int, int]]:
    """The size that a headerless file has to be given."""
    return {"size": (32, 48)} if name.endswith(".raw") else {}


@pytest.fixture(params=["mkv", "ssm", "folder", "raw"], scope="module")
def video(
    request: pytest.FixtureRequest, frames: Frames, tmp_path_factory: pytest.TempPathFactory
) -> VideoDecoder:
    """The frames in a file of every kind, opened."""
    folder = tmp_path_factory.mktemp("video")
    name = {"folder": "pictures"}.get(request.param, f"video.{request.param}")
    shape = {"fps": Fraction(20), "width": 48, "height": 32}
    if request.param == "ssm":
        write_clip(folder / "source.mkv", [frames], **shape)
        container = get_codec("copy").encode(open_clip(folder / "source.mkv"), {}, EncodeContext())
        container.write(folder / name)
    else:
        write_clip(folder / name, [frames], **shape)
    return decoders.open(folder / name, **shape_of(name))


def test_frames_by_number(video: VideoDecoder, frames: Frames) -> None:
    assert len(video) == COUNT
    for number in (0, 5, 4, 40, 41, 89, -1, -90, 33, 31, 0):
        frame = video[number]
        assert (frame.shape, frame.dtype) == ((3, 32, 48), torch.uint8)
        assert np.array_equal(frame.permute(1, 2, 0), frames[number])


@pytest.mark.parametrize(
    "part", [slice(10, 20), slice(None, None, 7), slice(70, 5, -9), slice(-3, None), slice(5, 5)]
)
def test_slices(video: VideoDecoder, frames: Frames, part: slice) -> None:
    assert np.array_equal(rows_first(video[part]), frames[part])
    batch = video.get_frames_in_range(part.start or 0, part.stop or COUNT, part.step or 1)
    if part.start != -3:
        assert np.array_equal(rows_first(batch.data), frames[part])


def test_frames_in_any_order(video: VideoDecoder, frames: Frames) -> None:
    wanted = [80, 3, 3, -1, 41]
    assert np.array_equal(rows_first(video.get_frames_at(wanted).data), frames[wanted])
    batch = video.get_frames_at(torch.tensor(wanted))
    assert np.array_equal(rows_first(batch.data), frames[wanted])
    assert batch.pts_seconds.tolist() == [4.0, 0.15, 0.15, 4.45, 2.05]
    assert len(video.get_frames_at([])) == 0
    data, played, duration = video.get_frame_at(np.int64(7))  # type: ignore[arg-type]
    assert np.array_equal(data.permute(1, 2, 0), frames[7])  # type: ignore[union-attr]
    assert (played, duration) == (0.35, 0.05)


def test_all_frames_in_order(video: VideoDecoder, frames: Frames) -> None:
    assert np.array_equal(rows_first(torch.stack(list(video))), frames)
    assert np.array_equal(rows_first(video.get_all_frames().data), frames)


def test_frames_by_time(video: VideoDecoder, frames: Frames) -> None:
    for seconds, number in ((0, 0), (0.049, 0), (0.05, 1), (3 * 0.05, 3), (4.499, 89), (2.01, 40)):
        frame = video.get_frame_played_at(seconds)
        assert np.array_equal(frame.data.permute(1, 2, 0), frames[number])
        assert frame.pts_seconds == number / 20
    batch = video.get_frames_played_at(torch.tensor([4.0, 0.1], dtype=torch.float64))
    assert batch.pts_seconds.tolist() == [4.0, 0.1]
    assert video.get_frames_played_in_range(1.02, 1.2).pts_seconds.tolist() == [1, 1.05, 1.1, 1.15]
    assert len(video.get_frames_played_in_range(1.0, 1.0)) == 0
    assert len(video.get_frames_played_in_range(4.4, 4.5)) == 2
    slower = video.get_frames_played_in_range(0, 4.5, fps=4)
    assert np.array_equal(rows_first(slower.data), frames[[*range(0, 90, 5)]])
    for wrong in (-0.01, 4.5):
        with pytest.raises(IndexError, match="the video plays from 0"):
            video.get_frame_played_at(wrong)
        with pytest.raises(ValueError, match="the video plays from 0"):
            video.get_frames_played_in_range(wrong, 4.5)
    with pytest.raises(ValueError, match=r"from 1\.0 to"):
        video.get_frames_played_in_range(1.0, 0.5)


def test_a_batch_is_a_sequence(video: VideoDecoder, frames: Frames) -> None:
    batch = video.get_frames_in_range(10, 14)
    assert (len(batch), len(batch[1:3])) == (4, 2)
    assert [float(one.pts_seconds) for one in batch] == [0.5, 0.55, 0.6, 0.65]
    assert "uint8 (4, 3, 32, 48)" in repr(batch)
    assert "pts_seconds=0.5" in repr(video.get_frame_at(10))


@pytest.mark.parametrize("number", [COUNT, -COUNT - 1, 10**6])
def test_a_frame_that_is_not_there(video: VideoDecoder, number: int) -> None:
    with pytest.raises(IndexError, match="there is no frame"):
        video[number]


def test_a_number_must_be_whole(video: VideoDecoder) -> None:
    with pytest.raises(TypeError):
        video[1.5]  # type: ignore[index]


def test_a_frame_is_the_caller_s_own(video: VideoDecoder, frames: Frames) -> None:
    video[3][:] = 255
    assert np.array_equal(video[3].permute(1, 2, 0), frames[3])


def test_facts(video: VideoDecoder) -> None:
    facts = video.metadata
    assert (facts.width, facts.height, facts.num_frames) == (48, 32, COUNT)
    assert (facts.average_fps, facts.duration_seconds) == (20.0, 4.5)
    assert (facts.begin_stream_seconds, facts.end_stream_seconds) == (0.0, 4.5)
    assert video.path is not None
    assert facts.codec == {".ssm": "copy", ".mkv": "h264"}.get(video.path.suffix)
    assert facts.nbytes == video.source_bytes > 0
    assert facts.bit_rate == pytest.approx(8 * facts.nbytes / 4.5)


def test_a_copy_for_another_process(video: VideoDecoder, frames: Frames) -> None:
    video[50]
    copy = pickle.loads(pickle.dumps(video))
    assert np.array_equal(copy[3].permute(1, 2, 0), frames[3])


def test_the_order_of_dimensions(video: VideoDecoder, frames: Frames) -> None:
    assert video.path is not None
    copy = decoders.open(video.path, **shape_of(str(video.path)), dimension_order="NHWC")
    assert np.array_equal(copy[10:20], frames[10:20])
    assert np.array_equal(pickle.loads(pickle.dumps(copy))[3], frames[3])
    with pytest.raises(UserError, match="use NCHW or NHWC"):
        decoders.open(video.path, dimension_order="HW")  # type: ignore[arg-type]


def test_bytes_and_file_objects(video: VideoDecoder, frames: Frames) -> None:
    if video.path is None or video.path.suffix not in (".ssm", ".mkv"):
        return
    data = video.path.read_bytes()
    from_bytes = pickle.loads(pickle.dumps(VideoDecoder(data)))
    with video.path.open("rb") as file:
        file.read(7)
        from_file = VideoDecoder(file)
    for decoder in (from_bytes, from_file):
        assert np.array_equal(rows_first(decoder[60:62]), frames[60:62])
        assert decoder.metadata.nbytes == len(data)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(from_file)


def test_bytes_that_are_no_video(tmp_path: Path) -> None:
    for data, says in ((b"", "the given bytes: empty"), (b"no video at all", "not a video")):
        with pytest.raises(DamagedError, match=says):
            VideoDecoder(data)
    with pytest.raises(DamagedError, match="the given bytes"):
        VideoDecoder(MAGIC + bytes(50))


def test_saved_without_loss(video: VideoDecoder, frames: Frames, tmp_path: Path) -> None:
    video.save(tmp_path / "out.mkv")
    assert np.array_equal(rows_first(decoders.open(tmp_path / "out.mkv")[:]), frames)
    with pytest.raises(OutputExistsError):
        video.save(tmp_path / "out.mkv")
    video.save(str(tmp_path / "out.mkv"), crf=30, overwrite=True)
    assert len(decoders.open(tmp_path / "out.mkv")) == COUNT


class Counted:
    """A clip that counts the frames that were decoded, and may end early."""

    width, height, fps, num_frames, source_bytes = 48, 32, Fraction(20), COUNT, 1

    def __init__(self, frames: Frames, end: int = COUNT) -> None:
        self.clip, self.decoded = ArrayClip(frames[:end]), 0

    def batches(self, batch_size: int) -> Iterator[Frames]:
        for batch in self.clip.batches(batch_size):
            self.decoded += len(batch)
            yield batch


@pytest.fixture
def mkv(frames: Frames, tmp_path: Path) -> VideoDecoder:
    write_clip(tmp_path / "a.mkv", [frames], fps=Fraction(20), width=48, height=32)
    return VideoDecoder(tmp_path / "a.mkv")


def test_rising_numbers_decode_every_frame_once(mkv: VideoDecoder, frames: Frames) -> None:
    mkv.clip = clip = Counted(frames)
    for number in range(COUNT):
        mkv[number]
    assert clip.decoded == COUNT
    mkv[COUNT - 3 :]
    assert clip.decoded == 2 * COUNT  # this clip cannot be entered later
    mkv[10]
    mkv[12]
    assert clip.decoded == 2 * COUNT + 13


def test_a_video_that_ends_early(mkv: VideoDecoder, frames: Frames) -> None:
    assert len(mkv) == COUNT
    mkv.clip = Counted(frames, end=50)
    assert np.array_equal(mkv[49].permute(1, 2, 0), frames[49])
    for _ in range(2):
        with pytest.raises(DamagedError, match="promises 90 frames, but ends before frame 60"):
            mkv[60]
    assert np.array_equal(mkv[20].permute(1, 2, 0), frames[20])


def test_an_ssm_without_its_suffix(drive: Path, tmp_path: Path) -> None:
    container = get_codec("x264").encode(open_clip(drive), {"crf": 40}, EncodeContext())
    path = tmp_path / "drive.bin"
    container.write(path)
    clip = open_clip(path)
    assert (clip.num_frames, clip.width, clip.source_bytes) == (12, 160, path.stat().st_size)


def test_a_damaged_ssm_is_named(drive: Path, tmp_path: Path) -> None:
    container = get_codec("x264").encode(open_clip(drive), {"crf": 40}, EncodeContext())
    data = bytearray(container.to_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "bad.ssm").write_bytes(data)
    with pytest.raises(DamagedError, match=r"bad\.ssm"):
        decoders.open(tmp_path / "bad.ssm")
    with pytest.raises(UserError, match=r"nowhere\.ssm"):
        open_clip(tmp_path / "nowhere.ssm")


def test_one_picture_is_no_video(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    with pytest.raises(UserError, match="give the folder"):
        decoders.open(tmp_path / "one.png")


def test_devices() -> None:
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") in ("cpu", "cuda", "mps")
    with pytest.raises(UserError, match="no device tpu"):
        resolve_device("tpu")
