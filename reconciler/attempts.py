"""What was tried: how long to wait before the same is tried again, and what forgives.

An attempt is kept per (resource, verb) and is valid for one Config of one incarnation: an edit forgives. So do a
new `up`, and the planned removal of a whole thing. A success counts too until it has lasted (else what dies after
each success would be made, and a drift that no update mends would be mended, in a tight circle); only a start does
not, exits have a back-off of their own. Only the loop changes the table; the planner reads it."""

from collections.abc import Mapping

from reconciler.resource import RESTFUL_LIFE_S, Attempt, Step, Verb

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 60.0
SUPERSEDED_FREE = 3
"""So many times in a row a verb may find that its target has changed; then it waits like a failure."""

Attempts = Mapping[tuple[str, str], Attempt]


def backoff(count: int) -> float:
    """Seconds to wait after `count` failures in a row: none, 0.1, 0.2, 0.4 … at most 60."""
    return 0.0 if count < 1 else min(FIRST_WAIT_S * 2 ** min(count - 1, 16), LONGEST_WAIT_S)


class Table:
    """The attempts of one project, as the loop notes them."""

    def __init__(self) -> None:
        self._attempts: dict[tuple[str, str], Attempt] = {}
        self._superseded: dict[tuple[str, str], int] = {}

    @property
    def attempts(self) -> Attempts:
        return self._attempts

    def forgive(self) -> None:
        """A new `up` tries everything at once."""
        self._attempts.clear()
        self._superseded.clear()

    def failed(self, step: Step, error: str, now: float, *, terminal: bool = False) -> None:
        """`terminal`: only an edit helps, so it is retried slowly, in case the world changes."""
        self._note(step, now, error, terminal=terminal)

    def superseded(self, step: Step, now: float) -> None:
        """Nothing was done. No failure, unless it comes again and again."""
        key = step.id, step.verb
        self._superseded[key] = self._superseded.get(key, 0) + 1
        if self._superseded[key] > SUPERSEDED_FREE:
            self.failed(step, "it is no longer what was looked at", now)

    def succeeded(self, step: Step, now: float, *, whole: bool) -> None:
        """`whole`: what the step was done to was whole before (a half-made thing taken down forgives nothing)."""
        self._superseded.pop((step.id, step.verb), None)
        if step.verb is Verb.START:
            self._attempts.pop((step.id, step.verb), None)
        else:
            self._note(step, now)
        if step.verb is Verb.REMOVE and whole:
            self._attempts.pop((step.id, Verb.CREATE), None)

    def _note(self, step: Step, now: float, error: str = "", *, terminal: bool = False) -> None:
        tried = self._attempts.get((step.id, step.verb))
        again = tried is not None and is_of(tried, step) and now - tried.retry_at < RESTFUL_LIFE_S
        count = tried.count + 1 if tried and again else 1
        retry_at = now + (LONGEST_WAIT_S if terminal else backoff(count))
        self._attempts[step.id, step.verb] = Attempt(count, step.config, step.uid, now, retry_at, error, terminal)


def is_of(tried: Attempt, step: Step) -> bool:
    """Whether it was the same that was tried."""
    return tried.uid == step.uid and tried.config == step.config


def is_held(tried: Attempt, step: Step, now: float) -> bool:
    """Whether `tried` keeps `step` waiting. A clock that was set back forgives."""
    return tried.ended - 1.0 <= now < tried.retry_at and is_of(tried, step)
