"""The loop of one project: look, plan, begin every step that is ready, and again when something ends or changes.

At most one step at a time is under way on one resource. What a step did is looked at before its resource stops
being busy; everything else may be seen late. Wakes coalesce: any number of them while the loop works is one more
look. Of what is ready, that begins first which others need: shims are forked while the records of containers are
written. After each plan the loop rests as long as look and plan took, so that it never has more than half a processor.
Where many steps are under way, it goes on to rest until half of them have ended, but no more than six times as long in
all. A slow look comes in any case.

An error of the engine is an attempt, never the end of the loop. Cancelling `run` cancels the steps under way; what
they leave half-made is seen, and mended, by the next loop."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
import anyio.abc

from engine.api import Engine
from engine.errors import EngineError, RecordError, Superseded, TerminalEngineError
from engine.types.configs import NetworkConfig
from engine.types.infos import Look, Taken
from reconciler import attempts, claims, events, forecast, plan
from reconciler.actual import ActualState, Seen
from reconciler.desired import DesiredState
from reconciler.errors import DeclareError
from reconciler.kinds import catalogue
from reconciler.resource import Blocked, Plan, Step

SLOW_LOOK_S = 9.0
"""A look comes at least so often, whatever was or was not heard: what nobody tells of is put right within ten seconds."""

FAILED_LOOK_REST_S = 1.0
GATHER_S, MANY = 0.01, 10

log = logging.getLogger(__name__)

Health = Callable[[], Mapping[str, str]]
"""Container uid -> "starting", "healthy", "unhealthy" or "", as of now."""

Publish = Callable[[events.Event], None]

Redeclare = Callable[[Look, Taken], DesiredState]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an `up`, `stop` or `down` ended. `ok` False: `blocked` says why (all that wait, also those that were not
    waited for)."""

    ok: bool
    blocked: tuple[Blocked, ...]
    plan: Plan


def no_health() -> Mapping[str, str]:
    return {}


def nobody(event: events.Event) -> None:
    pass


