"""The end of all containers with their machine: each is told to end as it wishes. What is wanted stays wanted, and what restart
policies bring back comes back after the next boot."""

import logging
import signal
from collections.abc import Iterable

import anyio

from engine.api import Engine
from engine.errors import EngineError
from engine.types.infos import ContainerInfo, State

log = logging.getLogger(__name__)
LOOK_EVERY_S = 0.1


async def end_containers(engine: Engine, projects: Iterable[str]) -> None:
    """Send every container its stop signal, all at once, and SIGKILL to those that outlive their grace; return when none runs.
    Nobody else may start any meanwhile."""
    names = tuple(projects)
    async with anyio.create_task_group() as tasks:
        for info in await _running(engine, names):
            log.info("container:%s ends with the machine", info.config.slot)
            tasks.start_soon(_end, engine, info)


async def _end(engine: Engine, info: ContainerInfo) -> None:
    await _signal(engine, info, info.config.stop_signal)
    with anyio.move_on_after(info.config.stop_grace_s):
        await _ended(engine, info)
        return
    await _signal(engine, info, signal.SIGKILL)
    with anyio.move_on_after(info.config.stop_grace_s):
        await _ended(engine, info)


async def _ended(engine: Engine, info: ContainerInfo) -> None:
    while any(  # noqa: ASYNC110 - others may hear of the change first
        each.uid == info.uid for each in await _running(engine, (info.config.project,))
    ):
        await anyio.sleep(LOOK_EVERY_S)


async def _running(engine: Engine, names: tuple[str, ...]) -> list[ContainerInfo]:
    looks = [await engine.look(name) for name in names]
    return [info for look in looks for info in look.containers if info.state is State.RUNNING]


async def _signal(engine: Engine, info: ContainerInfo, number: int) -> None:
    try:
        await engine.signal(info.uid, number)
    except EngineError:  # it has ended by itself
        log.debug("container:%s has ended already", info.config.slot)
