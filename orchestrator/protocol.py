"""What client and daemon say to each other: requests, answers and events, in one place.

    POST /v1/projects/NAME/up        Up       -> 200, events as JSON lines, the last one Settled
    POST /v1/projects/NAME/plan      Up       -> 200, the plan as reconciler.render writes it as JSON; stores nothing
    POST /v1/projects/NAME/down      Down     -> 200, events
    POST /v1/projects/NAME/stop      Stop     -> 200, events
    POST /v1/projects/NAME/start     Start    -> 200, events
    POST /v1/projects/NAME/restart   Stop     -> 200, events
    POST /v1/projects/NAME/pause     Chosen   -> 200, events
    POST /v1/projects/NAME/unpause   Chosen   -> 200, events
    POST /v1/projects/NAME/update    Update   -> 200, events
    POST /v1/projects/NAME/hosts     Hosts    -> 200, {"on", "way", "place", "lines": [{"address", "names"}, …], "problem"}
    GET  /v1/projects/NAME/hosts              -> 200, the same
    POST /v1/projects/NAME/kill      Kill     -> 200, {"signalled": [container name, …]}
    POST /v1/projects/NAME/exec      Exec     -> 200, {}; with the answer's first byte comes a descriptor (SCM_RIGHTS):
                                                 a connected socket that speaks engine.process.wire
    POST /v1/projects/NAME/attach    Attach   -> 200, {}; with a descriptor as for exec
    POST /v1/projects/NAME/copy      Copy     -> 200, {}; with a descriptor as for exec
    POST /v1/projects/NAME/top       Chosen   -> 200, {"containers": [a row of readings.processes, …]}
    POST /v1/projects/NAME/stats     Chosen   -> 200, {"containers": [a row of readings.usage, …]}
    POST /v1/projects/NAME/events    Events   -> 200, Happened events without end; of a project that is not up, too
    GET  /v1/projects/NAME/containers         -> 200, {"containers": [a row of listing.row_of, …]}
    GET  /v1/projects/NAME/logs               -> 200, Containers: where the output of each is
    POST /v1/projects/NAME/logs/follow        -> 200, events without end, Containers first
    GET  /v1/networks, /v1/volumes            -> 200, {"networks": [a row of inventory.networks, …]}, {"volumes": […]}
    POST /v1/networks/create         Make     -> 200, {"name", "id"}; of no project; also of volumes
    POST /v1/networks/remove         Remove   -> 200, {"removed": [name, …]}; also of volumes
    POST /v1/networks/connect        Connect  -> 200, events
    POST /v1/networks/disconnect     Connect  -> 200, events
    POST /v1/networks/prune          Prune    -> 200, {"removed": [name, …]}; also of volumes
    GET  /v1/projects                         -> 200, {"projects": [a row of Projects.overview, …]}
    GET  /v1/daemon                           -> 200, Status
    POST /v1/daemon/stop             {}       -> 200, {}; the daemon ends after it

HTTP/1.1, one request a connection. Every request carries `Corral-Version`; a daemon of another version answers 426 to
everything but /v1/daemon and /v1/daemon/stop, which stay as they are in all versions, so that a client can replace it.
A stream of events ends with Settled; one that ends without it tells that the daemon died. Errors are
`{"error": errors.as_json(…)}` with the status of the error's class; nothing was done then.

The classes are NamedTuples: `dataclasses` imports `inspect`, 7 ms of every command's start.
"""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from engine.process.records import NamedTuple
from orchestrator import errors

REQUEST_BYTES_MAX = 16 << 20
NUMBER_MAX = 10**12
HEAD_BYTES_MAX = 16 << 10
VERSION_HEADER = "corral-version"
OTHER_VERSION_STATUS = 426

Names = tuple[str, ...]
Numbers = Mapping[str, int]
Texts = Mapping[str, str]
Document = dict[str, Any]
NO_NUMBERS: Numbers = MappingProxyType({})


# ------------------------------------------------------------------------------------------------------------ requests


class Up(NamedTuple):
    """`document` is the canonical mapping of specs.loader; `files` names the file set it came from; `services`: () for
    all; `timeout_s`: grace of the stops on the way (None: each container's); `wait_timeout_s`: None for no end.
    `attach`: go on with `Containers` events after Settled."""

    document: Document
    files: Names
    services: Names = ()
    scale: Numbers = NO_NUMBERS
    force_recreate: bool = False
    no_deps: bool = False
    remove_orphans: bool = False
    wait: bool = False
    wait_timeout_s: float | None = None
    timeout_s: float | None = None
    attach: bool = False


