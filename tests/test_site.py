"""The site: every page is in its navigation, opens from disk, and asks the network nothing."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pages import DESK, PHONE, watched

import seesame

ROOT = Path(__file__).resolve().parents[1]
CONFIG = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]


def named(entries: Any) -> list[str]:
    """Return the pages that a part of the navigation names."""
    if isinstance(entries, str):
        return [entries]
    values = entries if isinstance(entries, list) else entries.values()
    return [page for value in values for page in named(value)]


def test_the_navigation_has_every_page_once() -> None:
    pages = [path.name for path in (ROOT / "docs").glob("*.md")]
    assert sorted(named(CONFIG["nav"])) == sorted(pages)


def test_the_reference_names_all_that_is_public() -> None:
    text = (ROOT / "docs" / "reference.md").read_text("utf-8")
    named = re.findall(r"^::: seesame\.(\w+)$", text, re.MULTILINE)
    assert sorted([*named, "__version__"]) == sorted(seesame.__all__)
    assert [name for name in named if not getattr(seesame, name).__doc__] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built from a copy of what it is made of."""
    own = ROOT / ".venv-site" / "bin" / "zensical"
    zensical = own if own.exists() else shutil.which("zensical")
    if zensical is None:
        pytest.skip("needs zensical (`make site` installs it)")
    tree = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "zensical.toml", tree)
    for name in ("docs", "src", "tools"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [str(zensical), "build", "--strict"]
    ran = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return tree / "out" / "site"


def test_the_reference_is_made_of_docstrings(site: Path) -> None:
    text = (site / "reference.html").read_text("utf-8")
    for name in ("compress", "open", "score", "load_stack", "VideoDecoder.get_frames_at"):
        assert f'id="seesame.{name}"' in text
    assert ":class:`" not in text
    assert ":meth:`" not in text


@pytest.mark.parametrize(("size", "scheme"), [(DESK, "light"), (PHONE, "dark")])
def test_every_page_opens_from_disk(
    site: Path, browser: Any, size: tuple[int, int], scheme: str
) -> None:
    with watched(browser, reduced_motion="reduce") as opened:
        own = site.as_uri()
        page = opened(site / "index.html", size, scheme, own)
        # A server shows the page of what is not found at any address; from disk nobody sees it.
        for path in sorted({*site.glob("*.html")} - {site / "404.html"}):
            page.goto(path.as_uri())
            assert page.locator("h1").count() == 1, path.name
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= size[0], f"{path.name} is {width} pixels wide"
            broken = (
                "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
            )
            assert page.evaluate(broken) == [], path.name


def test_the_search_works_from_disk(site: Path, browser: Any) -> None:
    with watched(browser, reduced_motion="reduce") as opened:
        page = opened(site / "metric.html", DESK, "light", site.as_uri())
        page.keyboard.press("Control+k")
        page.locator("input:visible").first.fill("renderers")
        page.get_by_text("A renderer inside the file").first.wait_for()
