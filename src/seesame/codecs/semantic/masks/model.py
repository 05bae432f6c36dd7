"""The model that predicts a mask's decisions, before it has seen any."""

import dataclasses
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from seesame.bitstream import mixing
from seesame.bitstream.mixing_loops import LARGEST, ONE


@dataclasses.dataclass(frozen=True)
class MaskSettings:
    """Learning rates and limits of the predictors.

    The order of the fields is that of the compiled code.

    Attributes:
        mixer_rate: of the mixers' weights.
        final_rate: of the weights that mix the mixers.
        net_rate: of the network, in 65536ths.
        map_shift: adaptive maps move by 2 to the minus this.
        limit: highest count of a counter, up to 1023.
        sure_rate: of the weights in uniform regions.
        sure_shift: tables of uniform regions move by 2 to the minus this.
        chain: for lossy choices, how many wrong pixels may hang together.
    """

    mixer_rate: int = 64
    final_rate: int = 8
    net_rate: int = 328
    map_shift: int = 6
    limit: int = 1000
    sure_rate: int = 20
    sure_shift: int = 8
    chain: int = 0


UNPRIMED = MaskSettings()
PRIMED = MaskSettings(mixer_rate=16, net_rate=60, sure_shift=6)
"""With a prior there is less to learn."""

_NAMES = (
    "w n nw ne ww nn nee nww www nnn nne3 nne nnw nnee nw3 nnww",
    "p pe ps pw pn pse psw pne pnw pee pss pww pnn pe3 pw3 ps3",
    "m me ms mw mn mse msw mne mnw mee mss mww mnn",
    "q qe qs qw qn qse",
    "b be bs bw bn bse bsw bne bnw",
)
"""Names of neighbours by group: n is above, w to the left. p is the pixel in the last mask, m that
in the last mask shifted, q that in the mask before, b that in the mask before shifted."""

_CROSS = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))
_BOX = (*_CROSS, (1, 1), (1, -1), (-1, 1), (-1, -1))
_STAR = (*_BOX, (0, 2), (2, 0), (0, -2), (-2, 0))
_NAMED = (
    (
        (0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-1, 2), (-1, -2), (0, -3), (-3, 0),
        (-1, 3), (-2, 1), (-2, -1), (-2, 2), (-1, -3), (-2, -2),
    ),
    (*_STAR, (0, 3), (0, -3), (3, 0)),
    _STAR,
    (*_CROSS, (1, 1)),
    _BOX,
)  # fmt: skip

_A, _B, _C, _M = "w n nw ne", "p pe ps pw pn", "pse psw pne pnw", "m me ms mw mn mse msw mne mnw"
_CONTEXTS = (
    (f"{_A} p pe ps", "classes"),
    (f"{_A} ww nn nee nww", ""),
    (f"{_B} {_C}", "classes"),
    (f"{_A} {_B}", ""),
    ("w n p", "classes"),
    (f"{_A} {_B} {_C}", ""),
    ("w n p q qe qs pe ps", ""),
    (f"{_A} {_B} ww nn nee nww pee pss", ""),
    ("w n p", "class area"),
    (f"{_A} {_B} q qe qs", ""),
    ("w n ne p pe pw ps pn", "misfit"),
    ("p w n ne", "y class"),
    ("m me ms mse w n ne", "misfit classes"),
    (f"m me ms {_A} p", "shift"),
    ("p w n ne", "surprises"),
    (f"{_A} ww www nn nnn nee nne3 nne nnw p", ""),
    ("p q pe qe ps qs pw qw", "classes"),
    (f"{_A} p pe ps pee pse pss", "misfit"),
    ("p w n", "x class"),
    (f"{_A} {_B} {_C} pee pww pss pnn", ""),
    (f"{_A} {_B}", "surprises"),
    (f"{_A} {_B} {_C} ww nn nee nww q", ""),
    ("p w", "place class"),
    ("pe3 pee pe p pw pww w ww n ne nee nne3", ""),
    (_M, "classes misfit"),
    (f"{_M} {_A}", "misfits"),
    (f"{_M} {_A} ww nn nee mee mss", ""),
    (f"b be bs bw bn {_A}", "class"),
    ("b be bs p m w n", ""),
    ("w n", "earlier_runs runs"),
    ("w n p ne m", "border classes"),
    (f"{_M} {_A} ww nn nee nww nne mee mss mww mnn p q", ""),
)
"""Neighbours and facts of each context."""

_FACTS = (
    "none", "class", "classes", "y", "x", "area", "surprises", "misfit", "place", "border", "runs",
    "earlier_runs", "shift", "misfits",
)  # fmt: skip
_SLOT_BITS = 16
_FURTHER = 200
"""Inputs of the network beside the neighbours."""


class Primer(Protocol):
    """Anything that brings a fresh model to a better start, see ``prior.Prior``."""

    def apply(self, model: Any) -> None:
        """Change the arrays of a fresh model."""


