"""What the engine is asked to make (`…Config`), and what it reports to exist (`…Info`).

A Config is complete, immutable and serialisable: every default is filled in, every address and host port chosen, and two
Configs are equal exactly if they ask for the same thing. An Info carries the Config it was made from, corrected by what
the kernel says now (a limit changed by hand shows up as a different value), and `uid`, which names this incarnation: a
thing made anew has another uid.

Units: bytes, seconds (floats), and CPUs as a float. Mappings are sorted tuples of pairs, so that a Config is hashable.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from engine.process.wire import DOCKER_CAPABILITIES

Pairs = tuple[tuple[str, str], ...]
"""A mapping as sorted (key, value) pairs."""


class State(StrEnum):
    """Of a container. MADE: never started, or stopped on purpose."""

    MADE = "made"
    RUNNING = "running"
    EXITED = "exited"


class NetworkMode(StrEnum):
    """What a sandbox's network namespace is: its own, the machine's, or its own with nothing but lo in it."""

    PRIVATE = "private"
    HOST = "host"
    NONE = "none"


DEFAULT_CAPABILITIES = tuple(sorted(DOCKER_CAPABILITIES))
DEFAULT_SHM_BYTES = 64 * 1024 * 1024  # moby/daemon/config, DefaultShmSize

# ---------------------------------------------------------------------------------------------------- parts of a Config


@dataclass(frozen=True, slots=True)
class BindMount:
    """A path of the machine at `target`. `source` is absolute and was looked up with the caller's rights."""

    source: str
    target: str
    read_only: bool = False
    create_host_path: bool = False


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """A volume at `target`. While it is empty it is filled with what the image has there, unless `no_copy`."""

    volume: str  # the volume's full name
    target: str
    read_only: bool = False
    no_copy: bool = False


@dataclass(frozen=True, slots=True)
class TmpfsMount:
    """An empty file system in memory at `target`."""

    target: str
    size_bytes: int | None = None
    mode: int = 0o1777
    uid: int = 0
    gid: int = 0
    read_only: bool = False
    no_exec: bool = False


