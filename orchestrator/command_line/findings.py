"""What a checkup finds: the words of `corral doctor`."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """MISSING: corral cannot work so. LIMITED: something of it does not work, or works less well."""

    OK = "ok"
    LIMITED = "limited"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """`way_out`: what to do about it, "" where there is nothing to do."""

    verdict: Verdict
    subject: str
    words: str
    way_out: str = ""
