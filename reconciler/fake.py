"""An engine in memory, for tests and demonstrations: the kinds' own `predict`, and five cruelties.

Delay: a verb begins and ends (`delay_s`). Half-made: in between it shows; what is cancelled or fails may stay so.
Failure: `faults`. Vanish: `vanish`, `damage`, `drift`, `exit`, and `frail` things. Lag: what happens by itself is
seen late (`lag_s`), what a verb did at once. Everything that only one can have is refused a second time, as the
kernel would.

Time is the caller's `clock`. What is to happen later (`at`) happens when somebody listens to `changes`, or looks.
"""

import heapq
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from dataclasses import replace
from itertools import count
from types import MappingProxyType

import anyio

from engine.api import Command, Copying, Ended, Said, Updatable, nobody
from engine.errors import EngineError, Paused, Superseded, TerminalEngineError
from engine.types.configs import (
    Config,
    ContainerConfig,
    EndpointConfig,
    ImageConfig,
    NetworkConfig,
    SandboxConfig,
    VolumeConfig,
)
from engine.types.infos import (
    ContainerInfo,
    Damage,
    EndpointInfo,
    ImageInfo,
    Info,
    Joined,
    Look,
    MachineNames,
    NetworkInfo,
    ProcessInfo,
    SandboxInfo,
    State,
    Taken,
    Usage,
    VolumeInfo,
)
from engine.types.parts import Leave, Of, PortMap
from reconciler import claims
from reconciler.kinds import catalogue, container, endpoint, image, network, sandbox, volume
from reconciler.resource import RESTFUL_LIFE_S, Gates, Observed, Resource, Step, Verb

FIRST_PID = 1000
"""Of every container."""

Delay = Callable[[str, Verb], float]
"""Resource id and verb -> how many seconds it takes."""


def id_of(config: Config) -> str:
    """The resource that a Config is of, as its own project calls it."""
    match config:
        case ImageConfig():
            return image.id_of(config.reference)
        case VolumeConfig():
            return volume.id_of(config.key)
        case NetworkConfig():
            return network.id_of(config.key)
        case SandboxConfig():
            return sandbox.id_of(config.name)
        case EndpointConfig():
            return endpoint.id_of(config.sandbox, config.network_key)
        case ContainerConfig():
            return container.id_of(config.slot)


def project_of(config: Config) -> str:
    return "" if isinstance(config, ImageConfig) else config.project


