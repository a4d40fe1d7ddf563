"""Perform the operations of `engine.process.rootfs`, in the container's own mount namespace, before its program is executed.

What the kernel provides is made detached and attached to a descriptor of its place (`engine.process.paths`); nothing is looked up
twice. The file systems exist in this namespace only: when the container's last process is gone, so are they. In a user namespace,
what is the machine's was put onto a stage before (`engine.process.staging`), and is taken from there by the operation's number.

Runs in the zygote: the listed stdlib modules only.
"""

import errno
import fcntl
import os
import stat
import struct

from engine import errors
from engine.process import copyup, detached, donors, paths, propagation, rootfs, syscalls
from engine.process.rootfs import NOTHING_SPECIAL, Operation
from engine.process.wire import Bind, Device, Overlay, Pairs, StartSpec, Tmpfs

TIOCSPTLCK, TIOCGPTPEER = 0x40045431, 0x5441  # asm-generic/ioctls.h
SYSFS_MAGIC = 0x62656572  # linux/magic.h


class Mounting:
    """`root_path`: where the root is put. `cgroups`: (controllers, path) lines of /proc/self/cgroup, from before the cgroup
    namespace was left. `trees`: what volumes are made of (`engine.process.backing`). `donor`: a pidfd of who shares its /dev/shm,
    -1 for nobody. `is_staged`: the working directory is the stage. Afterwards: `root` is the root directory as O_PATH, `null` our
    own /dev/null, `terminal` (master, slave) where one was opened."""

    def __init__(
        self, root_path: str, cgroups: Pairs, trees: dict[str, int], donor: int = -1, *, is_staged: bool = False
    ) -> None:
        self.root = -1
        self.null = -1
        self.terminal: tuple[int, int] | None = None
        self._root_path = root_path
        self._trees = trees
        self._cgroups = cgroups
        self._donor = donor
        self._is_staged = is_staged
        self._number = -1
        self._nothing = -1
        self._overlays: list[int] = []
        self._shared: dict[str, int] = {}

    def keep_peers(self, spec: StartSpec) -> None:
        """Take copies of what is to stay a peer of the machine's mounts, before this namespace stops to be one."""
        for bind in spec.mounts:
            if isinstance(bind, Bind) and bind.propagation in propagation.SHARED:
                self._shared[bind.target] = propagation.shared_tree(bind, detached.open_source(bind))

    def perform(self, operation: Operation) -> None:
        """The next one. Raises `EngineError` in the operation's words."""
        self._number += 1
        try:
            self._perform(operation)
        except OSError as error:
            what = f"cannot set up its file system: {rootfs.describe(operation)}: {error.strerror or error}"
            raise errors.EngineError(what) from error

    def _perform(self, operation: Operation) -> None:
        match operation:
            case rootfs.MountOverlay(overlay):
                self._overlay(overlay)
            case rootfs.MountVolume(_, place):
                if not self._is_staged:
                    self._attach(self._trees[place], os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            case rootfs.CopyUp(source, destination):
                self._copy_up(source, destination)
            case rootfs.MountFilesystem(kind, target, options, attributes):
                self._attach(
                    detached.new(kind, options, attributes), paths.make_directory(self.root, target, paths.STRICT)
                )
            case rootfs.MountDevices():
                self._devices()
            case rootfs.MakeNode(device):
                self._node(device)
            case rootfs.MountCgroups(read_only):
                self._control_groups(syscalls.MOUNT_ATTR_RDONLY if read_only else 0)
            case rootfs.OpenTerminal():
                self._open_terminal()
            case rootfs.ShareMemory():
                memory = paths.make_directory(self.root, "/dev/shm", paths.STRICT)
                self._attach(donors.shared_memory(self._donor), memory)
            case rootfs.MountTmpfs(tmpfs):
                self._tmpfs(tmpfs)
            case rootfs.MountBind(bind, subpath):
                self._bind(bind, subpath)
            case rootfs.MakeDirectory(path):
                os.close(paths.make_directory(self.root, path))
            case rootfs.Mask(path):
                self._mask(path)
            case rootfs.MakeReadOnly(path):
                self._make_read_only(path)
            case rootfs.Pivot():
                self._pivot()

    def _attach(self, tree: int, place: int) -> None:
        """Attach a detached mount; both descriptors are closed."""
        try:
            syscalls.move_mount(tree, place)
        finally:
            os.close(tree)
            os.close(place)

    def _take(self) -> int:
        """A detached copy of this operation's part of the stage."""
        return syscalls.open_tree(syscalls.AT_FDCWD, str(self._number), recursive=True)

    def _overlay(self, layers: Overlay) -> None:
        make = self._attach_staged if self._is_staged else detached.mount_overlay
        if layers.target == "/":
            place = str(self._number) if self._is_staged else self._root_path
            make(layers, os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
            self.root = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        else:
            make(layers, paths.make_directory(self.root, layers.target, paths.STRICT))
            self._overlays.append(paths.find(self.root, layers.target, paths.STRICT))

    def _attach_staged(self, _: Overlay, place: int) -> None:
        self._attach(self._take(), place)

    def _copy_up(self, source: str, destination: str) -> None:
        try:
            found = paths.find(self.root, source, paths.FOLLOW, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            staged = f"{self._number}/{os.path.basename(destination)}"
            copyup.fill(found, staged if self._is_staged else destination)
        finally:
            os.close(found)

    def _devices(self) -> None:
        tree = self._take() if self._is_staged else detached.devices_tree()
        self.null = _verified_null(os.open("null", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=tree))
        self._attach(tree, paths.make_directory(self.root, "/dev", paths.STRICT))

    def _node(self, device: Device) -> None:
        if self._is_staged:
            self._attach(self._take(), paths.make_file(self.root, device.target, paths.STRICT))
            return
        above, _, name = device.target.rpartition("/")
        place = paths.make_directory(self.root, above, paths.STRICT)
        kind = stat.S_IFCHR if device.kind == "c" else stat.S_IFBLK
        umask = os.umask(0)
        try:
            try:
                os.unlink(name, dir_fd=place)  # of an earlier start, where it is not in /dev
            except FileNotFoundError:
                pass
            os.mknod(name, kind | device.mode, os.makedev(device.major, device.minor), dir_fd=place)
            os.chown(name, device.uid, device.gid, dir_fd=place, follow_symlinks=False)
        finally:
            os.umask(umask)
            os.close(place)

    def _control_groups(self, read_only: int) -> None:
        """v2 alone is the whole directory; beside v1, each hierarchy that the container was put into gets a directory."""
        place = paths.make_directory(self.root, "/sys/fs/cgroup", paths.STRICT)
        if [controllers for controllers, _ in self._cgroups] == [""]:
            self._attach(detached.new("cgroup2", (), NOTHING_SPECIAL | read_only), place)
            return
        tree = detached.new("tmpfs", (("mode", "755"), ("size", "1m")), NOTHING_SPECIAL)
        entered = [controllers for controllers, path in self._cgroups if path != "/"]
        for controllers in entered:
            os.mkdir(_hierarchy_name(controllers), 0o755, dir_fd=tree)
        syscalls.mount_setattr(tree, attributes=syscalls.MOUNT_ATTR_RDONLY)
        self._attach(tree, place)
        for controllers in entered:
            found = paths.find(self.root, f"/sys/fs/cgroup/{_hierarchy_name(controllers)}", paths.STRICT)
            self._attach(_hierarchy(controllers, NOTHING_SPECIAL | read_only), found)

    def _open_terminal(self) -> None:
        """The slave is opened through the master, never by a name that the image or a neighbour could have replaced."""
        master = paths.find(self.root, "/dev/pts/ptmx", paths.STRICT, os.O_RDWR | os.O_NOCTTY)
        slave = slave_of(master)
        console = paths.make_file(self.root, "/dev/console", paths.STRICT)
        self._attach(syscalls.open_tree(slave, ""), console)
        self.terminal = (master, slave)

    def _tmpfs(self, tmpfs: Tmpfs) -> None:
        options = [("mode", f"{tmpfs.mode:o}"), ("uid", str(tmpfs.uid)), ("gid", str(tmpfs.gid))]
        if tmpfs.size_bytes is not None:
            options.append(("size", str(tmpfs.size_bytes)))
        attributes = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
        attributes |= syscalls.MOUNT_ATTR_NOEXEC if tmpfs.no_exec else 0
        attributes |= syscalls.MOUNT_ATTR_RDONLY if tmpfs.read_only else 0
        place = _refuse_kernel_own(paths.make_directory(self.root, tmpfs.target), tmpfs.target)
        self._attach(detached.new("tmpfs", tuple(options), attributes), place)

    def _bind(self, bind: Bind, subpath: str) -> None:
        if self._is_staged:
            tree = self._take()
        else:
            source = detached.open_source(bind, subpath)
            try:
                peer = self._shared.get(bind.target)
                tree = detached.copy_of(bind, source) if peer is None else peer
                propagation.settle(bind, source, tree)
            finally:
                os.close(source)
            detached.make_read_only(tree, bind)
        is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        make = paths.make_directory if is_directory else paths.make_file
        self._attach(tree, _refuse_kernel_own(make(self.root, bind.target), bind.target))

    def _mask(self, path: str) -> None:
        for found in self._each(path):
            is_directory = stat.S_ISDIR(os.fstat(found).st_mode)
            self._attach(self._empty() if is_directory else syscalls.open_tree(self.null, ""), found)

    def _empty(self) -> int:
        """One read-only tmpfs for all masked directories, since many of them are dear to take down. The first mount of it is
        attached itself: before Linux 6.15 what is detached cannot be copied."""
        if self._nothing >= 0:
            return syscalls.open_tree(self._nothing, "")
        options = (("nr_inodes", "2"), ("size", "4096"), ("mode", "555"))
        tree = detached.new("tmpfs", options, NOTHING_SPECIAL | syscalls.MOUNT_ATTR_RDONLY)
        self._nothing = os.dup(tree)
        return tree

    def _make_read_only(self, path: str) -> None:
        if path == "/":  # which is made of several file systems, and not of what the user mounted
            for overlay in (self.root, *self._overlays):
                syscalls.mount_setattr(overlay, attributes=syscalls.MOUNT_ATTR_RDONLY)
            return
        for found in self._each(path):
            tree = syscalls.open_tree(found, "", recursive=True)
            syscalls.mount_setattr(tree, attributes=syscalls.MOUNT_ATTR_RDONLY, recursive=True)
            self._attach(tree, found)

    def _each(self, path: str) -> list[int]:
        """Open what is at `path`; a `*` in a name stands for whatever is there."""
        before, star, after = path.partition("*")
        if not star:
            return self._if_there(path)
        above, _, prefix = before.rpartition("/")
        try:
            directory = paths.find(self.root, above, paths.STRICT, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return []
        try:
            names = sorted(name for name in os.listdir(directory) if name.startswith(prefix))
        finally:
            os.close(directory)
        return [found for name in names for found in self._if_there(f"{above}/{name}{after}")]

    def _if_there(self, path: str) -> list[int]:
        try:
            return [paths.find(self.root, path, paths.STRICT)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _pivot(self) -> None:
        os.fchdir(self.root)
        syscalls.pivot_root(".", ".")  # pivot_root(2), "pivot_root(".", ".")": the old root is on top of the new one
        syscalls.umount(".")
        os.chdir("/")


def slave_of(master: int) -> int:
    fcntl.ioctl(master, TIOCSPTLCK, struct.pack("=i", 0))
    return fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def _verified_null(descriptor: int) -> int:
    found = os.fstat(descriptor)
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != os.makedev(1, 3):
        raise OSError(errno.ENODEV, "its /dev/null is no /dev/null")
    return descriptor


def _refuse_kernel_own(place: int, target: str) -> int:
    """A link may lead to /proc or /sys: there, nothing is mounted."""
    if syscalls.filesystem_type(place) in (syscalls.PROC_SUPER_MAGIC, SYSFS_MAGIC):
        os.close(place)
        raise errors.TerminalEngineError(f"cannot mount anything at {target}: it leads to /proc or /sys")
    return place


def _hierarchy_name(controllers: str) -> str:
    return controllers.removeprefix("name=") or "unified"


def _hierarchy(controllers: str, attributes: int) -> int:
    if not controllers:
        return detached.new("cgroup2", (), attributes)
    if controllers.startswith("name="):
        return detached.new("cgroup", (("none", ""), ("name", controllers.removeprefix("name="))), attributes)
    return detached.new("cgroup", tuple((controller, "") for controller in controllers.split(",")), attributes)
