"""What a coder of masks knows before the first mask, learned from other drives.

A short clip is over before the predictors have learned much. A prior starts them with the weights
of the network and of the mixers that other drives of the same stack ended with. It has nothing of
those drives' sizes, and counters and tables start empty: they learn fast enough.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seesame.bitstream.entropy import SymbolDecoder, SymbolEncoder, scale_for
from seesame.codecs.semantic.masks.coder import Masks, mask_bits
from seesame.codecs.semantic.masks.model import UNPRIMED, new_model, settings_array
from seesame.errors import DamagedError

Ints = NDArray[np.int64]

_VERSION = 1
_LIMIT = 1 << 15


@dataclasses.dataclass(frozen=True)
class PriorSettings:
    """How a prior is learned and how coarsely it is kept.

    Attributes:
        net_rates: learning rate of the network in each round over the drives, in 65536ths.
        rows: how many rows of mixer weights are kept, those used most; the others share one row.
        first_step: quantiser step of the network's first weights, of 2**20.
        second_step: of its second weights, of 2**16.
        mixer_step: of the mixers' weights, of 2**16.
    """

    net_rates: tuple[int, ...] = (328, 200)
    rows: int = 400
    first_step: int = 1 << 17
    second_step: int = 1 << 9
    mixer_step: int = 1 << 13


@dataclasses.dataclass(frozen=True)
class Prior:
    """Weights at the start, as whole numbers of quantiser steps.

    Attributes:
        steps: of ``first``, ``second`` and all the others.
        first: of the network, ``(inputs, HIDDEN)``.
        second: of the network, ``(HIDDEN + 1,)``.
        final: weights of the mixers, ``(64, SETS)``.
        sure: weights in uniform regions, ``(32, SURE_TABLES)``.
        shared: mixer weights of all rows, ``(SETS, INPUTS)``.
        places: rows with weights of their own, rising, ``(rows,)``.
        own: what these have more than the shared ones, ``(rows, INPUTS)``.
    """

    steps: tuple[int, int, int]
    first: Ints
    second: Ints
    final: Ints
    sure: Ints
    shared: Ints
    places: Ints
    own: Ints

    def apply(self, model: Any) -> None:
        """Bring a fresh ``loops.Model`` to this start."""
        first, second, others = self.steps
        model.first[:] = self.first * first
        model.second[:] = self.second * second
        model.mixer.final[:] = self.final * others
        model.sure_weights[:] = self.sure * others
        sets = model.mixer.sets
        sets[:] = self.shared[:, None] * others
        sets.reshape(-1, sets.shape[-1])[self.places] += (self.own * others).astype(np.int32)

    def to_bytes(self) -> bytes:
        """Return the prior as bytes, for :meth:`from_bytes`."""
        coder = SymbolEncoder()
        coder.uniform([_VERSION, len(self.places)], 1 << 16)
        coder.uniform(self.steps, 1 << 20)
        for values in self._arrays():
            values = values.ravel()
            limit = int(np.abs(values).max(initial=1))
            scale = scale_for(values, limit, laplace=True)
            coder.uniform([limit, scale], _LIMIT)
            coder.laplace(values, scale, limit)
        return coder.to_bytes()

    def _arrays(self) -> tuple[Ints, ...]:
        gaps = np.diff(self.places, prepend=0)
        return self.first, self.second, self.final, self.sure, self.shared, gaps, self.own

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "the prior") -> "Prior":
        """Return the prior of :meth:`to_bytes`.

        Args:
            data: the bytes.
            name: what errors call them.

        Raises:
            DamagedError: the bytes are no prior of this version.
        """
        model = new_model(1, 1)
        coder = SymbolDecoder(data, name)
        version, rows = map(int, coder.uniform(2, 1 << 16))
        sets = model.mixer.sets
        if version != _VERSION or rows > sets.shape[0] * sets.shape[1]:
            raise DamagedError(f"{name} is damaged, or a prior of masks of another version")
        first_step, second_step, other_step = map(int, coder.uniform(3, 1 << 20))
        shared, own = (sets.shape[0], sets.shape[2]), (rows, sets.shape[2])
        fixed = [a.shape for a in (model.first, model.second, model.mixer.final)]
        arrays = []
        for shape in (*fixed, model.sure_weights.shape, shared, (rows,), own):
            limit, scale = map(int, coder.uniform(2, _LIMIT))
            values = coder.laplace(int(np.prod(shape)), scale, limit)
            arrays.append(values.astype(np.int64).reshape(shape))
        coder.finish()
        first, second, final, sure, shared_rows, gaps, own_rows = arrays
        places = np.cumsum(gaps)
        if rows and (gaps[1:].min(initial=1) < 1 or gaps[0] < 0 or places[-1] >= sets[..., 0].size):
            raise DamagedError(f"{name} is damaged: its rows are out of order")
        steps = first_step, second_step, other_step
        return cls(steps, first, second, final, sure, shared_rows, places, own_rows)


def learn_prior(
    clips: Sequence[Masks], classes: int, settings: PriorSettings | None = None
) -> bytes:
    """Return a prior learned from the masks of other drives, for :meth:`Prior.from_bytes`.

    It takes some seconds for a hundred masks.

    Args:
        clips: masks of at least one drive each, uint8 ``(T, h, w)`` of any sizes.
        classes: as for :func:`~seesame.codecs.semantic.masks.coder.encode_masks`.
        settings: how it is learned.

    Raises:
        ValueError: no clip is given, or masks are not of that kind.
    """
    settings = settings or PriorSettings()
    if not clips:
        raise ValueError("a prior is learned from the masks of one drive at least")
    learned = None
    for rate in settings.net_rates:
        for clip in clips:
            model = new_model(*clip.shape[1:])
            if learned is not None:
                for new, old in zip(_learned(model), _learned(learned), strict=True):
                    new[:] = old
            model.settings[:] = settings_array(dataclasses.replace(UNPRIMED, net_rate=rate))
            mask_bits(clip, classes, model=model)
            learned = model
    return _kept(learned, settings).to_bytes()


def _learned(model: Any) -> tuple[Any, ...]:
    """Return the arrays that go from one drive to the next."""
    mixer = model.mixer
    network = model.first, model.second, model.sure, model.sure_weights
    return (*network, mixer.sets, mixer.final, mixer.maps, mixer.visits, model.contexts.history)


def _kept(model: Any, settings: PriorSettings) -> Prior:
    """Return the weights of a model in quantiser steps."""
    sets, visits = model.mixer.sets.astype(np.int64), model.mixer.visits
    # The shared row is the mean over all decisions, in whole numbers.
    shared = (sets * visits[..., None]).sum(1) // np.maximum(visits.sum(1), 1)[:, None]
    shared = _steps(shared, settings.mixer_step)
    most = np.argsort(-visits.ravel(), kind="stable")[: settings.rows]
    places = np.sort(most[visits.ravel()[most] > 0])
    own = _steps(sets.reshape(-1, sets.shape[-1])[places], settings.mixer_step)
    return Prior(
        steps=(settings.first_step, settings.second_step, settings.mixer_step),
        first=_steps(model.first, settings.first_step),
        second=_steps(model.second, settings.second_step),
        final=_steps(model.mixer.final, settings.mixer_step),
        sure=_steps(model.sure_weights, settings.mixer_step),
        shared=shared,
        places=places,
        own=own - shared[places // sets.shape[1]],
    )


def _steps(values: Any, step: int) -> Ints:
    """Return values in steps, rounded, within what a prior can hold."""
    whole: Ints = (np.asarray(values, np.int64) + step // 2) // step
    return np.clip(whole, -_LIMIT // 4, _LIMIT // 4)
