"""The system calls that Python 3.11 does not know, as plain functions that raise `OSError`. The only module with ctypes.

The library is opened with `PyDLL`: the interpreter's lock is kept during a call, so `clone3` acts as a fork of a process that
has one thread. Nothing here waits long. A call that an old kernel lacks raises ENOSYS; callers have the fallback (the floor is
Linux 6.1). `missing` makes a newer kernel look old.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Mapping, Sequence

FEATURES = (
    "pidfs",
    "overlay-api",
    "detached-mounts",
    "clone-into-cgroup",
    "cgroup-kill",
    "small-init",
    "idmap",
    "shared-pages",
)
"""What can be done without: the inode of a pidfd (Linux 6.9), overlay's layers one by one (6.7), copies of and places in mounts
that are attached nowhere (6.15), CLONE_INTO_CGROUP (5.7; no v2 tree), cgroup.kill (5.14), our own init in machine code (x86-64),
file systems shown under other owners, pages given back in machine code (x86-64). Whatever else is here, Linux 6.1 has."""

missing: set[str] = {name for name in os.environ.get("CORRAL_WITHOUT", "").split(",") if name}
"""Those of FEATURES that this kernel is to be taken not to have; for tests."""

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

# asm-generic/unistd.h: the same on every architecture
OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT = 428, 429, 430, 431, 432
CLONE3, CLOSE_RANGE, OPENAT2, MOUNT_SETATTR = 435, 436, 437, 442
# asm/unistd.h: (keyctl, seccomp, pivot_root, rt_sigaction) by machine
KEYCTL, SECCOMP, PIVOT_ROOT, RT_SIGACTION = {"x86_64": (250, 317, 155, 13), "aarch64": (219, 277, 41, 134)}[
    os.uname().machine
]

# linux/sched.h
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
CLONE_PIDFD, CLONE_PARENT, CLONE_INTO_CGROUP = 0x1000, 0x8000, 0x200000000

# linux/mount.h
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 19
MS_PRIVATE, MS_SHARED = 1 << 18, 1 << 20
MNT_DETACH = 2
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH = 0x4, 0x40
FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE = 0, 1, 6
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 1, 2, 4, 8
MOUNT_ATTR_IDMAP = 0x100000
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000

# linux/openat2.h
RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT = 1, 2, 4, 8, 16

# linux/prctl.h
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_NAME, PR_CAPBSET_READ, PR_CAPBSET_DROP = 1, 4, 8, 15, 23, 24
PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP = 28, 4  # and linux/securebits.h
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 36, 38, 47, 4

KEYCTL_JOIN_SESSION_KEYRING = 1  # linux/keyctl.h
SECCOMP_SET_MODE_FILTER = 1  # linux/seccomp.h
CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
PIDFS_MAGIC, DEVPTS_SUPER_MAGIC, PROC_SUPER_MAGIC = 0x50494446, 0x1CD1, 0x9FA0  # linux/magic.h
SEALS = 0x000F  # linux/fcntl.h: F_SEAL_SEAL, SHRINK, GROW, WRITE
CLOSE_RANGE_CLOEXEC = 4  # linux/close_range.h
M_ARENA_MAX = -8  # malloc.h, of glibc
POSIX_SPAWN_SETSIGDEF, POSIX_SPAWN_SETSIGMASK = 0x4, 0x8  # spawn.h, of glibc and musl
SIGSET_BYTES, SPAWNATTR_BYTES = 128, 512  # sigset_t of both; posix_spawnattr_t has 336 bytes at the most
_RLIMIT_NAMES = "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME"
RLIMITS = {name: number for number, name in enumerate(_RLIMIT_NAMES.split())}  # asm-generic/resource.h


def _checked(result: int, what: str, path: str | bytes | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        where = f" {os.fsdecode(path)}" if path else ""
        raise OSError(number, f"{what}{where}: {os.strerror(number)}")
    return result


def _call(number: int, what: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    wide = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *wide), what)


# ------------------------------------------------------------------------------------------------------------ processes


CLONE_ARGS_BYTES = 88  # linux/sched.h, struct clone_args
_clone_args, _pidfd = ctypes.create_string_buffer(CLONE_ARGS_BYTES), ctypes.c_int(-1)
_CLONE_ARGS_AT, _PIDFD_AT = ctypes.addressof(_clone_args), ctypes.addressof(_pidfd)
_clone3 = _libc["syscall"]  # prepared, as `_unshare` is
_clone3.restype, _clone3.argtypes = ctypes.c_long, (ctypes.c_long, ctypes.c_void_p, ctypes.c_long)


def clone3(flags: int, *, cgroup_fd: int = -1) -> tuple[int, int]:
    """Fork with new namespaces, into a v2 cgroup if one is given; returns (pid, pidfd), and (0, -1) in the child. With
    CLONE_PARENT the child is our parent's, not ours."""
    if cgroup_fd >= 0 and "clone-into-cgroup" in missing:
        raise OSError(errno.EINVAL, "clone3: told to do without CLONE_INTO_CGROUP")
    flags |= CLONE_PIDFD | (CLONE_INTO_CGROUP if cgroup_fd >= 0 else 0)
    exit_signal = 0 if flags & CLONE_PARENT else 17  # SIGCHLD; clone3(2): none with CLONE_PARENT, it inherits ours
    struct.pack_into("=11Q", _clone_args, 0, flags, _PIDFD_AT, 0, 0, exit_signal, 0, 0, 0, 0, 0, max(cgroup_fd, 0))
    pid = _checked(_clone3(CLONE3, _CLONE_ARGS_AT, CLONE_ARGS_BYTES), "clone3")
    return (pid, _pidfd.value) if pid else (0, -1)


