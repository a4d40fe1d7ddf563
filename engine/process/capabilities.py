"""Capabilities as bit masks, and how a process gives up all but some.

Runs in the zygote: the listed stdlib modules only.
"""

from collections.abc import Iterable

from engine.process import syscalls

NAMES = (  # linux/capability.h, in the order of their bits
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)


EVERY = (1 << len(NAMES)) - 1


def mask(names: Iterable[str]) -> int:
    """Raises ValueError for a name that is no capability."""
    return sum(1 << NAMES.index(name) for name in set(names))


def ours() -> int:
    """What this process may hand on: permitted and in the bounding set."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["CapPrm"], 16) & int(fields["CapBnd"], 16)


def drop_bounding(keep: int) -> None:
    """Take everything but `keep` out of the bounding set, for good."""
    for bit in range(64):
        try:
            present = syscalls.prctl(syscalls.PR_CAPBSET_READ, bit)
        except OSError:
            return  # beyond this kernel's last capability
        if present and not keep >> bit & 1:
            syscalls.prctl(syscalls.PR_CAPBSET_DROP, bit)


def keep_only(keep: int) -> None:
    """Hold exactly these; inheritable and ambient are empty, so no file with inheritable capabilities gains any."""
    syscalls.capset(keep, keep, 0)
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
