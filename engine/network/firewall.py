"""The firewall in force: `engine.network.portmap`'s texts kept in the kernel, with the settings that they need, guard first.

    1. close   where the guard does not stand: route_localnet=0 on every bridge of ours
    2. swap    raw, filter, nat: each table in one transaction, with the jumps that are missing
    3. open    route_localnet=1 on the bridges that 127.0.0.1 of this machine has published ports in; ip_forward=1

and the same for IPv6, where any network has it; when the last one goes, its part goes.

`ip_forward` is recorded before it is switched on. Then this machine is a router only because of us, so it must not begin to
carry packets between its other interfaces: the chain …-END drops those that nobody else accepts (Docker sets the policy DROP
for the same reason). It is put back at the end, if we switched it on and nobody else visibly needs it: a rule of anybody in
FORWARD or POSTROUTING, another bridge or tunnel. When in doubt it stays on, which breaks nothing.

A router of IPv6 believes no other router, and forgets what it was told (`accept_ra` 1). An interface whose routes came that way
is told to go on believing (2) before forwarding is switched on, and put back after it was switched off.
"""

import logging
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass

import anyio

from engine import errors, sysctls
from engine.batch import gathered
from engine.network import firewalld, iptables, links, portmap
from engine.network.chains import Asked, Chains
from engine.network.portmap import IPV4, IPV6, Family, Member, Published
from engine.network.rulesets import Saved

log = logging.getLogger(__name__)

GATHER_S, GATHER_MOST_S = 0.005, 0.04
"""A swap takes 30 ms, so it waits for those who come at the same time: until nobody came for so long."""

