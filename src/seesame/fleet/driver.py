"""The driver of a run: it keeps the target's lock and states, and gives clips to the workers."""

import contextlib
import hashlib
import os
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from seesame.context import Note, Progress, no_note, no_progress
from seesame.errors import UserError
from seesame.fleet.engines.local import Ended, LocalPool
from seesame.fleet.engines.raypool import RayPool, load_ray
from seesame.fleet.engines.remote import Remote
from seesame.fleet.eta import Left, Pace
from seesame.fleet.plan import Task, in_shard, to_do
from seesame.fleet.sharing import Shared
from seesame.fleet.storage import HIDDEN, is_remote, joined, storage
from seesame.fleet.target.catalogue import Tally, Totals, write_catalogue
from seesame.fleet.target.lock import (
    WHOLE,
    Shard,
    incoming_folder,
    owner,
    shard_name,
    target_lock,
)
from seesame.fleet.target.state import (
    FAILED,
    MISSED,
    UNCHANGED,
    WORKING,
    Events,
    State,
    StateFolder,
)
from seesame.fleet.work.renderers import publish, renderer_of
from seesame.processes import ending_as_ctrl_c, usable_cores


@dataclass(frozen=True)
class Run:
    """The workers, the memory and the part of the clips that a run has.

    Args:
        jobs: workers at most; None for one for each core.
        memory: bytes that they may take together; None for a share of what is free.
        scratch: folder for temporary files; None for one in the target or, where that is an object
            store, in the system's own.
        shard: the part of the clips that this run has.
        retry_failed: do those again that failed.
        overwrite: replace outputs that no earlier run has made.
        ray: do the work as tasks of Ray, not in processes of this machine alone.
        address: of a Ray cluster; None to start Ray on this machine.
        cores: for each clip, where Ray does the work.
        share: begin the search for a clip's settings with what won on others of its camera.
    """

    jobs: int | None = None
    memory: int | None = None
    scratch: Path | None = None
    shard: Shard = WHOLE
    retry_failed: bool = False
    overwrite: bool = False
    ray: bool = False
    address: str | None = None
    cores: int = 1
    share: bool = True


@dataclass(frozen=True)
class Result:
    """The outcome of a run.

    Args:
        totals: of this run's clips, those that earlier runs have done included.
        done: how many clips this run worked on.
        left: how many of its clips were done before.
    """

    totals: Totals
    done: int
    left: int

    @property
    def failed(self) -> int:
        """The number of its clips that failed, in this run or an earlier one."""
        return self.totals.clips[FAILED]

    @property
    def missed(self) -> int:
        """The number of its clips whose file misses a limit."""
        return self.totals.clips[MISSED]


def planned(tasks: Sequence[Task], target: str, run: Run) -> tuple[list[Task], list[State]]:
    """Return what a run would do, longest first, and the states of what it would not.

    Raises:
        OutputExistsError: an output that no earlier run has made is there already.
    """
    mine = [task for task in tasks if in_shard(task.out, run.shard)]
    return to_do(mine, StateFolder(target), run.retry_failed, run.overwrite, run.share)


def run_batch(
    tasks: Sequence[Task],
    target: str,
    run: Run,
    progress: Progress = no_progress,
    note: Note = no_note,
) -> Result:
    """Do what is missing of a fleet, and write its catalogue.

    Killed at any moment, it leaves whole outputs, and states that the next run goes on from. After
    Ctrl-C no process, no temporary file and no lock remains.

    Args:
        tasks: of the whole fleet, as :func:`~seesame.fleet.plan.make_tasks` makes them.
        target: the folder or URI of the outputs.
        run: how to work.
        progress: called with the share done and a short text.
        note: called with a line for each clip that fails.

    Raises:
        TargetBusyError: another run has the same clips.
        OutputExistsError: an output that no earlier run has made is there already.
        UserError: the target or the scratch folder cannot be written, as on a full disk.
        KeyboardInterrupt: Ctrl-C or SIGTERM.
    """
    if run.ray:
        load_ray()  # before anything is written
    with ending_as_ctrl_c(), target_lock(target, run.shard), _writing(target):
        missing, rest = planned(tasks, target, run)
        states = StateFolder(target)
        events = Events(target, uuid.uuid4().hex[:8], not is_remote(target))
        events.add("start", clips=len(missing), done_before=len(rest), shard=shard_name(run.shard))
        used = {renderer_of(task.codec, task.settings) for task in missing}
        publish(target, sorted(used - {""}))
        driver = _Driver(states, events, progress, note, missing, run.share)
        driver.know(rest)
        ended, left = "interrupted", len(rest)
        del rest  # a large fleet's states are not kept in memory
        try:
            with _scratch(target, run) as (scratch, incoming):
                pool = _pool(target, run, scratch, incoming, events)
                driver.drive(pool)
                ended = "end"
        finally:
            write_catalogue(target, states, run.shard)
            events.add(ended, **driver.counts)
            events.close()
    return Result(driver.tally.totals(), driver.ended, left)


@contextlib.contextmanager
def _writing(target: str) -> Iterator[None]:
    """Say of a target in one line that it cannot be written. Raises UserError."""
    try:
        yield
    except BrokenPipeError:  # of whoever reads the progress
        raise
    except OSError as error:
        why = error.strerror or error
        raise UserError(
            f"{target}: cannot be written ({why}); what is done stays, and the same command goes on"
        ) from error


class Pool(Protocol):
    """An engine: it does tasks, whatever dies meanwhile."""

    @property
    def size(self) -> int:
        """The number of clips that can be at work at once."""

    def run(self, tasks: Iterable[Task], begin: Callable[[Task], None]) -> Generator[Ended]:
        """Yield tasks in the order in which they end; ``begin`` is called with each before."""


