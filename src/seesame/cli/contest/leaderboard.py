"""``seesame contest leaderboard``: evaluated submissions, ranked."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seesame.cli.options import JsonOption, OverwriteOption
from seesame.cli.output import print_json, print_table
from seesame.inputs import visible

if TYPE_CHECKING:
    from seesame.contest.entries import Entry
    from seesame.contest.leaderboard import Board, PublishedRow, Row

COLUMNS = ("rank", "name", "score", "seg", "pose", "rate", "bytes", "uncounted", "samples", "note")
NUMBERS = ("rank", "score", "seg", "pose", "rate", "bytes", "uncounted", "samples")
TITLE = "Leaderboard"


def leaderboard(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...",
            help="Folder of a submission that `contest evaluate` has judged, or a folder that "
            "holds several of them.",
        ),
    ],
    published: Annotated[
        bool,
        typer.Option(
            "--published/--no-published",
            help="Also show the challenge's published scores, in a table of their own.",
        ),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="OUT.html", help="Also write the leaderboard as a web page."
        ),
    ] = None,
    json: JsonOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Rank evaluated submissions; lower is better.

    Only entries with the same networks, videos, decoder and axis are ranked together. The score in
    full precision decides; equal scores share a rank.

    Examples:

    seesame contest leaderboard submissions/ --published

    seesame contest leaderboard mine/ theirs/ --html board.html
    """
    from seesame.contest import leaderboard as contest
    from seesame.contest.entries import read_entries
    from seesame.contest.submission import REPORT_JSON
    from seesame.files import check_output, replacing, write_text

    if html is not None:
        pattern = (REPORT_JSON, f"*/{REPORT_JSON}")
        inputs = [file for folder in folders for one in pattern for file in folder.glob(one)]
        check_output(html, overwrite, inputs=inputs)
    boards = contest.boards(read_entries(folders))
    rows = contest.published() if published else None
    if html is not None:
        page = contest.render_page(boards, rows, TITLE)
        with replacing(html, overwrite) as temporary:
            write_text(temporary, page)
    if json:
        _print_json(boards, rows or [])
        return
    for board in boards:
        _print_board(board)
    if rows:
        _print_published(rows)
    if html is not None:
        print(f"page {visible(str(html))}")


def _print_board(board: "Board") -> None:
    first = board.first
    what = [f"{first.stack} stack", f"{first.axis} axis"] if first.stack else ["not scored"]
    if first.figures:
        what += [
            f"{len(first.videos)} video{'s' * (len(first.videos) != 1)}",
            f"{first.figures.samples:,} samples",
        ]
    rows = [_cells(row, board.decimals) for row in board.rows]
    print(", ".join(what))
    print_table(COLUMNS, rows, right=NUMBERS)


def _cells(row: "Row", decimals: int) -> tuple[str, ...]:
    entry, figures = row.entry, row.entry.figures
    uncounted = f"{entry.uncounted_bytes:,} !" if entry.uncounted_bytes else "0"
    if figures is None:
        return ("-", entry.name, *[""] * 7, entry.verdict)
    return (
        str(row.rank),
        entry.name,
        f"{figures.score:.{decimals}f}",
        f"{figures.seg:.8f}",
        f"{figures.pose:.8f}",
        f"{figures.rate:.8f}",
        f"{entry.compressed_bytes:,}",
        uncounted,
        f"{figures.samples:,}",
        "; ".join(entry.warnings),
    )


def _print_published(rows: "Sequence[PublishedRow]") -> None:
    cells = [(row.name, str(row.score), row.axis, row.note) for row in rows]
    print("As published, not measured here: comma.ai video compression challenge")
    print_table(("name", "score", "axis", "note"), cells, right=("score",))


def _print_json(boards: "Sequence[Board]", published: "Sequence[PublishedRow]") -> None:
    for board in boards:
        scored = sum(row.rank is not None for row in board.rows)
        head = {key: getattr(board.first, key) for key in ("stack", "fingerprint", "axis")}
        sizes = {"entries": len(board.rows), "scored": scored}
        print_json({"kind": "board", "bench": board.bench, **head, **sizes})
        for row in board.rows:
            print_json({"kind": "entry", "rank": row.rank, **_entry_values(row.entry)})
    for line in published:
        print_json({"kind": "published", **asdict(line)})


def _entry_values(entry: "Entry") -> dict[str, object]:
    """Return the entry as JSON values, in the form of report.json."""
    values = asdict(entry)
    figures = values.pop("figures") or dict.fromkeys(("score", "seg", "pose", "rate", "samples"))
    videos = [{"name": name, **asdict(one)} for name, one in entry.videos]
    return {**values, **figures, "videos": videos, "warnings": entry.warnings}
