"""The errors a user can cause: each is one clear line, and the command line exits with code 2."""


class UserError(Exception):
    """A mistake of the user or a bad input: what is wrong, with which file, what to do."""


class DamagedError(UserError):
    """A file that is damaged, truncated or not what it claims to be; it is refused."""


class MissingExtraError(UserError):
    """A library that is needed is not installed; the message says which extra to install."""


class UnsupportedSettingError(UserError):
    """A setting that is not known, or a value that it cannot have."""


class LimitsNotMetError(UserError):
    """No file within the limits that were asked for could be made."""
