"""When a container that exited may start again: by its own restart policy, after a back-off that counts hasty exits
only."""

from dataclasses import dataclass
from math import inf

from engine.types.infos import ContainerInfo, State
from engine.types.parts import Of, Restart, RestartPolicy
from reconciler import attempts


@dataclass(frozen=True, slots=True)
class Verdict:
    """`at`: seconds since the epoch, inf: never. `why`: in words, for both."""

    at: float
    why: str


def exit_of(info: ContainerInfo) -> str:
    """How it ended, in words."""
    how = "exited, nobody knows how" if info.code is None else f"exited {info.code}"
    if info.lost:
        how = "ended with its pid namespace" if isinstance(info.config.namespaces.pid, Of) else "ended with its sandbox"
    if info.oom:
        how += ", out of memory"
    return f"{how}: {info.error}" if info.error else how


def policy_of(policy: RestartPolicy) -> str:
    """As the user writes it."""
    name = policy.name if policy.max_attempts is None else f"{policy.name}:{policy.max_attempts}"
    delay = f", delay {policy.delay_s:g}s" if policy.delay_s else ""
    return name + delay + (f", window {policy.window_s:g}s" if policy.window_s else "")


def lived_s(info: ContainerInfo) -> float:
    return max(info.ended_at - info.started_at, 0.0)


def verdict(info: ContainerInfo, now: float) -> Verdict:
    """Of a container that exited. A lost one starts at once, whatever its policy: it did not end by itself."""
    assert info.state is State.EXITED
    policy, how = info.config.restart, exit_of(info)
    if info.lost:
        return Verdict(0.0, how)
    if policy.name is Restart.NO or (policy.name is Restart.ON_FAILURE and info.code == 0):
        return Verdict(inf, f"{how}, restart: {policy_of(policy)}")
    if policy.is_used_up(info.attempts, lived_s(info)):
        return Verdict(inf, f"{how}, restart: {policy_of(policy)} is used up")
    times = f", {info.hasty} times in a row" if info.hasty > 1 else ""
    ended_at = info.ended_at if info.ended_at <= now + 1.0 else 0.0  # the clock was set back: do not wait for it
    wait_s = policy.delay_s or attempts.backoff(info.hasty)
    return Verdict(ended_at + wait_s, f"{how}{times}, restart: {policy_of(policy)}")
