"""What client and daemon say to each other: requests, answers and events, in one place.

    POST /v1/projects/NAME/up        Up       -> 200, events as JSON lines, the last one Settled
    POST /v1/projects/NAME/plan      Up       -> 200, the plan as reconciler.render writes it as JSON; stores nothing
    POST /v1/projects/NAME/plan/VERB          -> 200, likewise for the VERBs of daemon.afterwards, with their requests
    POST /v1/projects/NAME/run       Run      -> 200, events; the one-off is made, and started where that was said
    POST /v1/projects/NAME/run_start RunStart -> 200, events
    POST /v1/projects/NAME/rm        Rm       -> 200, events
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

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from engine.process.records import NamedTuple

REQUEST_BYTES_MAX = 16 << 20
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
    all; `recreate` and `orphans`: words of reconciler.asking; `start` False: what does not run yet is only made; `inactive`:
    services of the files that no active profile has; `timeout_s`: grace of the stops on the way (None: each container's);
    `wait_timeout_s`: None for no end. `attach`: go on with `Containers` events after Settled."""

    document: Document
    files: Names
    services: Names = ()
    scale: Numbers = NO_NUMBERS
    recreate: str = "changed"
    renew_volumes: bool = False
    start: bool = True
    no_deps: bool = False
    orphans: str = "ours"
    inactive: Names = ()
    wait: bool = False
    wait_timeout_s: float | None = None
    timeout_s: float | None = None
    attach: bool = False


class Run(NamedTuple):
    """A one-off of `service`, as `document` has it, that is called `name` in the project; its container `container_name`. It is
    `start`ed at once, or by RunStart. `brief`: it goes when it has ended; `heard`: the client reads what it writes."""

    document: Document
    files: Names
    service: str
    name: str
    container_name: str
    no_deps: bool = False
    use_aliases: bool = False
    start: bool = False
    brief: bool = False
    heard: bool = False
    remove_orphans: bool = False


class RunStart(NamedTuple):
    name: str


class Rm(NamedTuple):
    """`services`: and one-offs by their names; () for all. `stop`: those that run, too. `volumes`: with anonymous volumes."""

    services: Names = ()
    stop: bool = False
    volumes: bool = False
    timeout_s: float | None = None

    def gone_of(self, containers: "Iterable[Container]") -> Names:
        """What is to be removed, as the project calls it: a service stays while one of it runs that is not to be stopped."""
        named = self.services
        chosen = [each for each in containers if not named or each.service in named or each.run_of in named]
        stays = {each.service for each in chosen if not (self.stop or each.rests)}
        return tuple(dict.fromkeys(each.service for each in chosen if each.service not in stays))


class Down(NamedTuple):
    volumes: bool = False
    timeout_s: float | None = None


class Stop(NamedTuple):
    """Of `stop` and `restart`; `services`: () for all. `no_deps`: of `restart`, what depends on them stays."""

    services: Names = ()
    timeout_s: float | None = None
    no_deps: bool = False


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
    """`number`: which container of the service, from 1. `environment`: "NAME=value" each. `detached`: it lives on when the client
    leaves; `privileged`: with every capability."""

    service: str
    argv: Names
    number: int = 1
    environment: Names = ()
    user: str | None = None
    working_dir: str | None = None
    tty: bool = False
    detached: bool = False
    privileged: bool = False


class Attach(NamedTuple):
    """`number`: which container of the service, from 1. `to_next`: of one that is made and waits to be started."""

    service: str
    number: int = 1
    to_next: bool = False


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
    `joined`: as canonical in a compose file, of a service's network."""

    network: str
    target: str
    project: str
    joined: Document


class Prune(NamedTuple):
    """`every`: of volumes also those that a command made. `names`: only some of these; () for any."""

    every: bool = False
    names: Names = ()


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
    """A container as one who follows its output must know it. `state` is listing's word; `log` its path; `rests`: it does
    not run, and will not by itself; `run_of`: it is a one-off of this service; `number`: as
    which replica it counts."""

    uid: str
    name: str
    service: str
    slot: str
    state: str
    health: str
    code: int | None
    log: str
    started_at: float = 0.0
    rests: bool = False
    run_of: str = ""
    number: int = 1


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
    | Run
    | RunStart
    | Rm
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
EVENT_CLASSES: tuple[type[Any], ...] = (Planned, Begun, Said, Ended, Containers, Happened, Note, Settled)
