"""The first and only process of the User-Mode Linux guest: mounts what the tests need, runs them, tells how it went.

The guest's root is the machine's own /, read-only; what it writes goes to memory, and to the one shared directory. It runs
under `python -I -S`. Its argument is the shared directory; `run.json` in there says what to run.
"""

import ctypes
import errno
import json
import os
import subprocess
import sys
import time
import traceback

LIBC = ctypes.CDLL(None, use_errno=True)
SHARE = "/run/share"
MOUNTS = (
    ("proc", "/proc", ""),
    ("sysfs", "/sys", ""),
    ("devtmpfs", "/dev", ""),
    ("tmpfs", "/run", "mode=755"),  # the only writable place; /tmp stays the machine's, as the checkout may be there
    ("cgroup2", "/sys/fs/cgroup", "nsdelegate"),
)
POWER_OFF = 0x4321FEDC  # linux/reboot.h, LINUX_REBOOT_CMD_POWER_OFF


def mount(kind: str, target: str, options: str) -> None:
    """The kernel may have mounted /dev by itself: EBUSY."""
    if LIBC.mount(b"none", target.encode(), kind.encode(), 0, options.encode()) and ctypes.get_errno() != errno.EBUSY:
        raise OSError(ctypes.get_errno(), f"cannot mount {kind} at {target}")


def run() -> int:
    for kind, target, options in MOUNTS:
        mount(kind, target, options)
    os.mkdir(SHARE)
    mount("hostfs", SHARE, sys.argv[1])
    with open(f"{SHARE}/run.json", encoding="utf-8") as file:
        what = json.load(file)
    with open(f"{SHARE}/output", "wb") as output:
        done = subprocess.run(
            what["argv"], cwd=what["directory"], env=what["environment"], stdout=output, stderr=output, check=False
        )
    return done.returncode


def tell(code: int) -> None:
    """The file appears whole, or not at all."""
    with open(f"{SHARE}/rc.new", "w", encoding="ascii") as file:
        file.write(str(code))
    os.rename(f"{SHARE}/rc.new", f"{SHARE}/rc")


try:
    tell(run())
except BaseException:
    traceback.print_exc()  # to the console
finally:
    LIBC.sync()
    LIBC.reboot(POWER_OFF)
    time.sleep(60)
