"""A submission's folder: its archive and script, and what it holds beyond the counted bytes."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seesame.errors import UserError

ARCHIVE = "archive.zip"
SCRIPT = "inflate.sh"
REPORT = "report.txt"
REPORT_JSON = "report.json"
FORMAT = "seesame contest report 1"
"""First value of a ``report.json``."""
_SKIPPED = {ARCHIVE, REPORT, REPORT_JSON, "archive", "inflated", "__pycache__", ".git"}
"""Names at the top of the folder that inflate never sees: counted, ours, or left by a run."""
MAX_SCRIPT = 1 << 16
"""Largest text file that passes for a script, in bytes."""
MAX_FILES = 10_000
MAX_BYTES = 1 << 30
"""The most that a submission's folder may hold beside its archive."""


class SubmissionError(UserError):
    """A submission that cannot be scored; the message is the verdict."""


@dataclass(frozen=True)
class Uncounted:
    """A file that could carry payload past the rate: not text, or larger than a script."""

    path: str
    bytes: int
    why: str


@dataclass(frozen=True)
class Submission:
    """A folder with ``archive.zip`` and ``inflate.sh``."""

    folder: Path
    name: str
    archive_bytes: int
    uncounted: tuple[Uncounted, ...]

    @property
    def uncounted_bytes(self) -> int:
        """Bytes of all uncounted files together."""
        return sum(file.bytes for file in self.uncounted)


def open_submission(folder: Path) -> Submission:
    """Look at a submission without running anything of it.

    Raises:
        UserError: no such folder.
        SubmissionError: no archive, no script, a link, or far too much beside them.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; give a submission's folder")
    for name in (ARCHIVE, SCRIPT):
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise SubmissionError(f"there is no file {name} in the submission")
    files = list(_files(folder))
    found = (_uncounted(path, str(path.relative_to(folder))) for path in files)
    return Submission(
        folder,
        folder.resolve().name,
        (folder / ARCHIVE).stat().st_size,
        tuple(file for file in found if file is not None),
    )


def copy_scripts(submission: Submission, target: Path) -> None:
    """Copy what inflate may see beside the unpacked archive into a new folder.

    Raises:
        SubmissionError: as :func:`open_submission`.
    """
    for path in _files(submission.folder):
        copy = target / path.relative_to(submission.folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)


def _files(folder: Path) -> Iterator[Path]:
    """Every file of the submission that inflate may see, in order of name."""
    count = total = 0
    top = (path for path in sorted(folder.iterdir()) if path.name not in _SKIPPED)
    queue = list(top)
    while queue:
        path = queue.pop(0)
        shown = ascii(str(path.relative_to(folder)))
        if path.is_symlink():
            raise SubmissionError(f"the submission holds a link: {shown}")
        if path.is_dir():
            queue[:0] = sorted(path.iterdir())
        elif path.is_file():
            count, total = count + 1, total + path.stat().st_size
            if count > MAX_FILES or total > MAX_BYTES:
                raise SubmissionError(
                    f"the submission holds more than {MAX_FILES:,} files or {MAX_BYTES:,} bytes "
                    "beside its archive"
                )
            yield path
        else:
            raise SubmissionError(f"the submission holds a special file: {shown}")


def _uncounted(path: Path, name: str) -> Uncounted | None:
    """Why a file counts as possible payload; None for a script."""
    size = path.stat().st_size
    if size > MAX_SCRIPT:
        return Uncounted(name, size, f"over {MAX_SCRIPT:,} bytes")
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return Uncounted(name, size, "not text")
    if any(ord(c) < 32 and c not in "\t\n\r\f" for c in text):
        return Uncounted(name, size, "not text")
    return None
