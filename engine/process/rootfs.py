"""A container's file system as a list of operations: built here (pure), printed, tested, performed by `engine.process.mounting`.

The order is what makes it safe: volumes are filled while nothing but the image is there, the kernel's file systems come before
what the user mounts, masks come after everything, and the old root is let go at the end.

Runs in the zygote: the listed stdlib modules only.
"""

import os
from typing import NamedTuple, TypeVar

from engine.process.syscalls import MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY
from engine.process.wire import (
    Bind,
    Confinement,
    Device,
    Filesystem,
    Namespaces,
    Overlay,
    Pairs,
    StartSpec,
    Tmpfs,
    Volume,
)

NOTHING_SPECIAL = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC

MASKED_PATHS = (  # moby/daemon/pkg/oci/defaults.go
    *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
    *("/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware"),
    *("/sys/devices/virtual/powercap", "/sys/devices/system/cpu/cpu*/thermal_throttle"),
)
READ_ONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")  # the same

DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
DEVICE_LINKS = (  # OCI runtime-spec config-linux.md, "dev symbolic links"
    *(
        ("/proc/self/fd", "fd"),
        ("/proc/self/fd/0", "stdin"),
        ("/proc/self/fd/1", "stdout"),
        ("/proc/self/fd/2", "stderr"),
    ),
    *(("pts/ptmx", "ptmx"), ("/proc/kcore", "core")),
)
KERNEL_OWN = ("/proc", "/sys")


class RootfsError(Exception):
    """A mount that is refused, whatever the kernel would say to it."""


class MountOverlay(NamedTuple):
    overlay: Overlay


class MountVolume(NamedTuple):
    """What a volume is made of, on its directory `place` of the machine's; seen in this namespace only."""

    filesystem: Filesystem
    place: str


class CopyUp(NamedTuple):
    """Fill the empty directory `destination` of the machine with what the image has at `source`."""

    source: str
    destination: str


class MountFilesystem(NamedTuple):
    """A new file system of the kernel's; `target` is made where it is missing and may not be reached through a link."""

    kind: str
    target: str
    options: Pairs = ()  # ("newinstance", "") is a flag
    attributes: int = NOTHING_SPECIAL


class MountDevices(NamedTuple):
    """/dev, complete before it is attached."""


class MakeNode(NamedTuple):
    """A device node, in place of what is there."""

    device: Device


class MountCgroups(NamedTuple):
    """/sys/fs/cgroup, as the process's own cgroups are the roots of it."""

    read_only: bool = True


class ShareMemory(NamedTuple):
    """/dev/shm, as whose ipc namespace it is has it."""


class MountTmpfs(NamedTuple):
    tmpfs: Tmpfs


class MountBind(NamedTuple):
    """`subpath`: what is there inside the source, whatever links are on the way."""

    bind: Bind
    subpath: str = ""


class OpenTerminal(NamedTuple):
    """A pty of the container's own, at /dev/console too."""


class MakeDirectory(NamedTuple):
    path: str


class Mask(NamedTuple):
    """Nothing can be read at `path`, which may hold one `*` in a name; what is not there needs no mask."""

    path: str


class MakeReadOnly(NamedTuple):
    path: str


class Pivot(NamedTuple):
    """Make it the root of this process, and let go of the machine's."""


Operation = (
    MountOverlay
    | MountVolume
    | CopyUp
    | MountFilesystem
    | MountDevices
    | MakeNode
    | MountCgroups
    | ShareMemory
    | MountTmpfs
    | MountBind
    | OpenTerminal
    | MakeDirectory
    | Mask
    | MakeReadOnly
    | Pivot
)


def operations(spec: StartSpec) -> tuple[Operation, ...]:
    """List what makes this container's file system. Raises `RootfsError` for a target that is refused."""
    if not spec.overlays or spec.overlays[0].target != "/":
        raise RootfsError("the first overlay is not at /")
    mounts = sorted((_checked(mount) for mount in spec.mounts), key=lambda mount: mount.target.count("/"))
    backed = {mount.source: mount.filesystem for mount in mounts if isinstance(mount, Volume) and mount.filesystem}
    return (
        *(MountOverlay(overlay) for overlay in spec.overlays),
        *(MountVolume(filesystem, place) for place, filesystem in backed.items()),
        *(CopyUp(mount.target, mount.source) for mount in mounts if isinstance(mount, Volume) and mount.copy_up),
        *_kernel_file_systems(spec, MOUNT_ATTR_RDONLY if not spec.confinement.writable_kernel else 0),
        *(MakeNode(_checked(device)) for device in spec.devices),
        *((OpenTerminal(),) if spec.tty else ()),
        *(_operation(mount) for mount in (*mounts, *(_checked(file) for file in spec.files))),
        *((MakeDirectory(spec.working_dir),) if spec.working_dir else ()),
        *_confined(spec.confinement),
        *((MakeReadOnly("/"),) if spec.read_only else ()),
        Pivot(),
    )


