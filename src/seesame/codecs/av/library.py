"""Access to the encoders and decoders that this installation of PyAV brings."""

from typing import Literal

import av
from av.video.codeccontext import VideoCodecContext

from seesame.errors import MissingExtraError


def codec_context(name: str, mode: Literal["r", "w"]) -> VideoCodecContext:
    """Return a decoder (``r``) or an encoder (``w``) by FFmpeg's name of it, not yet opened.

    Raises:
        MissingExtraError: PyAV was built without it.
    """
    try:
        found = av.CodecContext.create(name, mode)
    except (av.codec.codec.UnknownCodecError, ValueError) as error:
        raise MissingExtraError(
            f"this PyAV was built without {name}; install PyAV's own wheel"
        ) from error
    assert isinstance(found, VideoCodecContext)
    return found