_unshare = _libc.unshare
_unshare.argtypes = (ctypes.c_int,)


def unshare(flags: int) -> None:
    """Prepared, since every shim calls it: what a call by ctypes makes on its way is memory of each of them."""
    _checked(_unshare(flags), "unshare")


_setns = _libc.setns  # prepared, too: twice for each command
_setns.argtypes = (ctypes.c_int, ctypes.c_int)


def setns(descriptor: int, flags: int) -> None:
    _checked(_setns(descriptor, flags), "setns")


def prctl(option: int, *arguments: int | bytes) -> int:
    wide = [ctypes.c_ulong(argument) if isinstance(argument, int) else argument for argument in arguments]
    wide += [ctypes.c_ulong(0)] * (4 - len(wide))
    return _checked(_libc.prctl(ctypes.c_int(option), *wide), "prctl")


def sethostname(name: bytes) -> None:
    _checked(_libc.sethostname(name, ctypes.c_size_t(len(name))), "sethostname")


def setdomainname(name: bytes) -> None:
    _checked(_libc.setdomainname(name, ctypes.c_size_t(len(name))), "setdomainname")


def spawn(path: str, argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Execute a program in a child whose signals are all at their defaults, and none blocked; returns its pid. Neither our page
    tables nor our pages are copied for it, as for a fork. `os.posix_spawn` does not reach the C library's own signals, and leaves
    them ignored."""
    everything, nothing = (ctypes.create_string_buffer(byte * SIGSET_BYTES, SIGSET_BYTES) for byte in (b"\xff", b"\0"))
    attributes = ctypes.create_string_buffer(SPAWNATTR_BYTES)
    _libc.posix_spawnattr_init(attributes)
    _libc.posix_spawnattr_setflags(attributes, ctypes.c_short(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
    _libc.posix_spawnattr_setsigdefault(attributes, everything)
    _libc.posix_spawnattr_setsigmask(attributes, nothing)
    words = [os.fsencode(word) for word in argv]
    settings = [os.fsencode(f"{name}={value}") for name, value in environment.items()]
    encoded = os.fsencode(path)
    if any(b"\0" in each for each in (encoded, *words, *settings)):
        raise ValueError("embedded null byte")
    pid = ctypes.c_int(0)
    arrays = [(ctypes.c_char_p * (len(each) + 1))(*each, None) for each in (words, settings)]
    number = _libc.posix_spawn(ctypes.byref(pid), encoded, None, attributes, *arrays)
    if number:
        raise OSError(number, os.strerror(number))
    return pid.value


def default_signal(number: int) -> None:
    """Give a signal its default disposition, also one that the C library keeps to itself and refuses to touch."""
    _call(RT_SIGACTION, "rt_sigaction", number, ctypes.create_string_buffer(32), None, 8)  # struct kernel_sigaction


def use_one_heap() -> None:
    """From now on all threads of this process allocate from one heap, where the C library would give each one of its own: what is
    freed in one of those is of no use to the others. Call it before there are threads."""
    if hasattr(_libc, "mallopt"):  # glibc only
        _libc.mallopt(ctypes.c_int(M_ARENA_MAX), ctypes.c_int(1))


def close_range(first: int, last: int, flags: int = 0) -> None:
    if first <= last:
        _call(CLOSE_RANGE, "close_range", first, last, flags)


def close_all_but(keep: set[int]) -> None:
    """Close every other descriptor. O_CLOEXEC does nothing for a fork that executes later, or never."""
    first = 0
    for descriptor in sorted(keep):
        close_range(first, descriptor - 1)
        first = descriptor + 1
    close_range(first, 2**31 - 1)


def setrlimit(resource: int, soft: int, hard: int) -> None:
    packed = ctypes.create_string_buffer(struct.pack("=qq", soft, hard), 16)
    _checked(_libc.prlimit(ctypes.c_int(0), ctypes.c_int(resource), packed, None), "setrlimit")


def getrlimit(resource: int) -> tuple[int, int]:
    packed = ctypes.create_string_buffer(16)
    _checked(_libc.prlimit(ctypes.c_int(0), ctypes.c_int(resource), None, packed), "getrlimit")
    soft, hard = struct.unpack("=qq", packed.raw)
    return soft, hard


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set this thread's capability sets, given as bit masks."""
    low, high = 0xFFFFFFFF, 32
    sets = (effective, permitted, inheritable)
    words = [*(mask & low for mask in sets), *(mask >> high for mask in sets)]
    header = ctypes.create_string_buffer(struct.pack("=Ii", CAPABILITY_VERSION_3, 0), 8)
    _checked(_libc.capset(header, ctypes.create_string_buffer(struct.pack("=6I", *words), 24)), "capset")


def join_new_session_keyring() -> None:
    _call(KEYCTL, "keyctl", KEYCTL_JOIN_SESSION_KEYRING, None)


def load_seccomp(program: bytes) -> None:
    """Install a filter: an array of struct sock_filter. Needs CAP_SYS_ADMIN or no_new_privs."""
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(instructions))
    _call(SECCOMP, "seccomp", SECCOMP_SET_MODE_FILTER, 0, ctypes.create_string_buffer(header, 16))


