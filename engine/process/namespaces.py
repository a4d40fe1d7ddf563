"""A sandbox's namespaces, as its shim makes and holds them: net (unless the machine's is wanted) and uts.

Runs in the zygote: the listed stdlib modules only.
"""

import os
import re

from engine import errors
from engine.process import syscalls
from engine.process.wire import Pairs, SandboxSpec

DEFAULT_SYSCTLS: Pairs = (
    ("net.ipv6.conf.all.disable_ipv6", "1"),  # IPv4 only, and no router advertisement is believed
    ("net.ipv6.conf.default.disable_ipv6", "1"),
    ("net.ipv4.ip_unprivileged_port_start", "0"),  # moby: port 80 and ping without capabilities
    ("net.ipv4.ping_group_range", "0 2147483647"),
)
SYSCTL_NAME = re.compile(r"net(\.[a-zA-Z0-9_-]+)+")
IPC_SYSCTL_NAME = re.compile(r"kernel\.(sem|(msg|shm)[a-z_]+)|fs\.mqueue\.[a-z_]+")


def enter(has_network: bool) -> None:
    """Move this process into a sandbox's new namespaces: uts, and net unless it uses the machine's."""
    syscalls.unshare(syscalls.CLONE_NEWUTS | (syscalls.CLONE_NEWNET if has_network else 0))


def of_this_process() -> int:
    """A descriptor of the network namespace that this process is in."""
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def furnish(spec: SandboxSpec) -> None:
    """Give the new namespaces that this process is in their names and settings. Raises ValueError for a sysctl that is none of
    the network's."""
    name(spec.hostname, spec.domainname)
    if spec.mode == "host":
        if spec.sysctls:
            raise ValueError(f"cannot set {spec.sysctls[0][0]}: the sandbox uses the machine's network")
        return
    for key, value in (*DEFAULT_SYSCTLS, *spec.sysctls):
        set_sysctl(key, value, optional=(key, value) in DEFAULT_SYSCTLS)


def name(hostname: str, domainname: str) -> None:
    """Set the names of this uts namespace; "" leaves the host name, and clears the domain name."""
    if hostname:
        syscalls.sethostname(os.fsencode(hostname))
    syscalls.setdomainname(os.fsencode(domainname))


def set_sysctl(key: str, value: str, *, names: "re.Pattern[str]" = SYSCTL_NAME, optional: bool = False) -> None:
    """Set a sysctl of this process's network namespace, or another one that is among `names`. `optional`: a kernel without it
    is all right (IPv6 left out). Raises `TerminalEngineError`."""
    if not names.fullmatch(key) or "\n" in value:
        raise ValueError(f"cannot set sysctl {key!r} to {value!r}: no namespace of ours has it, or it is not one line")
    try:
        descriptor = os.open("/proc/sys/" + key.replace(".", "/"), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        if not optional:
            raise errors.TerminalEngineError(f"cannot set sysctl {key}: this kernel has none in a namespace") from error
    except OSError as error:
        raise errors.TerminalEngineError(f"cannot set sysctl {key} to {value}: {error.strerror}") from error
