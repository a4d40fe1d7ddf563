"""Turns a seccomp profile into the BPF program that a container's processes are filtered by.

The profile's format is Docker's (https://docs.docker.com/engine/security/seccomp/); the default profile is
`seccomp_default.json`. The numbers of system calls are in `seccomp_numbers.json` (asm/unistd_64.h of x86_64, and
asm-generic/unistd.h as arm64 sets it up, Linux 6.17).

The program first checks the architecture: only the native one may be used, since the other ABIs of a machine have other
numbers and pass arguments by pointer (i386's socketcall), where no filter can see them. A process that uses another is
killed; x86_64's x32 numbers get ENOSYS, as from a kernel without x32. Then a binary search over the number leads to an
answer, or to comparisons of arguments. A number newer than all that the profile names gets ENOSYS: C libraries try new
calls first and fall back on ENOSYS only.
"""

import json
import os
import struct

from engine.errors import TerminalEngineError

Json = dict[str, object]

_HERE = os.path.dirname(os.path.abspath(__file__))
MAX_INSTRUCTIONS = 4096  # linux/bpf_common.h, BPF_MAXINSNS

# linux/audit.h, AUDIT_ARCH_*; and the names that profiles use (GOARCH, as Docker does)
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
PROFILE_NAME = {"x86_64": "amd64", "aarch64": "arm64"}
_X32_BIT = 0x40000000  # asm/unistd.h, __X32_SYSCALL_BIT

# linux/seccomp.h, SECCOMP_RET_*: name -> (value, its low half carries an errno)
_ACTIONS = {
    "SCMP_ACT_ALLOW": (0x7FFF0000, False),
    "SCMP_ACT_LOG": (0x7FFC0000, False),
    "SCMP_ACT_ERRNO": (0x00050000, True),
    "SCMP_ACT_TRAP": (0x00030000, False),
    "SCMP_ACT_KILL": (0x00000000, False),
    "SCMP_ACT_KILL_THREAD": (0x00000000, False),
    "SCMP_ACT_KILL_PROCESS": (0x80000000, False),
}
_EPERM, _ENOSYS = 1, 38
_ERRNO, _KILL_PROCESS = 0x00050000, 0x80000000
_SOFT = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")

# struct seccomp_data: nr, arch, instruction_pointer, args[6]; little-endian halves
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16

# linux/bpf_common.h
_LOAD, _AND, _RETURN, _JUMP = 0x20, 0x54, 0x06, 0x05
_EQUAL, _ABOVE, _AT_LEAST = 0x15, 0x25, 0x35

Instruction = tuple[int, int, int, int]
"""code, offset if true, offset if false, value"""
Condition = tuple[int, str, int, int]
"""argument's index, operator, value, second value"""
Rule = tuple[tuple[Condition, ...], int]
"""What must hold of the arguments (all of it), and the answer then"""


def default_profile() -> Json:
    """The profile for containers of which nothing else is asked."""
    return _json_of("seccomp_default.json")


def numbers(architecture: str) -> dict[str, int]:
    """Mapping from name to number of all known system calls of "x86_64" or "aarch64"."""
    return {
        name: _integer(number) for name, number in _table_of(_json_of("seccomp_numbers.json"), architecture).items()
    }


def compile(  # noqa: A001 - what it does
    profile: Json, capabilities: frozenset[str], architecture: str, *, kernel: tuple[int, int] | None = None
) -> bytes:
    """The program for a process with these capabilities ("CAP_CHOWN", …), as `seccomp(2)` takes it. Names that the
    architecture does not have are skipped. `kernel`: the version that the profile's `minKernel` asks about, the running
    one if None. Raises TerminalEngineError for a profile that cannot be enforced, naming the part of it."""
    known = numbers(architecture)
    default = _answer(profile, "defaultAction", "defaultErrnoRet")
    rules, newest = _rules_of(profile, known, (capabilities, PROFILE_NAME[architecture], kernel or _running_kernel()))
    code = _assemble(rules, default, newest if profile["defaultAction"] not in _SOFT else 0xFFFFFFFF, architecture)
    if len(code) > MAX_INSTRUCTIONS:
        raise _refusal(f"{len(code)} instructions, and {MAX_INSTRUCTIONS} are allowed")
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


# ---------------------------------------------------------------------------------------------------- profile to rules

Machine = tuple[frozenset[str], str, tuple[int, int]]
"""capabilities, architecture by its profile name, kernel"""


