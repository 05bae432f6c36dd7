"""A page of a real drive: its figures are those of score."""

import base64
import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Ran
from PIL import Image

from seesame.video.clip import Frames
from seesame.video.reading.reader import open_clip
from seesame.video.writing.writer import write_clip

pytestmark = pytest.mark.real

Run = Callable[..., Ran]


FRAMES = 8
CODECS: dict[str, tuple[str, ...]] = {
    "svtav1": ("crf=45", "scale=0.5", "preset=10"),
    "hybrid": ("steps=2", "sidecar=false", "base.crf=45", "base.preset=10"),
    "hnerv": ("steps=2", "sidecar=false"),
}


def beginning(shared: Path, folder: Path, frames: int) -> Path:
    """The first frames of highway."""
    source = open_clip(shared / "data" / "clips" / "highway.mp4")
    clip = folder / "highway.mp4"
    first = itertools.islice(source.batches(frames), 1)
    write_clip(clip, first, fps=source.fps, width=source.width, height=source.height, crf=14)
    return clip


def canvas(page: Any, side: str) -> Frames:
    """What a side shows, ``(h, w, 3)``."""
    url = page.locator(f"#canvas-{side}").evaluate("canvas => canvas.toDataURL('image/png')")
    picture = Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB")
    return np.asarray(picture)


def nearest(shown: Frames, frames: list[Frames]) -> int:
    """Which frame is most like what is shown."""
    size = shown.shape[1], shown.shape[0]
    small = [np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BOX)) for f in frames]
    return int(np.argmin([np.abs(np.subtract(f, shown, dtype=float)).mean() for f in small]))


def test_highway_s_page_in_a_browser(
    seesame: Run, browser: Any, shared: Path, tmp_path: Path
) -> None:
    clip = beginning(shared, tmp_path, FRAMES)
    files = []
    for codec, settings in CODECS.items():
        files.append(tmp_path / f"{codec}.ssm")
        words = [word for setting in settings for word in ("--set", setting)]
        out = ("-o", files[-1], "--codec", codec, "--no-score", "-q")
        made = seesame("compress", clip, *out, *words)
        assert made.code == 0, made
    ran = seesame("report", clip, *files, "-o", tmp_path / "page.html", "-q")
    assert ran.code == 0, ran
    frames = list(next(open_clip(clip).batches(FRAMES)))
    decoded = tmp_path / "decoded.mkv"
    assert seesame("decompress", files[0], "-o", decoded, "-q").code == 0
    theirs = list(next(open_clip(decoded).batches(FRAMES)))

    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    page, trouble = context.new_page(), []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    page.locator("#right").select_option(label="svtav1.ssm")

    def settled() -> None:
        while not page.evaluate("!busy && version === Number($('stage').dataset.version)"):
            page.wait_for_timeout(20)

    def shows(frame: int) -> None:
        page.wait_for_selector(f"#stage[data-frame='{frame}']", timeout=20_000)
        settled()
        assert nearest(canvas(page, "left"), frames) == frame
        assert nearest(canvas(page, "right"), theirs) == frame

    shows(0)
    page.locator("#stage").focus()
    page.keyboard.press("ArrowRight")
    shows(1)
    page.keyboard.press("End")
    shows(FRAMES - 1)
    page.locator("#time-seg .chart").focus()
    page.keyboard.press("Home")
    shows(1)  # the first pair's judged frame
    box = page.locator("#stage").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 20, steps=3)
    page.mouse.up()
    assert int(page.locator("#handle").get_attribute("aria-valuenow")) == pytest.approx(80, abs=1)
    plain = canvas(page, "right")
    for layer in ("mask-right", "disagreement", "difference"):
        page.locator(f"#{layer}").click()
        settled()
        assert not np.array_equal(canvas(page, "right"), plain)
        page.locator(f"#{layer}").click()
        settled()
        assert np.array_equal(canvas(page, "right"), plain)
    context.close()
    assert trouble == []


def test_the_beginning_of_highway(seesame: Run, shared: Path, tmp_path: Path) -> None:
    clip = beginning(shared, tmp_path, 6)
    file = tmp_path / "highway.ssm"
    settings = ("--set", "preset=ultrafast", "--set", "crf=38", "--set", "scale=0.5")
    made = seesame("compress", clip, "-o", file, "--codec", "x264", *settings, "--no-score", "-q")
    assert made.code == 0, made
    ran = seesame("report", clip, file, "-o", tmp_path / "page.html", "--json", "-q")
    assert ran.code == 0, ran
    told = json.loads(ran.out)
    for name, value in json.loads(seesame("score", clip, file, "--json", "-q").out).items():
        assert told[name] == value
    assert 20 < told["psnr"] < 45
    assert 0.7 < told["ms_ssim"] < 1
    assert (tmp_path / "page.html").stat().st_size < 2_000_000
