"""``seesame demo --fleet``: a batch of synthetic drives that is killed, goes on, and has a page."""

import shlex
from pathlib import Path

from seesame.cli.output import print_note
from seesame.cli.progress import stages
from seesame.errors import OutputExistsError, UserError

DRIVES, TARGET = "drives", "small"
"""Folders of the demo: of the clips, and of what the batch makes of them."""
FAILED = 3
"""Exit code of a batch in which clips failed; the demo has a damaged one."""


def demo_fleet(
    out: Path, *, stack: str, device: str, seed: int, json: bool, overwrite: bool, quiet: bool
) -> None:
    """Render a fleet, compress it with a run that is killed and one that goes on, make its page.

    Args:
        out: folder for everything that is made.
        stack: name of the perception networks.
        device: where they run.
        seed: of the scenes.
        json: print the totals as JSON.
        overwrite: begin anew where an earlier demo was.
        quiet: no progress.

    Raises:
        UserError: the folder holds something else, or the batch did not do its work.
    """
    from seesame.cli.report_fleet import FleetPages, report_fleet
    from seesame.fleet.demo import FleetDemoSettings, finish, render_fleet, run_and_kill

    settings, target = FleetDemoSettings(), out / TARGET
    _clear(target, overwrite)
    told = stages(quiet)
    with told("render the drives") as bar:
        render_fleet(out / DRIVES, seed, bar, settings)
    words = [out / DRIVES, "-o", target, *settings.batch, "--stack", stack, "--device", device]
    line = shlex.join(["seesame", "batch", *map(str, words)])
    if not json:
        print(f"$ {line}")
    with told("a run that will be killed") as bar:
        ended = run_and_kill([*words, "--quiet"], target, bar, settings)
    print_note(f"killed the run with signal 9 after {ended} clips; the same command goes on", quiet)
    code = finish([*words, *["--json"] * json, *["--quiet"] * quiet])
    if code != FAILED:
        raise UserError(f"the batch ended with {code}; run it again: {line}")
    pages = FleetPages(3, stack, device, quiet)
    report_fleet(str(target), None, pages, json=json, overwrite=True)


def _clear(target: Path, overwrite: bool) -> None:
    """Remove what an earlier demo made. Raises UserError where something else is there."""
    from seesame.fleet.storage import HIDDEN
    from seesame.temporary import remove

    if not target.exists():
        return
    if not overwrite:
        raise OutputExistsError(f"{target} exists already; name another folder or replace it")
    if any(target.iterdir()) and not (target / HIDDEN).is_dir():
        raise UserError(f"{target}: no batch has written there, so it is not replaced")
    remove(target)
