"""The stand-in for the challenge's root module: its names, its pixels, its batches."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from literal_metric import batches, to_rgb, yuv6

from seesame.contest import frame_utils
from seesame.contest.frame_utils import AVVideoDataset, TensorVideoDataset

CPU = torch.device("cpu")


def frames(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def test_the_constants() -> None:
    assert frame_utils.camera_size == (1164, 874)
    assert frame_utils.segnet_model_input_size == (512, 384)
    assert frame_utils.seq_len == 2


def test_the_pixels_are_the_challenges(drive: Path) -> None:
    for frame in frames(drive):
        assert torch.equal(frame_utils.yuv420_to_rgb(frame), to_rgb(frame))


def test_full_range_is_taken_as_limited_as_the_challenge_does(drive: Path) -> None:
    frame = frames(drive)[0]
    limited = frame_utils.yuv420_to_rgb(frame)
    frame.color_range = 2
    assert torch.equal(frame_utils.yuv420_to_rgb(frame), limited)
    with pytest.raises(ValueError, match="yuv444p"):
        frame_utils.yuv420_to_rgb(frame.reformat(format="yuv444p"))


def test_the_packing_is_the_challenges_and_has_no_gradient() -> None:
    rgb = torch.rand(2, 3, 9, 12, generator=torch.Generator().manual_seed(0)) * 255
    packed = frame_utils.rgb_to_yuv6(rgb.requires_grad_())
    assert torch.equal(packed, yuv6(rgb.detach()[..., :8, :]))
    assert not packed.requires_grad


@pytest.mark.parametrize("batch_size", [1, 4, 6, 16])
def test_videos_come_in_batches_of_pairs(drive: Path, batch_size: int) -> None:
    data = AVVideoDataset([drive.name, drive.name], drive.parent, batch_size, CPU, num_threads=1)
    data.prepare_data()
    found = list(data)
    wanted = list(batches(drive, (120, 160), batch_size))
    assert [number for _, number, _ in found] == [*range(1, len(wanted) + 1)] * 2
    assert {path for path, _, _ in found} == {str(drive)}
    for (_, _, batch), expected in zip(found, wanted * 2, strict=True):
        assert torch.equal(batch, expected)
    assert frame_utils.frame_count(str(drive)) == 12


def test_raw_videos_are_read_without_a_single_last_frame(tmp_path: Path) -> None:
    width, height = frame_utils.camera_size
    pixels = np.arange(5, dtype=np.uint8).repeat(height * width * 3)
    pixels.tofile(tmp_path / "a.raw")
    data = TensorVideoDataset(["a.mkv"], data_dir=tmp_path, batch_size=16, device=CPU, seed=1234)
    data.prepare_data()
    ((path, number, batch),) = data
    assert (path, number) == (str(tmp_path / "a.raw"), 1)
    assert batch.shape == (2, 2, height, width, 3)
    assert batch[:, :, 0, 0, 0].tolist() == [[0, 1], [2, 3]]


def test_a_missing_video_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        AVVideoDataset(["absent.mkv"], tmp_path, 16, CPU).prepare_data()
