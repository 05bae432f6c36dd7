"""``seesame report``: a page that compares a source and files of it, as the stack sees them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
from seesame.cli.report_page import ClipPage, reserved_page
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.report.page import Shown
    from seesame.report.plan import Plan

MOST_FILES = 12
"""Compared on one page."""


ReferenceArgument = Annotated[
    str,
    typer.Argument(
        metavar="REFERENCE|RUN|TARGET",
        help="The source clip; or, alone, the log of a training run, its work folder, or the "
        "folder or URI that `batch` wrote into.",
    ),
]
FilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE]...", help=".ssm files, or decoded clips of any kind."),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="PAGE.html|FOLDER",
        help="One file that holds everything, or a folder with index.html for long clips. "
        "When left out: REFERENCE.report.html, or a folder where one file would be too large.",
    ),
]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="FILE",
        help="Also plot the trials of this clip that `seesame search` kept.",
    ),
]
WatchOption = Annotated[
    bool,
    typer.Option(
        "--watch",
        help="For a RUN: write the page again every few seconds until the run has ended.",
    ),
]
PagesOption = Annotated[
    int | None,
    typer.Option(
        "--pages",
        min=0,
        max=100,
        metavar="N",
        help="For a TARGET: make a page of its own for each of the N worst clips; 4 when left out.",
    ),
]


def report(
    reference: ReferenceArgument,
    files: FilesArgument = None,
    out: OutOption = None,
    transfer: TransferOption = None,
    store: StoreOption = None,
    watch: WatchOption = False,
    pages: PagesOption = None,
    cache: CacheOption = True,
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
    """Make a page that shows source and files side by side, the networks' outputs, and differences.

    The page opens from disk in any browser and loads nothing from the network. Its figures are
    those of `seesame score --json`. Of a folder that `batch` wrote into it shows all clips: totals,
    the worst, and why clips failed.

    Examples:

    seesame report drive.mp4 drive.ssm

    seesame report drive.mp4 av1.ssm hybrid.ssm hnerv.ssm -o drive.html --transfer onnx:DIR

    seesame report drive.work --watch

    seesame report small
    """
    path = Path(reference)
    if not files:
        if transfer or store or size or fps or stream is not None or allow_damage:
            raise UserError(f"{reference}: name the files to compare it with")
        if _is_target(reference):
            _report_fleet(reference, out, pages, watch, stack, device, json, overwrite, quiet)
        elif pages is not None:
            raise UserError("--pages is for a folder that `batch` wrote into")
        else:
            _report_run(path, out, watch, json, overwrite)
        return
    if watch:
        raise UserError("--watch is for a run.jsonl or a work folder, alone")
    if pages is not None:
        raise UserError("--pages is for a folder that `batch` wrote into, alone")
    if len(files) > MOST_FILES:
        raise UserError(f"{len(files)} files; one page compares {MOST_FILES} at most")
    stacks = [stack, *(transfer or [])]
    inputs = input_files(path, *files, store, stacks=stacks)
    with reserved_page(out, overwrite, inputs):
        origin = parse_source(path, size, fps, stream, allow_damage)
        page = ClipPage(origin, files, resolve_device(device), stacks, cache, quiet)
        layout = page.planned(out)
        place = out or _default(path, layout)
        with reserved_page(place, overwrite, inputs):
            shown = page.write(place, layout, store, overwrite)
    _print(place, layout, shown, json)


def _report_run(place: Path, out: Path | None, watch: bool, json: bool, overwrite: bool) -> None:
    """Write the page of a training run, which stands alone where a clip comes with files."""
    from seesame.cli.report_run import report_run
    from seesame.report.run import run_file

    if not place.exists():
        raise UserError(f"{place}: there is no such file or folder")
    if run_file(place) is None and place.suffix != ".work":
        raise UserError(
            f"{place}: is no run.jsonl and no work folder; to report on a clip, name the files to "
            "compare it with"
        )
    report_run(place, out, watch=watch, json=json, overwrite=overwrite)


def _is_target(reference: str) -> bool:
    """Return whether ``batch`` wrote there."""
    from seesame.fleet.storage import is_remote
    from seesame.fleet.target.state import StateFolder

    return is_remote(reference) or Path(StateFolder(reference).folder).is_dir()


def _report_fleet(
    target: str,
    out: Path | None,
    pages: int | None,
    watch: bool,
    stack: str,
    device: Device,
    json: bool,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Write the page of all clips of a batch."""
    from seesame.cli.report_fleet import WORST_PAGES, FleetPages, report_fleet

    if watch:
        raise UserError("--watch is for a run.jsonl or a work folder")
    wanted = WORST_PAGES if pages is None else pages
    own = FleetPages(wanted, stack, resolve_device(device), quiet)
    report_fleet(target, out, own, json=json, overwrite=overwrite)


def _default(reference: Path, layout: "Plan") -> Path:
    """Return the page's name in the current folder, when none is given."""
    from seesame.files import beside

    return Path(beside(reference, ".report.html" if layout.one_file else ".report").name)


def _print(place: Path, layout: "Plan", shown: "list[Shown]", json: bool) -> None:
    from seesame.report.page import INDEX, file_values

    page = place if layout.one_file else place / INDEX
    rows = [file_values(one) for one in shown]
    if json:
        for row in rows:
            print_json({**row, "page": page})
        return
    print_table(
        (
            *("file", "codec", "bytes", "seg", "frames", "worst class", "pose", "rate", "score"),
            *("PSNR", "MS-SSIM"),
        ),
        [
            (
                row["file"],
                row["codec"],
                f"{row['compressed_bytes']:,}",
                f"{row['seg']:.5f}",
                f"{row['frames']['seg']:.5f}",
                _class(row["frames"]["worst_class"]),
                f"{row['pose']:.5f}",
                f"{row['rate']:.5f}",
                f"{row['score']:.4f}",
                "equal" if row["psnr"] is None else f"{row['psnr']:.2f}",
                "" if row["ms_ssim"] is None else f"{row['ms_ssim']:.4f}",
            )
            for row in rows
        ],
        title=f"frames: seg by the limits' rule, {rows[0]['frames']['rule']}",
        right=("bytes", "seg", "frames", "pose", "rate", "score", "PSNR", "MS-SSIM"),
    )
    files = [place] if layout.one_file else [p for p in place.rglob("*") if p.is_file()]
    print(f"page  {page}  {sum(p.stat().st_size for p in files) / 1e6:.1f} MB")


def _class(worst: dict[str, Any] | None) -> str:
    """The class that loses most of its pixels, and their share."""
    return "" if worst is None else f"{worst['name']} {worst['lost']:.1%}"
