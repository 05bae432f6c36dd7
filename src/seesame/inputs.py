"""What a user names as input: files that can be read again, text of any editor, folders at home."""

import codecs
import os
import stat
from pathlib import Path

from seesame.errors import UserError

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NoHomeError(UserError):
    """A path begins with ``~``, and this user has no home folder."""


def check_input(path: Path) -> None:
    """Refuse what is no file and no folder: seesame reads a clip more than once.

    A path where nothing is passes, since its reader says that best.

    Raises:
        UserError: a pipe, a socket, a device, or ``-`` for the standard input.
    """
    try:
        kind = file_kind(os.stat(path).st_mode)
    except (OSError, ValueError):
        kind = "the standard input" if str(path) == "-" else ""
    if kind:
        raise UserError(
            f"{path}: is {kind}; what seesame reads must be a file or a folder, because it is read "
            "more than once; save it as a file first"
        )


def read_text(path: Path, errors: str = "strict") -> str:
    """Return a text file that a user may have edited: UTF-8, with or without a byte order mark.

    Args:
        path: the file.
        errors: what to do with bytes that are not UTF-8, as ``bytes.decode`` takes it.

    Raises:
        OSError: it cannot be read.
        UserError: it is UTF-16 or UTF-32, holds a zero byte, or is not UTF-8.
    """
    return decode_text(path.read_bytes(), str(path), errors)


def decode_text(data: bytes, name: str, errors: str = "strict") -> str:
    """Return the text in the bytes of a file; see :func:`read_text`."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UserError(f"{name}: is not a text file in UTF-8 but in UTF-16; save it as UTF-8")
    if b"\0" in data:
        raise UserError(f"{name}: is not a text file in UTF-8; save it as UTF-8")
    try:
        return data.decode("utf-8", errors).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: is not a text file in UTF-8; save it as UTF-8") from error


def user_folder(text: str) -> Path:
    """Return the path that a text means, ``~`` being the user's home.

    Raises:
        NoHomeError: there is a ``~``, and the user has no home.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise NoHomeError(f"{text}: this user has no home folder; set HOME") from error


def file_kind(mode: int) -> str:
    """Return what a file is that is neither regular nor a folder; empty for those."""
    return next((name for test, name in _KINDS if test(mode)), "")
