"""The plan of a fleet: for each clip its output, codec, settings and limits, all checked."""

import hashlib
import json
import os
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from seesame.codecs.registry import PORTABLE, codec_name, get_codec
from seesame.errors import OutputExistsError, UserError
from seesame.fleet.sources.listing import Entry
from seesame.fleet.storage import HIDDEN, Found, is_remote, joined, storage
from seesame.fleet.target.state import State, StateFolder
from seesame.fleet.work.renderers import pinned
from seesame.jobs.environment import OUTPUT_VERSION
from seesame.metric.limits import Limits
from seesame.perception.stack import Stack
from seesame.search.within.found import Start
from seesame.video.writing.mux import SUFFIXES as VIDEO_SUFFIXES

SSM = ".ssm"
ON_MISS = ("keep-best", "keep-source", "fail")


@dataclass(frozen=True)
class Defaults:
    """The codec, settings and limits of every clip whose row does not name its own.

    Args:
        codec: name of the codec; None for AV1 in a plain video file.
        suffix: of the outputs, as ``.mp4`` or ``.ssm``; None for ``.mp4`` where no codec is named,
            and ``.ssm`` where one is.
        settings: the codec's own, and limits by the names that ``Limits.from_settings`` takes.
        stack: name of the perception networks.
        on_miss: what to do with a file that misses a limit: ``keep-best`` keeps it, ``keep-source``
            puts the source in its place, ``fail`` writes nothing.
        device: where the networks run.
        seed: of every random step.
    """

    codec: str | None = None
    suffix: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    stack: str = "lite"
    on_miss: str = "keep-best"
    device: str = "cpu"
    seed: int = 0


_SHARED = (
    *("uri", "out", "codec", "stack", "on_miss", "seed", "recipe", "fingerprint"),
    *("group", "settings", "limits"),
)
"""Fields that a task and its clip's state have in common."""


@dataclass(frozen=True, slots=True)
class Task:
    """One clip's work, as plain data that goes to a worker.

    Args:
        uri: the clip.
        out: the output's name below the target, with ``/``.
        target: the folder or URI of the outputs.
        codec: name of the codec.
        settings: the codec's own.
        limits: by the names of the settings that they are.
        stack: name of the perception networks.
        on_miss: as :class:`Defaults` has it.
        device: where the networks run.
        seed: of every random step.
        recipe: digest of everything but the clip that decides the file.
        fingerprint: of the stack.
        group: the user's name for clips of one kind.
        found: the clip's size and stamp; None where it is not there.
        known: SHA-256 of the content that a finished file of the same recipe was made from; a
            worker that finds it again does nothing.
        why: the reason why it is to be done.
        earlier: attempts of runs that were killed.
        starts: frame size and quality to begin a search with, by the size of the clip's frames.
    """

    uri: str
    out: str
    target: str
    codec: str
    settings: Mapping[str, Any]
    limits: Mapping[str, Any]
    stack: str
    on_miss: str
    device: str
    seed: int
    recipe: str
    fingerprint: str
    group: str = ""
    found: Found | None = None
    known: str = ""
    why: str = "new"
    earlier: int = 0
    starts: Mapping[str, Start] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the clip; 0 where it is not there."""
        return self.found.size if self.found else 0

    def state(self, **more: Any) -> State:
        """Return the state of this clip, with further fields."""
        shared = {name: getattr(self, name) for name in _SHARED}
        stamp = self.found.stamp if self.found else ""
        return State(**(shared | {"source_bytes": self.size, "stamp": stamp} | more))


def make_tasks(
    entries: Iterable[Entry], target: str, defaults: Defaults, load: Callable[[str], Stack]
) -> list[Task]:
    """Return a task for each clip.

    Args:
        entries: the clips.
        target: the folder or URI of the outputs.
        defaults: what holds where a clip's row says nothing else.
        load: returns a stack by its name.

    Raises:
        UserError: two clips have one output, an output is a source or leads out of the target, or
            a codec, a setting, a limit or a stack that does not exist; the message says which row.
    """
    entries = list(entries)
    recipes: dict[str, Task] = {}
    tasks = []
    for entry in entries:
        options = json.dumps([entry.options, _suffix(entry, defaults)], sort_keys=True, default=str)
        if options not in recipes:
            recipes[options] = _recipe(entry, target, defaults, load)
        out = _out(entry, defaults)
        tasks.append(replace(recipes[options], uri=entry.uri, out=out, found=entry.found))
    _check_apart(entries, tasks)
    return tasks


def in_shard(out: str, shard: tuple[int, int]) -> bool:
    """Return whether an output belongs to shard i of n, ``(i, n)``; each belongs to one."""
    digest = hashlib.sha256(os.fsencode(out)).digest()
    return int.from_bytes(digest[:8], "big") % shard[1] == shard[0]


def to_do(
    tasks: Sequence[Task],
    states: StateFolder,
    retry_failed: bool,
    overwrite: bool,
    share: bool = True,
) -> tuple[list[Task], list[State]]:
    """Return the tasks that are to be done, longest clip first, and the states of the others.

    A finished clip whose size and time of change are as they were is not read again. One that has
    changed goes to a worker, which looks whether its content has.

    Args:
        tasks: all of them.
        states: of earlier runs.
        retry_failed: do those again that failed.
        overwrite: replace outputs that no earlier run has made.
        share: take files whose search began with what won on other clips for finished.

    Raises:
        OutputExistsError: an output that no earlier run has made is there already.
    """
    missing, rest = [], []
    found = states.many([task.out for task in tasks])
    outputs = [joined(states.target, task.out) for task in tasks]
    there = storage(states.target).stat_many(outputs)
    for task, state, output in zip(tasks, found, there, strict=True):
        if state is None:
            if output is not None and not overwrite:
                raise OutputExistsError(
                    f"{joined(task.target, task.out)} exists already, and no earlier run of batch "
                    "has made it; name another target or replace it"
                )
            missing.append(task)
            continue
        alike = state.recipe == task.recipe and (share or not state.shared)
        same = alike and state.uri == task.uri
        unchanged = task.found is not None and state.stamp == task.found.stamp != ""
        unchanged = unchanged and state.source_bytes == task.size
        if state.finished:
            whole = output is not None and output.size == state.bytes
            if same and unchanged and whole:
                rest.append(state)
                continue
            known = state.content if alike and whole else ""
            why = "changed clip" if alike else "changed settings"
            missing.append(replace(task, known=known, why=why if whole else "output is gone"))
        elif state.status == "failed":
            still = same and (unchanged or (task.found is None and not state.stamp))
            if still and not retry_failed:
                rest.append(state)
                continue
            missing.append(replace(task, why="failed before"))
        else:
            earlier = state.attempts if same else 0
            missing.append(replace(task, why="interrupted", earlier=earlier))
    return sorted(missing, key=lambda task: (-task.size, task.out)), rest


def _recipe(entry: Entry, target: str, defaults: Defaults, load: Callable[[str], Stack]) -> Task:
    """Return a task with all but the clip. Raises UserError that names the row."""
    options = dict(entry.options)
    try:
        named = options.pop("codec", defaults.codec)
        suffix = _suffix(entry, defaults)
        if suffix != SSM and suffix not in VIDEO_SUFFIXES:
            raise UserError(f"{suffix or 'no suffix'} is not written; use .mp4, .mkv, .mov or .ssm")
        codec = codec_name(named or PORTABLE)
        name = options.pop("stack", defaults.stack)
        stack = load(name)
        on_miss = options.pop("on_miss", defaults.on_miss)
        if on_miss not in ON_MISS:
            raise UserError(f"on_miss is one of {', '.join(ON_MISS)}, not {on_miss!r}")
        seed = options.pop("seed", defaults.seed)
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise UserError(f"seed must be a whole number of 0 or more, not {seed!r}")
        group = options.pop("group", "")
        limits, settings = _settings(codec, suffix, options, defaults, stack)
    except UserError as error:
        text = str(error)
        raise UserError(text if not entry.options else f"{entry.where}: {text}") from error
    made = {"codec": codec, "settings": settings, "limits": limits, "on_miss": on_miss}
    made |= {"stack": name, "fingerprint": stack.fingerprint, "seed": seed}
    decides = {key: made[key] for key in made if key != "stack"} | {"suffix": suffix}
    decides |= {"version": OUTPUT_VERSION, "codec_id": get_codec(codec).codec_id}
    text = json.dumps(decides, sort_keys=True, default=str)
    recipe = hashlib.sha256(text.encode()).hexdigest()
    fixed: dict[str, Any] = {"device": defaults.device, "recipe": recipe, "group": group}
    return Task(uri="", out="", target=target, **made, **fixed)


def _settings(
    codec: str, suffix: str, options: Mapping[str, Any], defaults: Defaults, stack: Stack
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return limits and settings of a clip, checked as far as that goes without it."""
    made = get_codec(codec)
    bounds, own = Limits.split(defaults.settings)
    if codec != codec_name(defaults.codec or PORTABLE):
        own = {}  # they are settings of another codec
    limits, settings = Limits.split({**bounds.settings(), **own, **options})
    limits.resolved(stack.classes)
    if suffix != SSM:
        from seesame.jobs.portable import portable_codec

        portable_codec(codec)
    made.needs_stack(settings if not made.trains else {**settings, **limits.settings()})
    settings = pinned(codec, settings, stack)
    if codec == "copy" and settings:
        raise UserError(f"codec copy takes no settings, not {', '.join(sorted(settings))}")
    return limits.settings(), settings


