"""The trainable whole: decoder, latents and quantisers, from floats to a packed file."""

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

    Args:
        architecture: the decoder's shape.
        num_pairs: latents.
    """

    def __init__(self, architecture: Architecture, num_pairs: int) -> None:
        super().__init__()
        self.architecture = architecture
        self.cells = architecture.grid[0] * architecture.grid[1]
        self.decoder = Decoder(architecture)
        # Neighbouring pairs look alike: a random walk starts closer than noise, and codes better.
        walk = torch.randn(num_pairs, architecture.latent).cumsum(0)
        walk = walk - walk.mean(0)
        spread = walk.square().mean().sqrt()
        self.latents = nn.Parameter(walk / spread.clamp(min=1e-3))
        self.quantizers: nn.ModuleDict | None = None

    def start_quantising(self) -> list[nn.Parameter]:
        """Create the quantisers from the present weights; returns their parameters."""
        made = {
            _key(name): RowQuantizer(as_rows(name, p, self.cells))
            for name, p in self.decoder.named_parameters()
        }
        made["latents"] = RowQuantizer(self.latents.T, share=1 / 16)
        self.quantizers = nn.ModuleDict(made)
        return list(self.quantizers.parameters())

    def quantised(self) -> tuple[Parameters, Tensor, Tensor]:
        """Dequantised decoder parameters, latents ``(N, latent)``, and the bits of both.

        Before quantisation starts: the floats themselves, and 0 bits.
        """
        named: Parameters = dict(self.decoder.named_parameters())
        if self.quantizers is None:
            return named, self.latents, torch.zeros(())
        bits = torch.zeros(())
        parameters = {}
        for name, p in named.items():
            rows, symbols = self.quantizers[_key(name)](as_rows(name, p, self.cells))
            parameters[name] = rows.reshape(p.shape)
            bits = bits + gaussian_bits(symbols).sum()
        rows, symbols = self.quantizers["latents"](self.latents.T)
        moved = torch.diff(symbols, dim=1, prepend=symbols.new_zeros(len(symbols), 1))
        bits = bits + torch.minimum(gaussian_bits(symbols), gaussian_bits(moved)).sum()
        return parameters, rows.T, bits

    def decode(self, parameters: Parameters, latents: Tensor) -> Tensor:
        """Frames ``(B, 2, 3, h, w)`` of some latents under given parameters."""
        frames: Tensor = functional_call(self.decoder, parameters, (latents,))
        return frames

    @torch.no_grad()
    def rows(self) -> tuple[dict[str, Rows], Rows]:
        """Symbols and exponents of the decoder's tensors and of the latents ``(latent, N)``."""
        assert self.quantizers is not None, "quantisation has not started"
        weights = {
            name: _rows(self.quantizers[_key(name)], as_rows(name, p, self.cells))
            for name, p in self.decoder.named_parameters()
        }
        return weights, _rows(self.quantizers["latents"], self.latents.T)


def _rows(quantizer: nn.Module, rows: Tensor) -> Rows:
    assert isinstance(quantizer, RowQuantizer)
    _, symbols = quantizer(rows)
    exponents = exponent_of(quantizer.log_step)
    return Rows(symbols.round().long().cpu().numpy(), exponents.long().cpu().numpy())


def _key(name: str) -> str:
    """Module names may not hold dots."""
    return name.replace(".", "_")
