"""The lives of containers, and what only one that runs has: its ports, what its hooks run, whoever is attached to it.

Whatever is asked of a container while it runs goes through here; what it consists of is `engine.containers`. Of each public
method `engine.api.Engine` says what it guarantees. OSError comes through: `engine.linux` says it as EngineError.
"""

from collections.abc import Callable, Sequence

import anyio
import anyio.abc

from engine import background, errors, probes
from engine.api import Command, Copying, Said
from engine.container import Container
from engine.containers import Containers
from engine.copies import Copies
from engine.hooks import Hooks
from engine.logs.forwarding import Forwarding
from engine.process import wire
from engine.sandboxes import Sandbox, Sandboxes, is_private
from engine.session import Session
from engine.types.configs import ContainerConfig
from engine.types.parts import Leave, PortMap
from engine.volumes import Volumes
from engine.wiring import Wiring

SOON_BACK_S = 0.2
"""Who crashes is often back within so long. Until then its ports stay its own: nothing needs to be put in force again."""


class Lives:
    """`tasks`: what goes on beside a verb runs there. `note` is called with a project in which something has changed."""

    def __init__(
        self,
        tasks: anyio.abc.TaskGroup,
        containers: Containers,
        sandboxes: Sandboxes,
        volumes: Volumes,
        wiring: Wiring,
        note: Callable[[str], None],
    ) -> None:
        self._tasks, self._containers, self._sandboxes = tasks, containers, sandboxes
        self._volumes, self._wiring, self._note = volumes, wiring, note
        self._hooks = Hooks(tasks, containers, note)
        self._forwarding = Forwarding(tasks, containers)
        self._copies = Copies(tasks)

    def adopt(self, container: Container) -> None:
        """One that was there before this engine was: what is done beside it goes on."""
        if container.process:
            self._hooks.begin(container, self._sandbox_of(container))
        self._forwarding.begin(container)

    async def update(self, uid: str, config: ContainerConfig) -> None:
        container = self._containers.get(uid)
        async with container.lock:
            changed = tuple(sorted(set(container.config.ports) ^ set(config.ports)))
            if container.process:
                sandbox = self._sandbox_of(container)
                await self._wiring.hold(sandbox, uid, config.ports)
                for signal in self._containers.rewrite_files(container, config.files):
                    await sandbox.shim.signal(uid, signal)
            self._containers.change(container, config)
            if container.process:
                await self._wiring.hold_only(sandbox, uid, config.ports)
                await self._containers.pause(container, on=config.paused)
        await self._wiring.publish_ports()
        if changed:
            await self._wiring.forget_connections(changed)

    async def remove(self, container: Container) -> None:
        async with container.lock:
            if container.process:
                raise errors.EngineError(f"cannot remove container {container.config.name}: it is running")
            await self._forwarding.finish(container)
            await self._copies.end(container.record.uid)
            await self._containers.remove(container)

    async def start(self, uid: str) -> None:
        container = self._containers.get(uid)
        async with container.lock:
            if container.process:
                return
            sandbox = self._sandboxes.named(container.config.project, container.config.sandbox)
            ports = container.config.ports if is_private(sandbox.config) else ()
            await self._copies.end(uid)
            await self._wiring.hold(sandbox, uid, ports)
            try:
                content = await self._volumes.content(container.config.mounts)
                await self._containers.start(container, sandbox, content)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await self._wiring.hold_only(sandbox, uid, ())
                raise
            self._hooks.begin(container, sandbox)
            self._forwarding.begin(container)
        if ports:
            await self._wiring.publish_ports()
        await self._wiring.forget_connections(_flows(ports))

    async def stop(self, uid: str, leave: Leave | None, said: Said) -> None:
        container = self._containers.get(uid)
        if not container.process:
            return
        sandbox = self._sandbox_of(container)
        await self._containers.pause(container, on=False)
        if leave:
            await self._hooks.leave(container, sandbox, leave, said)
            if not container.process:
                return  # it has ended itself
        self._hooks.end(uid)
        try:
            left_s = await self._hooks.pre_stop(container, sandbox)
        except errors.TerminalEngineError:
            self._hooks.begin(container, sandbox)  # it runs on, and may not have had all of its post_start
            raise
        await self._containers.stop(container, sandbox, left_s)
        await self._give_back(container, sandbox)

    async def release(self, uid: str, ports: Sequence[PortMap]) -> None:
        container = self._containers.get(uid)
        kept = tuple(port for port in container.config.ports if port in ports)
        gone = tuple(port for port in container.config.ports if port not in ports)
        async with container.lock:
            self._containers.keep_ports(container, kept)
            await self._wiring.publish_ports()
            await self._wiring.forget_connections(gone)
            if container.process:
                await self._wiring.hold_only(self._sandbox_of(container), uid, kept)

    async def signal(self, uid: str, signal: int) -> None:
        container = self._containers.get(uid)
        await self._sandbox_of(container).shim.signal(uid, signal)

    async def execute(self, uid: str, command: Command) -> Session:
        container = self._containers.get(uid)
        self._containers.refuse_paused(container)
        return await self._sandbox_of(container).shim.exec(probes.spec_of(uid, command))

    async def session(self, uid: str, command: Command) -> int:
        container = self._containers.get(uid)
        self._containers.refuse_paused(container)
        connection = await self._sandbox_of(container).shim.session(probes.spec_of(uid, command))
        connection.setblocking(True)
        return connection.detach()

    async def attach(self, uid: str, *, to_next: bool) -> int:
        container = self._containers.get(uid)
        if to_next and not container.process:
            sandbox = self._sandboxes.named(container.config.project, container.config.sandbox)
        else:
            sandbox = self._sandbox_of(container)
        connection = await sandbox.shim.attach(uid, to_next=to_next)
        connection.setblocking(True)
        return connection.detach()

    async def copy(self, uid: str, copying: Copying) -> int:
        container = self._containers.get(uid)
        path = copying.path
        order = (
            wire.CopyIn(path, copying.base, copying.is_directory, copying.keep_owners)
            if copying.inward
            else wire.CopyOut(path, copying.follow)
        )
        async with container.lock:
            if not container.record.whole:
                raise errors.EngineError(f"cannot copy: container {container.config.name} is not made yet")
            directory, content = self._containers.directory(uid), await self._volumes.content(container.config.mounts)
            connection = await self._copies.begin(container, order, directory=directory, content=content)
        connection.setblocking(True)
        return connection.detach()

    # ----------------------------------------------------------------------------------------------- what happens

    async def ended(self, told: wire.Exit) -> None:
        container = self._containers.ended(told)
        if container is None:
            return
        self._hooks.end(container.record.uid)
        self._note(container.config.project)
        sandbox = self._sandboxes.find(container.run.sandbox_uid) if container.run else None
        if sandbox:
            self._tasks.start_soon(background.quietly, self._give_back(container, sandbox, after_s=SOON_BACK_S))

    async def lost(self, sandbox_uid: str) -> None:
        """With a sandbox that is gone."""
        for container in await self._containers.kill_lost(sandbox_uid):
            self._hooks.end(container.record.uid)

    def _sandbox_of(self, container: Container) -> Sandbox:
        if not container.process or not container.run:
            raise errors.EngineError(f"cannot use container {container.config.name}: it is not running")
        return self._sandboxes.get(container.run.sandbox_uid)

    async def _give_back(self, container: Container, sandbox: Sandbox, *, after_s: float = 0.0) -> None:
        """What only a running container has: its ports, unless it runs again meanwhile, or has given them back already."""
        await anyio.sleep(after_s)
        uid = container.record.uid
        async with container.lock:
            if container.process or not self._wiring.holds(sandbox, uid):
                return
            await self._wiring.publish_ports()
            await self._wiring.forget_connections(_flows(container.config.ports))
            await self._wiring.hold_only(sandbox, uid, ())


def _flows(ports: Sequence[PortMap]) -> tuple[PortMap, ...]:
    """Those whose connections do not end with the container: a TCP connection is reset by whoever has the address next."""
    return tuple(port for port in ports if port.protocol == "udp")
