"""Bridges and what is plugged into them: made, checked against one dump, taken away.

One network is one bridge. The bridge itself carries the gateway's address, so the machine is the network's router, and its MAC
is derived from that address, so it does not change as members come and go. A bridge without members has no carrier: that is
its normal state. Ports have hairpin on: a container reaches itself through its own published port.

One `AsyncIPRoute`, one socket, serves all calls of a `Bridges` (pyroute2 is asyncio inside and runs in anyio's asyncio loop);
cables and the dump of links go through `engine.network.links`. Errors are `EngineError`.
"""

import contextlib
import errno
import hashlib
import ipaddress
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
from pyroute2 import AsyncIPRoute  # type: ignore[import-untyped]
from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]

from engine import errors, sysctls
from engine.batch import Batch
from engine.network import guard, links
from engine.network.links import Link

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bridge:
    """What is asked: `gateway` is the bridge's own address in a subnet of `prefix_length` bits, `gateway6` its own of IPv6; "":
    it has none of that family."""

    name: str
    gateway: str
    prefix_length: int
    mtu: int = 1500
    gateway6: str = ""
    prefix_length6: int = 0

    @property
    def addresses(self) -> tuple[str, ...]:
        pairs = ((self.gateway, self.prefix_length), (self.gateway6, self.prefix_length6))
        return tuple(f"{address}/{prefix_length}" for address, prefix_length in pairs if address)


@dataclass(frozen=True, slots=True)
class Cable:
    """What is asked: `link` on the machine, plugged into `bridge`; `interface` in the namespace of the sandbox, with the MAC
    address `mac` ("": the one of `address`). `is_isolated`: it reaches nobody else in the bridge but the machine. `speaks_from`:
    the only addresses that are believed of it; (): any, and any MAC."""

    link: str
    bridge: str
    interface: str
    address: str
    mtu: int = 1500
    mac: str = ""
    is_isolated: bool = False
    speaks_from: tuple[str, ...] = ()

    @property
    def hardware_address(self) -> str:
        return self.mac or mac_of(self.address)


@dataclass(frozen=True, slots=True)
class Route:
    """A destination that this machine has a way to. `through` is the interface's name."""

    destination: str  # a/n
    through: str


@dataclass(frozen=True, slots=True)
class Dump:
    """All links, addresses ("a/n" by link index, without those of IPv6 that the kernel made of a MAC) and routes of this
    namespace at one moment."""

    links: dict[str, Link] = field(default_factory=dict)
    addresses: dict[int, tuple[str, ...]] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()


BRIDGE_SYSCTLS = (
    ("net.ipv6.conf.{}.accept_ra", "0"),
    ("net.ipv6.conf.{}.accept_dad", "0"),
    ("net.ipv6.conf.{}.accept_redirects", "0"),
    ("net.ipv4.conf.{}.send_redirects", "0"),
    ("net.ipv4.conf.{}.accept_redirects", "0"),
    ("net.ipv4.conf.{}.arp_ignore", "2"),  # who asks must be of the network: the machine remembers everybody who asks
)

FDB_LEARNED_MAX = 4096
"""MAC addresses that a bridge remembers to have seen, at ports that somebody else plugged in: four for each it can have
(linux/net/bridge, BR_MAX_PORTS)."""


def mac_of(address: str) -> str:
    """The MAC that belongs to an address: stable, so that whoever remembers the pair is right also after a re-creation."""
    if ":" in address:
        return "02:46:" + hashlib.sha256(ipaddress.IPv6Address(address).packed).digest()[:4].hex(":")
    return "02:42:" + ipaddress.IPv4Address(address).packed.hex(":")


def settings_of(bridge: Bridge) -> tuple[tuple[str, str], ...]:
    """The sysctls that a bridge has. In a network without IPv6 the machine neither answers nor routes any."""
    part = _part(bridge.name)
    off = "0" if bridge.gateway6 else "1"
    return (
        *((name.format(part), value) for name, value in BRIDGE_SYSCTLS),
        (f"net.ipv6.conf.{part}.disable_ipv6", off),
    )


