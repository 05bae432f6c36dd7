"""Checks of the hnerv codec that take a real training: seeds, estimate, pose, kill.

    python bench/hnerv_checks.py seeds --clips highway.mp4 --budget 480 [--seeds 0 1]
    python bench/hnerv_checks.py estimate --budget 480
    python bench/hnerv_checks.py pose --steps 1500
    python bench/hnerv_checks.py kill --budget 480 --kills 10

``seeds``: the scores of two seeds and their difference in percent.
``estimate``: the size that the loss estimated last, against the bytes of weights and latents
written (steps' exponents and rows' scales included, which the loss does not count); no sidecar.
``pose``: the same training with no gradient through the pose net, judged by the whole stack; no
sidecar either.
``kill``: ``seesame compress`` killed with SIGKILL at random moments and resumed each time, against
the same run left alone; after each kill the output must be absent or whole, and nothing
half-written may remain beside the work folder.

Results are appended to ``bench/results/hnerv_checks.jsonl``, with a summary row a clip; all
options of ``bench/jobs.py`` (``--parallel``, ``--go-on``) work.
"""

import argparse
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common import Results
from jobs import Job, Row, Spent, add_options, find_clip, rows_of, run_jobs
from killing import command, finish, moments, run_killed
from measure import measure
from seesame.metric.evaluator import reference_outputs
from seesame.perception.registry import load_stack
from seesame.perception.stack import Stack
from seesame.video.reader import open_clip

SIZE = re.compile(r"([\d,]+) bytes")


class PoseBlind:
    """A stack whose pose net passes no gradient on; all else is the stack's own."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stack, name)

    def pose(self, pairs: Tensor) -> Tensor:
        """The stack's values, with a gradient of zero in the pixels."""
        return self._stack.pose(pairs.detach()) + 0.0 * pairs.sum()

    def to(self, device: torch.device) -> "PoseBlind":
        """Move the nets; returns self."""
        self._stack.to(device)
        return self


def encode_job(
    clip: str, stack: str, settings: Row, device: str, seed: int, blind: bool = False
) -> list[Row]:
    """One hnerv file, with the size that the loss estimated last."""
    source, nets = open_clip(find_clip(clip)), load_stack(stack, device)
    outputs = reference_outputs(source, nets, device=device)
    estimated = None

    def note(share: float, text: str) -> None:
        nonlocal estimated
        if found := SIZE.search(text):
            estimated = int(found[1].replace(",", ""))

    train_stack = PoseBlind(nets) if blind else nets
    more = {"train_stack": train_stack, "device": device, "seed": seed, "progress": note}
    with tempfile.TemporaryDirectory() as folder:
        row = measure(source, outputs, nets, "hnerv", settings, Path(folder), **more)
    del row["codec"]
    return [row | {"estimated_bytes": estimated, "fingerprint": nets.fingerprint[:16]}]


def kill_job(clip: str, stack: str, flags: list[str], kills: int, seed: int) -> list[Row]:
    """A run left alone, then one that is killed ``kills`` times at seeded moments."""
    environment = dict(os.environ)
    source = find_clip(clip).resolve()
    flags = [*flags, "--stack", stack, "--seed", str(seed)]
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as broken:
        spent = Spent()
        alone = finish(command(source, Path(whole) / "a.ssm", flags), environment)
        seconds = spent.row()["wall_s"]
        times = moments(3 * kills, seconds, seed)
        out = Path(broken) / "a.ssm"
        found = run_killed(source, out, flags, environment, times, wanted=kills)
    return [
        {
            "alone": alone["score"],
            "alone_bytes": alone["bytes"],
            "alone_s": seconds,
            "killed": found.score,
            "killed_bytes": found.bytes,
            "difference_percent": 100 * (found.score / alone["score"] - 1),
            "kills": found.kills,
            "resumable": found.resumable,
            "ended_before_the_kill": found.ended,
            "faults": found.faults,
        }
    ]


def settings_of(args: argparse.Namespace) -> Row:
    """Settings of hnerv from the options."""
    length = {"steps": args.steps} if args.steps else {"budget_s": args.budget}
    return length | ({"bytes": args.bytes} if args.bytes else {})


def jobs_of(args: argparse.Namespace, clip: str) -> list[Job]:
    """The jobs of one check on one clip."""
    settings = settings_of(args)
    base = {"check": args.check, "clip": Path(clip).name, "stack": args.stack}
    if args.check in ("estimate", "pose"):  # of training alone
        settings = settings | {"sidecar": False}
    key = base | {"asked": settings}
    values = {"clip": clip, "stack": args.stack, "settings": settings, "device": args.device}
    if args.check == "kill":
        flags = ["--set", f"steps={args.steps}"] if args.steps else ["--budget", f"{args.budget}s"]
        flags += ["--bytes", str(args.bytes)] if args.bytes else []
        key |= {"seed": args.seeds[0], "wanted_kills": args.kills}
        more = {"flags": [*flags, "--device", args.device], "kills": args.kills}
        plain = {"clip": clip, "stack": args.stack, "seed": args.seeds[0]}
        return [Job(key, kill_job, plain | more)]
    if args.check == "seeds":
        return [Job(key | {"seed": s}, encode_job, values | {"seed": s}) for s in args.seeds]
    first = {"seed": args.seeds[0]}
    if args.check == "estimate":
        return [Job(key | first, encode_job, values | first)]
    return [
        Job(key | first | {"blind": blind}, encode_job, values | first | {"blind": blind})
        for blind in (False, True)
    ]


def summary(check: str, rows: list[Row]) -> Row:
    """The figures that a check is about."""
    if check == "seeds":
        scores = [row["score"] for row in rows]
        spread = 100 * (max(scores) / min(scores) - 1)
        return {"scores": scores, "difference_percent": spread}
    if check == "estimate":
        estimated, written = rows[0]["estimated_bytes"], rows[0]["payload_bytes"]
        return {
            "estimated_bytes": estimated,
            "payload_bytes": written,
            "bytes": rows[0]["bytes"],
            "written_over_estimated_percent": 100 * (written / estimated - 1),
        }
    if check == "pose":
        seeing, blind = rows
        return {
            "pose": seeing["pose"],
            "pose_without_gradient": blind["pose"],
            "pose_ratio": blind["pose"] / seeing["pose"],
            "score": seeing["score"],
            "score_without_gradient": blind["score"],
        }
    return {k: rows[0][k] for k in ("alone", "killed", "difference_percent", "faults")} | {
        "kills": len(rows[0]["kills"])
    }


def main() -> None:
    """Run one check on each clip."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("check", choices=("seeds", "estimate", "pose", "kill"))
    add_options(parser, "hnerv_checks")
    parser.add_argument("--budget", type=float, default=480, help="seconds of each encode")
    parser.add_argument("--steps", type=int, help="training steps instead")
    parser.add_argument("--bytes", type=int, help="size that hnerv aims at")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="the first elsewhere")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--stack", default="lite")
    args = parser.parse_args()
    results = Results(args.name, append=True, folder=args.folder)
    jobs = {clip: jobs_of(args, clip) for clip in args.clips}
    run_jobs([job for of_clip in jobs.values() for job in of_clip], results, args)
    for clip, of_clip in jobs.items():
        rows = [rows_of(results, job.key)[-1] for job in of_clip]
        key = {"check": args.check, "clip": Path(clip).name, "asked": settings_of(args)}
        results.add(key | {"summary": True} | summary(args.check, rows))


if __name__ == "__main__":
    main()
