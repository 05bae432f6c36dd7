import json

import pytest
import torch

from seesame.codecs.semantic.networks import Renderer, RendererDesign


def masks(count: int, height: int, width: int, classes: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(3)
    return torch.randint(0, classes, (count, height, width), generator=random, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("classes", "height", "width"), [(5, 192, 256), (2, 30, 45), (19, 33, 64), (256, 4, 4)]
)
def test_pictures_have_the_size_of_the_design(classes: int, height: int, width: int) -> None:
    renderer = Renderer(RendererDesign(classes, height, width, trunk=8, fine=6, lifted=2))
    drawn = renderer(masks(2, height, width, classes))
    assert drawn.shape == (2, 3, height, width)
    assert torch.isfinite(drawn).all()


def test_the_declaration_is_that_of_the_network() -> None:
    for design in (RendererDesign(5, 192, 256), RendererDesign(19, 360, 640, dilations=(1, 3))):
        shapes = {name: tuple(p.shape) for name, p in Renderer(design).named_parameters()}
        assert shapes == {name: spec.shape for name, spec in design.specs().items()}


def test_a_picture_depends_on_its_own_mask_alone() -> None:
    renderer = Renderer(RendererDesign(3, 24, 32, trunk=8, fine=6, lifted=2)).eval()
    several = masks(3, 24, 32, 3)
    with torch.inference_mode():
        alone, together = renderer(several[1:2]), renderer(several)[1:2]
    assert torch.allclose(alone, together, atol=1e-3)
    other = several.clone()
    other[1, 10, 10] = (other[1, 10, 10] + 1) % 3
    with torch.inference_mode():
        changed = renderer(other)
    assert torch.allclose(changed[0], renderer(several)[0], atol=1e-3)
    assert not torch.allclose(changed[1], alone[0], atol=1e-3)


def test_a_mask_of_half_the_size_is_drawn_at_the_full_size() -> None:
    renderer = Renderer(RendererDesign(3, 24, 32, trunk=8, fine=6, lifted=2)).eval()
    small = masks(1, 12, 16, 3)
    large = small.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(renderer(small), renderer(large))


def test_a_design_comes_back_from_its_values() -> None:
    design = RendererDesign(19, 360, 640, dilations=(1, 2))
    assert RendererDesign.of(json.loads(json.dumps(design.values()))) == design


def test_the_smallest_shape_makes_a_network() -> None:
    smallest = RendererDesign(1, 1, 1, trunk=1, dilations=(), lifted=1, fine=1)
    assert Renderer(smallest).state_dict().keys() >= smallest.specs().keys()


@pytest.mark.parametrize(
    "change",
    [
        {"classes": 0},
        {"classes": 257},
        {"height": 1 << 20},
        {"width": True},
        {"trunk": 1e9},
        {"trunk": 4096},
        {"dilations": [1] * 13},
        {"dilations": [0]},
        {"dilations": "11"},
        {"fine": None},
        {"more": 1},
    ],
)
def test_an_impossible_design_is_refused(change: dict[str, object]) -> None:
    values = RendererDesign(5, 192, 256).values() | change
    with pytest.raises(ValueError):  # noqa: PT011
        RendererDesign.of(values)


@pytest.mark.parametrize("values", [None, [], 3, {}, {"classes": 5}])
def test_what_is_no_design_is_refused(values: object) -> None:
    with pytest.raises(ValueError, match="not the shape"):
        RendererDesign.of(values)