class Down(NamedTuple):
    volumes: bool = False
    timeout_s: float | None = None


class Stop(NamedTuple):
    """Of `stop` and `restart`; `services`: () for all."""

    services: Names = ()
    timeout_s: float | None = None


class Start(NamedTuple):
    services: Names = ()
    wait: bool = False
    wait_timeout_s: float | None = None


class Chosen(NamedTuple):
    """Of `top`, `stats`, `pause` and `unpause`; `services`: () for all."""

    services: Names = ()


class Update(NamedTuple):
    """`changes`: canonical values of a service's keys; None takes the limit away."""

    services: Names
    changes: Document


class Events(NamedTuple):
    """Seconds since the epoch. `since` None: from now on; `until`: one that has passed ends the stream with Settled."""

    since: float | None = None
    until: float | None = None


class Hosts(NamedTuple):
    """Whether this machine's own programs find the containers by name."""

    on: bool


class Kill(NamedTuple):
    services: Names = ()
    signal: str = "SIGKILL"


class Exec(NamedTuple):
    """`number`: which container of the service, from 1. `environment`: "NAME=value" each."""

    service: str
    argv: Names
    number: int = 1
    environment: Names = ()
    user: str | None = None
    working_dir: str | None = None
    tty: bool = False


class Attach(NamedTuple):
    """`number`: which container of the service, from 1."""

    service: str
    number: int = 1


class Copy(NamedTuple):
    """To (`inward`) or from `path` of a container; the fields are those of engine.api.Copying."""

    service: str
    path: str
    inward: bool
    number: int = 1
    follow: bool = False
    base: str = ""
    is_directory: bool = False
    keep_owners: bool = False


class Make(NamedTuple):
    """A network or a volume of no project. `settings`: as canonical in a compose file, without the name."""

    name: str
    settings: Document


class Remove(NamedTuple):
    """Networks or volumes, by name or id."""

    names: Names


class Connect(NamedTuple):
    """`network`: by name or id, or as `project` calls it. `target`: a service of `project`, or the name of a container of any.
    `address` "": one that is free."""

    network: str
    target: str
    project: str = ""
    aliases: Names = ()
    address: str = ""


class Prune(NamedTuple):
    """`every`: of volumes also those that a command made."""

    every: bool = False


# -------------------------------------------------------------------------------------------------- answers and events


class Status(NamedTuple):
    """Of the daemon; `projects`: how many it has."""

    version: str
    pid: int
    root: str
    run: str
    started_at: float
    projects: int


class Change(NamedTuple):
    """What is about to happen to one resource: `action` is create, update, replace, remove, start or stop."""

    id: str
    action: str
    reasons: Names = ()


class Waiting(NamedTuple):
    """A step that is not allowed yet, and why. `hope`: it may come by itself soon. `output`: where that is because a container
    failed, and it is the end of it: the last lines that it wrote."""

    id: str
    verb: str
    reason: str
    hope: bool = True
    output: Names = ()


class Planned(NamedTuple):
    """The plan is now this; `kept`: how many resources it leaves as they are."""

    changes: tuple[Change, ...]
    waiting: tuple[Waiting, ...] = ()
    kept: int = 0


class Begun(NamedTuple):
    id: str
    verb: str
    cause: str = ""


class Said(NamedTuple):
    """The last line of what the user's own command says, which a step under way waits for."""

    id: str
    text: str


class Ended(NamedTuple):
    """`error`: "" for success."""

    id: str
    verb: str
    seconds: float
    error: str = ""


class Container(NamedTuple):
    """A container as one who follows its output must know it. `state` is listing's word; `log` its path."""

    uid: str
    name: str
    service: str
    slot: str
    state: str
    health: str
    code: int | None
    log: str
    started_at: float = 0.0


class Containers(NamedTuple):
    """All containers of the project, each time that one of them changes. `over`: none runs and none will."""

    containers: tuple[Container, ...]
    over: bool = False


class Happened(NamedTuple):
    """Something happened to a container or to its place in a network, in docker's words: `at` seconds since the epoch, `type`
    container or network, `id` the uid of that, `service` the container's."""

    at: float
    type: str
    action: str
    service: str
    id: str
    attributes: Texts


class Note(NamedTuple):
    text: str


