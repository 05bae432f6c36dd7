"""The page of a long clip: time and peak memory of ``seesame report``, beside those of ``score``.

    python bench/report_long.py

A clip of 1,231 frames with one file, then with three. ``score`` runs the same nets over the same
frames, the source's included, so that what is beyond it is the page's own. One row for each is
written to ``bench/results/report_long.jsonl``.
"""

import argparse
import tempfile
from pathlib import Path

from common import Results
from jobs import find_clip
from minute import run
from seesame.video.reader import open_clip

CRFS = (58, 50, 40)
FORMS = {"report.html": 1, "report": 3}
"""Output, and its number of files: three are too many for one file of 25 MB."""


def size_of(path: Path) -> int:
    """Bytes of a file, or of all in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def main() -> None:
    """Make the files, then the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", default="forest.mp4", help="name or path")
    parser.add_argument("--name", default="report_long", help="name of the results file")
    args = parser.parse_args()
    clip = find_clip(args.clip)
    results = Results(args.name)
    with tempfile.TemporaryDirectory() as name:
        folder, files = Path(name), []
        for crf in CRFS:
            files.append(str(folder / f"crf{crf}.ssm"))
            settings = ("--set", f"crf={crf}", "--set", "scale=0.5", "--set", "preset=8")
            out = ("-o", files[-1], "--codec", "svtav1", "--no-score")
            run("compress", str(clip), *out, *settings)
        _, score_s, _ = run("score", str(clip), files[0], "--no-cache")
        for form, count in FORMS.items():
            out = folder / form
            _, seconds, peak = run("report", str(clip), *files[:count], "-o", str(out))
            results.add(
                {
                    "clip": clip.name,
                    "files": count,
                    "form": "one file" if out.is_file() else "folder",
                    "page_bytes": size_of(out),
                    "report_s": round(seconds, 1),
                    "score_s": round(score_s, 1),
                    "peak_gb": round(peak, 2),
                    "frames": open_clip(clip).num_frames,
                }
            )


if __name__ == "__main__":
    main()
