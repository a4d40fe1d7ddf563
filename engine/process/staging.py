"""What a container in a user namespace finds of the machine's file systems, made ready by its usher.

Root in a user namespace may neither open what is the machine's nor show it under other owners. So the usher, with the machine's
rights and in a mount namespace of its own, puts everything that the operations of `engine.process.rootfs` need of the machine
onto a stage: a small file system at the container's root path, where each operation finds its part under its number. The child
is born there, in a copy of that mount namespace that belongs to the user namespace, which is why the kernel locks what is on
the stage: whoever is root in the container, with every capability, cannot make writable what was staged read-only.

Files are shown as if the ids of the user namespace were the machine's own (an idmapped mount): what belongs to 1000 on the disk
belongs to 1000 in the container, and what the container writes as 1000 belongs to 1000 on the disk.

Runs in the zygote: the listed stdlib modules only.
"""

import os
import stat

from engine import errors
from engine.process import detached, propagation, rootfs, syscalls
from engine.process.wire import Bind, Device, IdRange, Overlay, StartSpec


def build(spec: StartSpec, userns: int, trees: dict[str, int]) -> None:
    """Make the stage for this container, and its directory the working directory. `trees`: what volumes are made of
    (`engine.process.backing`). Raises `EngineError`."""
    assert spec.ids is not None
    build_for(rootfs.operations(spec), spec.root_path, spec.ids, userns, trees)


def build_for(
    operations: tuple[rootfs.Operation, ...], root_path: str, ids: IdRange, userns: int, trees: dict[str, int]
) -> None:
    """The same, of these operations, at this root path."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)
    stage = _Stage(ids, userns, trees)
    stage.open(root_path)
    for number, operation in enumerate(operations):
        try:
            stage.prepare(str(number), operation)
        except OSError as error:
            what = f"cannot set up its file system: {rootfs.describe(operation)}: {error.strerror or error}"
            raise errors.EngineError(what) from error


class _Stage:
    def __init__(self, ids: IdRange, userns: int, trees: dict[str, int]) -> None:
        self._ids, self._userns, self._trees = ids, userns, trees

    def open(self, root_path: str) -> None:
        tree = detached.new("tmpfs", (("mode", "755"), ("size", "1m")), 0)
        _attach(tree, root_path)
        os.chdir(root_path)

    def prepare(self, name: str, operation: rootfs.Operation) -> None:
        match operation:
            case rootfs.MountOverlay(overlay):
                self._overlay(name, overlay)
            case rootfs.MountVolume(_, place):
                _attach(self._trees[place], place)
            case rootfs.CopyUp(_, destination):  # with what marks a copy that was cut short
                tree = self._shown(os.path.dirname(destination), f"fill {destination}")
                self._put(tree, name, is_directory=True)
            case rootfs.MountDevices():
                self._put(detached.devices_tree(self._ids.first), name, is_directory=True)
            case rootfs.MakeNode(device):
                self._node(name, device)
            case rootfs.MountBind(bind, subpath):
                self._bind(name, bind, subpath)

    def _bind(self, name: str, bind: Bind, subpath: str) -> None:
        if bind.propagation in (*propagation.SHARED, *propagation.SLAVE):
            raise errors.TerminalEngineError(
                f"cannot mount {bind.source} as {bind.propagation}: a user namespace hears nothing of the machine's mounts"
            )
        source = detached.open_source(bind, subpath)
        try:
            is_directory = stat.S_ISDIR(os.fstat(source).st_mode)
            what = "" if bind.is_ours else f"mount {bind.source} at {bind.target}"
            tree = self._shown(f"/proc/self/fd/{source}", what, recursive=bind.recursive != "disabled")
            propagation.settle(bind, source, tree)
        finally:
            os.close(source)
        detached.make_read_only(tree, bind)
        self._put(tree, name, is_directory=is_directory)

    def _overlay(self, name: str, overlay: Overlay) -> None:
        """The lower layers are shown under the container's owners; the writable one has them on the disk."""
        lowers = []
        for number, lower in enumerate(overlay.lowers):
            lowers.append(f"{name}.{number}")
            self._put(self._shown(lower, f"use {lower} as an image"), lowers[-1], is_directory=True)
        os.mkdir(name)
        place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        detached.mount_overlay(overlay._replace(lowers=tuple(lowers)), place)

    def _node(self, name: str, device: Device) -> None:
        kind = stat.S_IFCHR if device.kind == "c" else stat.S_IFBLK
        os.mknod(name, kind, os.makedev(device.major, device.minor))
        os.chown(name, *(self._ids.first + min(number, self._ids.length - 1) for number in (device.uid, device.gid)))
        os.chmod(name, device.mode)

    def _put(self, tree: int, name: str, *, is_directory: bool) -> None:
        os.mkdir(name) if is_directory else os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        _attach(tree, name)

    def _shown(self, path: str, what: str, *, recursive: bool = False) -> int:
        """A detached copy of the mount at `path`, under the container's owners; as it is where `what` is ""."""
        tree = syscalls.open_tree(syscalls.AT_FDCWD, path, recursive=recursive)
        try:
            if what:
                syscalls.mount_setattr(tree, recursive=recursive, userns=self._userns)
        except OSError as error:
            os.close(tree)
            raise errors.TerminalEngineError(
                f"cannot {what}: {_kind_of(path)} cannot be shown under other owners, as a user namespace needs it"
                " (userns_mode: host does without one)"
            ) from error
        return tree


def _attach(tree: int, path: str) -> None:
    place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        syscalls.move_mount(tree, place)
    finally:
        os.close(place)
        os.close(tree)


def _kind_of(path: str) -> str:
    """Its file system, or what is mounted below it, in words."""
    found = os.stat(path)
    device = f"{os.major(found.st_dev)}:{os.minor(found.st_dev)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        kinds = [words[words.index("-") + 1] for words in map(str.split, mounts) if words[2] == device]
    return f"its file system ({kinds[0]}), or one mounted below it," if kinds else "its file system"
