"""Make the files in ``tests/golden/semantic`` anew: ``python tools/semantic_golden.py``.

Every later version must decode them as ever: make them anew only for a new layout of the files,
before it is released. The renderer is that of the tests' small stack, and is not trained.
"""

import json
import os
import sys
from pathlib import Path

import torch

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path += [str(TESTS / "helpers"), str(TESTS / "codecs" / "semantic")]

from small_semantic import (  # noqa: E402
    SmallStack,
    golden_facts,
    put,
    small_clip,
    small_renderer,
    with_residuals,
)
from test_masks import drive  # noqa: E402

from seesame.codecs.registry import get_codec  # noqa: E402
from seesame.codecs.semantic.masks.coder import encode_masks  # noqa: E402
from seesame.context import EncodeContext  # noqa: E402

FOLDER = TESTS / "golden" / "semantic"
FILES = {
    "second": {"simplify": 10, "every_frame": False},
    "every": {"simplify": 0, "every_frame": True},
}
"""The settings of each file, by its name."""
MASKS = {"count": 6, "height": 40, "width": 56, "seed": 0}


def main() -> None:
    """Write the golden masks, the renderer, the files, and what decodes from them."""
    torch.set_num_threads(1)
    os.environ["SEESAME_HOME"] = str(FOLDER)
    for old in FOLDER.glob("renderers/*"):
        old.unlink()
    put(small_renderer(), FOLDER)
    data = encode_masks(drive(**MASKS), 5).hex()
    (FOLDER / "masks.json").write_text(json.dumps({"drive": MASKS, "data": data}) + "\n")
    facts = {}
    for name, settings in FILES.items():
        context = EncodeContext(stack=SmallStack())
        made = get_codec("semantic").encode(small_clip(9, (61, 127)), settings, context)
        if name == "second":
            made = with_residuals(made)
        size = made.write(FOLDER / f"{name}.ssm", overwrite=True)
        facts[name] = golden_facts(made)
        print(f"{name}.ssm: {size} bytes")
    (FOLDER / "decoded.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
