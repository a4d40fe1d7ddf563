"""AppArmor: a process names the profile that confines it from its next execve on.

It is named through the machine's own /proc, before the child goes anywhere and while it has every right: nobody in a container
can lead that astray (CVE-2019-16884, CVE-2023-28642). The kernel keeps the name until the execve, also over a fork, and
lets an unconfined process take a profile whether no_new_privs is set or not; so it makes no difference that runc comes to it
later, before that and before seccomp.

Runs in the zygote: the listed stdlib modules only.
"""

import errno
import os

from engine import errors
from engine.process.wire import AppArmor


def on_exec(wanted: AppArmor | None) -> None:
    """Be confined by this profile from the next execve on; None: as we are. Raises `TerminalEngineError`."""
    if wanted:
        _write(wanted, "exec", b"exec ")


def now(wanted: AppArmor | None) -> None:
    """Be confined by it from now on, without an execve. Raises `TerminalEngineError`."""
    if wanted:
        _write(wanted, "current", b"changeprofile ")


def _write(wanted: AppArmor, name: str, command: bytes) -> None:
    """In one piece: each write is a command."""
    try:
        file = os.open(f"{wanted.attributes}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(file, command + os.fsencode(wanted.profile))
        finally:
            os.close(file)
    except OSError as error:
        why = "no such profile is loaded" if error.errno == errno.ENOENT else error.strerror
        if not os.path.isdir(wanted.attributes):
            why = "this kernel has no AppArmor"
        raise errors.TerminalEngineError(f"cannot apply the AppArmor profile {wanted.profile}: {why}") from error
