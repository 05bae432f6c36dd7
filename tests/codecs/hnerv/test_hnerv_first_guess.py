import pytest
import torch
from torch.nn import functional as F

from seesame.codecs.hnerv.architecture import Architecture
from seesame.codecs.hnerv.first_guess import (
    TUNING,
    class_shares,
    guess,
    pair_latents,
    picture_latents,
    regression,
)
from seesame.codecs.hnerv.representation import Representation


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
    shares = class_shares(classes)
    torch.testing.assert_close(shares.sum(1), torch.ones(4, 12, 16))


def test_poses_are_latent_values_of_their_own() -> None:
    poses = torch.tensor([[1.0, 50.0], [2.0, 10.0], [3.0, 30.0], [9.0, 30.0]])
    latents = pair_latents(*looks(4), poses, 8)
    assert latents.shape == (4, 8)
    wanted = TUNING.pose_spread * (poses - poses.mean(0)) / poses.std(0, correction=0)
    torch.testing.assert_close(latents[:, :2], wanted)
    assert latents[:, 2].any()


def test_few_latent_values_keep_most_for_the_pictures() -> None:
    poses = torch.randn(5, 6, generator=torch.Generator().manual_seed(3))
    latents = pair_latents(*looks(5), poses, 4)
    alone = picture_latents(*looks(5), 3)
    torch.testing.assert_close(latents[:, 1:], alone)
    no_pose = pair_latents(*looks(5), poses[:, :0], 4)
    torch.testing.assert_close(no_pose, picture_latents(*looks(5), 4))


def test_poses_that_never_change_add_nothing() -> None:
    latents = pair_latents(*looks(4), torch.ones(4, 1), 5)
    assert not latents[:, 0].any()


def moving_square(pairs: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A bright square that wanders over a gradient, and its class."""
    frames = torch.linspace(40, 120, 64).expand(pairs, 2, 3, 32, 64).clone()
    classes = torch.zeros(pairs, 32, 64, dtype=torch.uint8)
    for i in range(pairs):
        left = 4 + 40 * i // pairs
        frames[i, :, :, 10:22, left : left + 12] = 220
        classes[i, 10:22, left : left + 12] = 1
    return frames.byte(), classes


def test_the_guess_is_far_closer_than_a_grey_or_a_mean_picture() -> None:
    torch.manual_seed(0)
    frames, classes = moving_square(12)
    rep = Representation(Architecture((32, 64), 6, (16, 16, 12, 12, 12)), 12)
    guess(rep, frames, classes, torch.zeros(12, 0))
    parameters, streams, _ = rep.quantised()
    error = (rep.decode(parameters, streams, torch.arange(len(frames))) - frames).square().mean()
    mean = (frames.float().mean(0) - frames).square().mean()
    assert float(error.detach()) < 0.5 * float(mean)


def test_one_pair_and_an_odd_last_frame_can_be_guessed() -> None:
    torch.manual_seed(0)
    frames, classes = moving_square(3)
    for count, judged in ((1, 1), (3, 2)):
        rep = Representation(Architecture((30, 64), 4, (5, 4, 4, 4, 4)), count)
        cut = frames[:count, ..., :30, :]
        guess(rep, cut, classes[:judged], torch.zeros(judged, 2))
        assert all(p.isfinite().all() for p in rep.parameters())


def test_the_guess_follows_the_seed() -> None:
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        rep = Representation(Architecture((32, 64), 4, (5, 4, 4, 4, 4)), 4)
        guess(rep, *moving_square(4), torch.zeros(4, 0))
        found.append(rep.rows["stages_1_weight"].detach())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def testregression_finds_a_linear_rule_and_leaves_idle_inputs_alone() -> None:
    inputs = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    inputs[:, 3] = 7.0
    rule = torch.tensor([[1.0, -2.0, 0.5, 0.0], [0.0, 3.0, 0.0, 0.0]])
    targets = F.linear(inputs, rule, torch.tensor([5.0, -1.0]))
    weight, bias = regression(inputs, targets)
    torch.testing.assert_close(weight, rule, atol=0.02, rtol=0)
    torch.testing.assert_close(bias, torch.tensor([5.0, -1.0]), atol=0.02, rtol=0)
