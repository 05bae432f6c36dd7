"""``seesame report TARGET``: the page of a fleet, and pages of its worst clips."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from seesame.cli.batch_status import total_values
from seesame.cli.output import print_figures, print_json, print_note
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.fleet.page.build import Worst
    from seesame.fleet.target.state import State

PAGES = (".html", ".htm")
WORST_PAGES = 4
"""Pages of worst clips that are made when no number is given."""


@dataclass(frozen=True)
class FleetPages:
    """The pages of single clips that are made beside that of the fleet.

    Args:
        count: of the worst clips that get one.
        stack: name of the networks that look at the worst clips again.
        device: where they run.
        quiet: no progress and no notes.
    """

    count: int
    stack: str
    device: str
    quiet: bool


def report_fleet(
    target: str,
    out: Path | None,
    pages: FleetPages,
    *,
    json: bool,
    overwrite: bool,
) -> None:
    """Make the page of a fleet.

    Args:
        target: the folder or URI that ``batch`` wrote into.
        out: of the page; None for ``report.html`` in the target, or in the current folder where the
            target is a URI.
        pages: of the worst clips.
        json: print the totals as JSON.
        overwrite: replace a page that is there.

    Raises:
        UserError: the target has no clips, or the page cannot be written.
    """
    from seesame.files import replacing, reserved
    from seesame.fleet.page.build import write_fleet_page
    from seesame.fleet.target.catalogue import totals
    from seesame.fleet.target.history import read_events, throughput
    from seesame.fleet.target.state import StateFolder

    target = target.rstrip("/") or "/"
    place = _place(target, out)
    states = sorted(StateFolder(target).all(), key=lambda state: state.out)
    if not states:
        raise UserError(f"{target}: holds no clips of a batch")
    with reserved(place, overwrite):
        worst = _worst(target, states, place, pages)
        work = throughput(read_events(target), states)
        with replacing(place, overwrite) as temporary:
            write_fleet_page(temporary, place, target, states, work, worst)
    if json:
        print_json({"target": target, **total_values(totals(states)), "page": place})
    else:
        made = sum(one.page is not None for one in worst)
        size = f"{place.stat().st_size / 1e6:.1f} MB"
        print_figures({"clips": f"{len(states):,}", "page": f"{place}  {size}, {made} clips' own"})


def _place(target: str, out: Path | None) -> Path:
    """Return where the page goes. Raises UserError where it would be no file."""
    from seesame.fleet.storage import is_remote

    if out is None:
        return Path("fleet.report.html") if is_remote(target) else Path(target, "report.html")
    if out.suffix.lower() not in PAGES or out.is_dir():
        raise UserError(f"{out}: the page of a fleet is one file; name it {out.stem}.html")
    return out


def _worst(target: str, states: "Sequence[State]", place: Path, pages: FleetPages) -> "list[Worst]":
    """Return the worst clips with their pictures and pages."""
    from seesame.cli.progress import progress
    from seesame.fleet.page.build import Worst
    from seesame.fleet.page.worst import pictures, worst_states
    from seesame.perception.registry import load_stack
    from seesame.temporary import TemporaryFolder

    chosen = worst_states(states)
    if not chosen:
        return []
    stack, scratch = load_stack(pages.stack, pages.device), TemporaryFolder()
    found = []
    with progress("pictures", pages.quiet) as bar:
        for number, state in enumerate(chosen):
            bar(number / len(chosen), state.out)
            try:
                seen = pictures(state, target, scratch.path, stack, pages.device)
                found.append(Worst(state, seen, "", None, ""))
            except UserError as error:
                found.append(Worst(state, None, str(error), None, ""))
    own = place.with_suffix("")
    return [
        _with_page(one, target, own, pages, number < pages.count, stack.fingerprint)
        for number, one in enumerate(found)
    ]


def _with_page(
    worst: "Worst",
    target: str,
    folder: Path,
    pages: FleetPages,
    wanted: bool,
    fingerprint: str,
) -> "Worst":
    """Return a clip with its page, which is made where it is wanted and not there or older."""
    from seesame.fleet.storage import is_remote, joined

    state = worst.state
    output, page = joined(target, state.out), folder / f"{state.out}.html"
    line = ["seesame", "report", state.uri, output, "--stack", state.stack, "-o", str(page)]
    if is_remote(state.uri) or is_remote(target):
        return worst
    worst = replace(worst, command=shlex.join(line))
    files = Path(state.uri), Path(output)
    there = all(path.is_file() for path in files)
    if page.is_file() and there and page.stat().st_mtime >= files[1].stat().st_mtime:
        return replace(worst, page=page)
    if not (wanted and there):
        return worst
    try:
        if state.fingerprint != fingerprint:
            raise UserError(f"the stack {state.stack} has judged it, not {pages.stack}")
        page.parent.mkdir(parents=True, exist_ok=True)
        _make_page(*files, page, pages)
    except UserError as error:
        print_note(f"{state.out}: has no page of its own: {error}", pages.quiet)
        return worst
    return replace(worst, page=page)


def _make_page(source: Path, file: Path, page: Path, pages: FleetPages) -> None:
    """Write the page of one clip. Raises UserError where it is too long for one file."""
    from seesame.cli.report_page import ClipPage, reserved_page
    from seesame.jobs.spec import Source

    with reserved_page(page, True, [source, file]):
        made = ClipPage(Source(source), [file], pages.device, [pages.stack], True, pages.quiet)
        made.write(page, made.planned(page), None, overwrite=True)
