"""An interface of a sandbox, as it is asked for: its addresses, routes and settings. IPv6 is shut in a sandbox, and opened for
the interfaces that get an address of it.

Runs in forks of shims: the listed stdlib modules only.
"""

import os

from engine import errors
from engine.network import netlink
from engine.process import wire

CONF = "/proc/sys/net/ipv6/conf/"
OPEN = (
    ("accept_ra", "0"),  # routes and addresses are ours to give
    ("accept_dad", "0"),  # its link-local address is there at once
    ("disable_ipv6", "0"),
)


def configure(asked: wire.ConfigureInterface) -> None:
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
