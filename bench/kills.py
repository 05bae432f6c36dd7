"""Kills by SIGINT, SIGTERM and SIGKILL at random moments of every command that writes.

    taskset -c 1 python bench/kills.py --kills 200 --seed 0

Each command runs on small synthetic clips and is killed several times in a row, at a random moment
of its whole time or just after it has made a temporary file, and then runs to its end. After each
kill no process of it may live on, and its output must be what was there before or the whole new
one; after the last run no temporary file may be left, and no file of the user lost or changed.
Rows are written to ``bench/results/kills.jsonl``: one for each command, with every kill, and one
for all.
"""

import argparse
import math
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from common import HERE, Results

sys.path.append(str(HERE.parent / "tests" / "helpers"))
from kill_cases import CASES, SIGNALS, STOPPED, Chain, Place, kill_chain, make_inputs


def main() -> None:
    """Kill every command, and write a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="in all, at least")
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    source, results, chains = random.Random(wanted.seed), Results("kills"), []
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        inputs = make_inputs(Path(name) / "in")
        for number, case in enumerate(CASES):
            longest = Place.made(Path(name, f"{number}-whole"), inputs).finish(case)
            made: list[Chain] = []
            left = math.ceil(wanted.kills / len(CASES))
            while left > 0:  # a command that had ended before its moment is not counted
                signals = [SIGNALS[one % len(SIGNALS)] for one in range(left)]
                source.shuffle(signals)
                place = Place.made(Path(name, f"{number}-{len(made)}"), inputs)
                made.append(kill_chain(case, place, signals, longest, source))
                left -= len(made[-1].kills)
            chains += made
            kills = [kill for chain in made for kill in chain.kills]
            row = {"command": case.name, "seed": wanted.seed, "seconds": round(longest, 1)}
            results.add({**row, **_figures(made), "each": kills})
    results.add({"command": "all", "seed": wanted.seed, **_figures(chains)})


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
