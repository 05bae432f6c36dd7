"""The renderers that this machine has: the package's, those the user installed, those given."""

import hashlib
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from seesame.codecs.semantic.renderer_file import MAX_BYTES, MAX_TEXT, read_file
from seesame.codecs.semantic.shared import SUFFIX, SharedRenderer
from seesame.errors import MissingRendererError, UserError
from seesame.files import check_input
from seesame.inputs import NoHomeError, data_folder

if TYPE_CHECKING:
    from seesame.perception.stack import Stack


class Installed(NamedTuple):
    """A renderer that can be used here: its file's name, bytes and whether it is the user's own."""

    name: str
    data: bytes
    own: bool

    def parsed(self) -> SharedRenderer:
        """Return it parsed. Raises DamagedError."""
        return SharedRenderer.from_bytes(self.data, self.name)


def installed(unread: list[str] | None = None) -> list[Installed]:
    """Return the renderers that can be used: the user's own by name, then those of the package.

    Args:
        unread: gets a text for the user's folder, or a file in it, that cannot be read; such a one
            is no reason to do without the others.
    """
    found: list[Installed] = []
    paths: list[Path] = []
    unread = [] if unread is None else unread
    with suppress(NoHomeError):
        folder = renderers_folder()
        try:
            if folder.is_dir():
                paths = sorted(p for p in folder.iterdir() if p.suffix == SUFFIX)
        except OSError as error:
            unread.append(f"{folder}: cannot be read ({error.strerror})")
    for path in paths:
        try:
            check_input(path)
            with path.open("rb") as file:
                found.append(Installed(str(path), file.read(MAX_BYTES + 1), True))
        except OSError as error:
            unread.append(f"{path}: cannot be read ({error.strerror})")
        except UserError as error:
            unread.append(str(error))
    package = files("seesame.codecs.semantic").joinpath("renderers")
    if package.is_dir():
        shipped = sorted(package.iterdir(), key=lambda one: one.name)
        found += [
            Installed(one.name, one.read_bytes(), False)
            for one in shipped
            if one.name.endswith(SUFFIX)
        ]
    return found


_GIVEN: dict[str, bytes] = {}
"""Renderers that this process may use by their digest, although they are not installed."""


def give(data: bytes, name: str = "the renderer") -> str:
    """Let this process use a renderer by its digest, and return that.

    Args:
        data: the bytes of its file.
        name: of the file, for messages.

    Raises:
        DamagedError: it is not a sound renderer.
    """
    digest = hashlib.sha256(data).hexdigest()
    if digest not in _GIVEN:
        SharedRenderer.from_bytes(data, name)
        _GIVEN[digest] = data
    return digest


def _usable(unread: list[str] | None = None) -> list[Installed]:
    """Return the renderers that can be used by their digest: those given come first.

    Args:
        unread: as for :func:`installed`.
    """
    given = [Installed(digest, data, False) for digest, data in _GIVEN.items()]
    return given + installed(unread)


def renderers_folder() -> Path:
    """Return where the user's renderers are: ``renderers`` in the data folder.

    Raises:
        NoHomeError: this user has no home.
    """
    return data_folder("renderers")


def install(path: Path) -> Path:
    """Put a renderer where seesame finds it, named by its stack and digest; return where.

    Raises:
        UserError: it cannot be read or written.
        DamagedError: it is not a sound renderer.
    """
    shared = SharedRenderer.read(path)
    folder = renderers_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror})") from error
    safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in shared.stack)[:60] or "stack"
    place = folder / f"{safe}-{shared.digest[:16]}{SUFFIX}"
    shared.write(place, overwrite=True)
    return place


def find_renderer(digest: str, stack: str = "") -> SharedRenderer:
    """Return the renderer of this digest, from the user's folder or the package.

    Args:
        digest: hex SHA-256 of the renderer's file.
        stack: name of the stack that the file speaks of, for the message; may be empty.

    Raises:
        MissingRendererError: it is not installed.
    """
    unread: list[str] = []
    for one in _usable(unread):
        if hashlib.sha256(one.data).hexdigest() == digest:
            return one.parsed()
    of_stack = f" of stack {stack}" if stack else ""
    raise MissingRendererError(
        f"the renderer {digest}{of_stack} that draws this file is not installed; get its "
        f"{SUFFIX} file from whoever made this file and run: seesame renderer install FILE"
        f"{_why(unread)}"
    )


def _why(unread: list[str]) -> str:
    """Return the end of a message: what of the user's own could not be read."""
    return f" ({unread[0]})" if unread else ""


def renderer_for(stack: "Stack", named: str | None = None) -> SharedRenderer:
    """Return the renderer that draws a stack's masks.

    Args:
        stack: whose masks are drawn.
        named: the path of a file, the digest of an installed renderer or the beginning of it (8
            digits or more); None takes the installed one of the stack, the user's own first.

    Raises:
        MissingRendererError: there is none.
        UserError: the one that was named belongs to another stack, or cannot be read.
        DamagedError: it is damaged.
    """
    if named is not None:
        shared = _named(named)
        if not _fits(shared.data, named, stack):
            raise UserError(
                f"the renderer {named} belongs to stack {shared.stack} with other weights or "
                f"settings than those of {stack.name}"
            )
        return shared
    unread: list[str] = []
    for one in installed(unread):
        if _fits(one.data, one.name, stack):
            return one.parsed()
    raise MissingRendererError(
        f"there is no renderer for stack {stack.name}; train one with: seesame renderer train "
        "--stack STACK --drives DIR -o FILE.renderer, then run: seesame renderer install "
        f"FILE.renderer{_why(unread)}"
    )


def _fits(data: bytes, name: str, stack: "Stack") -> bool:
    """Return whether a renderer belongs to a stack; one without a fingerprint goes by its name.

    Raises DamagedError where the file is no renderer; its networks are not looked at.
    """
    header, _ = read_file(data, name)
    same: bool = header["classes"] == [one[:MAX_TEXT] for one in stack.classes]
    same &= header["judged"] == (stack.judged if stack.has_pose else 0)
    if not stack.fingerprint:
        return same and header["stack"] == stack.name[:MAX_TEXT]
    return same and header["fingerprint"] == stack.fingerprint


def _named(named: str) -> SharedRenderer:
    digits = named.lower()
    if 8 <= len(digits) <= 64 and set(digits) <= set("0123456789abcdef"):
        found = [x for x in _usable() if hashlib.sha256(x.data).hexdigest().startswith(digits)]
        if len({one.data for one in found}) == 1:
            return found[0].parsed()
        if not Path(named).exists():
            raise MissingRendererError(
                f"the renderer {named} is not installed (seesame renderer list)"
            )
    return SharedRenderer.read(Path(named))
