"""The Ray engine: one task of Ray for each clip, on this machine or on a cluster."""

import contextlib
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from seesame.errors import MissingExtraError, UserError
from seesame.fleet.engines.local import Ended, PoolTuning
from seesame.fleet.engines.remote import Remote, do_remote, sweep
from seesame.fleet.plan import Task
from seesame.fleet.target.state import FAILED, FORMAT, State
from seesame.processes import signals_held, usable_cores
from seesame.temporary import TemporaryFolder

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",  # else its workers give way to everything, as the driver does not
}
"""Of the processes of Ray, where the user's environment says nothing else."""


@dataclass(frozen=True)
class RayTuning:
    """The numbers of the Ray engine.

    Args:
        tries: of a clip whose worker dies or has too little memory. Each try after the first is
            given twice the memory.
        node_tries: of a clip whose node goes away, which is no fault of the clip's.
        pixels: of a frame of the first clip of a group, as long as nothing is known of it.
        spare: tasks in flight beyond those that the cluster can do at once.
        look: seconds between two looks at the size of the cluster.
        object_store: bytes of Ray's store on a machine where the engine starts Ray; states are
            all that goes through it.
        patience: seconds for what is done on every node at the end.
    """

    tries: int = 3
    node_tries: int = 6
    pixels: int = 1280 * 720
    spare: int = 2
    look: float = 5.0
    object_store: int = 80 << 20
    patience: float = 10.0


@dataclass
class _Try:
    """A clip in flight."""

    task: Task
    pixels: int
    attempts: int = 0
    lost: int = 0
    """Attempts whose node went away."""


