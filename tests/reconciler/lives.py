"""The real loop on the cruel engine, in no time; and what must hold at every step, said without the planner's words."""

import random
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import anyio
import random_projects

from engine.types.configs import EndpointConfig, NetworkConfig, SandboxConfig, VolumeConfig
from engine.types.infos import ContainerInfo, EndpointInfo, Info, SandboxInfo, State, VolumeInfo
from engine.types.parts import VolumeMount
from reconciler import declaration, events, fake, forecast
from reconciler.actual import Seen
from reconciler.converge import Loop, Outcome
from reconciler.desired import DesiredState
from reconciler.kinds import init_steps
from reconciler.plan import Planner
from reconciler.resource import Blocked, Depth, Gates, Needs, Observed, Step, Verb
from reconciler.stored import Stored

SECONDS = {("image", Verb.CREATE): 2.0, ("sandbox", Verb.CREATE): 0.007, ("container", Verb.START): 0.003}
LASTING = ("volume:", "image:")
FILES = ("/p/compose.yaml",)
OTHER = "other"
"""A project that nobody of ours may touch, and whose networks and volumes may be joined."""


class Habit:
    """How the processes of one service behave."""

    def __init__(self, *, oneshot: bool, flaps: int = 0, crashes: float = 0, healthy: bool = True) -> None:
        self.oneshot, self.flaps, self.crashes, self.healthy = oneshot, flaps, crashes, healthy


