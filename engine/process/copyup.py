"""Fill an empty volume with what the image has at its place: content, owners, modes, times, symbolic links, extended attributes.
A file with two names becomes two files.

It is done inside the container's own mount namespace, between two descriptors, without following a link; so an image whose
directory is a link to /etc gets its own /etc copied and never the machine's.

Runs in the zygote: the listed stdlib modules only.
"""

import fcntl
import os
import stat

SENDFILE_BYTES = 1 << 30


def fill(source: int, destination: str) -> None:
    """Copy the directory `source` into `destination` unless something is in it already. Safe to be cut short, and to be done
    by two containers at once: a copy that was begun and not finished is begun again."""
    marker = f"{destination}.filling"
    target = os.open(destination, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(target, fcntl.LOCK_EX)
        if os.path.lexists(marker):
            _clear(target)
        elif os.listdir(target):
            return
        os.close(os.open(marker, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        _copy_directory(source, target)
        os.unlink(marker)
    finally:
        os.close(target)


def _copy_directory(source: int, target: int) -> None:
    for name in os.listdir(source):
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
            below, copy = _open_directory(source, name), _open_directory(target, name)
            try:
                _copy_directory(below, copy)
            finally:
                os.close(below)
                os.close(copy)
        else:
            _copy_entry(source, target, name, found)
    _copy_attributes(source, target, os.fstat(source))


def _copy_entry(source: int, target: int, name: str, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
    elif stat.S_ISREG(found.st_mode):
        _copy_file(source, target, name, found)
    elif not stat.S_ISSOCK(found.st_mode):
        os.mknod(name, found.st_mode, found.st_rdev, dir_fd=target)
        os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)


def _copy_file(source: int, target: int, name: str, found: os.stat_result) -> None:
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    original = os.open(name, os.O_RDONLY | os.O_NONBLOCK | flags, dir_fd=source)
    try:
        copy = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600, dir_fd=target)
        try:
            while os.sendfile(copy, original, None, SENDFILE_BYTES):
                pass
            _copy_attributes(original, copy, found)
        finally:
            os.close(copy)
    finally:
        os.close(original)


def _copy_attributes(original: int, copy: int, found: os.stat_result) -> None:
    os.chown(copy, found.st_uid, found.st_gid)
    os.chmod(copy, stat.S_IMODE(found.st_mode))  # after chown, which takes set-uid bits away
    for key in os.listxattr(original):
        try:
            os.setxattr(copy, key, os.getxattr(original, key))
        except OSError:
            pass  # an attribute that the volume's file system does not keep
    os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))


def _open_directory(parent: int, name: str) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)


def _clear(directory: int) -> None:
    for name in os.listdir(directory):
        if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            below = _open_directory(directory, name)
            try:
                _clear(below)
            finally:
                os.close(below)
            os.rmdir(name, dir_fd=directory)
        else:
            os.unlink(name, dir_fd=directory)
