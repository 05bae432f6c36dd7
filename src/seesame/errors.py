"""The errors that a user or a bad file can cause.

Each message is one line: what is wrong, with which file, and what to do. The messages do not name
flags of the command line; the command line adds those, by the error's class
(``seesame.cli.hints``). A caller of the library catches :class:`UserError`, or one of its
subclasses where it has an answer to that.
"""


class UserError(Exception):
    """A mistake of the user or a bad input."""


class DamagedError(UserError):
    """A file that is damaged, truncated or not what it claims to be; it is refused."""


class MissingExtraError(UserError):
    """A library that the work needs is not installed; the message names the extra that has it."""


class MissingStackError(UserError):
    """A codec with these settings needs perception networks, and the caller gave none."""


class MissingRendererError(UserError):
    """The shared renderer that a stack or a file needs is not installed."""


class UnsupportedSettingError(UserError):
    """A setting that a codec does not have, or a value that it does not take."""


class OutputExistsError(UserError):
    """The output is there already, and the caller did not ask to replace it."""


class LimitsNotMetError(UserError):
    """A file that does not keep the limits that the caller set on its figures."""
