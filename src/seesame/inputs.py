"""Text of any editor, names that strangers gave, and folders at home."""

import codecs
import os
from pathlib import Path

from seesame.errors import UserError


class NoHomeError(UserError):
    """A path begins with ``~``, and this user has no home folder."""


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


def visible(text: str) -> str:
    """Return a text that can steer no terminal: control characters and the like as ``\\uNNNN``.

    Bytes of file names that are no text stay, as Python carries them (PEP 383).
    """
    return "".join(
        c if c.isprintable() or "\udc80" <= c <= "\udcff" else ascii(c)[1:-1] for c in text
    )


def user_folder(text: str) -> Path:
    """Return the path that a text means, ``~`` being the user's home.

    A home that is no absolute path is none: it would be another in every folder.

    Raises:
        NoHomeError: there is a ``~``, and the user has no home.
    """
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise NoHomeError(f"{text}: this user has no home folder; set HOME") from error
    own = text == "~" or text.startswith("~/")
    if own and not (os.environ.get("HOME", "/").startswith("/") and path.is_absolute()):
        raise NoHomeError(f"{text}: HOME is no absolute path; set it to this user's folder")
    return path


def xdg_folder(variable: str, usual: str) -> Path:
    """Return a base folder of the XDG specification, which ignores paths that are not absolute.

    Args:
        variable: the environment variable that may name it.
        usual: the path without it, as ``~/.cache``.

    Raises:
        NoHomeError: this user has no home.
    """
    own = os.environ.get(variable, "")
    return Path(own) if os.path.isabs(own) else user_folder(usual)


def data_folder(name: str) -> Path:
    """Return the folder of files that a user fetched, trained or installed.

    It is ``name`` in ``$SEESAME_HOME``, else in ``seesame`` in the XDG data folder
    (``~/.local/share``).

    Raises:
        NoHomeError: this user has no home.
    """
    home = os.environ.get("SEESAME_HOME")
    if home:
        return user_folder(home) / name
    return xdg_folder("XDG_DATA_HOME", "~/.local/share") / "seesame" / name
