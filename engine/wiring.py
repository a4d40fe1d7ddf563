"""What follows from all networks, endpoints and running containers together: names, rules, host ports, files.

None of it has an identity of its own: each is a pure text of what exists, put in force whole, and compared with what is in force
whenever there is doubt.
"""

import contextlib
import logging
import time
from collections.abc import Iterable, Sequence

import anyio.to_thread

from engine.batch import Batch
from engine.containers import Containers
from engine.dns import names
from engine.dns.process import DnsProcess
from engine.machine import Machine
from engine.network import conntrack, ports
from engine.network.firewall import Firewall, Rules
from engine.network.portmap import Member, Published
from engine.networks import Networks
from engine.sandboxes import Sandbox, Sandboxes
from engine.types.configs import NetworkMode, SandboxConfig
from engine.types.infos import Taken
from engine.types.parts import PortMap

log = logging.getLogger(__name__)
BOUND_IS_FRESH_S = 30.0


class Wiring:
    def __init__(
        self, machine: Machine, *, networks: Networks, sandboxes: Sandboxes, containers: Containers, run: str
    ) -> None:
        self._networks, self._sandboxes, self._containers = networks, sandboxes, containers
        self._dns = DnsProcess(run, hold=machine.hold)
        self._firewall = Firewall(instance=machine.instance, run_directory=run, dns_port=self._dns.port)
        self._names = Batch(self._publish_names, gather_s=0.002)
        self._forgotten = Batch(self._forget_together, gather_s=0.002)
        self._applied: Rules | None = None  # as the firewall was last asked for
        self._held: dict[str, set[str]] = {}  # sandbox uid -> keys of the ports its shim holds
        self._bound: tuple[float, tuple[PortMap, ...]] = (-BOUND_IS_FRESH_S, ())
        self._listeners: tuple[frozenset[ports.Listener], tuple[tuple[PortMap, str], ...]] = (frozenset(), ())

    async def open(self) -> None:
        """Put in force what follows from what lives from before."""
        for sandbox in self._sandboxes:
            self._held[sandbox.record.uid] = set(sandbox.shim.listing.held)
        if self._networks.records():
            await self.publish()
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
        primary = next((each for each in endpoints if each.primary), endpoints[0] if endpoints else None)
        gateway = primary.gateway if primary else None
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
        if not self._networks.records():
            await self._dns.stop()

    async def _publish_names(self, _: Sequence[None]) -> None:
        await self._dns.publish(self._tables())

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

    async def publish_endpoints(self, sandbox_uid: str) -> None:
        """After a cable of this sandbox came, went or changed: its names, and its ports where a container runs already."""
        runs = (each for each in self._containers if each.process and each.config.ports)
        if any(each.run and each.run.sandbox_uid == sandbox_uid for each in runs):
            await self.publish_ports()
        await self.publish_names()

    async def publish_ports(self) -> None:
        """Return when the rules are in force; nothing of them is left when the last network is gone."""
        if self._networks.whole():
            await self._firewall.apply(self._rules)
        else:
            self._applied = None
            await self._firewall.remove([record.bridge for record in self._networks.records()])

    async def mend(self, *, sure: bool = True) -> None:
        """Put right what somebody else has changed of the rules. Not `sure`: what we did ourselves is believed."""
        if words := await self._firewall.drift(lambda: self._applied, sure=sure):
            await self._firewall.apply(self._rules)
            log.warning("put the firewall right: %s", ", ".join(words))

    def _rules(self) -> Rules:
        """What the rules are a function of, now: the firewall asks for it as late as possible."""
        records = self._networks.whole()
        self._applied = Rules(
            networks=tuple(
                Member(record.bridge, record.config.subnet, record.config.gateway, record.config.internal)
                for record in records
            ),
            published=tuple(self._published()),
        )
        return self._applied

    def _published(self) -> Iterable[Published]:
        bridges = {record.uid: record for record in self._networks.whole()}
        for container in self._containers:
            if not container.process or not container.config.ports or not container.run:
                continue
            endpoints = self._networks.endpoints_of(container.run.sandbox_uid)
            ways = [each for each in endpoints if each.network_uid in bridges]
            ways.sort(key=lambda each: (bridges[each.network_uid].config.internal, not each.config.primary))
            for port in container.config.ports if ways else ():
                yield Published(bridges[ways[0].network_uid].bridge, ways[0].config.address, port)

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
                    (record.config.subnet, f"network {record.config.name}")
                    for record in self._networks.records()
                    if record.config.project != project
                ),
            ),
            ports=tuple(self._ports_elsewhere(project)),
            names=tuple(
                (each.config.name, f"project {each.config.project}")
                for each in self._containers
                if each.config.project != project
            ),
            addresses=tuple(
                (config.network, config.address, f"{config.sandbox} of project {config.project}")
                for config in (record.config for record in self._networks.endpoints())
                if config.project != project
            ),
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
        changed."""
        found = frozenset(ports.listeners())
        if found != self._listeners[0]:
            self._listeners = (found, ports.taken())
        held = {key.partition(" ")[2] for keys in self._held.values() for key in keys}
        seen = [(port, who) for port, who in self._listeners[1] if _shown(port) not in held]
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
    return f"{uid} {_shown(port)}"


def _shown(port: PortMap) -> str:
    return f"{port.host_ip}:{port.host_port}/{port.protocol}"


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(1 << 20)
    except OSError:
        return ""
