"""The page in a real browser, from disk: what is shown is what was asked for."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import marked
import pytest
from marked import COLOURS, FRAMES, WRONG_PAIR
from pages import DESK, PHONE, fits, follows, watched

NAMES = ["dark_" + "long_" * 30 + ".ssm", "<img src=x onerror=alert(1)>.ssm"]
NEAR = 7
"""Levels that WebP may change a flat colour by."""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page in both of its forms."""
    folder = tmp_path_factory.mktemp("report page")  # with a space, as on many disks
    marked.write(folder / "page.html", NAMES)
    marked.write(folder / "page", NAMES, one_file=False)
    return {"file": folder / "page.html", "folder": folder / "page" / "index.html"}


@pytest.fixture
def opened(browser: Any, places: dict[str, Path]) -> Iterator[Callable[..., Any]]:
    """Open the page in one of its forms, at its first frame."""
    own = places["folder"].parent.as_uri()
    with watched(browser, reduced_motion="reduce") as visit:

        def opened(form: str = "file", size: tuple[int, int] = DESK, scheme: str = "light") -> Any:
            page = visit(places[form], size, scheme, own)
            at(page, 0)
            return page

        yield opened


def at(page: Any, frame: int) -> None:
    """Wait until this frame is drawn."""
    page.wait_for_selector(f"#stage[data-frame='{frame}']", timeout=20_000)


def settled(page: Any) -> None:
    """Wait until what was last chosen is drawn."""
    while not page.evaluate("!busy && version === Number($('stage').dataset.version)"):
        page.wait_for_timeout(20)


def pixel(page: Any, side: str, x: float = 0.25, y: float = 0.5) -> list[int]:
    return page.evaluate(
        """([side, x, y]) => {
            const shown = document.getElementById(`canvas-${side}`);
            const canvas = document.createElement("canvas");  // the page's own is not read
            [canvas.width, canvas.height] = [shown.width, shown.height];
            const context = canvas.getContext("2d", { willReadFrequently: true });
            context.drawImage(shown, 0, 0);
            const at = [Math.floor(x * canvas.width), Math.floor(y * canvas.height)];
            return [...context.getImageData(...at, 1, 1).data].slice(0, 3);
        }""",
        [side, x, y],
    )


def is_frame(page: Any, frame: int, side: str = "left", darker: int = 0) -> None:
    """The picture of a side has the frame's colour, and is nearest to that frame's of all."""
    at(page, frame)
    found = pixel(page, side)
    wanted = [[level - darker for level in colour] for colour in COLOURS]
    assert math.dist(found, wanted[frame]) <= NEAR
    assert min(range(FRAMES), key=lambda i: math.dist(found, wanted[i])) == frame


@pytest.mark.parametrize("form", ["file", "folder"])
def test_it_steps_frame_by_frame(opened: Callable[..., Any], form: str) -> None:
    page = opened(form)
    is_frame(page, 0)
    page.locator("#stage").focus()
    for key, frame in (
        ("ArrowRight", 1),
        ("ArrowRight", 2),
        ("Shift+ArrowRight", 12),
        ("ArrowLeft", 11),
        ("End", FRAMES - 1),
        ("ArrowRight", FRAMES - 1),
        ("Shift+ArrowLeft", FRAMES - 11),
        ("Home", 0),
        ("ArrowLeft", 0),
    ):
        page.keyboard.press(key)
        is_frame(page, frame)
        is_frame(page, frame, "right", darker=10)
        assert page.locator("#frame-number").inner_text() == str(frame)
    page.locator("#next").click()
    is_frame(page, 1)
    page.locator("#scrub").fill("40")
    is_frame(page, 40)
    is_frame(page, 40, "right", darker=10)


def test_it_plays_at_its_rate(opened: Callable[..., Any]) -> None:
    page = opened()
    page.locator("#stage").focus()
    page.keyboard.press("Space")
    assert page.locator("#play").get_attribute("aria-label") == "Pause"
    while int(page.locator("#stage").get_attribute("data-frame")) < 5:
        page.wait_for_timeout(50)
    page.keyboard.press("Space")
    settled(page)
    frame = int(page.locator("#stage").get_attribute("data-frame"))
    is_frame(page, frame)
    is_frame(page, frame, "right", darker=10)
    assert page.locator("#play").get_attribute("aria-label") == "Play"


