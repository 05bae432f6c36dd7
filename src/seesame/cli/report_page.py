"""The page of one clip: its files are opened, judged by the stacks, and written side by side."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from seesame.cli.judging import Judging, Opened
from seesame.cli.options import open_alike
from seesame.errors import UserError

if TYPE_CHECKING:
    import re

    from seesame.jobs.spec import Source
    from seesame.perception.stack import Stack
    from seesame.report.page import Shown
    from seesame.report.plan import Plan
    from seesame.report.subject import Subject
    from seesame.report.tracks import Tracks
    from seesame.video.clip import Clip

PAGES = (".html", ".htm")


def page_names(out: Path) -> "re.Pattern[str] | None":
    """Return the names of the files in a page that is a folder; None for a page that is a file."""
    from seesame.files import REPORT_FOLDER

    return None if out.suffix.lower() in PAGES else REPORT_FOLDER


def reserved_page(
    out: Path | None, overwrite: bool, inputs: list[Path]
) -> AbstractContextManager[None]:
    """Keep the page from other runs; refuse one that could not be written in the end."""
    from seesame.files import reserved

    names = None if out is None else page_names(out)
    return reserved(out, overwrite, inputs=inputs, holds=names)


class ClipPage:
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
        from seesame.jobs.roundtrip import is_ssm, named
        from seesame.metric.evaluator import check_alike
        from seesame.perception.registry import load_judge, load_stack

        self.origin, self.judging = origin, Judging(origin, device, cache, quiet)
        self.source = self.judging.source
        self.files = files
        self.subjects = [_subject(file, self.source, device) for file in files]
        for file, subject in zip(files, self.subjects, strict=True):
            with named(file):
                check_alike(self.source, subject.clip, as_read=not is_ssm(file))
        self.stack = load_stack(stacks[0], device)
        self.others = [load_judge(name, device) for name in stacks[1:]]

    def planned(self, out: Path | None) -> "Plan":
        """Return the page's plan. Raises UserError where one file is named and it takes more."""
        from seesame.report.plan import plan

        one_file = None if out is None else page_names(out) is None
        layout = plan(self.source, len(self.subjects), self.stack, one_file)
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

        source, judge = self.source, self.stack
        device = self.judging.device
        tried = [] if store is None else _tried(store, self.origin, source, judge, device)
        with replacing(place, overwrite, holds=page_names(place)) as temporary:
            if not layout.one_file:
                temporary.mkdir()
            tracks = Tracks(None if layout.one_file else temporary)
            shown = self._observed(layout, tracks)
            name = self.origin.path.name
            write_page(temporary, source, name, judge, shown, layout, tracks, tried)
        return shown

    def _observed(self, layout: "Plan", tracks: "Tracks") -> "list[Shown]":
        """Return what the page shows: the stack's outputs and the other judges' figures."""
        from seesame.cli.progress import progress
        from seesame.jobs.roundtrip import named
        from seesame.report.observe import observe
        from seesame.report.page import Shown

        judging, own = self.judging, self.stack
        every_frame = not own.challenge_rule
        known, seen = judging.outputs(own, every_frame), []
        pairs = list(zip(self.files, self.subjects, strict=True))
        opened = [Opened(file, subject.clip, subject.bytes) for file, subject in pairs]
        for number, (file, subject) in enumerate(pairs, start=1):
            with named(file), progress(f"report {subject.name}", judging.quiet) as bar:
                seen.append(
                    observe(
                        self.source,
                        known,
                        subject,
                        number,
                        own,
                        layout,
                        tracks,
                        every_frame=every_frame,
                        device=judging.device,
                        progress=bar,
                    )
                )
        return [
            Shown(one, tuple(judging.transfer(judge, clip) for judge in self.others))
            for one, clip in zip(seen, opened, strict=True)
        ]


def _subject(file: Path, source: "Clip", device: str) -> "Subject":
    """Open a file. Raises UserError or DamagedError, with its name."""
    from seesame.bitstream.container import Container
    from seesame.codecs.registry import codec_by_id
    from seesame.jobs.roundtrip import decode_file, is_ssm, named
    from seesame.report.subject import of_container, of_video

    if not is_ssm(file):
        return of_video(file.name, open_alike(file, source), (source.width, source.height))
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