Mount = BindMount | VolumeMount | TmpfsMount


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A read-only file that the container finds at `target`. `data` is base64 text."""

    target: str
    data: str
    uid: int = 0
    gid: int = 0
    mode: int = 0o444


@dataclass(frozen=True, slots=True, order=True)
class PortMap:
    """`host_ip`:`host_port` of the machine reaches `container_port`. `host_ip` "0.0.0.0": every address of the machine."""

    host_ip: str
    host_port: int
    container_port: int
    protocol: str = "tcp"  # tcp | udp


@dataclass(frozen=True, slots=True)
class Limits:
    """None: unlimited (memory, pids, CPUs) or the kernel's default (shares). `memswap_bytes` counts memory and swap
    together, -1: unlimited swap, None: as much swap as memory (Compose's default). `reservation_bytes`: what is left to it when
    memory is short. `cpu_quota_us` in each `cpu_period_us` is the exact way to write `cpus`. `swappiness` (0 to 100) and
    `oom_kill_disable` are known to cgroup v1 only, and refused elsewhere."""

    memory_bytes: int | None = None
    memswap_bytes: int | None = None
    cpus: float | None = None
    cpu_shares: int | None = None
    cpuset: str = ""
    pids: int | None = None
    reservation_bytes: int | None = None
    swappiness: int | None = None
    oom_kill_disable: bool = False
    cpu_period_us: int | None = None
    cpu_quota_us: int | None = None


DeviceLimits = tuple[tuple[str, int], ...]
"""(path of a block device, weight or rate) pairs."""


@dataclass(frozen=True, slots=True)
class BlockIo:
    """Limits of block devices. Weights are 10 to 1000; rates are bytes or operations a second."""

    weight: int | None = None
    device_weights: DeviceLimits = ()
    read_bps: DeviceLimits = ()
    write_bps: DeviceLimits = ()
    read_iops: DeviceLimits = ()
    write_iops: DeviceLimits = ()


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """`test` is ("CMD", …) or ("CMD-SHELL", text)."""

    test: tuple[str, ...]
    interval_s: float = 30.0
    timeout_s: float = 30.0
    retries: int = 3
    start_period_s: float = 0.0
    start_interval_s: float = 5.0


@dataclass(frozen=True, slots=True, order=True)
class Ulimit:
    """A limit of setrlimit(2), by its name in small letters; -1 is none."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Device:
    """A device node of the machine at `target`, or those in the directory `source`. `access`: of "r", "w" and "m" (mknod)."""

    source: str
    target: str
    access: str = "rwm"


@dataclass(frozen=True, slots=True)
class Security:
    """What the processes may do. `capabilities` are sorted names without CAP_; `every_capability`: those of these that corral
    itself does not have are done without, while otherwise they are refused. `seccomp`: "" is the default profile, "unconfined"
    none, anything else the JSON of one in Docker's format. `unmasked`: nothing in /proc and /sys is hidden or read-only that
    otherwise is. `privileged`: that, the machine's devices, and /sys and the cgroups writable."""

    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    every_capability: bool = False
    no_new_privileges: bool = False
    seccomp: str = ""
    unmasked: bool = False
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class Logging:
    """What is kept of the output: at most `files` files of `file_bytes` each, the last of it. None: no end."""

    is_kept: bool = True
    file_bytes: int | None = 50_000_000
    files: int = 2


class Restart(StrEnum):
    NO = "no"
    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    UNLESS_STOPPED = "unless-stopped"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """`max_attempts` is for ON_FAILURE; None: no end."""

    name: Restart = Restart.NO
    max_attempts: int | None = None


# --------------------------------------------------------------------------------------------------------- the Configs


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """`reference`: "host", or "rootfs:/an/absolute/directory"."""

    reference: str


@dataclass(frozen=True, slots=True)
class VolumeConfig:
    name: str  # full: unique in this corral
    project: str
    key: str  # as the spec calls it
    labels: Pairs = ()


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """A bridge of its own. `subnet` is "a.b.c.d/n"; `gateway` is the bridge's own address in it."""

    name: str  # full: unique in this corral
    project: str
    key: str
    subnet: str
    gateway: str
    internal: bool = False
    mtu: int = 1500
    labels: Pairs = ()


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """A network namespace and a uts namespace, held by a shim. `sysctls` are the network's ("net.…").

    `links` are (alias, sandbox name) pairs: names that only this sandbox sees. `extra_hosts` are (name, address) pairs
    for /etc/hosts. Empty `dns_servers`: ours, which forwards to the machine's.
    """

    name: str  # unique in its project; the slot's name
    project: str
    mode: NetworkMode = NetworkMode.PRIVATE
    hostname: str = ""
    domainname: str = ""  # the FQDN is `hostname.domainname`
    extra_hosts: Pairs = ()
    dns_servers: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    links: Pairs = ()
    sysctls: Pairs = ()


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """Joins a sandbox to a network. `names`: what the other members of the network may call it (shared names are
    answered in turn); `fqdn` is what its address resolves back to. `primary`: it carries the default route."""

    project: str
    sandbox: str
    network: str  # full name
    network_key: str
    address: str
    prefix_length: int
    gateway: str
    fqdn: str
    names: tuple[str, ...] = ()
    primary: bool = False


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """One process tree with its own ipc, pid and mount namespaces, in a sandbox.

    `entrypoint` and `command`: None means the image's. `user` is "", "name", "uid" or either with ":group".
    `groups` are supplementary ones, names of the image's or numbers. `sysctls` are those of the ipc namespace. `device_rules`
    are "c 1:3 rwm", with a for both kinds and * for any number. `read_only`: the root; mounts are as they say.
    `nonce` changes only to force a new container. `paused`: while it runs, all its processes stand still.
    """

    name: str  # unique in this corral
    project: str
    service: str
    number: int
    slot: str
    sandbox: str
    image: str
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: Pairs = ()
    user: str = ""
    groups: tuple[str, ...] = ()
    working_dir: str = ""
    read_only: bool = False
    shm_bytes: int = DEFAULT_SHM_BYTES
    mounts: tuple[Mount, ...] = ()
    files: tuple[GivenFile, ...] = ()
    ports: tuple[PortMap, ...] = ()
    expose: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    block_io: BlockIo = field(default_factory=BlockIo)
    ulimits: tuple[Ulimit, ...] = ()
    oom_score_adj: int = 0
    sysctls: Pairs = ()
    security: Security = field(default_factory=Security)
    devices: tuple[Device, ...] = ()
    device_rules: tuple[str, ...] = ()
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    healthcheck: Healthcheck | None = None
    logging: Logging = field(default_factory=Logging)
    init: bool = False
    tty: bool = False
    stdin_open: bool = False
    stop_signal: int = 15
    stop_grace_s: float = 10.0
    labels: Pairs = ()
    nonce: int = 0
    paused: bool = False


Config = ImageConfig | VolumeConfig | NetworkConfig | SandboxConfig | EndpointConfig | ContainerConfig


# ----------------------------------------------------------------------------------------------------------- the Infos
# `whole` False: begun and not finished, or damaged beyond what an update can mend.
# `drift`: fields that an update with the same Config puts right ("gateway address", "hosts file"), in words for humans.


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
class ContainerInfo:
    """`code`: the exit code of the last run, None where nobody knows it; `lost`: it ended because its shim did, not by
    itself; `hasty`: exits in a row that came within 10 s of their start. Times are seconds since the epoch."""

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
    hasty: int = 0


Info = ImageInfo | VolumeInfo | NetworkInfo | SandboxInfo | EndpointInfo | ContainerInfo


@dataclass(frozen=True, slots=True)
class Look:
    """One observation: all that exists of one project, and the networks, volumes and images of everybody."""

    images: tuple[ImageInfo, ...] = ()
    volumes: tuple[VolumeInfo, ...] = ()
    networks: tuple[NetworkInfo, ...] = ()
    sandboxes: tuple[SandboxInfo, ...] = ()
    endpoints: tuple[EndpointInfo, ...] = ()
    containers: tuple[ContainerInfo, ...] = ()


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
class Taken:
    """What is had outside of one project: by other projects of this corral, by the machine, by strangers' processes.

    `subnets`: (subnet, who) pairs; `ports`: (PortMap with container_port 0, who); `names`: (container name, who);
    `addresses`: (network's full name, address, who): projects may join each other's networks.
    """

    subnets: tuple[tuple[str, str], ...] = ()
    ports: tuple[tuple[PortMap, str], ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    addresses: tuple[tuple[str, str, str], ...] = ()
