"""The readers of binary files that are no clips: the store of trials, the cache, archives."""

import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing, suppress
from fractions import Fraction
from functools import cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
from tiny_stack import TinyStack

from fuzzing.damage import EDGES, damaged, damaged_json, json_bytes, number
from seesame.contest.archive import unpack
from seesame.contest.submission import open_submission
from seesame.errors import UserError
from seesame.jobs.store import Store
from seesame.jobs.trial import Subject, Trial
from seesame.metric.figures import Figures
from seesame.metric.storage import cache as score_cache
from seesame.metric.storage import entry as score_entry
from seesame.video.reading.raw import RawClip

if TYPE_CHECKING:
    from fuzzing.corpus import Corpus

Files = dict[str, bytes]
MOST_UNPACKED = 300_000
"""Bytes that an archive may expand to."""

_FIGURES = Figures(
    True, 2.0, 500, 0.01, 0.1, (0.01,) * 101, (0.1,) * 101, (("road", 0.1),), 3, 0.12
)
_SUBJECT = Subject("clip", "ab" * 32, "cpu")


@cache
def _sound_store(folder: Path) -> bytes:
    store = Store(folder / "made.sqlite")
    for n in range(3):
        store.put(
            f"key{n}", _SUBJECT, Trial("x264", {"crf": n}, 500, 9000, 0.01, 0.1, 1.0, 1.0, _FIGURES)
        )
    data = store.path.read_bytes()
    store.path.unlink()
    return data


def _store(random: Random, corpus: "Corpus") -> Files:
    from fuzzing.worker import scratch

    data = _sound_store(scratch())
    if not random.randrange(3):
        return {"store.sqlite": damaged(random, data)}
    path = scratch() / "changed.sqlite"
    path.write_bytes(data)
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("pragma synchronous = off")
        columns = [one[1] for one in base.execute("pragma table_info(trials)")]
        for _ in range(random.choice((1, 1, 2, 3))):
            kind = random.randrange(10)
            if kind == 0:
                names = "application_id", "user_version", "schema_version"
                base.execute(f"pragma {random.choice(names)} = {random.choice((0, 1, 2, 3, 99))}")
            elif kind == 1:
                base.execute(
                    f"alter table trials rename column {columns.pop()} to other{len(columns)}"
                )
            elif kind == 2:
                base.execute("create table if not exists more (a, b)")
            else:
                value = _store_value(random)
                column = random.choice((*columns, *("settings", "figures") * 4))
                with suppress(sqlite3.Error):  # a null where the table wants none
                    base.execute(f"update trials set {column} = ? where key = 'key1'", (value,))
    found = path.read_bytes()
    path.unlink()
    return {"store.sqlite": found}


def _store_value(random: Random) -> Any:
    kind = random.randrange(5)
    if kind == 0:
        return random.choice((None, "", "x", b"\xff\0", 1e308, -1, (1 << 63) - 1, float("inf")))
    plain = _FIGURES.plain() if kind < 4 else {"crf": 30, "preset": "fast"}
    return json_bytes(random, damaged_json(random, plain)).decode("utf-8", "replace")


def _read_store(folder: Path, _: Random) -> None:
    store = Store(folder / "store.sqlite", patience=0.1)
    found = store.of(_SUBJECT)
    for trial in (*found, store.get("key0"), store.get("key1")):
        if trial is not None:
            assert isinstance(trial.distortion, float)
            _ = trial.score.total
    store.put("new", _SUBJECT, Trial("x264", {"crf": 9}, 500, 9000, 0.01, 0.1, 1.0, 1.0, _FIGURES))


class _Clip:
    """The source of the cache's entries: eight frames of noise, of which the stack sees classes."""

    @staticmethod
    def write(folder: Path) -> RawClip:
        path = folder / "source.raw"
        path.write_bytes(
            np.random.default_rng(0).integers(0, 256, 4 * 48 * 64 * 3, np.uint8).tobytes()
        )
        return RawClip(path, (48, 64), Fraction(20))


def _outputs(folder: Path, clip: RawClip, told: list[str]) -> Any:
    return score_cache.cached_reference_outputs(
        clip.path, clip, TinyStack(), every_frame=True, tell=told.append, folder=folder
    )


@cache
def _sound_entry(folder: Path) -> tuple[str, bytes]:
    _outputs(folder / "cache", _Clip.write(folder), [])
    (path,) = (folder / "cache").glob("*.outputs")
    return path.name, path.read_bytes()


