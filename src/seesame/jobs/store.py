"""Trials kept in SQLite, so that a search that was killed goes on and the next one is instant.

A trial is one row, written in one transaction: after a kill it is there whole or not at all.
Several searches may share a store; where both make the same trial, the figures are the same and
one row stays.
"""

import datetime
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from seesame.context import Note
from seesame.errors import UserError
from seesame.files import file_kind
from seesame.inputs import user_folder
from seesame.jobs.trial import Subject, Trial
from seesame.metric.figures import Figures
from seesame.metric.storage.cache import cache_home
from seesame.temporary import TemporaryFolder

T = TypeVar("T")

PATH_VARIABLE = "SEESAME_SEARCH"
"""Environment variable: the store's file."""
FORM = 2
"""Version of the table, in ``PRAGMA user_version``."""
APPLICATION = 0x5345_4553
"""``PRAGMA application_id``: tells a store from any other database."""

MOST_VALUE = 1 << 20
"""Bytes of a value in the table; a row with a longer one is an error."""

_TABLE = """
create table if not exists trials (
    key text primary key, clip text not null, stack text not null, device text not null,
    codec text not null, settings text not null, bytes integer not null,
    source_bytes integer not null, seg real not null, pose real not null,
    encode_s real not null, judge_s real not null, made text not null, figures text
) without rowid
"""
_FIGURES = ", figures text"
"""The column by which form 2 differs from form 1."""
_COLUMNS = "codec, settings, bytes, source_bytes, seg, pose, encode_s, judge_s, figures"


def store_path() -> Path:
    """Return the store's file: ``$SEESAME_SEARCH``, else ``search.sqlite`` in the cache folder."""
    own = os.environ.get(PATH_VARIABLE)
    return user_folder(own) if own else cache_home() / "search.sqlite"


def usual_store(note: Note) -> "Store":
    """Return the store at :func:`store_path`; where that cannot be used, one for this run only.

    Args:
        note: called with a line that says why nothing is kept.

    Raises:
        UserError: ``$SEESAME_SEARCH`` names one that cannot be used.
    """
    if os.environ.get(PATH_VARIABLE):  # the user's own wish
        return Store(store_path())
    try:
        return _UsualStore(store_path(), note)
    except UserError as error:
        note(f"the trials of this run are not kept: {error}")
        return Store.temporary()


