"""``seesame score``: how far a decoded or compressed file is from its source."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seesame.cli.options import (
    CacheOption,
    Device,
    DeviceOption,
    ExactOption,
    FpsOption,
    JsonOption,
    OverwriteOption,
    QuietOption,
    SizeOption,
    StackOption,
    TransferOption,
    parse_fps,
    parse_size,
    resolve_device,
)
from seesame.cli.output import notes, print_json, print_note, print_table
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.metric.evaluator import Evaluation


def score(
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="The source clip.")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="An .ssm file (decoded on the fly), or any clip.")
    ],
    compressed: Annotated[
        Path | None,
        typer.Option(
            "--compressed",
            metavar="FILE.ssm",
            help="The file whose size makes the rate; FILE itself when left out.",
        ),
    ] = None,
    per_pair: Annotated[
        bool, typer.Option("--per-pair", help="Also print every pair's seg and pose distortion.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="OUT.txt", help="Write the report into this file too."),
    ] = None,
    transfer: TransferOption = None,
    exact: ExactOption = True,
    cache: CacheOption = True,
    stack: StackOption = "lite",
    device: DeviceOption = Device.auto,
    size: SizeOption = None,
    fps: FpsOption = None,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score a compressed or decoded file against its source, in the challenge's own form.

    score = 100*seg + 25*rate + sqrt(10*pose); lower is better.

    Examples:

    seesame score drive.mp4 drive.ssm

    seesame score drive.mp4 drive.mkv --compressed drive.ssm

    seesame score drive.mp4 drive.ssm --transfer onnx:my-nets
    """
    frame_size, frame_rate = parse_size(size), parse_fps(fps)

    from seesame.cli.progress import progress, stages
    from seesame.files import check_output
    from seesame.jobs.roundtrip import decode_file, is_ssm, open_source, source_outputs
    from seesame.metric.evaluator import check_alike, evaluate
    from seesame.metric.memory import keep_freed_memory
    from seesame.perception.registry import load_stack

    if report is not None:
        check_output(report, overwrite)
    where = resolve_device(device)
    keep_freed_memory()
    source = open_source(reference, frame_size, frame_rate)
    if is_ssm(file):
        decoded = decode_file(file, where)
        size_on_disk = _size(compressed or file)
    else:
        decoded = open_source(file, (source.width, source.height), source.fps)
        size_on_disk = _size(compressed) if compressed else decoded.source_bytes
    check_alike(source, decoded)
    eyes = load_stack(stack, where, exact=exact)
    others = [load_stack(name, where, exact=exact) for name in transfer or []]
    if why := getattr(eyes, "why_exact", ""):
        print_note(f"scoring with the plain nets: {why}", quiet)
    told, note = stages(quiet), notes(quiet)
    known = source_outputs(reference, source, eyes, where, cache=cache, stages=told, note=note)
    with progress("score", quiet) as bar:
        evaluation = evaluate(known, decoded, eyes, size_on_disk, device=where, progress=bar)
    beside = []
    for other in others:
        known = source_outputs(reference, source, other, where, cache=cache, stages=told, note=note)
        with progress(f"score {other.name}", quiet) as bar:
            found = evaluate(known, decoded, other, size_on_disk, device=where, progress=bar)
        beside.append(found)
    if report is not None:
        _write_report(report, evaluation, overwrite)
    _print(evaluation, beside, json, per_pair)


def _size(path: Path) -> int:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; its size makes the rate")
    return path.stat().st_size


def _write_report(path: Path, evaluation: "Evaluation", overwrite: bool) -> None:
    from seesame.files import replacing
    from seesame.metric.report import text_report

    with replacing(path, overwrite) as temporary:
        temporary.write_text(text_report(evaluation), encoding="utf-8")


def _print(
    evaluation: "Evaluation", beside: "list[Evaluation]", json: bool, per_pair: bool
) -> None:
    from seesame.metric.report import report_values, text_report

    pairs = list(zip(evaluation.seg.tolist(), evaluation.pose.tolist(), strict=True))
    if json:
        values = report_values(evaluation)
        del values["pairs"]
        if beside:
            kept = ("stack", "fingerprint", "seg", "pose", "score")
            all_values = [report_values(other) for other in beside]
            values["transfer"] = [{key: own[key] for key in kept} for own in all_values]
        print_json(values)
        if per_pair:
            for index, (seg, pose) in enumerate(pairs):
                print_json({"pair": index, "seg": seg, "pose": pose})
        return
    print(text_report(evaluation), end="")
    for other in beside:
        score = other.score
        print(f"  Transfer to {other.stack}: seg {score.seg:.8f}, pose {score.pose:.8f}")
    if per_pair:
        rows = [(str(i), f"{seg:.8f}", f"{pose:.8f}") for i, (seg, pose) in enumerate(pairs)]
        print_table(("pair", "seg", "pose"), rows, right=("pair", "seg", "pose"))
