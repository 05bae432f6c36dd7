"""Results on stdout: tables for people, one JSON object per line for programs."""

import codecs
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from seesame.inputs import visible

PIPE_WIDTH = 160
"""Width of a table where stdout is no terminal: wide enough to cut nothing."""


def accept_any_text() -> None:
    """Let stdout and stderr take every text, whatever the locale and the names of files are.

    A byte of a file name that is no text in the locale is printed as it is (PEP 383); a character
    that the locale does not have is printed as ``\\uNNNN``.
    """
    codecs.register_error("seesame", _encoded)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # tests and notebooks put others there
            stream.reconfigure(errors="seesame")


def _encoded(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what stands for text that an encoding lacks, for :func:`codecs.register_error`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        one = UnicodeEncodeError(
            error.encoding, error.object, error.start, error.start + 1, error.reason
        )
        return codecs.backslashreplace_errors(one)


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object on one line; values that JSON lacks (paths, fractions) as text."""
    print(json.dumps(values, allow_nan=False, default=str))


def notes(quiet: bool) -> Callable[[str], None]:
    """Return what the library calls with a line that the user should know."""
    return partial(print_note, quiet=quiet)


def print_note(line: str, quiet: bool) -> None:
    """Print a line on stderr that a user should know but need not act on."""
    if not quiet:
        print(f"seesame: note: {visible(line)}", file=sys.stderr)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str | None = None,
    right: Iterable[str] = (),
    footer: Sequence[str] | None = None,
) -> None:
    """Print a table; ``right`` names the columns that align right, ``footer`` is a sum row."""
    from rich import box
    from rich.console import Console as RichConsole
    from rich.table import Table
    from rich.text import Text

    class Console(RichConsole):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # main() knows what to do; rich would exit by itself

    console = Console(
        file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH
    )
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.show_footer = footer is not None
    right = set(right)
    for index, column in enumerate(columns):
        table.add_column(
            column,
            justify="right" if column in right else "left",
            footer=footer[index] if footer else "",
            overflow="fold",
        )
    for row in rows:
        # Text, not markup: names come from files.
        table.add_row(*(Text(visible(cell)) for cell in row))
    console.print(table)


def print_figures(figures: Mapping[str, str]) -> None:
    """Print names and values in two columns."""
    width = max(len(name) for name in figures)
    for name, value in figures.items():
        print(f"{name:<{width}}  {visible(value)}")
