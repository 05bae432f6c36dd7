"""The gallery of docs/report.md: the page of ``highway``, photographed at desktop and phone width.

    python bench/report_gallery.py                    # makes three files, the page, the pictures
    python bench/report_gallery.py av1.ssm hnerv.ssm  # of files that are there
    python bench/report_gallery.py --fleet            # only the page that `make demo-fleet` made

Needs chromium, and the clips beside the checkout. The files and the page are left in
``out/gallery``, the pictures in ``docs``. Where onnxruntime is installed, TwinLiteNet judges the
files as well.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from common import HERE, SHARED, twinlitenet

ROOT = HERE.parent
OUT = ROOT / "out" / "gallery"
FLEET = ROOT / "out" / "demo-fleet" / "small" / "report.html"
CLIP = SHARED / "data" / "clips" / "highway.mp4"
FILES: dict[str, tuple[str, ...]] = {
    "av1.ssm": ("--codec", "svtav1", "--set", "crf=50", "--set", "scale=0.5"),
    "hybrid.ssm": ("--codec", "hybrid", "--budget", "5m"),
    "hnerv.ssm": ("--codec", "hnerv", "--preset", "fast"),
}
TROUBLE: list[str] = []
"""Lines that the page wrote to the console; there must be none."""
COLOURS = 256
"""Of a picture in docs, to keep it small."""


def seesame(*words: object) -> None:
    """Run a command; raises CalledProcessError when it fails."""
    subprocess.run([sys.executable, "-m", "seesame.cli", *map(str, words)], check=True)


def made() -> list[Path]:
    """Return one file of each codec; make those that are not there."""
    for name, words in FILES.items():
        if not (OUT / name).exists():
            seesame("compress", CLIP, "-o", OUT / name, "--no-score", *words)
    return [OUT / name for name in FILES]


def other_network() -> list[str]:
    """Return the flags for TwinLiteNet, or none without onnxruntime."""
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        return []
    return ["--transfer", twinlitenet(OUT / "twinlitenet")]


def opened(browser: Any, page: Path, width: int, height: int, scheme: str) -> Any:
    """Open the page at a size, at the best file's worst moment, with the differences marked."""
    shown = browser.new_page(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    shown.on("console", lambda message: TROUBLE.append(message.text))
    shown.on("pageerror", lambda error: TROUBLE.append(str(error)))
    shown.goto(page.as_uri())
    shown.wait_for_selector("#stage[data-frame]")
    shown.locator(".verdict button").click()
    shown.locator("#disagreement").click()
    shown.locator("#mask-left").click()
    shown.wait_for_timeout(1500)
    return shown


def keep(shown: Any, name: str, top: str | None = None) -> None:
    """Save a picture of what is in view, from the top of an element on."""
    script = "top => scrollTo(0, top ? document.querySelector(top).offsetTop - 16 : 0)"
    shown.evaluate(script, top)
    shown.wait_for_timeout(1500)
    path = ROOT / "docs" / name
    shown.screenshot(path=path)
    with Image.open(path) as picture:
        whole = picture.convert("RGB")
    # By coverage, so that a few pixels of a strong colour keep it.
    small = whole.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}  {path.stat().st_size:,} bytes")


def photograph_clip(browser: Any, page: Path) -> None:
    """Save the pictures of docs/report.md."""
    desk = opened(browser, page, 1280, 1440, "light")
    keep(desk, "report.png")
    keep(desk, "report_detail.png", "#worst")
    keep(opened(browser, page, 1280, 700, "light"), "report_player.png", "#player")
    keep(opened(browser, page, 390, 844, "dark"), "report_phone.png", "#player")


def photograph_fleet(browser: Any) -> None:
    """Save the picture of docs/fleet.md."""
    shown = browser.new_page(viewport={"width": 1280, "height": 1120}, color_scheme="light")
    shown.on("console", lambda message: TROUBLE.append(message.text))
    shown.on("pageerror", lambda error: TROUBLE.append(str(error)))
    shown.goto(FLEET.as_uri())
    shown.wait_for_selector("#hist-score svg")
    keep(shown, "fleet.png")


def main() -> None:
    """Make what is missing, then the page and its pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="only photograph the page again")
    parser.add_argument("--fleet", action="store_true", help="photograph the page of a fleet")
    parser.add_argument("files", nargs="*", type=Path, help=".ssm files of highway")
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    page = OUT / "highway.html"
    if not given.keep and not given.fleet:
        files = given.files or made()
        seesame("report", CLIP, *files, "-o", page, "--overwrite", *other_network())
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        if given.fleet:
            photograph_fleet(browser)
        else:
            photograph_clip(browser, page)
        browser.close()
    if TROUBLE:
        raise SystemExit(f"the page complains: {'; '.join(TROUBLE)}")


if __name__ == "__main__":
    main()
