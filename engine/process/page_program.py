"""Two functions in machine code: what must not be done by an interpreter, since it counts references on the very pages.

`share` moves regions of memory into a file: each is written there, and mapped in its own place from it, privately. `return_same`
drops those of the given pages that are equal to the file's. What is read there next is the file's page, where the region is still
mapped from it; where it is not, the content is put back.

Both are called as the System V ABI has it (regions: address, length and place in the file of each; pages: address and place).
They return how many regions were left, and how many pages were dropped. The numbers are those of linux asm/unistd_64.h:

    share:  push  rbx               ; share(regions, count, file)
            push  rbp
            push  r12
            mov   rbx, rdi
            mov   rbp, rsi
            mov   r12d, edx
    region: sub   rbp, 1
            js    shared
            mov   edi, r12d
            mov   rsi, [rbx]
            mov   rdx, [rbx+8]
            mov   r10, [rbx+16]
            mov   eax, 18           ; pwrite64(file, address, length, place)
            syscall
            cmp   rax, [rbx+8]
            jne   shared
            mov   rdi, [rbx]
            mov   rsi, [rbx+8]
            mov   edx, 3            ; PROT_READ | PROT_WRITE
            mov   r10d, 0x12        ; MAP_PRIVATE | MAP_FIXED
            mov   r8d, r12d
            mov   r9, [rbx+16]
            mov   eax, 9            ; mmap(address, length, prot, flags, file, place)
            syscall
            add   rbx, 24
            jmp   region
    shared: lea   rax, [rbp+1]
            pop   r12
            pop   rbp
            pop   rbx
            ret

    same:   push  rbx               ; return_same(pages, count, file)
            push  rbp
            push  r12
            push  r13
            mov   rbx, rdi
            mov   rbp, rsi
            mov   r12d, edx
            xor   r13d, r13d
            sub   rsp, 4096
    page:   sub   rbp, 1
            js    end
            mov   edi, r12d
            mov   rsi, rsp
            mov   edx, 4096
            mov   r10, [rbx+8]
            mov   eax, 17           ; pread64(file, buffer, 4096, place)
            syscall
            cmp   eax, 4096
            jne   next
            mov   rsi, rsp
            mov   rdi, [rbx]
            mov   ecx, 512
            repe  cmpsq
            jne   next
            mov   rdi, [rbx]
            mov   esi, 4096
            mov   edx, 4            ; MADV_DONTNEED
            mov   eax, 28           ; madvise(address, 4096, advice)
            syscall
            test  eax, eax
            jnz   next
            mov   rsi, rsp
            mov   rdi, [rbx]
            mov   ecx, 512
            repe  cmpsq
            je    kept
            mov   rsi, rsp
            mov   rdi, [rbx]
            mov   ecx, 512
            rep   movsq
            jmp   next
    kept:   inc   r13d
    next:   add   rbx, 16
            jmp   page
    end:    add   rsp, 4096
            mov   eax, r13d
            pop   r13
            pop   r12
            pop   rbp
            pop   rbx
            ret

A test assembles this text, and compares.
"""

import os

MACHINES = ("x86_64",)
SHARE = bytes.fromhex(
    "535541544889fb4889f54189d44883ed0178414489e7488b33488b53084c8b5310b8120000000f05483b43087526488b3b488b7308ba0300"
    "000041ba120000004589e04c8b4b10b8090000000f054883c318ebb9488d4501415c5d5bc3"
)
RETURN_SAME = bytes.fromhex(
    "5355415441554889fb4889f54189d44531ed4881ec001000004883ed01786e4489e74889e6ba001000004c8b5308b8110000000f053d0010"
    "0000754b4889e6488b3bb900020000f348a7753b488b3bbe00100000ba04000000b81c0000000f0585c075234889e6488b3bb900020000f3"
    "48a774104889e6488b3bb900020000f348a5eb0341ffc54883c310eb8c4881c4001000004489e8415d415c5d5bc3"
)


def code() -> bytes:
    """Both functions, `RETURN_SAME` after `SHARE`; nothing for a processor that we do not know."""
    return SHARE + RETURN_SAME if os.uname().machine in MACHINES else b""
