"""``seesame report``: a page that compares a source and files of it, as the stack sees them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    parse_fps,
    parse_size,
    resolve_device,
)
from seesame.cli.output import notes, print_json, print_table
from seesame.cli.progress import stages
from seesame.cli.report_run import PAGES
from seesame.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from seesame.jobs.spec import Stages
    from seesame.metric.evaluator import Evaluation, ReferenceOutputs
    from seesame.perception.stack import Stack
    from seesame.report.page import Shown
    from seesame.report.plan import Plan
    from seesame.report.subject import Subject
    from seesame.report.tracks import Tracks
    from seesame.video.clip import Clip

MOST_FILES = 12
"""Compared on one page."""


ReferenceArgument = Annotated[
    Path,
    typer.Argument(
        metavar="REFERENCE|RUN",
        help="The source clip; or, alone, the log of a training run or its work folder.",
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


def report(
    reference: ReferenceArgument,
    files: FilesArgument = None,
    out: OutOption = None,
    transfer: TransferOption = None,
    store: StoreOption = None,
    watch: WatchOption = False,
    cache: CacheOption = True,
    stack: StackOption = "lite",
    device: DeviceOption = Device.auto,
    size: SizeOption = None,
    fps: FpsOption = None,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a page that shows source and files side by side, the networks' outputs, and differences.

    The page opens from disk in any browser and loads nothing from the network. Its figures are
    those of `seesame score --json`.

    Examples:

    seesame report drive.mp4 drive.ssm

    seesame report drive.mp4 av1.ssm hybrid.ssm hnerv.ssm -o drive.html --transfer onnx:DIR

    seesame report drive.work --watch
    """
    if not files:
        if transfer or store or size or fps:
            raise UserError(f"{reference}: name the files to compare it with")
        _report_run(reference, out, watch, json, overwrite)
        return
    if watch:
        raise UserError("--watch is for a run.jsonl or a work folder, alone")
    from seesame.files import replacing
    from seesame.jobs.roundtrip import open_source, source_outputs
    from seesame.metric.evaluator import check_alike
    from seesame.metric.memory import keep_freed_memory
    from seesame.perception.registry import load_stack
    from seesame.report.page import write_page
    from seesame.report.tracks import Tracks

    one_file, where, told = _one_file(files, out, overwrite), resolve_device(device), stages(quiet)
    keep_freed_memory()
    source = open_source(reference, parse_size(size), parse_fps(fps))
    subjects = [_subject(file, source, where) for file in files]
    for subject in subjects:
        check_alike(source, subject.clip)
    judges = [load_stack(name, where) for name in (stack, *(transfer or []))]
    tried = [] if store is None else _tried(store, reference, source, judges[0], where)
    layout = _layout(source, len(files), judges[0], one_file, out)

    def outputs(judge: "Stack") -> "Clip | ReferenceOutputs":
        note = notes(quiet)
        return source_outputs(reference, source, judge, where, cache=cache, stages=told, note=note)

    place = out or Path(f"{reference.stem}.report{'.html' if layout.one_file else ''}")
    with replacing(place, overwrite) as temporary:
        if not layout.one_file:
            temporary.mkdir()
        tracks = Tracks(None if layout.one_file else temporary)
        shown = _compared(source, subjects, judges, outputs, layout, tracks, where, told)
        write_page(temporary, source, reference.name, judges[0], shown, layout, tracks, tried)
    _print(place, layout, shown, json)


def _one_file(files: list[Path], out: Path | None, overwrite: bool) -> bool | None:
    """Return whether the page is to be one file, None for either; refuse what cannot be written."""
    from seesame.files import check_output
    from seesame.report.tracks import FOLDER

    if len(files) > MOST_FILES:
        raise UserError(f"{len(files)} files; one page compares {MOST_FILES} at most")
    if out is None:
        return None
    one_file = out.suffix.lower() in PAGES
    if out.is_dir() and (one_file or not (out / FOLDER).is_dir()):  # something else may be in it
        raise UserError(f"{out}: is a folder, and not that of a report; name another")
    check_output(out, overwrite)
    return one_file


