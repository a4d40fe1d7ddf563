"""User namespaces: root in one is nobody outside of it.

A sandbox that has one makes it first: its uts and network namespaces then belong to it, and what root in it may do to them ends
there. The shim only holds it, and stays the machine's root. A process of a container gets into it by an usher
(`engine.process.ushers`), a command run in one by joining its first process.

Runs in the zygote: the listed stdlib modules only.
"""

import _socket
import os
import signal

from engine import errors
from engine.process import frames, syscalls
from engine.process.frames import Socket

MADE = b"made"


def enter(ids: bytes, has_network: bool) -> int:
    """Move this process into new uts and network namespaces that belong to a new user namespace with these ids ("first
    length"), which it does not enter; gives a descriptor of that. Raises `EngineError`."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        try:
            frames.send_raw(theirs, MADE, _make(ids, has_network))
        except OSError as error:
            frames.send_raw(theirs, f"{error.strerror} (is user.max_user_namespaces too small?)".encode())
        finally:
            os._exit(0)
    theirs.close()
    told, descriptors = frames.receive_raw(ours) or (b"it died", [])
    ours.close()
    os.waitpid(pid, 0)
    if told != MADE:
        raise errors.EngineError(f"cannot make a user namespace: {told.decode()}")
    userns, *others = descriptors
    for namespace in others:
        syscalls.setns(namespace, 0)
        os.close(namespace)
    return userns


def make(ids: bytes) -> int:
    """A descriptor of a new user namespace with these ids, in which nobody is. Raises `EngineError`."""
    try:
        userns, *others = _make(ids, has_network=False)
    except OSError as error:
        raise errors.EngineError(f"cannot make a user namespace: {error.strerror}") from error
    for each in others:
        os.close(each)
    return userns


def join_as_root() -> None:
    """Be root of the user namespace that this process has just entered: until then its ids are the machine's, which are
    nobody's there. What the kernel resets with the ids is set again."""
    os.setgroups(())
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


def _make(ids: bytes, has_network: bool) -> tuple[int, ...]:
    """Give descriptors of a new user namespace, and of a uts and perhaps a network namespace made in it, once nobody is in
    them. Raises `OSError`."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        _be_first(theirs, int(ids.split()[0]), has_network)
    theirs.close()
    try:
        _expect_made(ours)
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{pid}/{name}", "wb") as file:
                file.write(b"0 " + ids)
        ours.send(MADE)
        _expect_made(ours)
        kinds = ("user", "uts", "net") if has_network else ("user", "uts")
        return tuple(os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds)
    finally:
        ours.close()  # it ends
        os.waitpid(pid, 0)


def _expect_made(channel: Socket) -> None:
    told = channel.recv(64)
    if told != MADE:
        raise OSError(int(told or b"0"), os.strerror(int(told or b"0")))


def _be_first(channel: Socket, owner: int, has_network: bool) -> None:
    """Make the user namespace, and the others as soon as its ids are known: some files in /proc and /sys get their owners then.

    What the kernel counts of each user (inotify instances, namespaces …) it counts of who made the user namespace, too: that is
    the root in it, `owner`, and not the machine's. The real uid stays the machine's root, or the number of its processes would
    be limited by ours (kernel/fork.c, enforced_nproc_rlimit)."""
    try:
        syscalls.prctl(syscalls.PR_SET_SECUREBITS, syscalls.SECBIT_NO_SETUID_FIXUP)  # the capabilities stay
        os.setresuid(0, owner, 0)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        channel.send(MADE)
        if channel.recv(64):
            syscalls.unshare(syscalls.CLONE_NEWUTS | (syscalls.CLONE_NEWNET if has_network else 0))
            channel.send(MADE)
            channel.recv(64)
    except OSError as error:
        channel.send(b"%d" % (error.errno or 0))
    finally:
        os._exit(0)
