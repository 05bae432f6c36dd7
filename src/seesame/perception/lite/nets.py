"""SegNet-lite and PoseNet-lite: small convolutional nets that run fast on two CPU cores.

Both train with batch normalisation and ship with it folded into the convolutions, so that the
shipped nets hold convolutions, rectifiers and nothing else.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

CLASSES = ("road", "lane markings", "undrivable", "movable", "my car")
INPUT_SIZE = (192, 256)
POSE_VALUES = ("forward", "right", "down", "roll", "pitch", "yaw")


class Block(nn.Module):
    """3x3 convolution, batch normalisation (an identity once folded), rectifier."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, residual: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to ``(B, C', H/stride, W/stride)``."""
        y = self.norm(self.conv(x))
        return F.relu(x + y) if self.residual else F.relu(y)


def _stage(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    blocks = [Block(inputs, outputs, 2)]
    blocks += [Block(outputs, outputs, residual=True) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


class SegNetLite(nn.Module):
    """A U-Net with additive skips whose last step goes from half to full size by pixel shuffle.

    Input ``(B, 3, 192, 256)`` RGB in 0..255, output logits ``(B, 5, 192, 256)``. After U-Net
    (Ronneberger et al. 2015) with sub-pixel output (Shi et al. 2016).
    """

    widths = (16, 32, 60, 96, 112)
    depths = (1, 2, 2, 3, 2)

    def __init__(self, classes: int = len(CLASSES)) -> None:
        super().__init__()
        channels = (3, *self.widths)
        self.encoder = nn.ModuleList(
            _stage(a, b, d) for a, b, d in zip(channels, self.widths, self.depths, strict=False)
        )
        pairs = list(zip(self.widths[1:], self.widths[:-1], strict=True))[::-1]
        self.lateral = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairs)
        # At half size a further convolution would cost a tenth of the budget: the head does it.
        self.merge = nn.ModuleList(
            Block(b, b, residual=True) if b != self.widths[0] else nn.ReLU() for _, b in pairs
        )
        self.head = nn.Conv2d(self.widths[0], 4 * classes, 3, 1, 1)

    def forward(self, rgb: Tensor) -> Tensor:
        """Return logits ``(B, 5, H, W)`` of ``(B, 3, H, W)`` in 0..255, H and W multiples of 32."""
        x = (rgb - 127.5) / 64.0
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        for lateral, merge, skip in zip(self.lateral, self.merge, skips[-2::-1], strict=True):
            x = F.interpolate(lateral(x), scale_factor=2.0, mode="nearest")
            x = merge(x + skip)
        return F.pixel_shuffle(self.head(x), 2)


def _box(x: Tensor, size: int) -> Tensor:
    """Return the mean over ``size x size`` pixels around each, the border repeated.

    By shifted sums, rows first: quicker than ``avg_pool2d`` where gradients are taken.
    """
    height, width = x.shape[-2:]
    padded = F.pad(x, (size // 2,) * 4, mode="replicate")
    rows = padded[..., :height, :]
    for i in range(1, size):
        rows = rows + padded[..., i : i + height, :]
    both = rows[..., :width]
    for i in range(1, size):
        both = both + rows[..., i : i + width]
    return both / (size * size)


def local_flow(first: Tensor, second: Tensor) -> Tensor:
    """Return the optical flow of every pixel by least squares over its 5x5 surroundings.

    Lucas and Kanade (1981), one step without warping, damped where the texture is weak and
    saturating at three pixels, beyond which one step means nothing.

    Args:
        first: grey ``(B, 1, h, w)`` in 0..1.
        second: the same of the next frame.

    Returns:
        ``(B, 4, h, w)``: flow right and down in pixels, and how strong the texture is along each.
    """
    padded = F.pad((first + second) / 2, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    change = second - first
    products = torch.cat(
        [across * across, across * down, down * down, across * change, down * change], 1
    )
    xx, xy, yy, xt, yt = torch.split(_box(products, 5), 1, 1)
    damping = 1e-4 + 0.02 * (xx + yy)
    xx, yy = xx + damping, yy + damping
    determinant = xx * yy - xy * xy
    right = (xy * yt - yy * xt) / determinant
    below = (xy * xt - xx * yt) / determinant
    flow = 3 * torch.tanh(torch.cat([right, below], 1) / 3)
    return torch.cat([flow, 0.3 * torch.cat([xx, yy], 1).log() + 1.5], 1)


class PoseNetLite(nn.Module):
    """Six ego-motion values, standardised, from the YUV6 planes of two frames.

    Input ``(B, 12, 96, 128)`` in 0..255 (first frame's six planes, then the second's), output
    ``(B, 6)`` in units of the training drives' standard deviations. A fixed first layer turns the
    frames into optical flow at four scales, which a plain net of this size would need far longer
    to learn; the rest reads the motion off it. The last map is flattened, not averaged: where a
    motion is seen says which motion it is.
    """

    scales = 4

    def __init__(self, values: int = len(POSE_VALUES)) -> None:
        super().__init__()
        inputs = 4 * self.scales + 6
        self.body = nn.Sequential(
            Block(inputs, 40), Block(40, 40, residual=True), _stage(40, 56, 2), _stage(56, 72, 2)
        )
        self.squeeze = nn.Conv2d(72, 16, 1)
        self.hidden = nn.Linear(16 * 48, 64)
        self.out = nn.Linear(64, values)

    def features(self, planes: Tensor) -> Tensor:
        """Return flow at four scales and the mean picture, ``(B, 22, 24, 32)``, in float32."""
        both = planes.float().reshape(-1, 2, 6, *planes.shape[-2:])
        grey = _box(both[:, :, :4].mean(2) / 255, 3)
        found = []
        for scale in range(self.scales):
            flow = local_flow(grey[:, :1], grey[:, 1:])
            found.append(_to_grid(flow, scale))
            if scale < self.scales - 1:
                grey = F.avg_pool2d(grey, 2)
        picture = F.avg_pool2d((both.mean(1) - 127.5) / 64.0, 4)
        return torch.cat([*found, picture], 1)

    def forward(self, planes: Tensor) -> Tensor:
        """Return standardised pose values ``(B, 6)`` of planes ``(B, 12, 96, 128)`` in 0..255."""
        with torch.autocast(planes.device.type, enabled=False):
            features = self.features(planes)
        x = self.body(features.contiguous(memory_format=torch.channels_last))
        values: Tensor = self.out(F.relu(self.hidden(F.relu(self.squeeze(x)).flatten(1))))
        return values


def _to_grid(x: Tensor, scale: int) -> Tensor:
    """Return a map that was halved ``scale`` times, at the size of one halved twice."""
    if scale < 2:
        return F.avg_pool2d(x, 4 >> scale)
    return x if scale == 2 else F.interpolate(x, scale_factor=float(2 ** (scale - 2)))


def fold(net: nn.Module) -> nn.Module:
    """Fold every batch normalisation into its convolution, in place; returns the net in eval."""
    net.eval()
    for block in net.modules():
        if isinstance(block, Block) and isinstance(block.norm, nn.BatchNorm2d):
            block.conv = fuse_conv_bn_eval(block.conv, block.norm)
            block.norm = nn.Identity()
    return net


def count_macs(net: nn.Module, shape: Sequence[int]) -> int:
    """Return multiply-accumulates of one forward pass over an input of ``shape``."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(torch.zeros(*shape))
    operations: int = counter.get_total_flops()
    return operations // 2
