"""The messages between daemon, zygote and shims, and the records that a shim writes. `engine.process.frames` carries them.

    daemon → zygote   a SandboxSpec (`frames.join_fork`), with two sockets: the first connection, and one that is bound to the
                      new shim's address
    shim   → daemon   Made | Failed, as frame 0 of that connection; it listens only when it is asked for something there
    daemon → shim     a request, with a number of the client's choice; the answer carries the same number
    shim   → daemon   Exited, as frame 0, to connections that said Subscribe

Modules here run in the zygote: the listed stdlib modules and `typing` only.
"""

from typing import Any

from engine.process.records import NamedTuple

Pairs = tuple[tuple[str, str], ...]

SHIM_SOCKET, SHIM_RECORD = "shim.sock", "shim.json"  # in the sandbox's directory
PROCESS_RECORD, EXIT_RECORD = "process.json", "exit.json"  # in a run's directory

# --------------------------------------------------------------------------------------------------------- identities


class Identity(NamedTuple):
    """Which process this is, also after its pid was given to another one. `inode`: of its pidfd (0 where the kernel has no
    pidfs, before 6.9); `start_time`: field 22 of /proc/PID/stat, in clock ticks since boot."""

    pid: int
    inode: int
    start_time: int
    boot_id: str


class Process(NamedTuple):
    """The record of a run, `process.json` in the run directory: written before the program is executed, and again with
    `planned` before a stop sends its signal. Times are seconds since the epoch."""

    container: str
    run: str
    identity: Identity
    started_at: float
    planned: bool = False


class Exit(NamedTuple):
    """The record of how a run ended, `exit.json` in the run directory. `code` is 128 + N where signal N ended it; `oom`: the
    kernel killed something in its cgroup for memory; `planned`: by a Stop."""

    container: str
    run: str
    code: int
    oom: bool
    planned: bool
    started_at: float
    ended_at: float


# ---------------------------------------------------------------------------------------------------------- sandboxes


class IdRange(NamedTuple):
    """The user and group ids of the machine, from `first` on, that are 0, 1, 2 … in a user namespace."""

    first: int
    length: int


class SandboxSpec(NamedTuple):
    """What a shim is made from. `directory` is the sandbox's own, absolute, 0700, and exists: the shim puts `shim.sock` and
    `shim.json` there. `mode` is "private" | "none" (a network namespace of its own with lo up) or "host" (uts only).
    `sysctls` are ("net.…", value) pairs, applied after the defaults; refused in mode host. `ids`: its namespaces belong to a
    user namespace of its own with these ids, and so do its containers; not in mode host."""

    sandbox: str  # uid
    name: str
    project: str
    directory: str
    run_directory: str
    hostname: str = ""
    domainname: str = ""
    mode: str = "private"
    sysctls: Pairs = ()
    ids: IdRange | None = None


# --------------------------------------------------------------------------------------------------------- containers


class Overlay(NamedTuple):
    """`lowers` (topmost first) with the writable layer `upper` on them, at `target`; the first one of a container is at "/".
    `upper` and `work` are empty directories on one file system, made by the caller; both "" is read-only."""

    target: str
    lowers: tuple[str, ...]
    upper: str = ""
    work: str = ""


class Bind(NamedTuple):
    """A path of the machine at `target`: a directory, a file or a socket. `propagation`: "rprivate", "rslave", "rshared" …;
    `recursive`: whether what is mounted below it comes with it ("disabled": not), and whether `read_only` counts there, too
    ("writable": not). `is_ours`: a file of corral's, whose owners are the container's already; others are shown in a user
    namespace as if its ids were the machine's."""

    source: str
    target: str
    read_only: bool = False
    create_host_path: bool = False
    propagation: str = "rprivate"
    recursive: str = "enabled"
    is_ours: bool = False


class Filesystem(NamedTuple):
    """A file system of this `kind` on `device`; "bind": the directory `device`. `attributes` are MOUNT_ATTR_ of the mount;
    `options` the file system's own, ("ro", "") is a flag."""

    kind: str
    device: str
    attributes: int = 0
    options: Pairs = ()


class Volume(NamedTuple):
    """A directory of ours at `target`. `copy_up`: while it is empty it is filled with what the image has there, under a lock;
    `SOURCE.filling` beside it marks a copy that was cut short and is begun again. `filesystem`: is mounted on the directory
    first, in the container's mount namespace alone. `subpath`: the part of it that is at `target`; it must exist."""

    source: str
    target: str
    read_only: bool = False
    copy_up: bool = True
    subpath: str = ""
    filesystem: Filesystem | None = None


class Tmpfs(NamedTuple):
    target: str
    size_bytes: int | None = None
    mode: int = 0o1777
    uid: int = 0
    gid: int = 0
    read_only: bool = False
    no_exec: bool = False


class Device(NamedTuple):
    """A device node at `target`; `kind` is "c" or "b", `mode` its permissions."""

    target: str
    kind: str
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0


