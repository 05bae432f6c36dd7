"""A first guess of latents and decoder, in closed form: where training starts.

Latents hold what distinguishes the pairs: their pose values, and principal components of their
pictures. Then layer after layer is set, by ridge regression on what the layers before it
really give, to the best linear guess of the next layer's map. For that, every map has a meaning:
the pictures and their classes, at a finer resolution than the map's own and folded into channels,
reduced to so many channels by principal components and mixed. The last layer's is the frames.

Greedy starts, layer by layer, go back to Hinton et al. 2006 ("A fast learning algorithm for deep
belief nets") and Bengio et al. 2007. Here no layer is trained: its target is chosen, and its
weights are solved for.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from seesame.codecs.hnerv.model import Decoder
from seesame.codecs.hnerv.representation import Representation
from seesame.neural.render.geometry import MIDDLE, SPREAD


@dataclass(frozen=True)
class GuessTuning:
    """The numbers of the first guess.

    Args:
        cells: rows and columns that a picture is averaged to before pairs are compared.
        grey_levels: grey levels that count as 1.
        class_weight: of the shares of classes; with 2 a whole cell that changes class counts as
            much as 128 grey levels.
        pose_share: of a pair's latent values, the most that hold its pose.
        pose_spread: standard deviation of these.
        finer: how much finer a map's meaning is than the map, before it is folded into channels.
        flatten: power of its own deviation by which a component is divided: 1 would make all alike.
        ridge: damping of the regressions, in units of the inputs' mean square.
        fitted_pairs: most pairs that a convolution is fitted to.
        fitted_pixels: most pixels of these pairs.
        least_pairs: fewest of them, however large the pictures are.
        samples: positions that a convolution is fitted to.
        chunk: pairs that are averaged at a time, which bounds the memory.
    """

    cells: tuple[int, int] = (12, 16)
    grey_levels: float = 64.0
    class_weight: float = 2.0
    pose_share: float = 0.3
    pose_spread: float = 0.5
    finer: int = 2
    flatten: float = 0.5
    ridge: float = 1e-3
    fitted_pairs: int = 48
    fitted_pixels: int = 48 * 192 * 256
    least_pairs: int = 8
    samples: int = 20_000
    chunk: int = 64


TUNING = GuessTuning()


@torch.no_grad()
def guess(rep: Representation, frames: Tensor, classes: Tensor, poses: Tensor) -> None:
    """Fill a representation whose quantisation has not started.

    Args:
        rep: filled in place.
        frames: ``uint8 (N, 2, 3, h, w)`` at its render size.
        classes: the stack's classes of the second frames, ``(M, h', w')``, M = N or N - 1.
        poses: judged pose values of the pairs, ``(M, P)``.
    """
    architecture = rep.architecture
    rep.latents.copy_(pair_latents(frames, classes, poses, architecture.latent))
    channels, grid = architecture.channels, architecture.grid
    wanted = _meaning(frames, classes, grid, channels[0]).flatten(1)
    weight, bias = regression(rep.latents, wanted)
    rep.set_tensor("stem.weight", weight)
    rep.set_tensor("stem.bias", bias)
    affordable = max(
        TUNING.fitted_pixels // (frames.shape[-2] * frames.shape[-1]), TUNING.least_pairs
    )
    count = min(len(frames), TUNING.fitted_pairs, affordable)
    pick = torch.linspace(0, len(frames) - 1, count).round().long()
    seen, shown = classes[pick.clamp(max=len(classes) - 1)], frames[pick]
    x = Decoder.activation(rep.latents[pick] @ weight.T + bias).view(-1, channels[0], *grid)
    for number, width in enumerate(channels[1:]):
        size = 2 * x.shape[-2], 2 * x.shape[-1]
        kernel, bias = _fit(rep, number, x, _meaning(shown, seen, size, width))
        x = Decoder.activation(F.pixel_shuffle(F.conv2d(x, kernel, bias, padding=1), 2))
    picture = (shown.flatten(1, 2).float() - MIDDLE) / SPREAD
    below, beside = (2 * x.shape[i] - picture.shape[i] for i in (-2, -1))
    _fit(rep, len(channels) - 1, x, F.pad(picture, (0, beside, 0, below), mode="replicate"))


def pair_latents(frames: Tensor, classes: Tensor, poses: Tensor, latent: int) -> Tensor:
    """Return a latent for each pair: its pose, standardised, and components of its pictures.

    Args:
        frames: ``uint8 (N, 2, 3, h, w)``.
        classes: ``(M, h', w')``, M = N or N - 1.
        poses: ``(M, P)``.
        latent: values a pair.

    Returns:
        ``float32 (N, latent)``; values beyond the rank of the pictures are 0.
    """
    judged = poses[:, : int(TUNING.pose_share * latent)].float()
    moved = judged - judged.mean(0)
    moved = TUNING.pose_spread * moved / moved.square().mean(0).sqrt().clamp(min=1e-3)
    looks = picture_latents(frames, classes, latent - moved.shape[1])
    return torch.cat([for_all(moved, len(frames)), looks], 1)


def picture_latents(frames: Tensor, classes: Tensor, latent: int) -> Tensor:
    """Return principal components of the pairs' pictures, ``(N, latent)``.

    Pairs that look alike get like latents. A value's variance is the root of its component's, and
    one on average.
    """
    looks = looks_of(frames, classes).flatten(1)
    looks = looks - looks.mean(0)
    left, sizes, _ = torch.linalg.svd(looks, full_matrices=False)
    rank = min(latent, int((sizes > 1e-4 * sizes[0]).sum()))
    latents = torch.zeros(len(looks), latent)
    latents[:, :rank] = left[:, :rank] * sizes[:rank].sqrt()
    return latents / latents.square().mean().sqrt().clamp(min=1e-6)


def class_shares(classes: Tensor, size: tuple[int, int] = TUNING.cells) -> Tensor:
    """Return the share of each class in each cell: ``(N, h, w)`` to ``(N, classes, *size)``."""
    hot = F.one_hot(classes.long()).movedim(-1, 1)
    return F.adaptive_avg_pool2d(hot.float(), size)


def looks_of(
    frames: Tensor, classes: Tensor, size: tuple[int, int] = TUNING.cells, count: int | None = None
) -> Tensor:
    """Return both pictures and the classes, averaged to cells: ``(N, 6 + classes, *size)``.

    Args:
        frames: ``uint8 (N, 2, 3, h, w)``.
        classes: ``(M, h', w')``, M = N or N - 1.
        size: rows and columns of cells.
        count: how many classes there are; as many as appear when None.
    """
    parts = torch.split(frames.flatten(1, 2), TUNING.chunk)
    grey = torch.cat([F.adaptive_avg_pool2d(x.float(), size) for x in parts])
    count = count or int(classes.max()) + 1
    shares = [class_shares(x, size) for x in torch.split(classes, TUNING.chunk)]
    same = torch.cat([F.pad(x, (0, 0, 0, 0, 0, count - x.shape[1])) for x in shares])
    return torch.cat(
        [grey / TUNING.grey_levels, TUNING.class_weight * for_all(same, len(frames))], 1
    )


def for_all(values: Tensor, count: int) -> Tensor:
    """Repeat the last pair's values for an odd last frame, which the stack does not judge."""
    return torch.cat([values, values[-1:].expand(count - len(values), *values.shape[1:])])


