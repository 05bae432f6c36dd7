"""``seesame search``: find a codec's best settings for one clip and one stack."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from seesame.cli.limits import (
    MISSED,
    ChallengeRuleOption,
    MaxBytesOption,
    MaxPoseOption,
    MaxSegOption,
    limit_lines,
    limit_values,
    parse_limits,
)
from seesame.cli.options import (
    AllowDamageOption,
    ClipArgument,
    Device,
    DeviceOption,
    FpsOption,
    JsonOption,
    OverwriteOption,
    QuietOption,
    SeedOption,
    SizeOption,
    StackOption,
    StreamOption,
    input_files,
    parse_source,
    reserved_log,
    resolve_device,
)
from seesame.cli.output import notes, print_json, print_table
from seesame.cli.progress import stages
from seesame.cli.search_options import (
    CodecsOption,
    CutOption,
    FolderOption,
    GridOption,
    JobsOption,
    LogOption,
    Method,
    MethodOption,
    SampleOption,
    StoreOption,
    TrialsOption,
    parse_cut,
    parse_sample,
    parse_spaces,
)

if TYPE_CHECKING:
    from seesame.jobs.trial import Trial
    from seesame.metric.limits import Held
    from seesame.search.goal import Goal
    from seesame.search.whole import Found

MOST_ROWS = 24
"""Rows of the printed front."""


def search(
    clip: ClipArgument,
    codec: CodecsOption = "svtav1,x265",
    method: MethodOption = Method.auto,
    trials: TrialsOption = 40,
    axes: GridOption = None,
    max_seg: MaxSegOption = None,
    max_pose: MaxPoseOption = None,
    max_bytes: MaxBytesOption = None,
    challenge_rule: ChallengeRuleOption = False,
    cut: CutOption = None,
    sample: SampleOption = None,
    out: FolderOption = None,
    log: LogOption = None,
    jobs: JobsOption = 1,
    store: StoreOption = None,
    stack: StackOption = "lite",
    device: DeviceOption = Device.auto,
    seed: SeedOption = 0,
    size: SizeOption = None,
    fps: FpsOption = None,
    stream: StreamOption = None,
    allow_damage: AllowDamageOption = False,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find a codec's best settings for a clip, as a stack judges them.

    Every trial is kept. The same search again is instant, and a search that was stopped continues
    when the same command is given. With limits it finds the smallest file that keeps them or, with
    --max-bytes alone, the file with the lowest distortion.

    Examples:

    seesame search drive.mp4

    seesame search drive.mp4 --codec svtav1 --max-seg 0.005 -o drive.search

    seesame search drive.mp4 --method grid --codec x265 --grid crf=18:42:2 --grid scale=0.3,0.45
    """
    cuts, windows = parse_cut(cut), parse_sample(sample)
    from seesame.files import SEARCH_FOLDER, reserved

    inputs = input_files(clip, store, stacks=[stack])
    with (
        reserved(out, overwrite, inputs=inputs, holds=SEARCH_FOLDER),
        reserved_log(log, overwrite, inputs),
    ):
        from seesame.jobs.spec import Job
        from seesame.jobs.store import Store, usual_store
        from seesame.search.whole import Search, search_clip

        bounds = {"max_seg": max_seg, "max_pose": max_pose, "max_bytes": max_bytes}
        limits, _ = parse_limits({**bounds, "challenge_rule": challenge_rule})
        plan = Search(parse_spaces(codec, axes or []), limits, method.value, trials, windows, cuts)
        source, where = parse_source(clip, size, fps, stream, allow_damage), resolve_device(device)
        job = Job(source, codec, stack=stack, device=where, seed=seed, log=log, limits=limits)
        told, note = stages(quiet), notes(quiet)
        keep = usual_store(note) if store is None else Store(store)
        found = search_clip(job, plan, keep, jobs, stages=told, note=note)
        _write(out, f"{clip.name}, stack {stack}: {found.goal}", found, overwrite)
    (_print_json if json else _print)(clip, found)
    if not all(held.kept for held in _held(found)):
        raise typer.Exit(MISSED)


def _held(found: "Found") -> "list[Held]":
    """Every limit beside what the best trial has."""
    limits = found.goal.limits
    return limits.held(found.best.judged) if limits.given else []