def poke(address: int, content: bytes) -> None:
    """Overwrite this process's own memory."""
    ctypes.memmove(address, content, len(content))


Function = Callable[[bytes, int, int], int]
"""Of machine code: an array and its length, and a descriptor."""

PROT_READ, PROT_EXEC, MAP_PRIVATE = 1, 4, 2  # asm-generic/mman.h
_PROTOTYPE = ctypes.PYFUNCTYPE(ctypes.c_long, ctypes.c_char_p, ctypes.c_long, ctypes.c_int)


def functions(code: bytes, starts: Sequence[int]) -> list[Function]:
    """Machine code, made executable: the functions that begin at these places of it, for as long as this process and its forks
    are there."""
    file = os.memfd_create("corral-code", os.MFD_CLOEXEC)
    try:
        os.write(file, code)
        _libc.mmap.restype = ctypes.c_ssize_t
        length = ctypes.c_size_t(len(code))
        address = _libc.mmap(None, length, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, ctypes.c_long(0))
        _checked(min(address, 0), "mmap")
    finally:
        os.close(file)
    return [_PROTOTYPE(address + start) for start in starts]


def thread_area() -> int:
    """An address in what the C library and the kernel keep for this thread."""
    find = _libc["__errno_location"]
    find.restype = ctypes.c_ssize_t
    return int(find())


# --------------------------------------------------------------------------------------------------------------- mounts


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    arguments = [os.fsencode(text) if text is not None else None for text in (source, target, kind)]
    options = os.fsencode(data) if data is not None else None
    _checked(_libc.mount(*arguments, ctypes.c_ulong(flags), options), "mount", target)


def umount(target: str, flags: int = MNT_DETACH) -> None:
    _checked(_libc.umount2(os.fsencode(target), ctypes.c_int(flags)), "umount", target)


def pivot_root(new_root: str, put_old: str) -> None:
    _call(PIVOT_ROOT, "pivot_root", os.fsencode(new_root), os.fsencode(put_old))


def fsopen(kind: str) -> int:
    return _call(FSOPEN, f"fsopen {kind}", os.fsencode(kind), 1)  # FSOPEN_CLOEXEC


def fsconfig(context: int, key: str, value: str | None = None) -> None:
    """Set an option of a file system to be; a value is at most 255 bytes long."""
    command = FSCONFIG_SET_FLAG if value is None else FSCONFIG_SET_STRING
    text = None if value is None else os.fsencode(value)
    _call(FSCONFIG, f"fsconfig {key}={value}", context, command, os.fsencode(key), text, 0)


def fsmount(context: int, attributes: int) -> int:
    """Create the file system; returns a detached mount of it, which only counts as O_PATH."""
    _call(FSCONFIG, "fsconfig create", context, FSCONFIG_CMD_CREATE, None, None, 0)
    return _call(FSMOUNT, "fsmount", context, 1, attributes)  # FSMOUNT_CLOEXEC


def open_tree(directory: int, path: str, *, recursive: bool = False) -> int:
    """Give a detached copy of the mount at `path`, or at the descriptor itself where path is ""."""
    if "detached-mounts" in missing and not path:
        _refuse_detached(directory)
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0) | (0 if path else AT_EMPTY_PATH)
    return _call(OPEN_TREE, f"open_tree {path}", directory, os.fsencode(path), flags)


def move_mount(tree: int, target: int) -> None:
    """Attach a detached mount to the place that the descriptor `target` names."""
    if "detached-mounts" in missing:
        _refuse_detached(target)
    _call(MOVE_MOUNT, "move_mount", tree, b"", target, b"", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)


