import torch
from fake_stack import FakeStack, tiny_clip

from seesame.codecs.hnerv.architecture import Architecture
from seesame.codecs.hnerv.model import Decoder
from seesame.codecs.hnerv.representation import Representation
from seesame.codecs.hnerv.warm_start import Start
from seesame.metric.evaluator import ReferenceOutputs
from seesame.metric.storage.maps import ClassMaps

SMALL = Architecture((32, 64), 3, (5, 4, 4, 4, 4))


def start_of(seed: int, architecture: Architecture, pairs: int) -> Start:
    torch.manual_seed(seed)
    decoder = Decoder(architecture).requires_grad_(False)
    return Start(decoder, torch.randn(pairs, architecture.latent))


def outputs(classes: torch.Tensor, poses: torch.Tensor) -> ReferenceOutputs:
    maps = ClassMaps()
    maps.append(classes)
    return ReferenceOutputs.of(maps, poses, tiny_clip(2), FakeStack())


def test_a_clip_that_is_the_same_starts_about_where_the_old_one_ended() -> None:
    start = start_of(0, SMALL, 40)
    shown = start.decoder(start.latents).clamp(0, 255).round()
    frames, classes = shown.byte(), FakeStack().segment(shown[:, 1]).argmax(1)
    poses = FakeStack().pose(shown)[:, :2]
    rep = Representation(start.architecture(SMALL), 40)
    start.fill(rep, frames, outputs(classes, poses), FakeStack())
    error = (rep.latents.detach() - start.latents).square().mean()
    assert float(error) < 0.2 * float(start.latents.square().mean())
    parameters, _, _ = rep.quantised()
    new = rep.decode(parameters, {"latents": start.latents}, torch.arange(40))
    torch.testing.assert_close(new, start.decoder(start.latents))


def test_one_old_pair_gives_its_latent_to_all() -> None:
    start = start_of(0, SMALL, 1)
    frames, classes = torch.zeros(3, 2, 3, 32, 64).byte(), torch.zeros(2, 32, 64).byte()
    rep = Representation(SMALL, 3)
    start.fill(rep, frames, outputs(classes, torch.zeros(2, 2)), FakeStack())
    torch.testing.assert_close(rep.latents.detach(), start.latents.expand(3, -1))


def test_another_render_size_keeps_the_convolutions_and_stretches_the_stem() -> None:
    start = start_of(1, SMALL, 4)
    larger = start.architecture(Architecture((64, 96), 9, (1, 1, 1, 1, 1)))
    assert larger == Architecture((64, 96), 3, SMALL.channels)
    rep = Representation(larger, 3)
    seen = outputs(torch.zeros(2, 64, 96, dtype=torch.uint8), torch.zeros(2, 2))
    start.fill(rep, torch.zeros(3, 2, 3, 64, 96).byte(), seen, FakeStack((64, 96)))
    parameters, _, _ = rep.quantised()
    old = dict(start.decoder.named_parameters())
    assert torch.equal(parameters["stages.2.weight"], old["stages.2.weight"])
    stem = parameters["stem.weight"].detach().view(5, 2 * 3, 3)
    assert torch.allclose(stem.mean(1), old["stem.weight"].view(5, 1 * 2, 3).mean(1), atol=1e-5)
