"""``seesame search``: a codec's best settings for one clip and one stack."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seesame.cli.options import (
    SHARED,
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
    check_log,
    parse_duration,
    parse_fps,
    parse_size,
    resolve_device,
)
from seesame.cli.output import print_json, print_note, print_table
from seesame.cli.search_progress import Heard
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.jobs.runner import Runner
    from seesame.jobs.trial import Trial
    from seesame.search.goal import Goal
    from seesame.search.space import Space

MOST_ROWS = 24
"""Of the printed front."""
LEAST_OF_PART = 8
"""Encodes of each part; half of the search's where that is more."""


class Method(StrEnum):
    """How settings are chosen."""

    auto = "auto"
    grid = "grid"


def search(
    clip: ClipArgument,
    codec: Annotated[
        str,
        typer.Option(
            "--codec", metavar="CODEC,…", help="Which codecs: of svtav1, x265, x264, vp9."
        ),
    ] = "svtav1,x265",
    method: Annotated[
        Method,
        typer.Option(
            "--method",
            help="auto spends its encodes where they pay (needs optuna); grid tries every "
            "combination.",
        ),
    ] = Method.auto,
    trials: Annotated[
        int, typer.Option("--trials", min=1, metavar="N", help="Encodes that auto may ask for.")
    ] = 40,
    axes: Annotated[
        list[str] | None,
        typer.Option(
            "--grid",
            metavar="NAME=VALUES",
            help="Values of one setting, as scale=0.3,0.45 or crf=20:60:4, for every codec or, as "
            "svtav1.grain=0,22, for one; repeatable.",
        ),
    ] = None,
    max_seg: Annotated[
        float | None,
        typer.Option("--max-seg", min=0.0, metavar="D", help="Fewest bytes with this or less."),
    ] = None,
    max_pose: Annotated[
        float | None,
        typer.Option("--max-pose", min=0.0, metavar="D", help="Fewest bytes with this or less."),
    ] = None,
    max_bytes: Annotated[
        int | None,
        typer.Option("--max-bytes", min=1, metavar="N", help="Lowest distortion within N bytes."),
    ] = None,
    cut: Annotated[
        str | None,
        typer.Option(
            "--cut",
            metavar="scenes|TIME",
            help="Cut the clip where its scene changes, or every so often, as 10s, and give each "
            "part settings of its own; needs optuna.",
        ),
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option(
            "--sample",
            metavar="TIME|all",
            help="Search on so much of the clip, in windows all over it, and try the best on the "
            "whole; 24s for clips longer than 90 seconds, else all.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Folder for trials.csv, front.csv, search.json and search.png.",
        ),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log",
            metavar="RUN.jsonl",
            help="Write every trial there as it ends, to follow with `seesame report RUN.jsonl`.",
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option("--jobs", "-j", min=1, max=256, metavar="N", help="Encodes at once."),
    ] = 1,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            metavar="FILE",
            help="Where trials are kept; search.sqlite in the cache folder when left out.",
            rich_help_panel=SHARED,
        ),
    ] = None,
    stack: StackOption = "lite",
    device: DeviceOption = Device.auto,
    seed: SeedOption = 0,
    size: SizeOption = None,
    fps: FpsOption = None,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find a codec's best settings for a clip, judged by a stack.

    Every trial is kept: the same search again is instant, and one that was stopped goes on when
    the same command is given.

    Examples:

    seesame search drive.mp4

    seesame search drive.mp4 --codec svtav1 --max-seg 0.005 -o drive.search

    seesame search drive.mp4 --method grid --codec x265 --grid crf=18:42:2 --grid scale=0.3,0.45

    seesame search drive.mp4 --cut scenes
    """
    frame_size, frame_rate = parse_size(size), parse_fps(fps)
    every = None if cut in (None, "scenes") else parse_duration(cut, "--cut")
    sample_seconds = None if sample in (None, "all") else parse_duration(sample, "--sample")

    from seesame.cli.progress import progress
    from seesame.context import EncodeContext
    from seesame.files import check_output
    from seesame.jobs.runner import Runner, Source
    from seesame.jobs.store import Store, store_path
    from seesame.jobs.trial import Trial
    from seesame.metric.cache import cached_reference_outputs
    from seesame.metric.limits import Limits
    from seesame.metric.memory import keep_freed_memory
    from seesame.runlog import logged
    from seesame.search.auto import auto
    from seesame.search.excerpt import windows
    from seesame.search.goal import Goal
    from seesame.search.grid import grid
    from seesame.search.outcome import write_outcome
    from seesame.search.sampled import MOST as MOST_ON_WHOLE
    from seesame.search.sampled import sampled, usual_windows

    spaces = _spaces(codec, axes or [])
    if out is not None:
        check_output(out, overwrite)
    if log is not None:
        check_log(log, overwrite)
    where = resolve_device(device)
    keep_freed_memory()
    kept = Store(store or store_path())
    goal = Goal(Limits(seg=max_seg, pose=max_pose, bytes=max_bytes))
    place = Source(clip, frame_size and frame_size[::-1], frame_rate, stack, where)
    opened = source, eyes = place.open()
    if source.num_frames < 2:
        raise UserError(f"{clip}: one frame forms no pair to judge")
    with progress("source", quiet) as bar:
        outputs = cached_reference_outputs(clip, source, eyes, device=where, progress=bar)
    total = trials if method is Method.auto else sum(space.size() for space in spaces)
    spans = usual_windows(source) if sample is None else None
    if sample_seconds is not None:
        spans = windows(source, sample_seconds)
    if spans is not None:
        total += MOST_ON_WHOLE
    noted = {"codec": codec, "method": method.value, "goal": str(goal), "cut": cut}
    run = EncodeContext(eyes, where, seed, log=log)
    with (
        logged("search", source, run, noted, seconds=0, steps=total, resume=False) as lines,
        Runner(place, opened, outputs, kept, jobs) as runner,
    ):
        lines.stage("searching" if spans is None else "searching a sample")
        with progress("search", quiet) as bar:
            heard = Heard(goal, total, bar, lines)

            def look(part: Runner, aim: Goal) -> list[Trial]:
                if method is Method.auto:
                    return auto(spaces, aim, part, trials, seed, heard)
                return grid(spaces, part, heard)

            if spans is None:
                found = look(runner, goal)
            else:
                found = sampled(runner, goal, spans, look, heard.whole)
        for line in heard.refused:
            print_note(line, quiet)
        best = goal.best(found)
        if best is None:
            raise UserError(f"{clip}: no encode succeeded; {heard.refused[-1]}")
        if cut is not None:
            lines.stage("searching in parts")
            parts = _in_parts(runner, goal, best, every, trials, seed, quiet)
            for trial in parts:
                heard.note(trial)
            found += parts
        best = goal.best(found)
        assert best is not None
        heard.ended(best)
    if out is not None:
        title = f"{clip.name}, stack {stack}: {goal}, {len(found)} trials"
        write_outcome(out, found, best, title, overwrite)
    _print(clip, goal, found, best, runner.made, json)


def _in_parts(
    runner: "Runner",
    goal: "Goal",
    best: "Trial",
    every: float | None,
    trials: int,
    seed: int,
    quiet: bool,
) -> "list[Trial]":
    """The trial of the clip in parts; none where there is nothing to cut."""
    from seesame.cli.progress import progress
    from seesame.runlog import RunLog
    from seesame.search.excerpt import even_cuts
    from seesame.search.segmented import segmented
    from seesame.video.cuts import scene_cuts

    clip = runner.clip
    if every is None:
        cuts = scene_cuts(clip)
    else:
        cuts = even_cuts(clip.num_frames, round(every * clip.fps))
    if not cuts:
        what = "its scene never changes" if every is None else f"it is no longer than {every:g} s"
        print_note(f"{runner.source.path}: is one part: {what}", quiet)
        return []
    each = max(LEAST_OF_PART, trials // 2)
    with progress(f"{len(cuts) + 1} parts", quiet) as bar:
        heard = Heard(goal, each * (len(cuts) + 1), bar, RunLog())
        result = segmented(runner, goal, best, cuts, each, seed, heard)
    for line in heard.refused:
        print_note(line, quiet)
    if result.trial is None:
        print_note(f"the file of {len(cuts) + 1} parts cannot be made: {result.why}", quiet)
    return [] if result.trial is None else [result.trial]


def _spaces(codecs: str, texts: list[str]) -> "list[Space]":
    """The spaces of the codecs, with the axes that ``--grid`` gives."""
    from seesame.search.space import SPACES, Axis, parse_axis

    names = list(dict.fromkeys(name.strip() for name in codecs.split(",") if name.strip()))
    unknown = [name for name in names if name not in SPACES]
    if unknown or not names:
        what = f"{unknown[0]!r}" if unknown else "nothing"
        raise UserError(f"--codec {what}: search is over {', '.join(SPACES)}")
    given: dict[str, list[Axis]] = {name: [] for name in names}
    for text in texts:
        axis = parse_axis(text)
        codec, dot, name = axis.name.partition(".")
        if dot and codec not in given:
            raise UserError(f"--grid {text}: {codec} is not searched")
        for one in [codec] if dot else names:
            given[one].append(Axis(name if dot else axis.name, axis.values, axis.coarse))
    return [SPACES[name].holding(given[name]) for name in names]


def _print(
    clip: Path, goal: "Goal", found: "list[Trial]", best: "Trial", made: int, json: bool
) -> None:
    from seesame.search.goal import pareto_front
    from seesame.search.outcome import trial_values

    front = pareto_front(found)
    missed = goal.limits.missed(best.score, best.bytes)
    command = _command(clip, best)
    if json:
        values: dict[str, Any] = {
            "clip": clip,
            "goal": str(goal),
            "trials": len(found),
            "made": made,
            "best": trial_values(best),
            "command": command,
            "front": [trial_values(trial) for trial in front],
        }
        print_json(values | ({"missed": missed} if goal.limits.given else {}))
        return
    columns = ("codec", "settings", "bytes", "seg", "pose", "rate", "score", "")
    rows = [
        (
            trial.codec,
            _words(trial),
            f"{trial.bytes:,}",
            f"{trial.seg:.5f}",
            f"{trial.pose:.5f}",
            f"{trial.score.rate:.5f}",
            f"{trial.score.total:.4f}",
            "best" if trial == best else "",
        )
        for trial in _around(front, best)
    ]
    title = f"Pareto front of {len(found)} trials ({made} encoded now)"
    print_table(columns, rows, title=title, right=("bytes", "seg", "pose", "rate", "score"))
    print(f"{goal}: {best.codec} {_words(best)}")
    for name, by in missed.items():
        print(f"limit  {name} is {by:.6g} above its limit in the trial that comes nearest")
    print("next: " + command)
    if "parts" not in best.settings:
        print("or, mended for the stack in minutes: " + _command(clip, best, hybrid=True))


def _around(front: "list[Trial]", best: "Trial") -> "list[Trial]":
    """As much of the front as is worth printing, nearest to the best trial; the best is in it."""
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

    from seesame.search.outcome import chosen_settings

    words = ["seesame", "compress", str(clip), "-o", f"{clip.stem}.ssm", "--codec"]
    words += ["hybrid", "--set", f"base={best.codec}"] if hybrid else [best.codec]
    for name, value in chosen_settings(best).items():
        text = value if isinstance(value, str) else dumps(value)
        words += ["--set", f"base.{name}={text}" if hybrid else f"{name}={text}"]
    return shlex.join(words)
