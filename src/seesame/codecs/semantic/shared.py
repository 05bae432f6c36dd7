"""The ``.renderer`` file: what draws the masks of one stack.

A file holds the renderer's quantised weights and, where they have been trained, the carrier's and
the prior of the masks. Compressed clips name it by the SHA-256 of its bytes. It is never unpickled,
and every size in it is checked before anything is allocated. ``docs/format.md`` describes it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from torch import nn

from seesame.bounds import BOUNDS
from seesame.codecs.semantic.carrier.network import Carrier, CarrierDesign
from seesame.codecs.semantic.masks.prior import Prior
from seesame.codecs.semantic.networks import Renderer, RendererDesign
from seesame.codecs.semantic.renderer_file import MAX_BYTES, MAX_TEXT, Part, pack_file, read_file
from seesame.errors import DamagedError, UserError
from seesame.files import check_input, replacing
from seesame.neural.weights.dequantise import dequantised
from seesame.neural.weights.rows import Rows
from seesame.neural.weights.tensors import Specs, count
from seesame.neural.weights.unpack import unpack_weights

if TYPE_CHECKING:
    from seesame.perception.stack import Stack

SUFFIX = ".renderer"
MAX_WEIGHT = 2.0**14
"""The largest magnitude of a weight."""


class Design(Protocol):
    """The shape of a network that a file can hold."""

    @property
    def height(self) -> int:
        """Rows of a picture."""

    @property
    def width(self) -> int:
        """Columns of a picture."""

    def specs(self) -> Specs:
        """Return the network's tensors, by their parameter names, in the order of a file."""

    def largest_map(self) -> int:
        """Return the values of the largest map between two layers, for one picture."""

    def macs(self) -> int:
        """Return the multiply-accumulates (MACs) for one picture."""

    def values(self) -> dict[str, Any]:
        """Return the shape as JSON values."""

    @classmethod
    def of(cls, values: Any, /) -> Self:
        """Return the shape that :meth:`values` gave. Raises ValueError for anything else."""


NETWORKS: dict[Part, tuple[type[Design], type[nn.Module]]] = {
    Part.RENDERER: (RendererDesign, Renderer),
    Part.CARRIER: (CarrierDesign, Carrier),
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

    @cached_property
    def prior(self) -> Prior | None:
        """What is known of masks before the first, None where the file says nothing.

        Raises DamagedError.
        """
        data = self.parts.get(Part.PRIOR)
        return None if data is None else Prior.from_bytes(data, f"the prior of {self.stack}")

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)`` of the masks and of the pictures."""
        return self.renderer.design.height, self.renderer.design.width

    @classmethod
    def make(cls, stack: "Stack", networks: Mapping[Part, Weights], prior: bytes = b"") -> Self:
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
        parts = {part: _packed(one) for part, one in networks.items()}
        if prior:
            parts[Part.PRIOR] = prior
        return cls.from_bytes(pack_file(header, parts), "the new renderer")

    def with_part(self, part: Part, content: Weights | bytes) -> "SharedRenderer":
        """Return the same with a part added or replaced: a network, or the prior's bytes."""
        header, parts = read_file(self.data, "the renderer")
        if isinstance(content, bytes):
            parts[part] = content
        else:
            header["networks"][part.name.lower()] = content.design.values()
            parts[part] = _packed(content)
        return self.from_bytes(pack_file(header, parts), "the new renderer")

    def without_stack(self) -> "SharedRenderer":
        """Return the same without the stack's name and fingerprint, as a clip's own file holds it.

        A prior is left out too: it takes more bytes than it saves in one clip's masks.
        """
        header, parts = read_file(self.data, "the renderer")
        header |= {"stack": "", "fingerprint": ""}
        parts.pop(Part.PRIOR, None)
        return self.from_bytes(pack_file(header, parts), "the new renderer")

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
        header, parts = read_file(data, name)
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


def declared_weights(data: bytes, name: str) -> int:
    """Return how many weights the networks of a file have by their shapes. Raises DamagedError."""
    header, parts = read_file(data, name)
    designs = (
        _design(part, header["networks"].get(part.name.lower()), name)
        for part in parts
        if part in NETWORKS
    )
    return sum(count(design.specs()) for design in designs)


def _packed(weights: Weights) -> bytes:
    from seesame.neural.weights.pack import pack_weights

    return pack_weights(weights.rows, weights.design.specs())


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
    beyond = count(specs) > BOUNDS.renderer_weights or design.largest_map() > BOUNDS.map_values
    if beyond or design.height * design.width > BOUNDS.drawn_pixels:
        raise DamagedError(f"{name}: is damaged: its {part.name.lower()} is impossibly large")
    rows = unpack_weights(payload, specs, name)
    if any(abs(one.values()).max(initial=0) > MAX_WEIGHT for one in rows.values()):
        raise DamagedError(f"{name}: is damaged: a weight of its {part.name.lower()} is too large")
    made: Any = NETWORKS[part][1]
    network: nn.Module = dequantised(made(design), rows)
    return network
