"""The init as a program of 300 bytes, for processors that we know: a Python that waits has 2.5 MB of its own, in every container.

It does what `engine.process.init` does: with all signals blocked it waits for one, hands it on to the program, reaps, and ends as
the program ends. The whole of it, where `CHILD` is the program's pid; the numbers are those of linux asm/unistd_64.h:

            mov   ebx, CHILD
            push  -1                ; a set of all signals
            push  0                 ; room for a status
    next:   lea   rdi, [rsp+8]
            xor   esi, esi
            xor   edx, edx
            mov   r10d, 8
            mov   eax, 128          ; rt_sigtimedwait(&all, NULL, NULL, 8)
            syscall
            cmp   eax, 17           ; SIGCHLD
            je    reap
            test  eax, eax          ; interrupted
            js    next
            cmp   eax, 21           ; SIGTTIN and SIGTTOU are about us
            je    next
            cmp   eax, 22
            je    next
            mov   edi, ebx
            mov   esi, eax
            mov   eax, 62           ; kill(CHILD, signal)
            syscall
            jmp   next
    reap:   mov   edi, -1
            mov   rsi, rsp
            mov   edx, 1            ; WNOHANG
            xor   r10d, r10d
            mov   eax, 61           ; wait4(-1, &status, WNOHANG, NULL)
            syscall
            test  eax, eax
            jle   next
            cmp   eax, ebx
            jne   reap
            mov   edi, [rsp]        ; its exit code, or 128 + its signal
            mov   eax, edi
            shr   edi, 8
            and   eax, 127
            je    end
            lea   edi, [rax+128]
    end:    mov   eax, 231          ; exit_group
            syscall

A test assembles this text, and compares.
"""

import os
import struct

MACHINE = {"x86_64": 62}  # linux/elf-em.h
BEFORE_CHILD = bytes.fromhex("bb")
AFTER_CHILD = bytes.fromhex(
    "6aff 6a00"
    "488d7c2408 31f6 31d2 41ba08000000 b880000000 0f05 83f811 741b 85c0 78e1 83f815 74dc 83f816 74d7"
    "89df 89c6 b83e000000 0f05 ebca"
    "bfffffffff 4889e6 ba01000000 4531d2 b83d000000 0f05 85c0 7eaf 39d8 75e1"
    "8b3c24 89f8 c1ef08 83e07f 7406 8db880000000 b8e7000000 0f05"
)
ADDRESS = 0x400000
ELF = struct.Struct("<4sBBBB8xHHIQQQIHHHHHH")  # elf(5), Elf64_Ehdr
SEGMENT = struct.Struct("<IIQQQQQQ")  # Elf64_Phdr
PT_LOAD, PT_GNU_STACK, READ, WRITE, EXECUTE = 1, 0x6474E551, 4, 2, 1


def code(child: int) -> bytes:
    return BEFORE_CHILD + struct.pack("<I", child) + AFTER_CHILD


def image(child: int) -> bytes:
    """The program whose child is `child`; nothing for a processor that we do not know."""
    machine = MACHINE.get(os.uname().machine)
    if machine is None or struct.calcsize("P") != 8:
        return b""
    begin = ELF.size + 2 * SEGMENT.size
    size = begin + len(code(child))
    head = ELF.pack(
        *(b"\x7fELF", 2, 1, 1, 0),  # 64 bits, little-endian, version 1, System V
        *(2, machine, 1, ADDRESS + begin, ELF.size, 0, 0),  # an executable; its entry; where the segments are listed
        *(ELF.size, SEGMENT.size, 2, 0, 0, 0),
    )
    text = SEGMENT.pack(PT_LOAD, READ | EXECUTE, 0, ADDRESS, ADDRESS, size, size, 0x1000)
    stack = SEGMENT.pack(PT_GNU_STACK, READ | WRITE, 0, 0, 0, 0, 0, 16)
    return head + text + stack + code(child)
