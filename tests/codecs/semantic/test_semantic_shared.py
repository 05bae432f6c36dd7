import hashlib
import os
import random
import tracemalloc
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import torch
from tiny_stack import TinyStack

from seesame.bitstream.container import pack_config
from seesame.codecs.semantic.installed import find_renderer, install, installed, renderer_for
from seesame.codecs.semantic.masks.prior import learn_prior
from seesame.codecs.semantic.networks import Renderer, RendererDesign
from seesame.codecs.semantic.renderer_file import MAGIC, Part, pack_file, read_file
from seesame.codecs.semantic.shared import SharedRenderer, Weights
from seesame.codecs.semantic.training.loop import TrainedWeights
from seesame.errors import DamagedError, MissingRendererError, UserError

DESIGN = RendererDesign(3, 48, 64, trunk=8, fine=6, lifted=2, dilations=(1, 2))


def make(seed: int = 0, stack: TinyStack | None = None) -> SharedRenderer:
    torch.manual_seed(seed)
    weights = TrainedWeights(Renderer(DESIGN))
    weights.start_quantising()
    rows, _ = weights.symbols()
    return SharedRenderer.make(stack or TinyStack(), {Part.RENDERER: Weights(DESIGN, rows)})


def sealed(body: bytes) -> bytes:
    """Return a file's bytes with the checksum that fits them."""
    return body + google_crc32c.value(body).to_bytes(4, "little")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEESAME_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_file_comes_back(tmp_path: Path) -> None:
    shared = make()
    path = tmp_path / "a.renderer"
    shared.write(path)
    again = SharedRenderer.read(path)
    assert again.to_bytes() == path.read_bytes() == shared.to_bytes()
    assert again.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (again.stack, again.fingerprint) == ("tiny", TinyStack.fingerprint)
    assert (again.classes, again.judged, again.size) == (TinyStack.classes, 2, (48, 64))
    assert (again.carrier, again.prior) == (None, None)
    masks = torch.randint(0, 3, (2, 48, 64), dtype=torch.uint8)
    assert torch.equal(again.renderer(masks), shared.renderer(masks))


def test_the_weights_are_those_that_were_quantised() -> None:
    torch.manual_seed(0)
    renderer = Renderer(DESIGN)
    shared = make()
    for name, value in shared.renderer.named_parameters():
        wanted = dict(renderer.named_parameters())[name]
        spread = wanted.square().mean().sqrt()
        assert (value - wanted).abs().max() < 0.5 * spread, name
        assert not value.requires_grad


def test_a_prior_is_added_and_the_rest_is_kept() -> None:
    shared = make()
    random = np.random.default_rng(0)
    masks = np.kron(random.integers(0, 3, (4, 6, 8), dtype=np.uint8), np.ones((1, 8, 8), np.uint8))
    prior = learn_prior([masks], 3)
    more = shared.with_part(Part.PRIOR, prior)
    assert more.prior is not None
    assert more.prior.to_bytes() == prior
    assert more.digest != shared.digest
    assert (
        SharedRenderer.from_bytes(more.to_bytes()).parts[Part.RENDERER]
        == (shared.parts[Part.RENDERER])
    )
    assert more.with_part(Part.RENDERER, shared.parts[Part.RENDERER]).data == more.data


def test_every_cut_is_refused() -> None:
    data = make().to_bytes()
    for end in [*range(60), *range(60, len(data), 37), len(data) - 1]:
        with pytest.raises(DamagedError):
            SharedRenderer.from_bytes(data[:end], "cut")


def test_every_changed_byte_is_refused() -> None:
    data = make().to_bytes()
    chance = random.Random(5)
    for place in [*range(40), *chance.sample(range(len(data)), 150)]:
        changed = bytearray(data)
        changed[place] ^= 1 << chance.randrange(8)
        with pytest.raises(DamagedError):
            SharedRenderer.from_bytes(bytes(changed), "changed")


def test_changed_bytes_below_a_right_checksum_never_raise_anything_else() -> None:
    body = make().to_bytes()[:-4]
    chance = random.Random(7)
    refused = 0
    for _ in range(300):
        changed = bytearray(body)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(5, len(body))] = chance.randrange(256)
        try:
            shared = SharedRenderer.from_bytes(sealed(bytes(changed)), "changed")
        except DamagedError:
            refused += 1
        else:
            for value in shared.renderer.parameters():
                assert torch.isfinite(value).all()
    assert refused > 50


