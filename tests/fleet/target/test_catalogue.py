"""The catalogue: its rows, its totals, and that no name in it is a formula."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seesame.fleet.target.catalogue import COLUMNS, reason, row, totals, write_catalogue, write_csv
from seesame.fleet.target.state import DONE, FAILED, MISSED, WORKING, State, StateFolder

GOOD = State("a.mp4", "a.ssm", DONE, "r", source_bytes=100, bytes=10, frames=20, fps=10.0)
GOOD = State(**{**GOOD.plain(), "seg": 0.1, "pose": 0.2, "seconds": 3.0, "limits": {"max_seg": 1}})


def with_(**values: object) -> State:
    return State(**{**GOOD.plain(), **values})


STATES = [
    GOOD,
    with_(out="b.ssm", status=MISSED, missed="seg is", frames=60, seg=0.3, pose=0.4, bytes=20),
    with_(out="c.ssm", status=DONE, kept_source=True, bytes=100, frames=20, seg=0.0, pose=0.0),
    with_(uri="d.mp4", out="d.ssm", status=FAILED, error="d.mp4: frame 1,234 is bad", bytes=0),
    with_(uri="e.mp4", out="e.ssm", status=FAILED, error="e.mp4: frame 7 is bad", bytes=0),
    with_(out="f.ssm", status=WORKING, bytes=0),
]


def read(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def csv_of(values: dict[str, Any]) -> list[dict[str, str]]:
    file = io.BytesIO()
    write_csv([values], file)
    return read(file.getvalue())


def test_totals() -> None:
    found = totals(STATES)
    assert found.clips == {"done": 2, "missed": 1, "failed": 2, "working": 1}
    assert (found.source_bytes, found.bytes, found.kept_source) == (300, 130, 1)
    assert found.rate == pytest.approx(130 / 300)
    assert found.seg == pytest.approx((20 * 0.1 + 60 * 0.3) / 100)
    assert found.pose == pytest.approx((20 * 0.2 + 60 * 0.4) / 100)
    assert (found.video_s, found.work_s) == (10.0, 18.0)
    assert found.failures == {"frame N is bad": 2}
    assert totals([]).rate is None


def test_rows_say_what_is_known_and_nothing_else() -> None:
    done, missed, _, failed, *_ = map(row, STATES)
    assert tuple(done) == COLUMNS
    assert (done["rate"], done["limits_met"], done["seconds_of_video"]) == (0.1, True, 2.0)
    assert missed["limits_met"] is False
    assert (failed["bytes"], failed["rate"], failed["limits_met"]) == (None, None, None)
    assert row(with_(limits={}))["limits_met"] is None
    assert row(with_(score=float("inf")))["score"] is None


def test_the_files(tmp_path: Path) -> None:
    folder = StateFolder(str(tmp_path))
    for state in reversed(STATES):
        folder.put(state)
    write_catalogue(str(tmp_path), folder)
    rows = read((tmp_path / "catalog.csv").read_bytes())
    assert [r["status"] for r in rows] == [s.status for s in STATES]
    assert [r["bytes"] for r in rows] == ["10", "20", "100", "", "", ""]
    assert json.loads(rows[0]["limits"]) == {"max_seg": 1}


def test_a_file_in_a_store_is_written_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec", reason="needs fsspec (the extra fleet)")
    memory = pytest.importorskip("fsspec.implementations.memory")
    files, target = fsspec.filesystem("memory"), "memory://fleet/out"
    files.store.clear()
    folder = StateFolder(target)
    folder.put(STATES[0])
    write_catalogue(target, folder)
    before = {name: bytes(file.getvalue()) for name, file in files.store.items()}

    def half(file: Any, data: bytes) -> int:
        io.BytesIO.write(file, data[: len(data) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(memory.MemoryFile, "write", half, raising=False)
        with pytest.raises(KeyboardInterrupt):
            write_catalogue(target, folder)
    assert {name: bytes(file.getvalue()) for name, file in files.store.items()} == before


@pytest.mark.fleet
def test_parquet_has_the_same_rows(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow (the extra fleet)")
    folder = StateFolder(str(tmp_path))
    for state in (*STATES, with_(out="\udcff.ssm")):
        folder.put(state)
    write_catalogue(str(tmp_path), folder)
    table = parquet.read_table(tmp_path / "catalog.parquet")
    assert table.column_names == list(COLUMNS)
    assert table.to_pylist()[: len(STATES)] == [row(state) for state in STATES]
    assert table.to_pylist()[-1]["out"] == "\\xff.ssm"


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_no_name_is_a_formula(first: str) -> None:
    name = f'{first}HYPERLINK("http://x")'
    (values,) = csv_of(row(with_(uri=name, out=name, error=name, group=name)))
    for column in ("uri", "out", "error", "group"):
        assert values[column] == f"'{name}"


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))))
def test_every_name_comes_back_as_text(name: str) -> None:
    (values,) = csv_of(row(with_(out=name)))
    assert values["out"][:1] not in ("=", "+", "-", "@", "\t", "\r")
    assert values["out"].removeprefix("'") == name.removeprefix("'")


def test_numbers_are_no_text() -> None:
    (values,) = csv_of(row(with_(score=-1.5)))
    assert values["score"] == "-1.5"


def test_a_reason_is_without_names_and_numbers() -> None:
    assert reason(STATES[3]) == reason(STATES[4]) == "frame N is bad"