def _rows(*rows: tuple[int, int, int], flip: bool) -> list[tuple[int, int]]:
    """Return places row by row, each (row, first column, last column), walked to and fro."""
    walk: list[tuple[int, int]] = []
    for y, first, last in rows:
        row = [(y, x) for x in range(first, last + 1)]
        walk += row[::-1] if flip else row
        flip = not flip
    return walk


@lru_cache(maxsize=1)
def _near() -> tuple[list[tuple[int, int]], ...]:
    """Return the places of the neighbours that the network sees, by group."""

    def box(height: int, width: int) -> list[tuple[int, int]]:
        return _rows(*((y, -width, width) for y in range(-height, height + 1)), flip=True)

    causal = _rows((0, -7, -1), flip=True)
    causal += _rows((-1, -7, 7), (-2, -6, 6), (-3, -5, 5), (-4, -4, 4), flip=False)
    return causal, box(4, 5), box(2, 3), box(2, 2), box(1, 1)


def _layout(stride: int) -> Any:
    from seesame.codecs.semantic.masks.surroundings import Layout

    def flat(groups: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        places = np.array([y * stride + x for group in groups for y, x in group], np.int64)
        return places, np.cumsum([0, *map(len, groups)])

    return Layout(*flat(_NAMED), *flat(_near()))


def _start_of_network(inputs: int, hidden: int) -> NDArray[np.int32]:
    """Return first weights that look random, from a formula in whole numbers."""
    with np.errstate(over="ignore"):
        number = (np.arange(inputs * hidden, dtype=np.int64) + 1) * 0x5851F42D4C957F2D
        number ^= (number >> 29) & 0x7FFFFFFFF
        number *= 0x2545F4914F6CDD1D
    weights = 2 * (((number >> 45) & 0x3FFFF) - (1 << 17)).reshape(inputs, hidden)
    weights[inputs - _FURTHER :] //= 4
    return weights.astype(np.int32)


def new_model(height: int, width: int, prior: Primer | None = None) -> Any:
    """Return a ``loops.Model`` that has seen no mask, for masks of a size in pixels."""
    from seesame.codecs.semantic.masks import loops
    from seesame.codecs.semantic.masks import predictor as p
    from seesame.codecs.semantic.masks.surroundings import MARGIN, Memory

    names = " ".join(_NAMES).split()
    count, stride = len(_CONTEXTS), width + 2 * MARGIN
    masks = [sum(1 << names.index(name) for name in used.split()) for used, _ in _CONTEXTS]
    facts = [[*map(_FACTS.index, used.split()), 0, 0][:2] for _, used in _CONTEXTS]
    sets = np.zeros((p.SETS, p.ROWS, p.INPUTS), np.int32)
    sets[..., :count], sets[..., 2 * count : 3 * count] = 9175, 4587  # 0.14 and 0.07
    sets[..., 3 * count + 1] = 13000
    history = np.zeros((count, 256), np.int32)
    for last in range(1, 256):
        ones, seen = last.bit_count() - 1, last.bit_length() - 1
        history[:, last] = ((10 * ones + 4) * 65536 // (10 * seen + 8)) << 10 | 20
    squash, counts = mixing.squash_table(), np.arange(1024)
    knots = np.clip((np.arange(p.KNOTS) - p.KNOTS // 2) * p.KNOT, -LARGEST, LARGEST)
    maps = np.broadcast_to(squash[knots + LARGEST], (p.MAPS, p.MAP_ROWS, p.KNOTS))
    sure = np.full((2, loops.SURE_TABLES, loops.SURE_ROWS), ONE // 200, np.int32)
    sure[1] = ONE // 8
    inputs = -(-sum(map(len, _near())) // 8) * 8 + _FURTHER
    planes = [np.zeros((height + 2 * MARGIN, stride), np.uint8) for _ in range(5)]
    fresh = (ONE // 2) | (1 << 48)
    model = loops.Model(
        settings=settings_array(UNPRIMED if prior is None else PRIMED),
        tables=p.Tables(
            squash=squash.copy(),
            stretch=mixing.stretch_table().copy(),
            confidence=(10240 * counts // (10 * counts + 12)).astype(np.int32),
            rates=(131072 // (2 * counts + 3)).astype(np.int32),
        ),
        layout=_layout(stride),
        contexts=p.Contexts(
            masks=np.array(masks, np.int64),
            facts=np.array(facts, np.int64),
            slots=np.full((count, 1 << _SLOT_BITS), fresh, np.int64),
            history=history,
        ),
        mixer=p.Mixer(
            sets=sets,
            final=np.full((64, p.SETS), 65536 // p.SETS, np.int32),
            maps=maps.copy(),
            visits=np.zeros((p.SETS, p.ROWS), np.int64),
        ),
        first=_start_of_network(inputs, p.HIDDEN),
        second=np.zeros(p.HIDDEN + 1, np.int32),
        sure=sure,
        sure_weights=np.full((32, loops.SURE_TABLES), 65536 // 4, np.int32),
        memory=Memory(*planes),
    )
    if prior is not None:
        prior.apply(model)
    return model


def settings_array(settings: MaskSettings) -> NDArray[np.int64]:
    """Return settings as the compiled code takes them."""
    return np.array(dataclasses.astuple(settings), np.int64)
