"""Become the program: user, working directory, environment, streams, confinement, execve. The last steps of every child, those of
a container's first process and of a command run in it alike.

The order is forced: a filter that is loaded without no_new_privs needs CAP_SYS_ADMIN, so it comes before that one goes; with
no_new_privs it comes last. What is not needed after the filter is done before it, since a profile of the user's may know none of
the younger system calls. Changing ids clears the parent-death signal and may make the process dumpable: both are set again
afterwards. No file of the image is loaded by us, only parsed (`engine.process.users`).

Runs in the zygote: the listed stdlib modules only.
"""

import errno
import fcntl
import functools
import os
import select
import signal
import stat
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from engine import errors
from engine.process import apparmor, capabilities, init, syscalls, users
from engine.process.frames import Socket
from engine.process.wire import Confinement, Pairs

TIOCSCTTY = 0x540E  # asm-generic/ioctls.h
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # moby/oci, DefaultPathEnv
NOFILE = (1024, 524288)  # systemd's default, moby 29's: programs that want more raise it themselves

LOADS_FILTERS = capabilities.mask(("SYS_ADMIN",))


class Program(NamedTuple):
    argv: tuple[str, ...]
    environment: Pairs
    user: str
    working_dir: str
    hostname: str
    tty: bool
    init: bool
    confinement: Confinement
    keep: int  # capabilities, a mask
    seccomp: bytes
    ids: int  # all below this are users and groups here


def become(program: Program, channel: Socket) -> NoReturn:
    """Execute the program in the root directory and the namespaces that this process is in by now. `channel` is closed by the
    execve. Raises `TerminalEngineError` for what only another Config helps against."""
    user = _user(program.user, program.confinement.groups, program.ids)
    _enter_directory(program.working_dir or "/")
    for descriptor in range(3):
        if os.fstat(descriptor).st_rdev != os.makedev(1, 3):
            os.fchown(descriptor, user.uid, -1)  # the program may open /dev/stdout anew
    os.umask(0o022)
    environment = _environment(program, user)
    _become_user(program.keep, user)
    path = _find(program.argv[0], environment["PATH"])
    syscalls.close_all_but({0, 1, 2, channel.fileno()})
    _confine(program)
    _ensure_parent(channel)

    def execute(how: Callable[[str, tuple[str, ...], dict[str, str]], object]) -> None:
        try:
            how(path, program.argv, environment)
        except OSError as error:
            raise errors.TerminalEngineError(f"cannot run {path}: {_explain(path, error)}") from error
        except ValueError as error:
            raise errors.TerminalEngineError(f"cannot run {path}: its arguments or environment: {error}") from error

    if program.init:
        settle = functools.partial(apparmor.now, program.confinement.apparmor)
        init.run(execute, settle, channel, program.tty, os.path.basename(program.argv[0]))
    execute(os.execve)
    raise AssertionError


def set_streams(streams: tuple[int, int, int], *, terminal: bool) -> None:
    """Make these descriptors 0, 1 and 2, and the terminal among them the controlling one."""
    safe = [fcntl.fcntl(stream, fcntl.F_DUPFD_CLOEXEC, 3) for stream in streams]
    for target, stream in enumerate(safe):
        os.dup2(stream, target)
    if terminal:
        fcntl.ioctl(0, TIOCSCTTY, 0)


def limit(confinement: Confinement) -> None:
    """Set the resource limits, and the oom score. Raises `TerminalEngineError` for one that we may not give."""
    hard = syscalls.getrlimit(syscalls.RLIMITS["NOFILE"])[1]
    default_hard = NOFILE[1] if hard < 0 else min(hard, NOFILE[1])
    for name, soft, most in (("NOFILE", min(NOFILE[0], default_hard), default_hard), *confinement.rlimits):
        try:
            syscalls.setrlimit(syscalls.RLIMITS[name], soft, most)
        except (OSError, KeyError) as error:
            raise errors.TerminalEngineError(f"cannot limit {name} to {soft}:{most}: {error}") from error
    try:
        with open("/proc/self/oom_score_adj", "wb") as file:
            file.write(b"%d" % confinement.oom_score_adj)
    except PermissionError as error:
        what = f"cannot set oom_score_adj to {confinement.oom_score_adj}"
        raise errors.TerminalEngineError(f"{what}: corral may not go below its own without CAP_SYS_RESOURCE") from error


def own(streams: tuple[int, ...], owner: int) -> None:
    """Make these pipes this user's and group's."""
    for stream in streams:
        os.fchown(stream, owner, owner)


