"""Errors as one line, exit codes, help, and a quick start."""

import errno
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import torch
from command import Ran

import seesame as package
from seesame.cli import main as module
from seesame.errors import DamagedError, OutputExistsError

Run = Callable[..., Ran]
COMMANDS = ("compress", "decompress", "score", "info", "demo", "fetch", "stacks", "codecs")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make ``seesame codecs`` raise something."""

    def fail_with(error: BaseException) -> None:
        def codecs() -> list[object]:
            raise error

        monkeypatch.setattr("seesame.codecs.registry.codecs", codecs)

    return fail_with


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (DamagedError("a.ssm: is\ndamaged"), 2, "a.ssm: is damaged"),
        (FileNotFoundError(errno.ENOENT, "No such file", "b.txt"), 2, "b.txt: No such file"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "out of memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried\nto allocate"), 1, "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "out of memory"),
        (ZeroDivisionError("division by zero"), 1, "ZeroDivisionError: division by zero (a bug"),
    ],
)
def test_an_error_is_one_line(
    seesame: Run,
    failing: Callable[[BaseException], None],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    failing(error)
    ran = seesame("codecs")
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith(f"seesame: error: {said}")
    assert ran.err.count("\n") == 1


def test_the_command_line_adds_the_flag_that_helps(
    seesame: Run, failing: Callable[[BaseException], None]
) -> None:
    failing(OutputExistsError("a.ssm exists already"))
    assert seesame("codecs").err == (
        "seesame: error: a.ssm exists already (--overwrite replaces it)\n"
    )


def test_a_reader_that_left_is_quiet(
    seesame: Run, failing: Callable[[BaseException], None]
) -> None:
    failing(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert seesame("codecs") == Ran(141, "", "")


@pytest.mark.parametrize("way", ["before", "after", "environment"])
def test_the_traceback_on_request(
    seesame: Run,
    failing: Callable[[BaseException], None],
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    failing(ZeroDivisionError("division by zero"))
    if way == "environment":
        monkeypatch.setenv("SEESAME_TRACEBACK", "1")
    words = {"before": ("--traceback", "codecs"), "after": ("codecs", "--traceback")}
    ran = seesame(*words.get(way, ("codecs",)))
    assert ran.code == 1
    assert "Traceback (most recent call last)" in ran.err
    assert "test_cli_main.py" in ran.err


def test_version(seesame: Run) -> None:
    assert seesame("--version") == Ran(0, f"seesame {package.__version__}\n", "")


def test_no_words_is_help(seesame: Run) -> None:
    ran = seesame()
    assert ran.code == 0
    assert all(name in ran.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(seesame: Run, name: str) -> None:
    ran = seesame(name, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"seesame {name}" in ran.out
    assert "--json" in ran.out
    # Every flag and argument is explained.
    command = module.typer.main.get_command(module.app).commands[name]  # type: ignore[attr-defined]
    assert all(parameter.help for parameter in command.params)


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from seesame.cli.main import main; main(['--help']);"
        "sys.exit(','.join({'torch', 'av', 'numpy', 'matplotlib'} & set(sys.modules)))"
    )
    start = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert time.perf_counter() - start < 10
    assert ran.stderr.strip() == ""
    assert "compress" in ran.stdout


def test_a_full_disk_while_ctrl_c_is_handled_is_told(
    seesame: Run, failing: Callable[[BaseException], None]
) -> None:
    error = OSError(errno.ENOSPC, "No space left on device")
    error.__context__ = KeyboardInterrupt()
    failing(error)
    ran = seesame("codecs")
    assert (ran.code, ran.err) == (2, "seesame: error: No space left on device\n")


@pytest.mark.parametrize(
    "raising",
    [
        'exec("raise KeyboardInterrupt")',  # as where a dataclass is made
        'type("Made", (), {"field": type("Field", (), {"__set_name__": stop})()})',
    ],
)
def test_ctrl_c_during_an_import_ends_as_at_any_other_time(raising: str) -> None:
    program = f"""
import seesame.codecs.registry
from seesame.cli.main import main
def stop(*_):
    raise KeyboardInterrupt
def codecs():
    {raising}
seesame.codecs.registry.codecs = codecs
raise SystemExit(main(["codecs"]))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (130, "seesame: error: interrupted\n")
