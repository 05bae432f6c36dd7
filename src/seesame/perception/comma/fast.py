"""Comma's two nets for scoring on the CPU: the same sums in fewer steps, without gradients.

Both are made from the plain nets, and compared with them before they are used. They differ by
float32 rounding only.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seesame.perception.comma.fused import FusedConv, NotFusable, UpConv, check_available, workers
from seesame.video.colour import rgb_to_yuv6

PROBE = (64, 64)
"""Height and width of the noise that the nets are compared on."""
TOLERANCE = 1e-2
"""How far they may be apart on it, relative to the largest output: far above rounding, far below
what a missing or wrong step makes."""


class FastNets:
    """Both nets, ready to run on the CPU.

    Args:
        segment: the plain segmentation net, frozen.
        pose: the plain pose net, frozen.

    Raises:
        NotFusable: they cannot be made here, or come out different from the plain ones.
    """

    def __init__(self, segment: nn.Module, pose: nn.Module) -> None:
        check_available()
        try:
            self._segment, self._vision = _Segment(segment), _Vision(pose.vision)
        except (AttributeError, IndexError, RuntimeError, TypeError) as error:
            raise NotFusable(f"the libraries' nets have changed ({error})") from error
        self._plain_pose: Any = pose
        noise = torch.rand(2, 2, 3, *PROBE, generator=torch.Generator().manual_seed(0)) * 255
        plain = workers(torch.get_num_threads()).map
        _compare(self.segment(noise[:, 1]), plain(segment, noise[:, 1]), "segmentation")
        planes = rgb_to_yuv6(noise).flatten(1, 2)
        _compare(self.pose(noise), plain(pose, planes), "pose")

    def segment(self, rgb: Tensor) -> Tensor:
        """``(B, 3, h, w)`` in 0..255 to logits ``(B, 5, h, w)``."""
        return workers(torch.get_num_threads()).map(self._segment, rgb)

    def pose(self, pairs: Tensor) -> Tensor:
        """``(B, 2, 3, h, w)`` in 0..255 to pose values ``(B, 12)``."""
        net = self._plain_pose

        def features_of(pair: Tensor) -> Tensor:
            planes = rgb_to_yuv6(pair).flatten(1, 2)
            return self._vision((planes - net._mean) / net._std)

        features = workers(torch.get_num_threads()).map(features_of, pairs)
        values: Tensor = net.hydra(net.summarizer(features))
        return values


def _compare(fast: Tensor, plain: Tensor, which: str) -> None:
    limit = TOLERANCE * float(plain.abs().max())
    if not float((fast - plain).abs().max()) <= limit:
        raise NotFusable(f"the {which} net comes out different when it is fused")


class _Squeeze:
    """Squeeze-and-excitation: channels weighted by what their means say."""

    def __init__(self, reduce: Any, middle: nn.Module, expand: Any) -> None:
        self.reduce, self.middle, self.expand = reduce, middle, expand

    def __call__(self, x: Tensor) -> Tensor:
        """Overwrites ``x``, ``(1, C, h, w)``."""
        means = x.mean((2, 3))
        inner = self.middle(F.linear(means, self.reduce.weight.flatten(1), self.reduce.bias))
        gate = F.linear(inner, self.expand.weight.flatten(1), self.expand.bias).sigmoid()
        return x.mul_(gate[:, :, None, None])


class _EncoderBlock:
    """EfficientNet's inverted residual, or its first block, which does not widen."""

    def __init__(self, block: Any) -> None:
        self.widen = None
        if hasattr(block, "conv_pwl"):
            self.widen = FusedConv.of(block.conv_pw, block.bn1, block.bn1.act)
            self.depthwise = FusedConv.of(block.conv_dw, block.bn2, block.bn2.act)
            self.narrow = FusedConv.of(block.conv_pwl, block.bn3, block.bn3.act)
        else:
            self.depthwise = FusedConv.of(block.conv_dw, block.bn1, block.bn1.act)
            self.narrow = FusedConv.of(block.conv_pw, block.bn2, block.bn2.act)
        self.squeeze = _Squeeze(block.se.conv_reduce, block.se.act1, block.se.conv_expand)
        self.has_skip = bool(block.has_skip)
        self.halves = block.conv_dw.stride == (2, 2)

    def __call__(self, x: Tensor) -> Tensor:
        """Overwrites ``x`` where the block has a shortcut."""
        inner = x if self.widen is None else self.widen(x)
        inner = self.squeeze(self.depthwise(inner))
        return self.narrow.add_to(x, inner) if self.has_skip else self.narrow(inner)


