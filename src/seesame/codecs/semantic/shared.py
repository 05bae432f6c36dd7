"""The ``.renderer`` file: what draws the masks of one stack, and where such files are kept.

A file holds the renderer's quantised weights and, where they have been trained, the carrier's and
the prior of the masks. Compressed clips name it by the SHA-256 of its bytes. It is never unpickled,
and every size in it is checked before anything is allocated. ``docs/format.md`` describes it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import google_crc32c
from torch import nn

from seesame.bitstream.container import pack_config, unpack_config
from seesame.bitstream.varint import Reader, pack_varint
from seesame.codecs.semantic.networks import Renderer, RendererDesign
from seesame.errors import DamagedError, UserError
from seesame.files import check_input, replacing
from seesame.neural.weights.dequantise import dequantised
from seesame.neural.weights.pack import pack_weights
from seesame.neural.weights.rows import Rows
from seesame.neural.weights.tensors import Specs, count
from seesame.neural.weights.unpack import unpack_weights
from seesame.perception.stack import Stack

MAGIC = b"\x89SSR"
"""First four bytes; the first is no ASCII, so that text is never taken for a renderer."""
VERSION = 1
SUFFIX = ".renderer"
MAX_BYTES = 16 << 20
MAX_HEADER = 1 << 16
MAX_WEIGHTS = 1 << 22
"""The most weights of one network."""
MAX_WEIGHT = 2.0**14
"""The largest magnitude of a weight."""
MAX_TEXT = 200
_CRC_BYTES = 4


class Part(IntEnum):
    """One part of a file. Numbers are one byte and never reused."""

    RENDERER = 1
    CARRIER = 2
    PRIOR = 3
    """What is known of masks before the first one is decoded."""


class Design(Protocol):
    """The shape of a network that a file can hold."""

    def specs(self) -> Specs:
        """Return the network's tensors, by their parameter names, in the order of a file."""

    def values(self) -> dict[str, Any]:
        """Return the shape as JSON values."""

    @classmethod
    def of(cls, values: Any, /) -> Self:
        """Return the shape that :meth:`values` gave. Raises ValueError for anything else."""


NETWORKS: dict[Part, tuple[type[Design], type[nn.Module]]] = {
    Part.RENDERER: (RendererDesign, Renderer),
}
"""The networks that a file may hold: the class of the shape, and that of the network."""


class Weights(NamedTuple):
    """A quantised network: its shape, and the symbols of its tensors."""

    design: Design
    rows: Mapping[str, Rows]


