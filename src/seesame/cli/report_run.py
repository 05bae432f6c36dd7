"""``seesame report RUN``: the page of a training run, once or for as long as it goes on."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from seesame.cli.output import print_figures, print_json
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.report.run import Run

PAGES = (".html", ".htm")
LOOK_EVERY = 2.0
"""Seconds between two reads of a log that is followed."""


def report_run(place: Path, out: Path | None, *, watch: bool, json: bool, overwrite: bool) -> None:
    """Make the page of a log, or of the one in a work folder.

    Args:
        place: the log, a .jsonl file, or the folder.
        out: of the page; None for one in the current folder.
        watch: write it again whenever the log has grown, until the run has ended.
        json: print the summary as JSON, at every writing.
        overwrite: replace a page that is there.

    Raises:
        UserError: there is no log, or the page cannot be written.
    """
    from seesame.files import reserved
    from seesame.report.run import run_file

    log = run_file(place)
    if log is None:
        raise UserError(f"{place}: holds no run.jsonl; a training encode keeps one while it runs")
    if out is not None and (out.suffix.lower() not in PAGES or out.is_dir()):
        raise UserError(f"{out}: the page of a run is one file; name it {out.stem}.html")
    page = out or _default_page(place, log)
    with reserved(page, overwrite, inputs=[log]):
        if watch:
            _watch(log, page, json)
            return
        with _opened(log) as file:
            _print(_write(page, _read(file, log), log, live=False), page, json)


def _default_page(place: Path, log: Path) -> Path:
    """Return the page's name in the current folder, after that of the encode."""
    from seesame.files import beside
    from seesame.runlog import RUN_FILE

    folder = log.resolve().parent
    inside = place.is_dir() or (log.name == RUN_FILE and folder.suffix == ".work")
    return Path(beside(folder if inside else log, ".run.html").name)


def _opened(log: Path) -> BinaryIO:
    """Open the log for reading. Raises UserError."""
    try:
        return log.open("rb")
    except OSError as error:
        raise UserError(f"{log}: cannot be read ({error.strerror})") from error


def _read(file: BinaryIO, log: Path) -> "Run":
    from seesame.report.run import BOUNDS, parse_run

    file.seek(0)
    return parse_run(file.read(BOUNDS.file_bytes + 1), str(log))


def _watch(log: Path, page: Path, json: bool) -> None:
    """Follow a log to the run's end; the last page written does not load itself again."""
    run: Run | None = None
    told = False
    try:
        for run in _followed(log):
            summary = _write(page, run, log, live=not run.ended)
            if json:
                _print(summary, page, json)
            elif not told:
                print(f"page  {page}", flush=True)
                told = True
    finally:
        if run is not None and not run.ended:
            _write(page, run, log, live=False)
    if run is not None and not json:
        _print(summary, page, json)


def _followed(log: Path) -> Iterator["Run"]:
    """Yield the run of a log, again whenever it has grown, until it has ended.

    The file is kept open: a work folder is removed when its encode is done, and the last lines are
    still to be read. A run that begins anew in its place is followed as well.
    """
    file, size = _opened(log), -1
    try:
        while True:
            status = os.fstat(file.fileno())
            if status.st_size != size:
                size = status.st_size
                run = _read(file, log)
                yield run
                if run.ended:
                    return
            elif status.st_nlink == 0 and not log.exists():
                return
            elif log.exists() and not os.path.samestat(status, log.stat()):
                file.close()
                file, size = _opened(log), -1
                continue
            time.sleep(LOOK_EVERY)
    finally:
        file.close()


def _write(page: Path, run: "Run", log: Path, live: bool) -> dict[str, Any]:
    """Put the page into its place; returns the summary."""
    from seesame.files import replacing
    from seesame.report.run_page import run_values, write_run_page

    # Of several logs that are all called run.jsonl the folder tells more.
    name = f"{log.resolve().parent.name}/{log.name}"
    now = time.time()
    with replacing(page, overwrite=True) as temporary:
        write_run_page(temporary, run, name, now, live)
    return run_values(run, name, now)


def _print(summary: dict[str, Any], page: Path, json: bool) -> None:
    from seesame.report.render import clock

    if json:
        print_json({**summary, "page": page})
        return
    best, left = summary["best"], summary["left_s"]
    state = f"{summary['stage'] or 'starting'}, {clock(summary['elapsed_s'])} so far"
    if summary["ended"]:
        state = f"ended after {clock(summary['elapsed_s'])}: {summary['ended']}"
    elif left is not None:
        state += f", about {clock(left)} left"
    figures = {"run": f"{summary['run']}  {state}"}
    if best is not None:
        figures["best"] = f"score {best['score']:.4f}, {best['bytes']:,} bytes"
    elif summary["estimate"] is not None:
        figures["estimate"] = f"score {summary['estimate']:.4f}; no candidate yet"
    print_figures({**figures, "page": str(page)})
