"""Networks and endpoints: bridges, cables, and what follows from them: addresses inside, names, rules.

    <run>/networks/<uid>.json     boot-scoped, as the kernel's objects are: a reboot forgets both together
    <run>/endpoints/<uid>.json

Names of kernel objects come from the records' uids and are used once: `cb…` a bridge, `cv…` the machine's end of a cable. A
bridge may be given a name of the user's.
"""

import ipaddress
import logging
import os
import time
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import anyio.to_thread

from engine import errors, inside
from engine.batch import Batch
from engine.network import bridges, conntrack, interfaces, links, routes
from engine.network.portmap import Member
from engine.records import damage, soundness, store
from engine.sandboxes import Sandbox
from engine.types.configs import EndpointConfig, NetworkConfig
from engine.types.infos import Damage, EndpointInfo, NetworkInfo

log = logging.getLogger(__name__)
DUMP_IS_FRESH_S = 5.0
T = TypeVar("T", store.NetworkRecord, store.EndpointRecord)

CABLE = "cv"

Cut = tuple[str, tuple[str, ...]]
"""A link that is to go, and the addresses that it leads to."""


class Networks:
    """Cables and bridges are cut together, in one batch: the kernel waits once for all of it."""

    def __init__(self, run: str, links: bridges.Bridges) -> None:
        self._run, self._links = run, links
        self._networks: dict[str, store.NetworkRecord] = {}
        self._endpoints: dict[str, store.EndpointRecord] = {}
        self._cables: dict[str, dict[str, store.EndpointRecord]] = {}  # sandbox uid -> its endpoints, by uid
        self._damaged: dict[tuple[str, str], str] = {}  # (folder, uid) -> what is wrong
        self._dump = bridges.Dump()
        self._dumped_at = -DUMP_IS_FRESH_S
        self._cut: Batch[Cut] = Batch(self._cut_together, gather_s=0.005)

    # ------------------------------------------------------------------------------------------------------ reading

    def load(self) -> None:
        """Read the records that are not known yet; what is damaged is left alone. May be repeated."""
        for kind in ("networks", "endpoints"):
            os.makedirs(os.path.join(self._run, kind), mode=0o700, exist_ok=True)
            store.sweep(os.path.join(self._run, kind))
        self._damaged = {}
        for record in self._sound(store.NetworkRecord, "networks", self._networks):
            if any(other.config.name == record.config.name for other in self._networks.values()):
                self._damaged["networks", record.uid] = (
                    f"cannot read {self._path('networks', record.uid)}: there are two"
                )
            else:
                self._networks[record.uid] = record
        for link in self._sound(store.EndpointRecord, "endpoints", self._endpoints):
            self._endpoints[link.uid] = self._cables.setdefault(link.sandbox_uid, {})[link.uid] = link

    def _sound(self, kind: type[T], folder: str, known: Container[str]) -> Iterator[T]:
        for name in sorted(os.listdir(os.path.join(self._run, folder))):
            uid = name.removesuffix(".json")
            if uid == name or not soundness.UID.match(uid) or uid in known:
                continue
            path = self._path(folder, uid)
            try:
                record = store.read(kind, path)
                soundness.check(record, uid, path)
            except (errors.RecordError, OSError) as error:
                self._damaged[folder, uid] = str(error)
            else:
                yield record

    def damage(self) -> tuple[Damage, ...]:
        """What is damaged, as of the last `load` and `miss`; whose it is is said by who is plugged in, and by the record."""
        return tuple(self._damage_of(folder, uid, words) for (folder, uid), words in self._damaged.items())

    async def miss(self) -> None:
        """Find out what the kernel has and no record is about. To be called right after `load`: who makes or cuts something
        meanwhile has a record first and last."""
        self.doubt()
        await self.refresh()
        self._damaged |= dict(self._lost())

    def _lost(self) -> Iterator[tuple[tuple[str, str], str]]:
        """What the kernel has, and no record is about: a bridge that cables of ours are for, a cable in a bridge of ours."""
        for uid in {each.network_uid for each in self._endpoints.values()} - self._networks.keys():
            if f"cb{uid[:10]}" in self._dump.links:
                yield (
                    ("networks", uid),
                    f"cannot read {self._path('networks', uid)}: it is gone, and the network is there",
                )
        bridges_ours = {
            self._dump.links[each.bridge].index for each in self._networks.values() if each.bridge in self._dump.links
        }
        known = {each.link for each in self._endpoints.values()} | {f"cv{uid[:10]}" for _, uid in self._damaged}
        for link in self._dump.links.values():
            if link.master in bridges_ours and link.name.startswith("cv") and link.name not in known:
                uid = link.name.removeprefix("cv")
                yield (
                    ("endpoints", uid),
                    f"cannot read {self._path('endpoints', uid + '…')}: it is gone, and the cable is there",
                )

    def _damage_of(self, folder: str, uid: str, words: str) -> Damage:
        path = self._path(folder, uid)
        members = [each for each in self._endpoints.values() if each.network_uid == self._network_of(folder, uid)]
        network = self._networks.get(self._network_of(folder, uid))
        projects = {each.config.project for each in members} | ({network.config.project} if network else set())
        projects = projects or damage.claimed_by(path)
        link = f"{'cb' if folder == 'networks' else 'cv'}{uid[:10]}"
        end = f"ip link del {link}" if link in self._dump.links else ""
        away = f"move {path} away" if os.path.lexists(path) else ""
        way_out = f"put it back as it was; or give it up: {', and '.join(filter(None, (end, away)))}"
        return Damage(path, words, way_out, damage.of(projects))

    def _network_of(self, folder: str, uid: str) -> str:
        """The uid of the network that a damaged record is about, by the kernel's word: where the cable is plugged in."""
        if folder == "networks":
            return uid
        cable = self._dump.links.get(f"cv{uid[:10]}")
        name = next((link.name for link in self._dump.links.values() if cable and link.index == cable.master), "")
        return next((each.uid for each in self._networks.values() if each.bridge == name), "")

    def shut(self) -> tuple[Member, ...]:
        """The networks whose records are damaged, as far as the kernel knows them: nobody gets into or out of them."""
        return tuple(self._shut())

    def _shut(self) -> Iterator[Member]:
        for folder, uid in self._damaged:
            link = self._dump.links.get(f"cb{uid[:10]}") if folder == "networks" else None
            found = [each for each in self._dump.addresses.get(link.index, ()) if ":" not in each] if link else []
            for address in found[:1]:
                place = ipaddress.IPv4Interface(address)
                yield Member(f"cb{uid[:10]}", str(place.network), str(place.ip), internal=True)

    def doubt(self) -> None:
        """Somebody may have changed an interface: read them again at the next look."""
        self._dumped_at = -DUMP_IS_FRESH_S

    async def refresh(self) -> None:
        if time.monotonic() - self._dumped_at >= DUMP_IS_FRESH_S:
            self._dumped_at = time.monotonic()
            self._dump = await self._links.dump()

    def routes_elsewhere(self) -> tuple[tuple[str, str], ...]:
        """The (subnet, who) pairs that this machine has another use for. As of the last `refresh`."""
        return routes.taken(self._dump, (record.bridge for record in self._networks.values()))

    def bridges_elsewhere(self, project: str) -> tuple[tuple[str, str], ...]:
        """The (interface, who) pairs of this machine but those of the project's own networks. As of the last `refresh`."""
        owner = {record.bridge: record.config for record in self._networks.values()}
        return tuple(
            (name, f"network {owner[name].name}" if name in owner else "one of this machine's")
            for name in sorted(self._dump.links)
            if not name.startswith(CABLE) and not (name in owner and owner[name].project == project)
        )

    def records(self) -> tuple[store.NetworkRecord, ...]:
        return tuple(self._networks.values())

    def whole(self) -> tuple[store.NetworkRecord, ...]:
        return tuple(record for record in self._networks.values() if record.whole)

    def endpoints(self) -> tuple[store.EndpointRecord, ...]:
        return tuple(self._endpoints.values())

    def link_locals(self, network_uid: str) -> tuple[str, ...]:
        """The addresses of IPv4 that members of a network have beside theirs."""
        found = {
            address
            for each in self._endpoints.values()
            if each.network_uid == network_uid
            for address in each.config.link_local
            if ":" not in address
        }
        return tuple(sorted(found))

    def endpoints_of(self, sandbox_uid: str) -> tuple[store.EndpointRecord, ...]:
        return tuple(self._cables.get(sandbox_uid, {}).values())

    def network(self, uid: str) -> store.NetworkRecord:
        if uid not in self._networks:
            raise errors.Superseded(f"network {uid[:12]} is gone")
        return self._networks[uid]

    def endpoint(self, uid: str) -> store.EndpointRecord:
        if uid not in self._endpoints:
            raise errors.Superseded(f"endpoint {uid[:12]} is gone")
        return self._endpoints[uid]

    def has_network(self, uid: str) -> bool:
        return uid in self._networks

    def has_endpoint(self, uid: str) -> bool:
        return uid in self._endpoints

    def network_infos(self) -> Iterator[NetworkInfo]:
        for record in self._networks.values():
            found = bridges.check(self._dump, _bridge_of(record))
            yield NetworkInfo(record.config, record.uid, whole=record.whole and found is not None, drift=found or ())

    def endpoint_infos(self, project: str) -> Iterator[EndpointInfo]:
        for record in self._endpoints.values():
            if record.config.project != project:
                continue
            network = self._networks.get(record.network_uid)
            found = bridges.check_cable(self._dump, _cable_of(record, network)) if network else None
            yield EndpointInfo(
                record.config,
                record.uid,
                record.network_uid,
                record.sandbox_uid,
                whole=record.whole and found is not None,
                drift=found or (),
            )

    # ----------------------------------------------------------------------------------------------------- networks

    async def create_network(self, config: NetworkConfig) -> None:
        for other in self._networks.values():
            if other.config == config and other.whole:
                return
            if other.config.name == config.name:
                raise errors.EngineError(f"cannot create network {config.name}: project {other.config.project} has one")
        if config.bridge and links.index_of(config.bridge) is not None:
            raise errors.EngineError(f"cannot create network {config.name}: there is an interface {config.bridge}")
        uid = store.new_uid()
        record = store.NetworkRecord(config, uid, bridge=config.bridge or f"cb{uid[:10]}")
        self._keep_network(record)
        await self._links.create(_bridge_of(record))
        self._keep_network(replace(record, whole=True))

    async def update_network(self, uid: str, config: NetworkConfig) -> None:
        before = self.network(uid)
        record = replace(before, config=config)
        await self._links.create(_bridge_of(record))
        if config.icc != before.config.icc:
            for endpoint in [each for each in self._endpoints.values() if each.whole and each.network_uid == uid]:
                await self._links.mend(_cable_of(endpoint, record))
        self._keep_network(record)

    def give_up(self, uid: str) -> None:
        """From now on it is half-made, until `remove_network` has taken it away: no rules follow from it."""
        self._keep_network(replace(self.network(uid), whole=False))

    async def remove_network(self, uid: str) -> None:
        """Take the bridge away. Cables in it lose their network: the caller has detached those that are wanted."""
        self.give_up(uid)
        await self._cut.do((self.network(uid).bridge, ()))
        os.unlink(self._path("networks", uid))
        del self._networks[uid]
        self.doubt()

    # ---------------------------------------------------------------------------------------------------- endpoints

    def network_named(self, name: str) -> store.NetworkRecord:
        for record in self._networks.values():
            if record.config.name == name:
                return record
        raise errors.EngineError(f"cannot use network {name}: it is not there")

    async def attach(self, config: EndpointConfig, sandbox: Sandbox) -> None:
        network, uid = self.network_named(config.network), store.new_uid()
        for other in self._endpoints.values():
            if other.config == config and other.whole and other.sandbox_uid == sandbox.record.uid:
                return
            if other.network_uid == network.uid and (both := _had_by_both(other.config, config)):
                raise errors.EngineError(
                    f"cannot attach {config.sandbox} to network {config.network}: {other.config.sandbox} of project "
                    f"{other.config.project} has {both}"
                )
        interface = self._free_interface(config, sandbox)
        record = store.EndpointRecord(config, uid, network.uid, sandbox.record.uid, f"{CABLE}{uid[:10]}", interface)
        self._keep_endpoint(record)
        await self._links.attach(_cable_of(record, network), sandbox.pid)
        await self._configure(record, network, sandbox)
        self._keep_endpoint(replace(record, whole=True))

    async def update_endpoint(self, uid: str, config: EndpointConfig, sandbox: Sandbox) -> None:
        before = self.endpoint(uid)
        record, network = replace(before, config=config), self.network(before.network_uid)
        await self._links.mend(_cable_of(record, network))
        if _inside(config) != _inside(before.config):
            await self._configure(record, network, sandbox)
        self._keep_endpoint(record)

    async def guard(self) -> None:
        """Guard again those whose guard somebody took away."""
        whole = [each for each in self._endpoints.values() if each.whole and each.network_uid in self._networks]
        cables = [_cable_of(each, self._networks[each.network_uid]) for each in whole]
        for cable in await anyio.to_thread.run_sync(self._links.unguarded, cables):
            log.warning("guard %s again: it could claim others' addresses", cable.address)
            await self._links.mend(cable)

    async def detach(self, uid: str) -> None:
        record = self.endpoint(uid)
        self._keep_endpoint(replace(record, whole=False))
        await self._cut.do((record.link, (record.config.address, record.config.address6)))
        os.unlink(self._path("endpoints", uid))
        self._forget_endpoint(record)

    async def _configure(self, record: store.EndpointRecord, network: store.NetworkRecord, sandbox: Sandbox) -> None:
        config = record.config
        addresses = ((config.address, config.prefix_length), (config.address6, config.prefix_length6))
        gateways = ((config.gateway, config.primary), (config.gateway6, config.primary6))
        interface = interfaces.Interface(
            record.interface,
            (*(f"{address}/{bits}" for address, bits in addresses if address), *map(_with_prefix, config.link_local)),
            tuple(each for each, is_primary in gateways if each and is_primary and not network.config.internal),
            config.mtu,
            config.sysctls,
        )
        await inside.act(sandbox.directory, inside.NETWORK, lambda: interfaces.configure(interface))

    def _free_interface(self, config: EndpointConfig, sandbox: Sandbox) -> str:
        """The name asked for, or the likely one, or the next one like it."""
        taken = {record.interface for record in self.endpoints_of(sandbox.record.uid)}
        if config.interface:
            if config.interface in taken:
                raise errors.EngineError(f"cannot attach {config.sandbox}: it has an interface {config.interface}")
            return config.interface
        prefix = config.likely_interface.rstrip("0123456789") or "eth"
        names = (config.likely_interface, *(f"{prefix}{number}" for number in range(len(taken) + 1)))
        return next(name for name in names if name and name not in taken)

    async def _cut_together(self, cuts: Sequence[Cut]) -> None:
        """Links with the addresses that each leads to. Whoever gets an address next inherits no connections."""
        await self._links.cut([link for link, _ in cuts])
        for link, _ in cuts:  # or it would count as one that no record is about
            self._dump.links.pop(link, None)
        addresses = [address for _, led_to in cuts for address in led_to if address]
        await anyio.to_thread.run_sync(lambda: conntrack.forget(addresses=addresses))

    # ------------------------------------------------------------------------------------------------------- inside

    def _keep_network(self, record: store.NetworkRecord) -> None:
        store.write(self._path("networks", record.uid), record, durable=False)
        self._networks[record.uid] = record
        self.doubt()

    def _keep_endpoint(self, record: store.EndpointRecord) -> None:
        store.write(self._path("endpoints", record.uid), record, durable=False)
        self._endpoints[record.uid] = self._cables.setdefault(record.sandbox_uid, {})[record.uid] = record
        self.doubt()

    def _forget_endpoint(self, record: store.EndpointRecord) -> None:
        cables = self._cables[record.sandbox_uid]
        del self._endpoints[record.uid], cables[record.uid]
        if not cables:
            del self._cables[record.sandbox_uid]
        self.doubt()

    def _path(self, kind: str, uid: str) -> str:
        return os.path.join(self._run, kind, f"{uid}.json")


