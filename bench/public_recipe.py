"""The public contest entries' recipe at three widths against hnerv, at equal CPU time.

    python bench/public_recipe.py --minutes 20 --parallel 2 [--go-on] [--only hnerv]

Every task is a process with one thread. The recipe (``bench/recipe.py``) counts its own CPU time,
hnerv gets as many seconds of wall time, which is the same while a core is free for each task; both
are recorded for every run, reference pass included, the final judging not. On ``--device cuda``
both count wall time. With ``--steps`` both take so many training steps instead. The best of the
recipe's widths counts.

Every file is read back from disk, decoded at source size to 8 bits and scored with the stack.
Results are appended to ``bench/results/public_recipe.jsonl``, a row a task.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from common import Results
from measure import figures, measured, name_of, opened
from readme_tables import recipe_table
from recipe import Design, Model, Plan, RecipeClip, Trainer, clock, pack, small_pairs, timer
from seesame.metric.evaluator import evaluate
from tasks import Row, Spent, Task, options, run_tasks

OURS = "hnerv"
RESERVE = 2.0
"""Seconds for packing and writing."""


def recipe_task(
    clip: str,
    stack: str,
    width: float,
    minutes: float,
    steps: int | None,
    device: str,
    seed: int,
    plan: dict[str, float],
) -> list[Row]:
    """Train the recipe at one width and score its file."""
    spent, now = Spent(), timer(device)
    start = now()
    torch.manual_seed(seed)
    bench = opened(clip, stack, device)
    source, nets, outputs = bench.clip, bench.stack, bench.outputs
    assert nets is not None
    assert outputs is not None
    design = Design.of(source, nets, width)
    look = now() - start
    frames = small_pairs(source, design.render)
    size = (source.height, source.width)
    trainer = Trainer(Model(design), frames, outputs, nets, size, Plan(**plan), device)
    # Both the last weights and their average are judged, as hnerv judges its candidates.
    began, done = now(), 0
    share = clock(began, max(60 * minutes - (began - start) - 2.4 * look - RESERVE, 5.0), now)

    def note(at: float, loss: float) -> None:
        nonlocal done
        if done % 50 == 0 and sys.stderr.isatty():
            print(f"{at:6.1%} loss {loss:.3f}", file=sys.stderr)
        done += 1

    count = trainer.run((lambda: done / steps) if steps else share, note)
    with tempfile.TemporaryDirectory() as folder:
        best: Row = {}
        for kind, model in (("average", trainer.averaged()), ("last", trainer.model)):
            path = Path(folder) / kind
            path.write_bytes(pack(model))
            decoded = RecipeClip(path, design, source, device)
            taken = path.stat().st_size
            judged = evaluate(outputs, decoded, nets, taken, device=device)
            found = figures(taken, judged.score)
            if not best or found["score"] < best["score"]:
                best = {**found, "kept": kind}
    plan_used = {"channels": design.channels, "grid": design.grid, "plan": plan}
    values = {"params": trainer.model.size(), "steps_done": count, **best, **plan_used}
    return [values | spent.row() | {"fingerprint": nets.fingerprint[:16]}]


def our_task(
    clip: str, stack: str, minutes: float, steps: int | None, device: str, seed: int
) -> list[Row]:
    """Encode with hnerv and score its file; the reference pass is a part of its time."""
    look = Spent()
    bench = opened(clip, stack, device)
    before = look.row()
    budget = max(60 * minutes - before["wall_s"], 10.0)
    settings: dict[str, Any] = {"steps": steps} if steps else {"budget_s": budget}
    row = measured(bench, OURS, settings, seed=seed)
    spent = {
        "cpu_s": round(before["cpu_s"] + row.pop("encode_cpu_s"), 2),
        "wall_s": round(before["wall_s"] + row.pop("encode_s"), 2),
    }
    del row["codec"], row["decode_and_score_s"]
    if device == "cpu" and not steps and spent["cpu_s"] < 0.9 * spent["wall_s"]:
        print(f"{clip}: hnerv had only {spent['cpu_s']} s of a core; free one", file=sys.stderr)
    return [{"params": None, **row, **spent}]


def tasks_of(args: argparse.Namespace) -> list[Task]:
    """Return a task for each clip and width, and one for each clip for hnerv."""
    made = []
    common = {k: getattr(args, k) for k in ("minutes", "steps", "device", "seed", "stack")}
    for clip in args.clips:
        for name in [f"recipe {width:g}" for width in args.widths] + [OURS]:
            if args.only and args.only not in name:
                continue
            key = {"clip": name_of(clip), "job": name, **common}
            if name == OURS:
                made.append(Task(key, our_task, {"clip": clip, **common}))
            else:
                width, plan = float(name.split()[1]), {}
                if args.rate:
                    plan["rate"] = args.rate
                more = {"clip": clip, "width": width, "plan": plan}
                made.append(Task(key, recipe_task, common | more))
    return made


def main() -> None:
    """Run the tasks and print the table of docs/results.md."""
    parser = options(__doc__, "public_recipe", ("highway.mp4", "dusk.mp4", "comma_minute.mp4"))
    parser.add_argument("--minutes", type=float, default=20, help="CPU minutes of each task")
    parser.add_argument("--steps", type=int, help="training steps instead")
    parser.add_argument("--widths", type=float, nargs="+", default=[0.45, 0.7, 1.0])
    parser.add_argument("--only", help="only tasks whose name contains this")
    parser.add_argument("--rate", type=float, help="the recipe's learning rate at full width")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    results = Results(args.name, append=True, folder=args.folder)
    run_tasks(tasks_of(args), results, args)
    print(recipe_table(results.rows()))


if __name__ == "__main__":
    main()
