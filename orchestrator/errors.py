"""What can go wrong between a user and the daemon.

OrchestratorError            a sentence for the user, perhaps with a hint; the command exits with 1
├── UsageError               the command line is not understood
├── DaemonError              the daemon cannot be reached, started or believed
└── Refused                  the daemon said no: `problems` may point into the spec
    ├── NotFound             no such project, service or container
    ├── Damaged              a record cannot be trusted: nothing is done to what it is about
    └── Invalid              the request, or the project in it, is not valid
"""

from collections.abc import Sequence

from engine.process.records import NamedTuple


class Problem(NamedTuple):
    """One thing that is wrong with a project; `path` leads to it in the canonical document, () where it has no place."""

    path: tuple[str | int, ...]
    message: str
    hint: str = ""


class OrchestratorError(Exception):
    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(OrchestratorError):
    """The command line is not understood."""


class DaemonError(OrchestratorError):
    """The daemon cannot be reached, started or believed."""


class Refused(OrchestratorError):
    """The daemon understood, and says no."""

    kind = "refused"
    status = 409

    def __init__(self, message: str, *, hint: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class NotFound(Refused):
    """No such project, service or container."""

    kind = "not-found"
    status = 404


class Damaged(Refused):
    """A record cannot be trusted: nothing is done to what it is about, and nothing beside it."""

    kind = "damaged"


class Invalid(Refused):
    """The request, or the project in it, is not valid."""

    kind = "invalid"
    status = 400


def as_json(error: Refused) -> dict[str, object]:
    """The error as it crosses the socket."""
    return {
        "kind": error.kind,
        "message": error.message,
        "hint": error.hint,
        "problems": [{"path": list(each.path), "message": each.message, "hint": each.hint} for each in error.problems],
    }


def from_json(data: dict[str, object]) -> Refused:
    """The error that `as_json` described; of the class that its kind names, `Refused` where that is unknown."""
    classes: dict[str, type[Refused]] = {each.kind: each for each in (NotFound, Damaged, Invalid)}
    listed = data.get("problems")
    problems = [
        Problem(tuple(each.get("path", ())), str(each.get("message", "")), str(each.get("hint", "")))
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict)
    ]
    error = classes.get(str(data.get("kind")), Refused)
    return error(str(data.get("message", "")), hint=str(data.get("hint", "")), problems=problems)
