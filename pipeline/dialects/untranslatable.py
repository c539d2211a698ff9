"""What keeps a view from being said in another engine's SQL."""

from schemas.errors import HeadwaterError


class UntranslatableError(HeadwaterError):
    """A view says something that the other engine has no words for, or that nobody here knows the words of."""
