"""What follows from all networks, endpoints and running containers together: names, rules, host ports, files.

None of it has an identity of its own: each is a pure text of what exists, put in force whole, and compared with what is in force
whenever there is doubt.
"""

import contextlib
import logging
import time
from collections.abc import Iterable, Sequence

import anyio.to_thread

from engine import errors, sysctls
from engine.batch import Batch
from engine.containers import Containers
from engine.dns import names
from engine.dns.process import DnsProcess
from engine.hosts import file as hosts_file
from engine.hosts.keeping import Joined, Keeping
from engine.machine import Machine
from engine.network import conntrack, ports
from engine.network.firewall import Firewall, Rules
from engine.network.portmap import RELAYED, Member, Published
from engine.networks import Networks
from engine.relay.process import Relay
from engine.sandboxes import Sandbox, Sandboxes
from engine.types.configs import NetworkConfig, NetworkMode, SandboxConfig
from engine.types.infos import Taken
from engine.types.parts import PortMap

log = logging.getLogger(__name__)
LISTENING_IS_FRESH_S, BOUND_IS_FRESH_S = 0.02, 30.0


class Wiring:
    def __init__(
        self,
        machine: Machine,
        *,
        networks: Networks,
        sandboxes: Sandboxes,
        containers: Containers,
        run: str,
        hosts_file: str = hosts_file.PATH,
    ) -> None:
        self._networks, self._sandboxes, self._containers = networks, sandboxes, containers
        self._dns = DnsProcess(run, hold=machine.hold)
        self._relay = Relay(run, hold=machine.hold)
        self.hosts = Keeping(machine.instance, self._joined, hosts_file)
        self._firewall = Firewall(instance=machine.instance, run_directory=run, dns_port=self._dns.port)
        self._names = Batch(self._publish_names, gather_s=0.002)
        self._forgotten = Batch(self._forget_together, gather_s=0.002)
        self._applied: Rules | None = None  # as the firewall was last asked for
        self._held: dict[str, set[str]] = {}  # sandbox uid -> keys of the ports its shim holds
        self._bound: tuple[float, tuple[PortMap, ...]] = (-BOUND_IS_FRESH_S, ())
        self._listeners: tuple[frozenset[ports.Listener], tuple[tuple[PortMap, str], ...]] = (frozenset(), ())
        self._listened = -LISTENING_IS_FRESH_S

    async def open(self) -> None:
        """Put in force what follows from what lives from before."""
        for sandbox in self._sandboxes:
            self._held[sandbox.record.uid] = set(sandbox.shim.listing.held)
        if self._networks.records():
            await self._networks.refresh()
            try:
                await self.publish()
            except (errors.EngineError, OSError):
                log.exception("cannot put the rules and names in force; what is in force stays")
        for container in self._containers:
            at = self._sandboxes.find(container.run.sandbox_uid) if container.process and container.run else None
            if at:
                await self.hold_only(at, container.record.uid, container.config.ports)

    # -------------------------------------------------------------------------------------------------------- names

    def files(self, uid: str, config: SandboxConfig) -> dict[str, str]:
        """The text of each file that a sandbox's containers find in /etc."""
        endpoints = [record.config for record in self._networks.endpoints_of(uid)]
        hostname = f"{config.hostname}\n"
        if config.mode is NetworkMode.HOST:
            hosts = names.machine_hosts_file(config, _text_of("/etc/hosts"))
            resolv_conf = names.resolv_conf(config, None, _text_of("/etc/resolv.conf"))
            return {"hosts": hosts, "resolv.conf": resolv_conf, "hostname": hostname}
        gateway = names.server_of(endpoints)
        return {
            "hosts": names.hosts_file(config, endpoints),
            "resolv.conf": names.resolv_conf(config, gateway, ""),
            "hostname": hostname,
        }

    async def publish_names(self) -> None:
        """Return when every name is answered as it should be now."""
        await self._names.do(None)

    async def keep_answering(self) -> None:
        """Return when the dns process has ended and another one answers in its place."""
        await self._dns.ended()
        if self._networks.records():
            await self.publish_names()

    async def end_names(self) -> None:
        """End the dns process, where nobody needs it."""
        if not self._networks.records() and not self._networks.damage():
            await self._dns.stop()

    def close(self) -> None:
        """Let go of the processes of ours, which go on."""
        self._dns.close()

    async def _publish_names(self, _: Sequence[None]) -> None:
        try:
            await self._dns.publish(self._tables())
        finally:
            await self.hosts.put()

    def _joined(self) -> Joined:
        return Joined(
            [(record.bridge, record.config) for record in self._networks.whole()],
            [record.config for record in self._networks.endpoints() if record.whole],
            self._dns.port,
        )

    def _tables(self) -> dict[str, str]:
        return names.tables(
            [record.config for record in self._networks.endpoints() if record.whole],
            [sandbox.config for sandbox in self._sandboxes],
            [record.config for record in self._networks.records()],
        )

    # -------------------------------------------------------------------------------------------------------- rules

    async def publish(self) -> None:
        await self.publish_ports()
        await self.publish_names()

    async def publish_endpoints(self, sandbox_uid: str, *, rules: bool = False) -> None:
        """After a cable of this sandbox came, went or changed: its names, and its ports where a container runs already. `rules`:
        there are some about the cable itself."""
        runs = (each for each in self._containers if each.process and each.config.ports)
        if rules or any(each.run and each.run.sandbox_uid == sandbox_uid for each in runs):
            await self.publish_ports()
        await self.publish_names()

    async def publish_ports(self) -> None:
        """Return when the rules are in force; nothing of them is left when the last network is gone."""
        if self._networks.whole():
            await self._firewall.apply(self._rules)
        elif not self._networks.damage():
            self._applied = None
            await self._firewall.remove([record.bridge for record in self._networks.records()])
        await self._relay.publish(self._applied.reached6 if self._applied else ())

    async def keep_relaying(self) -> None:
        """Return when the relay process has ended and another one relays in its place, if one is needed."""
        await self._relay.keep()

    def refuse_unable(self, config: NetworkConfig) -> None:
        """Raises `TerminalEngineError` for a network of a family that this machine has not, before anything of it is made."""
        if not config.subnet6:
            return
        why = ""
        if not sysctls.path_exists("net.ipv6"):
            why = "IPv6 is switched off in its kernel (ipv6.disable=1)"
        elif problem := self._firewall.cannot_ipv6():
            why = problem
        if why:
            message = f"cannot create network {config.name}: this machine has no IPv6: {why}"
            raise errors.TerminalEngineError(f"{message} (leave out enable_ipv6)")

    async def mend(self, *, sure: bool = True) -> None:
        """Put right what somebody else has changed of the rules. Not `sure`: what we did ourselves is believed."""
        if words := await self._firewall.drift(lambda: self._applied, sure=sure):
            await self._firewall.apply(self._rules)
            log.warning("put the firewall right: %s", ", ".join(words))

    def _rules(self) -> Rules:
        """What the rules are a function of, now: the firewall asks for it as late as possible."""
        members, members6 = [], []
        for record in self._networks.whole():
            config = record.config
            options = config.internal, config.icc, config.masquerade, self._networks.link_locals(record.uid)
            if config.subnet:
                members.append(Member(record.bridge, config.subnet, config.gateway, *options))
            if config.subnet6:
                members6.append(Member(record.bridge, config.subnet6, config.gateway6, *options))
        published = list(self._published())
        self._applied = Rules(
            (*members, *self._networks.shut()),
            tuple(each for each in published if ":" not in each.address),
            tuple(members6),
            tuple(each for each in published if ":" in each.address),
            tuple(sorted(record.bridge for record in self._networks.records())),
        )
        return self._applied

    def _published(self) -> Iterable[Published]:
        """Where each port of what runs leads: by its family, through the network that carries the default route."""
        for container in self._containers:
            if not container.process or not container.config.ports or not container.run:
                continue
            ways = self._ways(container.run.sandbox_uid)
            for port in container.config.ports:
                if way := ways.get(":" in port.host_ip):
                    yield Published(*way, port)

    def _ways(self, sandbox_uid: str) -> dict[bool, tuple[str, str]]:
        """The bridge and the address that lead to a sandbox, by whether they are of IPv6."""
        networks = {record.uid: record for record in self._networks.whole()}
        found: dict[bool, tuple[str, str]] = {}
        endpoints = [each for each in self._networks.endpoints_of(sandbox_uid) if each.network_uid in networks]
        for ipv6 in (False, True):
            ways = [
                (networks[each.network_uid].config.internal, not is_primary, networks[each.network_uid].bridge, address)
                for each in endpoints
                for address, is_primary in (
                    [(each.config.address6, each.config.primary6)]
                    if ipv6
                    else [(each.config.address, each.config.primary)]
                )
                if address
            ]
            if ways:
                found[ipv6] = min(ways, key=lambda way: way[:2])[2:]
        return found

    # -------------------------------------------------------------------------------------------------- host ports

    async def hold(self, sandbox: Sandbox, uid: str, wanted: Iterable[PortMap]) -> None:
        """Bind each host port, so that nobody else does, and let the shim keep it. Raises `EngineError` naming the port
        and who has it; then none of the new ones is held."""
        held = self._held.setdefault(sandbox.record.uid, set())
        new = [port for port in wanted if _key(uid, port) not in held]
        with contextlib.ExitStack() as sockets:
            bound = [(port, sockets.enter_context(ports.hold(port))) for port in new]
            for port, each in bound:
                await sandbox.shim.hold(_key(uid, port), [each.fileno()])
                held.add(_key(uid, port))

    async def hold_only(self, sandbox: Sandbox, uid: str, wanted: Iterable[PortMap]) -> None:
        """Give back what the container holds beside these."""
        held = self._held.setdefault(sandbox.record.uid, set())
        kept = {_key(uid, port) for port in wanted}
        gone = sorted(key for key in held if key.startswith(f"{uid} ") and key not in kept)
        if gone:
            await sandbox.shim.release(gone)
            held.difference_update(gone)

    def holds(self, sandbox: Sandbox, uid: str) -> bool:
        """Whether the container holds any port."""
        return any(key.startswith(f"{uid} ") for key in self._held.get(sandbox.record.uid, ()))

    def forget_sandbox(self, uid: str) -> None:
        """Its shim is gone, and what that held with it."""
        self._held.pop(uid, None)

    # ------------------------------------------------------------------------------------------------ the machine's

    def taken(self, project: str) -> Taken:
        return Taken(
            subnets=(
                *self._networks.routes_elsewhere(),
                *(
                    (subnet, f"network {record.config.name}")
                    for record in self._networks.records()
                    for subnet in (record.config.subnet, record.config.subnet6)
                    if subnet and record.config.project != project
                ),
            ),
            ports=tuple(self._ports_elsewhere(project)),
            names=tuple(
                (each.config.name, f"project {each.config.project}")
                for each in self._containers
                if each.config.project != project
            ),
            addresses=tuple(
                (config.network, address, f"{config.sandbox} of project {config.project}")
                for config in (record.config for record in self._networks.endpoints())
                for address in (config.address, config.address6)
                if address and config.project != project
            ),
            bridges=self._networks.bridges_elsewhere(project),
        )

    def _ports_elsewhere(self, project: str) -> Iterable[tuple[PortMap, str]]:
        yield from self._strangers()
        for each in self._containers:
            if each.process and each.config.project != project:
                for port in each.config.ports:
                    owner = f"container {each.config.name} of project {each.config.project}"
                    yield PortMap(port.host_ip, port.host_port, 0, port.protocol), owner

    def _strangers(self) -> tuple[tuple[PortMap, str], ...]:
        """Who listens on this machine, but our shims. Whose process that is takes a walk over all of them: only when it has
        changed. A command looks twice within milliseconds: once for both."""
        if time.monotonic() - self._listened > LISTENING_IS_FRESH_S:
            found = frozenset(ports.listeners())
            if found != self._listeners[0]:
                self._listeners = (found, ports.taken())
            self._listened = time.monotonic()
        held = {key.partition(" ")[2] for keys in self._held.values() for key in keys}
        held |= {key.replace("[::]", f"[{RELAYED}]") for key in held}  # our relay
        seen = [(port, who) for port, who in self._listeners[1] if ports.shown(port) not in held]
        return (*seen, *((port, "a program that has it bound") for port in self._bound_unseen(held)))

    def _bound_unseen(self, held: set[str]) -> tuple[PortMap, ...]:
        """As of a while ago, without what was ours then: asking costs 17 ms."""
        if time.monotonic() - self._bound[0] > BOUND_IS_FRESH_S:
            ours = {text.rpartition(":")[2] for text in held}
            found = (port for port in ports.bound_unseen() if f"{port.host_port}/{port.protocol}" not in ours)
            self._bound = (time.monotonic(), tuple(found))
        return self._bound[1]

    async def forget_connections(self, of: tuple[PortMap, ...]) -> None:
        """Return when nobody is led any more to where these host ports led."""
        if of:
            await self._forgotten.do(of)

    async def _forget_together(self, several: Sequence[tuple[PortMap, ...]]) -> None:
        gone = [port for each in several for port in each]
        await anyio.to_thread.run_sync(lambda: conntrack.forget(ports=gone))


def _key(uid: str, port: PortMap) -> str:
    return f"{uid} {ports.shown(port)}"


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(1 << 20)
    except OSError:
        return ""
