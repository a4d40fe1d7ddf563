"""Budgets of real-time CPU time: what SCHED_FIFO and SCHED_RR may use of each period, which cgroup v1 alone knows.

A new cgroup has none, and none of its processes can be real-time then. What the children of one have may not be more than what it
has itself, all along the way down: so room is made from the outermost cgroup of ours inwards, and given back from the innermost
outwards. https://docs.kernel.org/scheduler/sched-rt-group.html
"""

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from engine.cgroups import setting
from engine.cgroups.layout import Layout
from engine.errors import TerminalEngineError
from engine.types.parts import Limits

PERIOD_US = 1_000_000  # linux kernel/sched/rt.c, sysctl_sched_rt_period: that of a new cgroup
RUNTIME, PERIOD = "cpu.rt_runtime_us", "cpu.rt_period_us"


def is_asked(limits: Limits) -> bool:
    return bool(limits.rt_runtime_us or limits.rt_period_us)


def refusal(layout: Layout) -> str:
    """Why this machine hands out no such budgets, "" if it does."""
    root = layout.v1_of("cpu")
    if not root:
        return "only cgroup v1 has budgets of real-time CPU time, and the cpu controller of this machine is not on it"
    if not os.path.exists(os.path.join(root, RUNTIME)):
        return f"this kernel has no budgets of real-time CPU time (CONFIG_RT_GROUP_SCHED): there is no {root}/{RUNTIME}"
    return ""


def is_runtime_first(directory: str, limits: Limits) -> bool:
    """Which of both can be written first: a shorter period comes after what fits in it, a longer one before."""
    try:
        return (limits.rt_period_us or PERIOD_US) < int(setting.read(os.path.join(directory, PERIOD)))
    except FileNotFoundError:
        return False


@dataclass(frozen=True, slots=True)
class Budgets:
    """Of the cgroups in the hierarchy at `root`, "" where there is none. Those with less than `depth` names above them are ours
    alone; to the others the user may have given their budget."""

    root: str
    depth: int

    def make_room(self, path: str, limits: Limits) -> None:
        """Let this cgroup be given the budget. Raises TerminalEngineError where there is no room for it: nothing has changed."""
        if not is_asked(limits):
            return
        raised: list[tuple[str, Fraction]] = []
        for directory, needed in reversed(self._too_small(path, limits)):
            before = share_of(directory)
            try:
                _give(directory, needed)
            except OSError as error:
                for each, had in reversed(raised):
                    _give(each, had)
                above = os.path.dirname(directory)
                raise TerminalEngineError(
                    f"cannot set rt_runtime_us to {limits.rt_runtime_us}: {directory} needs {_percent(needed)} of a CPU for it, "
                    f"and {above} has no more than {_percent(share_of(above))} to hand out ({error.strerror})"
                ) from error
            raised.append((directory, before))

    def _too_small(self, path: str, limits: Limits) -> list[tuple[str, Fraction]]:
        """What it is in that has too little, the innermost first, and how much each needs."""
        found: list[tuple[str, Fraction]] = []
        share = Fraction(limits.rt_runtime_us or 0, limits.rt_period_us or PERIOD_US)
        for directory in self._above(path):
            share += _of_children(directory, but=os.path.basename(found[-1][0] if found else path))
            if share <= share_of(directory):
                break
            found.append((directory, share))
        return found

    def has(self, path: str) -> bool:
        return bool(self.root and share_of(os.path.join(self.root, path)))

    def give_up(self, path: str) -> bool:
        """Take the budget from a cgroup without processes, and all below it, as far as the kernel lets us: one that is removed
        counts until the kernel has forgotten it. False: it has none."""
        if not self.has(path):
            return False
        for inner, _, _ in os.walk(os.path.join(self.root, path), topdown=False):
            with contextlib.suppress(OSError):
                setting.write(os.path.join(inner, RUNTIME), "0")
        return True

    def give_back(self, path: str) -> None:
        """Take from what this cgroup is in, as far as it is ours, what nothing in there has any more."""
        ours = [each for each in self._above(path) if os.path.relpath(each, self.root).count("/") < self.depth]
        if self.root and ours and share_of(ours[-1]):
            for directory in ours:
                _fit(directory)

    def _above(self, path: str) -> Iterator[str]:
        """The directories that the cgroup is in, the innermost first, without the root, which is not ours."""
        while path := os.path.dirname(path):
            yield os.path.join(self.root, path)


def _fit(directory: str) -> None:
    with contextlib.suppress(OSError):  # it is gone, or in use in a way that we do not know of: it may keep what it has
        needed = _of_children(directory)
        if share_of(directory) > needed:
            _give(directory, needed)


def _of_children(directory: str, but: str = "") -> Fraction:
    try:
        with os.scandir(directory) as found:
            return sum((share_of(each.path) for each in found if each.is_dir() and each.name != but), Fraction(0))
    except OSError:
        return Fraction(0)


def share_of(directory: str) -> Fraction:
    """What it has of one CPU."""
    try:
        runtime, period = (int(setting.read(os.path.join(directory, file))) for file in (RUNTIME, PERIOD))
    except OSError:  # it is gone, or this kernel has none
        return Fraction(0)
    return Fraction(max(runtime, 0), period)


def _give(directory: str, share: Fraction) -> None:
    period = int(setting.read(os.path.join(directory, PERIOD)))
    setting.write(os.path.join(directory, RUNTIME), str(math.ceil(share * period)))


def _percent(share: Fraction) -> str:
    return f"{float(share):.1%}"
