"""Limits of block devices, which few containers have: only those with one are put into a v1 hierarchy for it.

v1: one file a limit, a line "MAJOR:MINOR RATE" a device. v2: io.max, with all limits of a device in one line. A weight goes to
the scheduler that has weights (BFQ), or to the kernel's own where it has any. Each line is a write of its own.
https://docs.kernel.org/admin-guide/cgroup-v1/blkio-controller.html, https://docs.kernel.org/admin-guide/cgroup-v2.html#io
"""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator

from engine.cgroups import setting
from engine.errors import EngineError, TerminalEngineError
from engine.types.parts import BlockIo

Lines = Iterator[tuple[tuple[str, ...], str]]
"""(files, of which the first that the kernel has takes it; the line)"""

MOVES_MAX = 100
"""So often is looked whether somebody was forked outside meanwhile."""
_V1_WEIGHTS = ("blkio.bfq.weight", "blkio.weight")
_V1_DEVICE_WEIGHTS = ("blkio.bfq.weight_device", "blkio.weight_device")
_USUAL_WEIGHTS = {
    "blkio.bfq.weight": "100",  # linux/block: bfq-iosched.h, BFQ_WEIGHT_LEGACY_DFL
    "blkio.weight": "500",  # cfq-iosched.c, CFQ_WEIGHT_LEGACY_DFL
    "io.bfq.weight": "default 100",
    "io.weight": "default 100",  # blk-cgroup.h, CGROUP_WEIGHT_DFL
}
_V2_MAX = {"read_bps": "rbps", "write_bps": "wbps", "read_iops": "riops", "write_iops": "wiops"}


def on_v1(limits: BlockIo) -> Lines:
    if limits.weight:
        yield _V1_WEIGHTS, str(limits.weight)
    for path, weight in limits.device_weights:
        yield _V1_DEVICE_WEIGHTS, f"{device_of(path)} {weight}"
    for field in _V2_MAX:
        for path, rate in getattr(limits, field):
            yield (f"blkio.throttle.{field}_device",), f"{device_of(path)} {rate}"


def on_v2(limits: BlockIo) -> Lines:
    if limits.weight:
        yield ("io.bfq.weight",), f"default {limits.weight}"
    for path, weight in limits.device_weights:
        yield ("io.bfq.weight",), f"{device_of(path)} {weight}"
    of_device: dict[str, list[str]] = {}
    for field, key in _V2_MAX.items():
        for path, rate in getattr(limits, field):
            of_device.setdefault(device_of(path), []).append(f"{key}={rate}")
    for device, limited in of_device.items():
        yield ("io.max",), f"{device} {' '.join(limited)}"


def put(directory: str, lines: Lines) -> None:
    """Put the limits in force. Raises TerminalEngineError, naming the file, for one that the kernel has not or refuses."""
    for files, line in lines:
        found = next((file for file in files if os.path.exists(os.path.join(directory, file))), None)
        if found is None and files == ("io.bfq.weight",) and os.path.exists(os.path.join(directory, "io.weight")):
            found, line = "io.weight", _io_weight(line)
        if found is None:
            raise TerminalEngineError(
                f"cannot set blkio_config to {line}: this kernel has no {os.path.join(directory, files[0])}"
            )
        try:
            setting.write(os.path.join(directory, found), line)
        except OSError as error:
            path = os.path.join(directory, found)
            raise TerminalEngineError(f"cannot set blkio_config to {line}: {path}: {error.strerror}") from error


def unweigh(directory: str) -> None:
    """Give it the weight that a new cgroup has. Raises TerminalEngineError."""
    for file, text in _USUAL_WEIGHTS.items():
        path = os.path.join(directory, file)
        try:
            if os.path.exists(path):
                setting.write(path, text)
        except OSError as error:
            raise TerminalEngineError(f"cannot set {path} to {text}: {error.strerror}") from error


def move(pids: Callable[[], frozenset[int]], directory: str) -> None:
    """Bring every process of those that there are into a v1 cgroup, also what they fork meanwhile. Raises EngineError."""
    path = os.path.join(directory, "cgroup.procs")
    for _ in range(MOVES_MAX):
        try:
            here = {int(pid) for pid in setting.read(path).split()}
            if not (missing := pids() - here):
                return
            for pid in missing:
                with contextlib.suppress(ProcessLookupError):
                    setting.write(path, str(pid))
        except OSError as error:
            raise EngineError(f"cannot bring processes into {directory}: {error.strerror}") from error
    raise EngineError(f"cannot bring processes into {directory}: there are always more of them")


def device_of(path: str) -> str:
    """MAJOR:MINOR of a block device. Raises TerminalEngineError."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise TerminalEngineError(f"cannot limit the device {path}: {error.strerror}") from error
    if not stat.S_ISBLK(found.st_mode):
        raise TerminalEngineError(f"cannot limit the device {path}: it is not a block device")
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def _io_weight(line: str) -> str:
    """opencontainers/cgroups, ConvertBlkIOToIOWeightValue: 10 to 1000 becomes 1 to 10000."""
    which, weight = line.split()
    return f"{which} {1 + (int(weight) - 10) * 9999 // 990}"
