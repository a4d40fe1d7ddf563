"""The words of the reconciler: what is wanted, what is observed, and what the planner says about both.

All are values: frozen, comparable, printable. Nothing here knows a kind of resource; `kinds/` does. Ids are printed
exactly as they are: `container:dn1`, `endpoint:dn1/lab`, `network:lab`.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from math import inf

from engine.api import Engine, Said, Updatable, nobody
from engine.types.configs import Config
from engine.types.infos import Info, State
from engine.types.parts import Leave, PortMap

RESTFUL_LIFE_S = 10.0
"""What lasted this long is no failure of its start: a restart is immediate and a create is forgiven."""

PATIENCE = 5
"""After so many failures in a row there is no hope that a step succeeds by itself soon."""


class Depth(IntEnum):
    """How far down something goes; also how rigid an edge is: how far down it drags the one who holds on.

    PURGED is GONE with its data, and is only ever said by the user, in that very command.
    """

    STAY = 0
    STOP = 1
    GONE = 2
    PURGED = 3


class Needs(Enum):
    """The condition that an edge's target must meet. STARTED: has run since it was made or stopped. RUNNING: runs now."""

    EXISTS = "exists"
    STARTED = "is started"
    RUNNING = "is running"
    HEALTHY = "is healthy"
    COMPLETED = "is completed"


class Gates(Enum):
    """The step that an edge holds back. FIRST_START: every start from *made*, not a restart by policy."""

    CREATE = "create"
    START = "start"
    FIRST_START = "first start"


class Verb(StrEnum):
    """One verb of the engine."""

    CREATE = "create"
    UPDATE = "update"
    RELEASE = "release"
    START = "start"
    STOP = "stop"
    REMOVE = "remove"


class Action(StrEnum):
    """What happens to one resource, for humans. A start, stop or restart of what stays is an UPDATE that says so."""

    KEEP = "keep"
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Edge:
    """`required` False: where the condition can no longer come, the step goes on without it."""

    to: str
    needs: Needs = Needs.EXISTS
    gates: Gates = Gates.CREATE
    rigid: Depth = Depth.STAY
    required: bool = True


@dataclass(frozen=True, slots=True)
class Claim:
    """What only one can have. `space` is compared for equality, `value` inside it for overlap (see `claims`).

    `gates` CREATE: had while the thing exists; START: while it runs. A `shared` claim may be had by many, but nobody
    takes it while somebody who is no longer wanted still has it.
    """

    space: str
    value: str = ""
    gates: Gates = Gates.CREATE
    shared: bool = False

    def __str__(self) -> str:
        return f"{self.space} {self.value}".strip()


@dataclass(frozen=True, slots=True)
class Resource:
    """A node of the desired graph.

    `depth` STOP: wanted, not running; GONE: to be removed; PURGED: with its data. `asked`: when the last `up` asked for it
    (seconds since the epoch): it forgives what failed before. `external`: made by somebody else, never made,
    changed or removed here. `leave`: what it does before it is stopped, to be removed."""

    id: str
    config: Config
    edges: tuple[Edge, ...] = ()
    depth: Depth = Depth.STAY
    asked: float = 0.0
    external: bool = False
    leave: Leave | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """What the kernel says: this thing is made of, or plugged into, *that incarnation* of another. `run`: and into that very
    run of it, so that another one is lost to it; "" is any."""

    to: str
    uid: str
    rigid: Depth = Depth.STAY
    run: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """An Info as the planner sees it. `health` is "", "starting", "healthy" or "unhealthy". `run` names its run, "" while it has
    none."""

    id: str
    info: Info
    holds: tuple[Hold, ...] = ()
    state: State = State.MADE
    health: str = ""
    run: str = ""

    @property
    def config(self) -> Config:
        return self.info.config

    @property
    def uid(self) -> str:
        return self.info.uid

    @property
    def whole(self) -> bool:
        return self.info.whole

    @property
    def runs(self) -> bool:
        return self.state is State.RUNNING


@dataclass(frozen=True, slots=True)
class Difference:
    """How what exists differs from what is wanted, in the user's words: what can change in place, and what cannot."""

    live: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.live or self.replace)


SAME = Difference()


@dataclass(frozen=True, slots=True)
class Met:
    """Whether a condition is met; if not, why, and whether it may still come by itself soon."""

    met: bool
    why: str = ""
    hope: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One resource's difference, for humans."""

    id: str
    action: Action
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One verb on one resource, with its cause.

    `uid`: the incarnation it is planned for; `config`: what it makes or changes to; `ports`: what a RELEASE keeps;
    `gates`: which edges hold it back; `takes`: the claims it takes; `leave`: what comes before a STOP.
    """

    id: str
    verb: Verb
    because: str = ""
    uid: str = ""
    config: Config | None = None
    ports: tuple[PortMap, ...] = ()
    gates: tuple[Gates, ...] = ()
    takes: tuple[Claim, ...] = ()
    leave: Leave | None = None

    async def apply(self, engine: Engine, said: Said = nobody) -> None:
        """Do it: exactly one verb of the engine; `said` hears how far it is, where it tells. Raises EngineError."""
        match self.verb:
            case Verb.CREATE:
                assert self.config is not None
                await engine.create(self.config)
            case Verb.UPDATE:
                assert isinstance(self.config, Updatable)
                await engine.update(self.uid, self.config)
            case Verb.RELEASE:
                await engine.release(self.uid, self.ports)
            case Verb.START:
                await engine.start(self.uid)
            case Verb.STOP:
                await engine.stop(self.uid, self.leave, said)
            case Verb.REMOVE:
                await engine.remove(self.uid)


@dataclass(frozen=True, slots=True)
class Blocked:
    """A step that is not allowed yet: `by` whom, `why`, `until` when (inf: until something changes).

    `hope`: it may end by itself soon, so `up` goes on waiting.
    """

    id: str
    verb: str
    by: tuple[str, ...] = ()
    why: str = ""
    until: float = inf
    hope: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was tried and has not yet proved itself: valid for one Config of one incarnation. `error` "": it succeeded, and
    may not last."""

    count: int
    config: Config | None
    uid: str
    ended: float
    retry_at: float
    error: str = ""
    terminal: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What may be done right now, and what everybody else waits for. Sorted by id.

    `changes` names only what differs now; `kept` counts the wanted resources that are as declared.
    """

    changes: tuple[Change, ...] = ()
    kept: int = 0
    ready: tuple[Step, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    wake_at: float = inf

    @property
    def hope(self) -> bool:
        return any(blocked.hope for blocked in self.blocked)
