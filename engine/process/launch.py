"""What the two kinds of children of a shim do between clone and execve: a container's first process (`first`), and a command
that joins a running container (`joining`).

The child reports over a channel of its own: Prepared (with the pty's master), then, after the shim's Go, nothing but the end of
the connection, which the execve causes; or Failed at any time. It dies with its shim, and it never goes on without Go.

Runs in the zygote: the listed stdlib modules only.
"""

import os
import signal
from collections.abc import Callable
from typing import NoReturn

from engine import errors
from engine.process import (
    apparmor,
    dispositions,
    donors,
    frames,
    mounting,
    namespaces,
    paths,
    program,
    rootfs,
    syscalls,
    user_namespaces,
    wire,
)
from engine.process.frames import Socket
from engine.process.program import Program

Streams = tuple[int, int, int]
THE_CONTAINERS = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWCGROUP


def first(
    spec: wire.StartSpec,
    become: Program,
    shared: donors.Donors,
    *,
    streams: Streams | None,
    trees: dict[str, int],
    enter_v2: bool,
    channel: Socket,
) -> NoReturn:
    """Be a container's first process. The clone has put us into its pid namespace. `streams`: stdin (-1: /dev/null), stdout,
    stderr; None for a pty. `trees`: what its volumes are made of. `enter_v2`: the clone has not put us into the v2 cgroup. In a
    user namespace an usher has done what takes the machine's rights."""

    def prepare() -> None:
        if not spec.ids:
            program.limit(spec.confinement)
        _enter_cgroups(spec.cgroups, enter_v2)
        donors.join(shared)
        _set_sysctls(spec)
        views = _own_cgroups()
        if spec.namespaces.own_cgroup:
            syscalls.unshare(syscalls.CLONE_NEWCGROUP)
        place = mounting.Mounting(spec.root_path, views, trees, shared.ipc, is_staged=bool(spec.ids))
        if not spec.ids:
            place.keep_peers(spec)
            syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)
        for operation in rootfs.operations(spec):
            place.perform(operation)
        if place.terminal is not None:
            master, slave = place.terminal
            program.set_streams((slave, slave, slave), terminal=True)
            _report(channel, (master,))
        elif streams is not None:
            stdin, stdout, stderr = streams
            program.set_streams((place.null if stdin < 0 else stdin, stdout, stderr), terminal=False)
            _report(channel)

    _run(prepare, become, channel)


def joining(
    container: wire.StartSpec,
    pidfd: int,
    become: Program,
    *,
    streams: Streams | None,
    enter_v2: bool,
    channel: Socket,
) -> NoReturn:
    """Be a command in the container whose first process `pidfd` is. The clone has put us into its pid namespace."""

    def prepare() -> None:
        program.limit(become.confinement)
        _enter_cgroups(container.cgroups, enter_v2)
        if container.ids:
            program.own(streams or (), container.ids.first)
            syscalls.setns(pidfd, syscalls.CLONE_NEWUSER | THE_CONTAINERS)
            user_namespaces.join_as_root()
        else:
            syscalls.setns(pidfd, THE_CONTAINERS)
        if streams is not None:
            program.set_streams(streams, terminal=False)
            _report(channel)
        else:
            master, slave = _open_terminal()
            program.set_streams((slave, slave, slave), terminal=True)
            _report(channel, (master,))

    _run(prepare, become, channel)


def _run(prepare: Callable[[], None], become: Program, channel: Socket) -> NoReturn:
    try:
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        dispositions.reset()
        os.setsid()
        apparmor.on_exec(become.confinement.apparmor)
        prepare()
        if frames.receive(channel) is None:  # Go
            os._exit(1)
        program.become(become, channel)
    except errors.EngineError as error:
        fail(channel, wire.Failed(str(error), isinstance(error, errors.TerminalEngineError)))
    except OSError as error:
        fail(channel, wire.Failed(f"cannot start {become.argv[0]}: {error}"))
    except Exception as error:
        fail(channel, wire.Failed(f"cannot start {become.argv[0]}: {error!r}"))
    finally:
        os._exit(127)


def fail(channel: Socket, failed: wire.Failed) -> None:
    frames.send(channel, wire.Frame(0, failed))


def _report(channel: Socket, descriptors: tuple[int, ...] = ()) -> None:
    frames.send(channel, wire.Frame(0, wire.Prepared()), descriptors)


def _enter_cgroups(cgroups: wire.Cgroups, enter_v2: bool) -> None:
    """A thread that writes "0" for itself waits for nobody; writing a pid waits for an RCU grace period, 5 to 13 ms."""
    entries = [f"{directory}/tasks" for directory in cgroups.v1]
    if enter_v2 and cgroups.v2:
        entries.append(f"{cgroups.v2}/cgroup.procs")
    for path in entries:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            os.write(descriptor, b"0")
            os.close(descriptor)
        except OSError as error:
            raise errors.EngineError(f"cannot enter the cgroup {os.path.dirname(path)}: {error.strerror}") from error


def _set_sysctls(spec: wire.StartSpec) -> None:
    """Those of the ipc namespace. In a user namespace its root sets them, before Linux 6.9 the machine's, who we are until then.
    Afterwards we are the former."""
    refused = []
    for key, value in spec.sysctls:
        try:
            namespaces.set_sysctl(key, value, names=namespaces.IPC_SYSCTL_NAME)
        except errors.EngineError:
            if not spec.ids:
                raise
            refused.append((key, value))
    if spec.ids:
        user_namespaces.join_as_root()
    for key, value in refused:
        namespaces.set_sysctl(key, value, names=namespaces.IPC_SYSCTL_NAME)


def _own_cgroups() -> wire.Pairs:
    """(controllers, path) of each hierarchy, with controllers "" for v2 and "name=…" for one without controllers."""
    with open("/proc/self/cgroup", "rb") as file:
        lines = os.fsdecode(file.read()).splitlines()
    return tuple((controllers, path) for _, controllers, path in (line.split(":", 2) for line in lines))


def _open_terminal() -> tuple[int, int]:
    """Open a pty of the container's devpts, after making sure that it is one: its root may have mounted something there."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    master = paths.find(root, "/dev/pts/ptmx", paths.STRICT, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    os.close(root)
    is_ptmx = os.fstat(master).st_rdev == os.makedev(5, 2)
    if not is_ptmx or syscalls.filesystem_type(master) != syscalls.DEVPTS_SUPER_MAGIC:
        raise errors.EngineError("cannot open a terminal: the container's /dev/pts/ptmx is none")
    os.set_blocking(master, True)
    return master, mounting.slave_of(master)
