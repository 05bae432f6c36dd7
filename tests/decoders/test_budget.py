"""A file of a few bytes costs no more than docs/format.md allows, or is refused in one line."""

from collections.abc import Callable

import crafted
import pytest
import quicktime

from seesame.bitstream.container import Container, Section
from seesame.bitstream.varint import pack_varint
from seesame.bounds import BOUNDS

MOST_SECONDS = 20
WIDE = (256,) * 5

TOO_MUCH: dict[str, Callable[[], Container]] = {
    "a frame of too many pixels": lambda: crafted.classical("vp9", (64, 64), (16384, 16384)),
    "the same, sharpened": lambda: crafted.classical(
        "vp9", (64, 64), (16384, 16384), sharpen=20, sharpen_size=15
    ),
    "a side enlarged too much": lambda: crafted.classical("x264", (64, 64), (64, 4160)),
    "a side of a base enlarged too much": lambda: crafted.hybrid(
        (64, 64), (64, 64), (64, 4160), (0, 0, 0)
    ),
    "a PNG larger than the header says": lambda: crafted.copied_png((4096, 3072), (240, 320)),
    "a network of too many weights": lambda: crafted.hnerv((64, 64), (64, 64), WIDE, latent=256),
    "a part of too many weights": lambda: crafted.segments(
        crafted.hnerv((64, 64), (64, 64), WIDE, latent=256), 60
    ),
    "parts of too many weights together": lambda: crafted.segments(
        crafted.hnerv((64, 64), (64, 64), (256, 256, 256, 256, 64)), 60
    ),
    "a network of too much work": lambda: crafted.hybrid(
        (2048, 2048), (64, 64), (2048, 2048), (1, 128, 6)
    ),
    "a renderer of too large pictures": lambda: crafted.semantic((2048, 2049), (64, 64), (16, 16)),
    "a renderer of too large maps": lambda: crafted.semantic(
        (2048, 2048), (64, 64), (16, 16), fine=128
    ),
    "a renderer of too much work": lambda: crafted.semantic(
        (2048, 2048), (64, 64), (16, 16), trunk=128, dilations=(1,) * 12
    ),
    "masks of noise": lambda: crafted.semantic(
        (512, 512), (64, 64), (512, 512), b"\xff" * 3000, classes=30
    ),
    "more packets than any clip needs": lambda: crafted.many_packets(1 << 23, 2),
    "hidden frames in one packet": lambda: crafted.hidden((64, 64), 17, 1),
    "hidden frames in packets of their own": lambda: crafted.hidden((64, 64), 1, 100),
    "a mask without data": lambda: crafted.semantic((512, 512), (64, 64), (512, 512), b"\x55" * 9),
}

