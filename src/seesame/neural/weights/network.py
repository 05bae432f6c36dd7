"""A trainable network and its per-pair streams, with the quantisers of both."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seesame.neural.weights.quantiser import RowQuantiser, exponent_of, gaussian_bits
from seesame.neural.weights.rows import Rows
from seesame.neural.weights.tensors import Optimiser, Specs

Parameters = dict[str, Tensor]
Streams = dict[str, Tensor]


@dataclass(frozen=True)
class QuantisingTuning:
    """The numbers with which quantisation starts and a file's size is estimated.

    Args:
        first_step: first step of each row of weights, as a share of the row's root mean square;
            with 0.5 a weight costs about three bits at once.
        fine_step: the same where limits choose the size: rounding must not be what misses them, and
            the rate widens the steps where they are kept.
        first_stream_step: the same for streams, which carry far more for each value.
        step_bounds: smallest and largest share that may be chosen to meet a size.
        bisections: tries of that choice; 12 find the share to a part in a thousand.
        side_bits: bits that the step and the scale of a row take.
    """

    first_step: float = 0.5
    fine_step: float = 0.25
    first_stream_step: float = 1 / 16
    step_bounds: tuple[float, float] = (0.05, 3.0)
    bisections: int = 12
    side_bits: float = 3.0


class Quantised(NamedTuple):
    """The dequantised network parameters and streams ``(N, d)``, and the bits of both."""

    parameters: Parameters
    streams: Streams
    bits: Tensor


class ParameterGroup(NamedTuple):
    """Parameters that one optimiser trains at one multiple of the learning rate."""

    parameters: list[nn.Parameter]
    optimiser: Optimiser
    kind: str
    """``weights``, ``streams`` or ``quantisers``."""


class QuantisedWeights(nn.Module):
    """A network's weights, streams of values for each pair, and the quantisers of both.

    Weights are kept as the rows that are quantised and coded, ``(R, n)`` each. A stream holds the
    values of all pairs, ``(N, d)``; a codec may have none, one or several.

    Args:
        network: the network as it starts; only its parameters are used.
        specs: how each of its parameters is quantised, coded and trained, in the order of the file.
        streams: the streams as they start, by name.

    Raises:
        ValueError: the declaration does not fit the network.
    """

    capturable = True
    """True where a GPU's kernels may be captured: nothing is fetched from the host on the way."""
    tuning = QuantisingTuning()

    def __init__(self, network: nn.Module, specs: Specs, streams: Mapping[str, Tensor]) -> None:
        super().__init__()
        parameters = dict(network.named_parameters())
        declared = {name: spec.shape for name, spec in specs.items()}
        shapes = {name: tuple(p.shape) for name, p in parameters.items()}
        if declared != shapes:
            wrong = dict(set(declared.items()) ^ set(shapes.items()))
            raise ValueError(
                f"the declared tensors are not those of the network: {', '.join(sorted(wrong))}"
            )
        if len({len(values) for values in streams.values()}) > 1:
            raise ValueError("the streams are (N, d) each, for the same number N of pairs")
        self.specs = specs
        self.rows = nn.ParameterDict()
        for name, spec in specs.items():
            self.rows[_key(name)] = parameters[name].detach().reshape(spec.row_shape).clone()
        self.streams = nn.ParameterDict({name: nn.Parameter(x) for name, x in streams.items()})
        self.quantisers: nn.ModuleDict | None = None

    @torch.no_grad()
    def set_tensor(self, name: str, value: Tensor) -> None:
        """Give the parameter called ``name`` the values of a tensor with as many."""
        self.rows[_key(name)].copy_(value.reshape(self.specs[name].row_shape))

    def groups(self) -> list[ParameterGroup]:
        """Return all weights and streams, by the optimiser that trains them."""
        found: list[ParameterGroup] = []
        kinds: tuple[Optimiser, ...] = ("adam", "normuon")
        for kind in kinds:
            of_kind = [self.rows[_key(n)] for n, s in self.specs.items() if s.optimiser == kind]
            found.append(ParameterGroup(of_kind, kind, "weights"))
        return [*found, ParameterGroup(list(self.streams.values()), "adam", "streams")]

    def quantiser_group(self) -> ParameterGroup:
        """Return the quantisers' own parameters, once quantisation has started."""
        assert self.quantisers is not None, "quantisation has not started"
        return ParameterGroup(list(self.quantisers.parameters()), "adam", "quantisers")

    def start_quantising(
        self, size: int | None = None, largest: bool = False, fine: bool = False
    ) -> None:
        """Create the quantisers from the present weights.

        Args:
            size: bytes that the whole should take; without it steps are the usual share of the
                weights' spread.
            largest: the size is a bound, and not an aim: steps are never finer than usual.
            fine: usual steps are the fine ones.
        """
        tuning = self.tuning
        usual = tuning.fine_step if fine else tuning.first_step
        if size is None:
            self._quantise(usual)
            return
        low, high = tuning.step_bounds
        if largest:
            low = usual
        for _ in range(tuning.bisections):
            middle = math.sqrt(low * high)
            self._quantise(middle)
            with torch.no_grad():
                too_large = float(self.quantised().bits) > 8 * size
            low, high = (middle, high) if too_large else (low, middle)

    def _quantise(self, share: float) -> None:
        fine, streams = self.tuning.first_stream_step, self.streams.items()
        made = {f"row {key}": RowQuantiser(rows, share) for key, rows in self.rows.items()}
        made |= {f"stream {name}": RowQuantiser(values.T, fine) for name, values in streams}
        self.quantisers = nn.ModuleDict(made)

    def quantised(self) -> Quantised:
        """Return the dequantised parameters and streams and their estimated bits.

        Before quantisation starts: the floats themselves, and 0 bits.
        """
        if self.quantisers is None:
            nothing = next(iter(self.rows.values())).new_zeros(())
            return Quantised(self._shaped(dict(self.rows.items())), dict(self.streams), nothing)
        values, powers, counts = {}, [], []
        for key, rows in self.rows.items():
            values[key], symbols = self.quantisers[f"row {key}"](rows)
            powers.append(symbols.square().mean(1))
            counts.append(torch.full((len(rows),), rows.shape[1], device=rows.device))
        sizes = [sum(map(len, powers))]
        streams = {}
        for name, stream in self.streams.items():
            rows, symbols = self.quantisers[f"stream {name}"](stream.T)
            streams[name] = rows.T
            moved = torch.diff(symbols, dim=1, prepend=symbols.new_zeros(len(symbols), 1))
            for coded in (symbols, moved):
                powers.append(coded.square().mean(1))
                counts.append(torch.full((len(coded),), coded.shape[1], device=coded.device))
                sizes.append(len(coded))
        bits = gaussian_bits(torch.cat(powers), torch.cat(counts))
        weights, *parts = torch.split(bits, sizes)
        total = weights.sum()
        for plain, moving in zip(parts[::2], parts[1::2], strict=True):
            total = total + torch.minimum(plain, moving).sum()
        rows_of_all = sizes[0] + sum(sizes[1::2])
        total = total + self.tuning.side_bits * rows_of_all
        return Quantised(self._shaped(values), streams, total)

    def _shaped(self, rows: dict[str, Tensor]) -> Parameters:
        return {name: rows[_key(name)].view(spec.shape) for name, spec in self.specs.items()}

    @torch.no_grad()
    def symbols(self) -> tuple[dict[str, Rows], dict[str, Rows]]:
        """Return symbols and exponents of the network's tensors and of the streams ``(d, N)``."""
        assert self.quantisers is not None, "quantisation has not started"
        made, keys = self.quantisers, {name: _key(name) for name in self.specs}
        weights = {n: _symbols(made[f"row {key}"], self.rows[key]) for n, key in keys.items()}
        streams = {n: _symbols(made[f"stream {n}"], x.T) for n, x in self.streams.items()}
        return weights, streams


class QuantisedNetwork(QuantisedWeights, ABC):
    """A network that is fitted to one clip, whose streams are that clip's; see above."""

    @abstractmethod
    def decode(self, parameters: Parameters, streams: Streams, pairs: Tensor) -> Tensor:
        """Return frames ``(B, 2, 3, h, w)`` of the pairs numbered ``(B,)``, not clamped.

        Frames have the render size of the encode and grey levels 0..255. What this needs beside its
        arguments is not moved to their device.

        Args:
            parameters: of the network, by their names.
            streams: the values of all pairs, ``(N, d)`` each.
            pairs: which.
        """


def _symbols(quantiser: nn.Module, rows: Tensor) -> Rows:
    assert isinstance(quantiser, RowQuantiser)
    _, symbols = quantiser(rows)
    exponents = exponent_of(quantiser.log_step)
    return Rows(symbols.round().long().cpu().numpy(), exponents.long().cpu().numpy())


def _key(name: str) -> str:
    """Return the key of a parameter in a ParameterDict, whose keys may not hold dots."""
    return name.replace(".", "_")
