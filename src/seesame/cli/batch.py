"""``seesame batch``: compress many clips, so that none is lost and none is done twice."""

import os
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seesame.cli.batch_status import print_totals, total_values
from seesame.cli.compress_options import (
    AUTO,
    BudgetOption,
    PixelWeightOption,
    PresetOption,
    SetOption,
    codec_settings,
)
from seesame.cli.limits import (
    MISSED,
    ChallengeRuleOption,
    MaxBytesOption,
    MaxPoseOption,
    MaxSegOption,
    parse_limits,
)
from seesame.cli.options import (
    Device,
    DeviceOption,
    JsonOption,
    OverwriteOption,
    QuietOption,
    SeedOption,
    StackOption,
    parse_duration,
    parse_settings,
    resolve_device,
)
from seesame.cli.output import notes, print_json, print_table
from seesame.cli.progress import progress
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.fleet.driver import Run
    from seesame.fleet.plan import Task
    from seesame.perception.stack import Stack

SOME_FAILED = 3
"""Exit code where clips of a batch have failed, and the others are done."""
SHOWN = 20
"""Rows of a dry run's table at most; --json shows all."""


class OnMiss(StrEnum):
    """The values of ``--on-miss``."""

    keep_best = "keep-best"
    keep_source = "keep-source"
    fail = "fail"


class Kind(StrEnum):
    """The values of ``--to``."""

    mp4 = "mp4"
    mkv = "mkv"
    mov = "mov"
    ssm = "ssm"


SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A folder, a pattern as 'drives/**/*.mp4', or a manifest: .csv, .jsonl or .parquet "
        "with a column uri. Paths, or URIs as s3://bucket/drives.",
    ),
]
TargetOption = Annotated[
    str,
    typer.Option(
        "--out", "-o", metavar="TARGET", help="The folder of the outputs, or a URI of one."
    ),
]
CodecOption = Annotated[
    str | None,
    typer.Option(
        "--codec",
        metavar="CODEC",
        help="A name from `seesame codecs`, for .ssm files; without it av1 in plain .mp4 files.",
    ),
]
ToOption = Annotated[
    Kind | None,
    typer.Option(
        "--to", help="Kind of the outputs. When left out: mp4, or ssm where --codec is given."
    ),
]
OnMissOption = Annotated[
    OnMiss,
    typer.Option(
        "--on-miss",
        help="What to do with a file that misses a limit: keep it, with exit code 4; put the "
        "source in its place; or write nothing and count the clip as failed.",
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        metavar="N",
        help="Worker processes at most; one for each core when left out.",
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Memory that all workers may take, as 12G; four fifths of what is free when left out.",
    ),
]
ScratchOption = Annotated[
    Path | None,
    typer.Option(
        "--scratch",
        metavar="DIR",
        help="Folder for temporary files. When left out: in TARGET, or the system's own where "
        "TARGET is a URI.",
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Do part I of N, counted from 0, as one of N runs on the same TARGET.",
    ),
]
RetryOption = Annotated[
    bool, typer.Option("--retry-failed", help="Do those clips again that failed before.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
]


def batch(
    source: SourceArgument,
    out: TargetOption,
    codec: CodecOption = None,
    to: ToOption = None,
    preset: PresetOption = None,
    budget: BudgetOption = None,
    pixel_weight: PixelWeightOption = None,
    max_seg: MaxSegOption = None,
    max_pose: MaxPoseOption = None,
    max_bytes: MaxBytesOption = None,
    challenge_rule: ChallengeRuleOption = False,
    on_miss: OnMissOption = OnMiss.keep_best,
    settings: SetOption = None,
    jobs: JobsOption = None,
    memory: MemoryOption = None,
    scratch: ScratchOption = None,
    shard: ShardOption = None,
    retry_failed: RetryOption = False,
    dry_run: DryRunOption = False,
    stack: StackOption = "lite",
    device: DeviceOption = Device.auto,
    seed: SeedOption = 0,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compress many clips, each as `compress` does, and keep a catalogue of what became of them.

    Every file is read back and judged before it is put in place. The same command again does what
    is missing, after Ctrl-C and after a crash too. A clip that fails does not stop the others. Exit
    code: 0 when all clips are done, 3 when some failed, 4 when files miss a limit and none failed.

    Examples:

    seesame batch drives -o small --max-seg 0.01

    seesame batch fleet.csv -o small --max-seg 0.01 --on-miss keep-source --jobs 8

    seesame batch 'drives/**/*.mkv' -o small --codec svtav1 --set crf=40 --dry-run
    """
    from seesame.codecs.registry import PORTABLE
    from seesame.fleet.driver import Run
    from seesame.fleet.plan import Defaults, make_tasks
    from seesame.fleet.sources import list_source

    if codec == AUTO:
        raise UserError("--codec auto is for single clips; name a codec")
    flags: dict[str, Any] = {"preset": preset and preset.value, "budget_s": parse_duration(budget)}
    flags |= {"pixel_weight": pixel_weight, "max_seg": max_seg, "max_pose": max_pose}
    flags |= {"max_bytes": max_bytes, "challenge_rule": challenge_rule}
    chosen = codec_settings(codec or PORTABLE, flags, parse_settings(settings or []))
    parse_limits(chosen)  # so that its errors name the flags
    suffix = None if to is None else f".{to.value}"
    where = resolve_device(device)
    defaults = Defaults(codec, suffix, chosen, stack, on_miss.value, where, seed)
    run = Run(
        jobs=jobs or len(os.sched_getaffinity(0)),
        memory=_bytes(memory),
        scratch=scratch,
        shard=_shard(shard),
        retry_failed=retry_failed,
        overwrite=overwrite,
    )
    target = _target(out)
    tasks = make_tasks(list_source(source, target), target, defaults, _loader(where))
    if dry_run:
        _print_plan(tasks, target, run, json)
    else:
        _run(tasks, target, run, json, quiet)


def _run(tasks: "Sequence[Task]", target: str, run: "Run", json: bool, quiet: bool) -> None:
    """Do what is missing, print the totals, and exit with the code that they give."""
    from seesame.fleet.driver import run_batch

    try:
        with progress("batch", quiet) as bar:
            result = run_batch(tasks, target, run, bar, notes(quiet))
    except KeyboardInterrupt:
        line = f"stopped; what is done stays in {target}: the same command goes on from there"
        print(f"seesame: note: {line}", file=sys.stderr)
        raise
    if json:
        print_json({"target": target, **total_values(result.states), "worked_on": result.done})
    else:
        print_totals(target, result.states)
    if result.failed:
        raise typer.Exit(SOME_FAILED)
    if result.missed:
        raise typer.Exit(MISSED)


def _loader(device: str) -> "Callable[[str], Stack]":
    """Return what gives a stack by its name, and loads each once."""
    from seesame.perception.registry import load_stack

    return cache(lambda name: load_stack(name, device))


def _target(out: str) -> str:
    """Return the target without a slash at its end. Raises UserError where it is a file."""
    from seesame.fleet.storage import is_remote, storage

    if out == "-" or "\0" in out:
        raise UserError(f"{out!a}: the output of batch is a folder; name one")
    if not is_remote(out) and storage(out).stat(out) is not None:
        raise UserError(f"{out}: is a file, and the output of batch is a folder; name another")
    return out.rstrip("/") or "/"


def _shard(text: str | None) -> tuple[int, int]:
    """Return what ``--shard`` means. Raises UserError."""
    if text is None:
        return 0, 1
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
        raise UserError(f"--shard {text}: give I/N with I from 0 to N-1, as 0/4")
    return int(number), int(count)


def _bytes(text: str | None) -> int | None:
    """Return the bytes that ``12G`` or ``800M`` means. Raises UserError."""
    if text is None:
        return None
    unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
    plain = text.upper().removesuffix("B").removesuffix("I")
    number, scale = (plain[:-1], unit[plain[-1]]) if plain[-1:] in unit else (plain, 1)
    try:
        size = float(number) * scale
    except ValueError:
        size = 0.0
    if not 1 <= size < float("inf"):
        raise UserError(f"--memory {text}: give a size, as 12G or 800M")
    return int(size)


def _print_plan(tasks: "Sequence[Task]", target: str, run: "Run", json: bool) -> None:
    """Print what a run would do."""
    from seesame.files import readable
    from seesame.fleet.driver import planned

    missing, rest = planned(tasks, target, run)
    if json:
        for task in missing:
            facts = {"uri": task.uri, "out": task.out, "bytes": task.size, "codec": task.codec}
            print_json({**facts, "settings": dict(task.settings), "why": task.why})
        return
    rows = [
        (readable(task.uri), readable(task.out), task.codec, f"{task.size:,}", task.why)
        for task in missing[:SHOWN]
    ]
    if rows:
        print_table(("clip", "output", "codec", "bytes", "why"), rows, right=("bytes",))
    if len(missing) > SHOWN:
        print(f"and {len(missing) - SHOWN:,} more; --json lists them all")
    size = sum(task.size for task in missing)
    failed = sum(state.status == "failed" for state in rest)
    print(f"to do  {len(missing):,} clips, {size:,} bytes")
    again = f", of which {failed:,} failed (--retry-failed does them again)" if failed else ""
    print(f"before {len(rest):,} clips{again}")
