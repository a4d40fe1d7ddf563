"""Runs the cgroup tests on a kernel with nothing but the v2 tree: a User-Mode Linux guest, a process of this machine.

    python tests/guests/boot.py [pytest argument …]

The kernel is Debian's package user-mode-linux, unpacked into a cache (CORRAL_GUEST_CACHE, ~/.cache/corral/guests). The exit
code is that of pytest in the guest; a guest that does not tell one has failed, and one that takes longer than
CORRAL_GUEST_TIMEOUT_S is ended.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
PACKAGE = "user-mode-linux"
KERNEL = "usr/bin/linux.uml"
TESTS = ("tests/engine/test_cgroup_driver.py", "tests/guests/test_guest_v2.py")
MEMORY = "640M"
NOT_TOLD = 70


class GuestError(Exception):
    """The guest could not be made, or did not tell how it went."""


def main(arguments: list[str]) -> int:
    started = time.monotonic()
    timeout_s = float(os.environ.get("CORRAL_GUEST_TIMEOUT_S", "120"))
    try:
        kernel = fetch_kernel(cache_directory())
        with tempfile.TemporaryDirectory(prefix="corral-guest-") as directory:
            code = boot(kernel, Path(directory), arguments, timeout_s)
    except (GuestError, subprocess.CalledProcessError, OSError) as error:
        say(f"guest: failed: {error}")
        return NOT_TOLD
    say(f"guest: pytest ended with {code} after {time.monotonic() - started:.1f} s")
    return code


def cache_directory() -> Path:
    default = Path.home() / ".cache" / "corral" / "guests"
    return Path(os.environ.get("CORRAL_GUEST_CACHE") or default)


def fetch_kernel(cache: Path) -> Path:
    """The kernel's path, unpacked from Debian's package if it is not in the cache yet. No root needed."""
    kernel = cache / PACKAGE / KERNEL
    if kernel.exists():
        return kernel
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as directory:
        if subprocess.run(["apt-get", "-q", "download", PACKAGE], cwd=directory, check=False).returncode:
            subprocess.run(["apt-get", "-q", "update"], check=True)
            subprocess.run(["apt-get", "-q", "download", PACKAGE], cwd=directory, check=True)
        package = next(Path(directory).glob("*.deb"))
        subprocess.run(["dpkg-deb", "-x", str(package), f"{directory}/unpacked"], check=True)
        shutil.rmtree(cache / PACKAGE, ignore_errors=True)
        os.rename(f"{directory}/unpacked", cache / PACKAGE)
    return kernel


def boot(kernel: Path, directory: Path, arguments: list[str], timeout_s: float) -> int:
    """Run pytest in a guest that shares this directory and returns its exit code."""
    share = directory / "share"
    share.mkdir()
    (share / "run.json").write_text(json.dumps(what_to_run(arguments)))
    argv = [
        str(kernel),
        "umid=guest",
        f"uml_dir={directory}/",
        f"mem={MEMORY}",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",  # all that keeps the guest's root from writing to the machine's
        "con=null",
        "con0=null,fd:1",
        "quiet",
        "panic=-1",
        f"init={os.path.realpath(sys.executable)}",
        "--",
        "-I",
        "-S",
        str(HERE / "guest.py"),
        str(share),
    ]
    console = directory / "console"
    with console.open("wb") as output:
        guest = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={"PATH": os.environ["PATH"], "TMPDIR": memory_directory()},
            start_new_session=True,
        )
        try:
            guest.wait(timeout_s)
        except subprocess.TimeoutExpired:
            show(share / "output")
            raise GuestError(f"the guest took more than {timeout_s:.0f} s\n{tail(console)}") from None
        finally:
            end_group(guest.pid)
            guest.wait()
    show(share / "output")
    told = share / "rc"
    if not told.exists():
        raise GuestError(f"the guest ended without telling how it went\n{tail(console)}")
    return int(told.read_text())


def what_to_run(arguments: list[str]) -> dict[str, object]:
    return {
        "argv": [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "timeout=60", *(arguments or TESTS)],
        "directory": str(TOP),
        "environment": {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/run",
            "TMPDIR": "/run",
            "PYTHONDONTWRITEBYTECODE": "1",
            "CORRAL_GUEST": "v2",
        },
    }


def memory_directory() -> str:
    """Where the guest's memory is a file: in memory, where the machine has such a place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()


def end_group(leader: int) -> None:
    """A guest is several processes; after it nothing of it may live."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


def tail(path: Path) -> str:
    return path.read_text(errors="replace")[-2000:]


def show(path: Path) -> None:
    if path.exists():
        say(path.read_text(errors="replace").rstrip())


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