def test_the_divider_is_dragged(opened: Callable[..., Any]) -> None:
    page = opened()
    handle, stage = page.locator("#handle"), page.locator("#stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()

    def seam() -> float:
        clip = page.locator(".over").evaluate("e => getComputedStyle(e).clipPath")
        return float(clip.split()[-1].rstrip("%)"))

    assert seam() == 50
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 20, steps=3)
    page.mouse.up()
    assert seam() == pytest.approx(20, abs=1)
    assert int(handle.get_attribute("aria-valuenow")) == pytest.approx(20, abs=1)
    at(page, 0)
    page.keyboard.press("End")  # the handle has the focus: its keys move it, not the frames
    assert seam() == 100
    page.keyboard.press("ArrowLeft")
    assert seam() == 98
    at(page, 0)
    page.locator("#view-beside").click()
    assert not handle.is_visible()
    boxes = [page.locator(f"#canvas-{side}").bounding_box() for side in ("left", "right")]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]


def test_layers_are_laid_over(opened: Callable[..., Any]) -> None:
    page = opened()
    page.locator("#scrub").fill(str(2 * WRONG_PAIR + 1))
    at(page, 2 * WRONG_PAIR + 1)
    for side, kind, x in (("left", "mask-left", 0.25), ("right", "mask-right", 0.75)):
        before = pixel(page, side, x)
        page.locator(f"#{kind}").click()
        assert page.locator(f"#{kind}").get_attribute("aria-pressed") == "true"
        settled(page)
        assert math.dist(pixel(page, side, x), before) > 20
        page.locator(f"#{kind}").click()
        settled(page)
        assert math.dist(pixel(page, side, x), before) <= 1
    page.locator("#disagreement").click()
    settled(page)
    assert pixel(page, "right", 0.75) == [255, 208, 0]
    assert pixel(page, "right", 0.25) != [255, 208, 0]
    assert math.dist(pixel(page, "left", 0.75), COLOURS[2 * WRONG_PAIR + 1]) <= NEAR
    page.locator("#disagreement").click()
    page.locator("#difference").click()
    settled(page)
    left, right = pixel(page, "right", 0.25), pixel(page, "right", 0.75)
    assert sum(right) > sum(left) > 0


def test_the_timeline_jumps(opened: Callable[..., Any]) -> None:
    page = opened()
    chart = page.locator("#time-seg .chart")
    assert page.locator(".timeline path.curve").count() == 2 * 2 + 2 * 2  # seg, pose; two values
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    inside = box["width"] - 46 - 6
    pairs = FRAMES // 2
    page.mouse.click(box["x"] + 46 + inside * 9 / (pairs - 1), box["y"] + 30)
    is_frame(page, 19)
    page.keyboard.press("ArrowRight")
    is_frame(page, 21)
    page.keyboard.press("End")
    is_frame(page, FRAMES - 1)
    assert f"pair {pairs - 1}" in chart.get_attribute("aria-valuetext")


def test_the_worst_pair_is_shown(opened: Callable[..., Any]) -> None:
    page = opened()
    card = page.locator("#cards button").first
    assert f"pair {WRONG_PAIR}" in card.inner_text()
    card.click()
    is_frame(page, 2 * WRONG_PAIR + 1)
    page.locator("[data-focus='1']").click()
    page.locator("#cards button").first.click()
    assert page.locator("#right").evaluate("s => s.value") == "2"
    page.locator("#scrub").fill("7")
    is_frame(page, 7, "right", darker=20)


def test_a_hostile_name_is_inert(opened: Callable[..., Any]) -> None:
    page = opened()
    assert page.locator("img").count() == 0
    assert NAMES[1] in page.locator("#files").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_nothing_runs_over_the_edge(opened: Callable[..., Any], size: Any, scheme: str) -> None:
    page = opened("file", size, scheme)
    assert fits(page)
    page.locator("#view-beside").click()
    assert fits(page)
    assert follows(page, scheme)
