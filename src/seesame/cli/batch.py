"""``seesame batch``: compress many clips, so that none is lost and none is done twice."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

import typer

from seesame.cli.batch_options import (
    AddressOption,
    CodecOption,
    CoresOption,
    DryRunOption,
    Engine,
    EngineOption,
    JobsOption,
    MemoryOption,
    OnMiss,
    OnMissOption,
    RetryOption,
    SampleOption,
    ScratchOption,
    ShardOption,
    ShareOption,
    SourceArgument,
    TargetOption,
    ToOption,
    parse_bytes,
    parse_shard,
    parse_target,
)
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
    from seesame.fleet.forecast import Forecast
    from seesame.fleet.plan import Task
    from seesame.fleet.target.state import State
    from seesame.perception.stack import Stack

SOME_FAILED = 3
"""Exit code where clips of a batch have failed, and the others are done."""
SHOWN = 20
"""Rows of a dry run's table at most; --json shows all."""


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
    share: ShareOption = True,
    retry_failed: RetryOption = False,
    dry_run: DryRunOption = False,
    sample: SampleOption = None,
    engine: EngineOption = Engine.local,
    address: AddressOption = None,
    cores: CoresOption = 1,
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

    seesame batch s3://bucket/drives -o s3://bucket/small --engine ray --address auto
    """
    from seesame.fleet.driver import Run
    from seesame.fleet.plan import Defaults, make_tasks
    from seesame.fleet.sources.listing import list_source

    flags: dict[str, Any] = {"preset": preset and preset.value, "budget_s": parse_duration(budget)}
    flags |= {"pixel_weight": pixel_weight, "max_seg": max_seg, "max_pose": max_pose}
    flags |= {"max_bytes": max_bytes, "challenge_rule": challenge_rule}
    suffix, where = to and f".{to.value}", resolve_device(device)
    chosen = _chosen(codec, flags, settings)
    defaults = Defaults(codec, suffix, chosen, stack, on_miss.value, where, seed)
    _check_engine(engine, address, cores)
    if sample is not None and not dry_run:
        raise UserError("--sample is for --dry-run")
    parts = parse_bytes(memory), scratch, parse_shard(shard)
    run = Run(jobs, *parts, retry_failed, overwrite, engine == Engine.ray, address, cores, share)
    target = parse_target(out)
    tasks = make_tasks(list_source(source, target), target, defaults, _loader(where))
    if dry_run:
        _print_plan(tasks, target, run, sample, json, quiet)
    else:
        _run(tasks, target, run, json, quiet)


def _chosen(codec: str | None, flags: dict[str, Any], settings: list[str] | None) -> dict[str, Any]:
    """Return the settings and limits that the command line names. Raises UserError."""
    from seesame.codecs.registry import PORTABLE

    if codec == AUTO:
        raise UserError("--codec auto is for single clips; name a codec")
    chosen = codec_settings(codec or PORTABLE, flags, parse_settings(settings or []))
    parse_limits(chosen)  # so that its errors name the flags
    return chosen


def _check_engine(engine: Engine, address: str | None, cores: int) -> None:
    """Refuse flags of another engine. Raises UserError."""
    if engine != Engine.ray and (address is not None or cores != 1):
        raise UserError("--address and --cores are for --engine ray")


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
        print_json({"target": target, **total_values(result.totals), "worked_on": result.done})
    else:
        print_totals(target, result.totals)
    if result.failed:
        raise typer.Exit(SOME_FAILED)
    if result.missed:
        raise typer.Exit(MISSED)


def _loader(device: str) -> "Callable[[str], Stack]":
    """Return what gives a stack by its name, and loads each once."""
    from seesame.perception.registry import load_stack

    return cache(lambda name: load_stack(name, device))


def _print_plan(
    tasks: "Sequence[Task]", target: str, run: "Run", sample: int | None, json: bool, quiet: bool
) -> None:
    """Print what a run would do, and what that would take and give."""
    from seesame.fleet.driver import planned
    from seesame.fleet.forecast import SAMPLE, forecast

    missing, rest = planned(tasks, target, run)
    count = SAMPLE if sample is None else sample
    if json:
        for task in missing:
            facts = {"uri": task.uri, "out": task.out, "bytes": task.size, "codec": task.codec}
            print_json({**facts, "settings": dict(task.settings), "why": task.why})
    else:
        _print_missing(missing, rest)
    if not (missing and count):
        return
    with progress("forecast", quiet) as bar:
        found = forecast(missing, count, bar)
    if json:
        print_json({"forecast": asdict(found)})
    else:
        print(f"expect {_expected(found, sum(task.size for task in missing))}")


def _expected(found: "Forecast", size: int) -> str:
    """Return a forecast in words."""
    from seesame.fleet.driver import span

    tried = f"{found.tried} clips that were tried"
    if found.failed:
        tried += f", and {found.failed} that failed"
    if found.bytes is None or found.core_s is None:
        return f"nothing: too little is known from {tried}"
    low, high = found.bytes
    shares = f"{low / size:.2%} to {high / size:.2%} of the sources"
    times = " to ".join(map(span, found.core_s))
    return f"{low:,.0f} to {high:,.0f} bytes, {shares}; {times} of one core's work (from {tried})"


def _print_missing(missing: "Sequence[Task]", rest: "Sequence[State]") -> None:
    """Print the clips that a run would do, and how many it would not."""
    from seesame.files import readable

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
