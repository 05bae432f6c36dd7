"""``seesame compress``: a clip into an .ssm file, proved with a score."""

import shlex
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seesame.cli.automatic import AUTO, BUDGET, encode_automatically
from seesame.cli.options import (
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
    parse_settings,
    parse_size,
    resolve_device,
)
from seesame.cli.output import print_figures, print_json
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.jobs.roundtrip import Encoded
    from seesame.metric.evaluator import Evaluation
    from seesame.metric.limits import Limits
    from seesame.perception.stack import Stack
    from seesame.video.clip import Clip

HNERV, HYBRID = "hnerv", "hybrid"
TRAINED = (HNERV, HYBRID)
"""Codecs that train against the stack."""
AUGMENT = "augment"
"""The guard that is no stack."""
ONLY_HNERV = ("init",)
"""Of the flags below, those that hybrid does not take."""
OF_AUTO = ("budget_s", "target_score", "max_seg", "max_pose", "max_bytes")
"""And those that auto takes."""
TRAINING = "Flags of hnerv and hybrid"


class Preset(StrEnum):
    """How much effort training takes; the times are for a short clip on two cores."""

    draft = "draft"
    fast = "fast"
    medium = "medium"
    slow = "slow"


def compress(
    clip: ClipArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT.ssm", help="Output file.")],
    codec: Annotated[
        str,
        typer.Option(
            "--codec",
            metavar="CODEC",
            help="A name from `seesame codecs`; auto searches classical settings, trains over "
            "them and keeps the best file, within --budget (8m when left out).",
        ),
    ] = HNERV,
    preset: Annotated[
        Preset | None,
        typer.Option(
            "--preset",
            rich_help_panel=TRAINING,
            help="Effort: draft takes about 2 minutes, fast 8 (hybrid 6), for ten seconds of "
            "video on two cores; fast when left out.",
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            rich_help_panel=TRAINING,
            metavar="TIME",
            help="Time of the whole encode, as 90s, 20m, 1.5h.",
        ),
    ] = None,
    size_bytes: Annotated[
        int | None,
        typer.Option(
            "--bytes",
            rich_help_panel=TRAINING,
            min=1,
            metavar="N",
            help="Size to aim at, in bytes.",
        ),
    ] = None,
    pixel_weight: Annotated[
        float | None,
        typer.Option(
            "--pixel-weight",
            rich_help_panel=TRAINING,
            min=0.0,
            metavar="W",
            help="Weight of the pixel term; more keeps the picture viewable.",
        ),
    ] = None,
    transfer_guard: Annotated[
        list[str] | None,
        typer.Option(
            "--transfer-guard",
            rich_help_panel=TRAINING,
            metavar="augment|STACK",
            help="Keep the file good for other nets as well: train against augmented copies of "
            "the stack, or beside another stack; repeatable.",
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            "--init",
            rich_help_panel="Flags of hnerv",
            metavar="FILE.ssm",
            help="Start from the decoder of another clip's file.",
        ),
    ] = None,
    target_score: Annotated[
        float | None,
        typer.Option(
            "--target-score",
            rich_help_panel=TRAINING,
            metavar="S",
            help="Stop as soon as a file reaches this score.",
        ),
    ] = None,
    max_seg: Annotated[
        float | None,
        typer.Option(
            "--max-seg",
            rich_help_panel=TRAINING,
            metavar="D",
            help="Stop as soon as a file's seg distortion is within D; with several limits, "
            "within all.",
        ),
    ] = None,
    max_pose: Annotated[
        float | None,
        typer.Option(
            "--max-pose",
            rich_help_panel=TRAINING,
            metavar="D",
            help="The same for its pose distortion.",
        ),
    ] = None,
    max_bytes: Annotated[
        int | None,
        typer.Option(
            "--max-bytes",
            rich_help_panel=TRAINING,
            metavar="N",
            help="The same for its size in bytes.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            rich_help_panel=TRAINING,
            help="Go on where an earlier run stopped.",
        ),
    ] = False,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log",
            rich_help_panel=TRAINING,
            metavar="RUN.jsonl",
            help="Keep the log of the training, to plot with `seesame report RUN.jsonl`. While it "
            "runs there is one in its work folder as well.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A setting of the codec, as crf=40; repeatable."
        ),
    ] = None,
    no_score: Annotated[
        bool, typer.Option("--no-score", help="Write the file without scoring it.")
    ] = False,
    stack: StackOption = "lite",
    device: DeviceOption = Device.auto,
    seed: SeedOption = 0,
    size: SizeOption = None,
    fps: FpsOption = None,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compress a clip into an .ssm file and score what comes back from disk.

    Ctrl-C while hnerv or hybrid trains writes the best file so far; Ctrl-C again stops at once.

    Examples:

    seesame compress drive.mp4 -o drive.ssm --preset fast

    seesame compress drive.mp4 -o drive.ssm --codec svtav1 --set crf=45

    seesame compress drive.mp4 -o drive.ssm --codec auto --budget 10m
    """
    given = {
        "preset": preset and preset.value,
        "budget_s": parse_duration(budget),
        "bytes": size_bytes,
        "pixel_weight": pixel_weight,
        "transfer_guard": transfer_guard or None,
        "init": init and str(init),
        "target_score": target_score,
        "max_seg": max_seg,
        "max_pose": max_pose,
        "max_bytes": max_bytes,
        "resume": resume or None,
    }
    if log is not None:
        if codec not in TRAINED:
            raise UserError(f"--log is for {', '.join(TRAINED)}; --codec {codec} writes none")
        check_log(log, overwrite or resume)
    chosen = _settings(codec, given, parse_settings(settings or []))
    guards = [name for name in chosen.pop("transfer_guard", ()) if name != AUGMENT]
    frame_size, frame_rate = parse_size(size), parse_fps(fps)
    _check_paths(clip, out, overwrite)

    from seesame.codecs.registry import get_codec
    from seesame.context import EncodeContext
    from seesame.jobs.roundtrip import encode_file, judge_file, open_source
    from seesame.perception.registry import load_stack

    where = resolve_device(device)
    eyes: Stack | None
    if codec == AUTO:
        from seesame.jobs.runner import Source

        place = Source(clip, frame_size and frame_size[::-1], frame_rate, stack, where)
        context = EncodeContext(None, where, seed)
        budgeted = chosen.get("budget_s") or BUDGET
        encoded, used, eyes = encode_automatically(
            place, out, _limits(chosen), budgeted, context, overwrite=overwrite, quiet=quiet
        )
        source = open_source(clip, frame_size, frame_rate)
    else:
        get_codec(codec)
        source, used = open_source(clip, frame_size, frame_rate), chosen
        if not no_score and source.num_frames < 2:
            raise UserError(f"{clip}: one frame forms no pair to score; pass --no-score to go on")
        needs_stack = codec in TRAINED or not no_score or bool(chosen.get("roi"))
        eyes = load_stack(stack, where) if needs_stack else None
        work = out.parent / f"{out.stem}.work" if codec in TRAINED else None
        beside = tuple(load_stack(name, where) for name in guards)
        context = EncodeContext(eyes, where, seed, work=work, log=log, guards=beside)
        encoded = encode_file(source, out, codec, chosen, context, overwrite=overwrite, quiet=quiet)
    evaluation = None
    if not no_score:
        assert eyes is not None
        evaluation = judge_file(source, out, eyes, where, quiet=quiet)
    missed = _missed(codec, chosen, evaluation)
    if json:
        values = _values(clip, encoded, used, source, evaluation)
        print_json(values if missed is None else {**values, "missed": missed})
        return
    _print_text(clip, encoded, source, evaluation, stack)
    for name, by in (missed or {}).items():
        print(f"limit  {name} is {by:.6g} above its limit; give it more time")
    viewable = out.with_suffix(".mkv")
    print("next: " + shlex.join(["seesame", "decompress", str(out), "-o", str(viewable)]))


def _settings(codec: str, flags: dict[str, Any], extra: dict[str, object]) -> dict[str, Any]:
    """The codec's settings from flags and ``--set``."""
    flags = {name: value for name, value in flags.items() if value is not None}
    names = {"budget_s": "--budget"}
    for name in flags:
        flag = names.get(name, "--" + name.replace("_", "-"))
        takers = (HNERV,) if name in ONLY_HNERV else TRAINED
        takers = (*takers, AUTO) if name in OF_AUTO else takers
        if codec not in takers:
            others = "chooses the settings itself" if codec == AUTO else "takes --set name=value"
            raise UserError(f"{flag} is for {', '.join(takers)}; --codec {codec} {others}")
        if name in extra:
            raise UserError(f"--set {name}: given by {flag} already")
    if codec == AUTO and extra:
        raise UserError("--set is not for --codec auto, which chooses the settings itself")
    if AUGMENT in flags.get("transfer_guard", ()):
        flags["augment"] = True
    if codec in TRAINED:
        flags.setdefault("preset", extra.pop("preset", Preset.fast.value))
    return {**extra, **flags}


