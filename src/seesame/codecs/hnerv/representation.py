"""The trainable whole: decoder, latents and quantisers, from floats to a packed file."""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from seesame.codecs.hnerv.model import Architecture, Decoder
from seesame.codecs.hnerv.quantize import (
    RowQuantizer,
    as_axes,
    as_rows,
    exponent_of,
    gaussian_bits,
)
from seesame.codecs.hnerv.rows import Rows

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


def row_shapes(architecture: Architecture) -> dict[str, tuple[int, int]]:
    """Shapes of the decoder's tensors as rows, in the order of the WEIGHTS section."""
    cells = architecture.grid[0] * architecture.grid[1]
    named = Decoder(architecture, meta=True).named_parameters()
    return {name: cast(tuple[int, int], tuple(as_rows(name, p, cells).shape)) for name, p in named}


def tensor_axes(architecture: Architecture) -> dict[str, tuple[int, int, int]]:
    """The axes of the decoder's tensors along which their symbols' scales may vary."""
    cells = architecture.grid[0] * architecture.grid[1]
    named = Decoder(architecture, meta=True).named_parameters()
    return {name: as_axes(name, p, cells) for name, p in named}


class Representation(nn.Module):
    """A clip as a decoder, a latent for each pair, and the quantisers of both.

    Weights are kept as the rows that are quantised and coded, ``(R, n)`` each.

    Args:
        architecture: the decoder's shape.
        num_pairs: latents.
    """

    def __init__(self, architecture: Architecture, num_pairs: int) -> None:
        super().__init__()
        self.architecture = architecture
        cells = architecture.grid[0] * architecture.grid[1]
        first = Decoder(architecture)
        self.shapes = {name: p.shape for name, p in first.named_parameters()}
        self.rows = nn.ParameterDict(
            {row_key(n): as_rows(n, p.detach(), cells).clone() for n, p in first.named_parameters()}
        )
        # Only its form, with parameters always handed in; the tuple keeps it out of this module.
        self._form = (Decoder(architecture, meta=True),)
        # Neighbouring pairs look alike: a random walk starts closer than noise, and codes better.
        walk = torch.randn(num_pairs, architecture.latent).cumsum(0)
        walk = walk - walk.mean(0)
        spread = walk.square().mean().sqrt()
        self.latents = nn.Parameter(walk / spread.clamp(min=1e-3))
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
        """Dequantised decoder parameters, latents ``(N, latent)``, and the bits of both.

        Before quantisation starts: the floats themselves, and 0 bits.
        """
        if self.quantizers is None:
            return self._shaped(dict(self.rows.items())), self.latents, torch.zeros(())
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

    def decode(self, parameters: Parameters, latents: Tensor) -> Tensor:
        """Frames ``(B, 2, 3, h, w)`` of some latents under given parameters."""
        frames: Tensor = functional_call(self._form[0], parameters, (latents,))
        return frames

    @torch.no_grad()
    def symbols(self) -> tuple[dict[str, Rows], Rows]:
        """Symbols and exponents of the decoder's tensors and of the latents ``(latent, N)``."""
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
