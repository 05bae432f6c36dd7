import torch
from fake_stack import FakeStack, tiny_clip

from seesame.codecs.hnerv.model import Architecture, Decoder
from seesame.codecs.hnerv.representation import Representation
from seesame.codecs.hnerv.warm import Start
from seesame.metric.evaluator import ReferenceOutputs

SMALL = Architecture((32, 64), 3, (5, 4, 4, 4, 4))


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
