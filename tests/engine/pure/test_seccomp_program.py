"""The seccomp program, run by a small machine of our own over every system call."""

import itertools
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import TerminalEngineError
from engine.rights import seccomp

ALLOW, KILL_PROCESS = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x00050001, 0x00050026
ARCHITECTURES = ["x86_64", "aarch64"]
NAMES = """
    CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE
"""
DOCKER = frozenset(f"CAP_{name}" for name in NAMES.split())
DENIED = """
    mount umount2 pivot_root unshare setns keyctl add_key request_key bpf perf_event_open userfaultfd io_uring_setup kexec_load
    init_module finit_module delete_module reboot swapon open_by_handle_at move_mount fsopen open_tree settimeofday
    clock_settime acct quotactl syslog kcmp pidfd_getfd sethostname
"""
WIDE = 0xFFFFFFFFFFFFFFFF


def run(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What the kernel's own interpreter would return. linux/filter.h"""
    padded = (*(argument & WIDE for argument in arguments), 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *padded)
    code = list(struct.iter_unpack("=HBBI", program))
    position, accumulator = 0, 0
    while True:
        operation, yes, no, value = code[position]
        position += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x54:
                accumulator &= value
            case 0x05:
                position += value
            case 0x15:
                position += yes if accumulator == value else no
            case 0x25:
                position += yes if accumulator > value else no
            case 0x35:
                position += yes if accumulator >= value else no
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"unexpected instruction {operation:#x}")


class Filter:
    def __init__(
        self, profile: dict[str, Any], architecture: str = "x86_64", capabilities: frozenset[str] = DOCKER
    ) -> None:
        self.numbers = seccomp.numbers(architecture)
        self.audit = seccomp.AUDIT[architecture]
        self.program = seccomp.compile(profile, capabilities, architecture, kernel=(6, 1))

    def __call__(self, call: str | int, *arguments: int) -> int:
        number = call if isinstance(call, int) else self.numbers[call]
        return run(self.program, self.audit, number, *arguments)


@pytest.fixture(params=ARCHITECTURES)
def default(request: pytest.FixtureRequest) -> Filter:
    return Filter(seccomp.default_profile(), request.param)


# ------------------------------------------------------------------------------------------------------ the default profile


def test_every_call_gets_exactly_what_the_profile_says(default: Filter) -> None:
    """Read straight off the profile, without any of the compiler's steps."""
    profile = seccomp.default_profile()
    allowed, conditional = set(), set()
    for entry in profile["syscalls"]:
        includes, excludes = entry.get("includes", {}), entry.get("excludes", {})
        arch = "amd64" if default.audit == seccomp.AUDIT["x86_64"] else "arm64"
        if arch not in includes.get("arches", [arch]) or not set(includes.get("caps", [])) <= DOCKER:
            continue
        if set(excludes.get("caps", [])) & DOCKER:
            continue
        (conditional if entry.get("args") or entry["action"] != "SCMP_ACT_ALLOW" else allowed).update(entry["names"])
    newest = max(
        number for name, number in default.numbers.items() if any(name in e["names"] for e in profile["syscalls"])
    )
    names = {number: name for name, number in default.numbers.items()}
    for number in itertools.chain(range(1024), (0x3FFFFFFF,)):
        name = names.get(number, "")
        if name in conditional:
            continue
        expected = ALLOW if name in allowed else EPERM if number <= newest else ENOSYS
        assert default(number, 1, 2, 3) == expected, (number, name)


def test_the_calls_that_break_out_are_denied(default: Filter) -> None:
    for call in DENIED.split():
        assert default(call) == EPERM, call


def test_clone_makes_processes_and_threads_but_no_namespaces(default: Filter) -> None:
    thread = 0x3D0F00
    assert default("clone", 17) == default("clone", thread) == ALLOW
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert default("clone", 17 | flag) == EPERM, hex(flag)
        assert default("clone", thread | flag | 1 << 40) == EPERM, hex(flag)
    assert default("clone3") == ENOSYS


