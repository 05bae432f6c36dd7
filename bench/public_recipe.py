"""The public contest entries' recipe at three widths against hnerv, at equal CPU time.

    python bench/public_recipe.py --minutes 20 --parallel 2 [--go-on] [--only hnerv]

Every job is a process with one thread. The recipe (``bench/recipe.py``) counts its own CPU time,
hnerv gets as many seconds of wall time, which is the same while a core is free for each job; both
are recorded for every run, reference pass included, the final judging not. On ``--device cuda``
both count wall time. With ``--steps`` both take so many training steps instead. The best of the
recipe's widths counts.

Every file is read back from disk, decoded at source size to 8 bits and scored with the stack.
Results are appended to ``bench/results/public_recipe.jsonl``: a row a job and, unless ``--only``
was given, a summary row a clip.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from common import Results
from jobs import Job, Row, Spent, add_options, find_clip, rows_of, run_jobs
from measure import judge, measure
from recipe import Design, Model, Plan, RecipeClip, Trainer, clock, pack, small_pairs, timer
from seesame.metric.evaluator import reference_outputs
from seesame.perception.registry import load_stack
from seesame.video.reader import open_clip

OURS = "hnerv"
RESERVE = 2.0
"""Seconds for packing and writing."""


def recipe_job(
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
    source, nets = open_clip(find_clip(clip)), load_stack(stack, device)
    design = Design.of(source, nets, width)
    outputs = reference_outputs(source, nets, device=device)
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
            found = judge(outputs, decoded, nets, path.stat().st_size, device)
            if not best or found["score"] < best["score"]:
                best = {**found, "kept": kind}
    plan_used = {"channels": design.channels, "grid": design.grid, "plan": plan}
    values = {"params": trainer.model.size(), "steps_done": count, **best, **plan_used}
    return [values | spent.row() | {"fingerprint": nets.fingerprint[:16]}]


def our_job(
    clip: str, stack: str, minutes: float, steps: int | None, device: str, seed: int
) -> list[Row]:
    """Encode with hnerv and score its file."""
    source, nets = open_clip(find_clip(clip)), load_stack(stack, device)
    outputs = reference_outputs(source, nets, device=device)
    settings: dict[str, Any] = {"steps": steps} if steps else {"budget_s": 60 * minutes}
    with tempfile.TemporaryDirectory() as folder:
        row = measure(source, outputs, nets, OURS, settings, Path(folder), device=device, seed=seed)
    spent = {"cpu_s": row.pop("encode_cpu_s"), "wall_s": row.pop("encode_s")}
    del row["codec"], row["decode_and_score_s"]
    if device == "cpu" and not steps and spent["cpu_s"] < 0.9 * spent["wall_s"]:
        print(f"{clip}: hnerv had only {spent['cpu_s']} s of a core; free one", file=sys.stderr)
    return [{"params": None, **row, **spent, "fingerprint": nets.fingerprint[:16]}]


def jobs_of(args: argparse.Namespace) -> list[Job]:
    """A job a clip and width, and one a clip for hnerv; the longest clips' jobs stay together."""
    made = []
    common = {k: getattr(args, k) for k in ("minutes", "steps", "device", "seed", "stack")}
    for clip in args.clips:
        for name in [f"recipe {width:g}" for width in args.widths] + [OURS]:
            key = key_of(args, clip, name)
            if args.only and args.only not in name:
                continue
            if name == OURS:
                made.append(Job(key, our_job, {"clip": clip, **common}))
            else:
                width, plan = float(name.split()[1]), {}
                if args.rate:
                    plan["rate"] = args.rate
                more = {"clip": clip, "width": width, "plan": plan}
                made.append(Job(key, recipe_job, common | more))
    return made


def key_of(args: argparse.Namespace, clip: str, name: str) -> Row:
    """What names a job in the results."""
    key = {"clip": Path(clip).name, "job": name, "minutes": args.minutes, "seed": args.seed}
    return key | {"stack": args.stack, "device": args.device, "steps": args.steps}


def summarise(args: argparse.Namespace, results: Results) -> None:
    """A summary row for each clip whose jobs are all there."""
    for clip in args.clips:
        recipes = []
        for width in args.widths:
            recipes += rows_of(results, key_of(args, clip, f"recipe {width:g}"))
        ours = rows_of(results, key_of(args, clip, OURS))
        if len(recipes) < len(args.widths) or not ours:
            print(f"{clip}: not all jobs are done", file=sys.stderr)
            continue
        best = min(recipes, key=lambda row: row["score"])
        key = key_of(args, clip, best["job"])
        key.pop("job")
        results.add(
            key
            | {
                "summary": True,
                "best_recipe": best["score"],
                "best_recipe_job": best["job"],
                "best_recipe_cpu_s": best["cpu_s"],
                "hnerv": ours[0]["score"],
                "hnerv_cpu_s": ours[0]["cpu_s"],
                "ratio": ours[0]["score"] / best["score"],
            }
        )


def main() -> None:
    """Run the jobs and sum up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, "public_recipe", ("highway.mp4", "dusk.mp4", "comma_minute.mp4"))
    parser.add_argument("--minutes", type=float, default=20, help="CPU minutes of each job")
    parser.add_argument("--steps", type=int, help="training steps instead")
    parser.add_argument("--widths", type=float, nargs="+", default=[0.45, 0.7, 1.0])
    parser.add_argument("--only", help="only jobs whose name contains this")
    parser.add_argument("--rate", type=float, help="the recipe's learning rate at full width")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--stack", default="lite")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    results = Results(args.name, append=True, folder=args.folder)
    run_jobs(jobs_of(args), results, args)
    if not args.only:
        summarise(args, results)


if __name__ == "__main__":
    main()
