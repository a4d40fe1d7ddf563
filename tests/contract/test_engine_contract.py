"""What `engine.api` promises, of the engine in memory and of the real one: what the planner learns on the one is true of the other."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from engine.api import Command
from engine.errors import EngineError, Paused, Superseded
from engine.types.infos import Info, Joined, State
from engine.types.parts import Namespaces, Of, PortMap
from reconciler.fake import FakeEngine
from tests.contract.conftest import Act, World

Both = Callable[[Act], None]
PORT = PortMap("127.0.0.1", 18080, 80)
OTHER_PORT = PortMap("127.0.0.1", 18081, 80)


def test_what_is_made_is_seen_whole_as_it_was_asked_for(both: Both) -> None:
    async def act(world: World) -> None:
        await world.engine.create(world.volume)
        await world.stand("web")
        found = await world.all()
        asked = [world.image, world.volume, world.network, world.sandbox(), world.endpoint(), world.container()]
        assert [info.config for info in found] == asked
        assert all(info.whole for info in found)
        assert len({info.uid for info in found}) == len(found)

    both(act)


def test_an_endpoint_says_which_incarnations_it_joins_and_a_container_what_it_is_made_of(both: Both) -> None:
    async def act(world: World) -> None:
        uids = await world.stand("web")
        look = await world.look()
        assert look.endpoints[0].network_uid == look.networks[0].uid
        assert look.endpoints[0].sandbox_uid == look.sandboxes[0].uid
        assert look.containers[0].image_uid == look.images[0].uid
        assert look.containers[0].sandbox_uid == ""
        await world.engine.start(uids["web"])
        assert (await world.info(uids["web"])).sandbox_uid == look.sandboxes[0].uid

    both(act)


def test_what_was_removed_is_gone_and_a_second_removal_says_so(both: Both) -> None:
    async def act(world: World) -> None:
        await world.engine.create(world.volume)
        await world.stand("web")
        look = await world.look()
        for several in (look.containers, look.endpoints, look.sandboxes, look.networks, look.volumes):
            await world.engine.remove(several[0].uid)
            with pytest.raises(Superseded):
                await world.engine.remove(several[0].uid)
        assert [info.config for info in await world.all()] == [world.image]

    both(act)


def test_a_start_and_a_stop_may_be_repeated(both: Both) -> None:
    async def act(world: World) -> None:
        uid = (await world.stand("web"))["web"]
        assert (await world.info(uid)).state is State.MADE
        await world.engine.start(uid)
        first = await world.info(uid)
        await world.engine.start(uid)
        assert await world.info(uid) == first
        assert first.state is State.RUNNING
        assert first.started_at
        await world.engine.stop(uid)
        await world.engine.stop(uid)
        after = await world.info(uid)
        assert (after.state, after.sandbox_uid) == (State.MADE, "")

    both(act)


def test_a_start_under_way_is_not_taken_for_an_end(both: Both) -> None:
    """`run --rm` would remove what it is about to show, and who follows an `up` would leave."""

    async def act(world: World) -> None:
        uid = (await world.stand("web"))["web"]
        seen: list[tuple[State, bool, bool]] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.engine.start, uid)
            while not seen or seen[-1][0] is not State.RUNNING:
                info = await world.info(uid)
                seen.append((info.state, info.started_at > 0, info.lost))
                await anyio.lowlevel.checkpoint()
        assert set(seen) == {(State.MADE, False, False), (State.RUNNING, True, False)}

    both(act)


@pytest.mark.parametrize("code", [0, 3])
def test_an_exit_of_its_own_is_told_and_a_stop_does_nothing_to_it(both: Both, code: int) -> None:
    async def act(world: World) -> None:
        uid = (await world.stand("web", code=code))["web"]
        heard = anyio.Event()

        async def listen() -> None:
            async for project in world.engine.changes():
                if project == "p" and (await world.info(uid)).state is State.EXITED:
                    heard.set()
                    return

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await world.engine.start(uid)
            with anyio.fail_after(10):
                await heard.wait()
        ended = await world.info(uid)
        assert (ended.code, ended.lost, ended.hasty) == (code, False, 1)
        await world.engine.stop(uid)
        assert (await world.info(uid)).state is State.EXITED

    both(act)


def test_nothing_is_done_to_what_is_gone(both: Both) -> None:
    async def act(world: World) -> None:
        uid = (await world.stand("web"))["web"]
        await world.engine.remove(uid)
        await world.engine.create(world.container())
        for attempt in (
            world.engine.start(uid),
            world.engine.stop(uid),
            world.engine.update(uid, world.container(environment=(("A", "1"),))),
            world.engine.release(uid, ()),
            world.engine.signal(uid, 15),
        ):
            with pytest.raises(Superseded):
                await attempt
        (now,) = (await world.look()).containers
        assert now.uid != uid
        assert (now.config, now.state) == (world.container(), State.MADE)

    both(act)


def test_a_container_starts_in_its_sandbox_or_not_at_all(both: Both) -> None:
    async def act(world: World) -> None:
        uid = (await world.stand("web"))["web"]
        look = await world.look()
        await world.engine.remove(look.endpoints[0].uid)
        await world.engine.remove(look.sandboxes[0].uid)
        with pytest.raises(EngineError):
            await world.engine.start(uid)
        assert (await world.info(uid)).state is State.MADE

    both(act)


def test_two_do_not_have_one_host_port_and_who_had_it_keeps_it(both: Both) -> None:
    async def act(world: World) -> None:
        uids = await world.stand("a", "b", ports=(PORT,))
        await world.engine.start(uids["a"])
        with pytest.raises(EngineError):
            await world.engine.start(uids["b"])
        assert (await world.info(uids["a"])).state is State.RUNNING
        assert (await world.info(uids["b"])).state is State.MADE
        await world.engine.release(uids["a"], ())
        await world.engine.start(uids["b"])
        assert (await world.info(uids["b"])).state is State.RUNNING

    both(act)


def test_ports_change_in_place(both: Both) -> None:
    async def act(world: World) -> None:
        uid = (await world.stand("a", ports=(PORT,)))["a"]
        await world.engine.start(uid)
        before = await world.info(uid)
        changed = replace(before.config, ports=(OTHER_PORT,))
        await world.engine.update(uid, changed)
        after = await world.info(uid)
        assert after.config == changed
        assert (after.uid, after.pid, after.started_at) == (before.uid, before.pid, before.started_at)

    both(act)


def test_who_stands_still_cannot_answer_and_has_not_failed_to(both: Both) -> None:
    async def act(world: World) -> None:
        uid = (await world.stand("a"))["a"]
        await world.engine.start(uid)
        before = (await world.info(uid)).config
        asked = Command(("sleep", "0.6"))
        assert (await world.engine.run(uid, asked, 10)).code == 0
        told: list[type[BaseException] | int] = []

        async def ask() -> None:
            try:
                told.append((await world.engine.run(uid, asked, 1)).code)
            except (Paused, TimeoutError) as error:
                told.append(type(error))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.sleep(0.2)
            await world.engine.update(uid, replace(before, paused=True))
        assert told == ([0] if isinstance(world.engine, FakeEngine) else [Paused]), "in the middle of it"
        with pytest.raises(Paused):
            await world.engine.run(uid, asked, 1)
        await world.engine.update(uid, before)
        assert (await world.engine.run(uid, asked, 10)).code == 0

    both(act)


def test_an_address_is_given_once(both: Both) -> None:
    async def act(world: World) -> None:
        await world.stand("a", "b")
        await world.engine.create(world.sandbox("c"))
        with pytest.raises(EngineError):
            await world.engine.create(world.endpoint("c", "10.61.0.5"))
        joined = [info.config.sandbox for info in (await world.look()).endpoints if info.whole]
        assert sorted(joined) == ["a", "b"]

    both(act)


def test_what_is_made_twice_is_there_once(both: Both) -> None:
    async def act(world: World) -> None:
        await world.stand("web")
        before = await world.all()
        for config in (world.image, world.network, world.sandbox(), world.endpoint(), world.container()):
            await world.engine.create(config)
        assert await world.all() == before

    both(act)


def test_of_two_that_differ_under_one_name_the_second_is_refused(both: Both) -> None:
    async def act(world: World) -> None:
        await world.stand("web")
        before = await world.all()
        for config in (
            replace(world.network, mtu=1400),
            replace(world.sandbox(), hostname="other"),
            world.container(environment=(("A", "1"),)),
        ):
            with pytest.raises(EngineError):
                await world.engine.create(config)
        assert await world.all() == before

    both(act)


def test_a_network_is_made_once(both: Both) -> None:
    async def act(world: World) -> None:
        await world.engine.create(world.network)
        (first,) = (await world.look()).networks
        with pytest.raises(EngineError):
            await world.engine.create(replace(world.network, project="other"))
        assert (await world.look()).networks == (first,)

    both(act)


def test_what_others_have_is_told_and_ones_own_is_not(both: Both) -> None:
    async def act(world: World) -> None:
        uid = (await world.stand("web", ports=(PORT,)))["web"]
        await world.engine.start(uid)
        theirs, own = await world.engine.taken("other"), await world.engine.taken("p")
        assert "10.61.0.0/24" in [subnet for subnet, _ in theirs.subnets]
        assert "10.61.0.0/24" not in [subnet for subnet, _ in own.subnets]
        assert replace(PORT, container_port=0) in [port for port, _ in theirs.ports]
        assert replace(PORT, container_port=0) not in [port for port, _ in own.ports]
        assert "p-web-1" in [name for name, _ in theirs.names]
        assert "p-web-1" not in [name for name, _ in own.names]
        assert ("p_lab", "10.61.0.5") in [(network, address) for network, address, _ in theirs.addresses]
        assert own.addresses == ()

    both(act)


def test_one_project_is_not_seen_by_another_but_networks_volumes_and_images_are(both: Both) -> None:
    async def act(world: World) -> None:
        await world.engine.create(world.volume)
        await world.stand("web")
        look = await world.engine.look("other")
        assert (look.sandboxes, look.endpoints, look.containers) == ((), (), ())
        seen: list[Info] = [*look.images, *look.volumes, *look.networks]
        assert [info.config for info in seen] == [world.image, world.volume, world.network]

    both(act)


# ------------------------------------------------------------------------------------------------ shared namespaces

PID_OF_WEB = Namespaces(pid=Of("web"))


async def in_namespace_of_web(world: World, namespaces: Namespaces) -> tuple[str, str]:
    uids = await world.stand("web")
    config = replace(world.container("guest", namespaces=namespaces), sandbox="web")
    await world.engine.create(config)
    return uids["web"], next(info.uid for info in (await world.look()).containers if info.config == config)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(10):
        while not await holds():  # noqa: ASYNC110 - both engines are looked at
            await anyio.sleep(0.005)


@pytest.mark.parametrize("namespaces", [PID_OF_WEB, Namespaces(ipc=Of("web"))])
def test_a_namespace_is_shared_with_a_run_and_only_while_there_is_one(both: Both, namespaces: Namespaces) -> None:
    async def act(world: World) -> None:
        web, guest = await in_namespace_of_web(world, namespaces)
        with pytest.raises(EngineError):
            await world.engine.start(guest)
        assert (await world.info(guest)).state is State.MADE
        await world.engine.start(web)
        await world.engine.start(guest)
        run = (await world.info(web)).started_at
        assert (await world.info(guest)).joined == (Joined("web", web, run),)
        await world.engine.stop(guest)
        assert (await world.info(guest)).joined == ()

    both(act)


def test_who_is_ended_with_its_pid_namespace_is_lost_and_one_that_is_killed_alone_is_not(both: Both) -> None:
    async def act(world: World) -> None:
        web, guest = await in_namespace_of_web(world, PID_OF_WEB)
        for victim, lost in ((guest, False), (web, True)):
            await world.engine.start(web)
            await world.engine.start(guest)
            await world.engine.signal(victim, 9)

            async def has_ended() -> bool:
                return (await world.info(guest)).state is State.EXITED

            await until(has_ended)
            ended = await world.info(guest)
            assert (ended.lost, ended.code) == (lost, 137)
        await world.engine.start(web)
        assert (await world.info(guest)).lost, "also when the other runs again"

    both(act)
