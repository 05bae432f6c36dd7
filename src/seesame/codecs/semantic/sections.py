"""The sections of a semantic file; neither torch nor a renderer is needed to read its head."""

from dataclasses import dataclass

from seesame.bitstream.container import Container, Section
from seesame.bitstream.varint import Reader, pack_varint
from seesame.errors import DamagedError
from seesame.neural.render.bounds import MAX_SIDE, section

CODEC_ID = 19
LAYOUT = 1
DIGEST_BYTES = 32
MAX_CLASSES = 30
MAX_CODE = 128
"""The most values of a pair's code."""
MAX_STEP_BITS = 12
MAX_MASK_PIXELS = 1 << 34
"""The most pixels of all masks together: three hours of the challenge's."""
_EVERY_FRAME, _EMBEDDED = 1, 2
"""Flags of the head."""


@dataclass(frozen=True)
class Head:
    """What a file says of itself: its MODEL section.

    Args:
        renderer: SHA-256 of the shared renderer's file; empty where the file holds its own.
        size: ``(height, width)`` of the masks.
        classes: how many there are.
        every_frame: masks of all frames, not of the second frames of the pairs alone.
        code: values of a pair's code; 0 where the stack has no pose network.
        step_bits: a code's value is its symbol divided by two to this power.
        changed: pixels of the masks that differ from what the stack saw.
    """

    renderer: bytes
    size: tuple[int, int]
    classes: int
    every_frame: bool
    code: int
    step_bits: int
    changed: int

    @property
    def embedded(self) -> bool:
        """True where the file holds its own renderer."""
        return not self.renderer

    @property
    def step(self) -> float:
        """The quantisation step of the codes."""
        return 2.0**-self.step_bits

    def num_masks(self, container: Container) -> int:
        """Return how many masks a file holds."""
        return num_masks(container.num_frames, self.every_frame)

    def pack(self) -> bytes:
        """Return the section."""
        flags = _EVERY_FRAME * self.every_frame | _EMBEDDED * self.embedded
        what = LAYOUT, flags, self.classes, *self.size
        numbers = *what, self.code, self.step_bits, self.changed
        return b"".join(map(pack_varint, numbers)) + self.renderer


def num_masks(num_frames: int, every_frame: bool) -> int:
    """Return the masks of a clip: of all frames, or of second frames (of a lone frame: itself)."""
    return num_frames if every_frame else max(1, num_frames // 2)


def read_head(container: Container, name: str = "the file") -> Head:
    """Read a file's MODEL section.

    Raises:
        DamagedError: it is missing, or claims what no encoder writes.
    """
    reader = Reader(section(container, Section.MODEL, name), name)
    layout = reader.varint("the layout", 255)
    if layout != LAYOUT:
        raise DamagedError(
            f"{name}: layout {layout} of the semantic codec is unknown: the file is damaged or "
            "was made by a newer seesame"
        )
    flags = reader.varint("the flags", _EVERY_FRAME | _EMBEDDED)
    classes = reader.varint("the number of classes", MAX_CLASSES)
    size = (
        reader.varint("the masks' height", MAX_SIDE),
        reader.varint("the masks' width", MAX_SIDE),
    )
    code = reader.varint("the values of a code", MAX_CODE)
    step_bits = reader.varint("the step of the codes", MAX_STEP_BITS)
    changed = reader.varint("the changed pixels")
    embedded = bool(flags & _EMBEDDED)
    digest = b"" if embedded else reader.take(DIGEST_BYTES, "the renderer's SHA-256")
    reader.finish()
    head = Head(digest, size, classes, bool(flags & _EVERY_FRAME), code, step_bits, changed)
    pixels = head.num_masks(container) * size[0] * size[1]
    if classes < 1 or not 0 < pixels <= MAX_MASK_PIXELS or changed > pixels:
        raise reader.fail("is damaged: its masks are impossible")
    return head
