"""`x-corral.memory: guaranteed`: what all containers that are to run may take must be there. Pure.

Counted is the memory limit of each container that is wanted to run; a stopped service takes nothing, and a step of `pre_start`
comes before what it is a step of. Limits of swap do not count: who swaps is not what was guaranteed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.types.configs import ContainerConfig
from reconciler.desired import DesiredState
from reconciler.errors import Conflict
from reconciler.resource import Depth
from specs.canonical import memory
from specs.model.project import Project

MIB = 1 << 20
RESERVE_LEAST_BYTES = 256 * MIB
RESERVE_PARTS = 20
"""A twentieth of the machine, and this at least, is for its kernel and its other programs, and for corral itself."""
NAMED_MOST = 3


@dataclass(frozen=True, slots=True)
class Need:
    """What the containers of one service take, each at most `bytes_each` (the largest, where they differ)."""

    service: str
    count: int
    bytes_each: int
    total_bytes: int

    def __str__(self) -> str:
        words = f"{mib(self.bytes_each)}" if self.count == 1 else f"{self.count} x {mib(self.bytes_each)}"
        return f"{self.service} ({words})"


def mib(size_bytes: int) -> str:
    """Rounded up: what is said to fit does."""
    return f"{-(-size_bytes // MIB)} MiB"


def reserve_bytes(machine_bytes: int) -> int:
    return max(RESERVE_LEAST_BYTES, machine_bytes // RESERVE_PARTS)


def needs(desired: DesiredState) -> tuple[Need, ...]:
    """Of each service with containers that are to run, the largest first."""
    limits: dict[str, list[int]] = {}
    for want in desired.wanted.values():
        config = want.config
        if isinstance(config, ContainerConfig) and config.number and want.depth is Depth.STAY:
            limits.setdefault(config.service, []).append(config.limits.memory_bytes or 0)
    found = (Need(service, len(each), max(each), sum(each)) for service, each in limits.items())
    return tuple(sorted(found, key=lambda need: (-need.total_bytes, need.service)))


def total_bytes(desired: DesiredState) -> int:
    return sum(need.total_bytes for need in needs(desired))


def is_guaranteed(canonical: Mapping[str, object]) -> bool:
    said = canonical.get("x-corral")
    return isinstance(said, Mapping) and said.get("memory") == memory.GUARANTEED


def refuse(project: Project, desired: DesiredState, machine_bytes: int, others: Iterable[tuple[str, int]]) -> None:
    """Raises Conflict where memory is to be guaranteed and is not there. `machine_bytes`: what all containers together can have
    at most; `others`: (project, bytes) pairs, of those to whom it is guaranteed already."""
    if not project.x_corral.memory:
        return
    room, mine, theirs = machine_bytes - reserve_bytes(machine_bytes), needs(desired), sorted(others)
    free = room - sum(size for _, size in theirs)
    asked = sum(need.total_bytes for need in mine)
    if asked <= free:
        return
    words = f"the limits of what would run add up to {mib(asked)}, and this machine can hold {room // MIB} MiB"
    words += f" ({machine_bytes // MIB} MiB less {mib(reserve_bytes(machine_bytes))} for itself)"
    for name, size in theirs:
        words += f", of which project {name} has {mib(size)}"
    raise Conflict(words, memory.PATH, hint=_way_out(mine, asked - free, theirs))


def _way_out(mine: Iterable[Need], missing_bytes: int, theirs: Iterable[tuple[str, int]]) -> str:
    largest = [*mine][:NAMED_MOST]
    hint = f"{mib(missing_bytes)} too much: shrink {' or '.join(map(str, largest))}"
    for need in largest:
        fewer = need.count - -(-missing_bytes // max(1, need.bytes_each))
        if need.count > 1 and fewer >= 1:
            hint += f", or --scale {need.service}={fewer}"
            break
    down = [f"corral -p {name} down" for name, _ in theirs]
    return ", or ".join([hint, *down])