MUCH: dict[str, Callable[[], Container]] = {
    "a long row": lambda: crafted.classical("vp9", (64, 4096), (64, 65535)),
    "enlarged 64 times a side": lambda: crafted.classical("vp9", (64, 64), (4096, 4096)),
    "a large frame": lambda: crafted.classical("vp9", (1024, 2048), (4096, 8192), up="lanczos"),
    "a large frame, sharpened": lambda: crafted.classical(
        "vp9", (512, 1024), (4096, 6144), sharpen=20, sharpen_size=15
    ),
    "a large frame of ten bits": lambda: crafted.classical(
        "svtav1", (2304, 4096), (2304, 4096), depth=10
    ),
    "a full inverse": lambda: crafted.hnerv((2048, 2048), (4095, 4095)),
    "an inverse of another shape": lambda: crafted.hnerv((1500, 2047), (1501, 4093)),
    "a long enlarged side": lambda: crafted.hnerv((64, 1000), (65, 64000)),
    "the largest maps": lambda: crafted.hnerv(
        (1024, 1024), (1024, 1024), (32, 32, 32, 32, 120), frames=8
    ),
    "many pairs": lambda: crafted.hnerv((64, 64), (64, 64), frames=1 << 22),
    "a large base": lambda: crafted.hybrid((64, 64), (3072, 4096), (3072, 4096), (0, 0, 0)),
    "a large network": lambda: crafted.hybrid((1536, 2048), (64, 64), (1536, 2048), (1, 32, 4)),
    "pictures made smaller": lambda: crafted.semantic((2048, 2048), (2047, 2047), (16, 16)),
    "pictures made much smaller": lambda: crafted.semantic((1024, 4096), (16, 16), (16, 16)),
    "a carrier's largest grid": lambda: crafted.semantic(
        (1024, 1024), (64, 64), (16, 16), carrier={"rows": 256, "columns": 256, "channels": 64}
    ),
    "parts one at a time": lambda: crafted.segments(
        crafted.hnerv((64, 64), (64, 64), (64, 128, 128, 128, 64)), 30
    ),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_claims_too_much_is_refused_before_it_costs_anything(name: str) -> None:
    cost = crafted.decoding(TOO_MUCH[name]().to_bytes())
    assert cost.kind == "DamagedError"
    assert len(cost.error.splitlines()) == 1
    assert cost.memory < 600_000_000
    assert cost.seconds < MOST_SECONDS


@pytest.mark.parametrize("name", MUCH)
def test_what_may_be_claimed_keeps_to_the_budget(name: str) -> None:
    made = MUCH[name]()
    data = made.to_bytes()
    assert len(data) < 20_000
    cost = crafted.decoding(data)
    assert cost.error == ""
    pixels = made.width * made.height
    assert cost.memory < BOUNDS.memory_bytes + BOUNDS.bytes_a_pixel * pixels
    assert cost.memory < 1_200_000_000
    assert cost.seconds < MOST_SECONDS


def test_the_most_packets_are_read_within_the_budget() -> None:
    cost = crafted.decoding(crafted.many_packets(1 << 22, 2).to_bytes())
    assert "near frame 0" in cost.error
    assert cost.memory < 600_000_000
    assert cost.seconds < MOST_SECONDS


def test_too_many_frames_are_refused() -> None:
    made = crafted.classical("vp9", (64, 64), (64, 64))
    made.num_frames = BOUNDS.frames + 1
    cost = crafted.decoding(made.to_bytes())
    assert (cost.kind, "16,777,217 frames" in cost.error) == ("DamagedError", True)


@pytest.mark.parametrize("name", ["many sizes", "tracks together", "many times", "a long run"])
def test_a_copied_clip_that_claims_many_samples_costs_nothing(name: str) -> None:
    data = pack_varint(4) + b".mov" + quicktime.CLAIMS[name]
    file = crafted.file_of("copy", (64, 64), 1, {Section.STREAM: data})
    cost = crafted.decoding(file.to_bytes())
    assert (cost.kind, "its tables claim" in cost.error) == ("DamagedError", True)
    assert len(cost.error.splitlines()) == 1
    assert cost.memory < 600_000_000


def test_tracks_that_claim_many_samples_cost_nothing() -> None:
    file = crafted.classical("vp9", (64, 64), (64, 64), 20)
    file.sections[Section.TRACKS] = quicktime.CLAIMS["many sizes"]
    cost = crafted.decompressing(file.to_bytes())
    assert (cost.kind, "its tables claim" in cost.error) == ("DamagedError", True)
    assert len(cost.error.splitlines()) == 1
    assert cost.memory < 600_000_000


def test_the_most_samples_keep_to_the_budget() -> None:
    samples = BOUNDS.samples - 100
    tables = quicktime.sizes(samples), quicktime.times(samples)
    film = quicktime.film(quicktime.header(quicktime.track(*tables, chunk=samples)))
    file = crafted.file_of("copy", (64, 64), 1, {Section.STREAM: pack_varint(4) + b".mov" + film})
    cost = crafted.decoding(file.to_bytes())
    assert "its tables claim" not in cost.error
    assert cost.memory < BOUNDS.memory_bytes
