"""The daemon's side of the relay process: there while a port is published that [::1] of this machine reaches."""

import json
from collections.abc import Callable, Collection

import anyio

from engine import errors
from engine.companions import Companion
from engine.network.portmap import RELAYED, Published
from engine.records import store

HOSTS = (RELAYED, "::")
PROTOCOLS = ("tcp", "udp")


class Relay:
    """The one relay process of a run directory. All verbs may be repeated."""

    def __init__(self, run_directory: str, *, hold: Callable[[int], None] = lambda pid: None) -> None:
        self._process = Companion(run_directory, "relay", "engine.relay.server", "lead [::1] to containers", hold)
        self._lock = anyio.Lock()
        self._in_force: str | None = None

    async def publish(self, published: Collection[Published]) -> None:
        """Lead exactly these ports of [::1] to where they lead. Raises `EngineError` naming those that cannot be had."""
        ways = sorted(
            (each.port.protocol, each.port.host_port, each.address, each.port.container_port)
            for each in published
            if each.port.host_ip in HOSTS and each.port.protocol in PROTOCOLS
        )
        text = json.dumps(ways)
        async with self._lock:
            if not ways:
                await self._stop()
            elif text != self._in_force:
                self._in_force = None
                store.replace(self._process.path("table"), text.encode(), durable=False)
                await self._process.ensure()
                failed = await self._process.tell(None)
                if failed:
                    words = "; ".join(f"{port}: {why}" for port, why in sorted(failed.items()))
                    raise errors.EngineError(f"cannot publish {words}")
                self._in_force = text

    async def keep(self) -> None:
        """Return when the process has ended, and another one is there if one is needed."""
        await self._process.ended()
        async with self._lock:
            if self._in_force:
                await self._process.ensure()

    async def _stop(self) -> None:
        if self._in_force != "":
            await self._process.stop()
            self._process.forget("table")
            self._in_force = ""
