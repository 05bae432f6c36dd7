"""Turn the Sphinx roles of docstrings into plain code, for the site's reference."""

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):`~?([^`]+)`")


class PlainRoles(griffe.Extension):
    """Rewrite ``:meth:`Compressed.save``` as ``Compressed.save``, which Markdown can show."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of every object that is loaded."""
        if obj.docstring is not None:
            obj.docstring.value = ROLE.sub(r"`\1`", obj.docstring.value)
