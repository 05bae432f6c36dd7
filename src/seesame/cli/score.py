"""``seesame score``: the distance of a decoded or compressed file from its source."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    CacheOption,
    Device,
    DeviceOption,
    FpsOption,
    JsonOption,
    OverwriteOption,
    QuietOption,
    SizeOption,
    StackOption,
    StreamOption,
    TransferOption,
    input_files,
    open_alike,
    parse_source,
    resolve_device,
)
from seesame.cli.output import notes, print_json, print_note, print_table
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.jobs.spec import Source
    from seesame.metric.evaluator import Evaluation
    from seesame.perception.stack import Stack
    from seesame.video.clip import Clip


ReferenceArgument = Annotated[Path, typer.Argument(metavar="REFERENCE", help="The source clip.")]
FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="An .ssm file (decoded on the fly), or any clip.")
]
CompressedOption = Annotated[
    Path | None,
    typer.Option(
        "--compressed",
        metavar="FILE.ssm",
        help="The file whose size gives the rate; FILE itself when left out.",
    ),
]
PerPairOption = Annotated[
    bool, typer.Option("--per-pair", help="Also print every pair's seg and pose distortion.")
]
ContestFormOption = Annotated[
    bool,
    typer.Option(
        "--contest-form",
        help="Print the report in the form of the comma.ai video compression challenge.",
    ),
]
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", metavar="OUT.txt", help="Also write the report into this file."),
]


def score(
    reference: ReferenceArgument,
    file: FileArgument,
    compressed: CompressedOption = None,
    per_pair: PerPairOption = False,
    contest_form: ContestFormOption = False,
    report: ReportOption = None,
    transfer: TransferOption = None,
    cache: CacheOption = True,
    max_seg: MaxSegOption = None,
    max_pose: MaxPoseOption = None,
    max_bytes: MaxBytesOption = None,
    challenge_rule: ChallengeRuleOption = False,
    stack: StackOption = "lite",
    device: DeviceOption = Device.auto,
    size: SizeOption = None,
    fps: FpsOption = None,
    stream: StreamOption = None,
    allow_damage: AllowDamageOption = False,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure how much a file changes the outputs of your perception networks, and its size.

    seg is the share of pixels whose class changes, pose the mean squared difference of the pose
    values, rate the file's bytes over the source's. score = 100*seg + 25*rate + sqrt(10*pose);
    lower is better. The score judges the second frame of each pair, limits bind every frame.

    Examples:

    seesame score drive.mp4 drive.ssm

    seesame score drive.mp4 drive.ssm --max-seg 0.01 --max-seg lane=0.05

    seesame score drive.mp4 drive.mkv --compressed drive.ssm

    seesame score drive.mp4 drive.ssm --transfer onnx:my-nets
    """
    from seesame.files import reserved
    from seesame.metric.memory import keep_freed_memory
    from seesame.perception.registry import load_stack

    stacks = (stack, *(transfer or []))
    inputs = input_files(reference, file, compressed, stacks=stacks)
    with reserved(report, overwrite, inputs=inputs):
        bounds = {"max_seg": max_seg, "max_pose": max_pose, "max_bytes": max_bytes}
        limits, _ = parse_limits({**bounds, "challenge_rule": challenge_rule})
        where = resolve_device(device)
        keep_freed_memory()
        origin = parse_source(reference, size, fps, stream, allow_damage)
        source, decoded, nbytes = _opened(origin, file, compressed, where, quiet)
        own, *others = [load_stack(name, where) for name in stacks]
        limits = replace(limits, challenge_rule=challenge_rule or own.challenge_rule)
        limits = limits.resolved(own.classes)
        seen = reference, source, decoded, nbytes
        # The challenge's form has figures of second frames alone.
        every_frame = limits.every_frame or not (contest_form or limits.challenge_rule)
        evaluation = _evaluated(*seen, own, where, cache, quiet, every_frame)
        transfers = [
            _evaluated(*seen, other, where, cache, quiet, every_frame and not other.challenge_rule)
            for other in others
        ]
        held = limits.held(evaluation.figures) if limits.given else []
        text = _text(reference, file, evaluation, transfers, contest_form)
        if report is not None:
            _write(report, text, overwrite)
    if json:
        print_json(_values(evaluation, transfers) | limit_values(limits, held))
    else:
        print(text, end="")
        for line in limit_lines(held, limits.where):
            print(line)
    if per_pair:
        _print_pairs(evaluation, json)
    if not all(one.kept for one in held):
        raise typer.Exit(MISSED)


