"""``python -m seesame.contest.imports FILE...``: decode files, and say what that imported.

``contest pack`` runs it on a copy of the package, in a fresh interpreter, to learn which modules
the decoder of a submission consists of, and that this decoder works. It prints JSON lines: the
share of the frames that is done, and at the end the names of all modules.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from seesame.contest.inflate import BATCH, decoded
from seesame.errors import UserError


def main(words: Sequence[str]) -> int:
    """Decode the files to their ends and print what was imported; return the exit code."""
    try:
        clips = [decoded(Path(word)) for word in words]
        total, done = sum(clip.num_frames for clip in clips), 0
        for clip in clips:
            for frames in clip.batches(BATCH):
                done += len(frames)
                print(json.dumps({"share": done / total}), flush=True)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps({"modules": sorted(sys.modules)}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
