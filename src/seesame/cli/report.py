"""``seesame report``: a page that compares a source and files of it, as the stack sees them."""

from contextlib import AbstractContextManager
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
    open_alike,
    parse_source,
    resolve_device,
)
from seesame.cli.output import notes, print_json, print_table
from seesame.errors import UserError

if TYPE_CHECKING:
    import re

    from seesame.jobs.spec import Source
    from seesame.metric.evaluator import ReferenceOutputs
    from seesame.perception.stack import Stack
    from seesame.report.page import Shown
    from seesame.report.plan import Plan
    from seesame.report.subject import Subject
    from seesame.video.clip import Clip

PAGES = (".html", ".htm")
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
    stream: StreamOption = None,
    allow_damage: AllowDamageOption = False,
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
        if transfer or store or size or fps or stream is not None or allow_damage:
            raise UserError(f"{reference}: name the files to compare it with")
        _report_run(reference, out, watch, json, overwrite)
        return
    if watch:
        raise UserError("--watch is for a run.jsonl or a work folder, alone")
    if len(files) > MOST_FILES:
        raise UserError(f"{len(files)} files; one page compares {MOST_FILES} at most")
    stacks = [stack, *(transfer or [])]
    inputs = input_files(reference, *files, store, stacks=stacks)
    with _reserved(out, overwrite, inputs):
        origin = parse_source(reference, size, fps, stream, allow_damage)
        page = _Page(origin, files, resolve_device(device), stacks, cache, quiet)
        layout = page.planned(out)
        place = out or _default(reference, layout)
        with _reserved(place, overwrite, inputs):
            shown = page.write(place, layout, store, overwrite)
    _print(place, layout, shown, json)


def _names(out: Path) -> "re.Pattern[str] | None":
    """Return the names of the files in a page that is a folder; None for a page that is a file."""
    from seesame.files import REPORT_FOLDER

    return None if out.suffix.lower() in PAGES else REPORT_FOLDER


def _reserved(
    out: Path | None, overwrite: bool, inputs: list[Path]
) -> AbstractContextManager[None]:
    """Keep the page from other runs; refuse one that could not be written in the end."""
    from seesame.files import reserved

    names = None if out is None else _names(out)
    return reserved(out, overwrite, inputs=inputs, holds=names)


class _Page:
    """A page's clips and stacks, opened and compared."""

    def __init__(
        self,
        origin: "Source",
        files: list[Path],
        device: str,
        stacks: list[str],
        cache: bool,
        quiet: bool,
    ) -> None:
        from seesame.jobs.roundtrip import tell_oddities
        from seesame.metric.evaluator import check_alike
        from seesame.metric.memory import keep_freed_memory
        from seesame.perception.registry import load_stack

        keep_freed_memory()
        self.origin, self.reference, self.device = origin, origin.path, device
        self.source = origin.open(device)
        tell_oddities(origin.path, self.source, notes(quiet))
        self.subjects = [_subject(file, self.source, device) for file in files]
        for subject in self.subjects:
            check_alike(self.source, subject.clip)
        self.judges = [load_stack(name, device) for name in stacks]
        self.observer = _Observer(origin.path, self.source, device, cache, quiet)

    def planned(self, out: Path | None) -> "Plan":
        """Return the page's plan. Raises UserError where one file is named and it takes more."""
        from seesame.report.plan import plan

        one_file = None if out is None else _names(out) is None
        layout = plan(self.source, len(self.subjects), self.judges[0], one_file)
        if layout is None:
            raise UserError(
                f"{out}: {self.source.num_frames} frames of {len(self.subjects) + 1} clips are too "
                f"much for one file; name a folder, as -o {out.with_suffix('') if out else 'DIR'}"
            )
        return layout

    def write(
        self, place: Path, layout: "Plan", store: Path | None, overwrite: bool
    ) -> "list[Shown]":
        """Judge all files and write the page; return what it shows."""
        from seesame.files import replacing
        from seesame.report.page import write_page
        from seesame.report.tracks import Tracks

        source, judge = self.source, self.judges[0]
        tried = [] if store is None else _tried(store, self.origin, source, judge, self.device)
        with replacing(place, overwrite, holds=_names(place)) as temporary:
            if not layout.one_file:
                temporary.mkdir()
            tracks = Tracks(None if layout.one_file else temporary)
            shown = self.observer.observe(self.subjects, self.judges, layout, tracks)
            name = self.reference.name
            write_page(temporary, source, name, judge, shown, layout, tracks, tried)
        return shown


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


