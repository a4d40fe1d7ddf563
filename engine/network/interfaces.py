"""An interface of a sandbox, as it is asked for: its addresses, routes and settings. IPv6 is shut in a sandbox, and opened for
the interfaces that get an address of it.

Done in the sandbox's network namespace (`engine.inside`).
"""

import os
from typing import NamedTuple

from engine import errors
from engine.network import netlink

CONF = "/proc/sys/net/ipv6/conf/"
OPEN = (
    ("accept_ra", "0"),  # routes and addresses are ours to give
    ("accept_dad", "0"),  # its link-local address is there at once
    ("disable_ipv6", "0"),
)


class Interface(NamedTuple):
    """It is up, with exactly these addresses ("a/n"), and for each gateway the default route of its family. `mtu` 0: as it is. In
    the names of `sysctls` it is IFNAME."""

    name: str
    addresses: tuple[str, ...]
    gateways: tuple[str, ...] = ()
    mtu: int = 0
    sysctls: tuple[tuple[str, str], ...] = ()


def configure(asked: Interface) -> None:
    """Raises `TerminalEngineError` for a setting that the kernel refuses."""
    if any(":" in address for address in asked.addresses):
        _open_ipv6(asked.name)
    netlink.configure_interface(asked.name, asked.addresses, asked.gateways, asked.mtu)
    for key, value in asked.sysctls:
        before, _, after = key.partition("IFNAME")
        _set("/proc/sys/" + before.replace(".", "/") + asked.name + after.replace(".", "/"), value)


def _open_ipv6(name: str) -> None:
    if not os.path.isdir(CONF + name):
        raise errors.TerminalEngineError("cannot give an IPv6 address: this machine's kernel has IPv6 switched off")
    _set(CONF + "lo/disable_ipv6", "0")
    for setting, value in OPEN:
        _set(f"{CONF}{name}/{setting}", value)


def _set(path: str, value: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        name = path.removeprefix("/proc/sys/").replace("/", ".")
        raise errors.TerminalEngineError(f"cannot set sysctl {name} to {value}: {error.strerror}") from error
