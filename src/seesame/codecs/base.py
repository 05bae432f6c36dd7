"""The codec protocol: something that turns a clip into a bitstream and back."""

from collections.abc import Mapping
from typing import Any, Protocol

from seesame.bitstream.container import Container
from seesame.context import EncodeContext
from seesame.video.clip import Clip


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

    def needs_stack(self, settings: Mapping[str, Any]) -> bool:
        """Return whether :meth:`encode` asks perception networks when it gets these settings.

        Raises UserError for settings that :meth:`encode` would refuse by themselves.
        """
        return False

    def encode(self, clip: Clip, settings: Mapping[str, Any], context: EncodeContext) -> Container:
        """Compress a clip. Raises UserError for bad settings."""

    def decode(self, container: Container, device: str = "cpu") -> Clip:
        """The decoded clip, lazily, at source resolution. Raises DamagedError."""
