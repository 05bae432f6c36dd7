"""The pages of the documentation: their fenced blocks, commands, headings and links."""

import re
import shlex
import unicodedata


def blocks(page: str, language: str = "") -> list[str]:
    """Return the fenced blocks of one language; those without one are a terminal's."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def commands(page: str) -> list[list[str]]:
    """Return the words of every ``seesame`` command in a page's fenced blocks."""
    lines = [line for block in blocks(page) for line in block.splitlines()]
    return [
        shlex.split(line, comments=True)
        for line in lines
        if re.match(r"(\S*/)?seesame ", line.removeprefix("$ "))
    ]


def prose(page: str) -> str:
    """Return a page without its fenced blocks and without code in its lines."""
    page = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(`+).+?\1", "", page, flags=re.DOTALL)


def links(page: str) -> list[str]:
    """Return where a page's links and pictures lead, but for addresses of the web."""
    text = prose(page)
    found = re.findall(r"\]\(([^)\s]+)[^)]*\)|(?:href|src)=\"([^\"]+)\"", text)
    return [one for pair in found for one in pair if one and "://" not in one]


def headings(page: str) -> list[str]:
    """Return a page's headings."""
    page = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^#+ (.+)$", page, re.MULTILINE)


def anchors(page: str) -> set[str]:
    """Return the names under which a page's headings are linked to, as GitHub makes them."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings(page))
    return {heading.replace(" ", "-") for heading in plain}


def site_anchors(page: str) -> set[str]:
    """Return the names that the site gives the headings (``slugify`` of Python-Markdown)."""
    plain = (unicodedata.normalize("NFKD", one).encode("ascii", "ignore") for one in headings(page))
    kept = (re.sub(r"[^\w\s-]", "", one.decode()).strip().lower() for one in plain)
    return {re.sub(r"[-\s]+", "-", one) for one in kept}