class _Segment:
    """The U-Net: one picture ``(1, 3, h, w)`` to logits ``(1, 5, h, w)``."""

    def __init__(self, net: Any) -> None:
        encoder = net.encoder.model
        self.stem = FusedConv.of(encoder.conv_stem, encoder.bn1, encoder.bn1.act)
        self.stages = [[_EncoderBlock(block) for block in stage] for stage in encoder.blocks]
        channels = encoder.blocks[-1][-1].conv_pwl.out_channels
        self.decoder: list[tuple[UpConv, FusedConv]] = []
        for block in net.decoder.blocks:
            up = UpConv(block.conv1[0], block.conv1[1], block.conv1[2], channels)
            self.decoder.append((up, FusedConv.of(*block.conv2)))
            channels = block.conv2[0].out_channels
        self.head = FusedConv.of(net.segmentation_head[0])

    def __call__(self, x: Tensor) -> Tensor:
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        skips: list[Tensor | None] = [None]
        for index, stage in enumerate(self.stages):
            if index and stage[0].halves:
                skips.append(x)
            for block in stage:
                x = block(x)
        for up, conv in self.decoder:
            x = conv(up(x, skips.pop()))
        return self.head(x).contiguous()


class _Mixer:
    """FastViT's block: a depthwise mixer, then a widening pair of 1x1 convolutions, added."""

    def __init__(self, block: Any) -> None:
        self.mixer = FusedConv.of(block.token_mixer.reparam_conv)
        mlp = block.mlp
        self.conv = FusedConv.of(mlp.conv.conv, mlp.conv.bn, mlp.conv.bn.act)
        self.widen = FusedConv.of(mlp.fc1, None, mlp.act)
        self.narrow = FusedConv.of(mlp.fc2, scale=block.layer_scale.gamma)

    def __call__(self, x: Tensor) -> Tensor:
        x = self.mixer(x)
        return self.narrow.add_to(x, self.widen(self.conv(x)))


class _Vision:
    """FastViT: planes ``(1, 12, h, w)``, normalised, to features ``(1, 2048)``."""

    def __init__(self, vision: Any) -> None:
        import timm

        net = timm.utils.reparameterize_model(copy.deepcopy(vision))
        self.steps: list[Any] = [_merged(block) for block in net.stem]
        for stage in net.stages:
            if not isinstance(stage.pos_emb, nn.Identity):
                raise NotFusable("FastViT with position embeddings")
            if not isinstance(stage.downsample, nn.Identity):
                self.steps += [_merged(block) for block in stage.downsample.proj]
            self.steps += [_Mixer(block) for block in stage.blocks]
        last = net.final_conv
        self.final = FusedConv.of(last.reparam_conv)
        self.squeeze = _Squeeze(last.se.fc1, last.se.act, last.se.fc2)
        self.act, self.head = last.act, net.head

    def __call__(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        for step in self.steps:
            x = step(x)
        features: Tensor = self.head(self.act(self.squeeze(self.final(x))))
        return features


def _merged(block: Any) -> FusedConv:
    """A block whose branches timm has merged into one convolution."""
    if not isinstance(block.se, nn.Identity):
        raise NotFusable("FastViT with squeeze-and-excitation in its stem")
    return FusedConv.of(block.reparam_conv, None, block.act)
