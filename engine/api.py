"""The engine's interface: the few verbs by which everything is made, changed, looked at and taken away.

Every verb is about one thing, may be repeated (a verb whose work is done already returns), and leaves after a failure
either nothing or something that `look` reports as not whole. A verb that names a `uid` does nothing to another
incarnation: it raises `Superseded`. All verbs raise `EngineError`; `TerminalEngineError` when only another Config helps.
Verbs on different things may run concurrently; the caller runs at most one at a time on one thing.
"""

from collections.abc import AsyncIterator, Callable, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from engine.types.configs import Config, ContainerConfig, EndpointConfig, NetworkConfig, SandboxConfig, VolumeConfig
from engine.types.infos import Damage, Look, MachineNames, ProcessInfo, Taken, Usage
from engine.types.parts import Leave, PortMap

Said = Callable[[str], None]
Updatable = NetworkConfig | SandboxConfig | EndpointConfig | ContainerConfig | VolumeConfig


@dataclass(frozen=True, slots=True)
class Command:
    """A command to run in a running container. `user`, `working_dir`: None means the container's. `privileged`: with every
    capability that corral has. `detached`: who has started it may leave, and it lives on."""

    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    user: str | None = None
    working_dir: str | None = None
    tty: bool = False
    privileged: bool = False
    detached: bool = False


@dataclass(frozen=True, slots=True)
class Copying:
    """Files to or from a container. Out of it (`inward` False): what is at `path`, or what that leads to where it is a link
    (`follow`). Into it: a tar stream to `path`, whose names all begin with `base` ("": an archive of anything, into a directory
    that is there); `is_directory`: of the source; `keep_owners`: else everything is root's."""

    path: str
    inward: bool
    follow: bool = False
    base: str = ""
    is_directory: bool = False
    keep_owners: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. `output` is what it wrote (both streams, at most 4 KiB, the end of it)."""

    code: int
    output: str = ""


def nobody(line: str) -> None:
    """Hears what is written, and tells nobody."""


class Engine(Protocol):
    # ------------------------------------------------------------------ reading
    async def look(self, project: str) -> Look:
        """Read what exists, from the kernel and our records. Changes nothing."""
        ...

    def distrusted(self) -> tuple[Damage, ...]:
        """What of everybody's cannot be trusted and is left alone, as of the last look at it."""
        ...

    async def taken(self, project: str) -> Taken:
        """Read what is had outside of `project`: subnets, host ports, container names."""
        ...

    async def processes(self, uid: str) -> tuple[ProcessInfo, ...]:
        """Read the processes of a container, by pid: all in its cgroup, also those of commands run in it. None: it does not
        run."""
        ...

    async def usage(self, project: str) -> tuple[Usage, ...]:
        """Read what each running container of the project uses."""
        ...

    def changes(self) -> AsyncIterator[str]:
        """Yield whenever something may have changed: a project's name, or "" where nobody knows whose. Only a hint."""
        ...

    # ------------------------------------------------------------------- making
    async def create(self, config: Config) -> None:
        """Make the thing. An image: make its content present, beside an older version. A container: its writable layer
        and cgroup, no process. A sandbox: a running shim with its namespaces. An endpoint: the cable between both, with
        its names published."""
        ...

    async def update(self, uid: str, config: Updatable) -> None:
        """Make what exists equal to `config` without making it anew, and put its drift right. Only fields that the
        kinds call live may differ."""
        ...

    async def remove(self, uid: str) -> None:
        """Take away what has this uid, of any kind, with everything that belongs to it. A volume: its data too."""
        ...

    # --------------------------------------------------------------- containers
    async def start(self, uid: str) -> None:
        """Start the container's process in its sandbox; returns when the program was executed. Takes its host ports.
        A program that does not exist, a user that does not, a limit the kernel refuses: TerminalEngineError. Its `post_start`
        follow by themselves, also when another engine takes over meanwhile: then all of them again."""
        ...

    async def stop(self, uid: str, leave: Leave | None = None, said: Said = nobody) -> None:
        """Stop the container on purpose: its `pre_stop`, its stop signal, its grace, then SIGKILL to everything in it. It is MADE
        afterwards, and gives back its host ports. A paused one goes on first. Does nothing to one that has exited by itself.
        `leave` comes before all of these, and each time anew; `said` hears the last line of what it writes. Cancelled meanwhile,
        it is ended, and the container runs on. TerminalEngineError: `leave` failed or took too long, or a `pre_stop` failed, and
        it runs on."""
        ...

    async def release(self, uid: str, ports: Sequence[PortMap]) -> None:
        """Give up all host ports of a running container but these."""
        ...

    async def signal(self, uid: str, signal: int) -> None:
        """Send a signal to the container's pid 1."""
        ...

    async def run(self, uid: str, command: Command, timeout_s: float) -> Ended:
        """Run a command in a running container to its end. TimeoutError: it was killed after `timeout_s`. `errors.Paused`: it
        could not run, or not go on, since the container stands still by order."""
        ...

    async def session(self, uid: str, command: Command) -> int:
        """Start a command in a running container for somebody who will talk to it. Returns the file descriptor of a
        connected socket (the caller closes it) on which `engine.process.wire` messages bring its streams and its exit code."""
        ...

    async def attach(self, uid: str, *, to_next: bool = False) -> int:
        """Attach to the first process of a running container. Returns the file descriptor of a connected socket (the caller
        closes it) on which `engine.process.wire` messages bring what it writes from now on, its input, and its exit.
        `to_next`: of one that does not run and whose sandbox is there, all that its next run writes, from the first byte on."""
        ...

    async def copy(self, uid: str, copying: Copying) -> int:
        """Begin to copy to or from a container, whether it runs or not. Returns the file descriptor of a connected socket (the
        caller closes it) on which `engine.process.wire` messages bring a pipe for the tar stream, and how it ended. One of a
        container that does not run ends when that is started."""
        ...

    # ------------------------------------------------------------- this machine
    async def name_on_machine(self, projects: Set[str], unknown: Set[str] = frozenset()) -> None:
        """Let the programs of this machine itself find the containers of exactly these projects by name, from now on, as they
        come and go; what there is of `unknown` ones stays as it is. Returns when it is so. Before the first call nothing is
        changed."""
        ...

    def machine_names(self, project: str) -> MachineNames:
        """How that is, of one project."""
        ...

    def memory_bytes(self) -> int:
        """How much memory all containers together can have at most: the machine's, or the limit of what they are all in."""
        ...

    def log_path(self, config: ContainerConfig) -> str:
        """Where `engine.process.logs` keeps this container's output; "" where nothing is kept."""
        ...

    def data_path(self, volume: str) -> str:
        """Where the content of the volume of this full name is on this machine."""
        ...
