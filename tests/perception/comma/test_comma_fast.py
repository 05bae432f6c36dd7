"""The fast nets: the plain ones' sums, but for rounding; the plain ones where they cannot be."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seesame.perception.comma import fused
from seesame.perception.comma import stack as comma
from seesame.perception.comma.fused import FusedConv, NotFusable, UpConv, check_available, workers
from seesame.perception.registry import load_stack


@pytest.fixture(autouse=True)
def available() -> None:
    try:
        check_available()
    except NotFusable as error:
        pytest.skip(f"needs oneDNN's fused convolutions: {error}")


def normed(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, eps=1e-3).eval()
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        tensor.data.uniform_(0.5, 2)
    return norm


@pytest.mark.parametrize("activation", [None, nn.ReLU(), nn.SiLU()])
@pytest.mark.parametrize(("groups", "kernel", "stride"), [(1, 3, 1), (1, 1, 1), (8, 5, 2)])
def test_a_fused_convolution(
    activation: nn.Module | None, groups: int, kernel: int, stride: int
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 16, kernel, stride, kernel // 2, groups=groups, bias=False)
    norm = normed(16)
    x = torch.randn(1, 8, 15, 21)
    with torch.no_grad():
        wanted = norm(conv(x))
        wanted = wanted if activation is None else activation(wanted)
        one = FusedConv.of(conv, norm, activation)
        packed = x.contiguous(memory_format=torch.channels_last)
        assert torch.allclose(one(packed), wanted, atol=1e-5)
        other = torch.randn(1, 8, 9, 30).contiguous(memory_format=torch.channels_last)
        plain = norm(conv(other))
        assert torch.allclose(
            one(other), plain if activation is None else activation(plain), atol=1e-5
        )


@pytest.mark.parametrize("skip_channels", [0, 6])
def test_doubling_and_convolving_is_one_transposed_convolution(skip_channels: int) -> None:
    torch.manual_seed(1)
    conv, norm = nn.Conv2d(8 + skip_channels, 12, 3, padding=1, bias=False), normed(12)
    x, skip = torch.randn(1, 8, 7, 10), torch.randn(1, skip_channels, 14, 20)
    last = torch.channels_last
    with torch.no_grad():
        doubled = F.interpolate(x, scale_factor=2, mode="nearest")
        wanted = norm(conv(torch.cat([doubled, skip], 1))).relu()
        up = UpConv(conv, norm, nn.ReLU(), 8)
        found = up(
            x.contiguous(memory_format=last),
            skip.contiguous(memory_format=last) if skip_channels else None,
        )
    assert torch.allclose(found, wanted, atol=1e-5)


def test_what_cannot_be_fused_is_refused() -> None:
    with pytest.raises(NotFusable, match="Tanh"):
        FusedConv.of(nn.Conv2d(3, 3, 3), None, nn.Tanh())
    with pytest.raises(NotFusable, match="dilation"):
        FusedConv.of(nn.Conv2d(3, 3, 3, dilation=2))
    with pytest.raises(NotFusable, match="GroupNorm"):
        FusedConv.of(nn.Conv2d(4, 4, 3), nn.GroupNorm(2, 4))


def test_workers_keep_order_and_the_thread_count() -> None:
    before = torch.get_num_threads()
    batch = torch.arange(7.0)[:, None]
    counts = set()

    def double(one: Tensor) -> Tensor:
        counts.add(torch.get_num_threads())
        return 2 * one

    assert torch.equal(workers(2).map(double, batch), 2 * batch)
    assert counts == {1}
    assert torch.get_num_threads() == before


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in ("timm", "segmentation_models_pytorch"):
        pytest.importorskip(name, reason=f"needs {name} (the comma extra)")
    from random_comma import random_nets, save_nets

    folder = tmp_path_factory.mktemp("comma")
    save_nets(*random_nets(), folder)
    return folder


@pytest.mark.comma
def test_the_fast_stack_is_the_exact_one_but_for_rounding(folder: Path) -> None:
    exact, fast = (load_stack(f"comma:{folder}", exact=exact) for exact in (True, False))
    assert (exact.exact, fast.exact) == (True, False)
    assert exact.fingerprint == fast.fingerprint
    pairs = torch.rand(2, 2, 3, 384, 512, generator=torch.Generator().manual_seed(3)) * 255
    with torch.inference_mode():
        wanted, found = exact.segment(pairs[:, 1]), fast.segment(pairs[:, 1])
        poses, found_poses = exact.pose(pairs), fast.pose(pairs)
    assert not torch.equal(wanted, found)
    assert (wanted - found).abs().max() < 1e-2 * wanted.abs().max()
    assert (poses - found_poses).abs().max() < 1e-2 * poses.abs().max()


@pytest.mark.comma
def test_training_through_the_fast_stack_takes_the_plain_nets(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, fast = (load_stack(f"comma:{folder}", exact=exact) for exact in (True, False))

    def fail(*_: object) -> None:
        raise AssertionError("a fast net was asked for a gradient")

    monkeypatch.setattr("seesame.perception.comma.fast.FastNets.segment", fail)
    monkeypatch.setattr("seesame.perception.comma.fast.FastNets.pose", fail)
    gradients = []
    for stack in (exact, fast):
        pairs = torch.full((1, 2, 3, 384, 512), 99.0, requires_grad=True)
        loss = stack.segment(pairs[:, 1]).square().mean() + stack.pose(pairs).square().mean()
        loss.backward()
        assert pairs.grad is not None
        gradients.append(pairs.grad)
    # oneDNN need not sum in the same order twice, so not bit for bit.
    assert (gradients[0] - gradients[1]).abs().max() <= 1e-3 * gradients[0].abs().max()
    assert gradients[0].abs().max() > 0
    with pytest.raises(AssertionError, match="fast net"), torch.no_grad():
        fast.segment(pairs[:, 1])


@pytest.mark.comma
def test_where_it_cannot_be_the_plain_nets_do_the_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise NotFusable("not on this processor")

    monkeypatch.setattr(fused, "check_available", fail)
    monkeypatch.setattr("seesame.perception.comma.fast.check_available", fail)
    stack = load_stack(f"comma:{folder}", exact=False)
    assert stack.exact
    assert "not on this processor" in stack.why_exact


@pytest.mark.comma
def test_nets_that_come_out_different_are_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seesame.perception.comma.fast._Squeeze.__call__", lambda self, x: x)
    stack = load_stack(f"comma:{folder}", exact=False)
    assert isinstance(stack, comma.CommaStack)
    assert stack.exact
    assert "comes out different" in stack.why_exact
