"""The places of this Python and its packages, which a script in the sandbox must see.

A virtual environment may be anywhere: below ``/tmp``, in a path with spaces, with its packages in
another environment that a ``.pth`` file names, or made of links into the cache of its installer.
"""

import json
import os
import site
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import seesame

PACKAGE = Path(seesame.__file__).parent


@dataclass(frozen=True)
class Interpreter:
    """The places that must be visible for ``python`` to start and to import its packages.

    Args:
        places: folders and files, at the paths by which Python knows them; none lies in another.
        links: links on the way from ``python`` to the program, as ``(target, link)``, that do not
            lie in ``places``.
        variables: environment variables without which packages would not be found.
    """

    places: tuple[Path, ...]
    links: tuple[tuple[str, Path], ...]
    variables: tuple[tuple[str, str], ...]


@cache
def interpreter() -> Interpreter:
    """Return the places of the running Python, whatever its environment is made of."""
    imported = _import_folders()
    found = [Path(sys.prefix), Path(sys.base_prefix), PACKAGE]
    found += [folder for folder in imported if folder.is_dir()]
    found += [place for folder in imported for place in _linked_places(folder)]
    program, links = Path(sys.executable), []
    while program.is_symlink():
        links.append((os.readlink(program), program))
        program = program.parent / program.readlink()
    prefix = program.parent.parent
    known = prefix.resolve() in {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve()}
    found.append(prefix if known else program)
    places = _outermost(form for place in found for form in (place, place.resolve()))
    links = [(end, link) for end, link in links if not is_below(link, places)]
    variables = {}
    if PACKAGE.parent not in imported:
        variables["PYTHONPATH"] = str(PACKAGE.parent)
    if site.ENABLE_USER_SITE and Path(site.getusersitepackages()) in imported:
        variables["PYTHONUSERBASE"] = site.getuserbase()
    return Interpreter(tuple(places), tuple(links), tuple(variables.items()))


def is_below(path: Path, places: Sequence[Path]) -> bool:
    """Return whether a path is one of the places or lies in one, going by the names alone."""
    return any(path.is_relative_to(place) for place in places)


def _import_folders() -> list[Path]:
    """Return the ``sys.path`` of a fresh start: without the working folder and PYTHONPATH."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    program = "import json, sys; print(json.dumps(sys.path))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], env=kept, capture_output=True, text=True, check=True
    )
    return [Path(name) for name in json.loads(done.stdout) if name]


def _linked_places(folder: Path) -> Iterator[Path]:
    """Yield the places outside an import folder that its packages are linked from.

    Installers link whole packages, or each file of a package from a folder of the same layout;
    so the first two levels tell.
    """
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        inner = entry.iterdir() if entry.is_dir() and not entry.is_symlink() else ()
        for path in (entry, *inner):
            if not (path.is_symlink() and path.exists()):
                continue
            place = path.relative_to(folder).parts
            # A link may itself go through links: show the place that it names and the real one.
            for end in (Path(os.path.normpath(path.parent / path.readlink())), path.resolve()):
                same = len(place) > 1 and end.parts[-len(place) :] == place
                yield end.parents[len(place) - 1] if same else end


def _outermost(places: Iterable[Path]) -> list[Path]:
    """Return the places without those that lie in another."""
    found: list[Path] = []
    for place in sorted(set(places), key=lambda place: len(place.parts)):
        if not is_below(place, found):
            found.append(place)
    return found
