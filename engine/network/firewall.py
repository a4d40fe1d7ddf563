"""The firewall in force: `engine.network.portmap`'s texts kept in the kernel, with the settings that they need, guard first.

    1. close   where the guard does not stand: route_localnet=0 on every bridge of ours
    2. swap    raw, filter, nat: each table in one transaction, with the jumps that are missing
    3. open    route_localnet=1 on the bridges that 127.0.0.1 of this machine has published ports in; ip_forward=1

`ip_forward` is recorded before it is switched on. Then this machine is a router only because of us, so it must not begin to
carry packets between its other interfaces: the chain …-END drops those that nobody else accepts (Docker sets the policy DROP
for the same reason). It is put back at the end, if we switched it on and nobody else visibly needs it: a rule of anybody in
FORWARD or POSTROUTING, another bridge or tunnel. When in doubt it stays on, which breaks nothing.

    <run>/firewall.json     the flavour of iptables that we use until we leave, and which tables were there before us
                            (nf_tables: the others are removed at the end)
"""

import json
import logging
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import anyio

from engine import errors, store, sysctls
from engine.batch import gathered
from engine.network import firewalld, iptables, links, nftables, portmap, rulesets
from engine.network.iptables import Flavour, Iptables
from engine.network.portmap import Jump, Member, Published
from engine.network.rulesets import Saved

log = logging.getLogger(__name__)

GATHER_S, GATHER_MOST_S = 0.005, 0.04
"""A swap takes 30 ms, so it waits for those who come at the same time: until nobody came for so long."""

