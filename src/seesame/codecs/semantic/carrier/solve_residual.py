"""The search for the residuals of the few pairs whose pose no code shows.

The pose net's gradient leads a grid of grey levels to the wanted pose (as in Szegedy et al. 2014,
"Intriguing properties of neural networks", where it leads a picture to a wanted class). The loss
is what the score counts: the pose distortion and the bytes of the grid, by the logarithm of its
symbols, which leaves most of them at zero.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seesame.codecs.semantic.carrier.network import Carrier
from seesame.codecs.semantic.carrier.residual import GRID, Residuals, added
from seesame.codecs.semantic.carrier.solve import Through, Told
from seesame.neural.weights.quantiser import straight_through
from seesame.perception.stack import Stack
from seesame.video.resize import resize

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class ResidualTuning:
    """The effort that is spent on residuals.

    Args:
        bytes: what a residual takes, about, for the choice of pairs to try.
        most: share of the pairs that are tried, at most.
        batch: pairs at once.
        steps: of Adam.
        quantised: share of the steps after which grids are rounded to whole steps.
        rate: the learning rate in steps of the grid, at first.
        last_rate: what is left of it in the end.
        step: of a grid's values, in grey levels.
        least: pose distortion that is taken for reached by pairs that are not tried.
    """

    bytes: float = 90.0
    most: float = 0.15
    batch: int = 16
    steps: int = 60
    quantised: float = 0.3
    rate: float = 1.0
    last_rate: float = 0.1
    step: int = 4
    least: float = 1e-6


TUNING = ResidualTuning()


@dataclass(frozen=True, eq=False)
class Pairs:
    """What is known of a clip's pairs after the search for codes.

    Args:
        poses: wanted, ``(N, P)``.
        second: pictures of the second frames ``(N, 3, h, w)`` as the stack sees them.
        first: those of the first frames where these have masks of their own.
        codes: ``float32 (N, K)``.
        distortions: pose distortion of each pair, ``(N,)``.
    """

    poses: Tensor
    second: Tensor
    first: Tensor | None
    codes: Tensor
    distortions: Reals


def solve_residuals(
    carrier: Carrier,
    stack: Stack,
    pairs: Pairs,
    through: Through,
    byte_value: float,
    told: Told = lambda share: None,
    tuning: ResidualTuning = TUNING,
) -> Residuals:
    """Return residuals that lower the score, none where that is best.

    Args:
        carrier: on the device where all runs.
        stack: differentiable, on that device.
        pairs: of the clip.
        through: makes of drawn pictures those that the stack will see.
        byte_value: what a byte costs in the score.
        told: called with the share done.
        tuning: the effort.
    """
    chosen = _worth_trying(pairs.distortions, byte_value, tuning)
    if not len(chosen):
        return Residuals.none()
    left = np.delete(pairs.distortions, chosen)
    usual = max(tuning.least, float(left.mean()) if len(left) else 0.0)
    worth = math.sqrt(10 / usual) / (2 * len(pairs.distortions))
    grids, found = [], []
    for start in range(0, len(chosen), tuning.batch):
        part = chosen[start : start + tuning.batch]
        grid, distortion = _solve(carrier, stack, pairs, part, through, (worth, byte_value), tuning)
        grids.append(grid)
        found.append(distortion)
        told(min(1.0, (start + len(part)) / len(chosen)))
    residuals = Residuals(chosen, np.concatenate(grids), tuning.step)
    return _kept(residuals, np.concatenate(found), pairs.distortions, byte_value)


def _worth_trying(
    distortions: Reals, byte_value: float, tuning: ResidualTuning
) -> NDArray[np.int64]:
    """Return the pairs, rising, whose residuals may pay, the score's square root considered."""
    order = np.argsort(-distortions, kind="stable")[: math.ceil(tuning.most * len(distortions))]
    total = distortions.sum()
    after = total - np.concatenate([[0.0], np.cumsum(distortions[order])])
    scores = np.sqrt(10 * after.clip(0) / len(distortions))
    scores += byte_value * tuning.bytes * np.arange(len(order) + 1)
    return np.sort(order[: int(scores.argmin())]).astype(np.int64)


def _solve(
    carrier: Carrier,
    stack: Stack,
    pairs: Pairs,
    chosen: NDArray[np.int64],
    through: Through,
    worth: tuple[float, float],
    tuning: ResidualTuning,
) -> tuple[NDArray[np.int32], Reals]:
    """Return the symbols of some pairs' residuals, and the pose distortions with them."""
    device, size = carrier.spreads.device, (carrier.design.height, carrier.design.width)
    which = torch.from_numpy(chosen)
    second = resize(pairs.second[which].to(device).float(), size)
    first = None if pairs.first is None else resize(pairs.first[which].to(device).float(), size)
    wanted = pairs.poses[which].to(device).float()
    with torch.no_grad():
        drawn = carrier(pairs.codes[which].to(device), second, first)

    def missed(grid: Tensor) -> Tensor:
        """Return the pose distortions ``(B,)`` with a grid in steps."""
        shown = through(drawn + added(tuning.step * grid, size))
        seen = stack.pose(torch.stack([shown, second], 1))[:, : wanted.shape[1]]
        return (seen - wanted).square().mean(1)

    grid = torch.zeros(len(chosen), *GRID, device=device, requires_grad=True)
    optimiser = torch.optim.Adam([grid], tuning.rate)
    best = torch.full((len(chosen),), math.inf, device=device)
    symbols, distortions = torch.zeros_like(grid), torch.zeros_like(best)
    for number in range(tuning.steps):
        share = number / tuning.steps
        cosine = 0.5 * (1 + math.cos(math.pi * share))
        rate = tuning.rate * (tuning.last_rate + (1 - tuning.last_rate) * cosine)
        optimiser.param_groups[0]["lr"] = rate
        rounded = share >= tuning.quantised
        now = straight_through(grid, grid.round()) if rounded else grid
        misses = missed(now)
        bits = (1 + now.abs()).log2().sum((1, 2))
        costs = worth[0] * misses + worth[1] / 8 * bits
        if rounded:
            better = costs < best
            best = torch.where(better, costs.detach(), best)
            symbols[better], distortions[better] = grid.detach().round()[better], misses[better]
        optimiser.zero_grad()
        costs.sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    whole: NDArray[np.int32] = symbols.cpu().numpy().astype(np.int32)
    return whole, distortions.detach().cpu().numpy().astype(np.float64)


def _kept(residuals: Residuals, found: Reals, before: Reals, byte_value: float) -> Residuals:
    """Return the residuals that pay: one after another is left out where that lowers the score."""

    def cost(kept: NDArray[np.bool_]) -> float:
        after = before.copy()
        after[residuals.pairs[kept]] = found[kept]
        size = len(_some(residuals, kept).to_bytes())
        return byte_value * size + math.sqrt(10 * after.mean())

    kept = found < before[residuals.pairs]
    least = cost(kept)
    for index in np.argsort(before[residuals.pairs] - found, kind="stable"):
        if kept[index]:
            kept[index] = False
            now = cost(kept)
            kept[index] = now > least
            least = min(now, least)
    return _some(residuals, kept)


def _some(residuals: Residuals, kept: NDArray[np.bool_]) -> Residuals:
    return replace(residuals, pairs=residuals.pairs[kept], symbols=residuals.symbols[kept])
