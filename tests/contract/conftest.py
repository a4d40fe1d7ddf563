"""Two engines for the same tests: the one in memory, on which the planner is tested, and the real one."""

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest

from engine.api import Engine
from engine.types.configs import (
    ContainerConfig,
    EndpointConfig,
    ImageConfig,
    NetworkConfig,
    SandboxConfig,
    VolumeConfig,
)
from engine.types.infos import ContainerInfo, Info, Look
from reconciler.fake import FakeEngine
from tests.engine.host_namespace import host
from tests.engine.process_kit import anyio_backend, busybox_root

__all__ = ["anyio_backend", "busybox_root", "host"]

Act = Callable[["World"], Awaitable[None]]


class World:
    """An engine, the Configs of a small project in it, and what differs between the two engines for who uses them."""

    def __init__(self, engine: Engine, image: str) -> None:
        self.engine = engine
        self.image = ImageConfig(image)
        self.network = NetworkConfig("p_lab", "p", "lab", "10.61.0.0/24", "10.61.0.1")
        self.volume = VolumeConfig("p_data", "p", "data")

    def sandbox(self, name: str = "web") -> SandboxConfig:
        return SandboxConfig(name, "p", hostname=name, domainname="p")

    def endpoint(self, name: str = "web", address: str = "10.61.0.5") -> EndpointConfig:
        return EndpointConfig("p", name, "p_lab", "lab", address, 24, "10.61.0.1", f"{name}.p", (name,), True)

    def container(self, name: str = "web", *, code: int | None = None, **fields: Any) -> ContainerConfig:
        """One that runs until it is stopped, or ends at once with a code."""
        command = ("sleep", "1000") if code is None else ("sh", "-c", f"exit {code}")
        if code is not None and isinstance(self.engine, FakeEngine):
            fake = self.engine
            fake.starts = lambda info: fake.exit(info.uid, code)
        values: dict[str, Any] = {"command": command, "stop_grace_s": 0.2, **fields}
        return ContainerConfig(f"p-{name}-1", "p", name, 1, name, name, self.image.reference, **values)

    async def stand(self, *names: str, **fields: Any) -> dict[str, str]:
        """Make all that these containers need, and them; their uids by name."""
        await self.engine.create(self.image)
        await self.engine.create(self.network)
        for number, name in enumerate(names):
            await self.engine.create(self.sandbox(name))
            await self.engine.create(self.endpoint(name, f"10.61.0.{number + 5}"))
            await self.engine.create(self.container(name, **fields))
        return {info.config.slot: info.uid for info in (await self.look()).containers}

    async def look(self) -> Look:
        return await self.engine.look("p")

    async def info(self, uid: str) -> ContainerInfo:
        return next(info for info in (await self.look()).containers if info.uid == uid)

    async def all(self) -> list[Info]:
        look = await self.look()
        return [*look.images, *look.volumes, *look.networks, *look.sandboxes, *look.endpoints, *look.containers]

    async def clear(self) -> None:
        look = await self.look()
        for info in look.containers:
            await self.engine.stop(info.uid)
        for several in (look.containers, look.endpoints, look.sandboxes, look.networks, look.volumes):
            for each in several:
                await self.engine.remove(each.uid)


@contextlib.asynccontextmanager
async def fake() -> AsyncIterator[World]:
    yield World(FakeEngine(time.time), "rootfs:/image")


@pytest.fixture(params=["fake", pytest.param("linux", marks=pytest.mark.root)])
def both(request: pytest.FixtureRequest) -> Callable[[Act], None]:
    """Run a test's body with an engine."""
    if request.param == "fake":
        return lambda act: anyio.run(_with, fake, act)
    request.getfixturevalue("host")
    root, run = (str(request.getfixturevalue("tmp_path") / name) for name in ("root", "run"))
    image = f"rootfs:{request.getfixturevalue('busybox_root')}"

    @contextlib.asynccontextmanager
    async def linux() -> AsyncIterator[World]:
        from engine.linux import LinuxEngine

        async with LinuxEngine(root, run) as engine:
            world = World(engine, image)
            try:
                yield world
            finally:
                await world.clear()

    return lambda act: anyio.run(_with, linux, act)


async def _with(make: Callable[[], contextlib.AbstractAsyncContextManager[World]], act: Act) -> None:
    async with make() as world:
        await act(world)
