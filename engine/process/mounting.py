"""Perform the operations of `engine.process.rootfs`, in the container's own mount namespace, before its program is executed.

What the kernel provides is made detached and attached to a descriptor of its place (`engine.process.paths`); nothing is looked up
twice. The file systems exist in this namespace only: when the container's last process is gone, so are they.

Runs in the zygote: the listed stdlib modules only.
"""

import errno
import fcntl
import os
import stat
import struct

from engine import errors
from engine.process import copyup, paths, rootfs, syscalls
from engine.process.rootfs import NOTHING_SPECIAL, Operation
from engine.process.wire import Bind, Device, Overlay, Pairs, Tmpfs

TIOCSPTLCK, TIOCGPTPEER = 0x40045431, 0x5441  # asm-generic/ioctls.h
SYSFS_MAGIC = 0x62656572  # linux/magic.h


class Mounting:
    """`root_path`: where the root is put. `cgroups`: (controllers, path) lines of /proc/self/cgroup, from before the cgroup
    namespace was left. Afterwards: `root` is the root directory as O_PATH, `null` our own /dev/null, `terminal` (master, slave)
    where one was opened."""

    def __init__(self, root_path: str, cgroups: Pairs) -> None:
        self.root = -1
        self.null = -1
        self.terminal: tuple[int, int] | None = None
        self._root_path = root_path
        self._cgroups = cgroups
        self._nothing = -1
        self._overlays: list[int] = []

    def perform(self, operation: Operation) -> None:
        """Raises `EngineError` in the operation's words."""
        try:
            self._perform(operation)
        except OSError as error:
            what = f"cannot set up its file system: {rootfs.describe(operation)}: {error.strerror or error}"
            raise errors.EngineError(what) from error

    def _perform(self, operation: Operation) -> None:
        match operation:
            case rootfs.MountOverlay(overlay):
                self._overlay(overlay)
            case rootfs.CopyUp(source, destination):
                self._copy_up(source, destination)
            case rootfs.MountFilesystem(kind, target, options, attributes):
                self._attach(_new(kind, options, attributes), paths.make_directory(self.root, target, paths.STRICT))
            case rootfs.MountDevices():
                self._devices()
            case rootfs.MakeNode(device):
                self._node(device)
            case rootfs.MountCgroups(read_only):
                self._control_groups(syscalls.MOUNT_ATTR_RDONLY if read_only else 0)
            case rootfs.OpenTerminal():
                self._open_terminal()
            case rootfs.MountTmpfs(tmpfs):
                self._tmpfs(tmpfs)
            case rootfs.MountBind(bind):
                self._bind(bind)
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

    def _overlay(self, overlay: Overlay) -> None:
        if overlay.target == "/":
            _overlay(overlay, os.open(self._root_path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
            self.root = os.open(self._root_path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        else:
            _overlay(overlay, paths.make_directory(self.root, overlay.target, paths.STRICT))
            self._overlays.append(paths.find(self.root, overlay.target, paths.STRICT))

    def _copy_up(self, source: str, destination: str) -> None:
        try:
            found = paths.find(self.root, source, paths.FOLLOW, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            copyup.fill(found, destination)
        finally:
            os.close(found)

    def _devices(self) -> None:
        tree = _new("tmpfs", (("mode", "755"), ("size", "65536k")), syscalls.MOUNT_ATTR_NOSUID)
        for name, major, minor in rootfs.DEVICES:
            os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=tree)
            os.chmod(name, 0o666, dir_fd=tree)
        for text, name in rootfs.DEVICE_LINKS:
            os.symlink(text, name, dir_fd=tree)
        self.null = _verified_null(os.open("null", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=tree))
        self._attach(tree, paths.make_directory(self.root, "/dev", paths.STRICT))

    def _node(self, device: Device) -> None:
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
            self._attach(_new("cgroup2", (), NOTHING_SPECIAL | read_only), place)
            return
        tree = _new("tmpfs", (("mode", "755"), ("size", "1m")), NOTHING_SPECIAL)
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
        self._attach(_new("tmpfs", tuple(options), attributes), place)

    def _bind(self, bind: Bind) -> None:
        source = _open_source(bind)
        try:
            tree = syscalls.open_tree(source, "", recursive=True)
            is_directory = stat.S_ISDIR(os.fstat(source).st_mode)
        finally:
            os.close(source)
        attributes = syscalls.MOUNT_ATTR_RDONLY if bind.read_only else 0
        syscalls.mount_setattr(tree, attributes=attributes, propagation=syscalls.MS_PRIVATE, recursive=True)
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
        tree = _new("tmpfs", options, NOTHING_SPECIAL | syscalls.MOUNT_ATTR_RDONLY)
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


def _open_source(bind: Bind) -> int:
    if bind.create_host_path:
        os.makedirs(bind.source, 0o755, exist_ok=True) if not os.path.lexists(bind.source) else None
    try:
        return os.open(bind.source, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise errors.TerminalEngineError(
            f"cannot mount {bind.source} at {bind.target}: the machine has no such path"
        ) from error


def _new(kind: str, options: Pairs, attributes: int) -> int:
    """Make a file system of the kernel's, detached; a directory descriptor to work in."""
    context = syscalls.fsopen(kind)
    try:
        for key, value in (("source", "corral" if kind == "overlay" else kind), *options):
            syscalls.fsconfig(context, key, value or None)
        return syscalls.fsmount(context, attributes)
    finally:
        os.close(context)


def _hierarchy_name(controllers: str) -> str:
    return controllers.removeprefix("name=") or "unified"


def _hierarchy(controllers: str, attributes: int) -> int:
    if not controllers:
        return _new("cgroup2", (), attributes)
    if controllers.startswith("name="):
        return _new("cgroup", (("none", ""), ("name", controllers.removeprefix("name="))), attributes)
    return _new("cgroup", tuple((controller, "") for controller in controllers.split(",")), attributes)


def _overlay(overlay: Overlay, place: int) -> None:
    """Layers are named through descriptors: an option of the new interface has room for 255 bytes, those of mount(2) together
    for 4096, and neither has a clean way to write a `:`. `place` is closed."""
    if not overlay.upper and len(overlay.lowers) == 1:
        _read_only_copy(overlay.lowers[0], place)
        return
    names = [*overlay.lowers, *((overlay.upper, overlay.work) if overlay.upper else ())]
    layers = [os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for name in names]
    through = [f"/proc/self/fd/{layer}" for layer in layers]
    lowers, writable = through[: len(overlay.lowers)], through[len(overlay.lowers) :]
    try:
        try:
            _overlay_new(lowers, writable, place)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENODEV):
                raise
            _overlay_old(lowers, writable, place)
    finally:
        for descriptor in (*layers, place):
            os.close(descriptor)


def _read_only_copy(source: str, place: int) -> None:
    """A single layer that nobody writes to needs no overlay, and the kernel makes none. `place` is closed."""
    tree = syscalls.open_tree(syscalls.AT_FDCWD, source, recursive=True)
    try:
        attributes = syscalls.MOUNT_ATTR_RDONLY
        syscalls.mount_setattr(tree, attributes=attributes, propagation=syscalls.MS_PRIVATE, recursive=True)
        syscalls.move_mount(tree, place)
    finally:
        os.close(tree)
        os.close(place)


def _overlay_new(lowers: list[str], writable: list[str], place: int) -> None:
    """Since Linux 6.7. Raises OSError, EINVAL before."""
    if "overlay-api" in syscalls.missing or _is_taken_unread("overlay"):
        raise OSError(errno.EINVAL, "overlay has not got the new interface")
    options = [("lowerdir+", lower) for lower in lowers]
    options += zip(("upperdir", "workdir"), writable, strict=False)
    tree = _new("overlay", tuple(options), 0)
    try:
        syscalls.move_mount(tree, place)
    finally:
        os.close(tree)


def _is_taken_unread(kind: str) -> bool:
    """Whether options of this kind of file system go through the new interface to the old code (overlay's, before Linux 6.5),
    which reads them at the end, and complains in the machine's log about those it does not know."""
    context = syscalls.fsopen(kind)
    try:
        syscalls.fsconfig(context, "no-such-option")
    except OSError:
        return False
    finally:
        os.close(context)
    return True


def _overlay_old(lowers: list[str], writable: list[str], place: int) -> None:
    data = f"lowerdir={':'.join(lowers)}"
    if writable:
        data += f",upperdir={writable[0]},workdir={writable[1]}"
    syscalls.mount("corral", f"/proc/self/fd/{place}", "overlay", 0, data)
