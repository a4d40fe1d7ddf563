"""What the kernel can do, tried by a process that has unshared what it touches, and ends; a line for each trial that failed.

python -I -S -c BOOT <where corral is> <features to do without> <a folder on the state root's file system>
"""

import os
import subprocess
import sys
from collections.abc import Callable

from engine import errors
from engine.network import guard
from engine.process import detached, syscalls, user_namespaces

BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from orchestrator.command_line import trials; trials.main(sys.argv[2:])"
IDS = b"1000000000 65536"
DETACHED, OVERLAY, USERNS, IDMAP = "detached-mounts", "overlay-api", "user namespaces", "idmap"
GUARD = "source addresses"
TRIAL_S = 10.0


def failed(directory: str) -> dict[str, str]:
    """Mapping from what does not work to the reason. Raises OSError where nothing could be tried."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    argv = [sys.executable, "-I", "-S", "-c", BOOT, root, ",".join(syscalls.missing), directory]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TRIAL_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise OSError(f"a trial took more than {TRIAL_S:g} s") from error
    if done.returncode:
        raise OSError(" ".join(done.stderr.split())[-200:] or f"the trials ended with {done.returncode}")
    return dict(line.split("\t", 1) for line in done.stdout.splitlines())


def main(arguments: list[str]) -> None:
    missing, directory = arguments
    syscalls.missing.update(missing.split(",") if missing else ())
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    _try(DETACHED, _mount_on_what_is_detached)
    _try(OVERLAY, _take_layers_one_by_one)
    _try(USERNS, lambda: os.close(user_namespaces.make(IDS)))
    _try(IDMAP, lambda: _show_under_other_owners(directory))
    syscalls.unshare(syscalls.CLONE_NEWNET)
    _try(GUARD, lambda: guard.try_at("lo"))


def _try(name: str, trial: Callable[[], None]) -> None:
    try:
        trial()
    except (OSError, errors.EngineError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        sys.stdout.write(f"{name}\t{' '.join(why.split())}\n")


def _mount_on_what_is_detached() -> None:
    below, above = (detached.new("tmpfs", (), 0) for _ in range(2))
    os.mkdir("place", dir_fd=below)
    syscalls.move_mount(above, os.open("place", os.O_PATH | os.O_DIRECTORY, dir_fd=below))


def _take_layers_one_by_one() -> None:
    if not detached.has_overlay_api():
        raise OSError("overlay has not got the new interface")


def _show_under_other_owners(directory: str) -> None:
    userns = user_namespaces.make(IDS)
    tree = syscalls.open_tree(syscalls.AT_FDCWD, directory)
    syscalls.mount_setattr(tree, userns=userns)
