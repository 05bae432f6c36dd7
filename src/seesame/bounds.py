"""The bounds on memory and work that decoding any file may take; docs/format.md has the table.

A file comes from strangers. What it declares is compared with these numbers before anything of that
size is allocated or computed, and a file beyond them is refused as damaged.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar, cast


@dataclass(frozen=True)
class DecodeBounds:
    """The bounds of decoding.

    Together they keep a decoder below ``memory_bytes`` and ``bytes_a_pixel`` more for each pixel of
    one frame, beside the file's own bytes. A copied clip may take more, as its own codec asks.

    Attributes:
        memory_bytes: memory that any file may take.
        bytes_a_pixel: further memory for each declared pixel of one frame.
        pixels: of a declared frame.
        frames: of a file.
        enlargement: how many times longer a declared side may be than the coded or rendered one.
        macs_a_pixel: multiply-accumulates of networks for each declared pixel of one frame.
        counted_pixels: the fewest and the most pixels that a frame counts as for that.
        weights: of the networks of a file or, with parts, of one part.
        renderer_weights: of each network of a renderer.
        all_weights: of all parts of a file together.
        map_values: values of the largest map between two layers, for one pair of frames.
        drawn_pixels: of a picture that a renderer draws.
        batch_values: values of the largest map for all pairs of a batch; where there would be more,
            pairs are drawn singly.
        batch_macs: multiply-accumulates for all pairs of a batch, alike.
        packets_a_frame: of a stream of packets; encoders write one.
        packets: of a stream in any case. Each takes memory of its own once the file is open.
        packet_units: NAL units or OBUs of one packet. Encoders write a few, and one for each slice.
        packet_frames: of one packet, hidden ones among them. AV1 keeps eight of them, and encoders
            hide no more.
        silent_packets: in a row that give no picture. Decoders hold back a picture for each of
            their threads, and up to sixteen to put them in order.
        stream_symbols: entropy coded numbers of one stream.
        mask_decisions: yes-or-no decisions of a mask, beside one for each of its pixels.
        table_entries: entries of frequency tables that one coded string may ask for; an entry that
            is made by the recurrence of the symmetric tables counts ``symmetric_cost`` times.
        symmetric_cost: see ``table_entries``.
        whole_pixels: a frame of more pixels is converted and resized in strips.
        coded_surplus: how many times more pixels than declared the pictures of a copied clip may
            have, since its container may cut them.
        least_coded: pixels that these pictures may have in any case.
        samples: that the tables of all tracks of an MP4 or MOV file may claim together, where a
            sample counts once for each edit that may show it.
        samples_a_byte: further samples for each byte of the file.
    """

    memory_bytes: int = 1_000_000_000
    bytes_a_pixel: int = 64
    pixels: int = 1 << 25
    frames: int = 1 << 24
    enlargement: int = 64
    macs_a_pixel: int = 1 << 15
    counted_pixels: tuple[int, int] = (1 << 20, 1 << 21)
    weights: int = 1 << 23
    renderer_weights: int = 1 << 22
    all_weights: int = 1 << 26
    map_values: int = 1 << 25
    drawn_pixels: int = 1 << 22
    batch_values: int = 1 << 25
    batch_macs: int = 1 << 36
    packets_a_frame: int = 4
    packets: int = 1 << 22
    packet_units: int = 128
    packet_frames: int = 16
    silent_packets: int = 64
    stream_symbols: int = 1 << 24
    mask_decisions: int = 1 << 20
    table_entries: int = 1 << 27
    symmetric_cost: int = 16
    whole_pixels: int = 1 << 23
    coded_surplus: int = 2
    least_coded: int = 1 << 20
    samples: int = 1 << 22
    samples_a_byte: float = 1 / 32


BOUNDS = DecodeBounds()

P = ParamSpec("P")
R = TypeVar("R")


def cached_by_size(
    small: int, large: int, is_large: Callable[..., bool]
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that keeps many small results of a function and few large ones.

    As with ``lru_cache``, ``cache_clear`` of the function forgets all of them.

    Args:
        small: how many small results are kept.
        large: how many large ones.
        is_large: says by a call's arguments of which kind its result is.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        many, few = lru_cache(small)(function), lru_cache(large)(function)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            chosen = few if is_large(*args, **kwargs) else many
            return cast(Callable[P, R], chosen)(*args, **kwargs)

        def clear() -> None:
            many.cache_clear()
            few.cache_clear()

        vars(call)["cache_clear"] = clear
        return call

    return decorate
