"""The names of Linux capabilities, as `cap_add` and `cap_drop` write them."""

NAMES = (  # linux/capability.h
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)
ALL = "ALL"


def plain(text: str) -> str:
    """The name in its canonical form: NET_ADMIN for cap_net_admin. It need not be one."""
    return text.strip().upper().removeprefix("CAP_")


def selected(default: tuple[str, ...], add: tuple[str, ...], drop: tuple[str, ...]) -> tuple[str, ...]:
    """What a process has: sorted names. ALL comes first, and is less what is dropped beside it; elsewhere what is added wins.
    moby daemon/pkg/oci/caps/utils.go, TweakCapabilities"""
    if ALL in add:
        found = set(NAMES) - set(drop)
    elif ALL in drop:
        found = set(add)
    else:
        found = set(default) - set(drop) | set(add)
    return tuple(sorted(found))
