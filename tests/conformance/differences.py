"""Where corral differs from the oracle on purpose: each difference once, by rule, with its reason. docs/compose.md lists them."""

import re
from typing import NamedTuple

from tests.conformance.comparing import Deviation


class Difference(NamedTuple):
    """It covers a deviation whose place, verdicts and words all match."""

    name: str
    reason: str
    path: str = ""
    ours: str = ".*"
    theirs: str = ".*"
    said: str = ".*"

    def covers(self, deviation: Deviation) -> bool:
        pairs = (
            (self.path, deviation.path),
            (self.ours, deviation.ours),
            (self.theirs, deviation.theirs),
            (self.said, deviation.said),
        )
        return all(re.fullmatch(pattern, text, re.DOTALL) for pattern, text in pairs)


DIFFERENCES = (
    Difference(
        "newer than the oracle",
        "`pre_start` is in the specification, and not in docker compose 2.40.3",
        ours="accepted",
        theirs="refused",
        said=".*additional properties '(pre_start|per_replica)' not allowed.*",
    ),
    Difference(
        "an ssh key of a build",
        "docker compose cannot print it as JSON, which is a fault of its own: as YAML it does",
        ours="accepted",
        theirs="refused",
        said="json: error calling MarshalJSON for type types.SSHKey.*",
    ),
    Difference(
        "models in JSON",
        "docker compose leaves the top-level models out of its JSON, and prints them as YAML",
        path="models",
        theirs="nothing",
    ),
    Difference(
        "extensions in JSON",
        "docker compose leaves x-… out of its JSON, and prints them as YAML",
        path=r"(.*\.)?x-[^.]+",
        theirs="nothing",
    ),
    Difference(
        "names of the fields of blkio_config in JSON",
        "docker compose writes Path, Rate and Weight in JSON, which it does not read: as YAML they are in small letters",
        path=r".*\.blkio_config\.(device_|weight_device).*\.([Pp]ath|[Rr]ate|[Ww]eight)",
    ),
)


def covering(deviation: Deviation) -> Difference | None:
    return next((difference for difference in DIFFERENCES if difference.covers(deviation)), None)
