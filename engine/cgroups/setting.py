"""One file of a cgroup and what it should say: the form in which both cgroup versions express `Limits`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import EngineError, TerminalEngineError
from engine.types.parts import Limits

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Setting:
    """`file` says `text` exactly if `field` of the Limits is in force; `default` is what a new cgroup says.

    `optional`: a kernel without the file has nothing to limit there, unless the user asked for it. `rare`: few ask for it, and
    where nobody did it is not read at every look.
    """

    field: str
    controller: str
    file: str
    text: str
    default: str
    optional: bool = False
    rare: bool = False

    @property
    def is_asked(self) -> bool:
        return self.text != self.default


def read(path: str) -> str:
    """What the file says, without the newline. Raises OSError."""
    # a third of what `open` takes; ten files a container and look
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
    finally:
        os.close(descriptor)
    return b"".join(parts).decode("ascii").strip()


def write(path: str, text: str) -> None:
    """Write in one call, as the kernel wants it. Raises OSError."""
    write_each(path, [text])


def write_each(path: str, texts: Sequence[str]) -> None:
    """Likewise, one after the other. Raises OSError."""
    if not texts:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        for text in texts:
            os.write(descriptor, text.encode("ascii") or b"\n")  # nothing at all would not reach the kernel
    finally:
        os.close(descriptor)


def put(directory: str, setting: Setting) -> None:
    """Write the setting, or say which limit and value the kernel refused, and in which file."""
    path = os.path.join(directory, setting.file)
    if not os.path.exists(path) and os.path.isdir(directory):
        if setting.optional:
            return
        raise TerminalEngineError(f"cannot set {setting.field} to {setting.text}: this kernel has no {path}")
    try:
        write(path, setting.text)
    except OSError as error:
        kind = (
            EngineError
            if isinstance(error, (FileNotFoundError, InterruptedError, MemoryError))
            else TerminalEngineError
        )
        raise kind(f"cannot set {setting.field} to {setting.text}: {path}: {error.strerror}") from error


def cpu_fields(limits: Limits) -> tuple[str, str]:
    """The fields of which the kernel's period and its quota are the values: as they were asked for."""
    if limits.cpu_period_us or limits.cpu_quota_us:
        return "cpu_period_us", "cpu_quota_us"
    return "cpus", "cpus"


def whole_pages(size_bytes: int) -> int:
    """What the kernel makes of a size: it counts pages, and drops the rest."""
    return size_bytes // PAGE_BYTES * PAGE_BYTES


def cpus_of(text: str) -> frozenset[int]:
    """The CPUs named by a list like "0-3,5". Raises ValueError."""
    found: set[int] = set()
    for part in text.split(",") if text else ():
        first, dash, last = part.strip().partition("-")
        found.update(range(int(first), int(last if dash else first) + 1))
    return frozenset(found)


def cpus_text(cpus: frozenset[int]) -> str:
    """The list as the kernel prints it: sorted, with ranges."""
    parts: list[list[int]] = []
    for cpu in sorted(cpus):
        if parts and parts[-1][1] == cpu - 1:
            parts[-1][1] = cpu
        else:
            parts.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