@dataclass(frozen=True, eq=False)
class SharedRenderer:
    """A renderer and what goes with it, as a file holds them.

    Make one with :meth:`make`, :meth:`from_bytes` or :meth:`read`.

    Args:
        data: the bytes of the file.
        stack: name of the stack whose masks it draws.
        fingerprint: of that stack.
        classes: names of the stack's classes.
        judged: pose values that the stack judges.
        parts: the coded parts of the file.
        networks: the networks of the parts, ready to draw.
    """

    data: bytes = field(repr=False)
    stack: str
    fingerprint: str
    classes: tuple[str, ...]
    judged: int
    parts: Mapping[Part, bytes] = field(repr=False)
    networks: Mapping[Part, Any] = field(repr=False)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the file's bytes."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def renderer(self) -> Renderer:
        """The network that draws masks, frozen."""
        found: Renderer = self.networks[Part.RENDERER]
        return found

    @property
    def carrier(self) -> Any:
        """The network that draws first frames; None where the file holds none."""
        return self.networks.get(Part.CARRIER)

    @property
    def prior(self) -> bytes:
        """What is known of masks before the first; empty where the file says nothing."""
        return self.parts.get(Part.PRIOR, b"")

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)`` of the masks and of the pictures."""
        return self.renderer.design.height, self.renderer.design.width

    @classmethod
    def make(cls, stack: Stack, networks: Mapping[Part, Weights], prior: bytes = b"") -> Self:
        """Return a shared renderer for a stack.

        Args:
            stack: whose masks are drawn.
            networks: quantised; the renderer, and any other.
            prior: of the masks.
        """
        header: dict[str, Any] = {
            "stack": stack.name[:MAX_TEXT],
            "fingerprint": stack.fingerprint,
            "classes": [name[:MAX_TEXT] for name in stack.classes],
            "judged": stack.judged if stack.has_pose else 0,
            "networks": {part.name.lower(): one.design.values() for part, one in networks.items()},
        }
        parts = {part: pack_weights(one.rows, one.design.specs()) for part, one in networks.items()}
        if prior:
            parts[Part.PRIOR] = prior
        return cls.from_bytes(_file(header, parts), "the new renderer")

    def with_part(self, part: Part, content: Weights | bytes) -> "SharedRenderer":
        """Return the same with a part added or replaced: a network, or the prior's bytes."""
        header, parts = _read(self.data, "the renderer")
        if isinstance(content, bytes):
            parts[part] = content
        else:
            header["networks"][part.name.lower()] = content.design.values()
            parts[part] = pack_weights(content.rows, content.design.specs())
        return self.from_bytes(_file(header, parts), "the new renderer")

    def to_bytes(self) -> bytes:
        """Return the file."""
        return self.data

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "the renderer") -> Self:
        """Parse and check a file.

        Raises:
            DamagedError: with ``name`` and what is wrong. No other exception is raised,
                whatever the bytes are.
        """
        header, parts = _read(data, name)
        networks: dict[Part, Any] = {}
        for part in (Part.RENDERER, Part.CARRIER):
            if part in parts:
                design = _design(part, header["networks"].get(part.name.lower()), name)
                networks[part] = _network(part, design, parts[part], name)
        found = cls(
            data=data,
            stack=header["stack"],
            fingerprint=header["fingerprint"],
            classes=tuple(header["classes"]),
            judged=header["judged"],
            parts=parts,
            networks=networks,
        )
        if found.renderer.design.classes != len(found.classes):
            raise DamagedError(f"{name}: is damaged: its classes are not those of its network")
        return found

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a file.

        Raises:
            UserError: there is no such file, or it cannot be read.
            DamagedError: it is not a sound renderer.
        """
        check_input(path)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError as error:
            raise UserError(f"{path}: there is no such file") from error
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        return cls.from_bytes(data, str(path))

    def write(self, path: Path, overwrite: bool = False) -> None:
        """Write the file. Raises UserError where that fails."""
        with replacing(path, overwrite) as temporary:
            temporary.write_bytes(self.data)


def _file(header: dict[str, Any], parts: Mapping[Part, bytes]) -> bytes:
    head = pack_config(header)
    pieces = [MAGIC, bytes([VERSION]), pack_varint(len(head)), head, bytes([len(parts)])]
    for part, payload in sorted(parts.items()):
        pieces += [bytes([part]), pack_varint(len(payload)), payload]
    data = b"".join(pieces)
    return data + _crc(data)


def _crc(data: bytes) -> bytes:
    value: int = google_crc32c.value(data)
    return value.to_bytes(_CRC_BYTES, "little")


def _read(data: bytes, name: str) -> tuple[dict[str, Any], dict[Part, bytes]]:
    """Return the header and the parts of a file. Raises DamagedError."""
    reader = Reader(data, name)
    if len(data) > MAX_BYTES:
        raise reader.fail(f"has more than the {MAX_BYTES} bytes that a renderer may have")
    if data[: len(MAGIC)] != MAGIC:
        raise reader.fail("is not a renderer (or its first bytes are damaged)")
    reader.take(len(MAGIC))
    version = reader.byte("the version")
    if version != VERSION:
        raise reader.fail(
            f"has version {version} of the renderers' format, this seesame reads {VERSION}: "
            "use another seesame (or the file is damaged)"
        )
    body, crc = data[:-_CRC_BYTES], data[-_CRC_BYTES:]
    if _crc(body) != crc:
        raise reader.fail("is damaged: the checksum does not match")
    size = reader.varint("the size of the header", MAX_HEADER)
    header = _checked(unpack_config(reader.take(size, "the header"), name), reader)
    parts: dict[Part, bytes] = {}
    last = 0
    for _ in range(reader.byte("the number of parts")):
        key = reader.byte("the number of a part")
        if key <= last or key not in tuple(Part):
            raise reader.fail(f"is damaged or newer than this seesame: it has a part {key}")
        last = key
        parts[Part(key)] = reader.take(reader.varint("the size of a part"), "a part")
    reader.take(_CRC_BYTES, "the checksum")
    reader.finish()
    if Part.RENDERER not in parts:
        raise reader.fail("is damaged: it holds no network that draws")
    return header, parts


def _checked(header: dict[str, Any], reader: Reader) -> dict[str, Any]:
    """Return a header whose values have the right kinds and sizes. Raises DamagedError."""

    def is_text(value: Any) -> bool:
        return isinstance(value, str) and len(value) <= MAX_TEXT and value.isprintable()

    classes = header.get("classes")
    sound = (
        set(header) == {"stack", "fingerprint", "classes", "judged", "networks"}
        and is_text(header["stack"])
        and is_text(header["fingerprint"])
        and isinstance(classes, list)
        and all(map(is_text, classes))
        and type(header["judged"]) is int
        and 0 <= header["judged"] <= MAX_TEXT
        and isinstance(header["networks"], dict)
    )
    if not sound:
        raise reader.fail("is damaged: its header is not that of a renderer")
    return header


def _design(part: Part, values: Any, name: str) -> Design:
    if part not in NETWORKS:
        raise DamagedError(f"{name}: this seesame has no {part.name.lower()}; use a newer one")
    try:
        return NETWORKS[part][0].of(values)
    except ValueError as error:
        raise DamagedError(f"{name}: is damaged: its {part.name.lower()}: {error}") from error


def _network(part: Part, design: Design, payload: bytes, name: str) -> nn.Module:
    """Return a network with the weights that a part holds. Raises DamagedError."""
    specs = design.specs()
    if count(specs) > MAX_WEIGHTS:
        raise DamagedError(f"{name}: is damaged: its {part.name.lower()} is impossibly large")
    rows = unpack_weights(payload, specs, name)
    if any(abs(one.values()).max(initial=0) > MAX_WEIGHT for one in rows.values()):
        raise DamagedError(f"{name}: is damaged: a weight of its {part.name.lower()} is too large")
    made: Any = NETWORKS[part][1]
    network: nn.Module = dequantised(made(design), rows)
    return network
