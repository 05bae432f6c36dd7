"""The leaderboard: submissions measured on the same bench, ranked, as data and as an HTML page."""

import tomllib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from math import inf

from seesame import __version__
from seesame.contest.entries import DECIMALS, Entry, printable


@dataclass(frozen=True)
class Row:
    """An entry and its rank on its board; None when it was not scored."""

    rank: int | None
    entry: Entry


@dataclass(frozen=True)
class Board:
    """The entries measured on one bench, best first, the ones without a score last."""

    bench: str
    rows: tuple[Row, ...]

    @property
    def first(self) -> Entry:
        """The best entry: it tells of the bench."""
        return self.rows[0].entry

    @cached_property
    def decimals(self) -> int:
        """Decimals, 6..17, with which different scores are printed differently."""
        scores = {row.entry.figures.score for row in self.rows if row.entry.figures}
        for decimals in range(DECIMALS, 17):
            if len({f"{score:.{decimals}f}" for score in scores}) == len(scores):
                return decimals
        return 17


@dataclass(frozen=True)
class PublishedRow:
    """A score as its author published it; it was not measured here."""

    name: str
    entry: int | None
    """Its number in the challenge, where known."""
    score: float
    axis: str
    """``"cpu"`` or ``"cuda"``: where the challenge scored it."""
    note: str


def boards(entries: Sequence[Entry]) -> list[Board]:
    """Rank the entries of each bench by their score in full precision.

    Equal scores share a rank, and the next one is left out (1, 2, 2, 4). Entries without a score
    come last, by name. The board with the most scored entries comes first.
    """
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.bench, []).append(entry)
    ranked = [_board(bench, group) for bench, group in groups.items()]
    return sorted(ranked, key=lambda b: (-sum(r.rank is not None for r in b.rows), b.bench))


def published() -> list[PublishedRow]:
    """Return the scores of the challenge as published, best first on each axis."""
    text = files("seesame.contest").joinpath("published.toml").read_text(encoding="utf-8")
    return [
        PublishedRow(row["name"], row.get("entry"), row["score"], row["axis"], row.get("note", ""))
        for row in tomllib.loads(text)["row"]
    ]


def render_page(
    boards: Sequence[Board], published: Sequence[PublishedRow] | None, title: str
) -> str:
    """Return the leaderboard as one HTML page that needs no other file and no network.

    Args:
        boards: from :func:`boards`.
        published: the rows of the table "As published"; None leaves it out.
        title: the page's heading.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("seesame.contest"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    page = environment.get_template("leaderboard.html")
    return page.render(boards=boards, published=published, title=title, version=__version__)


def _board(bench: str, entries: list[Entry]) -> Board:
    def order(entry: Entry) -> tuple[float, str, str]:
        score = entry.figures.score if entry.figures else inf
        return score, entry.name, str(entry.folder)

    def rank(entry: Entry) -> int | None:
        return bisect_left(scores, entry.figures.score) + 1 if entry.figures else None

    scores = sorted(entry.figures.score for entry in entries if entry.figures)
    return Board(bench, tuple(Row(rank(entry), entry) for entry in sorted(entries, key=order)))
