"""A trained codec built as CONTRIBUTING shows it: the page's own code is run."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_stack import FakeStack, tiny_clip

from seesame import codecs
from seesame.bitstream.container import Container, Section
from seesame.codecs import registry
from seesame.codecs.registry import codec_by_id, get_codec
from seesame.context import EncodeContext
from seesame.errors import DamagedError, UserError
from seesame.metric.evaluator import evaluate

PAGE = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
FILES = ("codec.py", "network.py", "file.py", "decode.py")


@pytest.fixture(scope="module", autouse=True)
def _toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The page's files as a folder of ``codecs``, and the codec's line in the registry."""
    folder = tmp_path_factory.mktemp("codecs") / "toy"
    folder.mkdir()
    (folder / "__init__.py").touch()
    for name, code in zip(FILES, BLOCKS, strict=True):
        (folder / name).write_text(code)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codecs, "__path__", [*codecs.__path__, str(folder.parent)])
        patch.setitem(registry.CODECS, "toy", (200, "seesame.codecs.toy.codec:ToyCodec", ()))
        yield


def test_a_toy_codec_trains_and_decodes() -> None:
    clip, stack = tiny_clip(12), FakeStack()
    scores = {}
    for steps in (2, 120):
        made = get_codec("toy").encode(clip, {"steps": steps}, EncodeContext(stack))
        data = made.to_bytes()
        read = Container.from_bytes(data)
        decoded = codec_by_id(read.codec_id).decode(read)
        assert sum(map(len, decoded.batches(5))) == 12
        scores[steps] = evaluate(clip, decoded, stack, len(data)).score.total
    assert scores[120] < 0.8 * scores[2]


def test_what_every_trained_codec_has_it_has() -> None:
    context = EncodeContext(FakeStack())
    first = get_codec("toy").encode(tiny_clip(7), {"steps": 5}, context)
    assert (
        first.to_bytes() == get_codec("toy").encode(tiny_clip(7), {"steps": 5}, context).to_bytes()
    )
    shown = np.concatenate(list(get_codec("toy").decode(first).batches(3)))
    assert shown.shape == (7, 64, 128, 3)
    with pytest.raises(UserError, match="toy has no setting 'stesp'"):
        get_codec("toy").encode(tiny_clip(4), {"stesp": 5}, context)
    with pytest.raises(UserError, match="none was given"):
        get_codec("toy").encode(tiny_clip(4), {}, EncodeContext())
    damaged = Container(**{**vars(first), "sections": {**first.sections, Section.LATENTS: b""}})
    with pytest.raises(DamagedError):
        list(get_codec("toy").decode(damaged).batches(1))


def test_the_page_needs_hardly_more_than_forty_statements() -> None:
    lines = [line.strip() for line in "".join(BLOCKS).splitlines()]
    assert sum(bool(line) and "import" not in line for line in lines) <= 72
