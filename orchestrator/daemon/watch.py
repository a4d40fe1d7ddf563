"""The engine as one project's loop sees it: everybody who follows the project sees each look too, and a command may say
how long the stops on its way have.

Only what the loop does goes through here. A grace said by a command (`stop -t 3`) is written to a container just before it is
stopped, by an update in place; the loop then finds it different from what is declared and puts it back.
"""

from collections.abc import AsyncIterator, Callable, Sequence, Set
from dataclasses import replace

from engine.api import Command, Copying, Ended, Engine, Said, Updatable, nobody
from engine.types.configs import Config, ContainerConfig
from engine.types.infos import Damage, Look, MachineNames, ProcessInfo, Taken, Usage
from engine.types.parts import IdRange, Leave, PortMap

IdsHad = tuple[tuple[IdRange, str], ...]
"""(range, who has it) pairs."""


class Watch:
    """An Engine. `seen` is called with every look, before the loop gets it. `leased`: what other projects were promised, whether
    it is made by now or not. `grace_s`: of all stops; None: each container's own."""

    def __init__(self, engine: Engine, seen: Callable[[Look], None], leased: Callable[[], IdsHad] = tuple) -> None:
        self._engine, self._seen, self._leased = engine, seen, leased
        self._configs: dict[str, ContainerConfig] = {}
        self.grace_s: float | None = None

    async def look(self, project: str) -> Look:
        look = await self._engine.look(project)
        self._configs = {info.uid: info.config for info in look.containers}
        self._seen(look)
        return look

    async def stop(self, uid: str, leave: Leave | None = None, said: Said = nobody) -> None:
        config = self._configs.get(uid)
        if self.grace_s is not None and config is not None and config.stop_grace_s != self.grace_s:
            await self._engine.update(uid, replace(config, stop_grace_s=self.grace_s))
        await self._engine.stop(uid, leave if self.grace_s != 0 else None, said)

    async def taken(self, project: str) -> Taken:
        taken = await self._engine.taken(project)
        return replace(taken, ids=(*taken.ids, *self._leased()))

    def distrusted(self) -> tuple[Damage, ...]:
        return self._engine.distrusted()

    async def processes(self, uid: str) -> tuple[ProcessInfo, ...]:
        return await self._engine.processes(uid)

    async def usage(self, project: str) -> tuple[Usage, ...]:
        return await self._engine.usage(project)

    def changes(self) -> AsyncIterator[str]:
        return self._engine.changes()

    async def create(self, config: Config) -> None:
        await self._engine.create(config)

    async def update(self, uid: str, config: Updatable) -> None:
        await self._engine.update(uid, config)

    async def remove(self, uid: str) -> None:
        await self._engine.remove(uid)

    async def start(self, uid: str) -> None:
        await self._engine.start(uid)

    async def release(self, uid: str, ports: Sequence[PortMap]) -> None:
        await self._engine.release(uid, ports)

    async def signal(self, uid: str, signal: int) -> None:
        await self._engine.signal(uid, signal)

    async def run(self, uid: str, command: Command, timeout_s: float) -> Ended:
        return await self._engine.run(uid, command, timeout_s)

    async def session(self, uid: str, command: Command) -> int:
        return await self._engine.session(uid, command)

    async def attach(self, uid: str, *, to_next: bool = False) -> int:
        return await self._engine.attach(uid, to_next=to_next)

    async def copy(self, uid: str, copying: Copying) -> int:
        return await self._engine.copy(uid, copying)

    async def name_on_machine(self, projects: Set[str], unknown: Set[str] = frozenset()) -> None:
        await self._engine.name_on_machine(projects, unknown)

    def machine_names(self, project: str) -> MachineNames:
        return self._engine.machine_names(project)

    def memory_bytes(self) -> int:
        return self._engine.memory_bytes()

    def log_path(self, config: ContainerConfig) -> str:
        return self._engine.log_path(config)

    def data_path(self, volume: str) -> str:
        return self._engine.data_path(volume)
