"""What will come of a plan: the preview of everything it leads to, and how an `up` ends."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from math import inf

from engine.types.infos import State
from reconciler import claims, plan
from reconciler.desired import DesiredState
from reconciler.kind import Things
from reconciler.kinds import catalogue
from reconciler.resource import Action, Blocked, Change, Needs, Observed, Plan, Step, Verb


@dataclass(frozen=True, slots=True)
class Forecast:
    """`changes`: what differs, with reasons, sorted by id; `kept`: how many wanted resources are as declared;
    `steps`: all that will be done, in order; `blocked`: what will not be as declared even then."""

    changes: tuple[Change, ...]
    kept: int
    steps: tuple[Step, ...]
    blocked: tuple[Blocked, ...]


def preview(
    desired: DesiredState, things: Things, *, now: float = 0.0, elsewhere: claims.Index = plan.NOBODY
) -> Forecast:
    """What will be done if all goes well and every condition waited for comes true: the planner, on what it leads
    to. It cannot know how long things take, nor what ends by itself."""
    state = dict(things)
    steps: list[Step] = []
    changes: dict[str, Change] = {}
    for _ in range(20 * len(desired.wanted.keys() | state.keys()) + 100):
        look = plan.plan(desired, state, now=now, elsewhere=elsewhere)
        for change in look.changes:
            changes[change.id] = merged(changes.get(change.id), change)
        if look.ready:
            for step in look.ready:
                steps.append(step)
                perform(step, state, now, f"foretold-{len(steps)}")
            now += 0.001
        elif look.wake_at < inf:
            now = look.wake_at
        elif not hope_comes_true(desired, state, look, now):
            differing = changes.keys() | {blocked.id for blocked in look.blocked}
            kept = sum(resource_id in state and resource_id not in differing for resource_id in desired.wanted)
            removed = {step.id for step in steps if step.verb is Verb.REMOVE} | {blocked.id for blocked in look.blocked}
            told = tuple(as_it_goes(changes[resource_id], removed) for resource_id in sorted(changes))
            return Forecast(told, kept, tuple(steps), look.blocked)
    raise AssertionError(f"the preview does not end: {steps[-3:]}")


def perform(step: Step, state: dict[str, Observed], now: float, uid: str) -> None:
    """`step` went well."""
    after = catalogue.kind_of(step.id).predict(step, state.get(step.id), state, now, uid)
    if after is None:
        del state[step.id]
    else:
        state[step.id] = after


def hope_comes_true(desired: DesiredState, state: dict[str, Observed], look: Plan, now: float) -> bool:
    """Let every condition come that somebody waits for with hope. False: there is none."""
    hoped: dict[str, Needs] = {}
    for blocked in look.blocked if look.hope else ():
        want = desired.wanted.get(blocked.id)
        for edge in want.edges if want else ():
            if edge.to in blocked.by and edge.to in state:
                met = catalogue.kind_of(edge.to).meets(state[edge.to], edge.needs)
                if not met.met and met.hope:
                    hoped[edge.to] = edge.needs
    for resource_id, needs in hoped.items():
        state[resource_id] = catalogue.kind_of(resource_id).hoped(state[resource_id], needs, now)
    return bool(hoped)


def as_it_goes(change: Change, removed: Collection[str]) -> Change:
    """What is only stopped to be changed is not replaced. `removed`: what is removed, or stays as it is."""
    if change.action is not Action.REPLACE or change.id in removed:
        return change
    reasons = (f"restarts: {change.reasons[0]}", *change.reasons[1:]) if change.reasons else ("restarts",)
    return replace(change, action=Action.UPDATE, reasons=reasons)


SEVERITY = (Action.KEEP, Action.UPDATE, Action.CREATE, Action.REPLACE, Action.REMOVE)


def merged(before: Change | None, now: Change) -> Change:
    """The first reason is the real one; what is made again after a removal is still a replacement."""
    if before is None:
        return now
    if SEVERITY.index(now.action) > SEVERITY.index(before.action) and before.action is Action.UPDATE:
        return replace(now, reasons=tuple(dict.fromkeys((*now.reasons, *before.reasons))))
    return before


def outcome(
    look: Plan, desired: DesiredState, things: Things, busy: Mapping[str, Step], *, wait: bool = False
) -> int | None:
    """What `up` returns. 0: every wanted container has been started (with `wait`: is healthy, or completed); 1: it
    is stuck, and `look.blocked` says why; None: not over."""
    at_rest = {resource_id for resource_id, have in things.items() if have.state is State.EXITED}
    waits = [b for b in look.blocked if wait or b.id not in at_rest or b.verb != Verb.START]
    late = []
    for resource_id, want in desired.wanted.items():
        if (have := things.get(resource_id)) and not want.depth:
            known = catalogue.kind_of(resource_id)
            met = known.meets(have, Needs.HEALTHY if wait else Needs.STARTED)
            if not met.met and not known.meets(have, Needs.COMPLETED).met:
                late.append(met)
    if look.ready or busy or any(met.hope for met in late) or any(blocked.hope for blocked in waits):
        return None
    return int(bool(waits or late))


def attributed(forecast: Forecast, said: Mapping[str, Mapping[str, str]]) -> Forecast:
    """The same, where each reason that takes back what a command had said names it. `said`: by id, from the word that begins
    the reason ("": the whole change) to the command."""
    changes = []
    for change in forecast.changes:
        words = said.get(change.id, {})
        reasons = tuple(_attributed(reason, words) for reason in change.reasons)
        if "" in words:
            reasons = (*(reasons or (str(change.action),)), f"takes back {words['']}")
        changes.append(replace(change, reasons=reasons))
    return replace(forecast, changes=tuple(changes))


def _attributed(reason: str, said: Mapping[str, str]) -> str:
    command = said.get(reason.partition(" ")[0])
    return f"{reason} (set by {command})" if command else reason
