"""What the kernel tells of interfaces and routes is heard at once, whatever else is being put right."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from engine.linux import LinuxEngine
from engine.wiring import Wiring
from tests.engine.host_namespace import Host

pytestmark = pytest.mark.root
SUBNET = "10.99.0.0/24"
SOON_S = 4.0  # less than what a dump may be old


async def soon(holds: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(SOON_S):
        while not await holds():  # noqa: ASYNC110 - an engine is asked
            await anyio.sleep(0.02)


def test_a_new_route_is_seen_while_rules_are_being_put_right(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mending: list[bool] = []

    async def never_done(self: Wiring, *, sure: bool = True) -> None:
        mending.append(sure)
        await anyio.sleep(60)

    async def is_mending() -> bool:
        host.sh("iptables-nft -N MINE && iptables-nft -X MINE")
        return False in mending

    async def act() -> None:
        async with LinuxEngine(str(tmp_path / "root"), str(tmp_path / "run")) as engine:

            async def is_seen() -> bool:
                return SUBNET in dict((await engine.taken("p")).subnets)

            await soon(is_mending)
            assert not await is_seen()
            host.sh("ip link add d0 type bridge; ip link set d0 up; ip addr add 10.98.0.1/24 dev d0")
            host.sh(f"ip route add {SUBNET} via 10.98.0.2")
            await soon(is_seen)

    monkeypatch.setattr(Wiring, "mend", never_done)
    anyio.run(act)
