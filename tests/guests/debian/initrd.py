"""The first file system of a guest: busybox, the kernel's modules for its disk, and the script that goes on to the disk."""

import stat
from collections.abc import Iterator
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
MODULES = ("virtio_pci", "virtio_blk", "ext4", "crc32c_generic", "crc32c_intel")
DIRECTORIES = ("bin", "dev", "proc", "sys", "modules", "root")
INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sysfs /sys; $b mount -t devtmpfs devtmpfs /dev
while read -r module; do $b insmod /modules/$module || echo "cannot load $module"; done </modules/order
until [ -b /dev/vda ]; do $b usleep 10000; done
$b mount -t ext4 /dev/vda /root || exec $b sh
for each in dev proc sys; do $b mount --move /$each /root/$each; done
exec $b switch_root /root /sbin/init
"""


def archive(root: Path, version: str) -> bytes:
    """A cpio archive (newc) for the kernel whose modules are below `root`."""
    modules = list(in_order(root / "usr/lib/modules" / version))
    entries: list[tuple[str, int, bytes]] = [(name, stat.S_IFDIR | 0o755, b"") for name in DIRECTORIES]
    entries.append(("bin/busybox", stat.S_IFREG | 0o755, BUSYBOX.read_bytes()))
    entries.append(("init", stat.S_IFREG | 0o755, INIT.encode()))
    entries += [(f"modules/{module.name}", stat.S_IFREG | 0o644, module.read_bytes()) for module in modules]
    order = "".join(f"{module.name}\n" for module in modules)
    entries.append(("modules/order", stat.S_IFREG | 0o644, order.encode()))
    return b"".join(packed(number, *entry) for number, entry in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1))


def packed(number: int, name: str, mode: int, content: bytes) -> bytes:
    """One entry. linux Documentation/driver-api/early-userspace/buffer-format.rst"""
    path = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
    return head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)


def in_order(modules: Path) -> Iterator[Path]:
    """The files of MODULES and of what they need, each after what it needs itself; what is built in has none."""
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, needed = line.partition(":")
        needs[path] = needed.split()
    named = {Path(path).name.removesuffix(".ko").replace("-", "_"): path for path in needs}
    seen: set[str] = set()

    def walk(path: str) -> Iterator[Path]:
        if path not in seen:
            seen.add(path)
            for needed in reversed(needs[path]):
                yield from walk(needed)
            yield modules / path

    for name in MODULES:
        if name in named:
            yield from walk(named[name])