# -------------------------------------------------------------------------------------------------------- judging


def check(dump: Dump, bridge: Bridge) -> tuple[str, ...] | None:
    """Say in words what differs from what is asked; None where there is no such bridge at all."""
    link = dump.links.get(bridge.name)
    if link is None or link.kind != "bridge":
        return None
    wrong = []
    if not link.up:
        wrong.append("bridge is down")
    if link.mtu != bridge.mtu:
        wrong.append(f"mtu {link.mtu} → {bridge.mtu}")
    if link.mac != mac_of(bridge.gateway or bridge.gateway6):
        wrong.append("bridge MAC address")
    if set(dump.addresses.get(link.index, ())) != set(bridge.addresses):
        wrong.append("gateway address")
    for name, value in settings_of(bridge):
        if sysctls.read(name) not in (value, None):
            wrong.append(f"sysctl {name}")
    return tuple(wrong)


def check_cable(dump: Dump, cable: Cable) -> tuple[str, ...] | None:
    """Say in words what differs at the machine's end; None where the cable is gone."""
    link = dump.links.get(cable.link)
    if link is None:
        return None
    wrong = []
    bridge = dump.links.get(cable.bridge)
    if bridge is None or link.master != bridge.index:
        wrong.append("not plugged into its network")
    if not link.up:
        wrong.append("cable is down")
    if not link.hairpin:
        wrong.append("hairpin is off")
    if link.learning:
        wrong.append("the bridge believes what it says of others' addresses")
    if link.isolated != cable.is_isolated:
        wrong.append("reaches the others" if cable.is_isolated else "does not reach the others")
    if link.mtu != cable.mtu:
        wrong.append(f"mtu {link.mtu} → {cable.mtu}")
    return tuple(wrong)


# --------------------------------------------------------------------------------------------------------- acting


class Bridges:
    """The verbs. Get one by `open`; all of them may be repeated."""

    def __init__(self, netlink: AsyncIPRoute) -> None:
        self._netlink = netlink
        self._laying = Batch(_lay_together)

    async def dump(self) -> Dump:
        """Read links, addresses and routes: one dump of each."""
        with _as_engine_error("cannot read the interfaces of this machine"):
            found = links.links()
            names = {link.index: link.name for link in found}
            routes = tuple(Route(destination, names.get(index, "?")) for destination, index in links.routes())
            return Dump({link.name: link for link in found}, links.addresses(), routes)

    async def create(self, bridge: Bridge) -> None:
        """Make the bridge, or put an existing one right: up, addresses, MAC, mtu, no family that is not asked for."""
        with _as_engine_error(f"cannot make bridge {bridge.name}"):
            settings = {
                "address": mac_of(bridge.gateway or bridge.gateway6),
                "mtu": bridge.mtu,
                "br_stp_state": 0,
                "br_forward_delay": 0,
            }
            index = links.index_of(bridge.name)
            if index is None:
                await self._netlink.link("add", ifname=bridge.name, kind="bridge", **settings)
                index = links.index_of(bridge.name)
            else:
                await self._netlink.link("set", index=index, kind="bridge", **settings)
            for name, value in settings_of(bridge):
                if sysctls.read(name) is not None:
                    sysctls.write(name, value)
            links.limit_learning(bridge.name, FDB_LEARNED_MAX)
            await anyio.to_thread.run_sync(links.set_addresses, index or 0, bridge.addresses)
            await self._netlink.link("set", index=index, state="up")

    async def remove(self, name: str) -> None:
        """Take the bridge away, its address and routes with it. One that is gone is done."""
        with _as_engine_error(f"cannot remove bridge {name}"):
            await anyio.to_thread.run_sync(links.delete_link, name)

    async def attach(self, cable: Cable, pid: int) -> None:
        """Lay the cable from the bridge into the network namespace of process `pid`, whose end is still down and without
        address. A cable of that name is replaced."""
        with _as_engine_error(f"cannot attach {cable.address} to bridge {cable.bridge}"):
            asked = Laying(cable, pid)
            await self._laying.do(asked)
            if asked.failed:
                raise asked.failed

    async def mend(self, cable: Cable) -> None:
        """Put the machine's end right: plugged in, up, hairpin on, learning off, mtu."""
        with _as_engine_error(f"cannot plug {cable.link} into bridge {cable.bridge}"):
            bridge, link = links.index_of(cable.bridge), links.index_of(cable.link)
            if bridge is None or link is None:
                gone = cable.bridge if bridge is None else cable.link
                raise errors.EngineError(f"cannot plug {cable.link} into bridge {cable.bridge}: {gone} is gone")
            links.plug(cable.link, cable.hardware_address, bridge_index=bridge, isolated=cable.is_isolated)
            _guard(cable)
            await self._netlink.link("set", index=link, mtu=cable.mtu)

    def unguarded(self, cables: Sequence[Cable]) -> list[Cable]:
        """Those that are to be guarded and are not, or otherwise. Reads each from the kernel."""
        if not guard.is_possible():
            return []
        found = {links.index_of(cable.link): cable for cable in cables if cable.speaks_from}
        indexes = [index for index in found if index]
        with _as_engine_error("cannot read who is guarded"):
            programs = guard.programs(indexes)
        return [found[index] for index in indexes if programs.get(index) != _program_of(found[index])]

    async def detach(self, link: str) -> None:
        """Take the cable away, the sandbox's end with it. One that is gone is done."""
        with _as_engine_error(f"cannot detach {link}"):
            await anyio.to_thread.run_sync(links.delete_link, link)

    async def cut(self, names: Sequence[str]) -> None:
        """Take away cables and bridges, all at once. Those that are gone are done."""
        with _as_engine_error(f"cannot remove {', '.join(names)}"):
            await anyio.to_thread.run_sync(links.delete_links, names)


