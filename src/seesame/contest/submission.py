"""A submission's folder: its archive and script, and what it holds beyond the counted bytes."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seesame.contest.isolation.limits import FolderLimits
from seesame.errors import UserError

ARCHIVE = "archive.zip"
SCRIPT = "inflate.sh"
REPORT = "report.txt"
REPORT_JSON = "report.json"
UNPACKED = "archive"
INFLATED = "inflated"
FORMAT = "seesame contest report 1"
"""First value of a ``report.json``."""
_SKIPPED = {ARCHIVE, REPORT, REPORT_JSON, UNPACKED, INFLATED, "__pycache__", ".git"}
"""Names at the top of the folder that the script never sees: counted, ours, or left by a run."""


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


def open_submission(folder: Path, limits: FolderLimits | None = None) -> Submission:
    """Look at a submission without running anything of it.

    Raises:
        UserError: no such folder.
        SubmissionError: no archive, no script, a link out of the folder, a special file, or more
            than the limits allow.
    """
    limits = limits or FolderLimits()
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; give a submission's folder")
    for name in (ARCHIVE, SCRIPT):
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise SubmissionError(f"there is no file {name} in the submission")
    files = [path for path in _entries(folder, limits) if not path.is_symlink()]
    found = (_uncounted(path, str(path.relative_to(folder)), limits) for path in files)
    return Submission(
        folder,
        folder.resolve().name,
        (folder / ARCHIVE).stat().st_size,
        tuple(file for file in found if file is not None),
    )


def copy_scripts(submission: Submission, target: Path, limits: FolderLimits | None = None) -> None:
    """Copy what the script may see beside the unpacked archive into a new folder.

    A link becomes a relative link to the same place in the copy.

    Raises:
        SubmissionError: as :func:`open_submission`.
    """
    folder = submission.folder
    for path in _entries(folder, limits or FolderLimits()):
        place = path.relative_to(folder)
        copy = target / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            end = path.resolve().relative_to(folder.resolve())
            copy.symlink_to(os.path.relpath(end, place.parent))
        else:
            shutil.copy(path, copy)


def _entries(folder: Path, limits: FolderLimits) -> Iterator[Path]:
    """Yield every file and link of the submission that the script may see, in order of name.

    What a link to a folder leads to is yielded once, at its own place.
    """
    count = total = 0
    queue = [path for path in sorted(folder.iterdir()) if path.name not in _SKIPPED]
    while queue:
        path = queue.pop(0)
        shown = ascii(str(path.relative_to(folder)))
        if path.is_symlink():
            if not _stays_inside(path, folder):
                raise SubmissionError(f"the submission holds a link out of its folder: {shown}")
        elif path.is_dir():
            queue[:0] = sorted(path.iterdir())
            continue
        elif path.is_file():
            total += path.stat().st_size
        else:
            raise SubmissionError(f"the submission holds a special file: {shown}")
        count += 1
        if count > limits.files or total > limits.bytes:
            raise SubmissionError(
                f"the submission holds more than {limits.files:,} files or {limits.bytes:,} bytes "
                "beside its archive"
            )
        yield path


def _stays_inside(link: Path, folder: Path) -> bool:
    """Return whether a link leads to a place below the folder; one in a circle leads nowhere."""
    try:
        return folder.resolve() in link.resolve().parents
    except (OSError, RuntimeError):
        return False


def _uncounted(path: Path, name: str, limits: FolderLimits) -> Uncounted | None:
    """Return why a file counts as possible payload; None for a script."""
    size = path.stat().st_size
    if size > limits.script_bytes:
        return Uncounted(name, size, f"over {limits.script_bytes:,} bytes")
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return Uncounted(name, size, "not text")
    if any(ord(c) < 32 and c not in "\t\n\r\f" for c in text):
        return Uncounted(name, size, "not text")
    return None
