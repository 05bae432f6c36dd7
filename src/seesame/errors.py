"""The errors a user can cause: each is one clear line, and the command line exits with code 2."""


class UserError(Exception):
    """A mistake of the user or a bad input: what is wrong, with which file, what to do."""


class DamagedError(UserError):
    """A file that is damaged, truncated or not what it claims to be; it is refused."""


class MissingExtraError(UserError):
    """A library that an optional part of seesame needs is not installed."""


class UnsupportedSettingError(UserError):
    """A setting that a codec does not have, or a value that it does not take."""


class LimitsNotMetError(UserError):
    """No file keeps the limits that the user gave."""