def test_sockets_of_families_in_use_only(default: Filter) -> None:
    allowed = {family for family in range(64) if default("socket", family) == ALLOW}
    assert {1, 2, 10, 16, 17} <= allowed
    assert allowed <= set(range(46))
    af_alg, af_vsock, af_rxrpc = 38, 40, 33
    assert not {af_alg, af_vsock, af_rxrpc} & allowed
    assert default("socket", af_alg | 1 << 32) == EPERM
    assert default("socket", WIDE) == EPERM
    assert default("socketpair", 1) == ALLOW


def test_personality_takes_five_values(default: Filter) -> None:
    values = {0, 8, 0x20000, 0x20008, 0xFFFFFFFF}
    for value in values | {1, 9, 0x40000, 1 << 32, WIDE}:
        assert default("personality", value) == (ALLOW if value in values else EPERM), hex(value)


def test_calls_newer_than_the_profile_do_not_exist(default: Filter) -> None:
    for number in (467, 500, 4095, 0x3FFFFFFF):
        assert default(number) == ENOSYS


def test_other_architectures_are_killed() -> None:
    for architecture, others in (("x86_64", (0x40000003, 0xC00000B7)), ("aarch64", (0x40000028, 0xC000003E))):
        program = seccomp.compile(seccomp.default_profile(), DOCKER, architecture)
        for other in others:
            assert run(program, other, 0) == KILL_PROCESS
            assert run(program, other, 0x40000000) == KILL_PROCESS


def test_x32_does_not_exist() -> None:
    subject = Filter(seccomp.default_profile())
    for number in (0x40000000, 0x40000001, 0x40000000 + 435, 0xFFFFFFFF):
        assert subject(number) == ENOSYS


def test_capabilities_open_their_calls(default: Filter) -> None:
    architecture = "x86_64" if default.audit == seccomp.AUDIT["x86_64"] else "aarch64"
    admin = Filter(seccomp.default_profile(), architecture, DOCKER | {"CAP_SYS_ADMIN"})
    for call in ("mount", "setns", "unshare", "clone3", "bpf"):
        assert admin(call) == ALLOW, call
    assert admin("clone", 17 | 0x10000000) == ALLOW
    assert admin("keyctl") == EPERM
    assert default("chroot") == ALLOW
    assert Filter(seccomp.default_profile(), architecture, frozenset())("chroot") == EPERM


def test_the_program_fits_and_jumps_stay_inside(default: Filter) -> None:
    code = list(struct.iter_unpack("=HBBI", default.program))
    assert len(code) < 600
    for position, (operation, yes, no, value) in enumerate(code):
        if operation & 7 == 5:
            targets = [value] if operation == 5 else [yes, no]
            assert all(position + 1 + target < len(code) for target in targets)


def test_the_profile_names_only_calls_that_exist_and_none_twice() -> None:
    known = set().union(*(seccomp.numbers(architecture) for architecture in ARCHITECTURES))
    unconditional: set[str] = set()
    for entry in seccomp.default_profile()["syscalls"]:
        assert set(entry["names"]) <= known
        if not entry.keys() & {"args", "includes", "excludes"}:
            assert not unconditional & set(entry["names"])
            unconditional |= set(entry["names"])


def test_numbers_are_the_kernels() -> None:
    x86, arm = seccomp.numbers("x86_64"), seccomp.numbers("aarch64")
    assert (x86["read"], x86["execve"], x86["clone3"], x86["mseal"]) == (0, 59, 435, 462)
    assert (arm["read"], arm["execve"], arm["clone3"], arm["mseal"]) == (63, 221, 435, 462)
    for table in (x86, arm):
        assert len(set(table.values())) == len(table)
    assert {name for name in x86 if x86[name] >= 424} == {name for name in arm if arm[name] >= 424}


# ---------------------------------------------------------------------------------------------------------- other profiles


def profile(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(entries), **more}


def entry(*names: str, action: str = "SCMP_ACT_ALLOW", **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **more}


def condition(index: int, operator: str, value: int, second: int = 0) -> dict[str, Any]:
    return {"index": index, "op": f"SCMP_CMP_{operator}", "value": value, "valueTwo": second}


MEANING = {
    "EQ": lambda argument, value, second: argument == value,
    "NE": lambda argument, value, second: argument != value,
    "LT": lambda argument, value, second: argument < value,
    "LE": lambda argument, value, second: argument <= value,
    "GT": lambda argument, value, second: argument > value,
    "GE": lambda argument, value, second: argument >= value,
    "MASKED_EQ": lambda argument, value, second: argument & value == second,
}
NUMBERS = st.sampled_from([0, 1, 2, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 1, 1 << 63, WIDE]) | st.integers(
    0, WIDE
)


