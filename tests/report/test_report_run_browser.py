"""The page of a run in a real browser, from disk: curves are drawn, and it looks again."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import logs
import pytest
from pages import DESK, PHONE, fits, follows, watched

from seesame.report.run import parse_run
from seesame.report.run_page import write_run_page

CURVES = 7


def write(path: Path, lines: list[dict[str, Any]], live: bool = False) -> None:
    run = parse_run(logs.text(lines).encode(), path.name)
    write_run_page(path, run, "<img src=x onerror=alert(1)>", 1_800_000_500.0, live)


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Write a page and open it."""
    path = tmp_path / "run page.html"
    with watched(browser) as visit:

        def opened(
            lines: list[dict[str, Any]],
            size: tuple[int, int] = DESK,
            scheme: str = "light",
            live: bool = False,
        ) -> Any:
            write(path, lines, live)
            page = visit(path, size, scheme)
            page.wait_for_selector("#curve-bytes svg")
            return page

        opened.path = path  # type: ignore[attr-defined]
        yield opened


def test_the_curves_are_drawn(opened: Callable[..., Any]) -> None:
    page = opened(logs.run())
    assert page.locator(".curve.est").count() == CURVES
    for curve in page.locator(".curve.est").all():
        box = curve.bounding_box()
        assert box["width"] > 50
        assert box["height"] > 10
    assert page.locator("#curve-score .judged").count() == 5
    assert page.locator("#curve-score .judged.top").count() == 1
    assert page.locator("#curve-score .judged.no").count() == 1
    assert page.locator("img").count() == 0
    names = page.locator(".stage-name").all_text_contents()
    assert {"training", "quantised", "judging"} <= set(names)


def test_a_search_has_trials_alone(opened: Callable[..., Any]) -> None:
    trials = [logs.candidate(10.0 * i, i, 5.0 - i) for i in (1, 2, 3)]
    end = {"kind": "end", "t": 31.0, "why": "finished", "number": 3, "bytes": 1, "score": 2.0}
    page = opened([logs.begin(codec="search"), *trials, end])
    assert page.locator(".timeline").count() == CURVES - 2
    assert page.locator("#curve-score .judged").count() == 3
    assert "The best trial scores 2.000" in page.locator("h1").inner_text()
    assert page.locator("#by-t").count() == 0
    assert "Step" not in page.locator("table").inner_text()
    assert "not kept" not in page.locator("table").inner_text()


def test_steps_or_time_run_along(opened: Callable[..., Any]) -> None:
    page = opened(logs.run())
    assert "8:00" in page.locator("#curve-score svg").text_content()
    page.locator("#by-step").click()
    assert "1,000" in page.locator("#curve-score svg").text_content()
    page.reload()
    assert page.locator("#by-step").get_attribute("aria-pressed") == "true"
    page.locator("#curve-seg .chart").hover()
    assert "step" in page.locator("#curve-pose .values").inner_text()
    page.locator("#by-t").click()
    assert "#" not in page.url


def test_it_looks_again_where_it_was_and_stops_at_the_end(opened: Callable[..., Any]) -> None:
    page = opened(logs.run(to=0.9, ended=False), live=True)
    page.evaluate("scrollTo(0, 300)")
    write(opened.path, logs.run())  # type: ignore[attr-defined]
    page.wait_for_selector("h1:has-text('The file scores')", timeout=20_000)
    page.wait_for_selector("#curve-learning svg")
    assert page.evaluate("data.live") is False
    for _ in range(50):
        if abs(page.evaluate("scrollY") - 300) < 5:
            return
        page.wait_for_timeout(20)
    pytest.fail("the page has scrolled")


def test_a_silent_run_says_so(opened: Callable[..., Any]) -> None:
    page = opened([logs.begin(started=1_000_000_000.0)])
    assert "killed" in page.locator("#news").inner_text()
    assert page.locator(".none").count() == CURVES


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_nothing_runs_over_the_edge(opened: Callable[..., Any], size: Any, scheme: str) -> None:
    page = opened(logs.run(), size, scheme)
    assert fits(page)
    assert follows(page, scheme)
