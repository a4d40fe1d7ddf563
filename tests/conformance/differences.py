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
        "crashes of docker compose",
        "what makes it panic, as an `additional_contexts` that is a boolean, is read or refused with a place",
        ours="accepted",
        theirs="refused",
        said=r".*(goroutine \d+|panic: ).*",
    ),
    Difference(
        "newer than the oracle",
        "`pre_start` is in the specification, and not in docker compose 2.40.3",
        ours="accepted",
        theirs="refused",
        said=".*additional properties '(pre_start|per_replica)' not allowed.*",
    ),
    Difference(
        "more said of what is included",
        "a service that `include` brings in may be said more of: newer versions of docker compose merge it, 2.40.3 refuses it",
        ours="accepted",
        theirs="refused",
        said=".*conflicts with imported resource",
    ),
    Difference(
        "keys of include that are none",
        "docker compose reads `include` before it looks at keys: one that is misspelt includes nothing, without a word",
        ours="refused",
        theirs="accepted",
        said=r"\S*:\d+:\d+: include\[\d+\][^:]*: (unknown key|path is missing).*",
    ),
    Difference(
        "real-time budgets as durations",
        "`cpu_rt_runtime: 400ms` is in the specification, and docker compose 2.40.3 reads numbers of microseconds only",
        ours="accepted",
        theirs="refused",
        said=r".*cpu_rt_(runtime|period): failed to cast to expected type.*[\d.]+(us|ms|s).*",
    ),
    Difference(
        "the mode of a tmpfs as text",
        "the specification has it as a number or text, and docker compose 2.40.3 reads numbers only",
        ours="accepted",
        theirs="refused",
        said=r".*tmpfs\.mode' expected type 'uint32'.*",
    ),
    Difference(
        "variables without a name",
        "a name alone at the end of an env file whose last line has no end is the value of a variable with no name to docker compose",
        path=r".*\.environment\.",
        ours="nothing",
    ),
    Difference(
        "what is larger than any project",
        "files of more than 4 MiB, services that extend each other more than 100 deep, more than 4,096 replicas of a service or 65,535 ports, and what else would cost a machine its memory",
        ours="refused",
        theirs="accepted",
        said=r".*(MiB at most|more than \d+ deep|replicas are more than|more than \d+ (ports|files)|is longer than|deeper than \d+).*",
    ),
    Difference(
        "NUL characters",
        "a text with one is read by docker compose, and refused by every program that should get it",
        ours="refused",
        theirs="accepted",
        said=".*has a NUL character.*",
    ),
    Difference(
        "gpus that are laid over others",
        "docker compose cannot merge `gpus: all` with what the extended service says of them, which is a fault of its own",
        ours="accepted",
        theirs="refused",
        said=r"cannot override services\..*\.gpus",
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
