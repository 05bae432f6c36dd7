"""Where the bytes of a file went, for files of every kind."""

from pathlib import Path

import numpy as np
import pytest

from seesame.bitstream.container import Container, Section
from seesame.codecs.registry import codec_by_id
from seesame.report.subject import Subject, of_container, of_video
from seesame.video.clip import ArrayClip

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def read(name: str) -> tuple[Container, Subject]:
    container = Container.read(GOLDEN / name)
    codec = codec_by_id(container.codec_id)
    return container, of_container(name, container, codec, codec.decode(container))


@pytest.mark.parametrize(
    "name", ["av/svtav1.ssm", "av/x264.ssm", "hnerv/layout2.ssm", "hnerv/small.ssm"]
)
def test_parts_are_the_whole_file(name: str) -> None:
    _, subject = read(name)
    assert sum(size for _, size in subject.parts) == (GOLDEN / name).stat().st_size
    assert subject.bytes == (GOLDEN / name).stat().st_size
    assert subject.parts[-1][0] == "container"
    assert 0 < subject.parts[-1][1] < 80


@pytest.mark.parametrize("name", ["hnerv/layout2.ssm", "hybrid/small.ssm"])
def test_tensors_are_the_weights(name: str) -> None:
    container, subject = read(name)
    assert sum(subject.tensors.values()) == len(container.sections[Section.WEIGHTS])
    assert len(subject.tensors) > 3
    assert min(subject.tensors.values()) >= 0


def test_the_first_layout_does_not_tell_its_tensors() -> None:
    assert read("hnerv/small.ssm")[1].tensors == {}


def test_av1_tells_the_bytes_of_its_frames() -> None:
    container, subject = read("av/svtav1.ssm")
    stream = len(container.sections[Section.STREAM])
    assert len(subject.frame_bytes) == container.num_frames
    assert 0.9 * stream < sum(subject.frame_bytes) < stream


def test_packets_in_coding_order_tell_nothing() -> None:
    assert read("av/x264.ssm")[1].frame_bytes == ()
    assert read("hnerv/layout2.ssm")[1].frame_bytes == ()


def test_any_other_file_is_one_part() -> None:
    subject = of_video("a.mkv", ArrayClip(np.zeros((2, 4, 4, 3), dtype=np.uint8), 20, 77))
    assert (subject.bytes, subject.codec, subject.parts) == (77, "video", (("whole file", 77),))