def _write(out: Path | None, title: str, found: "Found", overwrite: bool) -> None:
    from seesame.search.outcome import write_outcome

    if out is not None:
        whole = f"{title}, {len(found.trials)} trials"
        write_outcome(out, found.trials, found.best, whole, overwrite)


def _print_json(clip: Path, found: "Found") -> None:
    from seesame.search.goal import pareto_front
    from seesame.search.outcome import trial_values

    goal, best = found.goal, found.best
    values: dict[str, Any] = {
        "clip": clip,
        "goal": str(goal),
        "trials": len(found.trials),
        "made": found.made,
        "kept": goal.kept(best),
        "best": trial_values(best),
        "command": _command(clip, best),
        "front": [trial_values(trial) for trial in pareto_front(found.trials)],
    }
    print_json(values | limit_values(goal.limits, _held(found)))


def _print(clip: Path, found: "Found") -> None:
    from seesame.search.goal import pareto_front

    goal, best = found.goal, found.best
    mark = "best" if goal.kept(best) else "nearest"
    rows = [
        (
            trial.codec,
            _words(trial),
            f"{trial.bytes:,}",
            f"{trial.judged.seg if goal.limits.given else trial.seg:.5f}",
            f"{trial.pose:.5f}",
            f"{trial.score.rate:.5f}",
            f"{trial.score.total:.4f}",
            mark if trial == best else "",
        )
        for trial in _around(pareto_front(found.trials), best)
    ]
    columns = ("codec", "settings", "bytes", "seg", "pose", "rate", "score", "")
    title = f"Pareto front of {len(found.trials)} trials ({found.made} encoded now)"
    if goal.limits.given:
        title += f"; seg {goal.limits.where}"
    print_table(columns, rows, title=title, right=columns[2:-1])
    print(f"{_verdict(goal, best)}{best.codec} {_words(best)}")
    for line in limit_lines(_held(found), goal.limits.where):
        print(line)
    if not goal.kept(best):
        print("try    more --trials, other codecs, higher limits, or a hybrid as below")
    if best.bytes < best.source_bytes:
        print("next: " + _command(clip, best))
    if "parts" not in best.settings:
        print("or, with corrections trained for the stack: " + _command(clip, best, hybrid=True))


def _verdict(goal: "Goal", best: "Trial") -> str:
    """Return the words before the best trial's settings: that it is best, or nearest."""
    if goal.kept(best):
        return f"{goal}: "
    if best.bytes < best.source_bytes:
        return f"no setting keeps {goal.limits}; the nearest is "
    smaller = f" keeps {goal.limits} and" if goal.limits.given else ""
    return f"no setting{smaller} makes a smaller file than the source; the nearest is "


def _around(front: "list[Trial]", best: "Trial") -> "list[Trial]":
    """The part of the front around the best trial, ``MOST_ROWS`` at most, with the best in it."""
    whole = front if best in front else sorted([*front, best], key=lambda trial: trial.bytes)
    middle = whole.index(best)
    start = max(0, min(middle - MOST_ROWS // 2, len(whole) - MOST_ROWS))
    return whole[start : start + MOST_ROWS]


def _words(trial: "Trial") -> str:
    """The settings that are not the codec's defaults."""
    from seesame.search.outcome import chosen_settings

    if "parts" in trial.settings:
        return f"{len(trial.settings['parts'])} parts"
    return " ".join(f"{name}={value}" for name, value in chosen_settings(trial).items())


def _command(clip: Path, best: "Trial", hybrid: bool = False) -> str:
    """The command that makes the best trial's file, or a hybrid's over it."""
    from json import dumps

    from seesame.files import beside
    from seesame.search.outcome import chosen_settings

    words = ["seesame", "compress", str(clip), "-o", beside(clip, ".ssm").name, "--codec"]
    words += ["hybrid", "--set", f"base={best.codec}"] if hybrid else [best.codec]
    for name, value in chosen_settings(best).items():
        text = value if isinstance(value, str) else dumps(value)
        words += ["--set", f"base.{name}={text}" if hybrid else f"{name}={text}"]
    return shlex.join(words)