def _check_paths(clip: Path, out: Path, overwrite: bool) -> None:
    """Refuse, before anything is computed, an output that could not be written in the end."""
    from seesame.files import check_output

    if out.suffix != ".ssm":
        raise UserError(f"{out}: the output of compress is an .ssm file; name it {out.stem}.ssm")
    if clip.exists() and out.exists() and clip.samefile(out):
        raise UserError(f"{out}: is the clip itself; choose another output")
    check_output(out, overwrite)


def _missed(
    codec: str, settings: Mapping[str, Any], evaluation: "Evaluation | None"
) -> dict[str, float] | None:
    """The user's limits that the file does not keep; None when there are none to check."""
    limits = _limits(settings)
    if codec not in (*TRAINED, AUTO) or evaluation is None or not limits.given:
        return None
    return limits.missed(evaluation.score, evaluation.compressed_bytes)


def _limits(settings: Mapping[str, Any]) -> "Limits":
    """The user's limits among a codec's settings."""
    from seesame.metric.limits import Limits

    names = ("target_score", "max_seg", "max_pose", "max_bytes")
    return Limits(*(settings.get(name) for name in names))


def _values(
    clip: Path,
    encoded: "Encoded",
    settings: Mapping[str, object],
    source: "Clip",
    evaluation: "Evaluation | None",
) -> dict[str, Any]:
    values: dict[str, Any] = {
        "clip": clip,
        "file": encoded.path,
        "codec": encoded.codec,
        "settings": dict(settings),
        "bytes": encoded.bytes,
        "source_bytes": source.source_bytes,
        "rate": encoded.bytes / source.source_bytes,
        "encode_s": encoded.seconds,
    }
    if evaluation is not None:
        values |= {
            "seg": evaluation.score.seg,
            "pose": evaluation.score.pose,
            "score": evaluation.score.total,
            "pairs": evaluation.pairs,
            "stack": evaluation.stack,
            "fingerprint": evaluation.fingerprint,
        }
    return values


def _print_text(
    clip: Path, encoded: "Encoded", source: "Clip", evaluation: "Evaluation | None", stack: str
) -> None:
    from seesame.jobs.roundtrip import describe

    figures = {
        "clip": f"{clip}  {describe(source)}",
        "file": f"{encoded.path}  {encoded.bytes:,} bytes, {encoded.codec}, "
        f"encoded in {encoded.seconds:.1f} s",
        "rate": f"{encoded.bytes / source.source_bytes:.8f}",
    }
    if evaluation is not None:
        figures |= {
            "seg": f"{evaluation.score.seg:.8f}",
            "pose": f"{evaluation.score.pose:.8f}",
            "score": f"{evaluation.score.total:.8f}  "
            f"(100*seg + 25*rate + sqrt(10*pose), stack {stack}; lower is better)",
        }
    print_figures(figures)
