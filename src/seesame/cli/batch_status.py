"""``seesame batch-status``: what became of the clips of a batch."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seesame.cli.options import JsonOption
from seesame.cli.output import print_figures, print_json, print_table
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.fleet.target.catalogue import Totals
    from seesame.fleet.target.state import State

REASONS = 10
"""Reasons of failures that are shown at most."""

TargetArgument = Annotated[
    str, typer.Argument(metavar="TARGET", help="The folder or URI that `batch` writes into.")
]
ClipsOption = Annotated[
    bool, typer.Option("--clips", help="Print a line for each clip, not only the totals.")
]
WatchOption = Annotated[
    float | None,
    typer.Option(
        "--watch", min=0.2, metavar="SECONDS", help="Print it again every so many seconds."
    ),
]


def batch_status(
    target: TargetArgument,
    clips: ClipsOption = False,
    watch: WatchOption = None,
    json: JsonOption = False,
) -> None:
    """Print how a batch stands: clips by status, bytes before and after, and why clips failed.

    It reads the state that `batch` keeps in TARGET, while that runs as well. With --json it prints
    the totals, or with --clips the rows of the catalogue.
    """
    from seesame.fleet.target.state import StateFolder

    target = target.rstrip("/") or "/"
    while True:
        states = sorted(StateFolder(target).all(), key=lambda state: state.out)
        if not states:
            raise UserError(f"{target}: holds no clips of a batch")
        _print(target, states, clips, json)
        if watch is None:
            return
        time.sleep(watch)


def _print(target: str, states: "Sequence[State]", clips: bool, json: bool) -> None:
    from seesame.fleet.target.catalogue import row, totals

    if json:
        for values in [row(s) for s in states] if clips else [total_values(totals(states))]:
            print_json(values)
        return
    if clips:
        _print_clips(states)
    print_totals(target, totals(states))


def total_values(found: "Totals") -> dict[str, Any]:
    """Return the totals of clips for ``--json``."""
    return {
        "clips": found.clips,
        "source_bytes": found.source_bytes,
        "bytes": found.bytes,
        "rate": found.rate,
        "seg": found.seg,
        "pose": found.pose,
        "kept_source": found.kept_source,
        "seconds_of_video": found.video_s,
        "work_s": found.work_s,
        "failures": found.failures,
    }


def print_totals(target: str, found: "Totals") -> None:
    """Print the totals of clips for people."""
    from seesame.files import readable
    from seesame.fleet.driver import span
    from seesame.fleet.storage import joined
    from seesame.fleet.target.catalogue import CSV_NAME

    words = {"done": "done", "missed": "miss a limit", "failed": "failed", "working": "not ended"}
    counts = [f"{found.clips[name]:,} {word}" for name, word in words.items() if found.clips[name]]
    kept = f", of which {found.kept_source:,} are the source itself" if found.kept_source else ""
    figures = {"clips": f"{sum(found.clips.values()):,}: {', '.join(counts)}{kept}"}
    if found.rate is not None:
        figures["bytes"] = f"{found.source_bytes:,} before, {found.bytes:,} after"
        figures["bytes"] += f": {found.rate:.2%} of the sources"
    if found.seg is not None and found.pose is not None:
        figures["seg"] = f"{found.seg:.6f}  mean over all frames"
        figures["pose"] = f"{found.pose:.6f}"
    if found.video_s:
        figures["time"] = f"{span(found.work_s)} of work for {span(found.video_s)} of video"
    figures["table"] = joined(target, CSV_NAME)
    print_figures(figures)
    if found.failures:
        rows = [(readable(text), f"{n:,}") for text, n in list(found.failures.items())[:REASONS]]
        print_table(("why clips failed", "clips"), rows, right=("clips",))


def _print_clips(states: "Sequence[State]") -> None:
    from seesame.files import readable

    print_table(
        ("output", "status", "before", "after", "seg", "pose", "score", "why"),
        [
            (
                readable(state.out),
                state.status,
                f"{state.source_bytes:,}",
                f"{state.bytes:,}" if state.finished else "",
                "" if state.seg is None else f"{state.seg:.5f}",
                "" if state.pose is None else f"{state.pose:.5f}",
                "" if state.score is None else f"{state.score:.3f}",
                readable(state.error or state.missed),
            )
            for state in states
        ],
        right=("before", "after", "seg", "pose", "score"),
    )
