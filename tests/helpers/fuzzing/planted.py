"""A worker with faults of every kind, by which the runner shows that it sees them."""

import ctypes
import sys
import time
from pathlib import Path
from random import Random

from fuzzing import targets, worker
from fuzzing.corpus import Corpus
from fuzzing.targets import Files, Target
from seesame.errors import DamagedError


def _make(random: Random, _: Corpus) -> Files:
    return {"case": random.randbytes(8)}


def _sound(folder: Path, _: Random) -> None:
    assert len((folder / "case").read_bytes()) == 8


def _refused(_folder: Path, _: Random) -> None:
    raise DamagedError("/some/file: is damaged at byte 7")


def _exception(_folder: Path, _: Random) -> None:
    raise KeyError("planted")


def _crash(_folder: Path, _: Random) -> None:
    ctypes.string_at(0)


def _hang(_folder: Path, _: Random) -> None:
    time.sleep(60)


def _busy(_folder: Path, _: Random) -> None:
    while True:
        pass


def _used(_folder: Path, _: Random) -> None:
    assert (bytearray(b"\1") * (300 << 20))[-1]


def _asked(_folder: Path, _: Random) -> None:
    bytearray(1 << 40)


READS = (_sound, _refused, _exception, _crash, _hang, _busy, _used, _asked)

if __name__ == "__main__":
    targets.TARGETS.clear()
    targets.TARGETS.update({one.__name__[1:]: Target(_make, one) for one in READS})
    worker.main(int(sys.argv[1]), warm=False)
