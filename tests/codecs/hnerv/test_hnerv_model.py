import pytest
import torch

from seesame.codecs.hnerv.architecture import MAX_CHANNELS, STAGES, Architecture
from seesame.codecs.hnerv.model import Decoder
from seesame.codecs.hnerv.representation import LATENTS, Representation
from seesame.neural.render.bounds import MAX_SIDE
from seesame.neural.weights.pack import pack_stream, pack_weights

SMALL = Architecture((32, 64), 3, (8, 7, 6, 5, 4))


@pytest.mark.parametrize("render", [(32, 64), (33, 65), (31, 1), (50, 97), (192, 256)])
def test_frames_have_the_render_size(render: tuple[int, int]) -> None:
    architecture = Architecture(render, 3, (4, 4, 4, 4, 4))
    grid = architecture.grid
    assert all(
        0 <= cells * 2**STAGES - side < 2**STAGES for cells, side in zip(grid, render, strict=True)
    )
    frames = Decoder(architecture)(torch.randn(2, 3))
    assert frames.shape == (2, 2, 3, *render)


def test_the_count_of_parameters() -> None:
    stem = 3 * 8 * 2 + 8 * 2
    stages = sum(a * 4 * b * 9 + 4 * b for a, b in [(8, 7), (7, 6), (6, 5), (5, 4), (4, 6)])
    assert SMALL.parameters() == stem + stages
    assert SMALL.parameters() == sum(p.numel() for p in Decoder(SMALL).parameters())


def test_a_latent_gives_its_own_pair() -> None:
    """No pair depends on its neighbours in the batch."""
    torch.manual_seed(0)
    decoder, latents = Decoder(SMALL), torch.randn(5, 3)
    whole = decoder(latents)
    torch.testing.assert_close(whole[2:3], decoder(latents[2:3]), atol=1e-3, rtol=0)
    assert not torch.allclose(whole[0], whole[1], atol=1)


def test_the_first_picture_is_greyish() -> None:
    torch.manual_seed(0)
    frames = Decoder(Architecture((96, 128), 20, (24, 22, 20, 18, 16)))(torch.randn(8, 20)).detach()
    assert 90 < float(frames.mean()) < 165
    assert 5 < float(frames.std()) < 120


@pytest.mark.parametrize(
    "wrong",
    [
        Architecture((0, 64), 3, (8,) * 5),
        Architecture((32, MAX_SIDE + 1), 3, (8,) * 5),
        Architecture((32, 64), 0, (8,) * 5),
        Architecture((32, 64), MAX_CHANNELS + 1, (8,) * 5),
        Architecture((32, 64), 3, (8,) * 4),
        Architecture((32, 64), 3, (8,) * 6),
        Architecture((32, 64), 3, (8, 8, 0, 8, 8)),
        Architecture((32, 64), 3, (8, 8, MAX_CHANNELS + 1, 8, 8)),
        Architecture((2048, 2048), 256, (256, 8, 8, 8, 8)),  # 1 GB of weights
        Architecture((2048, 2048), 1, (8, 8, 8, 256, 8)),  # 1 GB of a map
    ],
)
def test_decoders_beyond_bounds_are_not_built(wrong: Architecture) -> None:
    assert not wrong.valid()


def test_decoders_within_bounds() -> None:
    assert SMALL.valid()
    assert Architecture((874, 1164), 20, (119, 109, 99, 89, 79)).valid()
    assert Architecture((1, 1), 1, (1, 1, 1, 1, 1)).valid()


@pytest.mark.parametrize(("pairs", "latent"), [(1, 1), (1, 20), (2, 1), (300, 20)])
def test_first_latents_are_finite_and_of_unit_size(pairs: int, latent: int) -> None:
    latents = Representation(Architecture((32, 64), latent, (4,) * 5), pairs).latents.detach()
    assert latents.shape == (pairs, latent)
    assert bool(latents.isfinite().all())
    if pairs > 1:
        assert float(latents.square().mean()) == pytest.approx(1, rel=1e-3)


def test_quantised_frames_are_near_the_floats() -> None:
    torch.manual_seed(0)
    rep = Representation(SMALL, 4)
    parameters, streams, bits = rep.quantised()
    assert float(bits) == 0
    floats = rep.decode(parameters, streams, torch.arange(4)).detach()
    rep.start_quantising()
    for steps in rep.quantiser_group().parameters:
        steps.data -= 6
    parameters, streams, bits = rep.quantised()
    assert float(bits.detach()) > SMALL.parameters()
    rounded = rep.decode(parameters, streams, torch.arange(4)).detach()
    torch.testing.assert_close(rounded, floats, atol=1.5, rtol=0)
    assert not torch.equal(rounded, floats)


def test_rows_hold_what_the_quantised_decoder_uses() -> None:
    torch.manual_seed(0)
    rep = Representation(SMALL, 4)
    rep.start_quantising()
    parameters, streams, _ = rep.quantised()
    weights, rows = rep.symbols()
    assert {n: r.symbols.shape for n, r in weights.items()} == {
        n: s.row_shape for n, s in SMALL.tensors().items()
    }
    for name, found in weights.items():
        used = parameters[name].detach().reshape(found.symbols.shape)
        torch.testing.assert_close(torch.from_numpy(found.values()), used, rtol=1e-6, atol=0)
    used = streams[LATENTS].detach().T
    torch.testing.assert_close(torch.from_numpy(rows[LATENTS].values()), used, rtol=1e-6, atol=0)


def test_the_rate_reaches_every_parameter() -> None:
    rep = Representation(SMALL, 4)
    with torch.no_grad():
        for parameter in rep.rows.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    rep.start_quantising()
    _, _, bits = rep.quantised()
    bits.backward()
    for name, parameter in rep.named_parameters():
        assert parameter.grad is not None, name
        assert bool((parameter.grad != 0).any()), name


def size_of(rep: Representation) -> float:
    return float(rep.quantised().bits.detach()) / 8


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.2])
def test_steps_are_found_for_a_size(factor: float) -> None:
    torch.manual_seed(0)
    rep = Representation(SMALL, 4)
    rep.start_quantising()
    size = int(factor * size_of(rep))
    rep.start_quantising(size)
    assert size_of(rep) == pytest.approx(size, rel=0.03)


def test_a_largest_size_makes_no_step_finer_than_usual() -> None:
    torch.manual_seed(0)
    rep = Representation(SMALL, 4)
    rep.start_quantising()
    usual = size_of(rep)
    for size in (0.5 * usual, 2 * usual):
        rep.start_quantising(int(size), largest=True)
        assert size_of(rep) == pytest.approx(min(size, usual), rel=0.03)


@pytest.mark.parametrize(("width", "pairs"), [(8, 148), (20, 110), (30, 600)])
def test_the_rate_of_the_loss_is_what_the_file_takes(width: int, pairs: int) -> None:
    """Within one percent, at sizes from 6 to 80 kB."""
    torch.manual_seed(0)
    widths = tuple(width * part // 20 for part in (22, 20, 18, 16, 14))
    rep = Representation(Architecture((192, 256), 20, widths), pairs)
    rep.start_quantising()
    weights, streams = rep.symbols()
    written = len(pack_weights(weights, rep.specs)) + len(pack_stream(streams[LATENTS]))
    assert written == pytest.approx(size_of(rep), rel=0.01)
