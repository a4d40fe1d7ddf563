"""The image `host`: this machine's programs as a root file system, without its data.

An allowlist, not a mask: /usr (and /bin, /sbin, /lib* where they are directories of their own) are read-only lower layers
of overlays of their own; of /etc a copy of what everybody may read; everything else is a fresh skeleton. So no home, no /var,
no key and no socket of the machine's is in it, whatever the machine's owner puts where.

A skeleton is made once for each state of /etc (`stamp`) and kept beside older ones as long as a container stands on them:

    <images>/host/<stamp>/…          the lower layer of "/"
    <images>/host/<stamp>.tmp-<n>/   being made; swept at the next start

For trusted labs: programs in a container see the machine's installed software, and whoever is root in it reads /usr as root.
"""

import hashlib
import os
import shutil
import stat

from engine import errors
from engine.images.layout import Layer

TREES = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
SKELETON: tuple[tuple[str, int], ...] = (
    ("boot", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("var", 0o755),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/spool", 0o755),
    ("var/tmp", 0o1777),
)
OWN = frozenset({"hostname", "hosts", "resolv.conf", "machine-id", "mtab", "fstab", "adjtime", ".pwd.lock"})
"""Of /etc, what belongs to a machine and not to its software: each container has its own, or none."""

STAMPED = ("/etc", "/etc/alternatives", "/etc/passwd", "/etc/group", "/etc/ld.so.cache", "/var/lib/dpkg/status")


def stamp(machine: str = "/") -> str:
    """Name the present state of the machine's /etc: equal as long as no package and no account has changed."""
    seen = []
    for path in STAMPED:
        try:
            found = os.stat(os.path.join(machine, path.lstrip("/")))
        except OSError:
            continue
        seen.append((path, found.st_mtime_ns, found.st_ino))
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]


def layers(images_directory: str, machine: str = "/") -> tuple[Layer, ...]:
    """Give the layers of a container made now; makes the skeleton when there is none for this state. Takes 0.1 s then.

    Raises `TerminalEngineError` where this machine's programs cannot be shown as a lower layer.
    """
    refuse_split_usr(machine)
    skeleton = os.path.join(images_directory, "host", stamp(machine))
    if not os.path.isdir(skeleton):
        make(skeleton, machine)
    trees = [name for name in TREES if os.path.isdir(path := os.path.join(machine, name)) and not os.path.islink(path)]
    return (Layer("/", (skeleton,)), *(Layer(f"/{name}", (os.path.join(machine, name),)) for name in trees))


def refuse_split_usr(machine: str) -> None:
    """What is mounted below /usr does not show through an overlay: say so instead of losing half of it."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        points = [line.split()[4] for line in mounts]
    inside = [point for point in points if any(point.startswith(os.path.join(machine, f"{tree}/")) for tree in TREES)]
    if inside:
        raise errors.TerminalEngineError(
            f"cannot make image host: {inside[0]} is a mount of its own below a directory that the image shows;"
            " use a root file system of your own: image: rootfs:/some/directory"
        )


def make(skeleton: str, machine: str) -> None:
    os.makedirs(os.path.dirname(skeleton), mode=0o700, exist_ok=True)
    draft = f"{skeleton}.tmp-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    os.mkdir(draft, 0o755)
    for name, mode in SKELETON:
        path = os.path.join(draft, name)
        os.mkdir(path)
        os.chmod(path, mode)
    os.symlink("/run", os.path.join(draft, "var/run"))
    os.symlink("/run/lock", os.path.join(draft, "var/lock"))
    for name in TREES:
        there = os.path.join(machine, name)
        if os.path.islink(there):
            os.symlink(os.readlink(there), os.path.join(draft, name))
        elif os.path.isdir(there):
            os.mkdir(os.path.join(draft, name), 0o755)
    copy_readable(os.path.join(machine, "etc"), os.path.join(draft, "etc"), OWN)
    for name, text in (("machine-id", ""), ("fstab", "")):
        with open(os.path.join(draft, "etc", name), "w", encoding="utf-8") as file:
            file.write(text)
    os.symlink("/proc/self/mounts", os.path.join(draft, "etc/mtab"))
    os.rename(draft, skeleton)


def copy_readable(source: str, target: str, without: frozenset[str] = frozenset()) -> None:
    """Copy a directory's entries that everybody may read: files, links and directories, nothing else."""
    for entry in os.scandir(source):
        if entry.name in without:
            continue
        copy = os.path.join(target, entry.name)
        found = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(entry.path), copy)
        elif stat.S_ISDIR(found.st_mode) and found.st_mode & 0o005 == 0o005:
            os.mkdir(copy)
            copy_readable(entry.path, copy)
            os.chmod(copy, stat.S_IMODE(found.st_mode))
        elif stat.S_ISREG(found.st_mode) and found.st_mode & 0o004:
            shutil.copyfile(entry.path, copy)
            os.chmod(copy, stat.S_IMODE(found.st_mode))
            os.chown(copy, found.st_uid, found.st_gid)


def sweep(images_directory: str, used: set[str], machine: str = "/") -> None:
    """Remove skeletons that no container stands on and that are not of the present state."""
    home = os.path.join(images_directory, "host")
    if not os.path.isdir(home):
        return
    keep = used | {os.path.join(home, stamp(machine))}
    for name in os.listdir(home):
        path = os.path.join(home, name)
        if path not in keep:
            shutil.rmtree(path, ignore_errors=True)