def _refuse_detached(descriptor: int) -> None:
    with open(f"/proc/self/fdinfo/{descriptor}", "rb") as file:
        number = next(line.split()[1] for line in file if line.startswith(b"mnt_id:"))
    with open("/proc/self/mountinfo", "rb") as file:
        if all(line.split(b" ", 1)[0] != number for line in file):
            raise OSError(errno.EINVAL, "told to do without mounts that are attached nowhere")


def mount_setattr(
    tree: int, *, attributes: int = 0, propagation: int = 0, recursive: bool = False, userns: int = -1
) -> None:
    """`userns`: show the owners of a detached tree's files as this user namespace maps them; EINVAL where the file system
    cannot."""
    if userns >= 0 and "idmap" in missing:
        raise OSError(errno.EINVAL, "mount_setattr: told to do without MOUNT_ATTR_IDMAP")
    attributes |= MOUNT_ATTR_IDMAP if userns >= 0 else 0
    packed = ctypes.create_string_buffer(struct.pack("=4Q", attributes, 0, propagation, max(userns, 0)), 32)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    _call(MOUNT_SETATTR, "mount_setattr", tree, b"", flags, packed, 32)


OPENAT2_TRIES = 128
"""openat2(2): a `..` below RESOLVE_IN_ROOT or RESOLVE_BENEATH gives EAGAIN while anybody on the machine renames or mounts."""


def openat2(directory: int, path: str, flags: int, resolve: int, mode: int = 0) -> int:
    packed = ctypes.create_string_buffer(struct.pack("=3Q", flags | os.O_CLOEXEC, mode, resolve), 24)
    for _ in range(OPENAT2_TRIES - 1):
        try:
            return _call(OPENAT2, f"openat2 {path}", directory, os.fsencode(path), packed, 24)
        except BlockingIOError:
            pass
    return _call(OPENAT2, f"openat2 {path}", directory, os.fsencode(path), packed, 24)


def filesystem_type(descriptor: int) -> int:
    """Give f_type of the file system that the descriptor is on (linux/magic.h)."""
    packed = ctypes.create_string_buffer(128)
    _checked(_libc.fstatfs(ctypes.c_int(descriptor), packed), "fstatfs")
    return int(struct.unpack_from("=q", packed.raw)[0])


# ------------------------------------------------------------------------------------------------------ device filters

BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]  # asm/unistd.h
# linux/bpf.h: enum bpf_cmd, bpf_prog_type, bpf_attach_type; attach flags
BPF_PROG_LOAD, BPF_PROG_ATTACH, BPF_PROG_DETACH, BPF_PROG_GET_FD_BY_ID, BPF_PROG_QUERY = 5, 8, 9, 13, 16
BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI = 15, 6, 2


def bpf_devices_attach(cgroup: int, program: bytes) -> None:
    """Let the kernel ask this device program, beside those attached already, for the cgroup that the descriptor names."""
    code, license_name = ctypes.create_string_buffer(program, len(program)), ctypes.create_string_buffer(b"GPL")
    where = (ctypes.addressof(code), ctypes.addressof(license_name))
    packed = struct.pack("=IIQQ", BPF_PROG_TYPE_CGROUP_DEVICE, len(program) // 8, *where)
    loaded = _bpf(BPF_PROG_LOAD, "load a device program", packed)
    try:
        packed = struct.pack("=IIII", cgroup, loaded, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI)
        _bpf(BPF_PROG_ATTACH, "attach a device program", packed)
    finally:
        os.close(loaded)


def bpf_devices_attached(cgroup: int) -> tuple[int, ...]:
    """Give the ids of the device programs attached to the cgroup that the descriptor names."""
    ids = (ctypes.c_uint32 * 64)()
    attributes = ctypes.create_string_buffer(
        struct.pack("=IIIIQI", cgroup, BPF_CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), len(ids)), 128
    )
    _call(BPF, "bpf: list device programs", BPF_PROG_QUERY, attributes, len(attributes))
    count = int(struct.unpack_from("=I", attributes.raw, 24)[0])
    return tuple(ids[:count])


def bpf_devices_detach(cgroup: int, program_id: int) -> None:
    """Ask the device program no longer."""
    program = _bpf(BPF_PROG_GET_FD_BY_ID, "open a device program", struct.pack("=I", program_id))
    try:
        _bpf(BPF_PROG_DETACH, "detach a device program", struct.pack("=III", cgroup, program, BPF_CGROUP_DEVICE))
    finally:
        os.close(program)


def _bpf(command: int, what: str, packed: bytes) -> int:
    attributes = ctypes.create_string_buffer(packed, 128)
    return _call(BPF, f"bpf: {what}", command, attributes, len(attributes))
