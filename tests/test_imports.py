"""The modules that decoding and describing a file load: no encoder, no training, no networks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).resolve().parent / "golden"
FILES = (
    *("hnerv/small", "hnerv/layout2", "hybrid/small", "av/svtav1", "segments/small"),
    *("semantic/second", "semantic/every"),
)
DECODE = """
import json, sys
from pathlib import Path
from seesame.bitstream.container import Container
from seesame.codecs.registry import codec_by_id
container = Container.read(Path(sys.argv[1]))
for _ in codec_by_id(container.codec_id).decode(container).batches(4):
    pass
print(json.dumps(sorted(sys.modules)))
"""
DESCRIBE = """
import json, sys
from pathlib import Path
from seesame.bitstream.container import Container
from seesame.codecs.registry import codec_by_id
container = Container.read(Path(sys.argv[1]))
codec = codec_by_id(container.codec_id)
codec.notes(container), codec.tensors(container), codec.frame_bytes(container)
print(json.dumps(sorted(sys.modules)))
"""
ENCODING = (
    "seesame.context",
    "seesame.metric",
    "seesame.neural.corrections.search",
    "seesame.neural.fitting",
    "seesame.neural.weights.choose_coding",
    "seesame.neural.weights.network",
    "seesame.neural.weights.pack",
    "seesame.perception",
    "seesame.runlog",
)
BEFORE = {"hnerv/layout2": 64, "hybrid/small": 80, "av/svtav1": 41}
"""The modules of seesame that version 0.1.0 loaded to decode these files."""


def loaded(code: str, name: str) -> list[str]:
    words = [sys.executable, "-c", code, str(GOLDEN / f"{name}.ssm")]
    home = {**os.environ, "SEESAME_HOME": str(GOLDEN / "semantic")}
    ran = subprocess.run(words, capture_output=True, text=True, check=True, env=home)
    found: list[str] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize("name", FILES)
def test_decoding_loads_decoders_only(name: str) -> None:
    own = [module for module in loaded(DECODE, name) if module.startswith("seesame")]
    assert not [module for module in own if module.startswith(ENCODING)]
    assert len(own) <= 0.6 * BEFORE.get(name, 100)


@pytest.mark.parametrize("name", FILES)
def test_describing_a_file_needs_neither_torch_nor_ffmpeg(name: str) -> None:
    assert not {"torch", "av"} & set(loaded(DESCRIBE, name))
