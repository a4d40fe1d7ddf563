"""What the loop tells about its work, for progress and logs. Values; who gets them must not block."""

from dataclasses import dataclass

from reconciler.resource import Blocked, Plan, Step


@dataclass(frozen=True, slots=True)
class StepBegun:
    step: Step


@dataclass(frozen=True, slots=True)
class StepSaid:
    """How far a step is that takes long, in words of the user's own command."""

    step: Step
    line: str


@dataclass(frozen=True, slots=True)
class StepEnded:
    """The step went well; `took_s` seconds."""

    step: Step
    took_s: float


@dataclass(frozen=True, slots=True)
class StepFailed:
    """`terminal`: trying again with the same Config cannot help."""

    step: Step
    error: str
    terminal: bool
    took_s: float


@dataclass(frozen=True, slots=True)
class PlanChanged:
    """What differs, or what is waited for, is not what it was at the last plan."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing is ready or under way any more. `blocked`: what is not as declared, and why."""

    plan: Plan
    blocked: tuple[Blocked, ...]


@dataclass(frozen=True, slots=True)
class LookFailed:
    """The engine could not be looked at; the loop tries again."""

    error: str


Event = StepBegun | StepSaid | StepEnded | StepFailed | PlanChanged | Settled | LookFailed