def _default(reference: Path, layout: "Plan") -> Path:
    """Return the page's name in the current folder, when none is given."""
    from seesame.files import beside

    return Path(beside(reference, ".report.html" if layout.one_file else ".report").name)


def _subject(file: Path, source: "Clip", device: str) -> "Subject":
    """Open a file. Raises UserError or DamagedError, with its name."""
    from seesame.bitstream.container import Container
    from seesame.codecs.registry import codec_by_id
    from seesame.jobs.roundtrip import decode_file, is_ssm, named
    from seesame.report.subject import of_container, of_video

    if not is_ssm(file):
        return of_video(file.name, open_alike(file, source))
    clip = decode_file(file, device)
    container = Container.read(file)
    with named(file):
        return of_container(file.name, container, codec_by_id(container.codec_id), clip)


def _tried(
    store: Path, origin: "Source", source: "Clip", stack: "Stack", device: str
) -> list[tuple[float, float]]:
    """Return bytes and distortion of the trials on a clip. Raises UserError when there are none."""
    from seesame.jobs.store import Store
    from seesame.jobs.trial import Subject

    if not store.is_file():
        raise UserError(f"{store}: there is no such store of trials")
    subject = Subject.of(origin, source, stack, device)
    trials = Store(store).of(subject)
    if not trials:
        raise UserError(f"{store}: holds no trial of {origin.path.name} with stack {stack.name}")
    return [(trial.bytes, trial.distortion) for trial in trials]


class _Observer:
    """The run of every stack over every file, with progress."""

    def __init__(
        self, reference: Path, source: "Clip", device: str, cache: bool, quiet: bool
    ) -> None:
        self.reference, self.source, self.device = reference, source, device
        self.cache, self.quiet = cache, quiet

    def observe(
        self, subjects: "list[Subject]", stacks: "list[Stack]", layout: "Plan", tracks: Any
    ) -> "list[Shown]":
        """Return what the page shows: the first stack's outputs and the other stacks' figures."""
        from seesame.cli.progress import progress
        from seesame.metric.evaluator import evaluate
        from seesame.report.observe import observe
        from seesame.report.page import Shown

        own, *others = stacks
        known = self._known(own, every_frame=not own.challenge_rule)
        seen = []
        for number, subject in enumerate(subjects, start=1):
            with progress(f"report {subject.name}", self.quiet) as bar:
                seen.append(
                    observe(
                        self.source,
                        known,
                        subject,
                        number,
                        own,
                        layout,
                        tracks,
                        every_frame=not own.challenge_rule,
                        device=self.device,
                        progress=bar,
                    )
                )
        transfers: list[list[Any]] = [[] for _ in subjects]
        for other in others:
            every_frame = not other.challenge_rule
            known = self._known(other, every_frame)
            for subject, found in zip(subjects, transfers, strict=True):
                with progress(f"{other.name} {subject.name}", self.quiet) as bar:
                    found.append(
                        evaluate(
                            known,
                            subject.clip,
                            other,
                            subject.bytes,
                            every_frame=every_frame,
                            device=self.device,
                            progress=bar,
                        )
                    )
        return [Shown(one, tuple(two)) for one, two in zip(seen, transfers, strict=True)]

    def _known(self, stack: "Stack", every_frame: bool = False) -> "Clip | ReferenceOutputs":
        """Return a stack's outputs for the source."""
        from seesame.cli.progress import stages
        from seesame.jobs.roundtrip import source_outputs

        told, note = stages(self.quiet), notes(self.quiet)
        return source_outputs(
            self.reference,
            self.source,
            stack,
            self.device,
            every_frame=every_frame,
            cache=self.cache,
            stages=told,
            note=note,
        )


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
