"""How a container starts: from the request to the execve.

Most are cloned by the shim itself and prepare themselves (`first`). What goes wrong there is gone through again by a worker
(`start`), which has the words for it; it also starts those for whom something has to be done before they are born.

A worker clones the container's first process as the shim's child, not its own. What the shim needs of it is told in
datagrams: `CHILD` with its pidfd as soon as there is one (again if a second one had to be made, or after an usher), then
`STARTED` with the ends of its streams, or Failed.

Runs in the zygote: the listed stdlib modules only.
"""

import os
import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from engine import errors
from engine.process import (
    backing,
    capabilities,
    children,
    donors,
    durable,
    frames,
    identity,
    launch,
    program,
    rootfs,
    staging,
    syscalls,
    users,
    ushers,
    wire,
)
from engine.process.frames import Socket

CHILD, STARTED = b"child", b"started"
FLAGS = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC


class Started(NamedTuple):
    """What a shim keeps of a started container: records as they are written, and what its log writer and its end need."""

    process: bytes  # the encoded record
    run_directory: bytes
    log_path: bytes
    log_attributes: bytes
    log_bytes: int
    log_files: int
    ooms: int
    entered: bool  # its cgroup can be entered by clone
    tty: bool
    stdin_open: bool
    alone: bool = True  # its end is that of all in its cgroup: it is the first of a pid namespace

    def pack(self) -> bytes:
        """No part can hold a NUL: paths cannot, and JSON escapes it."""
        flags = (self.entered, self.tty, self.stdin_open, self.alone)
        numbers = b"%d %d %d %d %d %d %d" % (self.log_bytes, self.log_files, self.ooms, *flags)
        return b"\0".join((STARTED, self.process, self.run_directory, self.log_path, self.log_attributes, numbers))


def unpack(data: bytes) -> Started:
    _, process, run_directory, log_path, attributes, numbers = data.split(b"\0")
    log_bytes, log_files, ooms, *flags = (int(number) for number in numbers.split())
    entered, tty, stdin_open, alone = (bool(flag) for flag in flags)
    return Started(
        process, run_directory, log_path, attributes, log_bytes, log_files, ooms, entered, tty, stdin_open, alone
    )


def start(report: Socket, data: bytes, userns: int = -1, home: int = -1) -> None:
    """Do what the Start in `data` asks; `userns`: in this user namespace, where its spec has ids; `home`: the machine's network
    namespace, where this is another. Raises `EngineError`, `OSError`; then nothing is left but a child that the shim reaps."""
    spec: wire.StartSpec = frames.decode(data).body.spec
    _check(spec, userns)
    ooms = count_ooms(spec.oom_counters)
    durable.remove(os.path.join(spec.run_directory, wire.EXIT_RECORD))
    try:
        found = donors.find(spec.namespaces)
        try:
            _attempt(report, spec, found, ooms, spec.cgroups.v2, userns, home)
        except children.BornDeadError:
            _attempt(report, spec, found, ooms, "", userns, home)
    except BaseException as error:
        durable.remove(os.path.join(spec.run_directory, wire.PROCESS_RECORD))
        if count_ooms(spec.oom_counters) > ooms:
            raise errors.TerminalEngineError(
                f"cannot start {spec.argv[0]}: its memory limit is too small to start it"
            ) from error
        raise


def can_be_first(spec: wire.StartSpec) -> bool:
    """Whether a child of the shim's can prepare itself all alone."""
    its = spec.namespaces
    is_alone = its.own_pid and its.own_ipc and (its.pid_of, its.ipc_of, its.uts_of) == (None, None, None)
    is_backed = any(isinstance(mount, wire.Volume) and mount.filesystem for mount in spec.mounts)
    return is_alone and not spec.ids and not is_backed


def first(channel: Socket, data: bytes, entered: bool) -> NoReturn:
    """Be the first process of the container that the Start in `data` asks for, as a child of the shim's, cloned with `FLAGS`.
    Says STARTED, with the streams' ends, then Prepared, with the pty's master, and nothing more once it is executed."""
    try:
        spec: wire.StartSpec = frames.decode(data).body.spec
        _check(spec, -1)
        ooms = count_ooms(spec.oom_counters)
        durable.remove(os.path.join(spec.run_directory, wire.EXIT_RECORD))
        ours, _, streams = _streams(spec)
        become = program_of(spec)
        ourselves = os.pidfd_open(os.getpid())
        pid = int(os.readlink("/proc/self"))  # as the machine counts: the proc is the machine's
        frames.send_raw(channel, _started(spec, ourselves, pid, ooms, entered).pack(), ours)
        frames.close_all((*ours, ourselves))
        launch.first(spec, become, donors.NOBODY, streams=streams, trees={}, enter_v2=not entered, channel=channel)
    finally:
        os._exit(127)


