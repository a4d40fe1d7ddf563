"""All projects of this corral, one keeper each; restored from their records when the daemon is born.

A record that cannot be read, or is not valid any more, keeps its project as it is: nothing of it is touched, and every command
on it says why, until it is put back. So does a damaged record of something that is made for it (`Look.damage`). A project that
`down` has emptied is forgotten, record and all.
"""

import logging
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.abc

from engine import errors as engine_errors
from engine.api import Engine
from engine.types.infos import State
from orchestrator import errors
from orchestrator.daemon import boots, chronicle, health, keeper, records, watch
from reconciler import id_leases
from reconciler.stored import MACHINE, Stored

log = logging.getLogger(__name__)

BROKEN_REST_S = 1.0
SWEEP_REST_S = 1.0


class Projects:
    """The registry. `serve` it in a task. `userns`: of services that say nothing (`settings.Access`). `after_boot`: what restart
    policies bring back after a boot is to be brought back."""

    def __init__(
        self,
        engine: Engine,
        kept: records.Records,
        monitor: health.Monitor,
        chronicles: chronicle.Chronicles,
        *,
        clock: Callable[[], float],
        userns: str = "host",
        after_boot: bool = False,
    ) -> None:
        self._after_boot = after_boot
        self.engine, self.monitor, self.chronicles, self.clock = engine, monitor, chronicles, clock
        self.userns = userns
        self._records = kept
        self._keepers: dict[str, keeper.Keeper] = {}
        self._broken: dict[str, str] = {}
        self._tasks: anyio.abc.TaskGroup | None = None
        self._named: tuple[frozenset[str], frozenset[str]] | None = None  # as the engine was last told, and could do
        self._naming = anyio.Lock()
        self._has_wished = anyio.Event()

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Restore what is stored, then keep every project until cancelled."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            for name in self._records.names():
                await self._restore(name)
            task_status.started()
            tasks.start_soon(self._mend)
            tasks.start_soon(self._sweep)
            tasks.start_soon(self._keep_named)
            self.wished()
            async for name in self.engine.changes():
                self.wake(name)

    def start_soon(self, task: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run something that outlives the request it is for."""
        assert self._tasks is not None
        self._tasks.start_soon(task)

    def wake(self, name: str = "") -> None:
        """The project's loop looks again; "": all."""
        for kept in self._keepers.values():
            if name in ("", kept.name):
                kept.loop.wake()

    def wished(self) -> None:
        """Something else may be wanted now."""
        self._has_wished.set()

    async def _keep_named(self) -> None:
        """Whenever somebody wants something else, it may be that this machine is to have other names."""
        while True:
            await self._has_wished.wait()
            self._has_wished = anyio.Event()
            try:
                await self.name_on_machine()
            except engine_errors.EngineError:
                log.info("the engine tries again by itself to name containers on this machine")

    async def name_on_machine(self) -> None:
        """Return when this machine has the names of the projects that were said to (`corral hosts on`). What is broken may be one
        of them. Raises EngineError."""
        async with self._naming:
            projects = frozenset(name for name, kept in self._keepers.items() if kept.stored.overlay.hosts)
            now = projects, frozenset(self._broken)
            if now != self._named:
                self._named = None
                await self.engine.name_on_machine(*now)
                self._named = now

    async def _mend(self) -> None:
        """What is broken may have been put back."""
        while True:
            await anyio.sleep(BROKEN_REST_S)
            for name in tuple(self._broken):
                await self._restore(name)

    async def _sweep(self) -> None:
        """One-offs that are to go when they have ended (`run --rm`)."""
        told: dict[str, str] = {}
        while True:
            await anyio.sleep(SWEEP_REST_S)
            for kept in tuple(self._keepers.values()):
                try:
                    await kept.sweep()
                    told.pop(kept.name, None)
                except (errors.Refused, engine_errors.EngineError) as error:
                    if told.get(kept.name) != str(error):
                        log.warning("project %s: cannot remove a one-off that has ended: %s", kept.name, error)
                    told[kept.name] = str(error)

    async def _restore(self, name: str) -> None:
        try:
            if name != MACHINE:
                records.check_name(name)
            kept = self._keeper_of(await self._stored(name))
            number = kept.want(await kept.declare(kept.stored), forgive=False)
        except FileNotFoundError:  # moved away while it was broken
            del self._broken[name]
            self.wished()
        except (errors.Refused, engine_errors.EngineError) as error:
            told = [f"{'.'.join(map(str, each.path))}: {each.message}" for each in getattr(error, "problems", ())]
            self._note_broken(name, "; ".join([str(error), *(each.removeprefix(": ") for each in told)]))
        except Exception as error:  # one record, whatever is in it, must not stop all others
            if name not in self._broken:
                log.exception("project %s", name)
            self._note_broken(name, f"its record cannot be used: {type(error).__name__}: {error}")
        else:
            if self._broken.pop(name, ""):
                log.info("project %s is restored", name)
            self.keep(kept)
            if not kept.stored.parts:  # a daemon that died in the middle of a `down`
                self.start_soon(lambda: kept.settle(number))

    def _note_broken(self, name: str, why: str) -> None:
        words = f"cannot restore project {name}: {why}"
        if self._broken.get(name) != words:
            log.error("%s; nothing of it is touched", words)
        self._broken[name] = words
        self.wished()

    async def _stored(self, name: str) -> Stored:
        stored = self._records.read(name)
        if self._after_boot:
            look = await self.engine.look(name)
            stored = boots.started_by_policy(stored, look.containers, self.clock())
            self._records.write(stored)
        return stored

    # ------------------------------------------------------------------------------------------------- keepers

    def known(self, name: str) -> keeper.Keeper:
        """Raises NotFound, or Damaged for one whose record is broken."""
        records.check_name(name)
        if name in self._broken:
            raise errors.Damaged(self._broken[name], hint="put it back as it was: then everything goes on by itself")
        if name not in self._keepers:
            raise errors.NotFound(f"no project {name} is up", hint="`corral up` brings it up; -p names another")
        return self._keepers[name]

    def machine(self) -> keeper.Keeper:
        """Of the networks and volumes that belong to no project. Raises Damaged."""
        if MACHINE in self._broken:
            raise errors.Damaged(self._broken[MACHINE])
        return self._keepers.get(MACHINE) or self._keeper_of(Stored(MACHINE))

    def keepers(self) -> list[keeper.Keeper]:
        """Of all users' projects that are up."""
        return [kept for name, kept in self._keepers.items() if name != MACHINE]

    def broken(self) -> list[str]:
        """Why what is wanted of some projects is not known."""
        return list(self._broken.values())

    def known_or_new(self, name: str) -> keeper.Keeper:
        """A new one is nobody's until `keep` has it. Raises Invalid."""
        try:
            return self.known(name)
        except errors.NotFound:
            return self._keeper_of(Stored(name))

    def _keeper_of(self, stored: Stored) -> keeper.Keeper:
        told = self.chronicles.of(stored.name)
        return keeper.Keeper(
            self.engine,
            stored,
            self.monitor,
            told,
            self._records.write,
            clock=self.clock,
            leased=self._leased,
            wished=self.wished,
            userns=self.userns,
        )

    def _leased(self, name: str) -> watch.IdsHad:
        """The user ids that all projects but this one were promised."""
        others = (kept.stored for kept in self._keepers.values() if kept.name != name)
        return tuple(
            (id_leases.range_of(first), f"project {stored.name}")
            for stored in others
            for first in stored.leases.ids.values()
        )

    def keep(self, kept: keeper.Keeper) -> None:
        """Run its loop, until nothing is wanted of it any more and nothing is left. Already kept: nothing."""
        if self._keepers.get(kept.name) is not kept:
            self._keepers[kept.name] = kept
            self.wished()
            self.start_soon(lambda: self._run(kept))

    async def _run(self, kept: keeper.Keeper) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kept.run)
            while self._keepers.get(kept.name) is kept:
                await kept.gone.wait()
                async with kept.lock:
                    if kept.is_gone():  # else a command that came in between wants something again
                        self._forget(kept)
                    else:
                        kept.gone = anyio.Event()
            tasks.cancel_scope.cancel()

    def _forget(self, kept: keeper.Keeper) -> None:
        kept.chronicle.forget()
        self._records.remove(kept.name)
        self.monitor.show(kept.name, ())
        del self._keepers[kept.name]
        self.wished()

    # ------------------------------------------------------------------------------------------------- reading

    def damage(self) -> list[dict[str, Any]]:
        """What of everybody's cannot be trusted and is left alone."""
        return [
            {"path": each.path, "words": each.words, "way_out": each.way_out, "projects": sorted(each.projects)}
            for each in self.engine.distrusted()
        ]

    def words_of_damage(self, name: str) -> list[str]:
        """Why a project is left as it is, with what to do; none: it is not."""
        concerning = [each for each in self.engine.distrusted() if name in each.projects]
        found = [f"{each.words}: nothing is done to it; {each.way_out}" for each in concerning]
        return found or [self._broken[name]] if name in self._broken or found else []

    def overview(self) -> list[dict[str, Any]]:
        """Every project: how many containers run, how many are in which state, how many services are wanted, by which files,
        and what is wrong with its record."""
        found = [
            {
                "name": name,
                "running": sum(info.state is State.RUNNING for info in kept.look.containers),
                "states": kept.states(),
                "services": len(kept.stored.services),
                "files": [file for part in kept.stored.parts for file in part.files],
                "error": "",
            }
            for name, kept in self._keepers.items()
            if name != MACHINE
        ]
        nothing = {"running": 0, "states": {}, "services": 0, "files": []}
        broken = [{"name": name, **nothing, "error": why} for name, why in self._broken.items()]
        return sorted([*found, *broken], key=lambda each: str(each["name"]))
