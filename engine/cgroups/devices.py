"""Which device nodes a container may open and make.

On v1 the rules are written as text. On v2 they are a BPF program that the kernel asks at every open and mknod: hand
assembled here, verified by the kernel, attached to the cgroup. A new program is attached before the old one is taken
off, and while both are there both must agree, so a replacement never leaves a gap.
"""

import os
import struct
from dataclasses import dataclass

from engine.errors import EngineError
from engine.process import syscalls


@dataclass(frozen=True, slots=True)
class Rule:
    """`kind`: "c" or "b"; `major`, `minor`: None means any; `access`: of "r", "w" and "m" (mknod)."""

    kind: str
    major: int | None
    minor: int | None
    access: str

    def __str__(self) -> str:
        major, minor = ("*" if number is None else str(number) for number in (self.major, self.minor))
        return f"{self.kind} {major}:{minor} {self.access}"


DEFAULT = (
    Rule("c", None, None, "m"),
    Rule("b", None, None, "m"),
    Rule("c", 1, 3, "rwm"),  # /dev/null
    Rule("c", 1, 5, "rwm"),  # /dev/zero
    Rule("c", 1, 7, "rwm"),  # /dev/full
    Rule("c", 1, 8, "rwm"),  # /dev/random
    Rule("c", 1, 9, "rwm"),  # /dev/urandom
    Rule("c", 5, 0, "rwm"),  # /dev/tty
    Rule("c", 5, 2, "rwm"),  # /dev/ptmx
    Rule("c", 136, None, "rwm"),  # /dev/pts/*
)
"""What Docker allows: any node may be made, these may be opened. moby, daemon/pkg/oci/defaults.go"""

_KINDS = {"b": 1, "c": 2}  # linux/bpf.h, BPF_DEVCG_DEV_*
_ACCESS = {"m": 1, "r": 2, "w": 4}  # linux/bpf.h, BPF_DEVCG_ACC_*
_ANY_ACCESS = 7

# linux/bpf_common.h and linux/bpf.h: class, size or source, operation
_LOAD_WORD = 0x61  # BPF_LDX | BPF_MEM | BPF_W
_MOVE = 0xBC  # BPF_ALU | BPF_MOV | BPF_X
_SET = 0xB4  # BPF_ALU | BPF_MOV | BPF_K
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_SHIFT_RIGHT = 0x74  # BPF_ALU | BPF_RSH | BPF_K
_JUMP_IF_NOT = 0x55  # BPF_JMP | BPF_JNE | BPF_K
_EXIT = 0x95  # BPF_JMP | BPF_EXIT

_RESULT, _CONTEXT, _WORK, _ACCESS_ASKED, _MAJOR, _MINOR, _KIND = 0, 1, 1, 2, 4, 5, 6  # registers


def program(rules: tuple[Rule, ...]) -> bytes:
    """The BPF_PROG_TYPE_CGROUP_DEVICE program that allows what any rule allows, and nothing else."""
    code = [
        _instruction(_LOAD_WORD, _ACCESS_ASKED, _CONTEXT, 0),  # struct bpf_cgroup_dev_ctx: access_type, major, minor
        _instruction(_MOVE, _KIND, _ACCESS_ASKED),
        _instruction(_AND, _KIND, value=0xFFFF),
        _instruction(_SHIFT_RIGHT, _ACCESS_ASKED, value=16),
        _instruction(_LOAD_WORD, _MAJOR, _CONTEXT, 4),
        _instruction(_LOAD_WORD, _MINOR, _CONTEXT, 8),
    ]
    for rule in rules:
        code += _block(rule)
    return b"".join([*code, _instruction(_SET, _RESULT, value=0), _instruction(_EXIT)])


def _block(rule: Rule) -> list[bytes]:
    """Returns 1 if the rule allows what is asked, falls through otherwise."""
    allowed = sum(_ACCESS[letter] for letter in set(rule.access))
    tests = [(_KIND, _KINDS[rule.kind])]
    tests += [(_MAJOR, rule.major)] if rule.major is not None else []
    tests += [(_MINOR, rule.minor)] if rule.minor is not None else []
    ending = [_instruction(_SET, _RESULT, value=1), _instruction(_EXIT)]
    code = [
        _instruction(_MOVE, _WORK, _ACCESS_ASKED),
        _instruction(_AND, _WORK, value=_ANY_ACCESS & ~allowed),
    ]
    tests.insert(0, (_WORK, 0))
    for index, (register, value) in enumerate(tests):
        behind = len(tests) - index - 1 + len(ending)
        code.append(_instruction(_JUMP_IF_NOT, register, offset=behind, value=value))
    return code + ending


def _instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | target, offset, value)  # linux/bpf.h, struct bpf_insn


def attach(v2_directory: str, code: bytes) -> None:
    """Make the program the cgroup's only device filter. Raises EngineError; the filters that were there stay then."""
    try:
        descriptor = os.open(v2_directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise EngineError(f"cannot restrict the devices of {v2_directory}: {error.strerror}") from error
    try:
        before = syscalls.bpf_devices_attached(descriptor)
        syscalls.bpf_devices_attach(descriptor, code)
        for program_id in before:
            syscalls.bpf_devices_detach(descriptor, program_id)
    except OSError as error:
        raise EngineError(f"cannot restrict the devices of {v2_directory}: {error}") from error
    finally:
        os.close(descriptor)