@dataclass
class RayPool:
    """Tasks of Ray that do clips, a bounded number of them at once.

    Where no address is given, Ray is started on this machine alone, and ended with the run. URIs go
    to the tasks and small dicts come back. Ray itself tries nothing again: that is done here, where
    it is counted and written to the log.

    Args:
        remote: what every task needs to know.
        jobs: tasks in flight at most; None for what the cluster can do. Cores of this machine that
            Ray gets, where it is started.
        address: of a cluster, as ``auto`` or ``ray://head:10001``; None to start Ray here.
        memory: bytes that all tasks may take together, where Ray is started here; None for what
            Ray finds.
        tell: called with the name and the facts of what happens.
        tuning: its numbers.
        pool: the memory that a clip takes.
        work: what a task does.
    """

    remote: Remote
    jobs: int | None = None
    address: str | None = None
    memory: int | None = None
    tell: Callable[..., None] = field(default=lambda event, **facts: None)
    tuning: RayTuning = RayTuning()
    pool: PoolTuning = field(default_factory=PoolTuning)
    work: Callable[[Task, Remote, int], dict[str, Any]] = do_remote

    def __post_init__(self) -> None:
        self.remote = replace(
            self.remote,
            worker_bytes=self.pool.worker_bytes,
            pixel_bytes=self.pool.pixel_bytes,
        )
        self._ray = load_ray()
        self._session: TemporaryFolder | None = None
        """The folder of Ray's files, where Ray is started here."""
        self._running: dict[Any, _Try] = {}
        self._again: deque[_Try] = deque()
        self._pixels: dict[str, int] = {}
        self._looked, self._cores, self._most = 0.0, 1.0, 0
        if self.address is None:  # a run that was killed at its end left them, if nothing is to do
            sweep(self.remote)

    @property
    def size(self) -> int:
        """The number of clips that can be at work at once; it starts Ray."""
        self._start()
        self._look()
        cores = max(1, int(self._cores // self.remote.threads))
        return cores if self.jobs is None else min(self.jobs, cores)

    def run(self, tasks: Iterable[Task], begin: Callable[[Task], None]) -> Generator[Ended]:
        """Yield tasks in the order in which they end.

        Args:
            tasks: in the order in which they are begun.
            begin: called with each task when it is given to Ray.

        Raises:
            UserError: the cluster cannot be reached, or has gone.
        """
        source = iter(tasks)
        try:
            self._start()
            do = self._ray.remote(self.work)
            while True:
                self._feed(do, source, begin)
                if not self._running:
                    return
                ready, _ = self._ray.wait(list(self._running), timeout=self.tuning.look)
                for reference in ready:
                    yield from self._heard(self._running.pop(reference), reference)
        except self._ray.exceptions.RaySystemError as error:
            raise UserError(f"the Ray cluster has gone ({_first(error)})") from error
        finally:
            self.close()

    def close(self) -> None:
        """Cancel what is at work, and remove what the run has left on the nodes; end Ray."""
        if not self._ray.is_initialized():
            return
        with signals_held():
            if self._session is None:
                with contextlib.suppress(Exception):  # of a cluster that has gone nothing remains
                    self._cancel()
                    self._sweep()
            self._running.clear()
            self._ray.shutdown()
            if self._session is not None:  # its processes have ended
                self._session.remove()
                sweep(self.remote)

    def _start(self) -> None:
        """Start Ray or connect to a cluster. Raises UserError."""
        if self._ray.is_initialized():
            return
        os.environ |= {name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()}
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if self.address is not None:
            _check_address(self.address, self.tuning.patience)
            options["address"] = self.address
        else:
            self._session = TemporaryFolder()
            cores = self.jobs or usable_cores()
            options |= {"address": "local", "num_cpus": cores * self.remote.threads}
            options |= {"include_dashboard": False, "_temp_dir": str(self._session.path)}
            options |= {"object_store_memory": self.tuning.object_store, "_memory": self.memory}
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        before = os.umask(0o077)  # Ray's sockets and logs are nobody else's
        try:
            self._ray.init(**options)
        except (OSError, ValueError, RuntimeError) as error:
            name = self.address or "on this machine"
            raise UserError(f"Ray cannot be reached: {name} ({_first(error)})") from error
        finally:
            os.umask(before)
            with contextlib.suppress(ValueError):  # not the main thread, where Ray sets none
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        self.remote = replace(self.remote, umask=before)

    def _look(self) -> None:
        """Look how large the cluster is now."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        self._cores = sum(node.get("CPU", 0.0) for node in nodes) or self._cores
        self._most = int(max((node.get("memory", 0.0) for node in nodes), default=0.0))
        self._looked = time.monotonic()

    def _feed(self, do: Any, source: Iterator[Task], begin: Callable[[Task], None]) -> None:
        """Give tasks to Ray until enough are in flight."""
        if time.monotonic() - self._looked > self.tuning.look:
            self._look()
        most = int(self._cores // self.remote.threads) + self.tuning.spare
        while len(self._running) < (most if self.jobs is None else self.jobs):
            if self._again:
                one = self._again.popleft()
            else:
                task = next(source, None)
                if task is None:
                    return
                begin(task)
                one = _Try(task, self._pixels.get(task.group, self.tuning.pixels))
            one.attempts += 1
            # More than any node has would wait for ever.
            factor = 2 ** (one.attempts - one.lost - 1)
            wanted = min(self.remote.needs(one.pixels, factor), self._most)
            enough = 0 if wanted == self._most else wanted
            given = do.options(
                num_cpus=self.remote.threads,
                num_gpus=1 if one.task.device.startswith("cuda") else 0,
                memory=wanted,
                max_retries=0,
                name=f"seesame {one.task.out}",
            )
            self._running[given.remote(one.task, self.remote, enough)] = one

    def _heard(self, one: _Try, reference: Any) -> Iterator[Ended]:
        """Take what a task gives, or that it was lost; yield its clip where that has ended."""
        task, errors = one.task, self._ray.exceptions
        try:
            answer = self._ray.get(reference)
        except (errors.NodeDiedError, errors.ObjectLostError):
            one.lost += 1
            why, left = "its node has gone", one.lost < self.tuning.node_tries
        except errors.OutOfMemoryError:
            why, left = "Ray ended its worker for want of memory", self._left(one)
        except (errors.WorkerCrashedError, errors.LocalRayletDiedError):
            why, left = "its worker died, perhaps for want of memory", self._left(one)
        except errors.RayTaskError as raised:  # as on a node whose disk is full
            cause = getattr(raised, "cause", raised)
            if "failed to import" in str(cause):
                raise UserError(
                    "a node of the Ray cluster cannot run seesame: install the same version on all "
                    f"nodes ({_last(cause)})"
                ) from raised
            why, left = f"{type(cause).__name__}: {_first(cause)}", self._left(one)
        else:
            if "need" in answer:  # nothing was lost: the clip was only opened
                one.pixels = self._pixels[task.group] = answer["need"]
                one.attempts -= 1
                self._again.append(one)
                return
            if "state" in answer:
                state = State.from_plain({"format": FORMAT, **answer["state"]})
                assert state is not None
                self._pixels[task.group] = max(self._pixels.get(task.group, 0), answer["pixels"])
                yield Ended(task, replace(state, attempts=task.earlier + one.attempts))
                return
            why, left = "there was too little memory", self._left(one)
        self.tell("died", out=task.out, why=why)
        if left:
            self._again.append(one)
            return
        attempts = task.earlier + one.attempts
        error = f"{task.uri}: {why}, {one.attempts} times"
        yield Ended(task, task.state(status=FAILED, error=error, attempts=attempts))

    def _left(self, one: _Try) -> bool:
        return one.attempts - one.lost < self.tuning.tries

    def _cancel(self) -> None:
        """End what is at work, and wait for its end: a task that lives has its folder locked."""
        running = list(self._running)
        for reference in running:
            self._ray.cancel(reference, force=True)
        if running:
            self._ray.wait(running, num_returns=len(running), timeout=self.tuning.patience)

    def _sweep(self) -> None:
        """Remove the temporary files of tasks that were killed, on every node."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        do = self._ray.remote(sweep)
        nodes = [node["NodeID"] for node in self._ray.nodes() if node["Alive"]]
        there = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
        swept = [
            do.options(num_cpus=0, max_retries=0, scheduling_strategy=one).remote(self.remote)
            for one in there
        ]
        self._ray.wait(swept, num_returns=len(swept), timeout=self.tuning.patience)


def load_ray() -> Any:
    """Return Ray's module. Raises MissingExtraError where it is not installed."""
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise MissingExtraError(
            "the engine ray needs Ray; run: pip install 'seesame[fleet]'"
        ) from error
    return ray


def _check_address(address: str, patience: float) -> None:
    """Refuse an address where nothing answers: Ray itself would try for minutes.

    Raises UserError.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not (host and port.isdecimal() and int(port) < 1 << 16):
        return  # as ``auto``, which Ray finds or refuses at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), patience).close()
    except OSError as error:
        raise UserError(f"Ray cannot be reached: {address} ({error.strerror or error})") from error


def _last(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _first(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
