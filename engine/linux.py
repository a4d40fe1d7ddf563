"""The real engine: `engine.api.Engine` on this machine's kernel.

    async with LinuxEngine(root="/var/lib/corral", run="/run/corral") as engine:
        await engine.create(NetworkConfig(…))

One process at a time may have a state root open. Opening adopts whatever lives from before: shims are found by their recorded
identity; records say which bridges, cables, cgroups and rules are ours. Closing leaves all that runs running.
"""

import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence, Set
from dataclasses import replace
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import anyio
import anyio.abc
import anyio.to_thread

from engine import background, errors, metering, probes, processes, trees
from engine.api import Command, Copying, Ended, Said, Updatable, nobody
from engine.batch import Batch, together
from engine.cgroups import capacity, census
from engine.container import Container
from engine.containers import Containers
from engine.images import host
from engine.images.store import ImageStore
from engine.lives import Lives
from engine.machine import Machine
from engine.network import hints
from engine.networks import Networks
from engine.process import identity
from engine.records import damage
from engine.records.container_records import Running
from engine.rights.id_ranges import IdRanges
from engine.sandboxes import Sandboxes, is_private
from engine.session import Session
from engine.types.configs import (
    Config,
    ContainerConfig,
    EndpointConfig,
    ImageConfig,
    NetworkConfig,
    SandboxConfig,
    VolumeConfig,
)
from engine.types.infos import Damage, Look, MachineNames, ProcessInfo, Taken, Usage
from engine.types.parts import IdRange, Leave, PortMap
from engine.volumes import Volumes
from engine.wiring import Wiring

log = logging.getLogger(__name__)
SLOW_LOOK_S = 1.0
GUARDS_LOOK_S = 10.0
DAMAGE_IS_FRESH_S = 0.5
NAMES_LOOK_S = 0.1
Given = ParamSpec("Given")
Result = TypeVar("Result")


def verb(act: Callable[Given, Coroutine[Any, Any, Result]]) -> Callable[Given, Coroutine[Any, Any, Result]]:
    """No OSError leaves the engine."""

    @wraps(act)
    async def guarded(*words: Given.args, **named: Given.kwargs) -> Result:
        try:
            return await act(*words, **named)
        except OSError as error:
            why = f"{error.strerror}: {error.filename or ''}" if error.errno else "it took too long"
            raise errors.EngineError(f"cannot {act.__name__.strip('_')}: {why}") from error

    return guarded


