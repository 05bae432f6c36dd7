"""The page of a fleet of thousands in a real browser: search, order, filters, both widths."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import DESK, PHONE, fits, follows, watched

from seesame.fleet.page.build import write_fleet_page
from seesame.fleet.target.history import Throughput
from seesame.fleet.target.state import DONE, FAILED, State

COUNT = 3000


def states() -> list[State]:
    made = []
    for n in range(COUNT):
        plain: dict[str, Any] = {"source_bytes": 10_000 + n, "codec": "svtav1", "stack": "lite"}
        plain |= {"frames": 20, "fps": 10.0, "group": f"cam{n % 3}", "seconds": 2.0}
        if n % 50 == 7:
            plain |= {"error": f"in/d{n}.mp4: {'ends early' if n % 100 == 7 else 'no video'}"}
        else:
            plain |= {"bytes": 100 + n, "seg": n / 1e5, "pose": 0.1, "score": 1 + n / 1e3}
        status = FAILED if "error" in plain else DONE
        made.append(State(f"in/d{n}.mp4", f"d{n}.mp4", status, "r", **plain))
    return made


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    work = Throughput(60.0, [5, 9, 3], [1, 2, 3], [60.0, 90.0, 30.0], [0.0, 70.0])
    write_fleet_page(path, path, "<img src=x onerror=alert(1)>", states(), work, ())
    return path


@pytest.fixture
def opened(browser: Any, file: Path) -> Iterator[Callable[..., Any]]:
    with watched(browser) as visit:

        def opened(size: tuple[int, int] = DESK, scheme: str = "light") -> Any:
            page = visit(file, size, scheme)
            page.wait_for_selector("#hist-score svg")
            return page

        yield opened


def first(page: Any) -> str:
    return page.locator("#rows tr").first.inner_text()


def test_search_finds_rows_by_all_their_words(opened: Callable[..., Any]) -> None:
    page = opened()
    assert page.locator("#rows tr").count() == 100
    page.locator("#search").fill("cam1 d29")
    count = sum(n % 3 == 1 and "d29" in f"d{n}.mp4" for n in range(COUNT))
    assert page.locator("#shown").inner_text() == f"{count} of 3,000 clips."
    page.locator("#search").fill("nothing like that")
    assert page.locator("#rows tr").count() == 0
    page.locator("#clear").click()
    assert page.locator("#shown").inner_text().startswith("3,000 of 3,000")
    page.locator("#more").click()
    assert page.locator("#rows tr").count() == 200


def test_every_column_sorts_both_ways(opened: Callable[..., Any]) -> None:
    page = opened()
    assert "d2999.mp4" in first(page)  # the worst score
    page.locator("#heads button", has_text="Score").click()
    assert "d0.mp4" in first(page)
    page.locator("#heads button", has_text="Before").click()
    assert "d2999.mp4" in first(page)
    page.locator("#turn").click()
    assert "d0.mp4" in first(page)
    page.locator("#sort").select_option("out")
    assert "d0.mp4" in first(page)
    assert page.locator("#heads [aria-sort]").get_attribute("data-name") == "out"
    # Clips without a score come last in either order.
    page.locator("#status").select_option("failed")
    page.locator("#sort").select_option("score")
    assert page.locator("#shown").inner_text().startswith("60 of 3,000")


def test_failures_and_bars_choose_clips(opened: Callable[..., Any]) -> None:
    page = opened()
    assert page.locator("#failures tbody tr").count() == 2
    page.locator("[data-reason='0']").click()
    assert page.locator("#shown").inner_text().startswith("30 of 3,000 clips, failed with")
    page.locator("#clear").click()
    page.locator("#hist-score .hit").nth(20).click()
    assert ", score from" in page.locator("#shown").inner_text()
    whole = int(page.locator("#shown").inner_text().split()[0])
    assert 0 < whole < 300
    page.locator("#group").select_option("cam1")
    part = int(page.locator("#shown").inner_text().split()[0])
    assert 0 < part < whole / 2


def test_plots_are_drawn(opened: Callable[..., Any]) -> None:
    page = opened()
    for name in ("hist-score", "hist-seg", "hist-share"):
        heights = page.eval_on_selector_all(
            f"#{name} .bar.some", "bars => bars.map(bar => Number(bar.getAttribute('height')))"
        )
        assert max(heights) > 40
    assert page.locator("#rate-clips .bar").count() == 3
    assert page.locator("#rate-clips .begun").count() == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_nothing_runs_over_the_edge(opened: Callable[..., Any], size: Any, scheme: str) -> None:
    page = opened(size, scheme)
    assert fits(page)
    assert follows(page, scheme)
