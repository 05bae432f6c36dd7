"""The file of the videos' names, as editors of all kinds write it."""

import os
from pathlib import Path

import pytest

from seesame.contest.inflate import name_lines
from seesame.contest.videos import read_names
from seesame.errors import UserError


@pytest.mark.parametrize("mark", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_mark_and_line_ends_are_no_part_of_a_name(tmp_path: Path, mark: str, end: str) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(f"0.mkv{end}{end} é.mkv {end}".encode(mark))
    assert read_names(path) == name_lines(path) == ["0.mkv", "é.mkv"]


def test_a_name_may_be_any_bytes(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(b"caf\xe9.mkv\n")
    assert [os.fsencode(name) for name in read_names(path)] == [b"caf\xe9.mkv"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_another_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "names.txt"
    path.write_text("0.mkv\n", encoding=encoding)
    with pytest.raises(UserError, match=r"names\.txt: is not a text file in UTF-8"):
        read_names(path)
