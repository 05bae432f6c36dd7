"""From what the user names to a list of clips: a folder, a pattern, one clip, or a manifest."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from seesame.errors import UserError
from seesame.fleet.sources.manifest import is_manifest, read_manifest
from seesame.fleet.storage import Found, is_remote, joined, storage

VIDEOS = (
    *(".mp4", ".mkv", ".mov", ".m4v", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg"),
    *(".hevc", ".h265", ".265", ".h264", ".264", ".ivf", ".obu", ".flv", ".wmv", ".3gp"),
)
"""Suffixes of the files that are taken from a folder."""
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Entry:
    """One clip of a fleet, as the user named it.

    Args:
        uri: its path or URI.
        where: the place that names it, for messages.
        name: its name below the target, with its own suffix.
        out: the output's name below the target, where the user gave one.
        found: its size and stamp; None where it has not been looked at, or is not there.
        options: what its row of a manifest says beside that, by column.
    """

    uri: str
    where: str
    name: str
    out: str | None = None
    found: Found | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def list_source(source: str, target: str) -> list[Entry]:
    """Return the clips that a source names, in the order of their names or rows.

    Of a folder, that is every file with the suffix of a video, in folders below it too. Hidden
    ones are left out, and so is the target, where it lies below that folder.

    Args:
        source: a folder, a pattern with ``*``, a manifest, or one clip; a path or a URI.
        target: the folder of the outputs.

    Raises:
        UserError: there is no such source, or no clip in it.
        MissingExtraError: a library for its kind is not installed.
    """
    place = storage(source)
    if "\0" in source:
        raise UserError(f"{source!a}: is not a file name; name a folder, a pattern or a manifest")
    if place.is_folder(source):
        root = source.rstrip("/") or "/"
        files = ((path, found) for path, found in place.walk(root) if _is_video(path))
        entries = _named(root, files, target)
        what = "no video in this folder"
    elif is_manifest(source):
        return _of_manifest(source)
    elif place.stat(source) is not None:
        entries = [Entry(source, source, _base(source), found=place.stat(source))]
        what = ""
    elif _WILD.search(source):
        root = _WILD.split(source)[0].rpartition("/")[0]
        entries = _named(root, place.glob(source), target)
        what = "no file is named by this pattern"
    else:
        raise UserError(f"{source}: not found")
    if not entries:
        raise UserError(f"{source}: {what}")
    return entries


def _of_manifest(path: str) -> list[Entry]:
    """Return the rows of a manifest; relative paths are below the folder that it lies in."""
    folder = path.rpartition("/")[0] if is_remote(path) else os.path.dirname(path)
    entries: list[Entry] = []
    for where, values in read_manifest(path):
        uri = values.pop("uri")
        if not is_remote(uri) and not os.path.isabs(uri) and folder:
            uri = joined(folder, uri)
        out = values.pop("out", None)
        entries.append(Entry(uri, where, _base(uri), out, options=values))
    return _looked_at(entries)


def _looked_at(entries: list[Entry]) -> list[Entry]:
    """Return clips with their sizes and stamps, asked for together where their place is the same.

    Raises:
        UserError: fsspec knows no such place.
        MissingExtraError: a library for its kind is not installed.
    """
    places: dict[str, list[int]] = {}
    for number, entry in enumerate(entries):
        places.setdefault(entry.uri.partition("://")[0] * is_remote(entry.uri), []).append(number)
    for numbers in places.values():
        uris = [entries[number].uri for number in numbers]
        for number, found in zip(numbers, storage(uris[0]).stat_many(uris), strict=True):
            entries[number] = replace(entries[number], found=found)
    return entries


def _named(root: str, files: Iterable[tuple[str, Found]], target: str) -> list[Entry]:
    """Return files with their names below a folder, without those in a target further below."""
    top = root.partition("://")[2] if is_remote(root) else root
    own = None if is_remote(target) else os.path.realpath(target) + os.sep
    if own == os.path.realpath(root) + os.sep:
        own = None  # outputs stand beside their sources
    entries = []
    for path, found in files:
        if own and not is_remote(path) and os.path.realpath(path).startswith(own):
            continue
        below = path.partition("://")[2] if is_remote(path) else path
        name = below.lstrip("/").removeprefix(top.lstrip("/")).lstrip("/") if top else below
        entries.append(Entry(path, path, name, found=found))
    return entries


def _is_video(path: str) -> bool:
    return path.lower().endswith(VIDEOS)


def _base(uri: str) -> str:
    return uri.rstrip("/").rpartition("/")[2]
