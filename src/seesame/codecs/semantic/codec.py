"""The semantic codec; encoder and decoder are imported when they are used."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seesame.bitstream.container import Container, Section
from seesame.codecs.base import Codec, Quality
from seesame.codecs.semantic.renderer_file import read_file
from seesame.codecs.semantic.sections import CODEC_ID, Head, read_head
from seesame.neural.render.bounds import section

if TYPE_CHECKING:
    from seesame.context import EncodeContext
    from seesame.metric.limits import Limits
    from seesame.video.clip import Clip


class SemanticCodec(Codec):
    """What the segmentation network saw, drawn back by a renderer that belongs to the stack."""

    name = "semantic"
    codec_id = CODEC_ID
    quality = Quality("simplify", range(31), 10, ("embed",))
    summary = "the masks that the stack saw, drawn back by a shared renderer; made in seconds"

    def encode(
        self, clip: "Clip", settings: Mapping[str, Any], context: "EncodeContext"
    ) -> Container:
        """Store masks and codes, see :func:`seesame.codecs.semantic.encode.encode`."""
        from seesame.codecs.semantic.encode import encode

        return encode(clip, settings, context)

    def needs_stack(self, settings: Mapping[str, Any]) -> bool:
        """Return True: the masks are what a stack sees. Raises UserError for bad settings."""
        from seesame.codecs.semantic.config import SemanticSettings

        SemanticSettings.from_mapping(settings)
        return True

    def takes_time(self, settings: Mapping[str, Any]) -> bool:
        """Return True where a renderer is trained for the file."""
        return bool(settings.get("embed"))

    def self_contained(self, container: Container) -> bool:
        """Return whether a file holds its renderer. Raises DamagedError."""
        return read_head(container).embedded

    def within(self, settings: Mapping[str, Any], limits: "Limits") -> dict[str, Any]:
        """Return the settings with masks of every frame where limits bind every frame."""
        return {"every_frame": limits.every_frame, **settings}

    def decode(self, container: Container, device: str = "cpu") -> "Clip":
        """Return the decoded clip, drawn lazily.

        Raises:
            DamagedError: the sections do not fit together.
            UserError: the renderer that the file names is not installed.
        """
        from seesame.codecs.semantic.decode import open_file

        self.check(container)
        return open_file(container, device)

    def weights(self, container: Container) -> int:
        """Return the weights of the networks that a file holds itself. Raises DamagedError."""
        if not self.self_contained(container):
            return 0
        from seesame.codecs.semantic.shared import declared_weights

        return declared_weights(section(container, Section.RENDERER), "the renderer in the file")

    def notes(self, container: Container) -> dict[str, str]:
        """Describe masks and renderer. Raises DamagedError when the head is damaged."""
        head = read_head(container)
        height, width = head.size
        count = head.num_masks(container)
        share = f"{head.changed / (count * height * width):.3%}" if head.changed else "none"
        which = "every frame" if head.every_frame else "every second frame"
        return {
            "masks": f"{count} of {width}x{height}, {head.classes} classes, {which}",
            "changed": f"{share} of their pixels differ from what the stack saw",
            "renderer": _renderer(container, head),
        }


def _renderer(container: Container, head: Head) -> str:
    """Describe the renderer of a file. Raises DamagedError."""
    if not head.embedded:
        return f"SHA-256 {head.renderer.hex()}"
    data = section(container, Section.RENDERER)
    _, parts = read_file(data, "the renderer in the file")
    shares = ", ".join(f"{part.name.lower()} {len(held):,}" for part, held in parts.items())
    return f"in the file, {len(data):,} bytes: {shares}"