class OomCounter(NamedTuple):
    """A line "KEY NUMBER" in a cgroup's file: memory.events with oom_kill (v2), memory.oom_control with oom_kill (v1)."""

    path: str
    key: str = "oom_kill"


class Cgroups(NamedTuple):
    """Where the container's processes go. `v2`: one directory, entered at clone; `v1`: directories, one a hierarchy. The kill
    at the end of a grace goes through `cgroup.kill` of the v2 directory where there is one."""

    v2: str = ""
    v1: tuple[str, ...] = ()


DOCKER_CAPABILITIES = (  # moby/daemon/pkg/oci/caps/defaults.go
    *("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP"),
    *("NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"),
)


class AppArmor(NamedTuple):
    """The profile that a program is confined by, and the folder of /proc in which a process says so of itself."""

    profile: str
    attributes: str


class Confinement(NamedTuple):
    """`capabilities` are names without CAP_, cut down to what we have; `seccomp_path`: a file that holds a BPF program, "" is
    none; `rlimits` are (name without RLIMIT_, soft, hard), -1 unlimited."""

    capabilities: tuple[str, ...] = DOCKER_CAPABILITIES
    no_new_privileges: bool = False
    seccomp_path: str = ""
    rlimits: tuple[tuple[str, int, int], ...] = ()
    masked_paths: tuple[str, ...] | None = None  # None: Docker's
    read_only_paths: tuple[str, ...] | None = None  # None: Docker's
    oom_score_adj: int = 0
    groups: tuple[str, ...] = ()  # supplementary ones beside the user's, names or numbers
    writable_kernel: bool = False  # /sys and the cgroups
    apparmor: AppArmor | None = None


class Namespaces(NamedTuple):
    """Which namespaces a container has for itself. One that is not its own is that of the process named, the machine's where none
    is; without `uts_of` it is the sandbox's. `shared_memory`: it has a /dev/shm, its own or the one of the ipc namespace."""

    own_pid: bool = True
    own_ipc: bool = True
    own_cgroup: bool = True
    shared_memory: bool = True
    pid_of: Identity | None = None
    ipc_of: Identity | None = None
    uts_of: Identity | None = None


class StartSpec(NamedTuple):
    """Everything a shim needs to start a container. All paths are absolute paths of the machine unless they say `target`.

    `run_directory` exists and is ours alone: `process.json` and `exit.json` are written there, those of an earlier run are
    replaced. `root_path` is an empty directory: the place where the container's root is mounted, in its own mount namespace
    only. `log_path` is appended to; at `log_bytes` (0: never) it becomes `LOG_PATH.1`, and so on up to `log_files` files.
    `log_attributes`: an object of JSON, and so is each record of the log; "": text.
    `files` are bound over /etc/hosts and the like, after everything else. `sysctls` are those of the ipc namespace. `user` is
    "", "name", "uid", or either with ":group". `ids` are those of the sandbox's user namespace, which the container is in too.
    """

    container: str  # uid
    run: str  # which run: any text of the caller's, comes back in the records
    run_directory: str
    root_path: str
    log_path: str
    argv: tuple[str, ...]
    overlays: tuple[Overlay, ...]
    environment: Pairs = ()
    user: str = ""
    working_dir: str = ""
    mounts: tuple[Bind | Volume | Tmpfs, ...] = ()
    files: tuple[Bind, ...] = ()
    cgroups: Cgroups = Cgroups()
    oom_counters: tuple[OomCounter, ...] = ()
    confinement: Confinement = Confinement()
    hostname: str = ""
    shm_bytes: int = 64 * 1024 * 1024
    read_only: bool = False
    sysctls: Pairs = ()
    devices: tuple[Device, ...] = ()
    init: bool = False
    tty: bool = False
    stdin_open: bool = False
    log_bytes: int = 0
    log_files: int = 2
    log_attributes: str = ""
    namespaces: Namespaces = Namespaces()
    ids: IdRange | None = None


class ExecSpec(NamedTuple):
    """A command in a running container. What is None is as the container's. `detached`: it lives on when the client leaves;
    else the client's leaving ends it (a pty hangs up, a pipe's process group is killed). `privileged`: with every capability
    that we have."""

    container: str
    argv: tuple[str, ...]
    environment: Pairs = ()
    user: str | None = None
    working_dir: str | None = None
    tty: bool = False
    detached: bool = False
    privileged: bool = False


# ------------------------------------------------------------------------------------------------------------- copies


class CopyOut(NamedTuple):
    """What is at `path` of the container, as a tar stream. `follow`: what a link leads to, where it is one."""

    path: str
    follow: bool = False


class CopyIn(NamedTuple):
    """A tar stream to `path` of the container. `base`: what all its names begin with, "" for an archive of anything, which goes
    into a directory that is there. `is_directory`: of the source. `keep_owners`: as in the stream, not root's."""

    path: str
    base: str = ""
    is_directory: bool = False
    keep_owners: bool = False


