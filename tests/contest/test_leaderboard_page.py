"""The leaderboard's page in a real browser."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from leaderboard_reports import refused, report, write
from pages import DESK, PHONE, fits, watched
from PIL import Image

from seesame.contest.entries import read_entries
from seesame.contest.leaderboard import boards, published, render_page

HOSTILE = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with all that can be on one."""
    folder = tmp_path_factory.mktemp("board")
    reports = [
        report("slim", 50_000, seg=0.009),
        report("exact", 900_000, seg=0.001),
        report(HOSTILE, 400_000, seg=0.004, decoder=HOSTILE, network="open", official=False),
        report("extra_" * 60, 60_000, seg=0.02, uncounted_bytes=9,
               uncounted=[{"path": "dir/" * 90, "bytes": 9, "why": "not text"}]),
        report("far", 1_000_000, seg=0.9, videos=[{**report(), "name": i * 300} for i in "ab"]),
        refused("broken", "refused: " + "x" * 400),
        report("elsewhere", bench="other", axis="cuda"),
        report("nearly", bench="other", axis="cuda", seg=0.005_500_000_000_000_04),
    ]  # fmt: skip
    for index, values in enumerate(reports):
        write(folder / "all" / f"s{index}", values)
    ranked = boards(read_entries([folder / "all"]))
    assert ranked[1].decimals > 13  # as wide as a score gets
    page = render_page(ranked, published(), f"Board {HOSTILE}")
    path = folder / "board.html"
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Any, file: Path) -> Iterator[Callable[..., Any]]:
    """Open the page."""
    with watched(browser) as visit:
        yield lambda size=DESK, scheme="light": visit(file, size, scheme)


def order(page: Any) -> list[str]:
    """First letters of the names on the first board, top to bottom."""
    return [text[:5] for text in page.locator(".board >> nth=0 >> .name button").all_inner_texts()]


def heading(page: Any, key: str) -> Any:
    return page.locator(f".board >> nth=0 >> th[data-key={key}]")


def test_it_opens_with_the_best_first(opened: Callable[..., Any]) -> None:
    page = opened()
    assert order(page) == ["<scri", "exact", "slim", "extra", "far", "broke"]
    assert page.locator(".board >> nth=0 >> .rank").all_inner_texts() == [*"#12345", "\u2013"]
    assert heading(page, "score").get_attribute("aria-sort") == "ascending"
    assert page.locator(".published .entry").count() == len(published())
    assert page.locator(".board .entry").count() == 8


def test_a_click_sorts(opened: Callable[..., Any]) -> None:
    page = opened()
    heading(page, "rate").locator("button").click()
    assert order(page) == ["slim", "extra", "<scri", "exact", "far", "broke"]
    assert heading(page, "rate").get_attribute("aria-sort") == "ascending"
    assert heading(page, "score").get_attribute("aria-sort") is None
    heading(page, "rate").locator("button").click()
    assert order(page) == ["far", "exact", "<scri", "extra", "slim", "broke"]
    assert heading(page, "rate").get_attribute("aria-sort") == "descending"
    assert page.locator(".board >> nth=0 >> th[aria-sort]").count() == 1


def test_the_keyboard_sorts_and_opens(opened: Callable[..., Any]) -> None:
    page = opened()
    heading(page, "name").locator("button").focus()
    page.keyboard.press("Enter")
    assert order(page) == ["<scri", "exact", "extra", "far", "slim", "broke"]
    button = page.locator(".name button").nth(1)
    detail = page.locator(f"[id='{button.get_attribute('aria-controls')}']")
    assert not detail.is_visible()
    button.focus()
    page.keyboard.press("Space")
    assert detail.is_visible()
    assert button.get_attribute("aria-expanded") == "true"
    assert "Score in full precision" in detail.inner_text()
    heading(page, "score").locator("button").click()
    below = button.evaluate("b => b.closest('tbody').rows[1].id")
    assert below == button.get_attribute("aria-controls")


def test_bars_show_the_parts(opened: Callable[..., Any]) -> None:
    page = opened()
    widths = "svg => [...svg.querySelectorAll('rect')].map(r => r.getBoundingClientRect().width)"
    bars = page.locator(".board >> nth=0 >> svg.bar")

    def shares(index: int) -> list[float]:
        whole = bars.nth(index).bounding_box()["width"]
        return [width / whole for width in bars.nth(index).evaluate(widths)]

    (entry,) = (e for e in read_all(page) if e.name.startswith("<script"))
    (far,) = (e for e in read_all(page) if e.name == "far")
    largest, parts = far.figures.score, entry.figures.parts
    assert shares(0) == pytest.approx([part / largest for part in parts], abs=2e-3)
    page.locator("input.share").nth(0).check()
    assert shares(0) == pytest.approx([part / sum(parts) for part in parts], abs=2e-3)


def read_all(page: Any) -> list[Any]:
    return read_entries([Path(page.evaluate("decodeURI(location.pathname)")).parent / "all"])


def test_a_hostile_name_is_inert(opened: Callable[..., Any]) -> None:
    page = opened()
    page.locator(".name button").first.click()
    assert page.title() == f"Board {HOSTILE}"
    assert page.locator(".name button").first.inner_text() == HOSTILE
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("width", [320, 390, 700, 981, 1181, 1280])
def test_nothing_runs_over_the_edge(opened: Callable[..., Any], width: int) -> None:
    page = opened((width, 844))
    for button in page.locator("[aria-controls]").all():
        button.click()
    assert fits(page)
    # Nor is anything clipped or squeezed inside.
    rights = "cells => cells.map(c => c.getBoundingClientRect().right).filter(x => x)"
    edges = page.locator(".entry > td").evaluate_all(rights)
    assert len(edges) > 50
    assert max(edges) <= width - 15
    widths = "cells => cells.map(c => c.getBoundingClientRect().width)"
    assert min(page.locator("td.name").evaluate_all(widths)) > 60


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_a_picture_is_not_blank(opened: Callable[..., Any], size: Any, tmp_path: Path) -> None:
    means = []
    for scheme in ("light", "dark"):
        path = tmp_path / f"{scheme}.png"
        opened(size, scheme).screenshot(path=path)
        pixels = np.asarray(Image.open(path).convert("RGB"), dtype=np.float64)
        assert pixels.shape == (size[1], size[0], 3)
        assert pixels.std() > 8
        means.append(pixels.mean())
    assert means[0] > 180
    assert means[1] < 90
