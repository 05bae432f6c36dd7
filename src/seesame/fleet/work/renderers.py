"""Shared renderers of the semantic codec: the driver names one by its content, workers fetch it.

The renderer that a run uses is decided once, by the driver. It lies in the target under the SHA-256
of its bytes, so that a node where it is not installed can have it, and whoever decodes the outputs
later too. A worker fetches it once and uses it only where the bytes are those of the name.
"""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from seesame.errors import MissingRendererError, UserError
from seesame.fleet.storage import HIDDEN, is_remote, joined, storage

if TYPE_CHECKING:
    from seesame.perception.stack import Stack

CODEC = "semantic"


def pinned(codec: str, settings: Mapping[str, Any], stack: "Stack") -> dict[str, Any]:
    """Return settings that name the renderer by its SHA-256, where the codec draws with one.

    Args:
        codec: name of the codec.
        settings: the codec's own, checked; ``renderer`` may be a URI too.
        stack: whose masks are drawn.

    Raises:
        MissingRendererError: there is none for the stack, or not the one that was named.
        UserError: the one that was named belongs to another stack, or cannot be read.
        DamagedError: it is damaged.
    """
    if codec != CODEC or settings.get("embed"):
        return dict(settings)
    from seesame.codecs.semantic.installed import give, renderer_for

    named = settings.get("renderer")
    if named is not None and is_remote(named):
        data = storage(named).read(named)
        if data is None:
            raise UserError(f"{named}: not found")
        named = give(data, named)
    found = renderer_for(stack, named)
    give(found.data)
    return {**settings, "renderer": found.digest}


def renderer_of(codec: str, settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the renderer that pinned settings name; empty where there is none."""
    return str(settings.get("renderer") or "") if codec == CODEC else ""


def publish(target: str, digests: Iterable[str]) -> None:
    """Put renderers that this process can use into the target, where they are not yet."""
    from seesame.codecs.semantic.installed import find_renderer

    for digest in digests:
        place = _place(target, digest)
        kept = storage(target).read(place)
        if kept is None or hashlib.sha256(kept).hexdigest() != digest:
            storage(target).write(place, find_renderer(digest).data)


@cache
def fetch(target: str, digest: str) -> None:
    """Make a renderer of a target known to this process, where it is not installed; once.

    Raises:
        UserError: it is not in the target, or its bytes are others than those of its name.
    """
    from seesame.codecs.semantic.installed import find_renderer, give

    with suppress(MissingRendererError):
        find_renderer(digest)
        return
    place = _place(target, digest)
    data = storage(target).read(place)
    if data is None:
        raise UserError(f"{place}: the run's renderer has gone; start the run again")
    if hashlib.sha256(data).hexdigest() != digest:
        raise UserError(f"{place}: its bytes are not those of its name; remove it and start again")
    give(data, place)


def _place(target: str, digest: str) -> str:
    return joined(joined(joined(target, HIDDEN), "renderers"), f"{digest}.renderer")
