"""What runs in a container besides its own process: `post_start` after each start and `pre_stop` before a planned stop, because
its Config says so, and what it is told to do before it leaves for good.

A run whose `post_start` are not done says so in its record. So a daemon that takes over while one is running begins them anew,
from the first: it ended with the daemon that ran it. Nobody waits for them in a verb, and so a stop can come at any time.
"""

import logging
import os
import time
from collections.abc import Callable

import anyio
import anyio.abc

from engine import errors, probes
from engine.api import Command, Ended, Said, nobody
from engine.container import Container
from engine.containers import Containers
from engine.process import identity
from engine.sandboxes import Sandbox
from engine.types.parts import Hook, Leave

log = logging.getLogger(__name__)

KILL = 9
OWN_END_S = 0.5
"""A hook that is killed is most often killed with its container, whose own process ends so soon after."""
HEARD_S = 10.0
"""And so soon after that we hear of it: it is written down before."""
OUTPUT_SHOWN = 400


class Hooks:
    """`note` is called with a project in which something has changed."""

    def __init__(self, tasks: anyio.abc.TaskGroup, containers: Containers, note: Callable[[str], None]) -> None:
        self._tasks, self._containers, self._note = tasks, containers, note
        self._scopes: dict[str, anyio.CancelScope] = {}

    def begin(self, container: Container, sandbox: Sandbox) -> None:
        """Run the `post_start` of a container that has just been started, or was found running with some left to do."""
        if container.run and not container.run.hooked:
            self._tasks.start_soon(self._post_start, container, sandbox)

    def end(self, uid: str) -> None:
        """Its run is over, or is about to be: what runs for it besides ends."""
        if uid in self._scopes:
            self._scopes[uid].cancel()

    async def pre_stop(self, container: Container, sandbox: Sandbox) -> float:
        """Run the `pre_stop` of a container for as long as its grace lasts; how much of that is left, in seconds. Raises
        TerminalEngineError where one fails and the container runs on: it is not to be stopped then. One that outlasts the grace
        is ended, and holds up nothing; nor does one that nobody is left to run."""
        config, grace_s, began = container.config, container.config.stop_grace_s, time.monotonic()
        for number, hook in enumerate(config.pre_stop):
            failed = ""
            try:
                failed = await _tried(sandbox, container.record.uid, hook, grace_s - (time.monotonic() - began))
            except TimeoutError:
                log.warning("%s: pre_stop[%d] is ended, or left out: no grace is left", config.name, number)
            except errors.TerminalEngineError as error:
                failed = str(error)
            except errors.EngineError as error:
                log.warning("%s: pre_stop[%d]: %s", config.name, number, error)
            if failed and not await _has_ended(container):
                raise errors.TerminalEngineError(
                    f"cannot stop {config.name}: pre_stop[{number}] {failed} (`-t 0` leaves it out, and so does kill)"
                )
        return max(0.0, grace_s - (time.monotonic() - began))

    async def leave(self, container: Container, sandbox: Sandbox, leave: Leave, said: Said) -> None:
        """Run what a container does before it leaves. Raises TerminalEngineError where that fails or takes too long, and the
        container runs on."""
        try:
            failed = await _tried(sandbox, container.record.uid, leave.hook, leave.timeout_s, said)
        except TimeoutError:
            failed = f"({_shown(leave.hook)}) took longer than {leave.timeout_s:g} s"
        except errors.TerminalEngineError as error:
            failed = str(error)
        if failed and not await _has_ended(container):
            why = f"{container.config.name} cannot leave, and runs on: leave {failed}"
            raise errors.TerminalEngineError(f"{why} (`up -t 0`, `stop` and `down` do without it)")

    # ---------------------------------------------------------------------------------------------------------- inside

    async def _post_start(self, container: Container, sandbox: Sandbox) -> None:
        uid = container.record.uid
        with anyio.CancelScope() as scope:
            self._scopes[uid] = scope
            try:
                await self._all(container, sandbox)
            except errors.EngineError as error:  # its sandbox, or its container, is gone
                log.info("%s: post_start: %s", container.config.name, error)
            finally:
                if self._scopes.get(uid) is scope:
                    del self._scopes[uid]

    async def _all(self, container: Container, sandbox: Sandbox) -> None:
        assert container.run is not None
        why = container.run.failed
        for number, hook in enumerate(container.config.post_start):
            failed = "" if why else await _run(sandbox, container.record.uid, hook)
            why = why or (f"post_start[{number}] {failed}" if failed else "")
        if why:
            await self._give_up(container, sandbox, why)
        else:
            self._containers.mark(container, hooked=True)
            self._note(container.config.project)

    async def _give_up(self, container: Container, sandbox: Sandbox, why: str) -> None:
        """End the container as a stop would, and let its restart policy be asked. Its exit ends this."""
        uid, config = container.record.uid, container.config
        if await _has_ended(container, OWN_END_S if "exited 137" in why else 0):
            return
        log.warning("%s: %s", config.name, why)
        self._containers.mark(container, failed=why)
        await sandbox.shim.signal(uid, config.stop_signal)
        await anyio.sleep(config.stop_grace_s)
        await sandbox.shim.signal(uid, KILL)


async def _has_ended(container: Container, within_s: float = OWN_END_S) -> bool:
    """Whether a command failed because its container ended: then that is heard of when this returns."""
    pidfd = identity.reopen(container.process.identity) if container.process else None
    if pidfd is not None:
        try:
            with anyio.move_on_after(within_s):
                await anyio.wait_readable(pidfd)
            if not identity.has_ended(pidfd):
                return False
        finally:
            os.close(pidfd)
    with anyio.move_on_after(HEARD_S):
        while container.process:  # noqa: ASYNC110 - who hears of it tells nobody else
            await anyio.sleep(0.01)
    return container.process is None


async def _run(sandbox: Sandbox, uid: str, hook: Hook) -> str:
    """Why it failed; "": it did not."""
    try:
        return await _tried(sandbox, uid, hook, None)
    except errors.EngineError as error:
        return f"({_shown(hook)}): {error}"


async def _tried(sandbox: Sandbox, uid: str, hook: Hook, timeout_s: float | None, said: Said = nobody) -> str:
    """How it failed; "": it did not. Raises EngineError, and TimeoutError: it was ended, or there was no time to begin."""
    if timeout_s is not None and timeout_s <= 0:
        raise TimeoutError
    command = Command(hook.argv, hook.environment, hook.user, hook.working_dir, privileged=hook.privileged)
    ended = await probes.finish(await sandbox.shim.exec(probes.spec_of(uid, command)), timeout_s, said)
    return _failure(_shown(hook), ended)


def _shown(hook: Hook) -> str:
    return " ".join(hook.argv)


def _failure(shown: str, ended: Ended) -> str:
    said = ended.output.strip()[-OUTPUT_SHOWN:]
    how = f"({shown}) exited {ended.code}" + (f": {said}" if said else "")
    return how if ended.code else ""
