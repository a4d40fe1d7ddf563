"""A program is told and asked, and ends; nothing of it stays."""

import gc
import os
import pathlib
import signal

import anyio
import pytest

from engine import programs

pytestmark = pytest.mark.anyio


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def children() -> str:
    return pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text()


async def test_it_reads_what_it_is_given_and_all_that_it_says_is_heard() -> None:
    await programs.run(["true"])
    before = descriptors()
    done = await programs.run(["sh", "-c", "cat; cat >&2; echo 'of  no\n use' >&2; exit 3"], "é" * 1_000_000)
    assert (done.code, done.out, done.words) == (3, "é" * 1_000_000, "of no use")
    assert descriptors() == before


async def test_bytes_that_are_no_text_and_an_end_by_signal() -> None:
    done = await programs.run(["sh", "-c", "printf 'a\\377'; kill -9 $$"])
    assert done == (-signal.SIGKILL, "a\ufffd", "")


async def test_one_that_is_not_there_is_an_error_of_the_system() -> None:
    before = descriptors()
    with pytest.raises(FileNotFoundError):
        await programs.run(["/no/such"])
    assert descriptors() == before


async def test_it_goes_with_who_waits_for_it() -> None:
    before = descriptors(), children()
    with anyio.move_on_after(0.1) as scope:
        await programs.run(["sh", "-c", "trap '' TERM; exec sleep 1000"])
    assert scope.cancelled_caught
    assert (descriptors(), children()) == before


async def test_it_leaves_nothing_that_only_the_collector_can_take_away() -> None:
    text = "word\n" * 2000
    await programs.run(["cat"], text)
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            await programs.run(["cat"], text)
        assert gc.collect() < 10
    finally:
        gc.enable()
