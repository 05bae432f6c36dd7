"""The .ssm container: round trips, its size, and every kind of damage."""

import json
import os
import tracemalloc
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seesame.bitstream import container as module
from seesame.bitstream.container import Container, Section, pack_config, unpack_config
from seesame.bitstream.varint import pack_varint
from seesame.errors import DamagedError, OutputExistsError, UserError

GOLDEN = Path(__file__).parents[1] / "golden" / "bitstream"


def example() -> Container:
    return Container(
        codec_id=7,
        width=1164,
        height=874,
        fps=Fraction(30000, 1001),
        num_frames=1200,
        source_bytes=37_545_489,
        sections={
            Section.CONFIG: pack_config({"preset": "fast", "seed": 3}),
            Section.MODEL: b"model",
            Section.WEIGHTS: bytes(range(200)),
            Section.LATENTS: b"",
        },
    )


def crc(data: bytes) -> bytes:
    return int(google_crc32c.value(data)).to_bytes(4, "little")


def by_hand(
    numbers: list[bytes] | None = None,
    sections: list[tuple[int, bytes]] | None = None,
    count: int | None = None,
    start: bytes = b"\x89SSM\x01\xf0\x07",
) -> bytes:
    """An ordinary file put together from docs/format.md, with right checksums."""
    if numbers is None:
        numbers = [pack_varint(n) for n in (64, 48, 20, 1, 10, 1000)]
    sections = [(2, b"abc")] if sections is None else sections
    data = start + b"".join(numbers)
    data += bytes([len(sections) if count is None else count])
    for key, payload in sections:
        data += bytes([key]) + pack_varint(len(payload)) + crc(payload) + payload
    return data + crc(data)


containers = st.builds(
    Container,
    codec_id=st.integers(0, 255),
    width=st.integers(1, 4096),
    height=st.integers(1, 65535),
    fps=st.builds(Fraction, st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1)),
    num_frames=st.integers(1, 2**31 - 1),
    source_bytes=st.integers(0, 2**63 - 1),
    sections=st.dictionaries(st.sampled_from(Section), st.binary(max_size=300)),
)


@given(containers)
def test_round_trip(container: Container) -> None:
    data = container.to_bytes()
    back = Container.from_bytes(data)
    assert back == container
    assert back.to_bytes() == data
    assert not back.contest


@given(containers)
def test_contest_round_trip(container: Container) -> None:
    data = container.to_bytes(contest=True)
    back = Container.from_bytes(data)
    dropped = (Section.CONFIG, Section.TIMES, Section.TRACKS)
    kept = {k: v for k, v in container.sections.items() if k not in dropped}
    assert back == replace(container, source_bytes=0, sections=kept)
    assert back.contest
    assert back.to_bytes() == data
    assert len(data) - sum(map(len, kept.values())) <= 64


@given(containers, st.booleans())
def test_layout_names_every_byte(container: Container, contest: bool) -> None:
    layout = container.layout(contest)
    assert sum(size for _, size in layout) == len(container.to_bytes(contest))
    assert layout[0] == ("magic", 4)
    assert dict(layout).get("weights") == (
        len(container.sections[Section.WEIGHTS]) if Section.WEIGHTS in container.sections else None
    )


def test_worst_contest_overhead() -> None:
    """Every bound at its largest, as many sections as a codec writes: at most 64 bytes."""
    semantic = Section.MASKS, Section.RESIDUALS, Section.RENDERER  # which has no STREAM, WEIGHTS, …
    sections = {key: bytes(1 << 21) for key in Section if key not in semantic}
    fps = Fraction(2**31 - 1, 2**31 - 2)
    biggest = Container(255, 65535, 4096, fps, 2**31 - 1, 2**63 - 1, sections)
    # The lengths of payloads towards 2 GiB would take one byte more each.
    assert len(biggest.to_bytes(contest=True)) - 5 * (1 << 21) + 5 <= 64
    assert len(biggest.to_bytes()) - 8 * (1 << 21) + 8 <= 41 + 8 * 10
    own = Section.CONFIG, Section.MODEL, Section.LATENTS, *semantic
    biggest.sections = {key: bytes(1 << 21) for key in own}
    assert len(biggest.to_bytes(contest=True)) - 5 * (1 << 21) + 5 <= 64


def test_ordinary_overhead() -> None:
    """Header and checksums of a usual file with settings and three more sections."""
    container = example()
    overhead = sum(n for name, n in container.layout() if name.upper() not in Section.__members__)
    assert overhead <= 24 + 4 * 8


def test_bytes_are_those_of_the_format_page() -> None:
    container = Container(7, 64, 48, Fraction(20), 10, 1000, {Section.STREAM: b"abc"})
    assert container.to_bytes() == by_hand()
    assert container.to_bytes(contest=True) == bytes.fromhex(
        "8953534d 01 e1 07 40 30 14 01 0a 01 02 03 616263"
    )