class Store:
    """The trials of all searches on this machine.

    Args:
        path: the SQLite file; made when it is not there.
        patience: seconds to wait for another search that is writing.

    Raises:
        UserError: it cannot be made, read or written, is no store, or was made by a newer seesame.
    """

    def __init__(self, path: Path, patience: float = 60.0) -> None:
        self.path, self.patience = path, patience
        self._folder: TemporaryFolder | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            there = [one for one in (path.parent, path) if os.path.lexists(one)]
            kind = file_kind(path.stat().st_mode) if path in there else ""
        except OSError as error:
            raise UserError(f"{path}: cannot be made ({error.strerror})") from error
        if kind:
            raise UserError(f"{path}: is {kind}, and a store of trials is a file; name another")
        # SQLite makes a journal beside the file.
        if not all(os.access(one, os.W_OK) for one in there):
            raise UserError(f"{path}: cannot be written")
        with self._open() as base:
            if not self._is_made(base):
                # In one transaction: another search must not see a store that is half made.
                base.execute("begin immediate")
                if not self._is_made(base):
                    base.execute(_TABLE)
                    base.execute(f"pragma application_id = {APPLICATION}")
                    base.execute(f"pragma user_version = {FORM}")

    @classmethod
    def temporary(cls) -> "Store":
        """Return a store that goes with the object, or with the process."""
        folder = TemporaryFolder()
        store = cls(folder.path / "search.sqlite")
        store._folder = folder
        return store

    def _is_made(self, base: sqlite3.Connection) -> bool:
        """Return whether the file is a store already. Raises UserError where it is another base."""
        tables = base.execute("select type, name, sql from sqlite_master").fetchall()
        (application,) = base.execute("pragma application_id").fetchone()
        (form,) = base.execute("pragma user_version").fetchone()
        # Nobody knows what a view, a trigger, or a table with an expression does when it is asked.
        whole = _plain(_TABLE.replace("if not exists ", ""))
        texts = {1: whole.replace(_plain(_FIGURES), ""), FORM: whole}
        known = [(*one[:2], _plain(one[2] or "")) for one in tables] == [
            ("table", "trials", texts.get(form))
        ]
        if tables and not (application == APPLICATION and known):
            raise UserError(
                f"{self.path}: is not a search store of this version; name another file"
            )
        if tables and form == 1:  # its trials have no figures that limits bind
            if not base.in_transaction:
                base.execute("begin immediate")
            (form,) = base.execute("pragma user_version").fetchone()
            if form == 1:
                base.execute("alter table trials add column figures text")
                base.execute(f"pragma user_version = {FORM}")
        return bool(tables)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection, one transaction: committed at the end, undone by an error."""
        try:
            with closing(sqlite3.connect(self.path, timeout=self.patience)) as base, base:
                base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_VALUE)
                base.text_factory = partial(str, encoding="utf-8", errors="replace")
                yield base
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # names in it may be no text
            raise UserError(f"{self.path}: the store of trials fails ({error})") from error

    def get(self, key: str) -> Trial | None:
        """Return the trial with a key, or None where there is none that can be read."""
        with self._open() as base:
            row = base.execute(f"select {_COLUMNS} from trials where key = ?", (key,)).fetchone()
        return None if row is None else _trial(row)

    def of(self, subject: Subject) -> list[Trial]:
        """Return every trial on a subject's clip, stack and device, by bytes; unreadable ones not.

        Those of other environments are among them: they are as good for a plot. Rows that hold
        something else than a trial are left out.
        """
        wanted = "clip = ? and stack = ? and device = ?"
        values = (subject.clip, subject.stack, subject.device)
        with self._open() as base:
            rows = base.execute(
                f"select {_COLUMNS} from trials where {wanted} order by bytes", values
            ).fetchall()
        trials = [_trial(row) for row in rows]
        return [one for one in trials if one is not None]

    def put(self, key: str, subject: Subject, trial: Trial) -> None:
        """Keep a trial under a key."""
        made = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        figures = (trial.bytes, trial.source_bytes, trial.seg, trial.pose)
        settings = json.dumps(dict(trial.settings), sort_keys=True)
        values = (key, subject.clip, subject.stack, subject.device, trial.codec, settings)
        bound = None if trial.figures is None else json.dumps(trial.figures.plain())
        values += (*figures, trial.encode_s, trial.judge_s, made, bound)  # type: ignore[assignment]
        marks = ", ".join("?" * len(values))
        with self._open() as base:
            base.execute(f"insert or replace into trials values ({marks})", values)


class _UsualStore(Store):
    """A store that nobody named: where it fails, the trials go on without it.

    Args:
        path: the SQLite file.
        note: called once with a line that says why nothing more is kept.
    """

    def __init__(self, path: Path, note: Note) -> None:
        super().__init__(path)
        self._note = note

    def get(self, key: str) -> Trial | None:
        return self._or_without(partial(super().get, key))

    def of(self, subject: Subject) -> list[Trial]:
        return self._or_without(partial(super().of, subject))

    def put(self, key: str, subject: Subject, trial: Trial) -> None:
        self._or_without(partial(super().put, key, subject, trial))

    def _or_without(self, action: Callable[[], T]) -> T:
        """Return what an action gives; where it fails, with a store for this run from here on.

        Raises:
            UserError: that one fails too.
        """
        try:
            return action()
        except UserError as error:
            if self._folder is not None:
                raise
            self._note(f"the trials of this run are not kept from here on: {error}")
        other = Store.temporary()
        self.path, self._folder = other.path, other._folder
        return action()


def _plain(sql: str) -> str:
    """Return the text of a statement without what SQLite keeps or not: spaces and case."""
    return "".join(sql.lower().split())


def _trial(row: tuple[Any, ...]) -> Trial | None:
    """Return the trial in a row; None for a row that something else has written."""
    codec, settings, *numbers, figures = row
    try:
        bound = None if figures is None else Figures.from_plain(json.loads(figures))
        chosen = json.loads(settings)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    whole = all(type(one) is int and one > 0 for one in numbers[:2])
    real = all(isinstance(one, int | float) and 0 <= one < float("inf") for one in numbers)
    if not (isinstance(codec, str) and isinstance(chosen, dict) and whole and real):
        return None
    return Trial(codec, chosen, *numbers, bound)  # type: ignore[call-arg]