def _user(wanted: str, groups: tuple[str, ...], ids: int) -> users.User:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        group = users.read(root, "/etc/group")
        found = users.with_groups(users.find(wanted, users.read(root, "/etc/passwd"), group), groups, group)
        return users.within(found, ids)
    except users.UserError as error:
        raise errors.TerminalEngineError(f"cannot run as user {wanted!r}: {error}") from error
    finally:
        os.close(root)


def _enter_directory(path: str) -> None:
    """Not through a magic link, and to a place that is reachable from the root: else a descriptor of the machine's could be
    entered (CVE-2024-21626)."""
    try:
        found = syscalls.openat2(syscalls.AT_FDCWD, path, os.O_PATH | os.O_DIRECTORY, syscalls.RESOLVE_NO_MAGICLINKS)
        os.fchdir(found)
        os.close(found)
        if not path.startswith("/") or not os.getcwd().startswith("/"):
            raise OSError(errno.ENOENT, "it is outside of the container")
    except OSError as error:
        raise errors.TerminalEngineError(f"cannot use working directory {path}: {error.strerror}") from error


def _environment(program: Program, user: users.User) -> dict[str, str]:
    defaults = {"PATH": DEFAULT_PATH, "HOSTNAME": program.hostname, "HOME": user.home}
    if program.tty:
        defaults["TERM"] = "xterm"
    return defaults | dict(program.environment)


def _become_user(keep: int, user: users.User) -> None:
    """Afterwards nothing but the capabilities of `keep` is in effect, and nothing but what loads a filter can come back."""
    try:
        syscalls.join_new_session_keyring()
    except OSError:
        pass  # a kernel without keyrings has none to share
    capabilities.drop_bounding(keep)
    syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 0)
    syscalls.capset(keep, keep | LOADS_FILTERS, 0)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


def _confine(program: Program) -> None:
    no_new_privileges = program.confinement.no_new_privileges
    if program.seccomp and not no_new_privileges:
        syscalls.capset(program.keep | LOADS_FILTERS, program.keep | LOADS_FILTERS, 0)
        syscalls.load_seccomp(program.seccomp)
    capabilities.keep_only(program.keep)
    if no_new_privileges:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        if program.seccomp:
            syscalls.load_seccomp(program.seccomp)


def _ensure_parent(channel: Socket) -> None:
    """The shim may have died before the parent-death signal was set."""
    watch = select.poll()
    watch.register(channel, 0)
    if watch.poll(0):
        os._exit(1)


def _find(name: str, search: str) -> str:
    """Look the program up as the program's user. Raises `TerminalEngineError`."""
    if "/" in name:
        _ensure_program(name)
        return name
    denied: errors.TerminalEngineError | None = None
    for directory in search.split(":"):
        if directory.startswith("/"):
            path = f"{directory.rstrip('/')}/{name}"
            try:
                _ensure_program(path)
                return path
            except errors.TerminalEngineError as error:
                if not isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                    denied = denied or error
    raise denied or errors.TerminalEngineError(f"cannot run {name}: no such program in its PATH ({search})")


def _ensure_program(path: str) -> None:
    """Not a magic link either: /proc/self/exe is us."""
    try:
        found = syscalls.openat2(syscalls.AT_FDCWD, path, os.O_PATH, syscalls.RESOLVE_NO_MAGICLINKS)
    except FileNotFoundError as error:
        raise errors.TerminalEngineError(f"cannot run {path}: there is no such file in the container") from error
    except OSError as error:
        raise errors.TerminalEngineError(f"cannot run {path}: {error.strerror}") from error
    try:
        if stat.S_ISDIR(os.fstat(found).st_mode):
            raise errors.TerminalEngineError(f"cannot run {path}: it is a directory")
    finally:
        os.close(found)
    if not os.access(path, os.X_OK, effective_ids=True):
        raise errors.TerminalEngineError(f"cannot run {path}: it is not executable for its user (permission denied)")


def _explain(path: str, error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return f"the interpreter it names is missing: {_interpreter(path)}"
        case errno.EACCES:
            return "permission denied (its interpreter is not executable, or the file system is mounted noexec)"
        case errno.ENOEXEC:
            return "not a program that this machine can execute (a script needs a #! line)"
        case _:
            return error.strerror or str(error)


def _interpreter(path: str) -> str:
    try:
        with open(path, "rb") as file:
            head = file.read(256)
    except OSError:
        return "unknown"
    if head.startswith(b"#!"):
        return os.fsdecode(head[2:].split(b"\n")[0].strip())
    return "its dynamic loader"
