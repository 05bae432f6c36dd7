"""The ``seesame`` command: its subcommands, and every error as one line."""

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Annotated, Any

import typer

from seesame import __version__
from seesame.cli.batch import batch
from seesame.cli.batch_status import batch_status
from seesame.cli.codecs import codecs
from seesame.cli.compare import compare
from seesame.cli.compress import compress
from seesame.cli.contest.evaluate import evaluate
from seesame.cli.contest.leaderboard import leaderboard
from seesame.cli.contest.pack import pack
from seesame.cli.decompress import decompress
from seesame.cli.demo import demo
from seesame.cli.fetch import fetch
from seesame.cli.hints import with_hint
from seesame.cli.info import info
from seesame.cli.labels import labels
from seesame.cli.output import accept_any_text
from seesame.cli.renderer import info as renderer_info
from seesame.cli.renderer import install as renderer_install
from seesame.cli.renderer import list_ as renderer_list
from seesame.cli.renderer import train as renderer_train
from seesame.cli.report import report
from seesame.cli.score import score
from seesame.cli.search import search
from seesame.cli.stacks import stacks
from seesame.errors import UserError
from seesame.inputs import visible
from seesame.processes import ending_as_ctrl_c
from seesame.temporary import remove_dead_folders

USAGE = 2
"""Exit code for a mistake of the user or a bad input."""
BUG = 1
INTERRUPTED = 130
BROKEN_PIPE = 141

# Typer carries its own copy of click or uses the real one, depending on its version.
_UsageError: type[Exception] = next(c for c in typer.BadParameter.__mro__ if "UsageErr" in str(c))

app = typer.Typer(
    name="seesame",
    help="Make driving video as small as possible while your perception networks keep giving the "
    "same outputs.",
    epilog="Begin with `seesame demo`, or `seesame compress CLIP -o OUT.ssm --codec hybrid`.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


class _Passed(Exception):
    """Carries an error past typer, which would handle Ctrl-C and broken pipes in its own way."""


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    @wraps(command)
    def run(*values: Any, **named: Any) -> None:
        try:
            command(*values, **named)
        except (OSError, KeyboardInterrupt) as error:
            raise _Passed from error

    return run


_COMMANDS = (
    *(compress, decompress, score, compare, report, search, batch, batch_status),
    *(info, labels, demo, fetch, stacks, codecs),
)
for _command in _COMMANDS:
    app.command()(_guarded(_command))

_contest = typer.Typer(
    help="For the comma.ai challenge: evaluate, pack and rank submissions.", no_args_is_help=True
)
for _subcommand in (evaluate, pack, leaderboard):
    _contest.command()(_guarded(_subcommand))
app.add_typer(_contest, name="contest")

_renderer = typer.Typer(
    help="What draws a stack's masks, for codec semantic: train, install and list renderers.",
    no_args_is_help=True,
)
for _name, _command_of_renderers in (
    ("train", renderer_train),
    ("install", renderer_install),
    ("list", renderer_list),
    ("info", renderer_info),
):
    _renderer.command(_name)(_guarded(_command_of_renderers))
app.add_typer(_renderer, name="renderer")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"seesame {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    show_traceback: Annotated[
        bool,
        typer.Option(
            "--traceback",
            help="Show where an error arose, for a bug report; "
            "works after any command, as does SEESAME_TRACEBACK=1.",
        ),
    ] = False,
) -> None:
    """Make driving video small while your perception networks keep giving the same outputs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the words after ``seesame``; those of the process when None.

    Returns:
        Exit code: 0; 1 for a bug or too little memory; 2 for a user's mistake or a bad input;
        3 where clips of a batch failed (``seesame.cli.batch``);
        4 where a file misses a limit (``seesame.cli.limits``); 130 after Ctrl-C or SIGTERM; 141
        when the reader of our output went away.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    show_traceback = "--traceback" in words or os.environ.get("SEESAME_TRACEBACK", "0") != "0"
    words = [word for word in words if word != "--traceback"] or ["--help"]
    accept_any_text()
    try:
        with ending_as_ctrl_c(), warnings.catch_warnings():
            remove_dead_folders()
            if not show_traceback:
                warnings.simplefilter("ignore")
            code = app(args=words, prog_name="seesame", standalone_mode=False)
        sys.stdout.flush()
    except BaseException as raised:
        error = raised.__cause__ if isinstance(raised, _Passed) and raised.__cause__ else raised
        if show_traceback:
            traceback.print_exc()
        return _report(error)
    return code if isinstance(code, int) else 0


def _report(error: BaseException) -> int:
    """Say in one line on stderr what went wrong; returns the exit code."""
    if _is_interrupt(error):
        # Ctrl-C inside a call of exec, as a dataclass makes it, is noted by Python for good: the
        # process would end by SIGINT in the end. The next call forgets it.
        exec("")
        return _say("interrupted", INTERRUPTED)
    match error:
        case BrokenPipeError():
            _silence_stdout()
            return BROKEN_PIPE
        case UserError():
            return _say(with_hint(error), USAGE)
        case _UsageError():
            return _say(_usage(error), USAGE)
        case SystemExit():
            return error.code if isinstance(error.code, int) else BUG
        case OSError() if error.errno is not None:
            if error.errno in (errno.ENOSPC, errno.EIO):
                _silence_stdout()
            return _say(_os_error(error), USAGE)
    if _out_of_memory(error):
        return _say("out of memory; try a smaller clip or close other programs", BUG)
    what = f"{type(error).__name__}: {error}"
    return _say(f"{what} (a bug in seesame; --traceback shows where it arose)", BUG)


def _is_interrupt(error: BaseException | None) -> bool:
    """Return whether an error is Ctrl-C, or was made of it.

    Python makes a RuntimeError of what comes while a class is made, as in an import. What only
    arose while Ctrl-C was handled, as a full disk, is an error of its own.
    """
    while error is not None:
        if isinstance(error, KeyboardInterrupt | typer.Abort):
            return True
        error = error.__cause__
    return False


def _say(text: str, code: int) -> int:
    print(f"seesame: error: {visible(' '.join(text.split()))}", file=sys.stderr)
    return code


def _usage(error: Exception) -> str:
    message = str(getattr(error, "format_message", lambda: error)()).rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{message}; see {context.command_path if context else 'seesame'} --help"


def _os_error(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


def _out_of_memory(error: BaseException) -> bool:
    """True for Python's MemoryError and for what torch raises on the GPU and on the CPU."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "allocate memory" in str(error))
    )


def _silence_stdout() -> None:
    """Let the interpreter's last flush go nowhere: it would fail again, and print."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (OSError, ValueError):
        pass