def _bridge_of(record: store.NetworkRecord) -> bridges.Bridge:
    config = record.config
    lengths = (ipaddress.ip_network(subnet).prefixlen if subnet else 0 for subnet in (config.subnet, config.subnet6))
    prefix_length, prefix_length6 = lengths
    return bridges.Bridge(record.bridge, config.gateway, prefix_length, config.mtu, config.gateway6, prefix_length6)


def _cable_of(record: store.EndpointRecord, network: store.NetworkRecord) -> bridges.Cable:
    config = record.config
    return bridges.Cable(
        record.link,
        network.bridge,
        record.interface,
        config.address or config.address6,
        config.mtu,
        config.mac,
        is_isolated=not network.config.icc,
        speaks_from=tuple(filter(None, (config.address, config.address6, *config.link_local)))
        if config.guarded
        else (),
    )


def _inside(config: EndpointConfig) -> tuple[object, ...]:
    """What of an endpoint is in the sandbox, and may change while it stands."""
    return (config.primary, config.primary6, config.mtu)


def _had_by_both(one: EndpointConfig, other: EndpointConfig) -> str:
    pairs = ((one.address, other.address), (one.address6, other.address6), (one.mac, other.mac))
    return next((its for its, own in pairs if its and its == own), "")


def _with_prefix(link_local: str) -> str:
    """libnetwork osl/interface_linux.go, setInterfaceLinkLocalIPs."""
    return f"{link_local}/{64 if ':' in link_local else 16}"
