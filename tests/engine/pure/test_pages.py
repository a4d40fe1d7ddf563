"""Pages that are given back are as they were, however they came to be so."""

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

from engine.process import page_program, pages, syscalls

TOP = str(pathlib.Path(__file__).parents[3])
pytestmark = pytest.mark.skipif(not page_program.code(), reason="another processor than those the code is for")

SCRIPT = """\
import ctypes, json, mmap, os, re, signal, sys
from engine.process import pages

def own():  # kB of copies
    text = open("/proc/self/smaps_rollup").read()
    return int(re.search(r"Anonymous: *(\\d+)", text)[1])

signal.signal(signal.SIGINT, signal.SIG_DFL)
libc = ctypes.PyDLL(None)
libc.mmap.restype = ctypes.c_ssize_t
libc.mmap.argtypes = (ctypes.c_ssize_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
PRIVATE, FIXED, ANONYMOUS = 2, 0x10, 0x20
place = libc.mmap(0, 1 << 16, 3, PRIVATE | ANONYMOUS, -1, 0)
ctypes.memset(place, 120, 1 << 16)
things = [{"number": number, "text": str(number) * 20} for number in range(20000)]
before = json.dumps(things)
shared = pages.prepare()
shared.share()
if os.fork() == 0:
    try:
        BODY
        os._exit(0)
    finally:
        os._exit(1)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def run(body: str) -> str:
    script = SCRIPT.replace("BODY", textwrap.indent(textwrap.dedent(body), " " * 8).strip())
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {TOP!r})\n{script}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_was_only_looked_at_is_the_parents_again() -> None:
    """References counted up and down are all that a walk over the things comes to."""
    out = run("""
        assert shared.give_back() < 400
        before_kb = own()
        for thing in things:
            for key in thing:
                key, thing[key]
        after_kb = own()
        count = shared.give_back()
        print(before_kb, after_kb, own(), count, flush=True)
    """)
    before_kb, after_kb, then_kb, count = map(int, out.split())
    assert after_kb - before_kb > 2000  # pages of 40,000 objects
    assert then_kb - before_kb < (after_kb - before_kb) / 10
    assert 4 * count > (after_kb - before_kb) * 0.9


def test_what_was_changed_stays_changed() -> None:
    run("""
        for number, thing in enumerate(things):
            if number % 100 == 0:
                thing["text"] = "changed"
        assert shared.give_back() > 0
        assert all((thing["text"] == "changed") == (number % 100 == 0) for number, thing in enumerate(things))
    """)


def test_any_number_of_times_while_it_works() -> None:
    run("""
        for turn in range(30):
            assert json.dumps(things) == before
            made = [bytes(turn) * 100 for _ in range(5000)]
            assert shared.give_back() > 0
            assert json.loads(before) == things
            del made
            shared.give_back()
    """)


def test_memory_that_is_no_longer_the_files_is_not_lost() -> None:
    """Where something else was mapped since, the kernel gives zeros for what is dropped."""
    run("""
        assert libc.mmap(place, 1 << 16, 3, PRIVATE | FIXED | ANONYMOUS, -1, 0) == place
        ctypes.memset(place, 120, 1 << 16)
        shared.give_back()
        assert ctypes.string_at(place, 1 << 16) == b"x" * (1 << 16)
    """)


def test_a_shim_that_cannot_know_its_copies_keeps_them() -> None:
    run("""
        def refuse(*_):
            raise FileNotFoundError
        os.open = refuse
        assert shared.give_back() == 0
    """)


def test_the_file_cannot_be_written_to() -> None:
    run("""
        names = {os.readlink(f"/proc/self/fd/{number}"): int(number) for number in os.listdir("/proc/self/fd") if int(number) > 2
                 and os.path.exists(f"/proc/self/fd/{number}")}
        (file,) = [number for name, number in names.items() if "corral-zygote" in name]
        try:
            os.write(file, b"x")
        except PermissionError:
            os._exit(0)
    """)


def test_it_can_be_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "missing", {"shared-pages"})
    assert pages.prepare() is None


def test_where_the_system_refuses_all_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "memfd_create", refuse)
    assert pages.prepare() is None
