"""The sidecar: small exact corrections of single frames after the main decode.

Each frame may be resampled (moved and zoomed by a few hundredths of a pixel), then given another
contrast and other levels, all at render size and before clamping. The numbers are integers and
nearly all of them zero. After the motion and colour compensation of classical codecs, sent for
whole frames; what the stack judges reacts to errors far smaller than the eye sees.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seesame.bitstream.container import Container, Section
from seesame.bitstream.entropy import SymbolDecoder, SymbolEncoder, scale_for
from seesame.errors import DamagedError
from seesame.neural.render.bounds import num_pairs

Values = NDArray[np.int8]

FIELDS = ("right", "down", "zoom", "gain", "grey", "red", "blue")
"""The numbers that correct one frame, in the order of the file."""
KINDS = {"shift": (0, 1), "zoom": (2,), "gain": (3,), "colour": (4, 5, 6)}
"""Kinds of correction and the fields that belong to them."""

LIMIT = 127
MAX_PAIRS = 1 << 20
"""A longer clip has no sidecar: its numbers would cost a damaged file's reader much memory."""

POSITIONS = 4096
"""Parts of a pixel in which positions are counted."""
SHIFT_STEP = POSITIONS // 16
GAIN_STEP, LEVEL_STEP, MIDDLE = 1 / 256, 0.25, 127.5

_ABSENT, _DENSE, _SPARSE = range(3)


@dataclass(frozen=True, eq=False)
class Corrections:
    """The corrections of a clip: int8 ``(N, 2, 7)``, one of :data:`FIELDS` last; 0 is none."""

    values: Values

    @classmethod
    def none(cls, num_pairs: int) -> "Corrections":
        """Return corrections that change no pair."""
        return cls(np.zeros((num_pairs, 2, len(FIELDS)), np.int8))

    def counts(self) -> dict[str, int]:
        """Return how many pairs have a correction of each kind."""
        return {
            kind: int(self.values[:, :, fields].any(axis=(1, 2)).sum())
            for kind, fields in KINDS.items()
        }

    def text(self, size: int) -> str:
        """Return a description of a sidecar of ``size`` bytes."""
        used = ", ".join(f"{kind} {n}" for kind, n in self.counts().items() if n)
        return f"{size:,} bytes; of {len(self.values):,} pairs corrected: {used}"


def pack_sidecar(corrections: Corrections) -> bytes:
    """Return the SIDECAR section; empty when there is no correction at all.

    Raises:
        ValueError: values beyond ±127 or too many pairs.
    """
    values = corrections.values.astype(np.int64)
    if len(values) > MAX_PAIRS or np.abs(values).max(initial=0) > LIMIT:
        raise ValueError("no sidecar holds these corrections")
    if not values.any():
        return b""
    columns = values.reshape(len(values), -1).T
    coder = SymbolEncoder()
    modes = [_mode(column) for column in columns]
    coder.adaptive(modes, 3)
    for column, mode in zip(columns, modes, strict=True):
        _encode(coder, column, mode)
    return coder.to_bytes()


def _mode(column: NDArray[np.int64]) -> int:
    """Return the coding of a column that takes the fewest bytes."""
    if not column.any():
        return _ABSENT
    sizes = []
    for mode in (_DENSE, _SPARSE):
        coder = SymbolEncoder()
        _encode(coder, column, mode)
        sizes.append(len(coder.to_bytes()))
    return _DENSE if sizes[0] <= sizes[1] else _SPARSE


def _encode(coder: SymbolEncoder, column: NDArray[np.int64], mode: int) -> None:
    if mode == _ABSENT:
        return
    if mode == _SPARSE:
        coder.adaptive((column != 0).astype(np.int64), 2)
        column = column[column != 0]
        column = column - (column > 0)  # there is no zero among them: 1 takes its place
    limit = int(np.abs(column).max())
    scale = scale_for(column, limit, laplace=True)
    coder.uniform([limit], LIMIT + 1)
    coder.uniform([scale], 256)
    coder.laplace(column, scale, limit)


def _decode(coder: SymbolDecoder, count: int, mode: int) -> NDArray[np.int32]:
    column = np.zeros(count, np.int32)
    used = np.ones(count, bool)
    if mode == _SPARSE:
        used = coder.adaptive(count, 2).astype(bool)
    limit, scale = int(coder.uniform(1, LIMIT + 1)[0]), int(coder.uniform(1, 256)[0])
    found = coder.laplace(int(used.sum()), scale, limit)
    column[used] = found + (found >= 0) if mode == _SPARSE else found
    return column


def unpack_sidecar(payload: bytes, num_pairs: int, name: str) -> Corrections:
    """Read the SIDECAR section of a clip of so many pairs.

    Raises:
        DamagedError: it does not decode, or it is not what :func:`pack_sidecar` makes.
    """
    if num_pairs > MAX_PAIRS:
        raise DamagedError(f"{name} is damaged: {num_pairs:,} pairs are too many for a sidecar")
    corrections = Corrections.none(num_pairs)
    columns = corrections.values.reshape(num_pairs, -1)
    coder = SymbolDecoder(payload, name)
    for index, mode in enumerate(coder.adaptive(columns.shape[1], 3)):
        if mode == _ABSENT:
            continue
        column = _decode(coder, num_pairs, int(mode))
        if np.abs(column).max() > LIMIT or not column.any():
            raise DamagedError(f"{name} is damaged: a correction is out of range or empty")
        columns[:, index] = column
    coder.finish()
    if not columns.any():
        raise DamagedError(f"{name} is damaged: its sidecar corrects nothing")
    return corrections


def read_sidecar(container: Container) -> Corrections | None:
    """Return the corrections of a file, or None where it has none.

    Raises:
        DamagedError: the section does not decode.
    """
    payload = container.sections.get(Section.SIDECAR)
    if payload is None:
        return None
    return unpack_sidecar(payload, num_pairs(container), "the file")


def without(values: Values, fields: Sequence[int]) -> Values:
    """Return a copy with some fields of both frames at zero."""
    kept = values.copy()
    kept[..., list(fields)] = 0
    return kept
