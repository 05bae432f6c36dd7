"""Trials on disk: kept whole, shared, refused when they are something else."""

import json
import multiprocessing
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from judged import flat

from seesame.errors import UserError
from seesame.jobs import environment
from seesame.jobs.spec import Source
from seesame.jobs.store import Store, store_path, usual_store
from seesame.jobs.trial import Subject, Trial
from seesame.perception.registry import load_stack

TRIAL = Trial("svtav1", {"crf": 40, "scale": 0.4}, 1000, 50_000, 0.01, 0.02, 1.5, 0.5)
SUBJECT = Subject("clip", "stack", "cpu")


def test_a_trial_comes_back_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "search.sqlite")
    key = SUBJECT.key("svtav1", TRIAL.settings)
    assert store.get(key) is None
    store.put(key, SUBJECT, TRIAL)
    assert Store(store.path).get(key) == TRIAL
    assert store.get(replace(SUBJECT, clip="other").key("svtav1", TRIAL.settings)) is None


def test_figures_that_limits_bind_are_kept(tmp_path: Path) -> None:
    store, key = Store(tmp_path / "s"), SUBJECT.key("svtav1", TRIAL.settings)
    figures = flat(lost=(("lane markings", 0.1), ("road", 0.0)), worst=0.5)
    trial = replace(TRIAL, figures=figures)
    store.put(key, SUBJECT, trial)
    assert store.get(key) == trial


def test_a_store_of_the_form_before_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "s"
    store = Store(path)
    store.put("k", SUBJECT, TRIAL)
    with sqlite3.connect(path) as base:
        base.execute("alter table trials drop column figures")
        base.execute("pragma user_version = 1")
    for _ in range(2):
        again = Store(path)
        assert again.of(SUBJECT) == [TRIAL]
    again.put("k2", SUBJECT, replace(TRIAL, figures=flat()))
    assert again.get("k2") == replace(TRIAL, figures=flat())


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("codec", b"\xff"), ("codec", b"x264"), ("settings", "{"), ("settings", "[1]")),
        *(("settings", "[" * 5000), ("settings", '{"crf": ' + "1" * 5000 + "}"), ("settings", 7)),
        *(("bytes", "many"), ("bytes", 1.5), ("bytes", -1), ("source_bytes", 0), ("seg", "x")),
        *(("seg", -0.5), ("pose", float("inf")), ("encode_s", b""), ("figures", "")),
        *(("figures", "null"), ("figures", "{}"), ("figures", "[]"), ("figures", b"\0\xff")),
        *(("figures", ("seg", "x")), ("figures", ("seg_at", [0.1])), ("figures", ("lost", [1]))),
        *(("figures", ("pose", None)), ("figures", ("bytes", 10**400)), ("figures", ("lost", 3))),
        *(("figures", ("every_frame", "no")), ("figures", ("score", float("nan")))),
    ],
)
def test_a_broken_row_is_as_if_it_were_not_there(
    tmp_path: Path, column: str, value: object
) -> None:
    store = Store(tmp_path / "s")
    sound = replace(TRIAL, figures=flat())
    for key in ("whole", "broken"):
        store.put(key, SUBJECT, sound)
    if isinstance(value, tuple):
        assert sound.figures is not None
        value = json.dumps({**sound.figures.plain(), value[0]: value[1]})
    with sqlite3.connect(store.path) as base:
        base.execute(f"update trials set {column} = ? where key = 'broken'", (value,))
    assert store.get("broken") is None
    assert store.of(SUBJECT) == [sound]
    store.put("broken", SUBJECT, sound)
    assert store.get("broken") == sound


def test_a_store_whose_errors_are_no_text_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    data = store.path.read_bytes()
    store.path.write_bytes(data.replace(b"CREATE TABLE", b"CREATE \xf5\xf5\xf5LE"))
    with pytest.raises(UserError, match="the store of trials fails"):
        Store(store.path)


