"""What is kept of a container's output: `logging` as the file has it, read.

Sizes as docker reads those of its log drivers: powers of 1000 (go-units FromHumanSize), -1 for no end.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

DRIVERS = ("json-file", "local", "none")
LATER = ("awslogs", "etwlogs", "fluentd", "gcplogs", "gelf", "journald", "splunk", "syslog")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgt]?)b?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


class LogOptions(NamedTuple):
    """`file_bytes`: the size of one file, None where the file says nothing, -1: no end. `files`: how many, None: not said."""

    is_kept: bool = True
    file_bytes: int | None = None
    files: int | None = None


def parse(driver: str, options: Mapping[str, str]) -> LogOptions:
    """Raises ValueError."""
    if driver in LATER:
        raise ValueError(f"the driver {driver} is not supported yet: {', '.join(DRIVERS)}")
    if driver not in DRIVERS:
        raise ValueError(f"there is no driver '{driver}': {', '.join(DRIVERS)}")
    if driver == "none":
        return LogOptions(is_kept=False)
    size = parse_size(options["max-size"]) if "max-size" in options else None
    files = options.get("max-file")
    if files is not None and not (files.isdecimal() and int(files) > 0):
        raise ValueError(f"max-file: '{files}' is not a whole number of 1 or more")
    if files is not None and int(files) > 1 and size == -1:
        raise ValueError("max-file: a log without end has one file; give max-size too")
    return LogOptions(True, size, int(files) if files else None)


def parse_size(text: str) -> int:
    """Bytes; -1. Raises ValueError."""
    if text.strip() == "-1":
        return -1
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * 1000 ** _POWERS[match[2].lower()]) if match else 0
    if size <= 0:
        raise ValueError(f"max-size: '{text}' is not a size such as 10m")
    return size
