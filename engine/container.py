"""One container: its last run, and the state that follows from it.

RUNNING while a shim says so; MADE where it never ran or where its end was planned; else EXITED. A run whose sandbox died without
an exit record is lost: nobody knows its code.
"""

from dataclasses import dataclass, field

import anyio

from engine.process import wire
from engine.records import store
from engine.types.configs import ContainerConfig
from engine.types.infos import State
from engine.types.parts import Limits, Restart

HASTY_S = 10.0


@dataclass(slots=True)
class Container:
    """One container as we know it. `process` while it runs; `exit` of the last run, None where nobody knows it."""

    record: store.ContainerRecord
    run: store.RunRecord | None = None
    process: wire.Process | None = None
    exit: wire.Exit | None = None
    lost_at: float = 0.0
    rebooted: bool = False
    error: str = ""
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    in_force: tuple[Limits, bool] | None = None
    in_force_at: float = 0.0

    @property
    def config(self) -> ContainerConfig:
        return self.record.config

    @property
    def is_running(self) -> bool:
        return self.process is not None

    @property
    def is_starting(self) -> bool:
        """Its run is written down, and not begun: who looks now must not take that for an end."""
        return bool(self.run) and not (self.process or self.exit or self.lost_at)

    @property
    def state(self) -> State:
        if self.process:
            return State.RUNNING
        if self.run is None or self.is_starting or (self.exit and self.exit.planned):
            return State.MADE
        return State.MADE if self.rebooted and self._comes_back() else State.EXITED

    def _comes_back(self) -> bool:
        """After a reboot its policy starts it, as Docker's daemon does: one that the reboot ended has failed, and so has one that
        nobody knows about."""
        assert self.run is not None
        policy = self.config.restart
        match policy.name:
            case Restart.ALWAYS | Restart.UNLESS_STOPPED:
                return True
            case Restart.ON_FAILURE:
                has_failed = self.exit is None or self.exit.code != 0
                return has_failed and not policy.is_used_up(self.run.attempts, self.lived_s)
            case Restart.NO:
                return False

    @property
    def ended_at(self) -> float:
        return self.exit.ended_at if self.exit else self.lost_at

    @property
    def lived_s(self) -> float:
        """How long its last run was, that has ended."""
        return max(self.ended_at - self.run.started_at, 0.0) if self.run else 0.0

    @property
    def next_attempt(self) -> int:
        """What its policy counts if it starts again now."""
        if self.run is None or self.state is not State.EXITED:
            return 0
        return self.config.restart.still_counting(self.run.attempts, self.lived_s) + (not self.is_lost)

    @property
    def hasty(self) -> int:
        """Exits in a row that came within HASTY_S of their start."""
        if self.run is None or self.state is State.MADE:
            return 0
        if self.process:
            return self.run.hasty
        is_hasty = self.ended_at - self.run.started_at < HASTY_S and self.exit and not self.is_lost
        return self.run.hasty + 1 if is_hasty else 0

    @property
    def is_lost(self) -> bool:
        """It did not end by itself."""
        if self.state is not State.EXITED or self.rebooted:
            return False
        return self.exit is None or bool(self.run and self.run.taken_along)
