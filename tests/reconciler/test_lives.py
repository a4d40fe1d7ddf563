"""Random lives of random projects on the cruel engine: whatever happens, it settles, and nothing is touched that need not be.

CORRAL_LIVES says how many, CORRAL_LIFE which one.
"""

import os
import random

import anyio
import lives
import pytest
import random_projects
import scenes
import virtual_time
from lives import Habit, World

from engine.types.infos import ContainerInfo, Taken
from engine.types.parts import PortMap, Restart
from reconciler import one_offs
from reconciler.asking import Recreate
from reconciler.resource import Needs, Observed, Verb

FIRST, COUNT = int(os.environ.get("CORRAL_LIFE", "0")), int(os.environ.get("CORRAL_LIVES", "5"))

ONE_OFF = "container:a-run-1"


class Life:
    def __init__(self, seed: int) -> None:
        self.rnd = random.Random(seed)

    async def live(self) -> None:
        async with World(self.rnd) as self.world:
            self.project = random_projects.changed(self.rnd)
            self.take_habits(wild=True)
            await self.world.up(self.project)
            await self.world.settle()
            for _ in range(4):
                await self.a_calm_edit()
            await self.commands()
            await self.one_offs()
            await self.exchanges()
            await self.world.up(self.project)
            await self.world.settle()
            await self.one_blow_each()
            await self.edits_in_the_middle()
            await self.anything_at_any_moment()
            await self.culprits()
            await self.down()

    async def change(self, *, wild: bool = False, keeps_subnets: bool = False) -> None:
        self.project = random_projects.changed(self.rnd, self.project, keeps_subnets=keeps_subnets)
        self.take_habits(wild=wild)
        await self.world.up(self.project)

    def take_habits(self, *, wild: bool) -> None:
        for name, service in self.project["services"].items():
            self.world.habits[name] = Habit(
                oneshot=service["oneshot"],
                flaps=self.rnd.choice((0, 0, 5)) if wild else 0,
                crashes=self.rnd.choice((0, 0, 0, 1, 3)) if wild and service["restart"] != "no" else 0,
            )

    async def a_calm_edit(self) -> None:
        """Exactly what must change changes, as the preview said."""
        world = self.world
        await anyio.sleep(20)
        old, before = self.project, world.identity()
        runs = {i for i, have in world.things().items() if have.runs or not i.startswith("container:")}
        world.engine.done.clear()
        await self.change()
        foretold = world.foretold()
        keep = lives.untouched(old, self.project) & runs
        await world.settle()
        after = world.identity()
        touched = [i for i in keep if i in before and before[i] != after.get(i)]
        assert not touched, f"touched: {touched}"
        done = lives.Counter(world.engine.done)
        pulled = any(verb is Verb.CREATE and i.startswith("image:") for i, verb in done)
        unlike = {
            key: (foretold[key], done[key]) for key in foretold.keys() | done.keys() if foretold[key] != done[key]
        }
        assert pulled or not unlike, f"preview: {unlike}"

    async def commands(self) -> None:
        world = self.world
        servers = [name for name, service in self.project["services"].items() if not service["oneshot"]]
        if not servers:
            return
        name = self.rnd.choice(servers)
        ran = world.identity()
        await world.say(world.stored.pause([name]))
        await world.settle()
        assert {i for i, have in world.things().items() if getattr(have.config, "paused", False)} >= set(
            self.running(name)
        )
        assert all(world.identity()[i] == ran[i] for i in self.running(name)), "a pause restarted it"
        await world.say(world.stored.stop([name]))
        await world.settle()
        await world.daemon_dies()
        await anyio.sleep(100)
        assert not self.running(name), "stopped, and yet it runs"
        before = world.identity()
        await world.say(world.stored.start([name], anyio.current_time()))
        await world.settle()
        after = world.identity()
        assert {i for i in before if before[i] != after[i] and not i.startswith("container:")} == set()
        assert all(after[i][0] == before[i][0] for i in self.running(name)), "start made another container"
        document = random_projects.document(self.project)
        await world.say(
            world.stored.up(lives.FILES, document, anyio.current_time(), services=[name], recreate=Recreate.NAMED)
        )
        await world.settle()
        now = world.identity()
        assert all(now[i][0] != before[i][0] for i in self.running(name)), "not made anew"

    async def one_offs(self) -> None:
        """Whatever comes, a one-off is started once, and is gone with its removal."""
        world = self.world
        name = self.rnd.choice(sorted(self.project["services"]))
        document = random_projects.document(self.project)
        body = one_offs.body_of(document, name, "p-a-run-1", no_deps=self.rnd.random() < 0.3)
        for key in ("ports", "ipc"):  # which an edit meanwhile may make impossible
            body.pop(key, None)
        asked = one_offs.OneOff(name, body, one_offs.uses_of(document, body), may_start=self.rnd.random() < 0.5)
        world.engine.done.clear()
        await world.say(world.stored.run(lives.FILES, document, anyio.current_time(), "a-run-1", asked))
        await world.settle()
        assert self.starts() == asked.may_start
        await world.say(world.stored.start_run("a-run-1"))
        await world.settle()
        assert self.starts() == 1
        await world.daemon_dies()
        have = world.things()[ONE_OFF]
        is_alone = not one_offs.homes_of(body)
        if is_alone and self.rnd.random() < 0.5:
            await self.change(keeps_subnets=True)
            await world.settle()
        if have.runs and (not is_alone or self.rnd.random() < 0.7):
            world.engine.exit(have.uid, self.rnd.choice((0, 1)))
        await self.change(keeps_subnets=True)
        await world.settle()
        assert not is_alone or world.things()[ONE_OFF].uid == have.uid
        assert self.starts() == 1
        had = [each.info for each in (have,) if isinstance(each.info, ContainerInfo)]
        await world.say(world.stored.remove(("a-run-1",), volumes=world.stored.anonymous_of(had)))
        await world.settle()
        assert [i for i in world.things() if "a-run-1" in i] == []
        assert self.starts() == 1

    def starts(self) -> int:
        return self.world.engine.done.count((ONE_OFF, Verb.START))

    def running(self, service_name: str) -> list[str]:
        return [
            have.id
            for have in self.world.things().values()
            if isinstance(have.info, ContainerInfo) and have.info.config.service == service_name and have.runs
        ]

    async def exchanges(self) -> None:
        """Running services swap host ports live, and addresses by a short detachment: nobody restarts."""
        world = self.world

        async def say(**has: tuple[int, int]) -> None:
            services = {
                name: scenes.service(networks=scenes.static(f"10.9.0.{address}"), ports=[scenes.port(str(port))])
                for name, (port, address) in has.items()
            }
            document = scenes.project(services, networks={"lab": scenes.subnet("10.9.0.0/24")})
            stored = world.stored.up(("/p/exchanges.yaml",), document, anyio.current_time())
            await world.say(stored)

        await say(x=(71, 5), y=(72, 6))
        await world.settle()
        before = world.identity()
        await say(x=(72, 6), y=(71, 5))
        await world.settle()
        await say(x=(73, 6), y=(71, 5))  # and in the middle of an update, a change of mind
        await anyio.sleep(0.0012)
        await say(x=(71, 6), y=(73, 5))
        await world.settle()
        await say(x=(71, 6), old=(73, 5))  # another name, the same address and port
        await world.settle()
        assert world.identity()["container:x"] == before["container:x"], "a swap of ports restarted a container"
        await world.say(world.stored.down(("/p/exchanges.yaml",)))
        await world.settle()
        assert "container:x" not in world.things()

    async def one_blow_each(self) -> None:
        """Only its own scar is left."""
        world = self.world
        for kind in ("endpoint", "network", "container", "sandbox"):
            await anyio.sleep(15)
            things = world.things()
            victims = [have for have in things.values() if have.id.startswith(kind) and comes_back(have)]
            if not victims:
                continue
            victim, before, at = self.rnd.choice(victims), world.identity(), anyio.current_time()
            sick = self.make_sick(victim.id)
            if lives.is_others(victim.info):
                world.made_anew_by_its_owner(victim.uid)
            elif kind == "network":
                world.engine.damage(victim.uid)
            elif kind == "container":
                world.engine.exit(victim.uid, 137)
            else:
                world.engine.vanish(victim.uid)
            await world.settle()
            after = world.identity()
            scar = {i for i, was in before.items() if after.get(i) != was}
            dragged = {victim.id}
            while (
                more := (
                    {have.id for have in things.values() if any(hold.to in dragged for hold in have.holds)}
                    | self.dragged_with(dragged if kind == "sandbox" else dragged - {victim.id})
                )
                - dragged
            ):
                dragged |= more
            assert scar <= dragged, f"touched: {scar - dragged} after {victim.id}"
            if kind == "container":
                late = after[victim.id][1] - at
                assert 0 <= late < 0.2, f"late: {victim.id} came back after {late:.2f} s"
            world.engine.health.update(dict.fromkeys(sick, "healthy"))
            if kind == "sandbox":
                ran = {i for i in dragged if things[i].runs}
                assert all(lives.is_up(world.things()[i]) for i in ran), f"lost: {ran}"

    def make_sick(self, resource_id: str) -> list[str]:
        """Those that it waited for once: a restart must not wait for them."""
        want = self.world.desired.wanted[resource_id]
        waited = [edge.to for edge in want.edges if edge.needs is Needs.HEALTHY]
        sick = [self.world.things()[target].uid for target in waited]
        self.world.engine.health.update(dict.fromkeys(sick, "unhealthy"))
        return sick

    def dragged_with(self, dragged: set[str]) -> set[str]:
        wanted = self.world.desired.wanted.values()
        return {want.id for want in wanted if any(edge.rigid and edge.to in dragged for edge in want.edges)}

    async def edits_in_the_middle(self) -> None:
        for _ in range(4):
            old = self.project
            await self.change(wild=True)
            await anyio.sleep(self.rnd.choice((0.002, 0.05, self.rnd.uniform(0, 9))))
            if self.rnd.random() < 0.5:  # and a change of mind
                self.project = old
                await self.world.up(old)
                await anyio.sleep(self.rnd.choice((0.002, 0.05)))
            if self.rnd.random() < 0.3:
                await self.world.daemon_dies()
        await self.world.settle()

    async def anything_at_any_moment(self) -> None:
        world, rnd = self.world, self.rnd
        for _ in range(30):
            await anyio.sleep(rnd.expovariate(3))
            things = [have for have in world.things().values() if not have.id.startswith(lives.LASTING)]
            blow, victim = rnd.randrange(8), rnd.choice(things) if things else None
            if victim is None or blow == 0:
                await self.change(wild=True)
            elif blow == 1:
                await world.daemon_dies()
            elif victim.id in world.loop.busy:
                continue
            elif blow < 5:
                lives.struck(world, victim.info)
            else:
                world.engine.faults[victim.id, rnd.choice(list(Verb))] = rnd.choice((1, 3))
                world.engine.frail[victim.id] = 0 if victim.id.startswith("container:") else rnd.choice((0, 2))
        await anyio.sleep(200)
        await self.ask_again()
        await world.settle()

    async def ask_again(self) -> None:
        """What failed for good before is asked for again."""
        self.world.engine.faults.clear()
        self.world.engine.frail.clear()
        self.take_habits(wild=False)
        await self.world.others_are_there()
        await self.world.up(self.project)

    async def culprits(self) -> None:
        """Some things fail for ever, somebody else has a port, a service is sick: everybody else comes up."""
        world, rnd = self.world, self.rnd
        await self.change()
        await world.settle()
        guilty = set()
        for resource_id in rnd.sample(sorted(world.desired.wanted), 2):
            have = world.things().get(resource_id)
            if resource_id.startswith(lives.LASTING) or have is None:
                continue
            verb = rnd.choice((Verb.START, Verb.UPDATE) if resource_id.startswith("container") else (Verb.CREATE,))
            world.engine.faults[resource_id, verb] = float("inf")
            if rnd.random() < 0.3:
                world.engine.terminal.add((resource_id, verb))
            guilty.add(resource_id)
            if verb is Verb.CREATE:
                world.engine.vanish(have.uid)
            else:
                world.engine.exit(have.uid, 1)
        ports = [(i, port) for i, want in world.desired.wanted.items() for port in getattr(want.config, "ports", ())]
        if ports:
            resource_id, port = rnd.choice(ports)
            who = "nginx (pid 7)"
            world.engine.strangers = Taken(ports=((PortMap("0.0.0.0", port.host_port, 0), who),))
            guilty |= {who, resource_id}
        name = rnd.choice(sorted(self.project["services"]))
        world.habits[name].healthy, world.habits[name].crashes = False, rnd.choice((0, float("inf")))
        for resource_id in self.running(name):
            world.engine.exit(world.things()[resource_id].uid, 1)
        guilty |= {i for i, want in world.desired.wanted.items() if getattr(want.config, "service", "") == name}
        world.loop.wake()
        await world.settle(frozenset(guilty))
        world.engine.terminal.clear()
        world.engine.strangers = Taken()
        await self.ask_again()
        world.engine.health.update(dict.fromkeys(world.engine.health, "healthy"))
        await world.settle()

    async def down(self) -> None:
        world = self.world
        await world.say(world.stored.down(lives.FILES))
        await world.settle()
        left = [i for i in world.things() if not i.startswith(lives.LASTING)]
        assert not left, f"down left {left}"
        theirs = sorted(info.uid for info in world.engine.infos.values() if lives.is_others(info))
        await world.others_are_there()
        assert theirs == sorted(info.uid for info in world.engine.infos.values() if lives.is_others(info))


def comes_back(have: Observed) -> bool:
    """Whether it is up, and would be again after a blow."""
    if not isinstance(have.info, ContainerInfo):
        return True
    return have.runs and have.info.config.restart.name is not Restart.NO


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_a_life(seed: int) -> None:
    virtual_time.run(Life(seed).live)
