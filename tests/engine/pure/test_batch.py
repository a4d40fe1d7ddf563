"""Many callers, one piece of work."""

from collections.abc import Sequence

import anyio
import pytest
from anyio.lowlevel import checkpoint

from engine.batch import Batch, together

pytestmark = pytest.mark.anyio


class Work:
    """Takes until `go`, and fails as long as `error` is set."""

    def __init__(self) -> None:
        self.rounds: list[list[int]] = []
        self.begun, self.go = anyio.Event(), anyio.Event()
        self.error: Exception | None = None

    async def __call__(self, items: Sequence[int]) -> None:
        self.rounds.append(list(items))
        self.begun.set()
        await self.go.wait()
        if self.error:
            raise self.error


async def test_what_is_asked_for_during_a_round_is_served_together_by_the_next() -> None:
    work = Work()
    batch = Batch(work)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(batch.do, 1)
        await anyio.wait_all_tasks_blocked()
        for item in (2, 3, 4):
            tasks.start_soon(batch.do, item)
        await anyio.wait_all_tasks_blocked()
        work.go.set()
    assert work.rounds == [[1], [2, 3, 4]]


async def test_a_round_that_gathers_waits_for_those_who_come_soon() -> None:
    work = Work()
    work.go.set()
    batch = Batch(work, gather_s=0.02)
    async with anyio.create_task_group() as tasks:
        for item in (1, 2):
            tasks.start_soon(batch.do, item)
            await checkpoint()
            await checkpoint()
    assert work.rounds == [[1, 2]]


async def test_a_round_that_gathers_goes_on_to_wait_while_more_come_and_not_for_ever() -> None:
    work = Work()
    work.go.set()
    batch = Batch(work, gather_s=0.2)
    async with anyio.create_task_group() as tasks:
        for item in range(15):
            tasks.start_soon(batch.do, item)
            await anyio.sleep(0.02)
    assert work.rounds == [list(range(15))]
    batch = Batch(work, gather_s=0.001)
    async with anyio.create_task_group() as tasks:
        for item in range(200):
            tasks.start_soon(batch.do, item)
            await anyio.sleep(0.0002)
    assert len(work.rounds) > 2


async def test_all_that_goes_together_comes_to_its_end_and_the_first_failure_is_told() -> None:
    done = []

    async def fail() -> None:
        raise OSError("no")

    async def succeed() -> None:
        await anyio.sleep(0.01)
        done.append(1)

    with pytest.raises(OSError, match="no"):
        await together(fail, succeed)
    assert done == [1]


async def test_a_failure_is_everybodys_of_that_round() -> None:
    work, failed = Work(), []
    work.error = OSError("no")
    batch = Batch(work)

    async def ask(item: int) -> None:
        try:
            await batch.do(item)
        except OSError:
            failed.append(item)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, 1)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(ask, 2)
        tasks.start_soon(ask, 3)
        await anyio.wait_all_tasks_blocked()
        work.go.set()
    assert sorted(failed) == [1, 2, 3]
    work.error = None
    await batch.do(4)
    assert work.rounds == [[1], [2, 3], [4]]


async def test_a_round_whose_leader_is_cancelled_is_done_by_another() -> None:
    work, served = Work(), []
    batch = Batch(work)
    leader = anyio.CancelScope()

    async def lead() -> None:
        with leader:
            await batch.do(1)

    async def ask(item: int) -> None:
        await batch.do(item)
        served.append(item)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lead)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(ask, 2)
        await anyio.wait_all_tasks_blocked()
        leader.cancel()
        await anyio.wait_all_tasks_blocked()
        work.go.set()
    assert served == [2]
    assert work.rounds[:2] == [[1], [1, 2]]


async def test_who_waits_for_the_same_round_is_not_told_that_a_cancelled_one_was_done() -> None:
    work, served = Work(), []
    batch = Batch(work, gather_s=0.01)
    leader = anyio.CancelScope()

    async def lead() -> None:
        with leader:
            await batch.do(1)

    async def ask() -> None:
        await batch.do(2)
        served.append(2)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lead)
        tasks.start_soon(ask)
        await work.begun.wait()
        leader.cancel()
        await anyio.wait_all_tasks_blocked()
        assert served == []
        work.go.set()
    assert work.rounds == [[1, 2], [1, 2]]
    assert served == [2]
