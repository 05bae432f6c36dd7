"""The parts that the pages share: their templates, and the form of their figures."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from seesame import __version__

DASH = "\u2013"
"""The text in place of a figure that is absent."""


def rendered(template: str, data: Mapping[str, Any], **values: Any) -> str:
    """Return a page.

    Args:
        template: its name; it escapes every value that it is given.
        data: that the page's script reads.
        **values: that the template reads beside ``data``.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("seesame.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"figure": figure, "share": share, "clock": clock}
    made.globals["asset"] = asset
    page = made.get_template(template)
    return page.render(data=data, json=script_json(data), version=__version__, **values)


def asset(name: str) -> str:
    """Return a style sheet or script of the package."""
    return files("seesame.report").joinpath("templates", name).read_text(encoding="utf-8")


def script_json(data: Mapping[str, Any]) -> str:
    """Return JSON that cannot end its script element, whatever a file is called."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def figure(value: float | None, digits: int) -> str:
    """Return a number with so many decimals, with commas; a dash for None."""
    return DASH if value is None else f"{value:,.{digits}f}"


def share(value: float | None, digits: int = 2) -> str:
    """Return a share as a percentage; a share that rounds to nothing is shown as less than that."""
    if value is None:
        return DASH
    least = 10.0 ** -(digits + 2)
    if 0 < value < least / 2:
        return f"<{100 * least:.{digits}f}\u00a0%"
    return f"{100 * value:.{digits}f}\u00a0%"


def clock(seconds: float | None) -> str:
    """Return seconds as ``1:02:03`` or ``2:03``; a dash for None."""
    if seconds is None:
        return DASH
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