class FakeEngine:
    """Implements engine.api.Engine. `health` is the table for the loop: container uid -> health.

    `starts` is called for each process that starts, with its info, to say what will become of it. `watches` is
    called when a verb begins (True) and has gone well (False), before it shows, for tests that watch over what must
    never happen."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        delay_s: Delay = lambda resource_id, verb: 0.0,
        lag_s: Callable[[], float] = lambda: 0.0,
        leaves_half: Callable[[str], bool] = lambda resource_id: True,
        look_s: float = 0.0,
    ) -> None:
        self.clock, self.delay_s, self.lag_s, self.leaves_half = clock, delay_s, lag_s, leaves_half
        self.look_s = look_s
        self.infos: dict[str, Info] = {}  # by uid: what there really is
        self.health: dict[str, str] = {}
        self.faults: dict[tuple[str, Verb], float] = {}  # how often it still fails
        self.terminal: set[tuple[str, Verb]] = set()
        self.frail: dict[str, float] = {}  # resource id -> how often it vanishes just after it was made
        self.strangers = Taken()
        self.damaged: tuple[Damage, ...] = ()
        self.named: tuple[Set[str], Set[str]] = (frozenset(), frozenset())  # on this machine; and not known
        self.machine_bytes = 64 << 30
        self.used: dict[str, Usage] = {}  # by uid: what `usage` says
        self.done: list[tuple[str, Verb]] = []
        self.doubled: list[str] = []  # what was refused because somebody else has it
        self.starts: Callable[[ContainerInfo], None] = lambda info: None
        self.watches: Callable[[Step, bool], None] = lambda step, begins: None
        self._numbers = count(1)
        self._late: dict[str, Info] = {}  # uid -> what is still seen of it
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._told: deque[str] = deque()
        self._stirred = anyio.Event()

    # ------------------------------------------------------------------------------------------------- reading

    def things(self, project: str, wanted: Mapping[str, Resource] = MappingProxyType({})) -> dict[str, Observed]:
        """What there really is of one project (and everybody's images), by the ids that it has beside what is wanted."""
        look = self._look_of(tuple(self.infos.values()), project)
        return {have.id: have for kind in catalogue.KINDS.values() for have in kind.observe(look, project, wanted)}

    async def look(self, project: str) -> Look:
        """As of when it begins: what changes meanwhile is not in it."""
        self._advance()
        seen = {**self.infos}
        seen.update(self._late)
        await anyio.sleep(self.look_s)
        concerning = tuple(each for each in self.damaged if project in each.projects)
        return replace(self._look_of(tuple(seen.values()), project), damage=concerning)

    def distrusted(self) -> tuple[Damage, ...]:
        return self.damaged

    @staticmethod
    def _look_of(infos: tuple[Info, ...], project: str) -> Look:
        mine = [info for info in infos if project_of(info.config) == project]
        return Look(
            tuple(info for info in infos if isinstance(info, ImageInfo)),
            tuple(info for info in infos if isinstance(info, VolumeInfo)),
            tuple(info for info in infos if isinstance(info, NetworkInfo)),
            tuple(info for info in mine if isinstance(info, SandboxInfo)),
            tuple(info for info in mine if isinstance(info, EndpointInfo)),
            tuple(info for info in mine if isinstance(info, ContainerInfo)),
        )

    async def taken(self, project: str) -> Taken:
        subnets, ports, names = list(self.strangers.subnets), list(self.strangers.ports), list(self.strangers.names)
        addresses, bridges = list(self.strangers.addresses), list(self.strangers.bridges)
        for info in self.infos.values():
            who = f"project {project_of(info.config)}"
            if project_of(info.config) == project:
                continue
            if isinstance(info, NetworkInfo):
                subnets.extend((subnet, who) for subnet in (info.config.subnet, info.config.subnet6) if subnet)
                bridges.extend((name, who) for name in (info.config.bridge,) if name)
            if isinstance(info, EndpointInfo):
                had = (each for each in (info.config.address, info.config.address6) if each)
                addresses.extend((info.config.network, each, f"{info.config.sandbox} of {who}") for each in had)
            if isinstance(info, ContainerInfo):
                names.append((info.config.name, who))
                held = info.config.ports if info.state is State.RUNNING else ()
                ports.extend((replace(port, container_port=0), who) for port in held)
        return Taken(tuple(subnets), tuple(ports), tuple(names), tuple(addresses), bridges=tuple(bridges))

    async def changes(self) -> AsyncIterator[str]:
        while True:
            self._stirred = anyio.Event()
            self._advance()
            while self._told:
                yield self._told.popleft()
            due = min((at for at, _, _ in self._events), default=None)
            with anyio.move_on_after(None if due is None else max(0.0, due - self.clock())):
                await self._stirred.wait()

    # --------------------------------------------------------------------------------- what happens by itself

    def at(self, delay_s: float, act: Callable[[], None]) -> None:
        """Let something happen later."""
        heapq.heappush(self._events, (self.clock() + delay_s, next(self._numbers), act))
        self._stirred.set()

    @property
    def is_stirring(self) -> bool:
        """Something will happen by itself."""
        return bool(self._events)

    def _advance(self) -> None:
        while self._events and self._events[0][0] <= self.clock():
            heapq.heappop(self._events)[2]()

    def changed_by_itself(self, uid: str, now: Info | None) -> None:
        """`uid` is now so (None: gone); it is seen after a while."""
        before = self.infos.get(uid)
        if before is None:
            return
        self._put(uid, now)
        self._late.setdefault(uid, before)
        self.at(self.lag_s(), lambda: self._notice(uid, project_of(before.config)))

    def _notice(self, uid: str, project: str) -> None:
        self._late.pop(uid, None)
        self._told.append(project)
        self._stirred.set()

    def _put(self, uid: str, info: Info | None) -> None:
        if info is None:
            self.infos.pop(uid, None)
        else:
            self.infos[uid] = info

    def vanish(self, uid: str) -> None:
        """It is gone. A sandbox takes its containers' processes with it."""
        gone = self.infos.get(uid)
        self.changed_by_itself(uid, None)
        for info in list(self.infos.values()) if isinstance(gone, SandboxInfo) else ():
            if isinstance(info, ContainerInfo) and info.sandbox_uid == uid and info.state is State.RUNNING:
                self.exit(info.uid, 137, lost=True)

    def damage(self, uid: str) -> None:
        if uid in self.infos:
            self.changed_by_itself(uid, replace(self.infos[uid], whole=False))

    def drift(self, uid: str, *what: str) -> None:
        info = self.infos.get(uid)
        if info is not None and not isinstance(info, ImageInfo | VolumeInfo):
            self.changed_by_itself(uid, replace(info, drift=what))

    def exit(self, uid: str, code: int, *, lost: bool = False, run: float | None = None) -> None:
        """Its process ends. `run`: only if it is still the one that started then."""
        info = self.infos.get(uid)
        if not isinstance(info, ContainerInfo) or info.state is not State.RUNNING or run not in (None, info.started_at):
            return
        is_hasty = self.clock() - info.started_at < RESTFUL_LIFE_S
        hasty = info.hasty if lost else info.hasty + 1 if is_hasty else 0
        ended = replace(info, state=State.EXITED, code=code, lost=lost, hasty=hasty, ended_at=self.clock())
        self.health.pop(uid, None)
        self._end_pid_namespace(info)
        self.changed_by_itself(uid, replace(ended, sandbox_uid="", pid=0, joined=()))

    def _end_pid_namespace(self, owner: ContainerInfo) -> None:
        """With its first process the kernel ends all others in it."""
        run = Joined(owner.config.slot, owner.uid, owner.started_at)
        for info in list(self.infos.values()):
            if isinstance(info, ContainerInfo) and run in info.joined and info.config.namespaces.pid == Of(run.slot):
                self.exit(info.uid, 137, lost=True)

    def probe(self, uid: str, health: str, *, run: float | None = None) -> None:
        """Its health is now so."""
        info = self.infos.get(uid)
        if isinstance(info, ContainerInfo) and info.state is State.RUNNING and run in (None, info.started_at):
            self.health[uid] = health
            self._told.append(info.config.project)
            self._stirred.set()

    # ------------------------------------------------------------------------------------------------- verbs

    async def create(self, config: Config) -> None:
        step = Step(id_of(config), Verb.CREATE, config=config)
        have = next((info for info in self.infos.values() if self._is_the_same(info.config, config)), None)
        if have is not None and have.whole:
            if have.config != config:
                raise EngineError(f"cannot create {step.id}: there is another one")
            return
        uid = have.uid if have else f"{step.id}#{next(self._numbers)}"
        made = self._predicted(step, None, uid)
        assert made is not None
        self._refuse_doubles(made, (Gates.CREATE,))
        self.watches(step, True)
        self._done_by_us(uid, replace(made, whole=False))
        try:
            await self._take_time(step)
        except (EngineError, anyio.get_cancelled_exc_class()):
            if not self.leaves_half(step.id):
                self._done_by_us(uid, None)
            raise
        if uid in self.infos:
            self._finish(step, replace(made, whole=True))
        if self.frail.get(step.id, 0) > 0:
            self.frail[step.id] -= 1
            self.at(0.01, lambda: self.vanish(uid))

    @staticmethod
    def _is_the_same(one: Config, other: Config) -> bool:
        if isinstance(one, VolumeConfig | NetworkConfig) and isinstance(other, VolumeConfig | NetworkConfig):
            return type(one) is type(other) and one.name == other.name
        return type(one) is type(other) and (id_of(one), project_of(one)) == (id_of(other), project_of(other))

    async def update(self, uid: str, config: Updatable) -> None:
        await self._change(Step(id_of(config), Verb.UPDATE, uid=uid, config=config))

    async def start(self, uid: str) -> None:
        info = self._container(uid)
        if info.state is State.RUNNING:
            return
        step = Step(id_of(info.config), Verb.START, uid=uid, config=info.config)
        things = self.things(info.config.project)
        if sandbox.id_of(info.config.sandbox) not in things:
            raise EngineError(f"cannot start {step.id}: its sandbox is not there")
        for name in info.config.namespaces.others:
            if not (other := things.get(container.id_of(name))) or not other.runs:
                raise EngineError(f"cannot start {step.id}: {name}, whose namespace it shares, does not run")
        await self._change(step)
        started = self.infos.get(uid)
        if isinstance(started, ContainerInfo) and started.state is State.RUNNING:
            self.starts(started)

    async def stop(self, uid: str, leave: Leave | None = None, said: Said = nobody) -> None:
        before = self._container(uid)
        config = before.config
        if leave:
            said(f"{config.slot} leaves")
        await self._change(Step(id_of(config), Verb.STOP, uid=uid, leave=leave))
        self._end_pid_namespace(before)
        self.health.pop(uid, None)
        info = self.infos.get(uid)
        if isinstance(info, ContainerInfo) and info.state is State.MADE:
            self.infos[uid] = replace(info, code=128 + config.stop_signal, ended_at=self.clock())

    async def release(self, uid: str, ports: Sequence[PortMap]) -> None:
        await self._change(Step(id_of(self._container(uid).config), Verb.RELEASE, uid=uid, ports=tuple(ports)))

    async def remove(self, uid: str) -> None:
        if uid not in self.infos:
            raise Superseded(f"cannot remove {uid}: it is gone")
        await self._change(Step(id_of(self.infos[uid].config), Verb.REMOVE, uid=uid))

    async def _change(self, step: Step) -> None:
        """A verb on what exists. It does nothing to what is no longer what it was planned for."""
        before = self.infos.get(step.uid)
        if before is None:
            raise Superseded(f"cannot {step.verb} {step.id}: it is gone")
        self.watches(step, True)
        await self._take_time(step)
        now = self.infos.get(step.uid)
        if now is None or (step.verb is Verb.STOP and isinstance(now, ContainerInfo) and now.state is State.EXITED):
            self._late.pop(step.uid, None)  # nothing was done, and why that is shows at once
            return
        after = self._predicted(step, now, step.uid)
        if after is not None and step.verb in (Verb.START, Verb.UPDATE):
            self._refuse_doubles(after, (Gates.CREATE, Gates.START))
        self._finish(step, after)

    def _finish(self, step: Step, info: Info | None) -> None:
        uid = step.uid or (info.uid if info else "")
        self.watches(replace(step, uid=uid), False)
        self.done.append((step.id, step.verb))
        self._done_by_us(uid, info)

    def _done_by_us(self, uid: str, info: Info | None) -> None:
        """It shows at once."""
        self._late.pop(uid, None)
        self._put(uid, info)

    async def _take_time(self, step: Step) -> None:
        await anyio.sleep(self.delay_s(step.id, step.verb))
        key = step.id, step.verb
        if key in self.terminal:
            raise TerminalEngineError(f"cannot {step.verb} {step.id}: it never will")
        if self.faults.get(key, 0) > 0:
            self.faults[key] -= 1
            raise EngineError(f"cannot {step.verb} {step.id}: as it was told to")

    def _predicted(self, step: Step, info: Info | None, uid: str) -> Info | None:
        project = project_of(step.config or (info.config if info else ImageConfig("")))
        things = self.things(project)
        if isinstance(step.config, EndpointConfig):
            name = step.config.network
            standing = (i for i in self.infos.values() if isinstance(i, NetworkInfo) and i.config.name == name)
            things |= {network.id_of(step.config.network_key): Observed("", joined) for joined in standing}
        have = self._observed(info, project) if info else None
        after = catalogue.kind_of(step.id).predict(step, have, things, self.clock(), uid)
        return after.info if after else None

    def _observed(self, info: Info, project: str) -> Observed:
        look = self._look_of((info,), project)
        return next(have for kind in catalogue.KINDS.values() for have in kind.observe(look, project, {}))

    def _refuse_doubles(self, info: Info, gates: tuple[Gates, ...]) -> None:
        """Of what only one can have."""
        known = catalogue.kind_of(id_of(info.config))
        runs = isinstance(info, ContainerInfo) and info.state is State.RUNNING
        wanted = [claim for claim in known.claims(info.config) if claim.gates in gates and not claim.shared]
        for other in self.infos.values():
            if other.uid == info.uid:
                continue
            its_own = isinstance(other, ContainerInfo) and other.state is State.RUNNING
            for claim in catalogue.kind_of(id_of(other.config)).claims(other.config):
                had = claim.gates is Gates.CREATE or its_own
                for mine in wanted if had else ():
                    if (mine.gates is Gates.CREATE or runs) and claims.meet(mine, claim):
                        self.doubled.append(f"{mine}: {info.uid} and {other.uid}")
                        raise EngineError(f"cannot give {mine} to {id_of(info.config)}: {other.uid} has it")

    # ---------------------------------------------------------------------------------------------- containers

    def _container(self, uid: str) -> ContainerInfo:
        info = self.infos.get(uid)
        if not isinstance(info, ContainerInfo):
            raise Superseded(f"there is no container {uid}")
        return info

    async def processes(self, uid: str) -> tuple[ProcessInfo, ...]:
        info = self._container(uid)
        words = (*(info.config.entrypoint or ()), *(info.config.command or ()))
        only = ProcessInfo(FIRST_PID, 1, 0, 0.0, info.started_at, "", " ".join(words))
        return (only,) if info.state is State.RUNNING else ()

    async def usage(self, project: str) -> tuple[Usage, ...]:
        containers = (info for info in self.infos.values() if isinstance(info, ContainerInfo))
        mine = [info for info in containers if info.config.project == project and info.state is State.RUNNING]
        return tuple(self.used.get(info.uid, Usage(info.uid, self.clock())) for info in mine)

    async def signal(self, uid: str, signal: int) -> None:
        if signal in (9, self._container(uid).config.stop_signal):
            self.exit(uid, 128 + signal)

    async def run(self, uid: str, command: Command, timeout_s: float) -> Ended:
        info = self._container(uid)
        if info.config.paused:
            raise Paused(f"cannot run a command in {info.config.name}: it is paused")
        return Ended(0)

    async def session(self, uid: str, command: Command) -> int:
        raise EngineError(f"cannot run {command.argv[0]} in {uid}: there are no processes here")

    async def attach(self, uid: str, *, to_next: bool = False) -> int:
        raise EngineError(f"cannot attach to {uid}: there are no processes here")

    async def copy(self, uid: str, copying: Copying) -> int:
        raise EngineError(f"cannot copy {copying.path} of {uid}: there are no files here")

    async def name_on_machine(self, projects: Set[str], unknown: Set[str] = frozenset()) -> None:
        self.named = frozenset(projects), frozenset(unknown)

    def machine_names(self, project: str) -> MachineNames:
        mine = [each.config for each in self.infos.values() if isinstance(each, EndpointInfo)]
        lines = tuple((each.address, (each.fqdn,)) for each in mine if each.project == project)
        return MachineNames("hosts" if project in self.named[0] else "", "/nowhere/hosts", lines)

    def memory_bytes(self) -> int:
        return self.machine_bytes

    def log_path(self, config: ContainerConfig) -> str:
        return f"/nowhere/{config.project}/{config.slot}.log"

    def data_path(self, volume: str) -> str:
        return f"/nowhere/volumes/{volume}"
