"""Mounts as they are before they have a place: file systems of the kernel's, /dev, what is bound; and overlays.

Runs in the zygote: the listed stdlib modules only.
"""

import errno
import os
import stat

from engine import errors
from engine.process import paths, rootfs, syscalls
from engine.process.wire import Bind, Overlay, Pairs


def new(kind: str, options: Pairs, attributes: int) -> int:
    """Make a file system of the kernel's, detached; a directory descriptor to work in."""
    context = syscalls.fsopen(kind)
    try:
        for key, value in (("source", "corral" if kind == "overlay" else kind), *options):
            syscalls.fsconfig(context, key, value or None)
        return syscalls.fsmount(context, attributes)
    finally:
        os.close(context)


def devices_tree(owner: int = 0) -> int:
    """/dev with what everybody has, as a detached mount; `owner`: user and group of it all."""
    tree = new("tmpfs", (("mode", "755"), ("size", "65536k")), syscalls.MOUNT_ATTR_NOSUID)
    for name, major, minor in rootfs.DEVICES:
        os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=tree)
        os.chmod(name, 0o666, dir_fd=tree)
    for text, name in rootfs.DEVICE_LINKS:
        os.symlink(text, name, dir_fd=tree)
    for name in (".", *(name for name, _, _ in rootfs.DEVICES), *(name for _, name in rootfs.DEVICE_LINKS)):
        os.chown(name, owner, owner, dir_fd=tree, follow_symlinks=False)
    return tree


def copy_of(bind: Bind, source: int) -> int:
    """A detached copy of the bind's source, with what is mounted below it unless the bind says otherwise."""
    return syscalls.open_tree(source, "", recursive=bind.recursive != "disabled")


def make_read_only(tree: int, bind: Bind) -> None:
    """If the bind says so: what is mounted below it too, unless it says otherwise."""
    if bind.read_only:
        everywhere = bind.recursive != "writable"
        syscalls.mount_setattr(tree, attributes=syscalls.MOUNT_ATTR_RDONLY, recursive=everywhere)


def open_source(bind: Bind, subpath: str = "") -> int:
    """What the bind shows: of a directory what is at `subpath`, for whose links it takes the place of the root."""
    if bind.create_host_path:
        os.makedirs(bind.source, 0o755, exist_ok=True) if not os.path.lexists(bind.source) else None
    try:
        source = os.open(bind.source, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise errors.TerminalEngineError(
            f"cannot mount {bind.source} at {bind.target}: the machine has no such path"
        ) from error
    if not subpath:
        return source
    try:
        return paths.find(source, subpath)
    except FileNotFoundError as error:
        raise errors.TerminalEngineError(f"cannot mount {subpath} of a volume: it has no such path") from error
    finally:
        os.close(source)


def mount_overlay(overlay: Overlay, place: int) -> None:
    """Mount it at `place`, which is closed. Layers are named through descriptors: an option of the new interface has room for 255
    bytes, those of mount(2) together for 4096, and neither has a clean way to write a `:`."""
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
    tree = new("overlay", tuple(options), 0)
    try:
        syscalls.move_mount(tree, place)
    finally:
        os.close(tree)


def has_overlay_api() -> bool:
    """Whether overlay takes its layers one by one."""
    if "overlay-api" in syscalls.missing or _is_taken_unread("overlay"):
        return False
    context = syscalls.fsopen("overlay")
    try:
        syscalls.fsconfig(context, "lowerdir+", "/")
    except OSError:
        return False
    finally:
        os.close(context)
    return True


_taken_unread: dict[str, bool] = {}


def get_to_know() -> None:
    """Find out for all forks of this process what this kernel has. To ask opens a context of overlay's that comes to nothing, and
    to close that waits for all processors."""
    try:
        _taken_unread["overlay"] = _is_taken_unread("overlay")
    except OSError:
        pass  # it has none now: a module may come


def _is_taken_unread(kind: str) -> bool:
    """Whether options of this kind of file system go through the new interface to the old code (overlay's, before Linux 6.5),
    which reads them at the end, and complains in the machine's log about those it does not know."""
    if kind in _taken_unread:
        return _taken_unread[kind]
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
