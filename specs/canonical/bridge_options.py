"""`driver_opts`: of a network, as Docker's bridge driver names them, and of a service in a network (docker's documentation,
"Bridge network driver", options; libnetwork/netlabel/labels.go)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from specs.patterns import pattern

MTU = "com.docker.network.driver.mtu"
PREFIX = "com.docker.network.container_iface_prefix"
_BRIDGE = "com.docker.network.bridge."
NAME = f"{_BRIDGE}name"
HOST_BINDING = f"{_BRIDGE}host_binding_ipv4"
SYSCTLS = "com.docker.network.endpoint.sysctls"
INTERFACE_NAME = "com.docker.network.endpoint.ifname"

MTU_LEAST, MTU_MOST = 68, 65535  # RFC 791; linux/if_ether.h ETH_MAX_MTU
MTU_LEAST_IPV6 = 1280  # RFC 8200, 5
NAME_LONGEST = 15  # linux/if.h IFNAMSIZ, without its zero
IFNAME = "IFNAME"
"""Stands for the interface's name in a sysctl of an endpoint."""

_SYSCTL = pattern(r"net\.(ipv4|ipv6|mpls)\.[a-z0-9_-]+\.IFNAME\.[a-z0-9_.-]+", re.ASCII)
_RESERVED = frozenset({"lo", "all", "default", ".", ".."})  # the first two words of /proc/sys/net/ipv4/conf


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """What a network is asked to be. `host_ip`: where its ports are published unless they say so ("": everywhere). `bridge`
    "": any name. `interface_prefix`: of the names of its members' interfaces."""

    mtu: int = 1500
    bridge: str = ""
    icc: bool = True
    masquerade: bool = True
    host_ip: str = ""
    interface_prefix: str = "eth"


class OptionError(ValueError):
    """`key`: the option that is wrong; `hint`: the way out."""

    def __init__(self, key: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.key, self.hint = key, hint


def parse(options: Mapping[str, str]) -> BridgeOptions:
    """Raises OptionError."""
    found = BridgeOptions()
    for key, text in options.items():
        if key not in _READERS:
            known = ", ".join(sorted(_READERS))
            raise OptionError(key, f"the bridge driver has no option '{key}'", hint=f"it has {known}")
        try:
            found = replace(found, **_READERS[key](text))
        except OptionError:
            raise
        except ValueError as error:
            raise OptionError(key, str(error)) from None
    return found


def parse_endpoint(options: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The sysctls of an endpoint as sorted pairs; IFNAME stands for its interface. Raises OptionError."""
    for key in options.keys() - {SYSCTLS, INTERFACE_NAME}:
        raise OptionError(key, f"an endpoint has no option '{key}'", hint=f"it has {SYSCTLS} and {INTERFACE_NAME}")
    pairs = {}
    for item in filter(None, options.get(SYSCTLS, "").split(",")):
        name, equals, value = item.strip().partition("=")
        if not equals or not _SYSCTL.fullmatch(name) or not value.isprintable():
            message = f"'{item}' is not a setting of an interface such as net.ipv4.conf.IFNAME.log_martians=1"
            raise OptionError(SYSCTLS, message)
        pairs[name] = value
    return tuple(sorted(pairs.items()))


def check_interface(name: str) -> str:
    """The name of an interface. Raises ValueError."""
    if not 0 < len(name) <= NAME_LONGEST:
        raise ValueError(f"'{name}' is not an interface's name: it has 1 to {NAME_LONGEST} characters")
    if name in _RESERVED or not name.isascii() or not name.isprintable() or set(name) & set("/: %"):
        raise ValueError(f"'{name}' is not an interface's name")
    return name


def _boolean(field: str) -> Callable[[str], dict[str, Any]]:
    """As Go's strconv.ParseBool reads it."""

    def read(text: str) -> dict[str, Any]:
        if text in ("1", "t", "T", "true", "TRUE", "True"):
            return {field: True}
        if text in ("0", "f", "F", "false", "FALSE", "False"):
            return {field: False}
        raise ValueError(f"'{text}' is not a boolean: true or false")

    return read


def _mtu(text: str) -> dict[str, Any]:
    if not text.isascii() or not text.isdigit() or not MTU_LEAST <= int(text) <= MTU_MOST:
        raise ValueError(f"'{text}' is not an mtu: {MTU_LEAST} to {MTU_MOST}")
    return {"mtu": int(text)}


def _prefix(text: str) -> dict[str, Any]:
    if len(text) > NAME_LONGEST - 3 or text == "lo":
        raise ValueError(f"'{text}' cannot begin an interface's name: a number has to fit behind it")
    return {"interface_prefix": check_interface(text)}


def _host_ip(text: str) -> dict[str, Any]:
    try:
        address = IPv4Address(text)
    except AddressValueError:
        raise ValueError(f"'{text}' is not an IPv4 address") from None
    return {"host_ip": "" if address.is_unspecified else str(address)}


def _gateway_mode(family: str) -> Callable[[str], dict[str, Any]]:
    def read(text: str) -> dict[str, Any]:
        if text == "nat":
            return {}
        hint = "leave it out; for no way out say internal: true"
        if text in ("nat-unprotected", "routed", "isolated"):
            message = f"'{text}' is not supported: {_GATEWAY_MODES[text]}"
            raise OptionError(f"{_BRIDGE}gateway_mode_{family}", message, hint=hint)
        raise ValueError(f"'{text}' is not a gateway mode: nat")

    return read


_GATEWAY_MODES = {
    "nat-unprotected": "nothing from outside may come straight to a container, only to what it publishes",
    "routed": "nothing from outside may come straight to a container, only to what it publishes",
    "isolated": "the bridge's address is where names are answered",
}


def _inhibit(text: str) -> dict[str, Any]:
    if _boolean("inhibit")(text)["inhibit"]:
        raise ValueError("is not supported: the bridge's address is where names are answered")
    return {}


_READERS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    MTU: _mtu,
    PREFIX: _prefix,
    NAME: lambda text: {"bridge": check_interface(text)},
    HOST_BINDING: _host_ip,
    f"{_BRIDGE}enable_icc": _boolean("icc"),
    f"{_BRIDGE}enable_ip_masquerade": _boolean("masquerade"),
    f"{_BRIDGE}gateway_mode_ipv4": _gateway_mode("ipv4"),
    f"{_BRIDGE}gateway_mode_ipv6": _gateway_mode("ipv6"),
    f"{_BRIDGE}inhibit_ipv4": _inhibit,
}
