"""A packet of more units or frames than any encoder writes is refused before a decoder gets it."""

import crafted
import numpy as np
import pytest

from seesame.bounds import BOUNDS
from seesame.codecs.av.codec import AvCodec
from seesame.codecs.av.stream import check_packet, nals, obus, read_stream
from seesame.context import EncodeContext
from seesame.errors import DamagedError
from seesame.video.clip import ArrayClip

MOST_UNITS, MOST_FRAMES = BOUNDS.packet_units, BOUNDS.packet_frames
FRAME, PADDING = b"\x32\x01\x00", b"\x7a\x00"
"""OBUs of AV1, each with its size."""


def test_nal_units_are_found() -> None:
    packet = b"\0\0\0\1\x67ab\0\0\1\x68\0\0\1\x65\0\1\0\0\1"
    assert list(nals(packet)) == [0x67, 0x68, 0x65]


def test_obus_are_found() -> None:
    sized, extended, padded, rest = (
        b"\x0a\x01s",
        b"\x36\x00\x01f",
        b"\x7a\x82\x80\x00pp",
        b"\x30rest",
    )
    assert list(obus(sized + extended + padded + rest)) == [
        (1, b"s"),
        (6, b"f"),
        (15, b"pp"),
        (6, b"rest"),
    ]


@pytest.mark.parametrize("packet", [b"\x32", b"\x36", b"\x32\x02f", b"\x32" + b"\x80" * 8 + b"\0"])
def test_an_obu_that_does_not_fit_is_refused(packet: bytes) -> None:
    with pytest.raises(DamagedError, match="a packet of the svtav1 stream: is"):
        list(obus(packet))


def test_as_many_units_and_frames_as_allowed_pass() -> None:
    check_packet("x264", b"\0\0\1\x41" * MOST_UNITS)
    check_packet("svtav1", FRAME * MOST_FRAMES + PADDING * (MOST_UNITS - MOST_FRAMES))
    check_packet("vp9", b"\0\0\1\x41" * 1000)


@pytest.mark.parametrize(
    ("name", "packet", "said"),
    [
        ("x264", b"\0\0\1\x41" * (MOST_UNITS + 1), "more than 128 units"),
        ("x265", b"\0\0\1\x02" * (MOST_UNITS + 1), "more than 128 units"),
        ("svtav1", PADDING * (MOST_UNITS + 1), "more than 128 units"),
        ("svtav1", FRAME * (MOST_FRAMES + 1), "17 frames, more than 16"),
    ],
)
def test_more_are_refused(name: str, packet: bytes, said: str) -> None:
    with pytest.raises(DamagedError, match=f"the {name} stream is damaged: a packet has.*{said}"):
        check_packet(name, packet)


def test_packets_that_show_nothing_are_refused_when_there_are_too_many() -> None:
    made = crafted.hidden((64, 64), 1, 100)
    with pytest.raises(DamagedError, match="svtav1 stream is damaged: 65 packets in a row"):
        list(AvCodec("svtav1").decode(made).batches(1))


def test_hidden_frames_within_the_bounds_are_decoded() -> None:
    made = crafted.hidden((64, 64), 16, 20)
    clip = AvCodec("svtav1").decode(made)
    clip.num_frames = 20
    assert sum(map(len, clip.batches(1))) == 20


@pytest.mark.parametrize("name", ["x264", "x265"])
def test_a_picture_of_many_slices_passes(name: str) -> None:
    """The most threads, each of which codes a slice of its own where nothing may wait."""
    noise = np.random.default_rng(0).integers(0, 256, (2, 1088, 64, 3), np.uint8)
    settings = {"scale": 1, "preset": "ultrafast", "tune": "zerolatency", "threads": 64}
    made = AvCodec(name).encode(ArrayClip(noise), settings, EncodeContext())
    assert max(len(list(nals(packet))) for packet in read_stream(made, name)[1]) < MOST_UNITS
    assert sum(map(len, AvCodec(name).decode(made).batches(1))) == 2
