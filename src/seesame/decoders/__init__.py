"""Opening any file that seesame reads, and random access to its frames.

:func:`open_clip` opens a video, a folder of pictures, a ``.raw`` or an ``.ssm`` file as a clip that
is read from the first frame to the last. :func:`open` gives a :class:`VideoDecoder`, which takes
frames by their numbers or times as torchcodec's class of that name does.
"""

from seesame.decoders.decoder import VideoDecoder, open
from seesame.decoders.frames import Frame, FrameBatch, VideoStreamMetadata
from seesame.decoders.opening import (
    batch_frames,
    counted,
    decode_file,
    is_ssm,
    named,
    open_clip,
    resolve_device,
    takes_size,
)

__all__ = [
    "Frame",
    "FrameBatch",
    "VideoDecoder",
    "VideoStreamMetadata",
    "batch_frames",
    "counted",
    "decode_file",
    "is_ssm",
    "named",
    "open",
    "open_clip",
    "resolve_device",
    "takes_size",
]
