"""Durations and sizes as Compose writes them."""

import re

from specs.patterns import pattern

# compose-spec 11-extension.md, "Specifying durations"; the units are Go's time.ParseDuration
_DURATION_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_UNITS |= {"d": 86400.0, "w": 604800.0}  # compose-go types/duration.go: xhit/go-str2duration
_DURATION_PART = pattern(r"(\d+\.?\d*|\.\d+)([a-zµμ]+)")

# docker/go-units RAMInBytes: powers of 1024 whatever the spelling
_BYTES = pattern(r"(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def parse_duration(text: str) -> float:
    """Seconds. Raises ValueError."""
    rest = text
    if rest == "0":
        return 0.0
    seconds, position = 0.0, 0
    while match := _DURATION_PART.match(rest, position):
        if match[2] not in _DURATION_UNITS:
            break
        seconds += float(match[1]) * _DURATION_UNITS[match[2]]
        position = match.end()
    if not rest or position != len(rest):
        raise ValueError(f"'{text}' is not a duration such as 1m30s")
    return round(seconds, 9)


def parse_bytes(text: str | int) -> int:
    """Bytes. Raises ValueError."""
    match = _BYTES.fullmatch(str(text))
    if match is None:
        raise ValueError(f"'{text}' is not a size such as 512m")
    return int(float(match[1]) * 1024 ** _POWERS[match[2].lower()])
