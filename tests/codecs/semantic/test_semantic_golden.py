"""Files that every later version must decode to the same masks, codes and pictures.

``tools/semantic_golden.py`` makes them.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from small_semantic import SmallStack, golden_facts

from seesame.bitstream.container import Container
from seesame.codecs.semantic.installed import renderer_for
from seesame.codecs.semantic.sections import read_head
from seesame.codecs.semantic.shared import SharedRenderer

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "semantic"
DECODED = json.loads((GOLDEN / "decoded.json").read_text())


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEESAME_HOME", str(GOLDEN))


@pytest.mark.parametrize("name", DECODED)
def test_the_golden_files_decode_as_ever(name: str) -> None:
    container = Container.read(GOLDEN / f"{name}.ssm")
    head = read_head(container)
    assert head.every_frame == (name == "every")
    found, wanted = golden_facts(container), DECODED[name]
    assert (found["masks"], found["codes"]) == (wanted["masks"], wanted["codes"])
    # The networks' sums may be rounded otherwise elsewhere.
    np.testing.assert_allclose(found["means"], wanted["means"], atol=0.5)
    np.testing.assert_allclose(found["samples"], wanted["samples"], atol=2)


def test_the_golden_renderer_is_read_as_ever() -> None:
    shared = renderer_for(SmallStack())
    (path,) = (GOLDEN / "renderers").iterdir()
    assert SharedRenderer.read(path).digest == shared.digest
    assert path.name.startswith(shared.digest[:16])
    assert shared.carrier is not None
    assert shared.prior is not None