def _opened(
    origin: "Source",
    file: Path,
    compressed: Path | None,
    device: str,
    quiet: bool,
) -> "tuple[Clip, Clip, int]":
    """Return the source, the clip to judge, and the bytes that make the rate.

    Raises:
        UserError: the two cannot be compared frame by frame.
    """
    from seesame.jobs.roundtrip import decode_file, is_ssm, tell_oddities
    from seesame.metric.evaluator import check_alike

    source = origin.open(device)
    tell_oddities(origin.path, source, notes(quiet))
    decoded: Clip
    if is_ssm(file):
        decoded = decode_file(file, device)
        nbytes = _size(compressed or file)
    else:
        decoded = open_alike(file, source)
        nbytes = _size(compressed) if compressed else decoded.source_bytes
    check_alike(source, decoded, as_read=not is_ssm(file))
    if (source.width, source.height) != (decoded.width, decoded.height):
        print_note(
            f"{file}: is scaled, {decoded.width}x{decoded.height} for {source.width}x"
            f"{source.height}; the networks resize what they read",
            quiet,
        )
    return source, decoded, nbytes


def _text(
    reference: Path,
    file: Path,
    evaluation: "Evaluation",
    transfers: "list[Evaluation]",
    contest_form: bool,
) -> str:
    """Return the report as text."""
    from seesame.metric.report import plain_report, text_report

    if contest_form:
        return text_report(evaluation) + "".join(_transfer_line(other) for other in transfers)
    return plain_report(evaluation, reference.name, file.name, transfers)


def _write(report: Path, text: str, overwrite: bool) -> None:
    from seesame.files import replacing, write_text

    with replacing(report, overwrite) as temporary:
        write_text(temporary, text)


def _size(path: Path) -> int:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; its size makes the rate")
    return path.stat().st_size


def _evaluated(
    reference: Path,
    source: "Clip",
    decoded: "Clip",
    size: int,
    stack: "Stack",
    device: str,
    cache: bool,
    quiet: bool,
    every_frame: bool = False,
) -> "Evaluation":
    """Return what one stack says of the decoded clip, with progress."""
    from seesame.cli.progress import progress, stages
    from seesame.jobs.roundtrip import source_outputs
    from seesame.metric.evaluator import evaluate

    told, note = stages(quiet), notes(quiet)
    known = source_outputs(
        reference,
        source,
        stack,
        device,
        every_frame=every_frame,
        cache=cache,
        stages=told,
        note=note,
    )
    with progress(f"score with {stack.name}", quiet) as bar:
        return evaluate(
            known,
            decoded,
            stack,
            size,
            every_frame=every_frame,
            device=device,
            progress=bar,
            as_read=True,
        )


def _transfer_line(other: "Evaluation") -> str:
    return f"  Transfer to {other.stack}: seg {other.score.seg:.8f}, pose {other.score.pose:.8f}\n"


def _values(evaluation: "Evaluation", transfers: "list[Evaluation]") -> dict[str, Any]:
    """Return the JSON object: all figures but those of the pairs."""
    from seesame.metric.report import report_values

    values = report_values(evaluation)
    del values["pairs"]
    if transfers:
        kept = ("stack", "fingerprint", "seg", "pose", "score")
        all_values = [report_values(other) for other in transfers]
        values["transfer"] = [{key: own[key] for key in kept} for own in all_values]
    return values


def _print_pairs(evaluation: "Evaluation", json: bool) -> None:
    """Print both distortions of every pair, as a table or one JSON object a line."""
    pairs = list(zip(evaluation.seg.tolist(), evaluation.pose.tolist(), strict=True))
    if json:
        for index, (seg, pose) in enumerate(pairs):
            print_json({"pair": index, "seg": seg, "pose": pose})
        return
    rows = [(str(i), f"{seg:.8f}", f"{pose:.8f}") for i, (seg, pose) in enumerate(pairs)]
    print_table(("pair", "seg", "pose"), rows, right=("pair", "seg", "pose"))
