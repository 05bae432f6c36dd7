"""``seesame score``: the distance of a decoded or compressed file from its source."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seesame.cli.judging import Judging
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
    parse_source,
    resolve_device,
)
from seesame.cli.output import print_json, print_table

if TYPE_CHECKING:
    from seesame.metric.classes import ClassCounts
    from seesame.metric.evaluator import Evaluation
    from seesame.metric.judges import Judgement


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
PerClassOption = Annotated[
    bool,
    typer.Option(
        "--per-class",
        help="Also print each class's IoU and boundary IoU, and their means.",
    ),
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
    per_class: PerClassOption = False,
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

    seesame score drive.mp4 drive.ssm --transfer onnx:my-nets --transfer flow

    seesame score drive.mp4 drive.ssm --per-class
    """
    from seesame.files import reserved
    from seesame.metric.classes import ClassCounts, class_values
    from seesame.perception.registry import load_judge, load_stack

    stacks = (stack, *(transfer or []))
    inputs = input_files(reference, file, compressed, stacks=stacks)
    with reserved(report, overwrite, inputs=inputs):
        bounds = {"max_seg": max_seg, "max_pose": max_pose, "max_bytes": max_bytes}
        limits, _ = parse_limits(bounds | {"challenge_rule": challenge_rule})
        where = resolve_device(device)
        origin = parse_source(reference, size, fps, stream, allow_damage)
        judging = Judging(origin, where, cache, quiet)
        opened = judging.opened(file, compressed)
        own = load_stack(stack, where)
        others = [load_judge(name, where) for name in transfer or []]
        limits = replace(limits, challenge_rule=challenge_rule or own.challenge_rule)
        limits = limits.resolved(own.classes)
        # The challenge's form has figures of second frames alone.
        every_frame = limits.every_frame or not (contest_form or limits.challenge_rule)
        counts = ClassCounts(own.classes) if per_class else None
        watch = None if counts is None else counts.watch
        evaluation = judging.evaluated(own, opened, every_frame, watch)
        transfers = [judging.transfer(other, opened, every_frame) for other in others]
        held = limits.held(evaluation.figures) if limits.given else []
        text = _text(reference, file, evaluation, transfers, contest_form)
        if report is not None:
            _write(report, text, overwrite)
    if json:
        more = {} if counts is None else class_values(counts)
        print_json(_values(evaluation, transfers) | limit_values(limits, held) | more)
    else:
        print(text + "".join(f"{line}\n" for line in limit_lines(held, limits.where)), end="")
        if counts is not None:
            _print_classes(counts)
    if per_pair:
        _print_pairs(evaluation, json)
    if not all(one.kept for one in held):
        raise typer.Exit(MISSED)


def _text(
    reference: Path,
    file: Path,
    evaluation: "Evaluation",
    transfers: "list[Evaluation | Judgement]",
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


def _transfer_line(other: "Evaluation | Judgement") -> str:
    from seesame.metric.judges import Judgement

    if isinstance(other, Judgement):
        return f"  Transfer to {other.judge}: {other.text}\n"
    return f"  Transfer to {other.stack}: seg {other.score.seg:.8f}, pose {other.score.pose:.8f}\n"


def _values(evaluation: "Evaluation", transfers: "list[Evaluation | Judgement]") -> dict[str, Any]:
    """Return the JSON object: all figures but those of the pairs."""
    from seesame.metric.judges import Judgement
    from seesame.metric.report import report_values

    values = report_values(evaluation)
    del values["pairs"]
    if transfers:
        kept = ("stack", "fingerprint", "seg", "pose", "score")
        values["transfer"] = [
            other.values()
            if isinstance(other, Judgement)
            else {key: value for key, value in report_values(other).items() if key in kept}
            for other in transfers
        ]
    return values


def _print_classes(counts: "ClassCounts") -> None:
    """Print each class's agreement with the source as a table, and the means below it."""
    rows = [
        (
            one.name if one.present else f"{one.name} (too few pixels for the means)",
            f"{one.share:.4%}",
            _figure(one.lost),
            _figure(one.gained),
            _figure(one.iou),
            _figure(one.boundary_iou),
        )
        for one in counts.figures
    ]
    columns = ("class", "of the source", "lost", "gained", "IoU", "boundary IoU")
    means = ("mean", "", "", "", _figure(counts.mean_iou), _figure(counts.mean_boundary_iou))
    print_table(columns, rows, right=columns[1:], footer=means)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"


def _print_pairs(evaluation: "Evaluation", json: bool) -> None:
    """Print both distortions of every pair, as a table or one JSON object a line."""
    pairs = list(zip(evaluation.seg.tolist(), evaluation.pose.tolist(), strict=True))
    if json:
        for index, (seg, pose) in enumerate(pairs):
            print_json({"pair": index, "seg": seg, "pose": pose})
        return
    rows = [(str(i), f"{seg:.8f}", f"{pose:.8f}") for i, (seg, pose) in enumerate(pairs)]
    print_table(("pair", "seg", "pose"), rows, right=("pair", "seg", "pose"))
