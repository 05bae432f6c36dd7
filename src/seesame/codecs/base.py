"""The codec protocol: something that turns a clip into a bitstream and back."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from seesame.bitstream.container import Container, Section
from seesame.errors import UserError

if TYPE_CHECKING:
    from seesame.context import EncodeContext
    from seesame.video.clip import Clip


class Codec(Protocol):
    """One codec. ``settings`` are plain JSON values; an unknown name is the user's mistake.

    Codecs derive from this class and so have the methods with a default. A codec's module imports
    neither torch nor encoders at its top: ``seesame info`` and decoders load it.
    """

    name: str
    codec_id: int
    """One byte in the container; never reused."""
    summary: str
    trains: bool = False
    """True where an encode trains: it takes a time, limits and a log, and can be resumed."""

    def encode(
        self, clip: "Clip", settings: Mapping[str, Any], context: "EncodeContext"
    ) -> Container:
        """Compress a clip. Raises UserError for bad settings, DamagedError for a clip's end."""
        ...

    def decode(self, container: Container, device: str = "cpu") -> "Clip":
        """Return the decoded clip, lazily, at source resolution. Raises DamagedError."""
        ...

    def check(self, container: Container) -> None:
        """Raise UserError where a file was made by another codec."""
        if container.codec_id != self.codec_id:
            raise UserError(
                f"the file was made by another codec than {self.name} (by codec id "
                f"{container.codec_id}); seesame.open finds the codec by itself"
            )

    def needs_stack(self, settings: Mapping[str, Any]) -> bool:
        """Return whether an encode with these settings needs ``context.stack``.

        Raises UserError for settings that :meth:`encode` would refuse by themselves.
        """
        return False

    def notes(self, container: Container) -> dict[str, str]:
        """Return lines that describe a file's parts, by their names. Raises DamagedError."""
        return {}

    def tensors(self, container: Container) -> dict[str, int]:
        """Return the bytes of each tensor of a file's network. Raises DamagedError."""
        return {}

    def frame_bytes(self, container: Container) -> tuple[int, ...]:
        """Return the bytes that belong to each frame; empty where that cannot be told."""
        return ()


def container_for(clip: "Clip", codec_id: int, sections: Mapping[Section, bytes]) -> Container:
    """Return a file of a clip: a header with its size, rate and length, and some sections."""
    return Container(
        codec_id=codec_id,
        width=clip.width,
        height=clip.height,
        fps=clip.fps,
        num_frames=clip.num_frames,
        source_bytes=clip.source_bytes,
        sections=dict(sections),
    )
