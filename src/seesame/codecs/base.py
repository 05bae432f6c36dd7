"""The codec protocol: something that turns a clip into a bitstream and back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from seesame.bitstream.container import Container
from seesame.perception.stack import Stack
from seesame.video.clip import Clip

Progress = Callable[[float, str], None]
"""Called with the share done (0..1) and a short text."""


def no_progress(share: float, text: str) -> None:
    """Swallow progress."""


@dataclass
class EncodeContext:
    """What an encoder may use beside the clip and its own settings."""

    stack: Stack | None = None
    device: str = "cpu"
    seed: int = 0
    progress: Progress = no_progress
    work: Path | None = None
    """Folder for checkpoints of a resumable encode; None when nothing is to be kept."""
    log: Path | None = None
    """File to which an encode that trains writes its log, beside the one in the work folder."""
    guards: tuple[Stack, ...] = ()
    """Further stacks that an encoder which trains is to keep the outputs of, beside its own."""
    kept: dict[str, Any] | None = None
    """Where an encoder leaves what its next encode of the same clip may use; None for nowhere."""


class Codec(Protocol):
    """One codec. ``settings`` are plain JSON values; unknown names are the user's mistake.

    A codec may also have ``notes(container) -> dict[str, str]``: lines that ``seesame info`` adds;
    ``tensors(container) -> dict[str, int]``: bytes of each tensor of its network; and
    ``frame_bytes(container) -> tuple[int, ...]``: bytes that belong to each frame, empty where that
    cannot be told.
    """

    name: str
    codec_id: int
    """One byte in the container; never reused."""
    summary: str

    def encode(self, clip: Clip, settings: Mapping[str, Any], context: EncodeContext) -> Container:
        """Compress a clip. Raises UserError for bad settings."""

    def decode(self, container: Container, device: str = "cpu") -> Clip:
        """The decoded clip, lazily, at source resolution. Raises DamagedError."""
