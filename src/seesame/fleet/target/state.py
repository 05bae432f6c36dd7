"""The state of each clip, one small JSON file in the target, and the log of events."""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from types import UnionType
from typing import Any, Self, get_args, get_origin

from seesame.fleet.storage import HIDDEN, joined, storage

FORMAT = 1
"""Of the state files; raised with a change that an older seesame could not read."""
DONE, MISSED, FAILED, WORKING = "done", "missed", "failed", "working"
UNCHANGED = "unchanged"
"""What a worker says of a clip whose content is that of the finished file; never kept."""
EVENTS = "events.jsonl"
MOST = (1 << 63) - 1
"""The largest count: a table of the catalogue has no larger one."""


@dataclass(frozen=True, slots=True)
class State:
    """One clip of a fleet: what was asked for, and what became of it.

    Args:
        uri: the clip.
        out: the output's name below the target.
        status: ``done``; ``missed`` for a file that is kept although it misses a limit;
            ``failed``; ``working`` for one that was begun and not ended.
        recipe: digest of everything but the clip that decides the file.
        content: SHA-256 of the clip.
        stamp: the clip's time of change or mark, when it was read.
        source_bytes: of the clip.
        bytes: of the output; 0 where there is none.
        codec: that was asked for.
        settings: that were asked for.
        limits: that were asked for.
        used: the settings that the file has, found ones included.
        stack: name of the perception networks.
        fingerprint: of the stack.
        on_miss: what was to be done with a file that misses a limit.
        seed: of every random step.
        group: the user's name for clips of one kind.
        width: of the clip, in pixels.
        height: the same.
        frames: of the clip.
        fps: of the clip.
        seg: mean seg distortion of second frames, as the score has it.
        pose: mean pose distortion.
        score: of the file.
        frames_seg: mean seg distortion by the rule of limits.
        worst_pair: number of the pair with the highest share in the score, from 0.
        worst_pair_seg: its seg distortion.
        worst_pair_pose: its pose distortion.
        missed: the limits that the file misses, in words.
        kept_source: the output is the source itself.
        encodes: of the clip's length that the search for its settings made; None without one.
        shared: that search began with what won on earlier clips of the same camera.
        seconds: of the whole work on the clip.
        encode_s: of encoding and writing.
        judge_s: of judging.
        attempts: that were made, those of killed runs included.
        machine: that did it.
        time: when the state was written, in UTC.
        error: why it failed, in one line.
        notes: what the user should know, one line each.
    """

    uri: str
    out: str
    status: str
    recipe: str
    content: str = ""
    stamp: str = ""
    source_bytes: int = 0
    bytes: int = 0
    codec: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    used: Mapping[str, Any] = field(default_factory=dict)
    stack: str = ""
    fingerprint: str = ""
    on_miss: str = ""
    seed: int = 0
    group: str = ""
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    fps: float | None = None
    seg: float | None = None
    pose: float | None = None
    score: float | None = None
    frames_seg: float | None = None
    worst_pair: int | None = None
    worst_pair_seg: float | None = None
    worst_pair_pose: float | None = None
    missed: str = ""
    kept_source: bool = False
    encodes: float | None = None
    shared: bool = False
    seconds: float = 0.0
    encode_s: float = 0.0
    judge_s: float = 0.0
    attempts: int = 0
    machine: str = ""
    time: str = ""
    error: str = ""
    notes: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """True where there is an output."""
        return self.status in (DONE, MISSED)

    @property
    def seconds_of_video(self) -> float:
        """The length of the clip; 0.0 where it is not known."""
        return min(self.frames / self.fps, MOST) if self.frames and self.fps else 0.0

    def plain(self) -> dict[str, Any]:
        """Return the state as plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_plain(cls, values: Any) -> Self | None:
        """Return the state of plain values with the format's number; None for anything else."""
        if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
            return None
        known = cls.__slots__
        kept = {name: value for name, value in values.items() if name in known}
        if not {"uri", "out", "status", "recipe"} <= kept.keys():
            return None
        if not all(_fits(kept[one.name], one.type) for one in fields(cls) if one.name in kept):
            return None
        return cls(**kept | {"notes": tuple(kept.get("notes", ()))})