def _pool(target: str, run: Run, scratch: Path, incoming: str, events: Events) -> Pool:
    """Return the engine of a run."""
    if not run.ray:
        jobs = run.jobs or usable_cores()
        return LocalPool(jobs, scratch, incoming, run.memory, events.add)
    on_nodes = None if run.scratch is None else os.path.abspath(run.scratch)
    remote = Remote(
        target if is_remote(target) else os.path.abspath(target),
        incoming if is_remote(target) else os.path.abspath(incoming),
        owner(target, run.shard),
        run.shard,
        os.getcwd(),
        scratch=on_nodes,
        threads=run.cores,
    )
    return RayPool(remote, run.jobs, run.address, run.memory, events.add)


class _Driver:
    """Gives tasks to a pool, and keeps what becomes of them.

    Args:
        states: of the target.
        events: its log.
        progress: called with the share done and a short text.
        note: called with a line for each clip that fails.
        tasks: to do, longest first.
        share: begin searches with what won on other clips.
    """

    def __init__(
        self,
        states: StateFolder,
        events: Events,
        progress: Progress,
        note: Note,
        tasks: Sequence[Task],
        share: bool,
    ) -> None:
        self.states, self.events, self.tasks = states, events, tasks
        self.progress, self.note = progress, note
        self.shared = Shared() if share else None
        self.tally = Tally()
        self.counts: Counter[str] = Counter()
        """Clips that have ended in this run, by status."""

    @property
    def ended(self) -> int:
        """How many clips have ended in this run."""
        return self.counts.total()

    def know(self, states: Iterable[State]) -> None:
        """Count clips that earlier runs have done, and share what won on them."""
        for state in states:
            self._count(state)

    def drive(self, pool: Pool) -> None:
        """Do all tasks."""
        if not self.tasks:
            return
        pace = Pace(min(pool.size, len(self.tasks)))
        left = Left(task.size for task in self.tasks)
        self.progress(0.0, f"{len(self.tasks)} clips")
        with contextlib.closing(pool.run(self._given(), self._begun)) as ends:
            for ended in ends:
                state = self._keep(ended)
                left.take(ended.task.size)
                if state.status != FAILED:
                    pace.add(ended.task.size, state.seconds)
                self.progress(left.done, self._text(pace.left(left)))

    def _given(self) -> Iterator[Task]:
        """Yield the tasks, each with what has won when it begins."""
        for task in self.tasks:
            starts = self.shared.starts(task) if self.shared else {}
            yield replace(task, starts=starts) if starts else task

    def _begun(self, task: Task) -> None:
        # An output without a state would be the user's own, so the state comes first.
        if not task.known or self.states.get(task.out) is None:
            self.states.put(task.state(status=WORKING, attempts=task.earlier + 1))
        self.events.add("begin", out=task.out, uri=task.uri, why=task.why)

    def _keep(self, ended: Ended) -> State:
        task, state = ended.task, ended.state
        if state.status == UNCHANGED:
            earlier = self.states.get(task.out)
            stamp = task.found.stamp if task.found else ""
            if earlier is None or not earlier.finished:
                raise RuntimeError(f"{task.out}: its state has gone while the run was at work")
            state = replace(earlier, uri=task.uri, stamp=stamp, group=task.group)
        elif state.status == FAILED and self._there(task):
            error = f"{state.error}; the file of an earlier run is still there"
            state = replace(state, error=error)
        self.states.put(state)
        facts: dict[str, Any] = {"out": state.out, "status": ended.state.status}
        facts |= {"bytes": state.bytes, "seconds": ended.state.seconds}
        if state.error:
            facts["error"] = state.error
            name = "" if state.uri in state.error else f"{state.uri}: "
            self.note(f"failed: {name}{state.error}")
        self.events.add("clip", **facts)
        self.counts[state.status] += 1
        self._count(state)
        return state

    def _count(self, state: State) -> None:
        self.tally.add(state)
        if self.shared:
            self.shared.add(state)

    def _there(self, task: Task) -> bool:
        return storage(task.target).stat(joined(task.target, task.out)) is not None

    def _text(self, left: tuple[float, float] | None) -> str:
        ended, failed = self.ended, self.counts[FAILED]
        text = f"{ended} of {len(self.tasks)} clips"
        if failed:
            text += f", {failed} failed"
        if left is not None and ended < len(self.tasks):
            text += f", {span(left[0])} to {span(left[1])} to go"
        return text


def span(seconds: float) -> str:
    """Return a time in words: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextlib.contextmanager
def _scratch(target: str, run: Run) -> Iterator[tuple[Path, str]]:
    """Yield a folder for temporary files, and the target's for outputs that are not in place.

    Their names follow the target and the shard, so that a run finds and removes what one that was
    killed has left. The lock keeps others out of them.
    """
    name = shard_name(run.shard)
    incoming = incoming_folder(target, run.shard)
    if run.scratch is None and not is_remote(target):
        folder = Path(target, HIDDEN, f"scratch-{name}")
    else:
        top = Path(tempfile.gettempdir()) if run.scratch is None else run.scratch
        whole = target if is_remote(target) else os.path.realpath(target)
        digest = hashlib.sha256(os.fsencode(f"{whole}\0{name}")).hexdigest()[:16]
        folder = top / f"seesame-batch-{digest}"

    def clear() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        storage(target).clear(incoming)

    clear()
    try:
        folder.mkdir(mode=0o700, parents=run.scratch is not None)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror})") from error
    try:
        yield folder, incoming
    finally:
        clear()
