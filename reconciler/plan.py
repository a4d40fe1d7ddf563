"""The planner: given what is wanted, what there is, what is under way, what failed and what time it is, which single
steps are allowed right now, and what is everybody else waiting for?

Four rules, which know no kind:

1. Down is contagious. A resource goes down as far as the deepest of: GONE if it is not wanted, half-made, or stale beyond live
   change while everything its re-creation needs is there (make before break); its own depth; and the rigidity of each edge or
   hold whose target goes down, is gone, or is another incarnation than the one held.
2. Down waits for dependents that go down too or have a step in flight, along the edges it had when it was last wanted.
3. Up waits until every dependency is fresh and meets the condition of the edge that gates the step. An update comes first.
4. Claims exclude. A step that takes what only one can have waits until nobody else has it, or is just taking it; an update that
   would wait for one of ours, or for itself, first gives up what it no longer wants, so that two never wait for each other.

Pure, total and sorted. A plan is made anew at every look; everything about a resource is derived once.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from math import inf

from engine.types.configs import Config
from engine.types.infos import State
from reconciler import attempts as attempting
from reconciler import claims
from reconciler.attempts import Attempts
from reconciler.desired import DesiredState
from reconciler.kind import Kind, Things
from reconciler.kinds import catalogue
from reconciler.resource import (
    PATIENCE,
    SAME,
    Action,
    Blocked,
    Change,
    Claim,
    Depth,
    Difference,
    Edge,
    Gates,
    Hold,
    Observed,
    Plan,
    Resource,
    Step,
    Verb,
)

NOBODY = claims.Index()
NOT_DOWN = (Depth.STAY, "")


def plan(
    desired: DesiredState,
    things: Things,
    *,
    busy: Mapping[str, Step] | None = None,
    attempts: Attempts | None = None,
    now: float = 0.0,
    elsewhere: claims.Index = NOBODY,
) -> Plan:
    """`busy`: the steps in flight, by id; `elsewhere`: the claims had outside of this project."""
    return Planner(desired, things, busy or {}, attempts or {}, now, elsewhere).plan()


class Planner:
    """One look, and everything that follows from it."""

    def __init__(
        self,
        desired: DesiredState,
        things: Things,
        busy: Mapping[str, Step],
        attempts: Attempts,
        now: float,
        elsewhere: claims.Index,
    ) -> None:
        self.desired, self.things, self.busy = desired, things, busy
        self.attempts, self.now, self.elsewhere = attempts, now, elsewhere
        self._ids = sorted(desired.wanted.keys() | things.keys())
        self._differences: dict[str, Difference] = {}
        self._leaning: dict[str, dict[str, Depth]] = defaultdict(dict)  # id -> who leans on it, down to which depth
        self._having = claims.Index()
        self._index_leaning()
        self._index_claims()
        self._fates: dict[str, tuple[Depth, str]] = {}  # id -> how far down, and why
        for resource_id in self._targets_first():
            self._fates[resource_id] = self._fate_of(resource_id)

    def _index_leaning(self) -> None:
        """What a thing needed to be made it needs until it is gone; what it needed to start, until it has stopped."""
        for resource_id in self._ids:
            for edge in self.edges(resource_id):
                if edge.gates is not Gates.CREATE and self._is_turned_round(resource_id, edge.to):
                    continue
                self._note_leaning(resource_id, edge.to, Depth.GONE if edge.gates is Gates.CREATE else Depth.STOP)
        for resource_id, have in self.things.items():
            for hold in have.holds:
                self._note_leaning(resource_id, hold.to, Depth.STOP if hold.rigid is Depth.STOP else Depth.GONE)

    def _is_turned_round(self, resource_id: str, to: str) -> bool:
        """What it needs from now on still runs by what will need it in its turn: the order that is goes before the one to be, or
        they would wait for each other."""
        have = self.things.get(to)
        return have is not None and any(hold.run and self._is_reached(resource_id, hold.to) for hold in have.holds)

    def _is_reached(self, resource_id: str, start: str) -> bool:
        """Whether `start` leans on it, perhaps by way of others."""
        seen, more = set[str](), [start]
        while more:
            if (at := more.pop()) == resource_id:
                return True
            if at not in seen:
                seen.add(at)
                more += self._leans_on(at)
        return False

    def _note_leaning(self, resource_id: str, on: str, until: Depth) -> None:
        leaning = self._leaning[on]
        leaning[resource_id] = max(until, leaning.get(resource_id, until))

    def _index_claims(self) -> None:
        for resource_id, have in self.things.items():
            for claim in kind_of(resource_id).claims(have.config):
                if claim.gates is Gates.CREATE or have.runs:
                    self._having.add(claim, resource_id)
        for step in self.busy.values():
            for claim in step.takes:
                self._having.add(claim, step.id)

    def plan(self) -> Plan:
        verdicts = [verdict for resource_id in self._ids if (verdict := self.judge(resource_id))]
        blocked = tuple(verdict for verdict in verdicts if isinstance(verdict, Blocked))
        changes = tuple(change for resource_id in self._ids if (change := self.change(resource_id)))
        differing = {change.id for change in changes} | {each.id for each in blocked}
        return Plan(
            changes,
            sum(resource_id in self.things and resource_id not in differing for resource_id in self.desired.wanted),
            tuple(verdict for verdict in verdicts if isinstance(verdict, Step)),
            blocked,
            min((verdict.until for verdict in blocked), default=inf),
        )

    # ------------------------------------------------------------------------------------------------- derived once

    def edges(self, resource_id: str) -> tuple[Edge, ...]:
        """What it wants, or wanted last."""
        want = self.desired.wanted.get(resource_id)
        return want.edges if want else self.desired.leaving.get(resource_id, ())

    def difference(self, resource_id: str) -> Difference:
        """Of something wanted that exists."""
        if resource_id not in self._differences:
            want, have = self.desired.wanted[resource_id], self.things[resource_id]
            self._differences[resource_id] = (
                SAME if want.external else kind_of(resource_id).compare(want, have, self.things)
            )
        return self._differences[resource_id]

    def fate(self, resource_id: str) -> Depth:
        return self._fates.get(resource_id, NOT_DOWN)[0]

    def is_fresh(self, resource_id: str) -> bool:
        """Observed, wanted, whole, not going down, no difference pending, not busy."""
        want, have = self.desired.wanted.get(resource_id), self.things.get(resource_id)
        return (
            want is not None
            and have is not None
            and have.whole
            and resource_id not in self.busy
            and want.depth < Depth.GONE
            and not self.fate(resource_id)
            and not self.difference(resource_id)
        )

    # ----------------------------------------------------------------------------- rule 1: what goes down, how far, why

    def _targets_first(self) -> list[str]:
        """Ids such that what a thing leans on comes before it. Without recursion: chains may be long."""
        order: list[str] = []
        seen: set[str] = set()
        for root in self._ids:
            stack = [(root, False)]
            while stack:
                resource_id, is_done = stack.pop()
                if is_done:
                    order.append(resource_id)
                elif resource_id not in seen:
                    seen.add(resource_id)
                    stack.append((resource_id, True))
                    stack.extend((to, False) for to in self._leans_on(resource_id) if to not in seen)
        return order

    def _leans_on(self, resource_id: str) -> list[str]:
        have = self.things.get(resource_id)
        held = [hold.to for hold in have.holds] if have else []
        return [*(edge.to for edge in self.edges(resource_id)), *held]

    def _fate_of(self, resource_id: str) -> tuple[Depth, str]:
        have = self.things.get(resource_id)
        want = self.desired.wanted.get(resource_id)
        if have is None or (want and want.external):
            return NOT_DOWN
        depth, why = max(self._own_fate(have, want), self._dragged(have), key=lambda fate: fate[0])
        return (depth, why) if depth and kind_of(resource_id).step_down(have, depth) else NOT_DOWN

    def _own_fate(self, have: Observed, want: Resource | None) -> tuple[Depth, str]:
        if want is None:
            return Depth.GONE, "no longer declared"
        if want.depth >= Depth.GONE:
            return want.depth, "no longer declared, and leaves first" if want.leave else "its removal was asked for"
        if not have.whole and have.id not in self.busy:
            return Depth.GONE, "is half-made or damaged"
        if (difference := self.difference(have.id)).replace and not self._missing(want):
            return Depth.GONE, ", ".join(difference.replace)
        return want.depth, "is to be stopped" if want.depth else ""

    def _missing(self, want: Resource) -> dict[str, str]:
        """What making it anew needs and has not, with the words for it; what goes down itself does not count: it may wait
        for us."""
        gates = (edge.to for edge in want.edges if edge.gates is Gates.CREATE)
        missing = {to: f"needs {to}" for to in gates if not self.fate(to) and not self.is_fresh(to)}
        for claim in kind_of(want.id).claims(want.config):
            missing |= {who: f"needs {claim}, which {who} has" for who in sorted(self.elsewhere.meeting(claim))}
        return missing

    def _dragged(self, have: Observed) -> tuple[Depth, str]:
        deepest = NOT_DOWN
        for hold in have.holds:
            if hold.rigid > deepest[0] and (why := self._lost(hold) or self._goes_down(hold.to)):
                deepest = hold.rigid, why
        for edge in self.edges(have.id):
            if edge.rigid > deepest[0] and (why := self._goes_down(edge.to)):
                deepest = edge.rigid, why
        return deepest

    def _lost(self, hold: Hold) -> str:
        now = self.things.get(hold.to)
        if now is None:
            return f"{hold.to} is gone"
        if now.uid != hold.uid:
            return f"{hold.to} was made again"
        return f"{hold.to} was started again" if hold.run and now.run and now.run != hold.run else ""

    def _goes_down(self, resource_id: str) -> str:
        depth = self.fate(resource_id)
        if not depth:
            return ""
        if depth is Depth.STOP:
            return f"{resource_id} stops"
        return f"{resource_id} is replaced" if resource_id in self.desired.wanted else f"{resource_id} is removed"

    # ------------------------------------------------------------------------------------- rules 2 and 3: what may move

    def judge(self, resource_id: str) -> Step | Blocked | None:
        """Its next step, if it may be done now; else what it waits for; None: nothing to do."""
        if resource_id in self.busy:
            return None
        want, have = self.desired.wanted.get(resource_id), self.things.get(resource_id)
        if self.fate(resource_id):
            assert have is not None
            return self._down(have)
        return None if want is None or want.depth >= Depth.GONE else self._up(want, have)

    def _down(self, have: Observed) -> Step | Blocked:
        depth, why = self._fates[have.id]
        step = kind_of(have.id).step_down(have, depth)
        assert step is not None
        leaning = self._leaning[have.id].items()
        holders = tuple(sorted(other for other, until in leaning if self._is_in_the_way(other, until)))
        if holders:
            return Blocked(have.id, step.verb, holders, f"{', '.join(holders)}: first down, or busy")
        want = self.desired.wanted.get(have.id)
        leave = want.leave if want and step.verb is Verb.STOP else None
        return self._allowed(replace(step, because=why, leave=leave))

    def _is_in_the_way(self, resource_id: str, until: Depth) -> bool:
        """Whether it goes down, or does something, and is not yet so far down."""
        have, step = self.things.get(resource_id), self.busy.get(resource_id)
        if step is None and not self.fate(resource_id):
            return False
        has_stopped = have is not None and not have.runs and (step is None or step.verb is Verb.REMOVE)
        return until is Depth.GONE or not has_stopped

    def _up(self, want: Resource, have: Observed | None) -> Step | Blocked | None:
        if have is not None and want.external:
            return None
        difference = self.difference(want.id) if have else SAME
        step = kind_of(want.id).step_up(want, have, self.now)
        if difference.replace and not (have and have.state is State.EXITED and isinstance(step, Step)):
            return self._unreplaced(want, difference)
        if have and have.whole and difference.live and not difference.replace:
            return self._update(want, have, difference)
        if not isinstance(step, Step):
            return step
        if waits := self._waits(want, step):
            return waits
        return self._claiming(step, have.config if have and have.whole else want.config)

    def _update(self, want: Resource, have: Observed, difference: Difference) -> Step | Blocked:
        gates = (Gates.START,) if have.runs else ()
        step = Step(want.id, Verb.UPDATE, ", ".join(difference.live), have.uid, want.config, gates=gates)
        return self._claiming(step, want.config, first=kind_of(want.id).release(want, have))

    def _unreplaced(self, want: Resource, difference: Difference) -> Blocked:
        reasons = ", ".join(difference.replace)
        if missing := self._missing(want):
            why = f"{reasons}; the new one {' and '.join(missing.values())}"
            return Blocked(want.id, "replace", tuple(missing), why)
        return Blocked(want.id, "replace", why=f"{reasons}; it is never replaced by itself, for its data's sake")

    def _waits(self, want: Resource, step: Step) -> Blocked | None:
        unmet = [
            (edge.to, *reason) for edge in want.edges if edge.gates in step.gates and (reason := self._unmet(edge))
        ]
        if not unmet:
            return None
        why = "; ".join(f"{to} {reason}" for to, reason, _ in unmet)
        return Blocked(want.id, step.verb, tuple(to for to, _, _ in unmet), why, hope=any(hope for _, _, hope in unmet))

    def _unmet(self, edge: Edge) -> tuple[str, bool] | None:
        """Why the edge holds back, and whether that may end by itself."""
        if not self.is_fresh(edge.to):
            return None if not edge.required and self._is_hopeless(edge.to) else (self._why_not_fresh(edge.to), False)
        met = kind_of(edge.to).meets(self.things[edge.to], edge.needs)
        if met.met or (not edge.required and not met.hope):
            return None
        return met.why, met.hope

    def _why_not_fresh(self, resource_id: str) -> str:
        if resource_id not in self.desired.wanted:
            return "is not declared"
        if resource_id not in self.things:
            return "is not there yet"
        return "is not ready"

    def _is_hopeless(self, resource_id: str) -> bool:
        tried = [self.attempts.get((resource_id, verb)) for verb in Verb]
        return resource_id not in self.desired.wanted or any(
            t and t.error and (t.terminal or t.count >= PATIENCE) for t in tried
        )

    def _allowed(self, step: Step) -> Step | Blocked:
        tried = self.attempts.get((step.id, step.verb))
        if tried is None or not attempting.is_held(tried, step, self.now):
            return step
        hope = tried.count < PATIENCE and not tried.terminal
        return Blocked(
            step.id, step.verb, why=tried.error or "it was done, and did not last", until=tried.retry_at, hope=hope
        )

    # ------------------------------------------------------------------------------- rule 4: what only one can have

    def _claiming(self, step: Step, config: Config, *, first: Step | None = None) -> Step | Blocked:
        """`first`: the step that gives up what is wanted no longer, if there is such."""
        takes = tuple(claim for claim in kind_of(step.id).claims(config) if claim.gates in step.gates)
        ours = {claim: others for claim in takes if (others := self._others(step.id, claim))}
        if first and (ours or self._is_in_its_own_way(step, takes)):
            return self._allowed(replace(first, because=step.because))
        had = {claim: sorted(ours.get(claim, set()) | self._theirs(claim)) for claim in takes}
        why = "; ".join(f"{claim} is had by {', '.join(who)}" for claim, who in had.items() if who)
        if not why:
            return self._allowed(replace(step, takes=takes))
        return Blocked(step.id, step.verb, tuple(sorted({who for whose in had.values() for who in whose})), why)

    def _is_in_its_own_way(self, step: Step, takes: tuple[Claim, ...]) -> bool:
        """Whether what it gives up meets what it takes: a port of one address, of which it has had that of all."""
        had = kind_of(step.id).claims(self.things[step.id].config)
        gone = [claim for claim in had if claim.gates in step.gates and claim not in takes]
        return any(claims.meet(claim, other) for claim in takes for other in gone)

    def _others(self, resource_id: str, claim: Claim) -> set[str]:
        others = self._having.meeting(claim) - {resource_id}
        return {other for other in others if other not in self.desired.wanted} if claim.shared else others

    def _theirs(self, claim: Claim) -> set[str]:
        return set() if claim.shared else self.elsewhere.meeting(claim)

    # --------------------------------------------------------------------------------------------------- for humans

    def change(self, resource_id: str) -> Change | None:
        """How it differs from what is wanted; None: not at all."""
        want, have = self.desired.wanted.get(resource_id), self.things.get(resource_id)
        depth, why = self._fates.get(resource_id, NOT_DOWN)
        if have is None:
            if want and not want.external and want.depth < Depth.GONE:
                return Change(resource_id, Action.CREATE, ("is not there", *takes(want)))
            return None
        if want is None or want.depth >= Depth.GONE:
            return Change(resource_id, Action.REMOVE, (why,)) if depth else None
        if want.external:
            return None
        difference = self.difference(resource_id)
        if depth is Depth.GONE or (difference.replace and self._missing(want)):
            return Change(resource_id, Action.REPLACE, tuple(difference.replace) or (why,))
        reasons = [*(f"{words}, live" for words in difference.live), *self._movement(want, have)]
        return Change(resource_id, Action.UPDATE, tuple(reasons)) if reasons else None

    def _movement(self, want: Resource, have: Observed) -> list[str]:
        """Stops and starts of what stays."""
        if depth := self.fate(want.id):
            why = self._fates[want.id][1]
            return [f"restarts: {why}" if depth is Depth.STOP and not want.depth and have.runs else f"stops: {why}"]
        step = kind_of(want.id).step_up(want, have, self.now) if not self.difference(want.id).replace else None
        verb = {Verb.CREATE: "is finished", Verb.START: "starts"}.get(step.verb) if isinstance(step, Step) else None
        return [f"{verb}: {step.because}"] if verb and isinstance(step, Step) else []


def kind_of(resource_id: str) -> Kind:
    return catalogue.kind_of(resource_id)


def takes(want: Resource) -> tuple[str, ...]:
    """What of others' it will have once it runs, in words: host ports, which we may have chosen."""
    claimed = [claim for claim in kind_of(want.id).claims(want.config) if claim.gates is Gates.START]
    shown = (
        claim.space if claim.value == claims.EVERY_ADDRESS else str(claim) for claim in claimed if not claim.shared
    )
    return tuple(f"takes {claim}" for claim in shown)
