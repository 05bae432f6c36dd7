"""Manifests: what is read from each kind, and that nothing else gets through."""

import csv
import io
import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seesame.errors import UserError
from seesame.fleet.sources.manifest import read_manifest

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1).filter(
    lambda text: text.strip() == text
)


def written(folder: Path, name: str, data: bytes | str) -> str:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


def test_a_csv_gives_rows_with_their_lines(tmp_path: Path) -> None:
    text = "uri,out,codec,max_seg,crf,_note\na.mp4,,x264,0.01,40,mine\n\nb.mp4,c.ssm,,lane=0.1,,\n"
    path = written(tmp_path, "fleet.csv", "\ufeff" + text)
    assert read_manifest(path) == [
        (f"{path}, line 2", {"uri": "a.mp4", "codec": "x264", "max_seg": 0.01, "crf": 40}),
        (f"{path}, line 4", {"uri": "b.mp4", "out": "c.ssm", "max_seg": "lane=0.1"}),
    ]


def test_names_stay_text(tmp_path: Path) -> None:
    path = written(tmp_path, "fleet.csv", 'uri,group,roi\n12.5,7,"{""a"": [1, true]}"\n')
    assert read_manifest(path)[0][1] == {"uri": "12.5", "group": "7", "roi": {"a": [1, True]}}


def test_json_lines(tmp_path: Path) -> None:
    lines = [{"uri": "a.mp4", "max_seg": [0.01, "worst=0.1"]}, {"uri": "b", "out": None}]
    path = written(tmp_path, "f.jsonl", "\n".join(map(json.dumps, lines)) + "\n\n")
    assert [values for _, values in read_manifest(path)] == [lines[0], {"uri": "b"}]


@pytest.mark.fleet
def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow (the extra fleet)")
    from pyarrow import parquet

    path = str(tmp_path / "f.parquet")
    rows = [{"uri": "a.mp4", "crf": 40, "out": None}, {"uri": "b.mp4", "crf": None, "out": "c.ssm"}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    found = read_manifest(path)
    assert [values for _, values in found] == [
        {"uri": "a.mp4", "crf": 40},
        {"uri": "b.mp4", "out": "c.ssm"},
    ]
    assert found[1][0] == f"{path}, row 2"
    Path(path).write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(UserError, match="is not a Parquet table"):
        read_manifest(path)


@pytest.mark.fleet
def test_a_small_parquet_of_many_rows(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow (the extra fleet)")
    from pyarrow import parquet

    many = pyarrow.array([0] * ((1 << 20) + 1), pyarrow.int32())
    uris = pyarrow.DictionaryArray.from_arrays(many, pyarrow.array(["a.mp4"]))
    path = tmp_path / "f.parquet"
    parquet.write_table(pyarrow.table({"uri": uris}), path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match="more than 1,048,576 rows"):
        read_manifest(str(path))
    wide = {f"c{i}": [1] for i in range(1001)}
    parquet.write_table(pyarrow.table(wide), path)
    with pytest.raises(UserError, match="at most 1,000"):
        read_manifest(str(path))


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    with path.open("wb") as file:
        file.truncate((1 << 29) + 1)
    with pytest.raises(UserError, match="a manifest at most"):
        read_manifest(str(path))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("f.csv", "out\na\n", "no column uri"),
        ("f.csv", "uri,uri\na,b\n", "the column uri is there twice"),
        ("f.csv", "uri\n", "names no clip"),
        ("f.csv", "uri,out\n,a\n", "line 2: has no uri"),
        ("f.csv", "uri\na,b\n", "line 2: has more cells"),
        ("f.csv", 'uri\n"a\n', "is not a CSV table"),
        ("f.csv", 'uri\n"a\nb"\n', "uri is no text of one line"),
        ("f.csv", "uri\n" + "a" * (1 << 21), "is not a CSV table"),
        ("f.csv", "uri," + ",".join(f"_{i}" for i in range(200_000)), "at most 1,000"),
        ("f.csv", "uri\n" + "a\n" * ((1 << 20) + 1), "more than 1,048,576 rows"),
        ("f.csv", b"uri\n\xff\n", "not a text file in UTF-8"),
        ("f.csv", "uri\n".encode("utf-16"), "UTF-16"),
        ("f.jsonl", "{", "line 1: is not JSON"),
        ("f.jsonl", "[" * 100_000, "line 1: is not JSON"),
        ("f.jsonl", "[]", "is not a JSON object"),
        ("f.jsonl", '{"uri": 5}', "uri is no text of one line"),
        ("f.jsonl", '{"uri": "a", "out": ["b"]}', "out is no text of one line"),
        ("f.jsonl", '{"uri": "a\\u0000b"}', "no text of one line"),
    ],
)
def test_what_is_no_manifest_is_told(
    tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    with pytest.raises(UserError, match=message) as raised:
        read_manifest(written(tmp_path, name, text))
    assert name in str(raised.value)


@given(st.lists(st.tuples(NAMES, NAMES, st.integers() | st.booleans()), min_size=1))
def test_every_csv_is_read_as_it_was_meant(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, int]]
) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("uri", "group", "crf"))
    writer.writerows((uri, group, json.dumps(value)) for uri, group, value in rows)
    folder = tmp_path_factory.getbasetemp()
    found = read_manifest(written(folder, "any.csv", text.getvalue()))
    assert [(v["uri"], v["group"], v["crf"]) for _, v in found] == rows


@given(st.binary() | st.text().map(lambda text: ("uri,out\n" + text).encode(errors="replace")))
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_no_bytes_lead_to_another_error(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: bytes
) -> None:
    path = written(tmp_path_factory.getbasetemp(), f"any.{suffix}", data)
    with suppress(UserError):
        assert all(isinstance(values["uri"], str) for _, values in read_manifest(path))