class World:
    """One project, its engine, and a daemon that may die. Use as an async context."""

    def __init__(self, rnd: random.Random) -> None:
        self.rnd = rnd
        self.engine = fake.FakeEngine(
            anyio.current_time,
            delay_s=self.delay_s,
            lag_s=lambda: rnd.choice((0, 0, 0.001, 0.02)),
            look_s=0.0005,
            leaves_half=lambda resource_id: zlib.crc32(f"{resource_id} {anyio.current_time()}".encode()) % 2 == 0,
        )
        self.engine.starts, self.engine.watches = self.live_on, self.check
        self.stored = Stored("p")
        self.desired = DesiredState("p")
        self.habits: dict[str, Habit] = {}
        self.known: dict[str, Any] = {}  # every resource as last declared
        self.wrong: list[str] = []
        self.events: list[events.Event] = []
        self.loop = self.new_loop()
        self._stack = AsyncExitStack()

    def new_loop(self) -> Loop:
        return Loop(
            self.engine,
            "p",
            health=lambda: self.engine.health,
            publish=self.note,
            redeclare=lambda look, taken: self.declare(look, taken),
            clock=anyio.current_time,
        )

    async def __aenter__(self) -> "World":
        await self.others_are_there()
        self.tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self.tasks.start_soon(self.listen)
        self.start_loop()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.tasks.cancel_scope.cancel()
        await self._stack.aclose()

    def start_loop(self) -> None:
        self.scope, self.gone = anyio.CancelScope(), anyio.Event()

        async def run(scope: anyio.CancelScope, gone: anyio.Event, loop: Loop) -> None:
            with scope:
                await loop.run()
            gone.set()

        self.tasks.start_soon(run, self.scope, self.gone, self.loop)

    async def listen(self) -> None:
        async for _ in self.engine.changes():
            self.loop.wake()

    async def daemon_dies(self) -> None:
        """Each step under way was done, half done, or not begun; a new daemon knows only what was stored."""
        self.scope.cancel()
        await self.gone.wait()
        self.stored = Stored.from_json(self.stored.to_json())
        self.loop = self.new_loop()
        await self.say(self.stored)
        self.start_loop()

    # ------------------------------------------------------------------------------------------------ others

    async def others_are_there(self) -> None:
        """The other project, a member of each of its networks, and its volumes: all that is not there is made."""
        made = {info.config for info in self.engine.infos.values()}
        configs: list[Any] = [VolumeConfig(f"theirs_{key}", OTHER, key) for key in ("v0", "v1")]
        for name, subnet in random_projects.OTHERS.items():
            base = subnet.removesuffix(".0/24")
            configs.append(NetworkConfig(name, OTHER, name, subnet, f"{base}.1"))
            configs.append(SandboxConfig(f"of_{name}", OTHER, name))
            configs.append(EndpointConfig(OTHER, f"of_{name}", name, name, f"{base}.2", 24, f"{base}.1", name))
        for config in configs:
            if config not in made:
                await self.engine.create(config)

    def made_anew_by_its_owner(self, uid: str) -> None:
        """A network of the other project."""
        info = self.engine.infos[uid]
        again = replace(info, uid=f"{uid}'")
        self.engine.vanish(uid)

        def comes() -> None:
            self.engine.infos[again.uid] = again
            self.engine._notice(again.uid, "p")

        self.engine.at(self.rnd.choice((0.001, 1, 40)), comes)

    # ---------------------------------------------------------------------------------------------- commands

    def declare(self, look: Any, taken: Any) -> DesiredState:
        declared = declaration.declare(self.stored, look, taken)
        self.stored, self.desired = declared.stored, declared.desired
        self.known |= self.desired.wanted
        return self.desired

    async def say(self, stored: Stored) -> None:
        self.stored = stored
        seen = Seen(looks=self.loop.looks, look=await self.engine.look("p"), taken=await self.engine.taken("p"))
        self.loop.want(self.declare(seen.look, seen.taken), seen=seen)

    async def up(self, project: Any, files: tuple[str, ...] = FILES, **options: Any) -> None:
        document = random_projects.document(project)
        await self.say(self.stored.up(files, document, anyio.current_time(), **options))

    # --------------------------------------------------------------------------------- how processes behave

    def delay_s(self, resource_id: str, verb: Verb) -> float:
        seconds = SECONDS.get((resource_id.partition(":")[0], verb), 0.001)
        return seconds * self.rnd.choice((1, 100, 5000) if verb is Verb.STOP else (0.2, 1, 5))

    def live_on(self, info: ContainerInfo) -> None:
        habit, uid, run = self.habits.get(info.config.service), info.uid, info.started_at
        self.engine.health[uid] = "starting"
        chance = self.rnd.random()

        def later(seconds: float, act: Callable[..., None], *arguments: Any, **more: Any) -> None:
            self.engine.at(seconds, lambda: act(*arguments, run=run, **more))

        if info.config.number == init_steps.NUMBER:
            later(chance, self.engine.exit, uid, 0)
        elif habit and habit.crashes > 0:
            habit.crashes -= 1
            later(chance, self.engine.exit, uid, 137)
        elif habit and habit.oneshot:
            later(3 * chance, self.engine.exit, uid, 0)
        else:
            flaps = habit.flaps if habit else 0
            for flip in range(flaps):
                sick = "unhealthy" if flip % 2 else "healthy"
                later(chance * (flip + 1) / (flaps + 1), self.engine.probe, uid, sick)
            later(chance, self.engine.probe, uid, "healthy" if not habit or habit.healthy else "unhealthy")

    # -------------------------------------------------------------------- what must hold whenever a verb begins

    def check(self, step: Step, begins: bool) -> None:
        have = self.engine.infos.get(step.uid)
        self.must(not (begins and have and is_others(have)), f"others: {step.verb} {step.uid}")
        if begins and step.verb in (Verb.STOP, Verb.REMOVE):
            self.check_down(step)
        if begins and step.verb is Verb.CREATE and step.id.startswith("container:"):
            config: Any = step.config
            image = self.seen().get(f"image:{config.image}")
            self.must(image is not None and image.whole, f"gate: {step.id} before its image")

    def note(self, event: events.Event) -> None:
        self.events.append(event)
        if isinstance(event, events.StepBegun) and event.step.verb is Verb.START:
            self.check_start(event.step)

    def must(self, holds: bool, what: str) -> None:
        if not holds:
            self.wrong.append(what)

    def seen(self) -> dict[str, Observed]:
        return self.loop.actual.things

    def check_start(self, step: Step) -> None:
        wanted, have = self.loop.desired.wanted, self.seen()[step.id].info
        want = wanted[step.id]
        assert isinstance(have, ContainerInfo)
        for other in self.engine.infos.values():
            if isinstance(other, ContainerInfo) and other.state is State.RUNNING:
                leaves = f"container:{other.config.slot}" not in wanted
                shared = volumes_of(have) & volumes_of(other)
                self.must(not (leaves and shared), f"data: {step.id} starts while {other.uid} has {shared}")
        for edge in want.edges:
            dep, wish = self.seen().get(edge.to), wanted.get(edge.to)
            if edge.to.startswith(("endpoint:", "sandbox:")):
                fresh = dep and wish and dep.whole and dep.config == wish.config and edge.to not in self.loop.busy
                self.must(bool(fresh), f"start: {step.id} on a stale {edge.to}")
                for hold in dep.holds if dep else ():
                    target = self.seen().get(hold.to)
                    self.must(target is not None and target.uid == hold.uid, f"start: {step.id}: dangling {edge.to}")
            if edge.needs is Needs.RUNNING:
                self.must(
                    dep is not None and dep.runs, f"start: {step.id} before {edge.to}, whose namespace it shares, runs"
                )
            if edge.gates is Gates.FIRST_START and have.state is State.MADE:
                self.must(dep is not None and met(dep, edge.needs), f"start: {step.id} before {edge.to} {edge.needs}")

    def check_down(self, step: Step) -> None:
        have, wanted = self.engine.infos[step.uid], self.desired.wanted
        is_asked = isinstance(have, VolumeInfo) and have.config.name in self.stored.purged
        self.must(is_asked or not step.id.startswith(LASTING), f"sacred: {step.id} removed")
        for other in self.things().values():
            edges = self.known[other.id].edges if other.id in self.known else ()
            leans = any(edge.to == step.id for edge in edges)
            both_leave = other.id not in wanted and step.id not in wanted and other.runs
            self.must(not (leans and both_leave), f"order: {step.id} before {other.id}")
            if step.verb is Verb.REMOVE and other.state is not State.EXITED:
                held = any(hold.to == step.id and hold.rigid and hold.uid == have.uid for hold in other.holds)
                self.must(not held, f"lost: {other.id} its {step.id}")
        if step.verb is Verb.STOP and step.id in wanted and not wanted[step.id].depth and not self.is_dragged(step.id):
            for edge in wanted[step.id].edges:
                there, needed = self.seen().get(edge.to), wanted[edge.to]
                missing = there is None or not there.whole
                missing = missing or (not needed.external and there.config != needed.config)
                self.must(edge.gates is not Gates.CREATE or not missing, f"outage: {step.id} before {edge.to} is there")

    def is_dragged(self, resource_id: str) -> bool:
        planner = self.planner()
        return bool(planner._dragged(self.seen()[resource_id])[0])

    def planner(self, **more: Any) -> Planner:
        values: dict[str, Any] = {
            "desired": self.desired,
            "things": self.seen(),
            "busy": self.loop.busy,
            "attempts": self.loop._attempts.attempts,
            "now": anyio.current_time(),
            "elsewhere": self.loop._elsewhere,
        }
        return Planner(**{**values, **more})

    # -------------------------------------------------------------------------------------- what must hold at rest

    async def settle(self, culprits: frozenset[str] = frozenset()) -> None:
        """It comes to rest; then nobody is down silently, and every chain of reasons ends at somebody to blame."""
        with anyio.fail_after(10_000):
            told = await self.calm(culprits)
            if any(b.until < float("inf") and b.id not in culprits for b in told.blocked):
                await anyio.sleep(200)  # `up` lost patience, the loop does not
                told = await self.calm(culprits)
        assert not self.wrong, self.wrong[0]
        assert not self.engine.doubled, f"both: {self.engine.doubled[0]}"
        things, wanted = self.things(), self.desired.wanted
        seen = {have.id: have.info for have in self.seen().values()}
        assert culprits or seen == {have.id: have.info for have in things.values()}, "lag: something was never noticed"
        planner = self.planner()
        again = planner.plan()
        ready = [step for step in again.ready if step.id not in culprits]
        assert not ready, f"unsettled: {ready[0]}"
        unlike = {change.id for change in {*again.changes} ^ {*self.loop.plan.changes}} - culprits
        assert not unlike, f"unsettled: a second look differs in {unlike}"
        blocked = {each.id: each for each in again.blocked}
        guilty = self.guilty(culprits, blocked)
        for resource_id, want in wanted.items():
            have = things.get(resource_id)
            good = have is not None and planner.is_fresh(resource_id) and (want.depth or is_up(have))
            good = good or (have is None and want.depth >= Depth.GONE)
            told_of = resource_id in {*blocked, *(step.id for step in again.ready), *self.loop.busy}
            assert good or told_of or resource_id in culprits, f"silent: {resource_id} is not up and nobody says so"
            assert good or resource_id in guilty, f"stuck: {blocked.get(resource_id)}"
        left = [i for i in things if i not in wanted and i not in guilty and not i.startswith(LASTING)]
        assert not left, f"orphans: {left}"
        if not culprits and not guilty:
            assert told.ok, f"outcome: {told.blocked}"

    async def calm(self, culprits: frozenset[str]) -> Outcome:
        """Nothing happens any more by itself, and it was noticed."""
        while True:
            was_stirring = self.engine.is_stirring
            await anyio.sleep(0.1)
            told = await self.loop.settled()
            if culprits or not (was_stirring or self.engine.is_stirring or self.loop.busy):
                return told

    def guilty(self, culprits: frozenset[str], blocked: dict[str, Blocked]) -> set[str]:
        """Those to blame, and those who wait for them."""
        things = self.things().values()
        rests = {
            have.id for have in things if isinstance(have.info, ContainerInfo) and have.info.code and not have.runs
        }
        guilty = {*culprits, *rests, *(want.id for want in self.desired.wanted.values() if want.depth)}
        planner = self.planner()
        while True:
            more = {want.id for want in self.desired.wanted.values() if any(edge.to in guilty for edge in want.edges)}
            more |= {each.id for each in blocked.values() if set(each.by) & guilty}
            more |= {
                edge.to for i in guilty for edge in planner.edges(i) if planner.fate(i) and edge.to in planner.things
            }
            if more <= guilty:
                return guilty
            guilty |= more

    def things(self) -> dict[str, Observed]:
        """What there really is, by id."""
        return self.engine.things("p", self.desired.wanted)

    def identity(self) -> dict[str, tuple[str, float]]:
        things = self.things().values()
        return {have.id: (have.uid, getattr(have.info, "started_at", 0.0)) for have in things}

    def foretold(self) -> Counter[tuple[str, Verb]]:
        """As of now, before the loop has begun anything of it, in the engine's words: it tells networks of ours by their keys
        alone, also one whose key means another's now."""
        told = forecast.preview(self.desired, self.things(), now=anyio.current_time(), elsewhere=self.loop._elsewhere)
        ids = ((step, step.id.partition("/")[0] if step.id.startswith("network:") else step.id) for step in told.steps)
        return Counter((engines, step.verb) for step, engines in ids)


