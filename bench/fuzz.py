"""Feed damaged and crafted files to every reader; count faults, and measure memory and time.

    python bench/fuzz.py --cases 20000 [--seed 0] [--target NAME ...] [--out FILE] [--keep FOLDER]
    python bench/fuzz.py --case TARGET:SEED [--keep FOLDER]

Every target gets as many cases, from the number of ``--seed`` on, and one line of results: how many
were read and how many refused, how many different refusals there were, the most memory and the
longest time with the case that took it, and every fault. A fault is any other exception than an
error of seesame's, a crash, more than 20 s of processor time, or more than 1,200 MB of memory, the
process with torch included. A case is made from its target and its number alone, so that ``--case``
runs it again; ``--keep`` writes its files. The exit status is 1 where there was a fault.

Cases run in one process after the other, each bounded and watched by another one. For figures to
publish, run it on one core: ``taskset -c 1``.
"""

import argparse
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

from common import HERE, Results

sys.path.append(str(HERE.parent / "tests" / "helpers"))
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, (str(HERE.parent / "src"), os.environ.get("PYTHONPATH")))
)

from fuzzing.corpus import CODECS, Corpus
from fuzzing.runner import Bounds, Outcome, Runner
from fuzzing.targets import TARGETS

MOST_FAULTS = 200
"""Faults of a target that are listed; all are counted."""


def fault(outcome: Outcome) -> dict[str, Any]:
    """Return a fault as plain values, with the last line of its error."""
    lines = outcome.text.strip().splitlines() or [""]
    values = {"case": f"{outcome.target}:{outcome.seed}", "end": outcome.end}
    return {
        **values,
        "seconds": outcome.seconds,
        "megabytes": outcome.megabytes,
        "text": lines[-1][:200],
    }


def watched(outcomes: Iterator[Outcome], total: int) -> Iterator[Outcome]:
    """Yield outcomes and tell of them on the standard error, every few seconds."""
    due = time.monotonic() + 10
    for done, outcome in enumerate(outcomes, start=1):
        if outcome.fault:
            print(fault(outcome), file=sys.stderr, flush=True)
        if time.monotonic() > due:
            print(f"{outcome.target}: {done} of {total}", file=sys.stderr, flush=True)
            due += 10
        yield outcome


def measure(runner: Runner, target: str, seeds: range, stop: Event) -> dict[str, Any]:
    """Return the results of a target's cases, of those that were run before it was to stop."""
    begun = time.monotonic()
    ends: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    faults, slowest, largest = [], None, None
    for one in watched(runner.run(target, seeds), len(seeds)):
        ends[one.end] += 1
        if one.end == "refused":
            refusals[one.text] += 1
        if one.fault:
            faults.append(fault(one))
        if slowest is None or one.seconds > slowest.seconds:
            slowest = one
        if largest is None or one.megabytes > largest.megabytes:
            largest = one
        if stop.is_set():
            break
    assert slowest is not None
    assert largest is not None
    return {
        "target": target,
        "codec": target in CODECS,
        "cases": ends.total(),
        "first": seeds.start,
        "read": ends["read"],
        "refused": ends["refused"],
        "refusals": len(refusals),
        "faults": len(faults),
        "worst_s": slowest.seconds,
        "worst_s_case": f"{target}:{slowest.seed}",
        "worst_mb": largest.megabytes,
        "worst_mb_case": f"{target}:{largest.seed}",
        "start_mb": runner.start_megabytes,
        "wall_s": round(time.monotonic() - begun, 1),
        "list": faults[:MOST_FAULTS],
    }


def keep(case: str, folder: Path) -> None:
    """Write the files of a case into a folder of its own."""
    target, _, seed = case.partition(":")
    files = TARGETS[target].make(Random(f"{target}:{int(seed)}"), Corpus())
    for name, data in files.items():
        path = folder / f"{target}-{seed}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def main() -> int:
    """Run the cases; return 1 where there was a fault."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=1000, help="of each target")
    parser.add_argument("--seed", type=int, default=0, help="the number of the first case")
    parser.add_argument("--target", action="append", choices=list(TARGETS), help="all when absent")
    parser.add_argument("--case", action="append", help="TARGET:SEED, to be run again")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "fuzz.jsonl")
    parser.add_argument("--append", action="store_true", help="keep the lines that are there")
    parser.add_argument("--keep", type=Path, help="folder for the files of the cases with faults")
    parser.add_argument("--seconds", type=float, default=Bounds.seconds, help="a case may take")
    wanted = parser.parse_args()
    bad, stop = False, Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())  # what was done is written
    with Runner(Bounds(seconds=wanted.seconds)) as runner:
        if wanted.case:
            for case in wanted.case:
                target, _, seed = case.partition(":")
                (outcome,) = runner.run(target, range(int(seed), int(seed) + 1))
                print(outcome)
                bad |= outcome.fault
                if wanted.keep:
                    keep(case, wanted.keep)
            return int(bad)
        results = Results(wanted.out.stem, wanted.append, wanted.out.resolve().parent)
        digest = Corpus().digest
        for target in wanted.target or TARGETS:
            row = measure(runner, target, range(wanted.seed, wanted.seed + wanted.cases), stop)
            results.add(row | {"corpus": digest, "bound_s": wanted.seconds})
            bad |= bool(row["faults"])
            for one in row["list"] if wanted.keep else ():
                keep(one["case"], wanted.keep)
            if stop.is_set():
                break
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
