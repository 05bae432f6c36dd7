"""Manifests: a table with a clip in each row, as CSV, JSON lines or Parquet."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from seesame.errors import MissingExtraError, UserError
from seesame.fleet.storage import storage
from seesame.inputs import decode_text

SUFFIXES = (".csv", ".jsonl", ".parquet")
MOST_CELL = 1 << 20
"""Characters of one cell at most; a longer one is no manifest."""
MOST_BYTES, MOST_ROWS, MOST_COLUMNS = 1 << 29, 1 << 20, 1000
"""The bounds on a manifest; a larger fleet has several."""

_BATCH = 4096
"""Rows of a Parquet file that are unpacked at once."""

Row = tuple[str, dict[str, Any]]
"""The place of a row, as ``fleet.csv, line 3``, and its values by column without empty ones."""


def is_manifest(path: str) -> bool:
    """Return whether a path's suffix is that of a manifest."""
    return path.lower().endswith(SUFFIXES)


def read_manifest(path: str) -> list[Row]:
    """Return the rows of a manifest.

    Numbers and ``true`` or ``false`` in a CSV are read as such, as those of ``--set`` are. Columns
    whose name begins with ``_`` are the user's own, and left out.

    Raises:
        UserError: it is missing, not text in UTF-8, not such a table, or a row has no ``uri``.
        MissingExtraError: a Parquet file without pyarrow.
    """
    place = storage(path)
    there = place.stat(path)
    if there is not None and there.size > MOST_BYTES:
        raise UserError(f"{path}: has {there.size:,} bytes, and a manifest at most {MOST_BYTES:,}")
    data = place.read(path)
    if data is None:
        raise UserError(f"{path}: not found")
    if path.lower().endswith(".parquet"):
        rows = _parquet(path, data)
    else:
        text = decode_text(data, path)
        rows = _csv(path, text) if path.lower().endswith(".csv") else _json_lines(path, text)
    found = [(where, _checked(where, values)) for where, values in islice(rows, MOST_ROWS + 1)]
    _check_rows(path, len(found))
    if not found:
        raise UserError(f"{path}: names no clip")
    return found


def _csv(path: str, text: str) -> Iterator[Row]:
    previous = csv.field_size_limit(MOST_CELL)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = [name.strip() for name in next(reader, [])]
        _check_columns(path, len(header))
        twice = next((name for name, count in Counter(header).items() if name and count > 1), None)
        if twice is not None:
            raise UserError(f"{path}: the column {twice} is there twice")
        if "uri" not in header:
            raise UserError(f"{path}: has no column uri in its first line")
        for cells in reader:
            where = f"{path}, line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(header):
                raise UserError(f"{where}: has more cells than the first line has columns")
            named = zip(header, cells, strict=False)
            yield where, {name: _value(name, cell) for name, cell in named if name}
    except csv.Error as error:
        raise UserError(f"{path}: is not a CSV table ({error})") from error
    finally:
        csv.field_size_limit(previous)


def _value(name: str, cell: str) -> Any:
    """Return what a cell means: a name as it stands, everything else as JSON where it can be."""
    if name in ("uri", "out", "codec", "stack", "group"):
        return cell.strip()
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell.strip()


def _json_lines(path: str, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: is not JSON") from error
        if not isinstance(values, dict):
            raise UserError(f'{where}: is not a JSON object, as {{"uri": "drive.mp4"}}')
        yield where, values


def _parquet(path: str, data: bytes) -> Iterator[Row]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: reading Parquet needs pyarrow; run: pip install 'seesame[fleet]'"
        ) from error
    try:
        file = parquet.ParquetFile(pyarrow.BufferReader(data))
        names = file.schema_arrow.names
        _check_columns(path, len(names))
        _check_rows(path, file.metadata.num_rows)
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        if sum(group.total_byte_size for group in groups) > MOST_BYTES:
            raise UserError(f"{path}: unpacks to more than {MOST_BYTES:,} bytes")
        columns = [name for name in names if not name.startswith("_")]
        batches = file.iter_batches(_BATCH, columns=columns)
        rows = (values for batch in batches for values in batch.to_pylist())
        for number, values in enumerate(rows, start=1):
            yield f"{path}, row {number}", values
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        first = str(error).partition("\n")[0]
        raise UserError(f"{path}: is not a Parquet table ({first})") from error


def _check_rows(path: str, count: int) -> None:
    if count > MOST_ROWS:
        raise UserError(f"{path}: has more than {MOST_ROWS:,} rows; divide it")


def _check_columns(path: str, count: int) -> None:
    if count > MOST_COLUMNS:
        raise UserError(f"{path}: has {count:,} columns, and a manifest at most {MOST_COLUMNS:,}")


def _checked(where: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's values without empty ones and the user's own columns. Raises UserError."""
    kept = {
        name: value
        for name, value in values.items()
        if value is not None and value != "" and not name.startswith("_")
    }
    for name in ("uri", "out", "codec", "stack", "group"):
        value = kept.get(name, "")
        if not isinstance(value, str) or "\0" in value or "\n" in value:
            raise UserError(f"{where}: {name} is no text of one line: {value!r}")
    if "uri" not in kept:
        raise UserError(f"{where}: has no uri")
    return kept
