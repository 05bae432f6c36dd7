"""The page of a fleet: its totals, where it did badly, why clips failed, and a table of all."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from seesame.fleet.driver import span
from seesame.fleet.page.worst import Pictures, distortion, is_below
from seesame.fleet.storage import is_remote, joined
from seesame.fleet.target.catalogue import reason, totals
from seesame.fleet.target.history import Throughput
from seesame.fleet.target.state import FAILED, State
from seesame.report.render import rendered

COLUMNS = (
    *("out", "uri", "status", "before", "after", "share", "seg", "pose", "score", "seconds"),
    *("attempts", "codec", "group", "why", "reason"),
)
"""The columns of the page's table, as the script reads them."""
MOST_NAMES = 4
"""Values of a fact that are named; more are counted."""
WORDS = {"done": "done", "missed": "miss a limit", "failed": "failed", "working": "not ended"}


@dataclass(frozen=True)
class Worst:
    """One of the worst clips on the page.

    Args:
        state: of the clip.
        pictures: of its worst moment; None where there are none.
        excuse: why there are none.
        page: the clip's own page; None where there is none.
        command: that makes one; empty where the clip is in an object store.
    """

    state: State
    pictures: Pictures | None
    excuse: str
    page: Path | None
    command: str


def page_data(
    target: str, states: Sequence[State], work: Throughput | None, place: Path
) -> dict[str, Any]:
    """Return everything that the page's script reads, as plain JSON values.

    Args:
        target: the folder or URI of the outputs.
        states: of all its clips.
        work: how much was done over time; None where nothing was.
        place: of the page.
    """
    reasons = list(totals(states).failures)
    return {
        "target": target,
        "columns": list(COLUMNS),
        "rows": [_row(state, reasons) for state in states],
        "reasons": reasons,
        "throughput": None if work is None else asdict(work),
        "base": None if is_remote(target) else _link(Path(target), place, folder=True),
    }


def write_fleet_page(
    file: Path,
    place: Path,
    target: str,
    states: Sequence[State],
    work: Throughput | None,
    worst: Sequence[Worst],
) -> None:
    """Write the page of a fleet into a file.

    Args:
        file: that is written.
        place: of the page in the end, to which its links are relative.
        target: the folder or URI of the outputs.
        states: of all its clips.
        work: how much was done over time; None where nothing was.
        worst: the worst clips, worst first.
    """
    found = totals(states)
    text = rendered(
        "fleet.html",
        page_data(target, states, work, place),
        found=found,
        counts=[(found.clips[name], word) for name, word in WORDS.items() if found.clips[name]],
        facts=_facts(states),
        failures=_failures(states),
        worst=[_card(one, target, place) for one in worst],
        groups=sorted({state.group for state in states if state.group}),
        statuses=[name for name in WORDS if found.clips[name]],
        span=span,
        size=size,
    )
    file.write_text(text, encoding="utf-8", errors="replace")


def size(count: float) -> str:
    """Return bytes in words: ``812 B``, ``3.1 MB``, ``41 GB``."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 999.5 or unit == "TB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" or abs(count) >= 99.5 else f"{count:.3g} {unit}"


def _row(state: State, reasons: Sequence[str]) -> list[Any]:
    """Return a clip's row, in the order of ``COLUMNS``."""
    ended = state.finished
    share = state.bytes / state.source_bytes if ended and state.source_bytes else None
    values = {
        "before": state.source_bytes or None,
        "after": state.bytes if ended else None,
        "share": share,
        "seconds": state.seconds or None,
        "why": state.error or state.missed,
        "reason": reasons.index(reason(state)) if state.status == FAILED else None,
    }
    plain = {name: getattr(state, name, None) for name in COLUMNS} | values
    return [plain[name] for name in COLUMNS]


def _failures(states: Sequence[State]) -> list[dict[str, Any]]:
    """Return each reason with how many clips have it and the first of them, most clips first."""
    grouped: dict[str, list[State]] = {}
    for state in states:
        if state.status == FAILED:
            grouped.setdefault(reason(state), []).append(state)
    order = {text: number for number, text in enumerate(totals(states).failures)}
    return [
        {"number": order[text], "reason": text, "clips": len(some), "first": some[0]}
        for text, some in sorted(grouped.items(), key=lambda one: order[one[0]])
    ]


def _card(worst: Worst, target: str, place: Path) -> dict[str, Any]:
    """Return what the page shows of one of the worst clips."""
    state = worst.state
    output = None if is_remote(target) else Path(joined(target, state.out))
    return {
        "state": state,
        "distortion": distortion(state),
        "second": (2 * (state.worst_pair or 0) + 1) / state.fps if state.fps else None,
        "share": state.bytes / state.source_bytes if state.source_bytes else None,
        "pictures": worst.pictures,
        "excuse": worst.excuse,
        "output": output and is_below(state.out) and _link(output, place),
        "page": worst.page and _link(worst.page, place),
        "command": worst.command,
    }


def _facts(states: Sequence[State]) -> list[str]:
    """Return what the clips have in common, in short pieces."""
    finished = [state for state in states if state.finished]
    video = sum(state.seconds_of_video for state in finished)
    work = sum(state.seconds for state in states)
    facts = [f"{span(video)} of video", f"{span(work)} of work"] if video else []
    if video:
        facts.append(f"{span(3600 * work / video)} of work an hour of video")
    for values, one, several in (
        ((s.codec for s in finished), "codec {}", "codecs"),
        ((s.stack for s in finished), "stack {}", "stacks"),
        ((s.machine for s in finished), "on {}", "machines"),
    ):
        names = [name for name, _ in Counter(filter(None, values)).most_common()]
        if len(names) > MOST_NAMES:
            facts.append(f"{len(names)} {several}")
        elif names:
            facts.append(one.format(", ".join(names)))
    return facts


def _link(path: Path, place: Path, folder: bool = False) -> str:
    """Return a link from the page to a file, as a relative URL."""
    below = quote(os.fsencode(os.path.relpath(path, place.parent)))
    return "./" if below == "." else f"./{below}" + "/" * folder