FORWARDING = {IPV4: "net.ipv4.ip_forward", IPV6: "net.ipv6.conf.all.forwarding"}
ACCEPT_RA = "net.ipv6.conf.{}.accept_ra"
ROUTING_KINDS = ("bridge", "tun", "wireguard")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the firewall is a function of: all networks that exist, all ports of what runs, by family. `bridges`: all of ours,
    also those that are about to go."""

    networks: tuple[Member, ...] = ()
    published: tuple[Published, ...] = ()
    networks6: tuple[Member, ...] = ()
    published6: tuple[Published, ...] = ()
    bridges: tuple[str, ...] = ()

    @property
    def reached6(self) -> tuple[Published, ...]:
        """The ports of IPv6 that lead into a network which is not internal."""
        reached = {member.bridge for member in self.networks6 if not member.internal}
        return tuple(port for port in self.published6 if port.bridge in reached)

    def of(self, family: Family) -> tuple[tuple[Member, ...], tuple[Published, ...]]:
        return (self.networks6, self.published6) if family is IPV6 else (self.networks, self.published)


class Firewall:
    """One corral's part of the machine's firewall. `program`: which iptables."""

    def __init__(self, *, instance: str, run_directory: str, dns_port: int, program: str = "iptables") -> None:
        self._instance = instance
        self._dns_port = dns_port
        self._sysctls = sysctls.Recorded(run_directory)
        self._zone = firewalld.Zone(run_directory)
        self._program6 = program.replace("iptables", "ip6tables", 1)
        self._chains = {
            IPV4: Chains(instance, os.path.join(run_directory, "firewall.json"), program=program),
            IPV6: Chains(instance, os.path.join(run_directory, "firewall6.json"), program=self._program6, ipv6=True),
        }
        self._lock = anyio.Lock()
        self._asked = 0
        self._done = 0

    async def apply(self, wanted: Callable[[], Rules]) -> None:
        """Put `wanted()` in force. It is called as late as possible, and callers who wait at the same time share one swap.
        Raises `EngineError`; then the guard stands, or nothing is routed to 127.0.0.0/8."""
        self._asked += 1
        ticket = self._asked
        async with self._lock:
            if self._done < ticket:
                asked = await gathered(lambda: self._asked, every_s=GATHER_S, most_s=GATHER_MOST_S)
                rules = wanted()
                for family in self._chains:
                    await self._swap(family, rules)
                await self._zone.put(rules.bridges)
                self._done = asked

    def cannot_ipv6(self) -> str:
        """Why no rules of IPv6 can be set; "": they can."""
        try:
            iptables.find(self._program6)
        except errors.EngineError as error:
            return str(error)
        return ""

    async def drift(self, asked: Callable[[], Rules | None], *, sure: bool = True) -> tuple[str, ...]:
        """Say in words what of `asked()`, as it is when no swap is under way, is not in force. While nothing was changed:
        microseconds (nf_tables), or one process and about 5 ms (legacy). Not `sure`: that our own last swap did what it was
        to do need not be read back. None is asked: nothing differs."""
        found: list[str] = []
        async with self._lock:
            rules = asked()
            if rules is None:
                return ()
            for family, chains in self._chains.items():
                if rules.of(family)[0]:
                    found += await chains.differences(self._texts(family, rules), sure=sure)
            found += await self._zone.missing(rules.bridges)
        for family, setting in FORWARDING.items():
            if rules.of(family)[0] and sysctls.read(setting) != "1":
                found.append(f"sysctl {setting} is off")
        for name, value in _localnet(rules).items():
            if sysctls.read(name) not in (value, None):
                found.append(f"sysctl {name} is not {value}")
        return tuple(found)

    async def remove(self, ours: Collection[str] = ()) -> None:
        """Take everything of ours away, the guard last, and put the machine's settings back. Idempotent. `ours`: bridges of
        ours that are about to go."""
        async with self._lock:
            await self._zone.put(())
            for family in self._chains:
                await self._remove(family, ours)

    async def _swap(self, family: Family, rules: Rules) -> None:
        if not rules.of(family)[0]:
            await self._remove(family, rules.bridges)
            return

        def close() -> None:
            for name in _localnet(rules) if family is IPV4 else ():
                sysctls.write_if_there(name, "0")

        await self._chains[family].swap(self._texts(family, rules), close)
        if family is IPV4:
            for name, value in _localnet(rules).items():
                sysctls.write_if_there(name, value)
        else:
            self._go_on_believing_routers(rules)
        self._sysctls.write(FORWARDING[family], "1")

    async def _remove(self, family: Family, ours: Collection[str]) -> None:
        def close(bridges: list[str]) -> None:
            for bridge in bridges if family is IPV4 else ():
                sysctls.write_if_there(_localnet_of(bridge), "0")

        if self._chains[family].is_there():
            await self._chains[family].remove(close, lambda others: self._stop_routing(family, others, ours))

    def _texts(self, family: Family, rules: Rules) -> Asked:
        members, published = rules.of(family)
        setting = FORWARDING[family]
        became_router = bool(members) and (self._sysctls.has(setting) or sysctls.read(setting) != "1")
        texts = portmap.render(
            members, published, self._instance, self._dns_port, became_router=became_router, family=family
        )
        return texts, portmap.jumps(self._instance, became_router=became_router)

    def _go_on_believing_routers(self, rules: Rules) -> None:
        if sysctls.read(FORWARDING[IPV6]) == "1":
            return
        advertised = links.advertised()
        for link in links.links() if advertised else ():
            setting = ACCEPT_RA.format(link.name.replace(".", "/"))
            if link.index in advertised and sysctls.read(setting) == "1":
                self._sysctls.write(setting, "2")

    def _stop_routing(self, family: Family, saved: dict[str, Saved], ours: Collection[str]) -> None:
        setting = FORWARDING[family]
        if _somebody_routes(saved, ours):
            log.info("%s stays as it is: somebody else on this machine forwards packets", setting)
            self._sysctls.forget(setting)
        else:
            self._sysctls.restore(setting)
        if family is IPV6 and sysctls.read(setting) != "1":
            for name in self._sysctls.names():
                if name.endswith(ACCEPT_RA.rpartition(".")[2]):
                    self._sysctls.restore(name)


def _localnet_of(bridge: str) -> str:
    return f"net.ipv4.conf.{bridge.replace('.', '/')}.route_localnet"


def _localnet(rules: Rules) -> dict[str, str]:
    """`route_localnet` of each bridge: on only where a port is published that 127.0.0.1 of this machine reaches."""
    wanting = {port.bridge for port in rules.published if port.port.host_ip.startswith(("0.0.0.0", "127."))}
    return {
        _localnet_of(member.bridge): "1" if member.bridge in wanting and not member.internal else "0"
        for member in rules.networks
    }


def _somebody_routes(saved: dict[str, Saved], ours: Collection[str]) -> bool:
    """Whether anybody visibly needs this machine to forward packets. `saved`: the rules of others; `ours`: our own bridges, which
    may be about to go."""
    return (
        bool(saved.get("filter", Saved()).rules.get("FORWARD"))
        or bool(saved.get("nat", Saved()).rules.get("POSTROUTING"))
        or any(link.kind in ROUTING_KINDS and link.name not in ours for link in links.links())
    )
