"""A forecast as text for people, and as data for programs. Names only what would change, and counts the rest."""

from typing import Any

from reconciler.forecast import Forecast
from reconciler.resource import Action, Blocked, Change, Step

SIGNS = {Action.CREATE: "+", Action.UPDATE: "~", Action.REPLACE: "±", Action.REMOVE: "-", Action.KEEP: " "}


def text(forecast: Forecast) -> str:
    """One line a change, sorted by id; then what will stay blocked; then the count of what is as declared."""
    width = max((len(change.id) for change in forecast.changes), default=0)
    lines = [_line(change, width) for change in forecast.changes]
    lines += [f"! {blocked.id}  cannot {blocked.verb}: {blocked.why}" for blocked in forecast.blocked]
    lines.append(counted(forecast))
    return "\n".join(lines)


def _line(change: Change, width: int) -> str:
    reasons = ", ".join(change.reasons[1:] if change.action is Action.CREATE else change.reasons)
    return f"{SIGNS[change.action]} {change.id:<{width}}  {change.action:<7}  {reasons}".rstrip()


def counted(forecast: Forecast) -> str:
    if forecast.kept == 1:
        return "1 resource is as declared"
    return f"{forecast.kept} resources are as declared"


def steps_text(steps: tuple[Step, ...]) -> str:
    """One line a step, in the order of doing."""
    width = max((len(step.id) for step in steps), default=0)
    return "\n".join(f"{step.id:<{width}}  {step.verb:<7}  {step.because}".rstrip() for step in steps)


def json(forecast: Forecast) -> dict[str, Any]:
    """JSON-able: `changes`, `steps`, `blocked`, `kept`."""
    return {
        "changes": [{"id": c.id, "action": str(c.action), "reasons": list(c.reasons)} for c in forecast.changes],
        "steps": [{"id": step.id, "verb": str(step.verb), "because": step.because} for step in forecast.steps],
        "blocked": [blocked_json(blocked) for blocked in forecast.blocked],
        "kept": forecast.kept,
    }


def blocked_json(blocked: Blocked) -> dict[str, Any]:
    return {
        "id": blocked.id,
        "verb": str(blocked.verb),
        "by": list(blocked.by),
        "why": blocked.why,
        "hope": blocked.hope,
    }
