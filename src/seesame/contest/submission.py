"""A submission's folder: its archive and script, and what it holds beyond the counted bytes."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
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
FULL = (errno.ENOSPC, errno.EDQUOT)
"""The error numbers of a disk without space."""
_SKIPPED = {ARCHIVE, REPORT, REPORT_JSON, UNPACKED, INFLATED, "__pycache__", ".git"}
"""Names at the top of the folder that the script never sees: counted, ours, or left by a run."""


class SubmissionError(UserError):
    """A submission that cannot be scored; the message is the verdict."""


class DiskSpaceError(UserError):
    """The disk has no space for the raw videos or for what the archive holds."""


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
    with _reading(folder):
        for name in (ARCHIVE, SCRIPT):
            path = folder / name
            if path.is_symlink() or not path.is_file():
                raise SubmissionError(f"there is no file {name} in the submission")
            path.open("rb").close()
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
    with _reading(folder):
        for path in _entries(folder, limits or FolderLimits()):
            place = path.relative_to(folder)
            copy = target / place
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink():
                end = path.resolve().relative_to(folder.resolve())
                copy.symlink_to(os.path.relpath(end, place.parent))
            else:
                shutil.copy(path, copy)


def shown(name: str) -> str:
    """Return a stranger's name in quotes, in printable ASCII, its middle left out if it is long."""
    text = ascii(name)
    return text if len(text) <= 100 else f"{text[:48]}...{text[-48:]}"


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Turn what the system refuses to read of a submission into a verdict."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskSpaceError(
                f"{folder}: the disk has no space for a copy; choose another place for it"
            ) from error
        reason = error.strerror or ascii(str(error))
        name = shown(os.fsdecode(error.filename or ""))
        raise SubmissionError(f"the submission cannot be read: {name}: {reason}") from error


def _entries(folder: Path, limits: FolderLimits) -> Iterator[Path]:
    """Yield every file and link of the submission that the script may see, in order of name.

    What a link to a folder leads to is yielded once, at its own place.
    """
    count = total = 0
    queue = [path for path in sorted(folder.iterdir()) if path.name not in _SKIPPED]
    queue.reverse()
    while queue:
        path = queue.pop()
        place = path.relative_to(folder)
        if len(place.parts) > limits.depth:
            raise SubmissionError(f"the submission nests folders more than {limits.depth} deep")
        if path.is_symlink():
            if not _stays_inside(path, folder):
                raise SubmissionError(
                    f"the submission holds a link out of its folder: {shown(str(place))}"
                )
        elif path.is_dir():
            inner = list(islice(path.iterdir(), limits.files + 1))
            count += 1
            _check_much(count + len(inner), total, limits)
            queue += sorted(inner, reverse=True)
            continue
        elif path.is_file():
            total += path.stat().st_size
        else:
            raise SubmissionError(f"the submission holds a special file: {shown(str(place))}")
        count += 1
        _check_much(count, total, limits)
        yield path


def _check_much(count: int, total: int, limits: FolderLimits) -> None:
    if count > limits.files or total > limits.bytes:
        raise SubmissionError(
            f"the submission holds more than {limits.files:,} files or {limits.bytes:,} bytes "
            "beside its archive"
        )


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