def test_a_key_depends_on_all_that_the_figures_do() -> None:
    base = SUBJECT.key("svtav1", {"crf": 40, "scale": 0.4})
    assert base == SUBJECT.key("svtav1", {"scale": 0.4, "crf": 40})
    others = {
        SUBJECT.key("svtav1", {"crf": 41, "scale": 0.4}),
        SUBJECT.key("x265", {"crf": 40, "scale": 0.4}),
        *(
            replace(SUBJECT, **{name: "x"}).key("svtav1", {"crf": 40, "scale": 0.4})
            for name in ("clip", "stack", "device")
        ),
    }
    others.add(replace(SUBJECT, every_frame=False).key("svtav1", {"crf": 40, "scale": 0.4}))
    assert len(others | {base}) == 7


def test_a_key_depends_on_what_runs_the_networks(
    drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(drive)
    clip, stack = source.open(), load_stack("lite")

    def key(threads: int = 2) -> str:
        return Subject.of(source, clip, stack, "cpu", threads).key("x264", {"crf": 40})

    keys = [key(), key(threads=1)]
    with monkeypatch.context() as patch:
        patch.setattr(environment, "OUTPUT_VERSION", environment.OUTPUT_VERSION + 1)
        keys.append(key())
    for library in ("torch", "numpy", "av"):
        with monkeypatch.context() as patch:
            patch.setattr(
                environment,
                "version",
                lambda name, one=library: "0" if name == one else version(name),
            )
            keys.append(key())
    assert len(set(keys)) == len(keys)
    assert key() == keys[0]


@pytest.mark.parametrize("what", ["text", "another database", "a newer store", "a folder"])
def test_what_is_no_store_is_refused_and_left_alone(tmp_path: Path, what: str) -> None:
    path = tmp_path / "search.sqlite"
    if what == "text":
        path.write_text("dear diary, " * 100)
    elif what == "a folder":
        path.mkdir()
    elif what == "a newer store":
        Store(path)
        with sqlite3.connect(path) as base:
            base.execute("pragma user_version = 99")
    else:
        with sqlite3.connect(path) as base:
            base.execute("create table mine (x)")
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(UserError, match=r"search\.sqlite"):
        Store(path)
    assert (path.read_bytes() if path.is_file() else None) == before


def _write(path: Path, first: int) -> None:
    store = Store(path)
    for crf in range(first, first + 40):
        trial = replace(TRIAL, settings={"crf": crf})
        store.put(SUBJECT.key("svtav1", trial.settings), SUBJECT, trial)


def test_two_searches_may_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "search.sqlite"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(path, first)) for first in (0, 20)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    for crf in range(60):
        found = Store(path).get(SUBJECT.key("svtav1", {"crf": crf}))
        assert found == replace(TRIAL, settings={"crf": crf})
    with sqlite3.connect(path) as base:
        assert base.execute("pragma integrity_check").fetchone() == ("ok",)


def test_a_store_is_never_half_made(tmp_path: Path) -> None:
    """Searches that start together all find a whole store, however they take turns."""
    for number in range(12):
        path = tmp_path / f"{number}.sqlite"
        gate = threading.Barrier(8)

        def begin(path: Path = path, gate: threading.Barrier = gate) -> None:
            gate.wait()
            Store(path)

        with ThreadPoolExecutor(8) as pool:
            for begun in [pool.submit(begin) for _ in range(8)]:
                begun.result()