def _fits(value: Any, kind: Any) -> bool:
    """Return whether a JSON value is what a field of :class:`State` of this type may hold."""
    if isinstance(kind, UnionType):
        return value is None or _fits(value, get_args(kind)[0])
    if kind in (str, bool):
        return isinstance(value, kind)
    if kind in (int, float):
        whole = isinstance(value, int) and not isinstance(value, bool)
        bounded = isinstance(value, float) and abs(value) <= MOST
        return (whole and 0 <= value <= MOST) or (kind is float and bounded)
    if get_origin(kind) is tuple:
        return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
    return isinstance(value, Mapping)


def _finite(text: str) -> float:
    """Return a number of a JSON text. Raises ValueError where it is not finite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def packed(state: State) -> bytes:
    """Return a state as JSON, with the format's number."""
    return json.dumps({"format": FORMAT, **state.plain()}, default=_plain).encode()


def unpacked(data: bytes) -> State | None:
    """Return the state that :func:`packed` wrote; None for anything else."""
    try:
        return State.from_plain(json.loads(data, parse_float=_finite, parse_constant=_finite))
    except (ValueError, TypeError, RecursionError):  # damaged: as if it were not there
        return None


class StateFolder:
    """The states of a target's clips.

    Args:
        target: the folder or URI of the outputs.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.folder = joined(joined(target, HIDDEN), "clips")
        self._storage = storage(target)

    def get(self, out: str) -> State | None:
        """Return the state of an output; None where no run has begun it.

        One that cannot be read, as after a power cut, is that of a clip that was not ended.
        """
        data = self._storage.read(self._path(out))
        return None if data is None else unpacked(data) or State("", out, WORKING, "")

    def many(self, outs: Sequence[str]) -> Iterator[State | None]:
        """Yield the states of outputs as :meth:`get` does; what is not there is not asked for."""
        there = set(self._storage.names(self.folder))
        names = [_name(out) for out in outs]
        asked = (joined(self.folder, name) for name in names if name in there)
        found = self._storage.read_many(asked)
        for out, name in zip(outs, names, strict=True):
            data = next(found) if name in there else None
            yield None if data is None else unpacked(data) or State("", out, WORKING, "")

    def put(self, state: State) -> None:
        """Keep a state in the place of an earlier one, whole or not at all."""
        self._storage.write(self._path(state.out), packed(state))

    def all(self) -> Iterator[State]:
        """Yield every state, in the order of the outputs' digests."""
        names = self._storage.names(self.folder)
        states = [name for name in names if name.endswith(".json") and not name.startswith(".")]
        for data in self._storage.read_many(joined(self.folder, name) for name in states):
            state = None if data is None else unpacked(data)
            if state is not None:
                yield state

    def _path(self, out: str) -> str:
        return joined(self.folder, _name(out))


def _name(out: str) -> str:
    """Return the name of the file that holds an output's state."""
    return hashlib.sha256(os.fsencode(out)).hexdigest()[:32] + ".json"


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


class Events:
    """The log of what happened, one JSON object a line; lines are only ever added.

    An object store can add nothing to a file, so that each run has a file of its own there.

    Args:
        target: the folder or URI of the outputs.
        run: the name of this run.
        local: False where the target is an object store.
    """

    def __init__(self, target: str, run: str, local: bool) -> None:
        self.run, self.local = run, local
        name = EVENTS if local else f"{EVENTS.removesuffix('.jsonl')}-{run}.jsonl"
        self.path = joined(target, name)
        self._lines: list[str] = []

    def add(self, event: str, **values: Any) -> None:
        """Add a line."""
        plain = {"time": now(), "run": self.run, "event": event, **values}
        line = json.dumps(plain, default=str) + "\n"
        if not self.local:
            self._lines.append(line)
            return
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            end = os.lseek(handle, 0, os.SEEK_END)
            torn = end and os.pread(handle, 1, end - 1) != b"\n"  # by a machine that went down
            os.write(handle, ("\n" * bool(torn) + line).encode())
        finally:
            os.close(handle)

    def close(self) -> None:
        """Write the lines to an object store; those of a local file are written already."""
        if self._lines:
            storage(self.path).write(self.path, "".join(self._lines).encode())


def now() -> str:
    """Return the time in UTC, as ISO 8601 has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