def _rules_of(profile: Json, known: dict[str, int], machine: Machine) -> tuple[dict[int, list[Rule]], int]:
    """Mapping from number to its rules in the profile's order, and the newest number that the profile names at all."""
    rules: dict[int, list[Rule]] = {}
    newest = 0
    for entry in map(_as_table, _list_of(profile, "syscalls")):
        names = [known[name] for name in _names_of(entry) if name in known]
        newest = max(newest, *names, 0)
        if not _applies(entry, machine):
            continue
        answer = _answer(entry, "action", "errnoRet")
        for number in names:
            for conditions in _alternatives(entry):
                _add(rules.setdefault(number, []), (conditions, answer))
    return rules, newest


def _names_of(entry: Json) -> list[str]:
    return [str(name) for name in _list_of(entry, "names") or [entry[key] for key in ("name",) if key in entry]]


def _add(rules: list[Rule], rule: Rule) -> None:
    """Of two answers to the same question the first stands, as with libseccomp."""
    if rule[0] not in (conditions for conditions, _ in rules):
        rules.append(rule)


def _applies(entry: Json, machine: Machine) -> bool:
    includes, excludes = _table_of(entry, "includes"), _table_of(entry, "excludes")
    capabilities, architecture, kernel = machine
    if _list_of(includes, "arches") and architecture not in _list_of(includes, "arches"):
        return False
    if not _words_of(includes, "caps") <= capabilities:
        return False
    if includes.get("minKernel") and kernel < _asked_version(includes):
        return False
    if architecture in _list_of(excludes, "arches") or _words_of(excludes, "caps") & capabilities:
        return False
    return not (excludes.get("minKernel") and kernel >= _asked_version(excludes))


def _words_of(entry: Json, key: str) -> set[str]:
    return {str(each) for each in _list_of(entry, key)}


def _asked_version(entry: Json) -> tuple[int, int]:
    try:
        return _version(str(entry["minKernel"]))
    except ValueError:
        raise _refusal(f"no version of a kernel: {entry['minKernel']!r}") from None


def _alternatives(entry: Json) -> list[tuple[Condition, ...]]:
    """The entry's conditions: all together, or, where two are on one argument, each by itself (as runc has it)."""
    conditions = [_condition_of(_as_table(each)) for each in _list_of(entry, "args")]
    if len({condition[0] for condition in conditions}) < len(conditions):
        return [(condition,) for condition in conditions]
    return [tuple(conditions)]


def _condition_of(argument: Json) -> Condition:
    index, operator = _integer(argument.get("index")), str(argument.get("op")).removeprefix("SCMP_CMP_")
    if operator not in _COMPARISONS or not 0 <= index < 6:
        raise _refusal(f"no such comparison: {argument}")
    return index, operator, _integer(argument.get("value")), _integer(argument.get("valueTwo"))


def _answer(entry: Json, action_key: str, errno_key: str) -> int:
    action = str(entry.get(action_key))
    if action not in _ACTIONS:
        raise _refusal(f"{action_key} {action} is not supported")
    value, has_errno = _ACTIONS[action]
    errno = entry.get(errno_key)
    return value | ((_EPERM if errno is None else _integer(errno) & 0xFFFF) if has_errno else 0)


def _list_of(entry: Json, key: str) -> list[object]:
    value = entry.get(key) or []
    if not isinstance(value, list):
        raise _refusal(f"{key} is not a list: {value!r}")
    return value


def _table_of(entry: Json, key: str) -> Json:
    return _as_table(entry.get(key) or {})


def _as_table(value: object) -> Json:
    if not isinstance(value, dict):
        raise _refusal(f"not a mapping: {value!r}")
    return value


def _integer(value: object) -> int:
    if not isinstance(value or 0, int) or not 0 <= int(value or 0) < 1 << 64:  # type: ignore[call-overload]
        raise _refusal(f"not an integer of 64 bits: {value!r}")
    return int(value or 0)  # type: ignore[call-overload, no-any-return]


def _refusal(why: str) -> TerminalEngineError:
    return TerminalEngineError(f"cannot compile the seccomp profile: {why}")


# ---------------------------------------------------------------------------------------------------- rules to program


