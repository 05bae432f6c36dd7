"""Kills by SIGINT, SIGTERM and SIGKILL at random moments of every command that writes.

    taskset -c 1 python bench/kills.py --kills 200 --seed 0

Each command runs on small synthetic clips and is killed several times in a row, at a random moment
of its whole time or just after it has made a temporary file, and then runs to its end. After each
kill no process of it may live on, and its output must be what was there before or the whole new
one; after the last run no temporary file may be left, and no file of the user lost or changed.
Rows are written to ``bench/results/kills.jsonl``: one for each command, and one for all.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from common import HERE, Results

sys.path.append(str(HERE.parent / "tests" / "helpers"))
from kill_cases import CASES, SIGNALS, STOPPED, Chain, Place, kill_chain, make_inputs

IN_A_ROW = 6
"""Kills of one command before it runs to its end."""


def main() -> None:
    """Kill every command, and write a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="in all, at least")
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    source, results = random.Random(wanted.seed), Results("kills")
    chains: dict[str, list[Chain]] = {case.name: [] for case in CASES}
    longest: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        inputs, rounds = make_inputs(Path(name) / "in"), 0
        while sum(len(chain.kills) for made in chains.values() for chain in made) < wanted.kills:
            for case in CASES:
                if not rounds:
                    longest[case.name] = Place.made(Path(name) / f"{case.name}-0", inputs).finish(
                        case
                    )
                place = Place.made(Path(name) / f"{case.name}-{rounds + 1}", inputs)
                signals = [SIGNALS[number % 3] for number in range(IN_A_ROW)]
                source.shuffle(signals)
                chain = kill_chain(case, place, signals, longest[case.name], source)
                chains[case.name].append(chain)
                print(case.name, chain.kills, chain.faults, flush=True)
            rounds += 1
    for case_name, made in chains.items():
        results.add({"command": case_name, "seed": wanted.seed, **_figures(made)})
    everything = [chain for made in chains.values() for chain in made]
    results.add({"command": "all", "seed": wanted.seed, **_figures(everything)})


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
