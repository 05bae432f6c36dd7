"""A trainable network and latents with their quantisers, from floats to symbols."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from seesame.neural.weights.quantizer import RowQuantizer, as_rows, exponent_of, gaussian_bits
from seesame.neural.weights.rows import Rows

Parameters = dict[str, Tensor]
LATENTS = "latents"
SHARE = 0.5
LATENT_SHARE = 1 / 16
"""First steps of weights and latents as shares of their rows' root mean squares."""
SHARES = (0.05, 3.0)
"""Bounds of the weights' share where a size is asked for."""
BISECTIONS = 12
SIDE_BITS = 3.0
"""What a row's step and scale take."""


class QuantisedNetwork(nn.Module, ABC):
    """A network, a latent for each pair, and the quantisers of both.

    Weights are kept as the rows that are quantised and coded, ``(R, n)`` each.

    Args:
        network: as it starts.
        latents: ``(N, latent)``, as they start.
        grid_cells: of a decoder's stem, see :func:`~seesame.neural.weights.quantizer.as_rows`.
    """

    capturable = True
    """Whether a GPU's kernels may be captured: nothing is fetched from the host on the way."""

    def __init__(self, network: nn.Module, latents: Tensor, grid_cells: int = 1) -> None:
        super().__init__()
        self.shapes = {name: p.shape for name, p in network.named_parameters()}
        self.rows = nn.ParameterDict(
            {
                row_key(n): as_rows(n, p.detach(), grid_cells).clone()
                for n, p in network.named_parameters()
            }
        )
        self.latents = nn.Parameter(latents)
        self.quantizers: nn.ModuleDict | None = None

    def start_quantising(
        self, size: int | None = None, largest: bool = False
    ) -> list[nn.Parameter]:
        """Create the quantisers from the present weights; returns their parameters.

        Args:
            size: bytes that the whole should take; without it steps are the usual share of the
                weights' spread.
            largest: the size is a bound, and not an aim: steps are never finer than usual.
        """
        if size is None:
            self._quantise(SHARE)
        else:
            low, high = SHARE if largest else SHARES[0], SHARES[1]
            for _ in range(BISECTIONS):
                middle = math.sqrt(low * high)
                self._quantise(middle)
                with torch.no_grad():
                    too_large = float(self.quantised()[2]) > 8 * size
                low, high = (middle, high) if too_large else (low, middle)
        assert self.quantizers is not None
        return list(self.quantizers.parameters())

    def _quantise(self, share: float) -> None:
        made = {key: RowQuantizer(rows, share) for key, rows in self.rows.items()}
        made[LATENTS] = RowQuantizer(self.latents.T, LATENT_SHARE)
        self.quantizers = nn.ModuleDict(made)

    def quantised(self) -> tuple[Parameters, Tensor, Tensor]:
        """Dequantised network parameters, latents ``(N, latent)``, and the bits of both.

        Before quantisation starts: the floats themselves, and 0 bits.
        """
        if self.quantizers is None:
            return self._shaped(dict(self.rows.items())), self.latents, self.latents.new_zeros(())
        values, powers, counts = {}, [], []
        for key, rows in self.rows.items():
            values[key], symbols = self.quantizers[key](rows)
            powers.append(symbols.square().mean(1))
            counts.append(torch.full((len(rows),), rows.shape[1], device=rows.device))
        latents, symbols = self.quantizers[LATENTS](self.latents.T)
        moved = torch.diff(symbols, dim=1, prepend=symbols.new_zeros(len(symbols), 1))
        counts += 2 * [torch.full((len(symbols),), symbols.shape[1], device=symbols.device)]
        powers += [symbols.square().mean(1), moved.square().mean(1)]
        bits = gaussian_bits(torch.cat(powers), torch.cat(counts))
        weights, plain, moving = torch.split(
            bits, [len(bits) - 2 * len(moved), len(moved), len(moved)]
        )
        total = weights.sum() + torch.minimum(plain, moving).sum()
        total = total + SIDE_BITS * (len(weights) + len(moved))
        return self._shaped(values), latents.T, total

    def _shaped(self, rows: dict[str, Tensor]) -> Parameters:
        return {name: rows[row_key(name)].view(shape) for name, shape in self.shapes.items()}

    @abstractmethod
    def decode(self, parameters: Parameters, latents: Tensor, pairs: Tensor) -> Tensor:
        """Frames ``(B, 2, 3, h, w)`` of the pairs numbered ``(B,)``.

        Args:
            parameters: of the network.
            latents: of all pairs, ``(N, latent)``.
            pairs: which.
        """

    @torch.no_grad()
    def symbols(self) -> tuple[dict[str, Rows], Rows]:
        """Symbols and exponents of the network's tensors and of the latents ``(latent, N)``."""
        assert self.quantizers is not None, "quantisation has not started"
        weights = {
            name: _symbols(self.quantizers[row_key(name)], self.rows[row_key(name)])
            for name in self.shapes
        }
        return weights, _symbols(self.quantizers[LATENTS], self.latents.T)


def _symbols(quantizer: nn.Module, rows: Tensor) -> Rows:
    assert isinstance(quantizer, RowQuantizer)
    _, symbols = quantizer(rows)
    exponents = exponent_of(quantizer.log_step)
    return Rows(symbols.round().long().cpu().numpy(), exponents.long().cpu().numpy())


def row_key(name: str) -> str:
    """The key of a decoder parameter among the rows: module names may not hold dots."""
    return name.replace(".", "_")
