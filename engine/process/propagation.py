"""Whether what is mounted below a bind later, on the machine or in the container, is seen by the other side, as
mount_namespaces(7) has it.

A mount stays a peer of the machine's only if it is copied before the container's mount namespace is cut off from it.

Runs in the zygote: the listed stdlib modules only.
"""

import os

from engine import errors
from engine.process import syscalls
from engine.process.wire import Bind

SHARED, SLAVE = ("shared", "rshared"), ("slave", "rslave")


def shared_tree(bind: Bind, source: int) -> int:
    """Give a detached copy of the bind's source that is a peer of it. `source` is closed. Raises `TerminalEngineError`."""
    try:
        _require(bind, source, ("shared",))
        return syscalls.open_tree(source, "", recursive=bind.recursive != "disabled")
    finally:
        os.close(source)


def settle(bind: Bind, source: int, tree: int) -> None:
    """Make the detached `tree`, copied of `source`, propagate as the bind says. Raises `TerminalEngineError`."""
    if bind.propagation in SLAVE:
        _require(bind, source, ("shared", "master"))
    elif bind.propagation not in SHARED:
        syscalls.mount_setattr(tree, propagation=syscalls.MS_PRIVATE, recursive=True)


def _require(bind: Bind, source: int, words: tuple[str, ...]) -> None:
    """moby/daemon/oci_linux.go, ensureShared and ensureSharedOrSlave."""
    fields = _mount_of(source)
    if not any(field.partition(":")[0] in words for field in fields[6 : fields.index("-")]):
        kind = " or a slave" if len(words) > 1 else ""
        raise errors.TerminalEngineError(
            f"cannot mount {bind.source} as {bind.propagation}: it is on {fields[4]}, which is not a shared{kind} mount "
            f"(mount --make-shared {fields[4]})"
        )


def _mount_of(descriptor: int) -> list[str]:
    """The line of mountinfo (proc_pid_mountinfo(5)) of the mount that the descriptor is on."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
        number = next(line.split()[1] for line in file if line.startswith("mnt_id:"))
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return next(fields for fields in map(str.split, file) if fields[0] == number)