def test_random_bytes_are_refused() -> None:
    chance = random.Random(9)
    for size in (0, 1, 3, 4, 5, 100, 5000):
        with pytest.raises(DamagedError):
            SharedRenderer.from_bytes(sealed(MAGIC + b"\x01" + chance.randbytes(size)), "random")
        with pytest.raises(DamagedError):
            SharedRenderer.from_bytes(chance.randbytes(size), "random")


@pytest.mark.parametrize(
    "change",
    [
        {"classes": ["one", "two"]},
        {"classes": "abc"},
        {"classes": [1, 2, 3]},
        {"classes": ["a", "b", "c" * 201]},
        {"stack": "two\nlines"},
        {"stack": 7},
        {"judged": -1},
        {"judged": True},
        {"networks": []},
        {"networks": {}},
        {"networks": {"renderer": {**DESIGN.values(), "trunk": 9}}},
        {"networks": {"renderer": {**DESIGN.values(), "trunk": 256, "dilations": [1] * 12}}},
        {"more": 1},
    ],
)
def test_a_header_that_does_not_fit_is_refused(change: dict[str, object]) -> None:
    header, parts = read_file(make().to_bytes(), "whole")
    with pytest.raises(DamagedError, match="odd"):
        SharedRenderer.from_bytes(pack_file(header | change, parts), "odd")


def test_a_file_without_a_network_is_refused() -> None:
    header, _ = read_file(make().to_bytes(), "whole")
    with pytest.raises(DamagedError, match="holds no network"):
        SharedRenderer.from_bytes(pack_file(header, {Part.PRIOR: b"prior"}), "none")


def test_a_small_file_takes_little_memory() -> None:
    header, parts = read_file(make().to_bytes(), "whole")
    huge = {**DESIGN.values(), "classes": 256, "trunk": 256, "fine": 128, "dilations": [64] * 12}
    body = pack_file(header | {"networks": {"renderer": huge}}, parts)
    bomb = sealed(MAGIC + b"\x01" + b"\x80\x80\x04" + pack_config({"a": "b" * 100_000}))
    tracemalloc.start()
    for data in (body, bomb):
        with pytest.raises(DamagedError):
            SharedRenderer.from_bytes(data, "hostile")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 64 << 20


def test_an_installed_renderer_is_found(home: Path, tmp_path: Path) -> None:
    shared = make()
    with pytest.raises(MissingRendererError, match="seesame renderer install"):
        find_renderer(shared.digest, "tiny")
    with pytest.raises(MissingRendererError, match="seesame renderer train"):
        renderer_for(TinyStack())
    path = tmp_path / "some.renderer"
    shared.write(path)
    place = install(path)
    assert place.parent == home / "renderers"
    assert install(path) == place
    assert find_renderer(shared.digest).digest == shared.digest
    assert renderer_for(TinyStack()).digest == shared.digest
    for named in (str(path), shared.digest, shared.digest[:10].upper()):
        assert renderer_for(TinyStack(), named).digest == shared.digest
    assert [one.own for one in installed() if one.name == str(place)] == [True]


def test_the_message_names_what_is_missing(home: Path) -> None:
    with pytest.raises(UserError, match=f"{'0' * 64} of stack lite .*not installed") as caught:
        find_renderer("0" * 64, "lite")
    assert "\n" not in str(caught.value)
    with pytest.raises(MissingRendererError, match="12345678"):
        renderer_for(TinyStack(), "12345678")
    with pytest.raises(UserError, match="no such file"):
        renderer_for(TinyStack(), "nowhere.renderer")


def test_a_renderer_of_other_weights_is_refused(tmp_path: Path) -> None:
    class Other(TinyStack):
        fingerprint = "cd" * 32

    path = tmp_path / "tiny.renderer"
    make().write(path)
    with pytest.raises(UserError, match="belongs to stack tiny"):
        renderer_for(Other(), str(path))


def test_a_stack_without_a_fingerprint_goes_by_name_and_classes(tmp_path: Path) -> None:
    class Nameless(TinyStack):
        fingerprint = ""

    class Longer(Nameless):
        classes = ("dark", "grey", "white")

    class Judged(Nameless):
        judged = 1

    class Still(Nameless):
        has_pose = False

    path = tmp_path / "nameless.renderer"
    make(stack=Nameless()).write(path)
    assert renderer_for(Nameless(), str(path)).stack == "tiny"
    for other in (Longer(), Judged(), Still()):
        with pytest.raises(UserError, match="belongs to stack"):
            renderer_for(other, str(path))


def test_it_is_never_half_written(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.renderer"
    make(0).write(path)
    before = path.read_bytes()
    with pytest.raises(UserError, match="exists already"):
        make(1).write(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.renderer"]