def _meaning(frames: Tensor, classes: Tensor, size: tuple[int, int], channels: int) -> Tensor:
    """Return the target of a map of this size, ``(N, channels, *size)``, of unit variance."""
    looks = F.pixel_unshuffle(
        looks_of(frames, classes, (TUNING.finer * size[0], TUNING.finer * size[1])), TUNING.finer
    )
    values = looks.movedim(1, -1).flatten(0, 2)
    values = values - values.mean(0)
    order = torch.linalg.eigh((values.T @ values / len(values)).double()).eigenvectors.flip(1)
    parts = values @ order[:, :channels].float()
    parts = parts / parts.std(0, correction=0).clamp(min=1e-4) ** TUNING.flatten
    # Mixed, so that no channel matters more than another.
    mixed = torch.linalg.qr(torch.randn(channels, channels)).Q[: parts.shape[1]]
    parts = parts @ mixed
    parts = parts / parts.std(correction=0).clamp(min=1e-4)
    whole: Tensor = parts.view(len(frames), *size, channels).movedim(-1, 1)
    return whole


def _fit(rep: Representation, number: int, x: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Set a stage to guess a map from the one before it; return kernel and bias.

    ``x (B, c, h, w)`` is the map before it, ``wanted (B, c', 2h, 2w)`` its target.
    """
    height, width = x.shape[-2:]
    some = torch.randperm(len(x) * height * width)[: TUNING.samples]
    pair, place = some // (height * width), some % (height * width)
    row, column = place // width, place % width
    around = F.pad(x, (1, 1, 1, 1))
    taps = [around[pair, :, row + i, column + j] for i in range(3) for j in range(3)]
    targets = F.pixel_unshuffle(wanted, 2)[pair, :, row, column]
    weight, bias = regression(torch.stack(taps, -1).flatten(1), targets)
    rep.set_tensor(f"stages.{number}.weight", weight)
    rep.set_tensor(f"stages.{number}.bias", bias)
    return weight.view(len(weight), x.shape[1], 3, 3), bias


def regression(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights ``(m, n)`` and biases ``(m,)`` of a ridge regression of S samples."""
    middle, level = inputs.mean(0), targets.mean(0)
    x, y = (inputs - middle).double(), (targets - level).double()
    square = x.T @ x
    damping = TUNING.ridge * square.diagonal().mean() + 1e-6
    square.diagonal().add_(damping)
    weight = torch.linalg.solve(square, x.T @ y).T.float()
    return weight, level - weight @ middle
