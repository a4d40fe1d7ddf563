"""What the engine reports to exist (`…Info`), and what else can be read of it.

An Info carries the Config it was made from, corrected by what the kernel says now (a limit changed by hand shows up as a
different value), and `uid`, which names this incarnation: a thing made anew has another uid.

`whole` False: begun and not finished, or damaged beyond what an update can mend.
`drift`: fields that an update with the same Config puts right ("gateway address", "hosts file"), in words for humans.
"""

from dataclasses import dataclass
from enum import StrEnum

from engine.types.configs import (
    ContainerConfig,
    EndpointConfig,
    ImageConfig,
    NetworkConfig,
    SandboxConfig,
    VolumeConfig,
)
from engine.types.parts import IdRange, PortMap


class State(StrEnum):
    """Of a container. MADE: never started, or stopped on purpose."""

    MADE = "made"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class ImageInfo:
    config: ImageConfig
    uid: str  # changes with the content's version
    whole: bool = True


@dataclass(frozen=True, slots=True)
class VolumeInfo:
    config: VolumeConfig
    uid: str
    whole: bool = True


@dataclass(frozen=True, slots=True)
class NetworkInfo:
    config: NetworkConfig
    uid: str
    whole: bool = True
    drift: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SandboxInfo:
    config: SandboxConfig
    uid: str
    whole: bool = True
    drift: tuple[str, ...] = ()
    pid: int = 0  # of its shim


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    config: EndpointConfig
    uid: str
    network_uid: str
    sandbox_uid: str
    whole: bool = True
    drift: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Joined:
    """The run of another container whose namespace a running one is in; `started_at` names the run."""

    slot: str
    uid: str
    started_at: float


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """`code`: the exit code of the last run, None where nobody knows it; `lost`: it ended because its shim did, or the container
    whose pid namespace it was in, not by itself; `attempts`: restarts that its
    policy counted when it last started; `hasty`: exits in a row that came within 10 s of their start; `joined`: while
    it runs, in whose namespaces; `hooked` False: the last run's `post_start` have not all succeeded (a run that was ended for
    that has no code 0). Times are seconds since the epoch."""

    config: ContainerConfig
    uid: str
    image_uid: str
    state: State = State.MADE
    sandbox_uid: str = ""  # of the sandbox it runs in, while it runs
    whole: bool = True
    drift: tuple[str, ...] = ()
    pid: int = 0
    code: int | None = None
    oom: bool = False
    lost: bool = False
    error: str = ""  # why the last start failed or the last run ended, where there is more to say than a code
    created_at: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0
    restarts: int = 0
    attempts: int = 0
    hasty: int = 0
    joined: tuple[Joined, ...] = ()
    hooked: bool = True


Info = ImageInfo | VolumeInfo | NetworkInfo | SandboxInfo | EndpointInfo | ContainerInfo


@dataclass(frozen=True, slots=True)
class Damage:
    """Something of ours that cannot be trusted, and is left alone: `words` say what and which file, `way_out` what to do.
    `projects`: whose it is, or may be; none: nobody is held up by it."""

    path: str
    words: str
    way_out: str = ""
    projects: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Look:
    """One observation: all that exists of one project, and the networks, volumes and images of everybody. `damage`: of this
    project; while there is some, what is not in the look may exist all the same."""

    images: tuple[ImageInfo, ...] = ()
    volumes: tuple[VolumeInfo, ...] = ()
    networks: tuple[NetworkInfo, ...] = ()
    sandboxes: tuple[SandboxInfo, ...] = ()
    endpoints: tuple[EndpointInfo, ...] = ()
    containers: tuple[ContainerInfo, ...] = ()
    damage: tuple[Damage, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """A process of a container as this machine sees it: `pid`, `parent` and `user` (the effective uid) are the machine's.
    `cpu_s`: the CPU time it has had; `started_at`: seconds since the epoch; `terminal`: "pts/0", "" for none; `command`: its
    words, or its name in brackets where it has none."""

    pid: int
    parent: int
    user: int
    cpu_s: float
    started_at: float
    terminal: str
    command: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a running container uses as of `at_s` (the monotonic clock). None: this machine does not tell.

    `cpu_s`, and bytes received, sent, read and written, are counted up since it was started: by whom nobody reaped, and through
    a cable that was pulled, not any more. `memory_bytes` is without what the kernel could drop at once; its limit is the
    machine's memory where it has none. `pids` counts threads. Pressures: percent of the last ten seconds in which something
    in it waited for CPU, memory or disk (PSI, "some avg10").
    """

    uid: str
    at_s: float
    cpu_s: float | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    pids: int | None = None
    received_bytes: int | None = None
    sent_bytes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    cpu_pressure: float | None = None
    memory_pressure: float | None = None
    io_pressure: float | None = None


@dataclass(frozen=True, slots=True)
class MachineNames:
    """How the programs of this machine itself find the containers of a project by name. `way`: "hosts" or "systemd-resolved";
    "": not at all. `place`: the file, or the servers that are asked. `lines`: (address, its names) pairs, also where it does not
    find them. `problem`: why it is not so, in words."""

    way: str = ""
    place: str = ""
    lines: tuple[tuple[str, tuple[str, ...]], ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """What is had outside of one project: by other projects of this corral, by the machine, by strangers' processes.

    `subnets`: (subnet, who) pairs; `ports`: (PortMap with container_port 0, who); `names`: (container name, who);
    `addresses`: (network's full name, address, who): projects may join each other's networks; `bridges`: (interface of the
    machine, who); `ids`: (range, who), of user and group ids.
    """

    subnets: tuple[tuple[str, str], ...] = ()
    ports: tuple[tuple[PortMap, str], ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    addresses: tuple[tuple[str, str, str], ...] = ()
    ids: tuple[tuple[IdRange, str], ...] = ()
    bridges: tuple[tuple[str, str], ...] = ()
