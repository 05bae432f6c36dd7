import pytest
import torch
from fake_stack import FakeStack, tiny_clip

from seesame.codecs.hnerv.model import Architecture, Decoder
from seesame.codecs.hnerv.representation import Representation
from seesame.codecs.hnerv.warm import Start, class_shares, picture_latents
from seesame.metric.evaluator import ReferenceOutputs

SMALL = Architecture((32, 64), 3, (5, 4, 4, 4, 4))


def looks(pairs: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (pairs, 2, 3, 24, 32), generator=random, dtype=torch.uint8)
    classes = torch.randint(0, 3, (pairs, 24, 32), generator=random, dtype=torch.uint8)
    return frames, classes


def test_latents_are_uncorrelated_and_what_varies_most_comes_first() -> None:
    latents = picture_latents(*looks(20), 5)
    assert latents.shape == (20, 5)
    torch.testing.assert_close(latents.mean(0), torch.zeros(5), atol=1e-4, rtol=0)
    products = latents.T @ latents / 20
    sizes = products.diag()
    torch.testing.assert_close(products, sizes.diag(), atol=1e-3, rtol=0)
    assert float(sizes.mean()) == pytest.approx(1)
    assert sizes.tolist() == sorted(sizes.tolist(), reverse=True)


def test_like_pairs_have_like_latents() -> None:
    frames, classes = looks(6)
    frames[5], classes[5] = frames[0], classes[0]
    latents = picture_latents(frames, classes, 3)
    torch.testing.assert_close(latents[0], latents[5])
    assert float((latents[0] - latents[1]).norm()) > 0.1


def test_fewer_pictures_than_values_leave_zeros() -> None:
    latents = picture_latents(*looks(3), 8)
    assert latents.isfinite().all()
    assert not latents[:, 2:].any()
    one = picture_latents(*looks(1), 4)
    assert not one.any()


def test_an_odd_last_frame_has_a_latent_too() -> None:
    frames, classes = looks(7)
    assert picture_latents(frames, classes[:-1], 4).shape == (7, 4)


def test_shares_of_each_cell_sum_to_one() -> None:
    _, classes = looks(4)
    shares = class_shares(classes).view(4, 3, -1)
    torch.testing.assert_close(shares.sum(1), torch.ones(4, 192))


def start_of(seed: int, architecture: Architecture, pairs: int) -> Start:
    torch.manual_seed(seed)
    decoder = Decoder(architecture).requires_grad_(False)
    return Start(decoder, torch.randn(pairs, architecture.latent))


def outputs(classes: torch.Tensor) -> ReferenceOutputs:
    return ReferenceOutputs.of(classes, torch.zeros(len(classes), 2), tiny_clip(2), FakeStack())


def test_a_clip_that_is_the_same_starts_where_the_old_one_ended() -> None:
    start = start_of(0, SMALL, 5)
    classes = start._classes(FakeStack())
    rep = Representation(start.architecture(SMALL), 5)
    start.fill(rep, outputs(classes), FakeStack())
    parameters, latents, _ = rep.quantised()
    new, old = rep.decode(parameters, latents), start.decoder(start.latents)
    torch.testing.assert_close(new, old)


def test_another_render_size_keeps_the_convolutions_and_stretches_the_stem() -> None:
    start = start_of(1, SMALL, 4)
    larger = start.architecture(Architecture((64, 96), 9, (1, 1, 1, 1, 1)))
    assert larger == Architecture((64, 96), 3, SMALL.channels)
    rep = Representation(larger, 3)
    start.fill(rep, outputs(torch.zeros(2, 64, 96, dtype=torch.uint8)), FakeStack((64, 96)))
    parameters, _, _ = rep.quantised()
    old = dict(start.decoder.named_parameters())
    assert torch.equal(parameters["stages.2.weight"], old["stages.2.weight"])
    stem = parameters["stem.weight"].detach().view(5, 2 * 3, 3)
    assert torch.allclose(stem.mean(1), old["stem.weight"].view(5, 1 * 2, 3).mean(1), atol=1e-5)