class Loop:
    """Keeps one project as it is wanted. `run` it in a task; everything else may be called from any task of the
    same thread.

    `redeclare`: called when the networks of others that `desired` was declared from are no longer what they were; gives
    the DesiredState to go on with. `clock`: seconds since the epoch, the clock of the engine's Infos.
    """

    def __init__(
        self,
        engine: Engine,
        project: str,
        *,
        health: Health = no_health,
        publish: Publish = nobody,
        redeclare: Redeclare | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.engine, self.project = engine, project
        self._health, self._publish, self._redeclare, self._clock = health, publish, redeclare, clock
        self.desired = DesiredState(project)
        self.actual = ActualState()
        self.plan = Plan()
        self.busy: dict[str, Step] = {}
        self._ended: set[str] = set()  # ended, and not looked at since
        self._leaving: dict[str, anyio.CancelScope] = {}
        self._attempts = attempts.Table()
        self._wish_number = 0
        self._planned_number = -1  # the wish of the last plan
        self._woken = anyio.Event()
        self._changed = anyio.Event()  # set at each new plan, for those who wait for the outcome
        self._elsewhere = claims.Index()
        self._foreign: frozenset[NetworkConfig] | None = None  # None: not looked since the last wish
        self.looks = 0
        self._seen: Seen | None = None

    # ------------------------------------------------------------------------------------------ what others say

    def want(self, desired: DesiredState, *, forgive: bool = True, seen: Seen | None = None) -> int:
        """From now on `desired` is wanted. Returns the number of this wish, for `settled(since=…)`. `forgive`: what
        failed before is tried again at once (a new `up`). `seen`: what it was declared from, which is not looked at again where
        nothing was done or heard of since."""
        self.desired = desired
        self._foreign = None
        self._keep_who_need_not_leave()
        if forgive:
            self._attempts.forgive()
        self._wish_number += 1
        self.wake()
        self._seen = seen
        return self._wish_number

    def _keep_who_need_not_leave(self) -> None:
        """A step that has something leave first may take long: it is given up where that is not wanted any more."""
        for resource_id, scope in self._leaving.items():
            want = self.desired.wanted.get(resource_id)
            if want is None or want.leave is None:
                scope.cancel()

    @property
    def is_planned(self) -> bool:
        """`plan` is one for what is wanted now."""
        return self._planned_number == self._wish_number

    def wake(self) -> None:
        """Something may have changed: look again soon."""
        self._seen = None
        self._woken.set()

    async def settled(self, *, wait: bool = False, since: int | None = None) -> Outcome:
        """Returns when nothing is ready or under way and no Blocked has hope, as of a plan for the wish `since`
        (None: the present one) or a later one. `wait`: healthy or completed, not only started. Sets no deadline:
        use anyio's."""
        number = self._wish_number if since is None else since
        while True:
            changed = self._changed
            if self._planned_number >= number:
                code = forecast.outcome(self.plan, self.desired, self.actual, self.busy, wait=wait)
                if code is not None:
                    return Outcome(code == 0, self.plan.blocked, self.plan)
            await changed.wait()

    # ------------------------------------------------------------------------------------------------- the loop

    async def run(self) -> None:
        """For ever. May be run again after it was cancelled."""
        self.busy.clear()
        self._ended.clear()
        async with anyio.create_task_group() as steps:
            while True:
                self._woken = anyio.Event()
                began = anyio.current_time()
                if await self._look():
                    self._plan_anew()
                    for step in sorted(self.plan.ready, key=lambda step: catalogue.place_of(step.id)):
                        self._begin(step, steps)
                    rest_s = anyio.current_time() - began
                else:
                    rest_s = FAILED_LOOK_REST_S
                await anyio.sleep(rest_s)
                with anyio.move_on_after(self._patience_s()):
                    await self._woken.wait()
                if len(self.busy) >= MANY:
                    await self._gather(max(GATHER_S, 5 * rest_s))

    async def _gather(self, longest_s: float) -> None:
        """Return when half of what is under way has ended."""
        with anyio.move_on_after(longest_s):
            while 2 * len(self._ended) < len(self.busy):
                self._woken = anyio.Event()
                await self._woken.wait()

    def _patience_s(self) -> float:
        return max(0.0, min(SLOW_LOOK_S, self.plan.wake_at - self._clock()))

    async def _look(self) -> bool:
        """See what there is, and only then let go of what had ended before."""
        ended = frozenset(self._ended)
        try:
            look, taken = await self._observe()
            if look.damage:  # what is not seen may be there all the same: nothing is done beside it
                raise RecordError("; ".join(each.words for each in look.damage))
        except EngineError as error:
            log.warning("project %s: cannot look: %s", self.project, error)
            self._publish(events.LookFailed(str(error)))
            return False
        self._follow_others(look, taken)
        self.actual = ActualState.of(look, self.desired, self._health())
        self._elsewhere = claims.elsewhere(taken, look, self.project)
        for resource_id in ended:
            self.busy.pop(resource_id, None)
        self._ended -= ended
        return True

    async def _observe(self) -> tuple[Look, Taken]:
        """What the wish was declared from, where it is not older than the last look and nothing is under way."""
        seen, self._seen = self._seen, None
        looks, self.looks = self.looks, self.looks + 1
        if seen is not None and seen.looks == looks and not self.busy:
            return seen.look, seen.taken
        return await self.engine.look(self.project), await self.engine.taken(self.project)

    def _follow_others(self, look: Look, taken: Taken) -> None:
        """Declare anew when a network of somebody else, which this project may join, came, went, or became another."""
        foreign = frozenset(info.config for info in look.networks if info.config.project != self.project)
        if self._redeclare and self._foreign is not None and foreign != self._foreign:
            try:
                self.desired = self._redeclare(look, taken)
            except DeclareError as error:
                log.warning("project %s: stays as it was wanted before: %s", self.project, error)
        self._foreign = foreign

    def _plan_anew(self) -> None:
        before, is_first = self.plan, not self.is_planned
        self.plan = plan.plan(
            self.desired,
            self.actual.things,
            busy=self.busy,
            attempts=self._attempts.attempts,
            now=self._clock(),
            elsewhere=self._elsewhere,
        )
        self._planned_number = self._wish_number
        if (self.plan.changes, self.plan.blocked) != (before.changes, before.blocked):
            self._publish(events.PlanChanged(self.plan))
        if not self.plan.ready and not self.busy and (is_first or self.plan != before):
            self._publish(events.Settled(self.plan, self.plan.blocked))
        self._changed.set()
        self._changed = anyio.Event()

    # ------------------------------------------------------------------------------------------------ the steps

    def _begin(self, step: Step, steps: anyio.abc.TaskGroup) -> None:
        self.busy[step.id] = step
        self._publish(events.StepBegun(step))
        steps.start_soon(self._perform, step)

    async def _perform(self, step: Step) -> None:
        """One verb of the engine. However it ends, the resource stays busy until it was looked at."""
        have = self.actual.get(step.id)
        is_whole = have is None or have.whole
        began = anyio.current_time()
        log.info("%s %s: %s", step.id, step.verb, step.because)
        try:
            with self._given_up_if_unwanted(step) as scope:
                await step.apply(self.engine, lambda line: self._publish(events.StepSaid(step, line)))
        except Superseded:
            log.info("%s %s: it is no longer what was looked at", step.id, step.verb)
            self._attempts.superseded(step, self._clock())
        except EngineError as error:
            self._note_failure(step, str(error), began, terminal=isinstance(error, TerminalEngineError))
        except Exception as error:  # a fault of ours in one verb must not stop all others
            log.exception("%s %s", step.id, step.verb)
            self._note_failure(step, f"{type(error).__name__}: {error}", began, terminal=False)
        else:
            if not scope.cancelled_caught:
                self._attempts.succeeded(step, self._clock(), whole=is_whole)
                self._publish(events.StepEnded(step, anyio.current_time() - began))
        self._ended.add(step.id)
        self.wake()

    @contextmanager
    def _given_up_if_unwanted(self, step: Step) -> Iterator[anyio.CancelScope]:
        with anyio.CancelScope() as scope:
            if step.leave:
                self._leaving[step.id] = scope
            try:
                yield scope
            finally:
                self._leaving.pop(step.id, None)

    def _note_failure(self, step: Step, error: str, began: float, *, terminal: bool) -> None:
        log.warning("%s %s: %s", step.id, step.verb, error)
        self._attempts.failed(step, error, self._clock(), terminal=terminal)
        self._publish(events.StepFailed(step, error, terminal, anyio.current_time() - began))