def at_rest(
    overlays: tuple[Overlay, ...], mounts: tuple[Bind | Volume, ...], *, read_only: bool
) -> tuple[Operation, ...]:
    """List what makes the file system of a container that does not run, as far as there is any: its root and its data."""
    placed = sorted((_checked(mount) for mount in mounts), key=lambda mount: mount.target.count("/"))
    backed = {mount.source: mount.filesystem for mount in placed if isinstance(mount, Volume) and mount.filesystem}
    return (
        *(MountOverlay(overlay) for overlay in overlays),
        *(MountVolume(filesystem, place) for place, filesystem in backed.items()),
        *(CopyUp(mount.target, mount.source) for mount in placed if isinstance(mount, Volume) and mount.copy_up),
        *(_operation(mount) for mount in placed),
        *((MakeReadOnly("/"),) if read_only else ()),
    )


def describe(operation: Operation) -> str:
    """One line for humans."""
    match operation:
        case MountOverlay(Overlay(target, lowers, upper, _)):
            return f"overlay {target} of {':'.join(lowers)}{' writable in ' + upper if upper else ' read-only'}"
        case MountFilesystem(kind, target, options, attributes):
            text = ",".join([key if value == "" else f"{key}={value}" for key, value in options])
            return f"{kind} {target} {text or '-'} {'ro' if attributes & MOUNT_ATTR_RDONLY else 'rw'}"
        case MountBind(bind, subpath):
            source = f"{bind.source}/{subpath}" if subpath else bind.source
            return f"bind {source} {bind.target} {'ro' if bind.read_only else 'rw'}"
        case MountVolume(filesystem, place):
            return f"{filesystem.kind} of {filesystem.device} {place}"
        case MountTmpfs(tmpfs):
            return f"tmpfs {tmpfs.target} mode={tmpfs.mode:o}"
        case CopyUp(source, destination):
            return f"copy-up {source} {destination}"
        case MakeNode(device):
            return f"node {device.target} {device.kind} {device.major}:{device.minor}"
        case MakeDirectory(path) | Mask(path) | MakeReadOnly(path):
            return f"{type(operation).__name__.lower()} {path}"
        case _:
            return type(operation).__name__.lower()


def _shared_memory(namespaces: Namespaces, size_bytes: int) -> tuple[Operation, ...]:
    if not namespaces.shared_memory:
        return ()
    if namespaces.own_ipc:
        return (MountFilesystem("tmpfs", "/dev/shm", (("mode", "1777"), ("size", str(size_bytes)))),)
    return (ShareMemory() if namespaces.ipc_of else MountBind(Bind("/dev/shm", "/dev/shm")),)


def _kernel_file_systems(spec: StartSpec, read_only: int) -> tuple[Operation, ...]:
    pts = (("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5"))
    return (
        MountFilesystem("proc", "/proc"),
        MountFilesystem("sysfs", "/sys", (), NOTHING_SPECIAL | read_only),
        MountCgroups(bool(read_only)),
        MountDevices(),
        MountFilesystem("devpts", "/dev/pts", pts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC),
        *_shared_memory(spec.namespaces, spec.shm_bytes),
        MountFilesystem("mqueue", "/dev/mqueue"),
    )


def _operation(mount: Bind | Volume | Tmpfs) -> Operation:
    match mount:
        case Tmpfs():
            return MountTmpfs(mount)
        case Volume(source, target, read_only, _, subpath):
            return MountBind(Bind(source, target, read_only), subpath)
        case Bind():
            return MountBind(mount)


def _confined(confinement: Confinement) -> tuple[Operation, ...]:
    masked = MASKED_PATHS if confinement.masked_paths is None else confinement.masked_paths
    read_only = READ_ONLY_PATHS if confinement.read_only_paths is None else confinement.read_only_paths
    return (*(MakeReadOnly(path) for path in read_only), *(Mask(path) for path in masked))


Placed = TypeVar("Placed", Bind, Volume, Tmpfs, Bind | Volume, Bind | Volume | Tmpfs, Device)


def _checked(mount: Placed) -> Placed:
    """The mount with its target in normal form. Links are looked at later, by descriptor."""
    target = os.path.normpath("/" + mount.target.lstrip("/"))
    if not mount.target.startswith("/"):
        raise RootfsError(f"cannot mount anything at {mount.target!r}: not an absolute path")
    if target == "/":
        raise RootfsError("cannot mount anything at /: that is the image's place")
    if any(target == place or target.startswith(f"{place}/") for place in KERNEL_OWN):
        raise RootfsError(f"cannot mount anything at {target}: /proc and /sys are the kernel's")
    return mount._replace(target=target)