def volumes_of(info: ContainerInfo) -> set[str]:
    return {mount.volume for mount in info.config.mounts if isinstance(mount, VolumeMount) and not mount.read_only}


def met(have: Observed, needs: Needs) -> bool:
    info: Any = have.info
    ended_well = have.state is State.EXITED and info.code == 0
    return {
        Needs.EXISTS: True,
        Needs.STARTED: have.state is not State.MADE,
        Needs.RUNNING: have.runs,
        Needs.HEALTHY: have.runs and have.health == "healthy",
        Needs.COMPLETED: ended_well,
    }[needs]


def is_up(have: Observed) -> bool:
    if not isinstance(have.info, ContainerInfo):
        return have.whole
    has_had_its_run = bool(have.info.config.run_of and have.info.started_at)
    return have.runs or has_had_its_run or (have.state is State.EXITED and have.info.code == 0)


def untouched(old: Any, new: Any) -> set[str]:
    """Said in the user's words: containers that must keep their process, endpoints and sandboxes that must stay."""
    both = {name for name in new["services"] if name in old["services"]}
    named = ("image", "command", "volumes", "container_name", "pid", "ipc", "pre_start", "differ", "configs")
    moved = {n for n in both if any(old["services"][n][key] != new["services"][n][key] for key in named)}
    moved |= {n for n in both if has_other_content(n, old, new)}
    other = {key for key, volume in new["volumes"].items() if volume != old["volumes"][key]}
    moved |= {n for n in both if other & {mount.get("source") for mount in new["services"][n]["volumes"]}}

    renumbered = {n for n in both if (old["services"][n]["scale"] is None) != (new["services"][n]["scale"] is None)}

    def drags(name: str) -> bool:
        needed = new["services"][name]["depends_on"]
        if {new["services"][name][key] for key in ("pid", "ipc")} & {
            f"service:{other}" for other in moved | renumbered
        }:
            return True
        return any(how["restart"] and other in old["services"] and (other in moved or other not in both)
                   for other, how in needed.items())  # fmt: skip

    while more := {n for n in both - moved if drags(n)}:
        moved |= more
    keep = set()
    for name in both:
        was, now = old["services"][name], new["services"][name]
        slots = slots_of(name, was) & slots_of(name, now)
        keep |= {f"sandbox:{slot}" for slot in slots}
        keep |= {f"container:{slot}" for slot in slots} if name not in moved else set()
        for key, joined in now["networks"].items():
            static = joined["ipv4_address"]
            same = old["all_networks"][key]["ipam"] == new["all_networks"][key]["ipam"]
            if static and same and key in was["networks"] and was["networks"][key]["ipv4_address"] == static:
                keep |= {f"endpoint:{slot}/{key}" for slot in slots}
    return keep


