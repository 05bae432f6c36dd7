"""The coding of masks without loss: the challenge's own, and those of clips with a prior.

    python bench/masks.py [--renderers FOLDER]

The challenge clip's 600 masks are coded with no prior, beside xz. With ``--renderers``, the folder
of ``bench/renderers.py``, the masks that ``lite`` sees in each clip are coded with the prior of the
shipped renderer and with that of the renderer that never saw the clip. All are decoded again and
compared. Times are of one core, the compilation of the loops left out.
"""

import argparse
import hashlib
import lzma
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import SHARED, Results
from seesame.codecs.semantic.installed import installed
from seesame.codecs.semantic.masks.coder import decode_masks, encode_masks
from seesame.codecs.semantic.masks.model import Primer
from seesame.codecs.semantic.shared import SharedRenderer
from semantic import CLIPS, renderer_for

OFFICIAL = SHARED / "data" / "masks" / "official.raw.xz"
SHAPE = (600, 384, 512)
SHA256 = "c5c7671d037b6912980c57929a5b6d789d250ee6a93e3b0a6018cf9f63e32ece"


def measure(masks: NDArray[np.uint8], classes: int, prior: Primer | None = None) -> dict[str, Any]:
    """Return the bytes of masks, and how many are coded and decoded in a second."""
    decode_masks(encode_masks(masks[:1], classes, prior), (1, *masks.shape[1:]), classes, prior)
    begun, cpu = time.perf_counter(), time.process_time()
    data = encode_masks(masks, classes, prior)
    between, cpu_between = time.perf_counter(), time.process_time()
    again = decode_masks(data, masks.shape, classes, prior)
    ended, cpu_ended = time.perf_counter(), time.process_time()
    if not np.array_equal(again, masks):
        raise SystemExit("the decoded masks are not those that were coded")
    count = len(masks)
    return {
        "masks": count,
        "size": list(masks.shape[1:]),
        "bytes": len(data),
        "encode_per_s": round(count / (between - begun), 1),
        "decode_per_s": round(count / (ended - between), 1),
        "encode_per_cpu_s": round(count / (cpu_between - cpu), 1),
        "decode_per_cpu_s": round(count / (cpu_ended - cpu_between), 1),
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Measure, and write a line of results for each set of masks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--renderers", type=Path, help="folder of the renderers")
    args = parser.parse_args()
    results = Results("masks")
    raw = lzma.decompress(OFFICIAL.read_bytes())
    if hashlib.sha256(raw).hexdigest() != SHA256:
        raise SystemExit(f"{OFFICIAL}: is not the file that is expected")
    official = np.frombuffer(raw, np.uint8).reshape(SHAPE)
    results.add({"what": "official", "prior": "none", "xz_bytes": OFFICIAL.stat().st_size})
    results.add({"what": "official", "prior": "none"} | measure(official, 5))
    if args.renderers is None:
        return
    shipped = next(one.parsed() for one in installed() if one.name == "lite.renderer")
    for clip in CLIPS:
        path = args.renderers / f"seen_{Path(clip).stem}.npz"
        with np.load(path) as seen:
            masks = seen["second"]
        unseen = SharedRenderer.read(renderer_for(clip, args.renderers))
        classes = len(shipped.classes)
        for which, shared in (("none", None), ("unseen", unseen), ("shipped", shipped)):
            prior = None if shared is None else shared.prior
            results.add({"what": clip, "prior": which} | measure(masks, classes, prior))


if __name__ == "__main__":
    main()