def _layout(
    source: "Clip", files: int, judge: "Stack", one_file: bool | None, out: Path | None
) -> "Plan":
    """Return the plan of the page. Raises UserError where one file cannot hold it."""
    from seesame.report.plan import plan

    layout = plan(source, files, judge, one_file)
    if layout is None:
        raise UserError(
            f"{out}: {source.num_frames} frames of {files + 1} clips are too "
            f"much for one file; name a folder, as -o {out.with_suffix('') if out else 'DIR'}"
        )
    return layout


def _compared(
    source: "Clip",
    subjects: "list[Subject]",
    judges: "list[Stack]",
    outputs: "Callable[[Stack], Clip | ReferenceOutputs]",
    layout: "Plan",
    tracks: "Tracks",
    device: str,
    told: "Stages",
) -> "list[Shown]":
    """Return what the page shows: the first stack's outputs and the other stacks' figures."""
    from seesame.metric.evaluator import evaluate
    from seesame.report.observe import observe
    from seesame.report.page import Shown

    own, *others = judges
    known, seen = outputs(own), []
    for number, subject in enumerate(subjects, start=1):
        with told(f"report {subject.name}") as bar:
            seen.append(observe(source, known, subject, number, own, layout, tracks, device, bar))
    transfers: list[list[Evaluation]] = [[] for _ in subjects]
    for other in others:
        known = outputs(other)
        for subject, found in zip(subjects, transfers, strict=True):
            clip, size = subject.clip, subject.bytes
            with told(f"{other.name} {subject.name}") as bar:
                found.append(evaluate(known, clip, other, size, device=device, progress=bar))
    return [Shown(one, tuple(two)) for one, two in zip(seen, transfers, strict=True)]


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


def _subject(file: Path, source: "Clip", device: str) -> "Subject":
    """Open a file. Raises UserError or DamagedError, with its name."""
    from seesame.bitstream.container import Container
    from seesame.codecs.registry import codec_by_id
    from seesame.jobs.roundtrip import decode_file, is_ssm, named, open_source
    from seesame.report.subject import of_container, of_video

    if not is_ssm(file):
        return of_video(file.name, open_source(file, (source.width, source.height), source.fps))
    clip = decode_file(file, device)
    container = Container.read(file)
    with named(file):
        return of_container(file.name, container, codec_by_id(container.codec_id), clip)


def _tried(
    store: Path, reference: Path, source: "Clip", stack: "Stack", device: str
) -> list[tuple[float, float]]:
    """Return bytes and distortion of the trials on a clip. Raises UserError when there are none."""
    from seesame.jobs.spec import Source
    from seesame.jobs.store import Store
    from seesame.jobs.trial import Subject

    if not store.is_file():
        raise UserError(f"{store}: there is no such store of trials")
    subject = Subject.of(Source(reference), source, stack, device)
    trials = Store(store).of(subject)
    if not trials:
        raise UserError(f"{store}: holds no trial of {reference.name} with stack {stack.name}")
    return [(trial.bytes, trial.distortion) for trial in trials]


def _print(place: Path, layout: "Plan", shown: "list[Shown]", json: bool) -> None:
    from seesame.report.page import INDEX, file_values

    page = place if layout.one_file else place / INDEX
    rows = [file_values(one) for one in shown]
    if json:
        for row in rows:
            print_json({**row, "page": page})
        return
    print_table(
        ("file", "codec", "bytes", "seg", "pose", "rate", "score", "PSNR", "MS-SSIM"),
        [
            (
                row["file"],
                row["codec"],
                f"{row['compressed_bytes']:,}",
                f"{row['seg']:.5f}",
                f"{row['pose']:.5f}",
                f"{row['rate']:.5f}",
                f"{row['score']:.4f}",
                "equal" if row["psnr"] is None else f"{row['psnr']:.2f}",
                "" if row["ms_ssim"] is None else f"{row['ms_ssim']:.4f}",
            )
            for row in rows
        ],
        right=("bytes", "seg", "pose", "rate", "score", "PSNR", "MS-SSIM"),
    )
    files = [place] if layout.one_file else [p for p in place.rglob("*") if p.is_file()]
    print(f"page  {page}  {sum(p.stat().st_size for p in files) / 1e6:.1f} MB")
