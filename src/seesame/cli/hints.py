"""Flags that help against an error: the library does not know them."""

from seesame.errors import MissingStackError, OutputExistsError, UserError

HINTS: dict[type[UserError], str] = {
    OutputExistsError: "--overwrite replaces it",
    MissingStackError: "--stack names one",
}
"""By the error's class."""


def with_hint(error: UserError) -> str:
    """Return the error's message, with the flag that helps where there is one."""
    hint = HINTS.get(type(error))
    return str(error) if hint is None else f"{error} ({hint})"