def _suffix(entry: Entry, defaults: Defaults) -> str:
    """Return the suffix of a clip's output: the output's own, or that of the fleet."""
    if entry.out is not None:
        return PurePosixPath(entry.out).suffix.lower()
    named = entry.options.get("codec", defaults.codec)
    return defaults.suffix or (".mp4" if named is None else SSM)


def _out(entry: Entry, defaults: Defaults) -> str:
    """Return the output's name below the target. Raises UserError where it leads elsewhere."""
    if entry.out is None:
        stem = entry.name[: -len(suffix)] if (suffix := PurePosixPath(entry.name).suffix) else None
        return f"{entry.name if stem is None else stem}{_suffix(entry, defaults)}"
    out = posixpath.normpath(entry.out)
    parts = PurePosixPath(out).parts
    if out.startswith("/") or ".." in parts or is_remote(entry.out) or parts[0] == HIDDEN:
        raise UserError(f"{entry.where}: out is a name below the target, not {entry.out}")
    return out


def _check_apart(entries: Sequence[Entry], tasks: Sequence[Task]) -> None:
    """Refuse two clips with one output, and outputs that are sources."""
    first: dict[str, Entry] = {}
    for entry, task in zip(entries, tasks, strict=True):
        if task.out in first:
            one, two = first[task.out], entry
            names = one.uri, two.uri
            if one.uri == two.uri:
                names = one.where, two.where
            raise UserError(
                f"{names[0]} and {names[1]} would both become {task.out}; name their outputs apart "
                "in the column out of a manifest"
            )
        first[task.out] = entry
    sources = {_place(entry.uri): entry.uri for entry in entries}
    for task in tasks:
        same = sources.get(_place(joined(task.target, task.out)))
        if same is not None:
            raise UserError(f"{same}: would be replaced by an output; name another target")


def _place(path: str) -> str:
    return path if is_remote(path) else os.path.realpath(path)
