"""Why a caller is not let in, with AWS's name for it."""

# A key, or a token, that nobody here has given.
UNKNOWN = "UnrecognizedClientException"


class DeniedError(Exception):
    """`kind` is AWS's name of the error, which SDKs read: a clock that is off, a token that is over, a signature that does not match."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind, self.message = kind, message
        super().__init__(message)