def test_section_order_in_memory_does_not_matter() -> None:
    container = example()
    turned = replace(container, sections=dict(reversed(container.sections.items())))
    assert turned.to_bytes() == container.to_bytes()


# --- goldens -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ordinary.ssm", "contest.ssm"])
def test_golden_files_decode_for_ever(name: str) -> None:
    path = GOLDEN / name
    container = Container.read(path)
    contest = name == "contest.ssm"
    assert (container.codec_id, container.width, container.height) == (42, 1164, 874)
    assert container.fps == Fraction(30000, 1001)
    assert container.num_frames == 1199
    assert container.source_bytes == (0 if contest else 37_545_489)
    wanted = {"bits": [6, 5, 4], "lambda": 0.125, "names": ["späť"] * 9, "on": True}
    assert container.config() == ({} if contest else wanted)
    assert container.sections[Section.STREAM] == b"\x00\x01stream"
    assert container.sections[Section.MODEL] == b""
    assert container.sections[Section.WEIGHTS] == bytes(i * i % 251 for i in range(300))
    assert container.sections[Section.LATENTS] == b"latents"
    assert container.sections[Section.SIDECAR] == b"\xff"
    assert container.to_bytes() == path.read_bytes()


# --- damage ------------------------------------------------------------------------------------


def test_every_flipped_bit_is_refused() -> None:
    data = example().to_bytes()
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedError, match=r"^drive\.ssm: "):
            Container.from_bytes(bytes(flipped), "drive.ssm")


@pytest.mark.parametrize("contest", [False, True])
def test_every_truncation_and_any_tail_is_refused(contest: bool) -> None:
    data = replace(example(), sections={Section.STREAM: b"s" * 40}).to_bytes(contest)
    for size in range(len(data)):
        with pytest.raises(DamagedError):
            Container.from_bytes(data[:size])
    for tail in (b"\0", b"\xff", data):
        with pytest.raises(DamagedError):
            Container.from_bytes(data + tail)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\x89SS", "truncated"),
        (b"\x00\x00\x00\x18ftypmp42", "is not an .ssm file"),
        (b"SSM is text", "is not an .ssm file"),
        (by_hand(start=b"\x89SSM\x02\xf0\x07"), "format version 2.*newer seesame"),
        (by_hand(start=b"\x89SSM\x00\xf0\x07"), "no format version 0"),
        (by_hand(start=b"\x89SSM\x01\xf1\x07"), "no profile 0xf1"),
        (by_hand(start=b"\x89SSM\x01\xd2\x07"), "no profile 0xd2"),
        (by_hand(sections=[(99, b"new")]), "unknown section 99.*newer seesame"),
        (by_hand(sections=[(0, b"")]), "doubled or out of order"),
        (by_hand(sections=[(2, b"a"), (2, b"a")]), "section 2 is doubled"),
        (by_hand(sections=[(3, b"a"), (2, b"a")]), "section 2 is doubled or out of order"),
        (by_hand(count=0), "checksum"),
        (by_hand(count=2), "damaged"),
        (by_hand() + b"x", "1 bytes follow its end"),
        (b"\x89SSM\x01\xe1\x07\x40\x30\x14\x01\x0a\x01\x01\x00", "contest profile has no settings"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, words: str) -> None:
    with pytest.raises(DamagedError, match=f"^drive.ssm: .*{words}") as caught:
        Container.from_bytes(data, "drive.ssm")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("position", "number", "words"),
    [
        (0, b"\x00", "width is 0"),
        (1, b"\x00", "height is 0"),
        (0, pack_varint(65536), "width is 65536"),
        (0, pack_varint(2**63 - 1), "width"),
        (2, b"\x00", "frame rate"),
        (3, b"\x00", "frame rate"),
        (3, b"\x02", "lowest terms"),  # 20 / 2
        (2, pack_varint(2**31), "frame rate"),
        (4, b"\x00", "number of frames is 0"),
        (4, pack_varint(2**31), "number of frames"),
        (0, b"\xc0\x00", "shortest form"),
        (5, b"\xff" * 9 + b"\x00", "nine bytes"),
    ],
)
def test_absurd_headers(position: int, number: bytes, words: str) -> None:
    """The checksums are right, so only the check of the value itself can refuse these."""
    numbers = [pack_varint(n) for n in (64, 48, 20, 1, 10, 1000)]
    numbers[position] = number
    with pytest.raises(DamagedError, match=words):
        Container.from_bytes(by_hand(numbers))


def test_absurd_number_of_pixels() -> None:
    numbers = [pack_varint(n) for n in (65535, 65535, 20, 1, 10, 1000)]
    with pytest.raises(DamagedError, match="number of pixels"):
        Container.from_bytes(by_hand(numbers))


