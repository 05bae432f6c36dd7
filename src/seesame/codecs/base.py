"""The codec protocol: something that turns a clip into a bitstream and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from seesame.bitstream.container import Container, Section
from seesame.bounds import BOUNDS
from seesame.errors import DamagedError, UserError

if TYPE_CHECKING:
    from seesame.context import EncodeContext
    from seesame.metric.limits import Limits
    from seesame.video.clip import Clip


@dataclass(frozen=True)
class Quality:
    """The setting by which a codec's files become smaller and worse.

    Args:
        setting: its name.
        values: rising by one; the bytes fall as they rise.
        usual: its default.
        instead: settings with which it does nothing.
    """

    setting: str
    values: range
    usual: int
    instead: tuple[str, ...] = ()

    def fixed_by(self, settings: Mapping[str, Any]) -> str | None:
        """Return the name of the setting that fixes the quality, if one does."""
        if self.setting in settings:
            return self.setting
        return next((name for name in self.instead if settings.get(name)), None)


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
    quality: Quality | None = None
    """The setting that a search within limits may choose; None for a codec that has none."""

    def encode(
        self, clip: "Clip", settings: Mapping[str, Any], context: "EncodeContext"
    ) -> Container:
        """Compress a clip. Raises UserError for bad settings, DamagedError for a clip's end."""
        ...

    def decode(self, container: Container, device: str = "cpu") -> "Clip":
        """Return the decoded clip, lazily, at source resolution. Raises DamagedError."""
        ...

    def check(self, container: Container) -> None:
        """Check that this codec made a file, and that its frames are not too large or too many.

        Raises:
            UserError: another codec made it.
            DamagedError: the frames are beyond :data:`~seesame.bounds.BOUNDS`.
        """
        if container.codec_id != self.codec_id:
            raise UserError(
                f"the file was made by another codec than {self.name} (by codec id "
                f"{container.codec_id}); seesame.open finds the codec by itself"
            )
        beyond = _beyond(container)
        if beyond:
            raise DamagedError(f"the file is damaged, or too large to be decoded: {beyond}")

    def needs_stack(self, settings: Mapping[str, Any]) -> bool:
        """Return whether an encode with these settings needs ``context.stack``.

        Raises UserError for settings that :meth:`encode` would refuse by themselves.
        """
        return False

    def takes_time(self, settings: Mapping[str, Any]) -> bool:
        """Return whether an encode with these settings trains for a wall time, ``budget_s``."""
        return self.trains

    def self_contained(self, container: Container) -> bool:
        """Return whether a file is decoded without anything beside it. Raises DamagedError."""
        return True

    def within(self, settings: Mapping[str, Any], limits: "Limits") -> dict[str, Any]:
        """Return the settings of an encode that limits are set for, whole names of classes in them.

        Limits are settings of the codecs that train, and nothing to most others.
        """
        return {**settings, **limits.settings()} if self.trains else dict(settings)

    def notes(self, container: Container) -> dict[str, str]:
        """Return lines that describe a file's parts, by their names. Raises DamagedError."""
        return {}

    def tensors(self, container: Container) -> dict[str, int]:
        """Return the bytes of each tensor of a file's network. Raises DamagedError."""
        return {}

    def weights(self, container: Container) -> int:
        """Return how many weights a file's own networks have by their shapes, which alone are read.

        Raises DamagedError.
        """
        return 0

    def frame_bytes(self, container: Container) -> tuple[int, ...]:
        """Return the bytes that belong to each frame; empty where that cannot be told."""
        return ()


def container_for(clip: "Clip", codec_id: int, sections: Mapping[Section, bytes]) -> Container:
    """Return a file of a clip: a header with its size, rate and length, and some sections.

    Raises:
        UserError: the clip has frames that are too large, or too many of them.
    """
    container = Container(
        codec_id=codec_id,
        width=clip.width,
        height=clip.height,
        fps=clip.fps,
        num_frames=clip.num_frames,
        source_bytes=clip.source_bytes,
        sections=dict(sections),
    )
    beyond = _beyond(container)
    if beyond:
        raise UserError(f"the clip cannot be stored in an .ssm file: {beyond}")
    return container


def _beyond(container: Container) -> str:
    """Say which bound the frames of a file are beyond; nothing for none."""
    pixels = container.width * container.height
    if pixels > BOUNDS.pixels:
        return f"{pixels:,} pixels a frame, more than {BOUNDS.pixels:,}"
    if container.num_frames > BOUNDS.frames:
        return f"{container.num_frames:,} frames, more than {BOUNDS.frames:,}"
    return ""
