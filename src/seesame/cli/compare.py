"""``seesame compare``: many files of one source, as points and as rate-accuracy curves."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seesame.cli.judging import Judging, Opened
from seesame.cli.options import (
    AllowDamageOption,
    CacheOption,
    Device,
    DeviceOption,
    FpsOption,
    JsonOption,
    QuietOption,
    SizeOption,
    StackOption,
    StreamOption,
    TransferOption,
    parse_source,
    resolve_device,
)
from seesame.cli.output import print_json, print_table

if TYPE_CHECKING:
    from seesame.metric.rates.curves import Compared, CurvePoint
    from seesame.perception.judge import Judge
    from seesame.perception.stack import Stack

ReferenceArgument = Annotated[Path, typer.Argument(metavar="REFERENCE", help="The source clip.")]
FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="Files made from it: .ssm files, or any clips. A number at the end of a name is a "
        "setting; files that are alike without it make a curve.",
    ),
]
RatesOption = Annotated[
    bool,
    typer.Option(
        "--rates",
        help="Also print BD-rates: how many bytes a curve needs beside the anchor at equal "
        "quality.",
    ),
]
AnchorOption = Annotated[
    str | None,
    typer.Option(
        "--anchor",
        metavar="CURVE",
        help="The curve that others are compared with; that of the first file when left out.",
    ),
]


def compare(
    reference: ReferenceArgument,
    files: FilesArgument,
    rates: RatesOption = False,
    anchor: AnchorOption = None,
    transfer: TransferOption = None,
    cache: CacheOption = True,
    stack: StackOption = "lite",
    device: DeviceOption = Device.auto,
    size: SizeOption = None,
    fps: FpsOption = None,
    stream: StreamOption = None,
    allow_damage: AllowDamageOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare files of one source: size, mean IoU, pose distortion, and BD-rates between curves.

    Mean IoU and pose distortion are against what the stack sees in the source. A BD-rate of -30 %
    means 30 % fewer bytes than the anchor at equal quality, on average over the qualities that both
    curves reach. Points that another one of the same curve beats are left out first.

    Examples:

    seesame compare drive.mp4 av1-*.mp4 hybrid-*.ssm

    seesame compare drive.mp4 av1-*.mp4 x264-*.mp4 --rates --anchor av1 --transfer flow
    """
    from seesame.errors import UserError
    from seesame.metric.rates.curves import checked_anchor, compared, curve_names
    from seesame.perception.registry import load_judge, load_stack

    if anchor is not None and not rates:
        raise UserError("--anchor is for --rates")
    names = curve_names(files)
    if rates:  # before the files are looked at, which takes a while
        anchor = checked_anchor(names, anchor)
    where = resolve_device(device)
    origin = parse_source(reference, size, fps, stream, allow_damage)
    judging = Judging(origin, where, cache, quiet)
    opened = [judging.opened(file) for file in files]
    own = load_stack(stack, where)
    others = [load_judge(name, where) for name in transfer or []]
    _check_names(others)
    points = [_point(judging, own, others, *one) for one in zip(opened, names, strict=True)]
    found = compared(points, anchor) if rates else []
    if json:
        for point in points:
            print_json({"file": point.file, "curve": point.curve, **point.values})
        for row in found:
            print_json(_row_values(row))
        return
    _print_points(points)
    if found:
        _print_rates(found)


def _point(
    judging: Judging, own: "Stack", others: "list[Stack | Judge]", opened: Opened, curve: str
) -> "CurvePoint":
    """Return a file as a point. Raises UserError where it cannot be compared."""
    from seesame.metric.rates.curves import CurvePoint
    from seesame.perception.stack import Stack

    _, figures, qualities = _by_stack(judging, own, opened)
    values = {"bytes": opened.bytes, "rate": opened.bytes / judging.source.source_bytes, **figures}
    for judge in others:
        if isinstance(judge, Stack):
            fingerprint, figures, reached = _by_stack(judging, judge, opened)
            told = {"stack": judge.name, "fingerprint": fingerprint, **figures}
        else:
            found = judging.judged(judge, opened)
            told, reached = found.values(), {found.name: found.quality}
        values.setdefault("transfer", []).append(told)
        qualities |= {f"{judge.name} {name}": value for name, value in reached.items()}
    return CurvePoint(str(opened.file), curve, opened.bytes, values, qualities)


def _check_names(judges: "list[Stack | Judge]") -> None:
    """Raise UserError where two judges have one name, by which their figures are told apart."""
    from seesame.errors import UserError

    for name, count in Counter(judge.name for judge in judges).items():
        if count > 1:
            raise UserError(f"{count} of --transfer are called {name}; give each another name")


def _by_stack(
    judging: Judging, stack: "Stack", opened: Opened
) -> tuple[str, dict[str, Any], dict[str, float | None]]:
    """Return a stack's fingerprint, its figures, and the qualities among them."""
    from seesame.metric.classes import ClassCounts
    from seesame.metric.rates.curves import pose_quality

    counts = ClassCounts(stack.classes)
    seen = judging.evaluated(stack, opened, not stack.challenge_rule, counts.watch)
    figures = {
        "seg": seen.figures.seg,
        "mean_iou": counts.mean_iou,
        "mean_boundary_iou": counts.mean_boundary_iou,
        "pose": seen.score.pose,
        "score": seen.score.total,
    }
    qualities: dict[str, float | None] = {"mean IoU": 100 * counts.mean_iou}
    if stack.has_pose:
        qualities["pose"] = pose_quality(seen.score.pose)
    return seen.fingerprint, figures, qualities


def _row_values(row: "Compared") -> dict[str, Any]:
    values = {"curve": row.curve, "anchor": row.anchor, "quality": row.quality}
    if row.found is None:
        return values | {"bd_rate": None, "refused": row.refused}
    found = asdict(row.found)
    return values | {"bd_rate": found.pop("percent"), **found}


def _print_points(points: "list[CurvePoint]") -> None:
    judged = list(points[0].qualities)
    columns = ("curve", "file", "bytes", "rate", "seg", "mean IoU", "boundary IoU", "pose")
    others = [name for name in judged if name not in ("mean IoU", "pose")]
    rows = [
        (
            point.curve,
            Path(point.file).name,
            f"{point.bytes:,}",
            f"{point.values['rate']:.5f}",
            f"{point.values['seg']:.5f}",
            f"{point.values['mean_iou']:.5f}",
            f"{point.values['mean_boundary_iou']:.5f}",
            f"{point.values['pose']:.5f}",
            *(_quality(point.qualities[name]) for name in others),
        )
        for point in points
    ]
    print_table((*columns, *others), rows, right=(*columns[2:], *others))


def _quality(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _print_rates(rows: "list[Compared]") -> None:
    columns = ("at equal", "curve", "anchor", "BD-rate", "from", "to", "of the anchor's range")
    cells = []
    for row in rows:
        found, head = row.found, (row.quality, row.curve, row.anchor)
        if found is None:
            cells.append((*head, f"none: {row.refused}", "", "", ""))
            continue
        ends = f"{found.low:.4g}", f"{found.high:.4g}", f"{found.share:.0%}"
        left = sum(found.dropped)
        rate = f"{found.percent:+.1f} %" + (f" ({left} points left out)" if left else "")
        cells.append((*head, rate, *ends))
    title = "BD-rate: bytes beside the anchor's at equal quality (PCHIP); pose in dB"
    print_table(columns, cells, title=title, right=columns[4:])