def has_other_content(name: str, old: Any, new: Any) -> bool:
    """That makes its containers anew, or restarts them."""
    was, now = old["services"][name], new["services"][name]
    word = (now["on_change"] or {}).get("*", "recreate")
    changed = (
        {key for key in "VW" if was["environment"][key] != now["environment"][key]} if not now["differ"] else set()
    )
    before = (was["on_change"] or {}).get("*", "recreate")
    # variables of a file are no file that somebody could be told to read again
    of_files = ["recreate" if each == "signal:HUP" else each for each in (before, word)]
    if now["pre_start"] and (
        (now["configs"] and (before == "recreate") != (word == "recreate"))
        or ("recreate" in of_files and of_files[0] != of_files[1])
    ):
        return True  # what its steps come before is another definition
    other_file = bool(now["configs"]) and old["configs"] != new["configs"] and word in ("recreate", "restart")
    return other_file or "W" in changed or ("V" in changed and word != "ignore")


def slots_of(name: str, service: Any) -> set[str]:
    scale = service["scale"]
    return {name} if scale is None else {f"{name}-{number}" for number in range(1, scale + 1)}


def is_others(info: Info) -> bool:
    return fake.project_of(info.config) == OTHER


def struck(world: World, info: Info) -> None:
    """One blow from outside, of the kind that things of this kind can get."""
    engine, rnd = world.engine, world.rnd
    if is_others(info):
        world.made_anew_by_its_owner(info.uid)
    elif isinstance(info, ContainerInfo):
        if info.state is State.RUNNING and info.config.restart.name != "NO":
            engine.exit(info.uid, 137)
    elif isinstance(info, SandboxInfo | EndpointInfo):
        rnd.choice((engine.vanish, engine.damage))(info.uid)
    else:
        rnd.choice((engine.damage, lambda uid: engine.drift(uid, "gateway address")))(info.uid)