@given(
    conditions=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(sorted(MEANING)), NUMBERS, NUMBERS), max_size=6),
    arguments=st.lists(NUMBERS, min_size=6, max_size=6),
    near=st.booleans(),
)
def test_comparisons_mean_what_they_say(
    conditions: list[tuple[int, str, int, int]], arguments: list[int], near: bool
) -> None:
    if near:
        for index, _, value, second in conditions:
            arguments[index] = value if arguments[index] % 2 else second
    subject = Filter(profile(entry("read", args=[condition(*each) for each in conditions]), entry("write")))
    held = [MEANING[operator](arguments[index], value, second) for index, operator, value, second in conditions]
    together = len({each[0] for each in conditions}) == len(conditions)
    expected = all(held) if together else any(held)
    assert subject("read", *arguments) == (ALLOW if expected else EPERM)
    assert subject("write", *arguments) == ALLOW


@given(st.sets(st.sampled_from(sorted(seccomp.numbers("x86_64"))), min_size=1), st.integers(0, 700))
def test_any_set_of_names(names: set[str], number: int) -> None:
    subject = Filter(profile(entry(*names)))
    wanted = {subject.numbers[name] for name in names}
    assert subject(number) == (ALLOW if number in wanted else EPERM if number <= max(wanted) else ENOSYS)


def test_a_denying_profile_with_allow_as_default_allows_new_calls() -> None:
    subject = Filter(profile(entry("chmod", action="SCMP_ACT_ERRNO", errnoRet=13), defaultAction="SCMP_ACT_ALLOW"))
    assert subject("chmod") == 0x0005000D
    assert subject(900) == subject("read") == ALLOW


def test_of_two_answers_the_first_stands() -> None:
    subject = Filter(profile(entry("read", "write"), entry("read", action="SCMP_ACT_KILL_PROCESS")))
    assert subject("read") == ALLOW


def test_actions_and_old_forms() -> None:
    subject = Filter(
        profile(
            {"name": "read", "action": "SCMP_ACT_ALLOW"},
            entry("write", action="SCMP_ACT_LOG"),
            entry("open", action="SCMP_ACT_KILL_PROCESS"),
            entry("no_such_call_at_all", "stat64"),
            entry("stat", args=None, includes={"minKernel": "4.8"}),
            entry("lstat", includes={"minKernel": "6.2"}),
            entry("fstat", excludes={"arches": ["amd64"]}),
            entry("close", includes={"arches": ["arm64"]}),
            entry("mmap"),
            defaultErrnoRet=22,
        )
    )
    assert [subject(name) for name in ("read", "write", "open", "stat", "lstat", "fstat", "close")] == [
        ALLOW,
        0x7FFC0000,
        KILL_PROCESS,
        ALLOW,
        0x00050016,
        0x00050016,
        0x00050016,
    ]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (profile(entry("read", action="SCMP_ACT_NOTIFY")), "action SCMP_ACT_NOTIFY is not supported"),
        (profile(defaultAction="NO"), "defaultAction NO is not supported"),
        (profile(entry("read", args=[condition(6, "EQ", 0)])), "no such comparison"),
        (profile(entry("read", args=[condition(0, "LIKE", 0)])), "no such comparison"),
        (profile(entry("read", args="x")), "args is not a list"),
        (profile("x"), "not a mapping"),  # type: ignore[arg-type]
        (
            profile(*(entry("read", args=[condition(0, "EQ", value)]) for value in range(1000))),
            "5006 instructions|instructions, and 4096 are allowed",
        ),
    ],
)
def test_profiles_that_cannot_be_enforced_are_refused(broken: dict[str, Any], message: str) -> None:
    with pytest.raises(TerminalEngineError, match=f"cannot compile the seccomp profile: .*({message})"):
        Filter(broken)


def test_the_same_profile_gives_the_same_program() -> None:
    text = json.dumps(seccomp.default_profile(), sort_keys=True)
    again = seccomp.compile(json.loads(text), DOCKER, "x86_64", kernel=(6, 1))
    assert again == Filter(seccomp.default_profile()).program
