"""Whether a record makes sense where it was found: what becomes a path, or a name in the kernel, must be what we would choose.

A record that was written by us and not touched is sound. These checks are for one whose seal somebody has taken off.
"""

import ipaddress
import re
from collections.abc import Iterator

from engine import errors
from engine.records import store
from engine.types.configs import ContainerConfig
from engine.types.parts import VolumeMount

UID = re.compile(r"[0-9a-f]{64}\Z")
_NAME = re.compile(r"[a-zA-Z0-9_-][a-zA-Z0-9_.-]*\Z")
_INTERFACE = re.compile(r"[^\s/.:][^\s/:]{0,14}\Z")  # linux/net/core/dev.c, dev_valid_name
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PROTOCOLS = ("tcp", "udp", "sctp")
SIGNALS = range(1, 65)

Sealed = store.NetworkRecord | store.SandboxRecord | store.EndpointRecord | store.ContainerRecord


def check(record: Sealed, uid: str, path: str) -> None:
    """Raise `RecordError` unless this is the record of what has this uid. `path`: where it was read."""
    if record.uid != uid:
        raise errors.RecordError(f"cannot read {path}: it is the record of {record.uid[:12]!r}, not of {uid[:12]}")
    try:
        wrong = next(_wrongs(record), "")
    except ValueError as error:
        wrong = str(error)
    if wrong:
        raise errors.RecordError(f"cannot read {path}: {wrong}")


def _wrongs(record: Sealed) -> Iterator[str]:
    yield from _names(project=record.config.project)
    match record:
        case store.NetworkRecord():
            yield from _network(record)
        case store.SandboxRecord():
            yield from _names(sandbox=record.config.name)
            yield from _texts(record.config.hostname, record.config.domainname)
            yield from _texts(*(text for pair in record.config.extra_hosts for text in pair))
            yield from _texts(*record.config.dns_servers, *record.config.dns_search, *record.config.dns_options)
        case store.EndpointRecord():
            yield from _endpoint(record)
        case store.ContainerRecord():
            yield from _container(record.config)


def _network(record: store.NetworkRecord) -> Iterator[str]:
    config = record.config
    yield from _names(network=config.name)
    yield from _interface(record.bridge, config.bridge or f"cb{record.uid[:10]}")
    if config.bridge and not _INTERFACE.match(config.bridge):
        yield f"{config.bridge[:80]!r} is no name of an interface"
    for subnet, gateway in ((config.subnet, config.gateway), (config.subnet6, config.gateway6)):
        if subnet and ipaddress.ip_address(gateway) not in ipaddress.ip_network(subnet):
            yield f"the gateway {gateway} is not in {subnet}"


def _endpoint(record: store.EndpointRecord) -> Iterator[str]:
    config = record.config
    yield from _names(network=config.network, sandbox=config.sandbox)
    yield from _texts(config.fqdn, *config.names)
    yield from _interface(record.link, f"cv{record.uid[:10]}")
    if not _INTERFACE.match(record.interface):
        yield f"{record.interface!r} is no name of an interface"
    for uid in (record.network_uid, record.sandbox_uid):
        if not UID.match(uid):
            yield f"{uid[:80]!r} is no uid"
    for address in (config.address, config.gateway, config.address6, config.gateway6, *config.link_local):
        if address:
            ipaddress.ip_address(address)
    if not 0 <= config.prefix_length <= 32 or not 0 <= config.prefix_length6 <= 128:
        yield "a length of a prefix is none"


def _container(config: ContainerConfig) -> Iterator[str]:
    yield from _names(sandbox=config.sandbox)
    for part in config.slot.split("/"):
        yield from _names(slot=part)
    yield from _names(**{f"volume at {m.target}": m.volume for m in config.mounts if isinstance(m, VolumeMount)})
    for port in config.ports:
        ipaddress.ip_address(port.host_ip)
        if port.protocol not in _PROTOCOLS or not {port.host_port, port.container_port} <= set(range(1, 65536)):
            yield f"{port.host_ip}:{port.host_port}/{port.protocol} is no port"
    if config.stop_signal not in SIGNALS or config.stop_grace_s < 0:
        yield f"it cannot be stopped by signal {config.stop_signal} and after {config.stop_grace_s:g} s"


def _names(**names: str) -> Iterator[str]:
    """Those that are, or become, part of a path."""
    for what, name in names.items():
        if not _NAME.match(name) or len(name) > 255:
            yield f"{name[:80]!r} is no name of a {what}"


def _texts(*texts: str) -> Iterator[str]:
    """Those that become words of a file."""
    for text in texts:
        if _CONTROL.search(text):
            yield f"there is a control character in {text[:80]!r}"


def _interface(name: str, wanted: str) -> Iterator[str]:
    """An interface that is ours to cut has the name that follows from its uid."""
    if name != wanted:
        yield f"its interface is {wanted}, not {name[:80]!r}"
