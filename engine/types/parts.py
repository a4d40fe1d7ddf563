"""What a Config is made of: mounts, limits, rights, and all else that more than one word says.

Units: bytes, seconds (floats), and CPUs as a float. Mappings are sorted tuples of pairs, so that a Config is hashable.
"""

from dataclasses import dataclass
from enum import StrEnum

from engine.process.wire import DOCKER_CAPABILITIES

Pairs = tuple[tuple[str, str], ...]
"""A mapping as sorted (key, value) pairs."""


DEFAULT_CAPABILITIES = tuple(sorted(DOCKER_CAPABILITIES))


DEFAULT_SHM_BYTES = 64 * 1024 * 1024  # moby/daemon/config, DefaultShmSize


@dataclass(frozen=True, slots=True, order=True)
class IdRange:
    """User and group ids of the machine that are 0, 1, 2 … in a user namespace."""

    first: int
    length: int = 65536

    @property
    def end(self) -> int:
        """The first one beyond."""
        return self.first + self.length

    def overlaps(self, other: "IdRange") -> bool:
        return self.first < other.end and other.first < self.end


@dataclass(frozen=True, slots=True)
class BindMount:
    """A path of the machine at `target`. `source` is absolute and was looked up with the caller's rights. `propagation` is a word
    of mount(8) without "make-". `recursive`: "disabled", what is mounted below the source is not seen; "writable", it is not
    made read-only with it; "enabled" or "readonly", it is."""

    source: str
    target: str
    read_only: bool = False
    create_host_path: bool = False
    propagation: str = "rprivate"
    recursive: str = "enabled"


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """A volume at `target`, or what is at `subpath` in it. While it is empty it is filled with what the image has there, unless
    `no_copy`, or a part of it is mounted."""

    volume: str  # the volume's full name
    target: str
    read_only: bool = False
    no_copy: bool = False
    subpath: str = ""


@dataclass(frozen=True, slots=True)
class Backing:
    """What a volume's content is. `kind` "": a directory of corral's own; "bind": the machine's directory `device`; "tmpfs": in
    memory, until the next reboot; anything else: a file system of that kind on `device`, which mount(2) is given
    with these `options`."""

    kind: str = ""
    device: str = ""
    options: tuple[str, ...] = ()


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


class OnChange(StrEnum):
    """What another content does to a container that runs. RECREATE and RESTART are for whoever asks the engine; SIGNAL: the
    engine changes it and tells the process; IGNORE: it counts from the next start on."""

    RECREATE = "recreate"
    RESTART = "restart"
    SIGNAL = "signal"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A read-only file that the container finds at `target`. `data` is base64 text. `signal` goes with SIGNAL."""

    target: str
    data: str
    uid: int = 0
    gid: int = 0
    mode: int = 0o444
    on_change: OnChange = OnChange.RECREATE
    signal: int = 0


@dataclass(frozen=True, slots=True, order=True)
class PortMap:
    """`host_ip`:`host_port` of the machine reaches `container_port`. `host_ip` "0.0.0.0": every IPv4 address of the machine,
    "::": every IPv6 address. The container is reached by the same family."""

    host_ip: str
    host_port: int
    container_port: int
    protocol: str = "tcp"  # tcp | udp | sctp


@dataclass(frozen=True, slots=True)
class Limits:
    """None: unlimited (memory, pids, CPUs) or the kernel's default (shares). `memswap_bytes` counts memory and swap
    together, -1: unlimited swap, None: as much swap as memory (Compose's default). `reservation_bytes`: what is left to it when
    memory is short. `cpu_quota_us` in each `cpu_period_us` is the exact way to write `cpus`. `swappiness` (0 to 100),
    `oom_kill_disable`, and `rt_runtime_us` of real-time CPU time in each `rt_period_us` (None: a second) are known to cgroup v1
    only, and refused elsewhere."""

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
    rt_runtime_us: int | None = None
    rt_period_us: int | None = None


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
    none, "strict" the strict one, anything else the JSON of one in Docker's format. `unmasked`: nothing in /proc and /sys is
    hidden or read-only that otherwise is. `privileged`: that, the machine's devices, and /sys and the cgroups writable.
    `apparmor`: the name of a profile that the machine's kernel has loaded, "" is none."""

    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    every_capability: bool = False
    no_new_privileges: bool = False
    seccomp: str = ""
    unmasked: bool = False
    privileged: bool = False
    apparmor: str = ""


class Scope(StrEnum):
    """Whose a namespace is: the container's own, or the machine's; NONE is an ipc namespace of its own without /dev/shm."""

    OWN = "own"
    HOST = "host"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Of:
    """The namespace of the container in another slot of the project."""

    slot: str


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Those beside network and mounts. `uts` OWN is the sandbox's."""

    pid: Scope | Of = Scope.OWN
    ipc: Scope | Of = Scope.OWN
    uts: Scope = Scope.OWN
    cgroup: Scope = Scope.OWN

    @property
    def others(self) -> tuple[str, ...]:
        """The slots whose running process it needs."""
        return tuple(sorted({each.slot for each in (self.pid, self.ipc) if isinstance(each, Of)}))


@dataclass(frozen=True, slots=True)
class Forward:
    """Who else gets the output, by `driver`: "syslog" at `address` ("udp://HOST:PORT", "tcp://HOST:PORT", "unix:///PATH", "" for
    the machine's own), or "journald". `tag` may hold {{.ID}} and the like; `attributes` go along where there is room for them."""

    driver: str
    address: str = ""
    facility: int = 3
    format: str = ""
    tag: str = "{{.ID}}"
    attributes: Pairs = ()


@dataclass(frozen=True, slots=True)
class Logging:
    """What is kept of the output: at most `files` files of `file_bytes` each, the last of it. None: no end. `is_json`: as
    lines of JSON, each with the `attributes`."""

    is_kept: bool = True
    file_bytes: int | None = 50_000_000
    files: int = 2
    forward: Forward | None = None
    is_json: bool = False
    attributes: Pairs = ()


@dataclass(frozen=True, slots=True)
class Hook:
    """A command run in the container after its start, or before its stop. What is None is as the container's. `privileged`: with
    every capability that corral has; the container's filter of system calls stays."""

    argv: tuple[str, ...]
    environment: Pairs = ()
    user: str | None = None
    working_dir: str | None = None
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """A command run in a container before it is stopped for good; it has `timeout_s`."""

    hook: Hook
    timeout_s: float


class Restart(StrEnum):
    NO = "no"
    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    UNLESS_STOPPED = "unless-stopped"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """`max_attempts` None: no end. `delay_s` after each exit, 0: a back-off. A run of `window_s` was a success, and no attempt
    before it counts; 0: all count."""

    name: Restart = Restart.NO
    max_attempts: int | None = None
    delay_s: float = 0.0
    window_s: float = 0.0

    def is_used_up(self, attempts: int, lived_s: float) -> bool:
        """`attempts`: restarts that count, of which the last brought a run that lived so long."""
        return self.max_attempts is not None and self.still_counting(attempts, lived_s) >= self.max_attempts

    def still_counting(self, attempts: int, lived_s: float) -> int:
        return 0 if 0 < self.window_s <= lived_s else attempts
