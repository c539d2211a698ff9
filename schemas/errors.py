"""The errors that people see: each names the thing, the value found, what was expected and the way out."""


class HeadwaterError(Exception):
    """Something a person can mend. The command line prints it without a stack trace and exits with `exit_status`.

    Exit status 1: a check failed or a system was not there; 2: wrong use (a setting, an argument, a file).
    """

    exit_status = 1


class UsageError(HeadwaterError):
    """A setting, an argument or an input file is wrong; nothing was done."""

    exit_status = 2


class SettingError(UsageError):
    """A setting has a value that cannot be used.

    `name` is the environment variable without its prefix, which people see with it; `expected` ends with an example.
    """

    def __init__(self, name: str, value: object, expected: str) -> None:
        self.name, self.value, self.expected = name, value, expected
        super().__init__(f"Setting 'HEADWATER_{name}' is '{value}'; expected {expected}.")


class UnavailableError(HeadwaterError):
    """A system that is needed (Kafka, S3, the local stack) did not answer."""
