"""The classical codecs ``x264``, ``x265``, ``svtav1`` and ``vp9``, through PyAV's own encoders.

The clip is made smaller, filtered, converted to BT.601 limited-range YUV 4:2:0 and encoded at a
constant quality or rate; the packets are stored without a muxer (``docs/format.md``, "av family").
Decoding gives YUV, converts it as the reader does, makes it larger again, and may sharpen it. Small
clips are padded to what every encoder accepts, and cropped after decoding. Encoder and decoder are
imported when they are used.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seesame.bitstream.container import Container
from seesame.codecs.av.settings import FAMILY, Range, parse_settings
from seesame.codecs.av.stream import frame_bytes, read_stream
from seesame.codecs.base import Codec, Quality

if TYPE_CHECKING:
    from seesame.context import EncodeContext
    from seesame.video.clip import Clip


class AvCodec(Codec):
    """One of the four classical codecs.

    Args:
        name: a key of :data:`seesame.codecs.av.settings.FAMILY`.
    """

    def __init__(self, name: str) -> None:
        self.member = FAMILY[name]
        self.name = name
        self.codec_id = self.member.codec_id
        self.summary = self.member.summary
        allowed = self.member.own["crf"]
        assert isinstance(allowed, Range)
        # 0 is lossless with some.
        crfs = range(max(1, int(allowed.least)), int(allowed.most) + 1)
        self.quality = Quality("crf", crfs, self.member.defaults.crf, ("kbps",))

    def encode(
        self, clip: "Clip", settings: Mapping[str, Any], context: "EncodeContext"
    ) -> Container:
        """Compress a clip, see :func:`seesame.codecs.av.encoding.encode.encode`."""
        from seesame.codecs.av.encoding.encode import encode

        return encode(self.member, clip, settings, context)

    def needs_stack(self, settings: Mapping[str, Any]) -> bool:
        """Return whether regions are asked for. Raises UserError for bad settings."""
        return bool(parse_settings(self.member, settings).roi_qp)

    def decode(self, container: Container, device: str = "cpu") -> "Clip":
        """Return the decoded clip, lazily; its frames do not depend on the batch size.

        Raises:
            DamagedError: the stream is missing or its head is damaged. Damage further in is
                found while decoding.
            MissingExtraError: this PyAV was built without the decoder.
        """
        from seesame.codecs.av.decode import AvClip

        self.check(container)
        return AvClip(container, self.member)

    def notes(self, container: Container) -> dict[str, str]:
        """Say where the picture is coded at another size than the clip's. Raises DamagedError."""
        head, _ = read_stream(container, self.name)
        if (head.width, head.height) == (container.width, container.height):
            return {}
        size = f"coded at {head.width}x{head.height}"
        return {"scaled": f"{size}, made {container.width}x{container.height} by the decoder"}

    def frame_bytes(self, container: Container) -> tuple[int, ...]:
        """Return the bytes of the stream for each frame; empty where packets are in coding order.

        Raises:
            DamagedError: the stream is missing or its head is damaged.
        """
        return frame_bytes(container, self.name)
