import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from seesame.metric.prefetch import prefetched


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def test_order_is_kept() -> None:
    assert list(prefetched(iter(range(50)))) == list(range(50))
    assert not running()


def test_an_exception_arrives_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("broken")

    batches = prefetched(items())
    assert [next(batches), next(batches)] == [1, 2]
    with pytest.raises(KeyError, match="broken"):
        next(batches)
    assert not running()


def test_leaving_early_ends_the_thread_and_closes_the_source() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    with closing(prefetched(items())) as batches:
        next(batches)
    assert closed.is_set()
    assert not running()


def test_it_runs_only_so_far_ahead() -> None:
    made = []

    def items() -> Iterator[int]:
        for item in range(100):
            made.append(item)
            yield item

    with closing(prefetched(items(), depth=1)) as batches:
        next(batches)
        time.sleep(0.1)
        assert len(made) <= 3  # one handed out, one in the queue, one waiting for room
