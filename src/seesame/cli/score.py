"""``seesame score``: the distance of a decoded or compressed file from its source."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seesame.cli.options import (
    CacheOption,
    Device,
    DeviceOption,
    FpsOption,
    JsonOption,
    OverwriteOption,
    QuietOption,
    SizeOption,
    StackOption,
    TransferOption,
    input_files,
    open_alike,
    parse_source,
    resolve_device,
)
from seesame.cli.output import notes, print_json, print_table
from seesame.errors import UserError

if TYPE_CHECKING:
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
    stack: StackOption = "lite",
    device: DeviceOption = Device.auto,
    size: SizeOption = None,
    fps: FpsOption = None,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure how much a file changes the outputs of your perception networks, and its size.

    seg is the share of pixels whose class changes, pose the mean squared difference of the pose
    values, rate the file's bytes over the source's. score = 100*seg + 25*rate + sqrt(10*pose);
    lower is better.

    Examples:

    seesame score drive.mp4 drive.ssm

    seesame score drive.mp4 drive.mkv --compressed drive.ssm

    seesame score drive.mp4 drive.ssm --transfer onnx:my-nets
    """
    from seesame.files import reserved
    from seesame.metric.memory import keep_freed_memory
    from seesame.perception.registry import load_stack

    stacks = (stack, *(transfer or []))
    inputs = input_files(reference, file, compressed, stacks=stacks)
    with reserved(report, overwrite, inputs=inputs):
        where = resolve_device(device)
        keep_freed_memory()
        source, decoded, nbytes = _opened(reference, file, compressed, (size, fps), where)
        judges = [load_stack(name, where) for name in stacks]
        evaluation, *transfers = (
            _evaluated(reference, source, decoded, nbytes, judge, where, cache, quiet)
            for judge in judges
        )
        text = _text(reference, file, evaluation, transfers, contest_form)
        if report is not None:
            _write(report, text, overwrite)
    if json:
        print_json(_values(evaluation, transfers))
    else:
        print(text, end="")
    if per_pair:
        _print_pairs(evaluation, json)


def _opened(
    reference: Path,
    file: Path,
    compressed: Path | None,
    shape: tuple[str | None, str | None],
    device: str,
) -> "tuple[Clip, Clip, int]":
    """Return the source, the clip to judge, and the bytes that make the rate.

    Raises:
        UserError: the two cannot be compared frame by frame.
    """
    from seesame.jobs.roundtrip import decode_file, is_ssm
    from seesame.metric.evaluator import check_alike

    source = parse_source(reference, *shape).open()
    if is_ssm(file):
        decoded = decode_file(file, device)
        nbytes = _size(compressed or file)
    else:
        decoded = open_alike(file, source)
        nbytes = _size(compressed) if compressed else decoded.source_bytes
    check_alike(source, decoded)
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
) -> "Evaluation":
    """Return what one stack says of the decoded clip, with progress."""
    from seesame.cli.progress import progress, stages
    from seesame.jobs.roundtrip import source_outputs
    from seesame.metric.evaluator import evaluate

    told, note = stages(quiet), notes(quiet)
    known = source_outputs(reference, source, stack, device, cache=cache, stages=told, note=note)
    with progress(f"score with {stack.name}", quiet) as bar:
        return evaluate(known, decoded, stack, size, device=device, progress=bar)


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