def _cache(random: Random, _: "Corpus") -> Files:
    """Make an entry whose checksum holds, whatever is in it; or one that is damaged."""
    from fuzzing.worker import scratch

    name, data = _sound_entry(scratch())
    if not random.randrange(3):
        return {name: damaged(random, data)}
    line, _, rest = data[: -score_entry.DIGEST].partition(b"\n")
    values = json.loads(line)
    for _step in range(random.choice((1, 1, 2))):
        kind = random.randrange(4)
        if kind == 0:
            values["maps"] = _other_sizes(random, values["maps"])
        elif kind == 1:
            values["poses"] = _other_sizes(random, values["poses"])
        elif kind == 2:
            rest = damaged(random, rest)
        else:
            changed = damaged_json(random, {k: values[k] for k in ("maps", "poses")}, 2)
            values = changed if not isinstance(changed, dict) else {**values, **changed}
        if not isinstance(values, dict) or {"maps", "poses"} - values.keys():
            break
    whole = json.dumps(values).encode() + b"\n" + rest
    return {name: whole + sha256(whole).digest()}


def _other_sizes(random: Random, sizes: Any) -> Any:
    """Change every whole number in lists of sizes and counts."""
    if isinstance(sizes, list):
        return [_other_sizes(random, one) for one in sizes]
    return number(random, sizes) if type(sizes) is int else sizes


def _read_cache(folder: Path, _: Random) -> None:
    from fuzzing.worker import scratch

    _sound_entry(scratch())
    told: list[str] = []
    clip = RawClip(scratch() / "source.raw", (48, 64), Fraction(20))
    found = _outputs(folder, clip, told)
    assert len(found.poses) == 2
    if told:
        raise UserError(told[0])


def _archive(random: Random, _: "Corpus") -> Files:
    """Make a zip whose directory, names, sizes and flags are anything."""
    out = BytesIO()
    names = [
        "inflate.sh",
        "a/b.ssm",
        "0.ssm",
        "../x",
        "/x",
        "a",
        "a/",
        "b\\c",
        "C:x",
        "é",
        "x" * 300,
        "\x1b[0m",
        "a\nb",
    ]
    with zipfile.ZipFile(out, "w") as file:
        for _entry in range(random.choice((1, 2, 3, 20))):
            entry = zipfile.ZipInfo(
                random.choice(names) if random.randrange(3) else f"f{random.randrange(99)}"
            )
            entry.compress_type = random.choice((0, 0, 8, 8, 8, 8, 8, 12, 14))
            entry.create_system = random.choice((0, 3, 3, 10))
            entry.external_attr = (
                random.choice((0, 0o100644, 0o120777, 0o010644, 0o100755, 0o060000)) << 16
            )
            content = random.choice((b"", b"text", bytes(200_000), random.randbytes(500)))
            if entry.filename.endswith("/"):
                content = b""
            file.writestr(entry, content)
        file.comment = random.choice((b"", b"PK\x05\x06" * 5, b"c" * 3000))
    data = bytearray(out.getvalue())
    for _step in range(random.choice((0, 1, 1, 2, 4))):
        _lie(random, data)
    found = damaged(random, bytes(data)) if not random.randrange(4) else bytes(data)
    return {"submission/archive.zip": found, "submission/inflate.sh": b"exit 0\n"}


def _lie(random: Random, data: bytearray) -> None:
    """Change one field of one of a zip's headers."""
    marks = {b"PK\x01\x02": 46, b"PK\x03\x04": 30, b"PK\x05\x06": 22}
    mark = random.choice(list(marks))
    places = (
        [at for at in range(len(data) - 4) if data[at] == 80 and data[at : at + 4] == mark]
        if len(data) < 50_000
        else [data.find(mark), data.rfind(mark)]
    )
    places = [at for at in places if at >= 0]
    if not places:
        return
    field = random.choice(places) + random.randrange(4, marks[mark], 2)
    size = random.choice((2, 4))
    if field + size <= len(data):
        value = random.choice((*EDGES, len(data), random.getrandbits(32))) & (1 << 8 * size) - 1
        data[field : field + size] = value.to_bytes(size, "little")


def _read_archive(folder: Path, _: Random) -> None:
    """Unpack a submission; whatever comes of it lies in its folder and within the limit."""
    submission = open_submission(folder / "submission")
    target = folder / "unpacked"
    target.mkdir()
    before = set(folder.rglob("*"))
    try:
        unpack(submission.folder / "archive.zip", target, MOST_UNPACKED)
    finally:
        made = [path for path in folder.rglob("*") if path not in before]
        assert all(target in path.parents for path in made), "a file outside of its folder"
        assert not any(path.is_symlink() for path in made), "a link"
        assert sum(path.stat().st_size for path in made if path.is_file()) <= MOST_UNPACKED


Reader = tuple[Callable[[Random, "Corpus"], Files], Callable[[Path, Random], None]]
BINARIES: dict[str, Reader] = {
    "store": (_store, _read_store),
    "cache": (_cache, _read_cache),
    "archive": (_archive, _read_archive),
}
"""Making and reading, by the target's name."""
