import pytest

from seesame.codecs.hnerv.config import HnervSettings
from seesame.neural.fitting.limits.advice import advice


def told(reach: float = 1.2, size: int = 20_000, seconds: float = 300.0, **settings: object) -> str:
    return advice(HnervSettings.from_mapping({"max_seg": 0.01, **settings}), reach, size, seconds)


def test_a_run_that_chose_its_size_is_told_more_time() -> None:
    assert told(1.0001) == "--budget 7m"
    minutes = [int(told(reach)[len("--budget ") : -1]) for reach in (1.1, 1.3, 1.6, 2.0)]
    assert minutes == sorted(set(minutes))
    assert told(30.0, seconds=3600.0) == "--budget 10h"


def test_a_run_of_some_size_is_told_a_larger_one() -> None:
    assert told(1.0001, bytes=20_000) == "--bytes 26000"
    assert told(1.5, 30_000, bytes=20_000) == "--bytes 93000"


@pytest.mark.parametrize("size", [26_000, 20_001])
def test_a_largest_size_that_binds_is_what_must_give_way(size: int) -> None:
    assert told(1.2, size, max_bytes=26_000) == "--max-bytes 52000"


def test_a_largest_size_that_does_not_bind_stays() -> None:
    assert told(1.2, 5_000, max_bytes=26_000).startswith("--budget ")


def test_a_run_of_steps_is_told_more_steps() -> None:
    assert told(1.2, steps=400) == "--set steps=720"