def test_where_the_store_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEESAME_SEARCH", str(tmp_path / "own"))
    assert store_path() == tmp_path / "own"
    monkeypatch.delenv("SEESAME_SEARCH")
    monkeypatch.setenv("SEESAME_HOME", str(tmp_path))
    assert store_path() == tmp_path / "cache" / "search.sqlite"
    monkeypatch.delenv("SEESAME_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert store_path() == tmp_path / "seesame" / "search.sqlite"


BROKEN_ROWS = [
    ("settings", "no JSON"),
    ("settings", "[1]"),
    ("settings", "[" * 100_000),
    ("settings", b"\xff\xfe"),
    ("figures", "no JSON"),
    ("figures", "{}"),
    ("figures", '{"seg_at": 1}'),
    ("figures", "[]"),
    ("codec", b"\x00"),
    ("bytes", "many"),
    ("bytes", -1),
    ("source_bytes", 0),
    ("seg", "none"),
    ("pose", b"\x01"),
    ("pose", float("inf")),
    ("encode_s", "long"),
]


@pytest.mark.parametrize(("column", "item"), BROKEN_ROWS)
def test_broken_rows_are_made_again(tmp_path: Path, column: str, item: object) -> None:
    store = Store(tmp_path / "s")
    store.put("k", SUBJECT, TRIAL)
    other = replace(TRIAL, bytes=2000, figures=flat())
    store.put("k2", SUBJECT, other)
    with sqlite3.connect(store.path) as base:
        base.execute(f"update trials set {column} = ? where key = 'k'", (item,))
    again = Store(store.path)
    assert again.get("k") is None
    assert again.of(SUBJECT) == [other]
    again.put("k", SUBJECT, TRIAL)
    assert again.get("k") == TRIAL


FIGURES = flat().plain()


@pytest.mark.parametrize(
    "change",
    [
        {"seg_at": [0.0]},
        {"seg_at": ["a"] * 101},
        {"pose_at": None},
        {"lost": [["road"]]},
        {"lost": [["road", "much"]]},
        {"score": None},
        {"score": float("nan")},
        {"worst_frame": "last"},
    ],
)
def test_broken_figures_are_made_again(tmp_path: Path, change: dict[str, object]) -> None:
    store = Store(tmp_path / "s")
    store.put("k", SUBJECT, TRIAL)
    with sqlite3.connect(store.path) as base:
        base.execute("update trials set figures = ?", (json.dumps(FIGURES | change),))
    assert store.get("k") is None


@pytest.mark.parametrize(
    "kind",
    [*("view", "trigger", "huge", "columns", "expression", "check"), *("pipe", "loop", "endless")],
)
def test_stores_that_are_none_get_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "s"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind in ("loop", "endless"):
        path.symlink_to("s" if kind == "loop" else "/dev/zero")
    else:
        Store(path).put("k", SUBJECT, TRIAL)
        endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n"
        with sqlite3.connect(path) as base:
            if kind == "view":
                base.execute("drop table trials")
                base.execute(f"create view trials as {endless}")
            elif kind == "trigger":
                base.execute(
                    f"create trigger t after insert on trials begin "
                    f"insert into trials(key) {endless}; end"
                )
            elif kind in ("expression", "check"):
                (text,) = base.execute("select sql from sqlite_master").fetchone()
                slow = "instr(hex(zeroblob(500000)), hex(zeroblob(250000)) || '1')"
                changed = {
                    "expression": text.replace("clip text not null", f"clip text as ({slow})"),
                    "check": text.replace("figures text", f"figures text, check ({slow} < 0)"),
                }
                base.execute("drop table trials")
                base.execute(changed[kind])
            elif kind == "huge":
                base.execute("update trials set settings = zeroblob(100000000)")
            else:
                base.execute("alter table trials drop column seg")
    with pytest.raises(UserError) as caught:
        Store(path).get("k")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_store_that_nobody_named_is_no_condition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is damaged at first, then fails in the middle: one note each, and the trials go on."""
    monkeypatch.delenv("SEESAME_SEARCH")
    monkeypatch.setenv("SEESAME_HOME", str(tmp_path))
    path, notes = store_path(), list[str]()
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no store" * 1000)
    store = usual_store(notes.append)
    store.put("k", SUBJECT, TRIAL)
    assert store.get("k") == TRIAL
    assert len(notes) == 1
    path.unlink()
    notes.clear()
    store = usual_store(notes.append)
    store.put("k", SUBJECT, TRIAL)
    assert notes == []
    path.write_bytes(b"damaged" * 1000)
    store.put("k2", SUBJECT, TRIAL)
    assert store.get("k2") == TRIAL
    assert len(notes) == 1
    assert "from here on" in notes[0]
    monkeypatch.setenv("SEESAME_SEARCH", str(path))
    with pytest.raises(UserError):
        usual_store(notes.append)
