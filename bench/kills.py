"""Kills by SIGINT, SIGTERM and SIGKILL at random moments of every command that writes.

    taskset -c 1 python bench/kills.py --kills 200 --seed 0

Each command runs on small synthetic clips and is killed several times in a row, at a random moment
of its whole time or just after it has made a temporary file, and then runs to its end. After each
kill no process of it may live on, and its output must be what was there before or the whole new
one; after the last run no temporary file may be left, and no file of the user lost or changed.
Rows are written to ``bench/results/kills.jsonl``: one for each command, with every kill: signal,
seconds after the start, exit code, temporary files that were left.
"""

import argparse
import math
import os
import random
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from common import HERE, Results

sys.path.append(str(HERE.parent / "tests" / "helpers"))
from kill_cases import CASES, HOME, SIGNALS, STOPPED, Case, Chain, Place, kill_chain, make_inputs


def main() -> None:
    """Kill every command, and write a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="in all, at least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="commands at once")
    parser.add_argument("--command", help="one of the commands alone; its row is added")
    wanted = parser.parse_args()
    os.environ["SEESAME_HOME"] = str(HOME)
    results = Results("kills", append=wanted.command is not None)
    each = math.ceil(wanted.kills / len(CASES))
    with (
        tempfile.TemporaryDirectory(prefix="kills-") as name,
        ThreadPoolExecutor(wanted.jobs) as pool,
    ):
        inputs = make_inputs(Path(name) / "in")

        def killed(number: int) -> list[Chain]:
            source = random.Random(f"{wanted.seed} {CASES[number].name}")
            return _killed(CASES[number], Path(name, str(number)), inputs, each, source)

        futures = {
            pool.submit(killed, number): case
            for number, case in enumerate(CASES)
            if wanted.command in (None, case.name)
        }
        for future in as_completed(futures):
            chains = future.result()
            kills = [kill for chain in chains for kill in chain.kills]
            row = {"command": futures[future].name, "seed": wanted.seed, "jobs": wanted.jobs}
            results.add({**row, **_figures(chains), "each": kills})


def _killed(
    case: Case, folder: Path, inputs: Path, count: int, source: random.Random
) -> list[Chain]:
    """Kill a command so many times; return the chains of kills."""
    longest = Place.made(folder / "whole", inputs).finish(case)
    made: list[Chain] = []
    while count > 0:  # a command that had ended before its moment is not counted
        signals = [SIGNALS[one % len(SIGNALS)] for one in range(count)]
        source.shuffle(signals)
        place = Place.made(folder / str(len(made)), inputs)
        made.append(kill_chain(case, place, signals, longest, source))
        count -= len(made[-1].kills)
    return made


def _figures(chains: list[Chain]) -> dict[str, object]:
    """Return the counts of some chains of kills."""
    kills = [kill for chain in chains for kill in chain.kills]
    return {
        "kills": len(kills),
        "by_signal": dict(Counter(name for name, *_ in kills)),
        "stopped": sum(code == STOPPED for _, _, code, _ in kills),
        "ended_whole": sum(code == 0 for _, _, code, _ in kills),
        "left_until_next_run": {
            number.name: sum(left > 0 for name, *_, left in kills if name == number.name)
            for number in SIGNALS
        },
        "runs_to_the_end": len(chains),
        "faults": [fault for chain in chains for fault in chain.faults],
    }


if __name__ == "__main__":
    main()