@contextlib.asynccontextmanager
async def open_bridges() -> AsyncIterator[Bridges]:
    """Give the verbs for this network namespace, over one netlink socket."""
    async with AsyncIPRoute() as netlink:
        yield Bridges(netlink)


@dataclass(slots=True)
class Laying:
    """A cable that is to be laid, and what came of it."""

    cable: Cable
    pid: int
    failed: Exception | None = None


async def _lay_together(several: Sequence[Laying]) -> None:
    """In one thread: the kernel makes one link at a time, and whoever asks waits for all who asked before."""

    def lay() -> None:
        for each in several:
            try:
                _lay(each.cable, each.pid)
            except (OSError, errors.EngineError) as error:
                each.failed = error

    await anyio.to_thread.run_sync(lay)


def _lay(cable: Cable, pid: int) -> None:
    index = links.index_of(cable.bridge)
    if index is None:
        raise errors.EngineError(f"cannot attach {cable.address}: there is no bridge {cable.bridge}")
    end = links.End(cable.interface, pid, cable.hardware_address)

    def create() -> None:
        links.create_veth(cable.link, end, bridge_index=index, mtu=cable.mtu, isolated=cable.is_isolated)

    try:
        create()
    except FileExistsError:
        links.delete_link(cable.link)
        create()
    if cable.speaks_from:
        _guard(cable)
    sysctls.write_if_there(f"net.ipv6.conf.{_part(cable.link)}.disable_ipv6", "1")


def _guard(cable: Cable) -> None:
    if cable.speaks_from:
        guard.put(cable.link, _program_of(cable))
    else:
        guard.take_away(cable.link)


def _program_of(cable: Cable) -> bytes:
    return guard.program(cable.hardware_address, cable.speaks_from)


def _part(interface: str) -> str:
    """An interface's name as one part of a sysctl's name."""
    return interface.replace(".", "/")


@contextlib.contextmanager
def _as_engine_error(what: str) -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        raise errors.EngineError(f"{what}: {errno.errorcode.get(error.code, error.code)} {error.args[-1]}") from error
    except OSError as error:
        raise errors.EngineError(f"{what}: {error.strerror or error}") from error