class LinuxEngine:
    """See `engine.api.Engine` for what every verb guarantees. `cgroup_root` is where the cgroup trees are mounted,
    `hosts_file` what the machine's programs read."""

    def __init__(
        self, root: str, run: str, *, cgroup_root: str = "/sys/fs/cgroup", hosts_file: str = "/etc/hosts"
    ) -> None:
        self._hosts_file = hosts_file
        self._root, self._run, self._cgroup_root = os.path.abspath(root), os.path.abspath(run), cgroup_root
        self._stack = contextlib.AsyncExitStack()
        self._changed: set[str] = set()
        self._damage: tuple[Damage, ...] = ()
        self._loaded_at = 0.0
        self._mending = anyio.Lock()
        self._wake = anyio.Event()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.cancel_scope.cancel()
        self.sandboxes.zygote.close()
        with anyio.CancelScope(shield=True):
            await background.quietly(self._wiring.end_names())
        self._wiring.close()
        await self._stack.aclose()

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        self._machine = await stack.enter_async_context(Machine.open(self._root, self._run, self._cgroup_root))
        self._tasks: anyio.abc.TaskGroup = await stack.enter_async_context(anyio.create_task_group())
        self.images = ImageStore(os.path.join(self._root, "images"))
        self._ids = IdRanges()
        self.volumes = Volumes(os.path.join(self._root, "volumes"))
        self.networks = Networks(self._run, self._machine.links)
        remover = trees.Remover()
        self.containers = Containers(
            self._root,
            driver=self._machine.cgroups,
            images=self.images,
            remover=remover,
            seccomp=self._machine.seccomp,
            boot_id=identity.boot_id(),
        )
        self.sandboxes = Sandboxes(
            self._run,
            zygote=self._machine.zygote,
            tasks=self._tasks,
            remover=remover,
            texts=lambda uid, config: self._wiring.files(uid, config),
            on_exit=lambda ended: self._lives.ended(ended),
            on_death=self._on_death,
        )
        self._wiring = Wiring(
            self._machine,
            networks=self.networks,
            sandboxes=self.sandboxes,
            containers=self.containers,
            run=self._run,
            hosts_file=self._hosts_file,
        )
        self._lives = Lives(self._tasks, self.containers, self.sandboxes, self.volumes, self._wiring, note=self._note)
        self._tasks.start_soon(self._warm)
        await self._load()
        await self._wiring.open()
        if not self.containers.damaged:
            host.sweep(self.images.directory, self.containers.skeletons())
        self._tasks.start_soon(self._watch)
        self._tasks.start_soon(self._watch_rules)
        self._tasks.start_soon(self._watch_guards)
        self._tasks.start_soon(self._watch_companion, self._wiring.keep_answering)
        self._tasks.start_soon(self._watch_companion, self._wiring.keep_relaying)

    async def _load(self) -> None:
        """Read all records that are not known yet, and find out who lives."""
        self._loaded_at = time.monotonic()
        self.volumes.load()
        self.networks.load()
        adopted = await self.sandboxes.load()
        try:
            running = await self._running(adopted)
            found = self.containers.load(running, census.of(self._machine.cgroups), self.sandboxes.ended)
        finally:
            self.sandboxes.hear()
        for container in found:
            self._lives.adopt(container)
        self._damage = await self._damaged()

    async def _running(self, adopted: frozenset[str]) -> dict[str, Running]:
        """What runs in those sandboxes that were adopted just now; and, where a container could not be read until now, what
        runs in all others and is not known."""
        found = dict[str, Running]()
        for sandbox in tuple(self.sandboxes):
            uid = sandbox.record.uid
            if uid not in adopted and not self.containers.damaged:
                continue
            listing = sandbox.shim.listing if uid in adopted else await sandbox.shim.list()
            found |= {
                run.container: Running(run, uid, sandbox.config.project)
                for run in listing.running
                if uid in adopted or not self.containers.find(run.container)
            }
        return found

    async def _damaged(self) -> tuple[Damage, ...]:
        await self.networks.miss()
        configs = [each.config for each in self.containers]
        volumes = (
            replace(each, projects=damage.of(damage.holders(configs, name) or damage.claimed_by(each.path)))
            for name, each in self.volumes.damaged.items()
        )
        found = (*volumes, *self.networks.damage(), *self.sandboxes.damaged.values(), *self.containers.damaged.values())
        for each in found:
            if each not in self._damage:
                log.error("%s: nothing is done to it; %s", each.words, each.way_out)
        return found

    async def _reconsider(self) -> None:
        """What was damaged may have been put back, or given up. Found out all over again: also what the kernel has beside it."""
        if not self._damage or time.monotonic() - self._loaded_at < DAMAGE_IS_FRESH_S or self._mending.locked():
            return
        async with self._mending:
            before = self._damage
            await background.quietly(self._load())
            if before != self._damage:
                await self._wiring.open()
                await background.quietly(self._wiring.publish_ports())
                self._note()

    # ------------------------------------------------------------------------------------------------------ reading

    def distrusted(self) -> tuple[Damage, ...]:
        return self._damage

    @verb
    async def look(self, project: str) -> Look:
        await self._reconsider()
        self.images.look_again()
        await self.networks.refresh()
        return Look(
            images=self.images.infos(),
            volumes=self.volumes.infos(),
            networks=tuple(self.networks.network_infos()),
            sandboxes=tuple(self.sandboxes.infos(project)),
            endpoints=tuple(self.networks.endpoint_infos(project)),
            containers=tuple(self.containers.infos(project)),
            damage=damage.concerning(self._damage, project),
        )

    @verb
    async def taken(self, project: str) -> Taken:
        await self.networks.refresh()
        return replace(self._wiring.taken(project), ids=await anyio.to_thread.run_sync(self._ids_elsewhere, project))

    def _ids_elsewhere(self, project: str) -> tuple[tuple[IdRange, str], ...]:
        """Of user namespaces, but the project's own."""
        ours = [(each.config.project, each.config.ids) for each in (*self.containers, *self.sandboxes)]
        others = ((ids, f"project {owner}") for owner, ids in ours if ids and owner != project)
        return (*dict.fromkeys(others), *self._ids.elsewhere(ids for _, ids in ours if ids))

    @verb
    async def processes(self, uid: str) -> tuple[ProcessInfo, ...]:
        cgroup = self.containers.cgroup(self.containers.get(uid))
        return await anyio.to_thread.run_sync(lambda: processes.infos(self._machine.cgroups.pids(cgroup)))

    @verb
    async def usage(self, project: str) -> tuple[Usage, ...]:
        meters = [
            metering.Meter(each.record.uid, self.containers.cgroup(each), self._own_network(each))
            for each in self.containers
            if each.process and each.config.project == project
        ]
        return await anyio.to_thread.run_sync(metering.read, meters, self._machine.cgroups)

    def _own_network(self, container: Container) -> int:
        """The pid whose interfaces are the container's alone; 0: it has none of its own."""
        sandbox = self.sandboxes.find(container.run.sandbox_uid) if container.run else None
        is_first = container.config.sandbox == container.config.slot  # or what goes through it would be counted twice
        is_own = container.process and sandbox and is_first and is_private(sandbox.config)
        return container.process.identity.pid if container.process and is_own else 0

    async def changes(self) -> AsyncIterator[str]:
        """For one listener."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            changed, self._changed = self._changed, set()
            for project in sorted(changed):
                yield project

    @verb
    async def name_on_machine(self, projects: Set[str], unknown: Set[str] = frozenset()) -> None:
        await self._wiring.hosts.want(projects, unknown)

    def machine_names(self, project: str) -> MachineNames:
        return self._wiring.hosts.of(project)

    def memory_bytes(self) -> int:
        return capacity.memory_bytes(self._machine.cgroups.layout, metering.MACHINE_BYTES)

    def log_path(self, config: ContainerConfig) -> str:
        return self.containers.log_path(config)

    def data_path(self, volume: str) -> str:
        return self.volumes.data(volume)

    def _note(self, project: str = "") -> None:
        self._changed.add(project)
        self._wake.set()

    # ------------------------------------------------------------------------------------------------------- making

    @verb
    async def create(self, config: Config) -> None:
        match config:
            case ImageConfig():
                self.images.ensure(config)
            case VolumeConfig():
                await self.volumes.create(config)
            case NetworkConfig():
                self._wiring.refuse_unable(config)
                await self.networks.create_network(config)
                await self._wiring.publish()
            case SandboxConfig():
                await self.sandboxes.create(config)
            case EndpointConfig():
                await self._attach(config)
            case ContainerConfig():
                await self.containers.create(config)

    async def _attach(self, config: EndpointConfig) -> None:
        sandbox = self.sandboxes.named(config.project, config.sandbox)
        with self.sandboxes.rewired(sandbox.record.uid):
            await self.networks.attach(config, sandbox)
        await self._wiring.publish_endpoints(sandbox.record.uid, rules=bool(config.link_local))

    @verb
    async def update(self, uid: str, config: Updatable) -> None:
        match config:
            case VolumeConfig():
                self.volumes.update(uid, config)
            case NetworkConfig():
                await self.networks.update_network(uid, config)
                await self._wiring.publish()
            case SandboxConfig():
                await self.sandboxes.update(uid, config)
                await self._wiring.publish_names()
            case EndpointConfig():
                sandbox = self.sandboxes.get(self.networks.endpoint(uid).sandbox_uid)
                with self.sandboxes.rewired(sandbox.record.uid):
                    await self.networks.update_endpoint(uid, config, sandbox)
                await self._wiring.publish_endpoints(sandbox.record.uid)
            case ContainerConfig():
                await self._lives.update(uid, config)

    @verb
    async def remove(self, uid: str) -> None:
        if container := self.containers.find(uid):
            await self._lives.remove(container)
        elif self.networks.has_endpoint(uid):
            sandbox_uid, had = self.networks.endpoint(uid).sandbox_uid, self.networks.endpoint(uid).config.link_local
            with self.sandboxes.rewired(sandbox_uid):
                await self.networks.detach(uid)
            await self._wiring.publish_endpoints(sandbox_uid, rules=bool(had))
        elif self.sandboxes.has(uid):
            await self.sandboxes.remove(uid)
            self._wiring.forget_sandbox(uid)
        elif self.networks.has_network(uid):
            self.networks.give_up(uid)  # the rules about it go while it does: nothing is plugged into it
            await together(lambda: self.networks.remove_network(uid), self._wiring.publish_ports)
            await self._wiring.publish_names()
        elif self.volumes.has(uid):
            await self.volumes.remove(uid)
        else:
            raise errors.Superseded(f"{uid[:12]} is gone")

    # --------------------------------------------------------------------------------------------------- containers

    @verb
    async def start(self, uid: str) -> None:
        await self._lives.start(uid)

    @verb
    async def stop(self, uid: str, leave: Leave | None = None, said: Said = nobody) -> None:
        await self._lives.stop(uid, leave, said)

    @verb
    async def release(self, uid: str, ports: Sequence[PortMap]) -> None:
        await self._lives.release(uid, ports)

    @verb
    async def signal(self, uid: str, signal: int) -> None:
        await self._lives.signal(uid, signal)

    async def run(self, uid: str, command: Command, timeout_s: float) -> Ended:
        try:
            return await probes.finish(await self._begin(uid, command), timeout_s)
        except TimeoutError:
            self.containers.refuse_paused(self.containers.get(uid))  # who stands still cannot answer
            raise

    @verb
    async def _begin(self, uid: str, command: Command) -> Session:
        return await self._lives.execute(uid, command)

    @verb
    async def session(self, uid: str, command: Command) -> int:
        return await self._lives.session(uid, command)

    @verb
    async def attach(self, uid: str, *, to_next: bool = False) -> int:
        return await self._lives.attach(uid, to_next=to_next)

    @verb
    async def copy(self, uid: str, copying: Copying) -> int:
        return await self._lives.copy(uid, copying)

    # ----------------------------------------------------------------------------------------------- what happens

    async def _on_death(self, sandbox_uid: str, config: SandboxConfig) -> None:
        await self._lives.lost(sandbox_uid)
        self._wiring.forget_sandbox(sandbox_uid)
        self._note(config.project)

    async def _watch(self) -> None:
        """Whenever the kernel's interfaces or rules may have changed, put the rules right and let everybody look."""
        mending = Batch(self._mend_when_told, gather_s=0.0)
        async with hints.listening() as told:
            async for hint in told:
                if hint is hints.Hint.FIREWALL:
                    # takes a while: an address or a route must not go unseen meanwhile
                    self._tasks.start_soon(background.quietly, mending.do(None))
                else:
                    self.networks.doubt()
                    self._note()

    async def _mend_when_told(self, _: Sequence[None]) -> None:
        await self._wiring.mend(sure=False)

    async def _watch_rules(self) -> None:
        """The legacy flavour of iptables tells nobody of changes, and settings of the kernel neither. What we did ourselves is
        read back here too."""
        while True:
            await anyio.sleep(SLOW_LOOK_S)
            await background.quietly(self._wiring.mend())
            await background.quietly(self._mend_filter())
            await background.quietly(self._wiring.hosts.put())

    async def _watch_guards(self) -> None:
        """Nobody has a reason to touch them, and each is a question to the kernel."""
        while True:
            await anyio.sleep(GUARDS_LOOK_S)
            await background.quietly(self.networks.guard())

    async def _watch_companion(self, keep: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await background.quietly(keep())
            await anyio.sleep(NAMES_LOOK_S)

    async def _mend_filter(self) -> None:
        self._machine.seccomp.in_place()

    async def _warm(self) -> None:
        await background.quietly(self.sandboxes.zygote.warm())
