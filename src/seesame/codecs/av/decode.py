"""The decoder of the av family: packets to YUV, to RGB, and to the source's size."""

from collections.abc import Iterator

import av
import torch
from av.video.frame import VideoFrame
from torch import Tensor

from seesame.bitstream.container import Container
from seesame.codecs.av import filters
from seesame.codecs.av.head import SHARPEN_STEP, Head
from seesame.codecs.av.library import codec_context
from seesame.codecs.av.planes import FORMATS, decoded_rgb, padded
from seesame.codecs.av.settings import Member
from seesame.codecs.av.stream import read_stream
from seesame.errors import DamagedError
from seesame.video.clip import Frames
from seesame.video.resize import resize, to_uint8
from seesame.video.span import rebatched


class AvClip:
    """The decoded clip, at source resolution."""

    def __init__(self, container: Container, member: Member) -> None:
        self.width, self.height = container.width, container.height
        self.fps, self.num_frames = container.fps, container.num_frames
        self.source_bytes = container.source_bytes
        self._member, self.name = member, member.name
        self._head, self._packets = read_stream(container, member.name)
        self.size, self.kernel = (self._head.height, self._head.width), self._head.up
        """The size ``(height, width)`` of the coded pictures, and what they are resized with."""
        self.sharpened = bool(self._head.sharpen)

    def batches(self, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order.

        Raises:
            DamagedError: not decodable, or not the frames that the header promises.
        """
        return rebatched(self._shown(), batch_size)

    def _shown(self) -> Iterator[Frames]:
        """Yield the frames one by one, so that no rounding depends on the batch size."""
        head, size = self._head, (self.height, self.width)
        amount = head.sharpen * SHARPEN_STEP
        for frame in self.coded():
            with torch.no_grad():
                large = resize(frame, size, head.up)
                shown = filters.sharpen(large, amount, head.sharpen_size)
            yield to_uint8(shown)

    def coded(self) -> Iterator[Tensor]:
        """Yield the pictures at the coded size, float ``(1, 3, h, w)`` in 0..255, in order.

        Raises:
            DamagedError: as :meth:`batches`.
        """
        return _decode(self._packets, self._member, self._head, self.num_frames)


def _decode(packets: list[bytes], member: Member, head: Head, num_frames: int) -> Iterator[Tensor]:
    """Yield exactly ``num_frames`` RGB pictures ``(1, 3, h, w)`` in playing order."""
    height, width = head.height, head.width
    wanted = f"{padded(width)}x{padded(height)} {FORMATS[head.depth]}"
    name = f"the {member.name} stream"
    seen = 0
    try:
        for picture in _decoded_pictures(packets, member, (height, width)):
            if picture.is_corrupt:
                raise DamagedError(f"{name} is damaged at frame {seen}")
            found = f"{picture.width}x{picture.height} {picture.format.name}"
            if found != wanted:
                raise DamagedError(f"{name} is damaged: frame {seen} is {found}, not {wanted}")
            seen += 1
            if seen > num_frames:
                break
            yield decoded_rgb(picture, height, width, head.depth)
    except av.error.FFmpegError as error:
        raise DamagedError(f"{name} is damaged near frame {seen} ({error.strerror})") from error
    if seen != num_frames:
        had = "more" if seen > num_frames else f"only {seen}"
        raise DamagedError(f"{name} is damaged: {had} frames, the header says {num_frames}")


def _decoded_pictures(
    packets: list[bytes], member: Member, size: tuple[int, int]
) -> Iterator[VideoFrame]:
    """Yield all pictures of the stream; all four decoders give them in playing order."""
    decoder = codec_context(member.decoder, "r")
    # Decoders round sizes up to whole blocks. A stream that claims more gets no memory.
    most = (padded(size[0]) + 63) // 64 * 64 * ((padded(size[1]) + 63) // 64 * 64)
    decoder.options = {"max_pixels": str(most), "err_detect": "explode"}
    decoder.thread_type = "AUTO"
    try:
        for packet in packets:
            if packet:  # an empty one would mean the end to the decoder
                yield from decoder.decode(av.Packet(packet))
        yield from decoder.decode(None)
    finally:
        # Decoder threads need Python's lock to give packets back. Let them finish here, where it
        # is free: closing a decoder that is still at work would wait for them forever.
        decoder.flush_buffers()