class Settled(NamedTuple):
    """The command's end: `outcome` is its exit code, `waiting` what did not come to pass, `notes` what the user may
    want to know besides."""

    outcome: int
    waiting: tuple[Waiting, ...] = ()
    notes: Names = ()


Request = (
    Up
    | Down
    | Stop
    | Start
    | Chosen
    | Update
    | Hosts
    | Events
    | Kill
    | Exec
    | Attach
    | Copy
    | Make
    | Remove
    | Prune
    | Connect
)
Event = Planned | Begun | Said | Ended | Containers | Happened | Note | Settled
EVENTS: dict[str, type[Any]] = {
    each.__name__.lower(): each for each in (Planned, Begun, Said, Ended, Containers, Happened, Note, Settled)
}
T = TypeVar("T")


# ------------------------------------------------------------------------------------------------------------ to JSON


def to_json(value: Any) -> Any:
    """A message as JSON-able data; NamedTuples become mappings."""
    if hasattr(value, "_asdict"):
        return {key: to_json(each) for key, each in value._asdict().items()}
    if isinstance(value, Mapping):
        return {key: to_json(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(each) for each in value]
    return value


def line_of(event: Event) -> bytes:
    """The event as one line of JSON, its kind first."""
    body = {"event": type(event).__name__.lower(), **to_json(event)}
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


# ---------------------------------------------------------------------------------------------------------- from JSON


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _list_of(shape: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: tuple(shape(each) for each in _checked(value, list))


def _checked(value: Any, *wanted: type) -> Any:
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise ValueError(f"not {' or '.join(each.__name__ for each in wanted)}")
    return value


def _numbers(value: Any) -> Numbers:
    if not all(_is_integer(each) for each in _checked(value, dict).values()):
        raise ValueError("not whole numbers")
    return {key: _integer(each) for key, each in value.items()}


def _integer(value: Any) -> int:
    found: int = _checked(value, int)
    if abs(found) > NUMBER_MAX:
        raise ValueError("too large a number")
    return found


def _float(value: Any) -> float:
    """Finite: it becomes a time."""
    if not abs(_checked(value, int, float)) <= NUMBER_MAX:
        raise ValueError("too large a number, or none")
    return float(value)


def _texts(value: Any) -> Texts:
    return {key: _checked(each, str) for key, each in _checked(value, dict).items()}


SHAPES: dict[Any, Callable[[Any], Any]] = {
    str: lambda value: _checked(value, str),
    bool: lambda value: _checked(value, bool),
    int: _integer,
    float: _float,
    str | None: lambda value: None if value is None else _checked(value, str),
    int | None: lambda value: None if value is None else _integer(value),
    float | None: lambda value: None if value is None else _float(value),
    Names: _list_of(lambda value: _checked(value, str)),
    Numbers: _numbers,
    Texts: _texts,
    Document: lambda value: dict(_checked(value, dict)),
    tuple[Change, ...]: _list_of(lambda value: parse(Change, value)),
    tuple[Waiting, ...]: _list_of(lambda value: parse(Waiting, value)),
    tuple[Container, ...]: _list_of(lambda value: parse(Container, value)),
}


def parse(kind: type[T], data: object) -> T:
    """`data`, checked, as a `kind`. Raises Invalid that names the field; unknown and missing fields are errors."""
    if not isinstance(data, Mapping):
        raise errors.Invalid(f"cannot read {kind.__name__.lower()}: it is not a mapping")
    fields: dict[str, Any] = kind.__annotations__
    unknown = sorted(set(data) - set(fields))
    missing = sorted(set(fields) - set(data) - set(kind._field_defaults))  # type: ignore[attr-defined]
    if unknown or missing:
        said = "unknown: " + ", ".join(map(str, unknown)) if unknown else "missing: " + ", ".join(missing)
        raise errors.Invalid(f"cannot read {kind.__name__.lower()}: {said}")
    values = {}
    for name, value in data.items():
        try:
            values[name] = SHAPES[fields[name]](value)
        except ValueError as error:
            raise errors.Invalid(f"cannot read {kind.__name__.lower()}: {name}: {error}") from error
    return kind(**values)


def event_of(line: bytes) -> Event:
    """The event that `line_of` wrote. Raises Invalid."""
    try:
        data = json.loads(line)
        kind = EVENTS[data.pop("event")]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise errors.Invalid(f"cannot read an event of the daemon: {line[:80]!r}") from error
    found: Event = parse(kind, data)
    return found
