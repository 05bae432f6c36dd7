"""The decoder of the av family: packets to YUV, to RGB, and to the source's size."""

import itertools
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import av
import numpy as np
import torch
from av.video.frame import VideoFrame
from torch import Tensor

from seesame.bitstream.container import Container
from seesame.bounds import BOUNDS
from seesame.codecs.av.head import SHARPEN_STEP, Head
from seesame.codecs.av.library import codec_context
from seesame.codecs.av.planes import FORMATS, decoded_bytes, decoded_rgb, padded
from seesame.codecs.av.settings import Member
from seesame.codecs.av.stream import check_packet, read_stream
from seesame.errors import DamagedError
from seesame.video.clip import Frames
from seesame.video.compiled import expect
from seesame.video.resize import resize, resized, strips, to_uint8
from seesame.video.span import rebatched

if TYPE_CHECKING:
    from seesame.codecs.av.entries import Entry


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
        expect(self.num_frames)
        return self.batches_from(0, batch_size)

    def entry(self, number: int) -> int:
        """Return the frame of the last key frame before a frame, or the frame's own."""
        return self._entry(number).frame

    def batches_from(self, start: int, batch_size: int) -> Iterator[Frames]:
        """Yield the frames in order from a number on, decoded from :meth:`entry` on.

        Raises:
            DamagedError: as :meth:`batches`.
        """
        return rebatched(self._shown(start), batch_size)

    def _shown(self, start: int) -> Iterator[Frames]:
        """Yield the frames one by one, so that no rounding depends on the batch size."""
        head, size = self._head, (self.height, self.width)
        amount = head.sharpen * SHARPEN_STEP
        plain = head.depth == 8 and not amount and self.size == size
        for picture in self._pictures(start):
            if plain:
                yield decoded_bytes(picture, *size)[None]
                continue
            yield self._enlarged(picture, amount)

    @torch.no_grad()  # over no yield: a generator left unfinished would leave it switched on
    def _enlarged(self, picture: VideoFrame, amount: float) -> Frames:
        """Return a picture at the source's size, sharpened by an amount."""
        head, size = self._head, (self.height, self.width)
        coded = decoded_rgb(picture, *self.size, head.depth)
        if not amount:
            return resized(coded, size, head.up)
        from seesame.codecs.av import filters

        if self.width * self.height <= BOUNDS.whole_pixels:
            shown = filters.sharpen(resize(coded, size, head.up), amount, head.sharpen_size)
            return to_uint8(shown)
        out: Frames = np.empty((1, *size, 3), dtype=np.uint8)
        halo = head.sharpen_size // 2
        for rows, strip in strips(coded[0].numpy(), size, head.up, halo):
            shown = filters.sharpen(torch.from_numpy(strip)[None], amount, head.sharpen_size)
            above = min(rows.start, halo)
            out[:, rows] = to_uint8(shown[:, :, above : above + rows.stop - rows.start])
        return out

    def coded(self, start: int = 0) -> Iterator[Tensor]:
        """Yield the pictures at the coded size, float ``(1, 3, h, w)`` in 0..255, in order.

        Args:
            start: the first one.

        Raises:
            DamagedError: as :meth:`batches`.
        """
        for picture in self._pictures(start):
            yield decoded_rgb(picture, *self.size, self._head.depth)

    @cached_property
    def _entries(self) -> "list[Entry]":
        from seesame.codecs.av.entries import entries

        return entries(self.name, self._packets, self.num_frames)

    def _entry(self, number: int) -> "Entry":
        return max(
            (entry for entry in self._entries if entry.frame <= number), key=lambda e: e.packet
        )

    def _pictures(self, start: int) -> Iterator[VideoFrame]:
        """Yield the decoder's pictures from a number on."""
        if not start:
            return _decode(self._packets, self._member, self._head, 0, self.num_frames)
        entry = self._entry(start)
        first, *others = self._packets[entry.packet :] or [b""]
        packets = [first, *others[entry.leading :]]
        pictures = _decode(packets, self._member, self._head, entry.frame, self.num_frames)
        return itertools.islice(pictures, start - entry.frame, None)


def _decode(
    packets: Sequence[bytes], member: Member, head: Head, seen: int, num_frames: int
) -> Iterator[VideoFrame]:
    """Yield the pictures from number ``seen`` to ``num_frames``, no more, in playing order."""
    height, width = head.height, head.width
    wanted = f"{padded(width)}x{padded(height)} {FORMATS[head.depth]}"
    name = f"the {member.name} stream"
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
            yield picture
    except av.error.FFmpegError as error:
        raise DamagedError(f"{name} is damaged near frame {seen} ({error.strerror})") from error
    if seen != num_frames:
        had = "more" if seen > num_frames else f"only {seen}"
        raise DamagedError(f"{name} is damaged: {had} frames, the header says {num_frames}")


def _decoded_pictures(
    packets: Sequence[bytes], member: Member, size: tuple[int, int]
) -> Iterator[VideoFrame]:
    """Yield all pictures of the stream; all four decoders give them in playing order."""
    decoder = codec_context(member.decoder, "r")
    # Decoders round sizes up to whole blocks. A stream that claims more gets no memory.
    most = (padded(size[0]) + 63) // 64 * 64 * ((padded(size[1]) + 63) // 64 * 64)
    decoder.options = {"max_pixels": str(most), "err_detect": "explode"}
    decoder.thread_type = "AUTO"
    try:
        silent = 0
        for packet in packets:
            check_packet(member.name, packet)
            pictures = decoder.decode(av.Packet(packet))
            silent = 0 if pictures else silent + 1
            if silent > BOUNDS.silent_packets:
                raise DamagedError(
                    f"the {member.name} stream is damaged: {silent} packets in a row show nothing"
                )
            yield from pictures
        yield from decoder.decode(None)
    finally:
        # Decoder threads need Python's lock to give packets back. Let them finish here, where it
        # is free: closing a decoder that is still at work would wait for them forever.
        decoder.flush_buffers()
