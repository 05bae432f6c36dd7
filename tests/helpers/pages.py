"""Pages opened in a real browser, and the data that their scripts read."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PHONE, DESK = (390, 844), (1280, 900)


def data_of(page: Path) -> dict[str, Any]:
    """The block of data that the page's script reads."""
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


@contextmanager
def watched(browser: Any, **style: str) -> Iterator[Callable[..., Any]]:
    """Open pages; they must cause no message, no error, and no request beyond their own files."""
    contexts, trouble = [], []

    def opened(path: Path, size: tuple[int, int], scheme: str, own: str | None = None) -> Any:
        viewport = {"width": size[0], "height": size[1]}
        contexts.append(browser.new_context(viewport=viewport, color_scheme=scheme, **style))
        page, allowed = contexts[-1].new_page(), own or path.as_uri()
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("dialog", lambda dialog: trouble.append("dialog"))
        page.on("request", lambda r: r.url.startswith(allowed) or trouble.append(r.url))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert trouble == []


def fits(page: Any) -> bool:
    """Whether nothing runs over the page's right edge."""
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def follows(page: Any, scheme: str) -> bool:
    """Whether the page's background is that of a colour scheme."""
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    levels = [int(level) for level in background[4:-1].split(",")]
    return (min(levels) > 200) if scheme == "light" else (max(levels) < 60)
