"""Regular expressions that are compiled when they are first used: a command uses few of them, and ten cost a millisecond."""

import re
from typing import Any, cast


class _Lazy:
    """In place of an `re.Pattern`: its methods are looked up once."""

    def __init__(self, text: str, flags: int) -> None:
        self._text, self._flags = text, flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(re.compile(self._text, self._flags), name)
        setattr(self, name, found)
        return found


def pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """Used as what `re.compile` gives. Raises re.error at first use."""
    return cast("re.Pattern[str]", _Lazy(text, flags))
