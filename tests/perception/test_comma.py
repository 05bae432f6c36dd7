"""The challenge's nets with random weights: shapes, gradients, strict loading, literal metric."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save, save_file
from torch import Tensor

from seesame.errors import DamagedError, UserError
from seesame.metric.distortion import pose_distortion, seg_distortion
from seesame.perception import comma
from seesame.perception.fetch import COMMA_FILES
from seesame.perception.registry import load_stack


def need_libraries() -> None:
    for name in ("timm", "segmentation_models_pytorch"):
        pytest.importorskip(name, reason=f"needs {name} (the comma extra)")


@pytest.fixture(scope="module")
def stack() -> comma.CommaStack:
    """Random weights; batch norm statistics taken from noise, so that signals stay near 1."""
    need_libraries()
    torch.manual_seed(0)
    nets = (comma.segment_net(), comma.PoseNet())
    for net, channels in zip(nets, (3, 12), strict=True):
        for module in net.modules():
            if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
                module.momentum = 1.0
        with torch.no_grad():
            net.train()(torch.rand(4, channels, 64, 64) * 255)
    return comma.CommaStack(*nets)


@pytest.fixture(scope="module")
def pairs() -> Tensor:
    """Two smooth pairs ``(2, 2, 3, 218, 290)`` of whole values."""
    coarse = torch.rand(4, 3, 12, 16, generator=torch.Generator().manual_seed(1)) * 255
    frames = F.interpolate(coarse, (218, 290), mode="bicubic").clamp(0, 255).round()
    return frames.unflatten(0, (2, 2))


@pytest.mark.comma
def test_output_shapes(stack: comma.CommaStack, pairs: Tensor) -> None:
    with torch.no_grad():
        assert stack.segment(pairs[:1, 1]).shape == (1, 5, 384, 512)
        assert stack.pose(pairs).shape == (2, 12)


@pytest.mark.comma
@pytest.mark.parametrize("what", ["segment", "pose"])
def test_the_gradient_reaches_every_frame(
    stack: comma.CommaStack, pairs: Tensor, what: str
) -> None:
    x = (pairs[:1, 1] if what == "segment" else pairs[:1]).clone().requires_grad_(True)
    out = getattr(stack, what)(x)
    (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    per_frame = x.grad.reshape(-1, 3, 218 * 290).abs().amax(dim=(1, 2))
    assert (per_frame > 0).all()
    assert x.grad.isfinite().all()


def literal_yuv6(rgb: Tensor) -> Tensor:
    """The challenge's packing, spelled out: ``(B, 3, H, W)`` to ``(B, 6, H/2, W/2)``."""
    out = torch.empty(rgb.shape[0], 6, rgb.shape[2] // 2, rgb.shape[3] // 2)
    for i, (r, g, b) in enumerate(rgb):
        y = (0.299 * r + 0.587 * g + 0.114 * b).clamp(0, 255)
        u = ((b - y) / 1.772 + 128).clamp(0, 255)
        v = ((r - y) / 1.402 + 128).clamp(0, 255)
        out[i, 0], out[i, 1] = y[0::2, 0::2], y[1::2, 0::2]
        out[i, 2], out[i, 3] = y[0::2, 1::2], y[1::2, 1::2]
        for channel, c in ((4, u), (5, v)):
            total = c[0::2, 0::2] + c[1::2, 0::2] + c[0::2, 1::2] + c[1::2, 1::2]
            out[i, channel] = total * 0.25
    return out


def literal_distortion(stack: comma.CommaStack, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Both distortions of one pair ``(2, 3, H, W)``, as the challenge's description has them."""

    def nets(pair: Tensor) -> tuple[Tensor, Tensor]:
        small = F.interpolate(pair, size=(384, 512), mode="bilinear")
        planes = torch.cat([literal_yuv6(small[:1]), literal_yuv6(small[1:])], dim=1)
        return stack._segment(small[1:]).argmax(1), stack._pose(planes)[0, :6]

    (classes_x, pose_x), (classes_y, pose_y) = nets(x), nets(y)
    labels = zip(classes_x.flatten().tolist(), classes_y.flatten().tolist(), strict=True)
    differ = sum(int(a != b) for a, b in labels)
    squares = [(a - b) ** 2 for a, b in zip(pose_x.tolist(), pose_y.tolist(), strict=True)]
    return differ / classes_x.numel(), sum(squares) / 6


@pytest.mark.comma
def test_the_metric_is_the_literal_metric(stack: comma.CommaStack, pairs: Tensor) -> None:
    noise = torch.randn(pairs.shape, generator=torch.Generator().manual_seed(2)) * 20
    other = (pairs + noise).round().clamp(0, 255)
    # Pair by pair: convolutions of other batch sizes round differently, and random nets have ties.
    seg, pose, wanted = [], [], []
    with torch.no_grad():
        for x, y in zip(pairs[:1], other[:1], strict=True):
            maps = [stack.segment(z[None, 1]).argmax(1) for z in (x, y)]
            values = [stack.pose(z[None]) for z in (x, y)]
            seg.append(seg_distortion(*maps).item())
            pose.append(pose_distortion(*values, stack.judged).item())
            wanted.append(literal_distortion(stack, x, y))
    assert all(s > 0 and p > 0 for s, p in wanted)
    assert seg == pytest.approx([s for s, _ in wanted], abs=1e-7)
    assert pose == pytest.approx([p for _, p in wanted], abs=1e-7)


@pytest.mark.comma
def test_the_pose_file_has_the_published_size(stack: comma.CommaStack) -> None:
    # Equal to the byte: names, shapes and types are those of the published file, which leaves
    # batch norm's counters out.
    kept = {k: v for k, v in stack._pose.state_dict().items() if not k.endswith(comma.COUNTER)}
    assert len(save(kept)) == COMMA_FILES[1].size


@pytest.mark.comma
def test_the_segment_file_is_near_the_published_size(stack: comma.CommaStack) -> None:
    # 152 bytes are not accounted for; a tensor more or less would be at odds with the challenge's
    # own strict loading, so they are taken to be metadata in the header. A change here is a change
    # of the net's tensors in a library.
    assert COMMA_FILES[0].size - len(save(stack._segment.state_dict())) == 152


@pytest.fixture(scope="module")
def saved(stack: comma.CommaStack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comma")
    save_file(stack._segment.state_dict(), folder / "segnet.safetensors")
    pose = stack._pose.state_dict()
    kept = {k: v for k, v in pose.items() if not k.endswith(comma.COUNTER)}
    save_file(kept, folder / "posenet.safetensors")
    return folder


@pytest.mark.comma
def test_files_load_to_the_same_nets(stack: comma.CommaStack, saved: Path) -> None:
    loaded = load_stack(f"comma:{saved}")
    for ours, theirs in ((stack._segment, loaded._segment), (stack._pose, loaded._pose)):
        for name, tensor in ours.state_dict().items():
            if not name.endswith(comma.COUNTER):
                assert torch.equal(tensor, theirs.state_dict()[name]), name
    assert len(loaded.fingerprint) == 64
    assert not loaded.official


def lack(tensors: dict[str, Tensor]) -> None:
    del tensors["hydra.final_layer.pose.bias"]


def extra(tensors: dict[str, Tensor]) -> None:
    tensors.update({f"more.{i}": torch.zeros(1) for i in range(5)})


def misshape(tensors: dict[str, Tensor]) -> None:
    tensors["summarizer.0.bias"] = torch.zeros(7)


def retype(tensors: dict[str, Tensor]) -> None:
    tensors["summarizer.0.bias"] = tensors["summarizer.0.bias"].half()


@pytest.mark.comma
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lack, r"posenet\.safetensors: lacks hydra\.final_layer\.pose\.bias; not the expected net"),
        (extra, r"has extra more\.0, more\.1, more\.2 and 2 more"),
        (misshape, r"wrong shape of summarizer\.0\.bias"),
        (retype, r"wrong number type of summarizer\.0\.bias"),
    ],
)
def test_loading_is_strict(
    stack: comma.CommaStack,
    tmp_path: Path,
    change: Callable[[dict[str, Tensor]], None],
    message: str,
) -> None:
    tensors = dict(stack._pose.state_dict())
    change(tensors)
    path = tmp_path / "posenet.safetensors"
    save_file(tensors, path)
    with pytest.raises(UserError, match=message) as caught:
        comma.load_strictly(stack._pose, path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"not safetensors at all", b"\xff" * 100])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "posenet.safetensors"
    path.write_bytes(data)
    with pytest.raises(DamagedError, match="not a readable safetensors file"):
        comma.load_strictly(torch.nn.Linear(1, 1), path)


def test_absent_files_say_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEESAME_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"segnet\.safetensors is missing; run: seesame fetch"):
        load_stack("comma")
    with pytest.raises(UserError, match="is missing; or run: seesame fetch comma"):
        load_stack(f"comma:{tmp_path}")


def test_absent_libraries_say_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    for file in COMMA_FILES[:2]:
        (tmp_path / file.name).write_bytes(b"")
    with pytest.raises(UserError, match=r"pip install 'seesame\[comma\]'"):
        load_stack(f"comma:{tmp_path}")