class Copy(NamedTuple):
    """To a copy worker (`engine.copying.worker`). `overlays` and `mounts`: the file system of a container that does not run,
    whose root is mounted at `root_path` for the worker alone; of one that runs, () and the worker has a pidfd. `ids`: those of
    its user namespace, which is entered, or made again, for its owners.

    Answer: CopyStarted with the caller's end of a pipe that carries the tar stream; or Failed. At the end CopyEnded, or
    Failed."""

    order: CopyOut | CopyIn
    root_path: str = ""
    overlays: tuple[Overlay, ...] = ()
    mounts: tuple[Bind | Volume, ...] = ()
    read_only: bool = False
    ids: IdRange | None = None


class CopyStarted(NamedTuple):
    """`base`: what all names in the stream begin with; `is_directory`: what is copied out is one."""

    base: str = ""
    is_directory: bool = False


class CopyEnded(NamedTuple):
    """`notes`: (name, why) of what was left out, or is not as it was; `more`: so many beside these."""

    notes: Pairs = ()
    more: int = 0


# ----------------------------------------------------------------------------------------------------------- requests


class Start(NamedTuple):
    """Answer: Started, once the program has been executed; or Failed, and nothing is left of it.

    `born_in`: the v2 cgroup ("": none) in which the shim may clone it by itself, a path that JSON writes as it is; None: a worker
    has something to prepare. It comes first: the shim looks no further."""

    born_in: str | None
    spec: StartSpec


class Signal(NamedTuple):
    """To the container's pid 1. Answer: Done; Failed where it is not running."""

    container: str
    number: int


class Stop(NamedTuple):
    """Mark the run as planned, durably; then send `number`, wait `grace_s`, kill everything. Answer: Stopped, when it is dead
    and its record is durable."""

    container: str
    number: int
    grace_s: float


class Exec(NamedTuple):
    """Answer: ExecStarted with the client's ends (pty: the master; else stdin, stdout, stderr), later ExecEnded with the same
    number. The connection is the command's from then on: the client may send ExecSignal with that number, and nothing else."""

    spec: ExecSpec


class ExecSignal(NamedTuple):
    """To the process group of the command that this number of this connection began. No answer."""

    number: int


class Attach(NamedTuple):
    """To what the container's first process writes from now on. Answer: Attached; then this connection is told of exits.
    `to_next`: to all that the next run of it writes, where it does not run. Done comes first, and from then on nothing of it is
    missed; Attached comes with its start. Its input ends with the client."""

    container: str
    to_next: bool = False


class Hold(NamedTuple):
    """Keep the descriptors that come with this under `key`, until released or the shim's end. Answer: Done."""

    key: str


class Release(NamedTuple):
    """Close what is held under these keys; unknown ones are released already. Answer: Done."""

    keys: tuple[str, ...]


class List(NamedTuple):
    """Answer: Listing."""


class Subscribe(NamedTuple):
    """Push every exit from now on to this connection as frame 0. Answer: Listing of this very moment."""


class Quit(NamedTuple):
    """Kill what still runs, record it, and end. Answer: Done, then EOF."""


# ------------------------------------------------------------------------------------------------------------ answers


class Made(NamedTuple):
    """The namespaces are there, as new ones are."""

    pid: int


class Done(NamedTuple):
    pass


class Failed(NamedTuple):
    """Nothing was done. `terminal`: trying the same again cannot help."""

    message: str
    terminal: bool = False


class Started(NamedTuple):
    process: Process


class Stopped(NamedTuple):
    """`exit` is None where the container was not running and never ran here."""

    exit: Exit | None = None


class Listing(NamedTuple):
    """`running` are the runs under way, `ended` the last exit of each container that ran in this shim and rests."""

    running: tuple[Process, ...] = ()
    ended: tuple[Exit, ...] = ()
    held: tuple[str, ...] = ()


class Attached(NamedTuple):
    """Comes with the reading ends of stdout and stderr, or of the terminal's output alone (`tty`); then with the terminal, which
    is to be written to and not read, or with the writing end of its input, where that is open (`stdin`)."""

    container: str
    tty: bool
    stdin: bool


class ExecStarted(NamedTuple):
    pid: int
    tty: bool


class ExecEnded(NamedTuple):
    code: int


class Exited(NamedTuple):
    exit: Exit


class Prepared(NamedTuple):
    """From a child to its shim: what can be set up is set up. Comes with the pty's master where it opened one. Then follows
    Failed, or the end of the connection, which is the execve. The child waits for Go before it goes on."""


class Born(NamedTuple):
    """From an usher to its shim's worker, with two descriptors: the child's pidfd and our end of its channel. `entered`: the
    clone has put it into its v2 cgroup."""

    pid: int
    entered: bool


class Go(NamedTuple):
    """From the shim to its child: the record of the run is durable."""


class Frame(NamedTuple):
    """`number` joins an answer to its request; 0 is an event."""

    number: int
    body: Any
