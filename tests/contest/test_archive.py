"""Archives at random damage: unpacked within bounds or refused, never anything else."""

import io
import random
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seesame.contest.archive import pack_files, unpack
from seesame.contest.submission import SubmissionError

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
BOUND = 1 << 20


def sound(method: int) -> bytes:
    numbers = random.Random(0)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        archive.writestr("a/b", bytes(numbers.randrange(9) for _ in range(900)))
        archive.writestr("c", b"hello" * 50)
    return data.getvalue()


def unpacked(data: bytes) -> dict[str, bytes] | None:
    """The files' contents by name, or None when refused; anything else goes through."""
    with tempfile.TemporaryDirectory() as work:
        archive, folder = Path(work, "x.zip"), Path(work, "folder")
        archive.write_bytes(data)
        folder.mkdir()
        try:
            unpack(archive, folder, BOUND)
        except SubmissionError as error:
            said = str(error)
            if not said.isprintable():
                raise ValueError(f"a verdict with control characters: {said!a}") from error
            return None
        finally:
            assert {path.name for path in Path(work).iterdir()} == {"x.zip", "folder"}
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) <= BOUND
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("method", METHODS)
def test_a_sound_archive(method: int) -> None:
    found = unpacked(sound(method))
    assert found is not None
    assert set(found) == {"a/b", "c"}
    assert found["c"] == b"hello" * 50


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4))
def test_changed_bytes(method: int, changes: list[tuple[float, int]]) -> None:
    data = bytearray(sound(method))
    for place, value in changes:
        data[int(place * len(data))] = value
    unpacked(bytes(data))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    unpacked(data)
    unpacked(b"PK\3\4" + data)


@pytest.mark.parametrize("method", METHODS)
def test_damaged_content_is_refused(method: int) -> None:
    data = sound(method)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        start = archive.infolist()[0].header_offset + 33
        middle = start + archive.infolist()[0].compress_size // 2
    assert unpacked(data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]) is None


def test_what_is_packed_comes_back(tmp_path: Path) -> None:
    payloads = {"0": bytes(range(256)), "1": b""}
    size = pack_files(tmp_path / "x.zip", payloads)
    assert size == 22 + sum(76 + 2 * len(name) + len(data) for name, data in payloads.items())
    assert unpacked((tmp_path / "x.zip").read_bytes()) == payloads