IP_FORWARD = "net.ipv4.ip_forward"
ROUTING_KINDS = ("bridge", "tun", "wireguard")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the firewall is a function of: all networks that exist, all ports of what runs."""

    networks: tuple[Member, ...] = ()
    published: tuple[Published, ...] = ()


class Firewall:
    """One corral's part of the machine's firewall. `program`: which iptables."""

    def __init__(self, *, instance: str, run_directory: str, dns_port: int, program: str = "iptables") -> None:
        self._program = program
        self._instance = instance
        self._dns_port = dns_port
        self._sysctls = sysctls.Recorded(run_directory)
        self._record = os.path.join(run_directory, "firewall.json")
        self._zone = firewalld.Zone(run_directory)
        self._lock = anyio.Lock()
        self._asked = 0
        self._done = 0
        self._read: tuple[int, dict[str, Saved]] | None = None  # a generation of nf_tables, and what was there then
        self._is_foreseen = False  # it was not read, but follows from what we did
        self._compared: tuple[int, Rules, list[str]] | None = None  # and in what it differed from these rules

    async def apply(self, wanted: Callable[[], Rules]) -> None:
        """Put `wanted()` in force. It is called as late as possible, and callers who wait at the same time share one swap.
        Raises `EngineError`; then the guard stands, or nothing is routed to 127.0.0.0/8."""
        self._asked += 1
        ticket = self._asked
        async with self._lock:
            if self._done < ticket:
                asked = await gathered(lambda: self._asked, every_s=GATHER_S, most_s=GATHER_MOST_S)
                await self._swap(wanted())
                self._done = asked

    async def drift(self, asked: Callable[[], Rules | None], *, sure: bool = True) -> tuple[str, ...]:
        """Say in words what of `asked()`, as it is when no swap is under way, is not in force. While nothing was changed:
        microseconds (nf_tables), or one process and about 5 ms (legacy). Not `sure`: that our own last swap did what it was
        to do need not be read back. None is asked: nothing differs."""
        async with self._lock:
            rules = asked()
            if rules is None:
                return ()
            if sure and self._is_foreseen:
                self._read = self._compared = None
            found = list(await self._differences(rules))
        if rules.networks and sysctls.read(IP_FORWARD) != "1":
            found.append(f"sysctl {IP_FORWARD} is off")
        for name, value in _localnet(rules).items():
            if sysctls.read(name) not in (value, None):
                found.append(f"sysctl {name} is not {value}")
        return tuple(found)

    async def remove(self, ours: Collection[str] = ()) -> None:
        """Take everything of ours away, the guard last, and put the machine's settings back. Idempotent. `ours`: bridges of
        ours that are about to go."""
        async with self._lock:
            if not self._is_there():
                return
            tool = self._find()
            saved = await self._saved(tool)
            await self._zone.put(())
            for bridge in _guarded_bridges(saved, self._instance):
                sysctls.write_if_there(_localnet_of(bridge), "0")
            text = rulesets.removal(saved, self._instance)
            self._read = self._compared = None
            if text:
                await tool.restore(text)
            self._stop_routing(rulesets.others(saved, self._instance), ours)
            if tool.flavour is Flavour.NFT:
                nftables.delete_empty([table for table in portmap.TABLES if table not in self._tables_before()])
            os.unlink(self._record)

    async def _swap(self, rules: Rules) -> None:
        tool = self._find()
        saved = await self._saved(tool)
        if not self._is_there():
            if not rules.networks:
                return  # nothing is asked, and nothing of ours is there
            store.replace(self._record, json.dumps({"flavour": tool.flavour, "tables": sorted(saved)}).encode())
            for words in await iptables.obstacles(tool):
                log.warning("the network may not work: %s", words)
        texts, jumps = self._texts(rules)
        if not rulesets.guard_stands(saved, texts, jumps, self._instance):
            for name in _localnet(rules):
                sysctls.write_if_there(name, "0")
        text = rulesets.transaction(saved, texts, jumps, self._instance)
        if text:
            before = self._read[0] if self._read else 0
            self._read = self._compared = None
            await tool.restore(text)
            self._foresee(before, saved, text)
        for name, value in _localnet(rules).items():
            sysctls.write_if_there(name, value)
        if rules.networks:
            self._sysctls.write(IP_FORWARD, "1")
        await self._zone.put(_bridges(rules))

    async def _differences(self, rules: Rules) -> list[str]:
        tool = self._find()
        generation = nftables.generation() if tool.flavour is Flavour.NFT else 0
        if generation and self._compared and self._compared[:2] == (generation, rules):
            return self._compared[2]
        found = rulesets.differences(await self._saved(tool), *self._texts(rules), self._instance)
        found += await self._zone.missing(_bridges(rules))
        self._compared = (generation, rules, found)
        return found

    async def _saved(self, tool: Iptables) -> dict[str, Saved]:
        """What is there: read again only where somebody else has changed something, if the kernel can say so."""
        generation = nftables.generation() if tool.flavour is Flavour.NFT else 0
        if not generation or not self._read or self._read[0] != generation:
            self._read, self._is_foreseen = (generation, await tool.save()), False
        return self._read[1]

    def _foresee(self, before: int, saved: dict[str, Saved], text: str) -> None:
        """After `text` was put in force: what is there now, if the kernel has counted no changes but ours (one a table)."""
        changed = rulesets.parse(text)
        if before and rulesets.only_replaces(text) and nftables.generation() == before + len(changed):
            self._read = (before + len(changed), rulesets.replaced(saved, changed))
            self._is_foreseen = True

    def _texts(self, rules: Rules) -> tuple[dict[str, str], tuple[Jump, ...]]:
        became_router = bool(rules.networks) and (self._sysctls.has(IP_FORWARD) or sysctls.read(IP_FORWARD) != "1")
        texts = portmap.render(
            rules.networks, rules.published, self._instance, self._dns_port, became_router=became_router
        )
        return texts, portmap.jumps(self._instance, became_router=became_router)

    def _stop_routing(self, saved: dict[str, Saved], ours: Collection[str]) -> None:
        if _somebody_routes(saved, ours):
            log.info("%s stays as it is: somebody else on this machine forwards packets", IP_FORWARD)
            self._sysctls.forget(IP_FORWARD)
        else:
            self._sysctls.restore(IP_FORWARD)

    def _is_there(self) -> bool:
        """Whether anything of ours may be in the kernel."""
        return os.path.exists(self._record)

    def _find(self) -> Iptables:
        """The machine's iptables; after we began, in the flavour in which we did, whatever the machine's is since."""
        tool = iptables.find(self._program)
        if self._is_there() and tool.flavour != self._recorded("flavour"):
            return iptables.find("iptables-nft" if tool.flavour is Flavour.LEGACY else "iptables-legacy")
        return tool

    def _tables_before(self) -> list[str]:
        return [str(table) for table in self._recorded("tables")]

    def _recorded(self, key: str) -> Any:
        try:
            with open(self._record, encoding="utf-8") as file:
                return json.load(file)[key]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise errors.RecordError(f"cannot read {self._record}: {error}") from error


def _bridges(rules: Rules) -> frozenset[str]:
    return frozenset(member.bridge for member in rules.networks)


def _localnet_of(bridge: str) -> str:
    return f"net.ipv4.conf.{bridge.replace('.', '/')}.route_localnet"


def _localnet(rules: Rules) -> dict[str, str]:
    """`route_localnet` of each bridge: on only where a port is published that 127.0.0.1 of this machine reaches."""
    wanting = {port.bridge for port in rules.published if port.port.host_ip.startswith(("0.0.0.0", "127."))}
    return {
        _localnet_of(member.bridge): "1" if member.bridge in wanting and not member.internal else "0"
        for member in rules.networks
    }


def _guarded_bridges(saved: dict[str, Saved], instance: str) -> list[str]:
    rules = saved.get("raw", Saved()).rules.get(portmap.chain_of(instance, "RAW"), ())
    options = [option for rule in rules for option in rulesets.canonical(rule)]
    return [option[1] for option in options if option[0] == "-i" and option[1] != "lo"]


def _somebody_routes(saved: dict[str, Saved], ours: Collection[str]) -> bool:
    """Whether anybody visibly needs this machine to forward packets. `saved`: the rules of others; `ours`: our own bridges, which
    may be about to go."""
    return (
        bool(saved.get("filter", Saved()).rules.get("FORWARD"))
        or bool(saved.get("nat", Saved()).rules.get("POSTROUTING"))
        or any(link.kind in ROUTING_KINDS and link.name not in ours for link in links.links())
    )
