"""Keeps one project as it is stored: its loop, its record on disk, and those who follow it.

A command makes a new Stored, it is declared (all that can be known to be wrong is known now), kept durably, and only then
wanted of the loop. So a daemon that dies at any moment goes on, when reborn, with what was last promised.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import anyio

from engine.api import Engine
from engine.types.infos import ContainerInfo, Look, State, Taken
from orchestrator import errors, phrases, protocol
from orchestrator.daemon import chronicle, feeds, happenings, health, last_words, listing, watch
from reconciler import converge, declaration, events, one_offs, restart
from reconciler import errors as reconciler_errors
from reconciler.actual import Seen
from reconciler.desired import DesiredState
from reconciler.one_offs import OneOff
from reconciler.resource import Blocked, Verb
from reconciler.stored import Stored
from specs import errors as spec_errors

log = logging.getLogger(__name__)

Save = Callable[[Stored], None]
FAILED_LOOP_REST_S = 1.0
HEARD_REST_S = 10.0
"""The client of a one-off removes it itself, once it has all that it wrote; unless it is gone."""
LEFT_BY_DOWN = ("volume", "image")


class Keeper:
    """One project. `save` keeps a Stored durably. Its `loop` runs in a task; a project that is `gone` needs no keeper any
    more. Who changes what is wanted holds `lock`. `wish` is the number of the present one; `wished` is told of each."""

    def __init__(
        self,
        engine: Engine,
        stored: Stored,
        monitor: health.Monitor,
        told: chronicle.Chronicle,
        save: Save,
        *,
        clock: Callable[[], float],
        leased: Callable[[str], watch.IdsHad] = lambda name: (),
        wished: Callable[[], None] = lambda: None,
        userns: str = "host",
    ) -> None:
        self.userns = userns
        self.chronicle, self._wished = told, wished
        self.name, self.stored, self.engine, self.save, self.clock = stored.name, stored, engine, save, clock
        self.lock = anyio.Lock()
        self.gone = anyio.Event()
        self.wish = 0
        self.look = Look()
        self._monitor = monitor
        self._feeds: set[feeds.Feed] = set()
        self._shown = protocol.Containers(())
        self.watch = watch.Watch(engine, self._seen, lambda: leased(self.name))
        self.loop = self._new_loop()

    def _new_loop(self) -> converge.Loop:
        return converge.Loop(
            self.watch,
            self.name,
            health=self._monitor.statuses,
            publish=self._publish,
            redeclare=self._redeclare,
            clock=self.clock,
        )

    async def run(self) -> None:
        """Run the loop, for ever. One that fails (a fault of ours) is told to who follows, and begun anew after a while: it must
        neither stop other projects nor leave this one alone."""
        while True:
            try:
                await self.loop.run()
            except* Exception:
                log.exception("the loop of project %s failed", self.name)
            for feed in tuple(self._feeds):
                feed.close()
            failed, self.loop = self.loop, self._new_loop()
            self.wish = self.loop.want(failed.desired, forgive=False)
            await anyio.sleep(FAILED_LOOP_REST_S)

    # ------------------------------------------------------------------------------------------------ commands

    async def declare(self, stored: Stored, *, refuse_taken: bool = False) -> declaration.Declaration:
        """What `stored` comes to, now. Changes nothing. Raises errors.Invalid with all that is wrong."""
        looks = self.loop.looks
        look, taken = await self.watch.look(self.name), await self.watch.taken(self.name)
        refuse_damage(self.name, look)
        with refusals():
            declared = declaration.declare(stored, look, taken, refuse_taken=refuse_taken)
        return replace(declared, seen=Seen(look, taken, looks))

    def want(self, declared: declaration.Declaration, *, forgive: bool = True) -> int:
        """Want it of the loop; the wish's number. Whoever promised it to somebody has saved it before."""
        self.stored = declared.stored
        self.wish = self.loop.want(declared.desired, forgive=forgive, seen=declared.seen)
        self._wished()
        return self.wish

    def _redeclare(self, look: Look, taken: Taken) -> DesiredState:
        try:
            declared = declaration.declare(self.stored, look, taken)
        except (spec_errors.SpecErrors, reconciler_errors.DeclareError) as error:
            log.warning("project %s stays as it was declared: %s", self.name, error)
            return self.loop.desired
        self.save(declared.stored)
        self.stored = declared.stored
        return declared.desired

    async def sweep(self) -> None:
        """Remove the one-offs that were to go when they have ended, with their anonymous volumes. Raises Refused, EngineError."""
        runs = self.stored.overlay.runs
        ended = [info for info in self.look.containers if _is_over(info, runs.get(info.config.service), self.clock())]
        if ended:
            async with self.lock:
                names = [info.config.service for info in ended if info.config.service in self.stored.overlay.runs]
                if not names:
                    return
                declared = await self.declare(self.stored.remove(names, volumes=self.stored.anonymous_of(ended)))
                self.save(declared.stored)
                self.want(declared, forgive=False)

    # --------------------------------------------------------------------------------------------- who follows

    def follow(self, *, containers: bool = False) -> feeds.Feed:
        """A feed of what happens from now on, if asked with the `containers` each time one changes; the caller closes it."""
        feed = feeds.Feed(left=self._feeds.discard, containers=containers)
        self._feeds.add(feed)
        return feed

    def containers(self) -> protocol.Containers:
        """All containers as of the last look. `over`: all but one-offs rest, and none will start again by itself."""
        rows = tuple(self._container(info) for info in self.look.containers)
        counted = (info for info in self.look.containers if not info.config.run_of)
        return protocol.Containers(rows, over=all(map(self._rests, counted)))

    def _rests(self, info: ContainerInfo) -> bool:
        if info.config.run_of and info.started_at:
            return info.state is not State.RUNNING
        if info.state is not State.MADE:
            return info.state is State.EXITED and restart.verdict(info, math.inf).at == math.inf
        stuck = {each.id for each in self.loop.plan.blocked if not each.hope}
        return self.stored.overlay.is_stopped(info.config.service) or f"container:{info.config.slot}" in stuck

    def restarting(self) -> list[str]:
        """The slots whose container has exited and is about to be started again."""
        return [each.id.partition(":")[2] for each in self.loop.plan.blocked if feeds.is_restarting(each)]

    def states(self) -> dict[str, int]:
        """How many containers are in which state (listing's words), as of the last look; steps that are done are not counted."""
        again = frozenset(self.restarting())
        shown = [info for info in self.look.containers if not listing.is_done(info)]
        return Counter(listing.state_of(info, info.config.slot in again) for info in shown)

    def _container(self, info: ContainerInfo) -> protocol.Container:
        config = info.config
        return protocol.Container(
            info.uid,
            config.name,
            config.service,
            config.slot,
            listing.state_of(info),
            self._monitor.statuses().get(info.uid, ""),
            info.code,
            self.engine.log_path(config),
            info.started_at,
            self._rests(info),
            config.run_of,
            config.number,
        )

    def _seen(self, look: Look) -> None:
        self.look = look
        self._monitor.show(self.name, look.containers)
        self.chronicle.see(look, self._monitor.statuses(), self.clock())
        wanted = [feed for feed in self._feeds if feed.containers]
        if wanted and (now := self.containers()) != self._shown:
            self._shown = now
            for feed in wanted:
                feed.put(now)

    def _tell(self, event: protocol.Event) -> None:
        for feed in tuple(self._feeds):
            feed.put(event)

    def _publish(self, event: events.Event) -> None:
        if isinstance(event, events.StepBegun) and event.step.verb is Verb.STOP:
            self._tell_kill(event.step.uid)
        if self._feeds and (told := feeds.told(event)) is not None:
            self._tell(told)
        if isinstance(event, events.PlanChanged | events.Settled) and self.is_gone():
            self.gone.set()

    def _tell_kill(self, uid: str) -> None:
        for info in self.look.containers:
            if info.uid == uid:
                self.chronicle.tell(happenings.killed(info, info.config.stop_signal, self.clock()))

    def is_gone(self) -> bool:
        """Nothing is wanted, nothing is under way, and nothing is left but volumes that are to stay. Not before the loop knows
        what is wanted: whoever wants it waits to hear how it ends."""
        plan, wanted = self.loop.plan, self.loop.desired.wanted
        if (
            self.stored.parts
            or not self.loop.is_planned
            or self.loop.busy
            or plan.ready
            or plan.blocked
            or not wanted.keys().isdisjoint(self.loop.actual)
        ):
            return False
        return all(each.partition(":")[0] in LEFT_BY_DOWN for each in self.loop.actual)

    # ------------------------------------------------------------------------------------------------- the end

    async def settle(self, number: int, *, wait: bool = False, timeout_s: float | None = None) -> protocol.Settled:
        """How it ended, once the wish of this number is as good as it gets; 1 after `timeout_s` in any case."""
        with anyio.move_on_after(timeout_s):
            outcome = await self.loop.settled(wait=wait, since=number)
            if self.is_gone():
                self.gone.set()
            if outcome.ok:
                return protocol.Settled(0, feeds.waiting_of(outcome.blocked))
            return protocol.Settled(1, self._explained(outcome.blocked), self._unhealthy())
        late = f"not all is {'healthy' if wait else 'started'} after {timeout_s:g} s"
        return protocol.Settled(1, self._explained(self.loop.plan.blocked), (late, *self._unhealthy()))

    def _explained(self, blocked: tuple[Blocked, ...]) -> tuple[protocol.Waiting, ...]:
        """What did not come to pass, with what was last heard of those that failed."""
        ended = (info for info in self.look.containers if info.state is State.EXITED and info.code)
        failed = {f"container:{info.config.slot}": info for info in ended}
        return tuple(
            each._replace(output=self._output(failed[each.id])) if each.id in failed else each
            for each in feeds.waiting_of(blocked)
        )

    def _output(self, info: ContainerInfo) -> tuple[str, ...]:
        return last_words.of(self.engine.log_path(info.config), info.started_at)

    def _unhealthy(self) -> tuple[str, ...]:
        """Who is, and why."""
        known = self._monitor.records()
        return tuple(
            f"container:{info.config.slot} is unhealthy: {phrases.probe_words(listing.probe_of(known[info.uid]))}"
            for info in self.look.containers
            if info.uid in known and known[info.uid].status == health.UNHEALTHY
        )


def _is_over(info: ContainerInfo, run: OneOff | None, now: float) -> bool:
    """Whether nothing keeps it from going."""
    if run is None or not run.brief or not one_offs.ended((info,)):
        return False
    return not run.heard or info.ended_at + HEARD_REST_S < now


def refuse_damage(name: str, look: Look) -> None:
    """Raises Damaged while something of the project cannot be trusted."""
    if look.damage:
        problems = [errors.Problem((), each.words, each.way_out) for each in look.damage]
        raise errors.Damaged(f"project {name} is left as it is: something of it is damaged", problems=problems)


@contextmanager
def refusals() -> Iterator[None]:
    """What the rooms below find wrong, as a refusal that keeps the paths."""
    try:
        yield
    except spec_errors.SpecErrors as error:
        problems = [errors.Problem(each.path, each.message, each.hint) for each in error.errors]
        raise errors.Invalid("the project is not valid", problems=problems) from error
    except reconciler_errors.DeclareError as error:
        if not error.path:
            raise errors.Invalid(error.message, hint=error.hint) from error
        problem = errors.Problem(error.path, error.message, error.hint)
        raise errors.Invalid("the project cannot be made", problems=[problem]) from error