def _assemble(rules: dict[int, list[Rule]], default: int, newest: int, architecture: str) -> list[Instruction]:
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, AUDIT[architecture]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    if architecture == "x86_64":
        code += [(_AT_LEAST, 0, 1, _X32_BIT), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    return code + _search(_ranges_of(rules, default, newest))


Block = tuple[Instruction, ...]


def _ranges_of(rules: dict[int, list[Rule]], default: int, newest: int) -> list[tuple[int, Block]]:
    """(first number, what to do from there on) pairs, ascending, from 0."""
    ranges: list[tuple[int, Block]] = []

    def append(start: int, block: Block) -> None:
        if not ranges or ranges[-1][1] != block:
            ranges.append((start, block))

    unnamed: Block = ((_RETURN, 0, 0, default),)
    append(0, unnamed)
    for number in sorted(rules):
        if ranges[-1][0] == number:
            ranges.pop()
        append(number, _block(rules[number], default))
        append(number + 1, unnamed)
    if newest < 0xFFFFFFFF:
        if ranges[-1][0] == newest + 1:
            ranges.pop()
        append(newest + 1, ((_RETURN, 0, 0, _ERRNO | _ENOSYS),))
    return ranges


def _search(ranges: list[tuple[int, Block]]) -> list[Instruction]:
    if len(ranges) == 1:
        return list(ranges[0][1])
    middle = len(ranges) // 2
    below, above = _search(ranges[:middle]), _search(ranges[middle:])
    first = ranges[middle][0]
    if len(below) <= 255:
        return [(_AT_LEAST, len(below), 0, first), *below, *above]
    return [(_AT_LEAST, 0, 1, first), (_JUMP, 0, 0, len(below)), *below, *above]


def _block(rules: list[Rule], default: int) -> Block:
    """The first rule whose conditions hold answers; one without conditions is asked last."""
    code: list[Instruction] = []
    last = default
    for conditions, answer in rules:
        if conditions:
            code += _conditional(conditions, answer)
        else:
            last = answer
    return (*code, (_RETURN, 0, 0, last))


def _conditional(conditions: tuple[Condition, ...], answer: int) -> list[Instruction]:
    """Returns the answer if all conditions hold, falls through to what follows otherwise."""
    code: list[Instruction] = [(_RETURN, 0, 0, answer)]
    for condition in reversed(conditions):
        code = _comparison(condition, len(code)) + code
    return code


def _comparison(condition: Condition, behind: int) -> list[Instruction]:
    """Falls through if the condition holds, jumps over the `behind` instructions that follow otherwise. Arguments have
    64 bits and the machine of the filter 32, so each half is looked at."""
    index, operator, value, second = condition
    operator, negated = _COMPARISONS[operator]
    low_at = _ARGUMENTS_AT + 8 * index
    mask = value if operator == "MASKED" else 0xFFFFFFFFFFFFFFFF
    wanted = second if operator == "MASKED" else value
    high, low = wanted >> 32 & 0xFFFFFFFF, wanted & 0xFFFFFFFF
    last = {"EQ": _EQUAL, "MASKED": _EQUAL, "GT": _ABOVE, "GE": _AT_LEAST}[operator]
    yes, no = (behind, 0) if negated else (0, behind)
    ending: list[Instruction] = [(_LOAD, 0, 0, low_at), *_masked(mask & 0xFFFFFFFF), (last, yes, no, low)]
    start: list[Instruction] = [(_LOAD, 0, 0, low_at + 4), *_masked(mask >> 32)]
    if operator in ("GT", "GE"):
        start.append((_ABOVE, len(ending) + 1 + yes, 0, high))
    return [*start, (_EQUAL, 0, len(ending) + no, high), *ending]


_COMPARISONS = {
    "EQ": ("EQ", False),
    "NE": ("EQ", True),
    "MASKED_EQ": ("MASKED", False),
    "GT": ("GT", False),
    "LE": ("GT", True),
    "GE": ("GE", False),
    "LT": ("GE", True),
}
"""Operator -> the one it is made of, and whether it is its opposite."""


def _masked(mask: int) -> list[Instruction]:
    return [] if mask == 0xFFFFFFFF else [(_AND, 0, 0, mask)]


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int("".join(character for character in minor.partition(".")[0] if character.isdigit()) or 0)


def _running_kernel() -> tuple[int, int]:
    return _version(os.uname().release)


def _json_of(name: str) -> Json:
    with open(os.path.join(_HERE, name), encoding="utf-8") as file:
        content: Json = json.load(file)
    return content