def forget(data: bytes) -> None:
    """Remove what is left of one that was not started."""
    durable.remove(os.path.join(frames.decode(data).body.spec.run_directory, wire.PROCESS_RECORD))


def program_of(spec: wire.StartSpec) -> program.Program:
    """In a user namespace every capability can be had, and counts there."""
    confinement = spec.confinement
    had = capabilities.EVERY if spec.ids else capabilities.ours()
    return program.Program(
        spec.argv,
        spec.environment,
        spec.user,
        spec.working_dir,
        spec.hostname or os.uname().nodename,
        spec.tty,
        spec.init,
        confinement,
        keep=capabilities.mask(confinement.capabilities) & had,
        seccomp=_read(confinement.seccomp_path) if confinement.seccomp_path else b"",
        ids=spec.ids.length if spec.ids else users.ID_MAX + 1,
    )


def count_ooms(counters: tuple[wire.OomCounter, ...]) -> int:
    total = 0
    for counter in counters:
        try:
            lines = [line.split() for line in _read(counter.path).splitlines()]
        except OSError:
            continue
        total += sum(int(words[1]) for words in lines if len(words) == 2 and words[0] == counter.key.encode())
    return total


def _check(spec: wire.StartSpec, userns: int) -> None:
    """Refuse what no child needs to be made for."""
    if spec.ids and userns < 0:
        raise errors.TerminalEngineError("cannot start a container: its sandbox has no user namespace")
    if not spec.argv:
        raise errors.TerminalEngineError("cannot start a container: it has no command")
    try:
        rootfs.operations(spec)
    except rootfs.RootfsError as error:
        raise errors.TerminalEngineError(str(error)) from error


def _attempt(
    report: Socket, spec: wire.StartSpec, shared: donors.Donors, ooms: int, cgroup_v2: str, userns: int, home: int
) -> None:
    trees = backing.trees(spec.mounts, home)
    ours, theirs, streams = _streams(spec)
    become = program_of(spec)

    def bear() -> children.Child:
        donors.lead(shared)
        return children.clone(
            donors.clone_flags(spec.namespaces),
            cgroup_v2,
            (*theirs, *shared.descriptors, *trees.values()),
            lambda channel, entered: launch.first(
                spec, become, shared, streams=streams, trees=trees, enter_v2=not entered, channel=channel
            ),
        )

    def prepare() -> None:
        program.limit(spec.confinement)
        if spec.ids:
            program.own(theirs, spec.ids.first)
        staging.build(spec, userns, trees)

    try:
        keep = (*theirs, *shared.descriptors, *trees.values())
        child = _usher(report, userns, prepare, bear, keep) if spec.ids else bear()
        frames.close_all(theirs)
        frames.close_all(trees.values())
        frames.send_raw(report, CHILD, (child.pidfd,))
        kept = _started(spec, child.pidfd, child.pid, ooms, child.entered)
        masters = children.await_execve(child)
    except children.BornDeadError:
        frames.close_all(ours)
        raise
    frames.send_raw(report, kept.pack(), (*ours, *masters))


def _started(spec: wire.StartSpec, pidfd: int, pid: int, ooms: int, entered: bool) -> Started:
    """Record the process, durably."""
    process = wire.Process(spec.container, spec.run, identity.of(pidfd, pid), started_at=time.time())
    durable.write(os.path.join(spec.run_directory, wire.PROCESS_RECORD), process)
    return Started(
        frames.encode(process),
        os.fsencode(spec.run_directory),
        os.fsencode(spec.log_path),
        spec.log_attributes.encode(),
        spec.log_bytes,
        spec.log_files,
        ooms,
        entered,
        spec.tty,
        spec.stdin_open,
        spec.namespaces.own_pid,
    )


def _usher(
    report: Socket,
    userns: int,
    prepare: Callable[[], None],
    bear: Callable[[], children.Child],
    keep: tuple[int, ...],
) -> children.Child:
    def told(pidfd: int) -> None:
        frames.send_raw(report, CHILD, (pidfd,))

    return ushers.clone(userns, prepare, bear, keep=keep, told=told)


def _streams(spec: wire.StartSpec) -> tuple[tuple[int, ...], tuple[int, ...], launch.Streams | None]:
    """Make the pipes: the shim's ends (stdout, stderr, and stdin if it stays open), the child's, and the child's streams (None:
    it opens a pty)."""
    if spec.tty:
        return (), (), None
    out_read, out_write = os.pipe2(os.O_CLOEXEC)
    error_read, error_write = os.pipe2(os.O_CLOEXEC)
    if not spec.stdin_open:
        return (out_read, error_read), (out_write, error_write), (-1, out_write, error_write)
    in_read, in_write = os.pipe2(os.O_CLOEXEC)
    return (out_read, error_read, in_write), (in_read, out_write, error_write), (in_read, out_write, error_write)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