@pytest.mark.parametrize("contest", [False, True])
def test_huge_declared_size_allocates_nothing(contest: bool) -> None:
    start = b"\x89SSM\x01" + (b"\xe1" if contest else b"\xf0") + b"\x07\x40\x30\x14\x01\x0a"
    start += b"" if contest else b"\x05"
    data = start + b"\x01\x02" + pack_varint(2**60) + b"abcd" * 3
    tracemalloc.start()
    with pytest.raises(DamagedError, match=str(2**60)):
        Container.from_bytes(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


@settings(max_examples=400)
@given(containers, st.data())
def test_random_damage_never_raises_anything_else(
    container: Container, data: st.DataObject
) -> None:
    damaged = bytearray(container.to_bytes(data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged)))
        cut = data.draw(st.integers(0, 5))
        damaged[at : at + cut] = data.draw(st.binary(max_size=5))
    try:
        back = Container.from_bytes(bytes(damaged))
    except DamagedError:
        return
    assert back.to_bytes() == bytes(damaged)  # accepted only in the one canonical form


@given(st.binary(max_size=80))
def test_random_bytes_after_the_magic(data: bytes) -> None:
    for start in (b"", b"\x89SSM\x01\xf0", b"\x89SSM\x01\xe1"):
        try:
            back = Container.from_bytes(start + data)
        except DamagedError:
            continue
        assert back.to_bytes() == start + data


def test_values_that_do_not_fit_are_the_users_mistake() -> None:
    for wrong in ({"width": 0}, {"height": 70000}, {"num_frames": 0}, {"fps": Fraction(0)}):
        with pytest.raises(UserError, match="cannot be stored"):
            replace(example(), **wrong).to_bytes()


# --- settings ----------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=6))
def test_config_round_trip(config: dict[str, object]) -> None:
    assert unpack_config(pack_config(config)) == config


def test_config_is_deflated_only_where_smaller() -> None:
    assert pack_config({"b": 1, "a": [2]}) == b'\x00{"a":[2],"b":1}'
    long = pack_config({"kernel": "lanczos" * 40})
    assert long[0] == 1
    assert len(long) < 60


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", {1, 2}])
def test_config_refuses_what_json_cannot_hold(value: object) -> None:
    with pytest.raises(UserError, match="JSON"):
        pack_config({"value": value})


def deflated(text: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflater.compress(text) + deflater.flush()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00",
        b"\x02{}",
        b"\x00[]",
        b'\x00{"a": 1}',
        b'\x00{"b":1,"a":2}',
        b'\x00{"a":1,"a":1}',
        b'\x00{"a":NaN}',
        b'\x00{"a":1e999}',
        b"\x00{" + b'"a":[' * 50_000,
        b"\x00\xff",
        b"\x01garbage",
        b"\x01" + deflated(b'{"a":1}')[:-1],
        b"\x01" + deflated(b'{"a":1}') + b"x",
        b"\x01" + deflated(b"{" + b" " * (200 << 20)),
    ],
    ids=range(15),
)
def test_damaged_config(payload: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(DamagedError, match=r"^drive\.ssm: .*settings"):
        unpack_config(payload, "drive.ssm")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20  # 200 MiB of spaces are never inflated


@given(st.binary(max_size=60))
def test_random_config(payload: bytes) -> None:
    try:
        config = unpack_config(payload)
    except DamagedError:
        return
    json.dumps(config)


# --- files -------------------------------------------------------------------------------------


def test_write_and_read(tmp_path: Path) -> None:
    path = tmp_path / "drive.ssm"
    size = example().write(path)
    assert size == path.stat().st_size == len(example().to_bytes())
    assert Container.read(path) == example()
    with pytest.raises(OutputExistsError, match="exists already"):
        example().write(path)
    contest = example().write(path, overwrite=True, contest=True)
    assert contest == path.stat().st_size < size
    assert Container.read(path).contest
    assert os.listdir(tmp_path) == ["drive.ssm"]


def test_what_reads_back_differently_is_not_moved_into_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = os.fsync

    def damage(descriptor: int) -> None:
        os.pwrite(descriptor, b"\x00", 20)
        flushed(descriptor)

    monkeypatch.setattr(module.os, "fsync", damage)
    with pytest.raises(UserError, match="reads back differently"):
        example().write(tmp_path / "drive.ssm")
    assert os.listdir(tmp_path) == []


def test_read_refuses_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        Container.read(tmp_path / "none.ssm")
    with pytest.raises(UserError, match="cannot be read"):
        Container.read(tmp_path)
    (tmp_path / "empty.ssm").touch()
    with pytest.raises(DamagedError, match=r"empty\.ssm: is empty"):
        Container.read(tmp_path / "empty.ssm")


def test_read_bounds_the_size_it_loads(tmp_path: Path) -> None:
    path = tmp_path / "huge.ssm"
    with path.open("wb") as file:
        file.truncate((2 << 30) + 1)  # sparse: takes no room
    with pytest.raises(DamagedError, match="more than an"):
        Container.read(path)
