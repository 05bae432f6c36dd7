"""The subject of a report: one file and what it decodes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seesame.bitstream.container import Container
from seesame.codecs.base import Codec
from seesame.video.clip import Clip

SMALL_PARTS = ("config", "stream", "model", "weights", "latents", "sidecar")
"""Parts of an .ssm file that have a bar of their own; the rest is the container's."""


@dataclass(frozen=True, eq=False)
class Subject:
    """One file.

    Args:
        name: as shown; not trusted.
        clip: what it decodes to, at the source's size.
        bytes: of the file on disk.
        codec: its name; ``"video"`` for a file that is no .ssm.
        parts: where its bytes went, by name.
        notes: what ``seesame info`` adds.
        settings: that made it; empty where the file keeps none.
        tensors: bytes of each tensor of its network, where it has one.
        frame_bytes: that belong to each frame; empty where that cannot be told.
    """

    name: str
    clip: Clip
    bytes: int
    codec: str
    parts: tuple[tuple[str, int], ...]
    notes: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, int] = field(default_factory=dict)
    frame_bytes: tuple[int, ...] = ()


def of_video(name: str, clip: Clip, of_source: tuple[int, int] | None = None) -> Subject:
    """Return the subject of any other file, all of which is one part.

    Args:
        name: of the file.
        clip: its frames.
        of_source: width and height of the source; a file of another size is called scaled.
    """
    size, kind = clip.source_bytes, "video"
    if of_source not in (None, (clip.width, clip.height)):
        kind = f"video, scaled to {clip.width}\u00d7{clip.height}"
    return Subject(name, clip, size, kind, (("whole file", size),))


def of_container(name: str, container: Container, codec: Codec, clip: Clip) -> Subject:
    """Return the subject of an .ssm file. Raises DamagedError for unreadable settings or notes."""
    layout = container.layout()
    parts = [(part, size) for part, size in layout if part in SMALL_PARTS and size]
    size = sum(size for _, size in layout)
    parts.append(("container", size - sum(size for _, size in parts)))

    return Subject(
        name,
        clip,
        size,
        codec.name,
        tuple(parts),
        codec.notes(container),
        container.config(name),
        codec.tensors(container),
        codec.frame_bytes(container),
    )
