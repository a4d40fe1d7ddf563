"""Where systemd keeps the v2 tree: a scope unit of it, below which it lets us make cgroups, and keeps out.

    system.slice/corral-<instance>.scope/     Delegate=yes
        supervisor/                           zygote, shims, dns: who outlives the daemon's unit
        corral/<instance>/<project>/<id>/     containers

A scope lives as long as a process is in it: it goes with the last one, and whoever comes then is given a new one. Stopping the
daemon's unit does not touch it; stopping the scope ends everything in it. A machine that goes down does not stop it before the
daemon has ended what is in it. See docs/decisions/014-systemd.md.
"""

import os
import shutil
import subprocess

from engine.cgroups import setting, signals
from engine.cgroups.layout import Layout
from engine.errors import EngineError

BOOTED = "/run/systemd/system"  # sd_booted(3)
SLICE = "system.slice"
PROPERTIES = ("Delegate=yes", "TasksMax=infinity", "TimeoutStopSec=10", "DefaultDependencies=no")
"""One that is stopped by hand sends SIGTERM, which most first processes of containers ignore: they get as long as a stop gives
them, not systemd's minute and a half. The last: a machine that goes down would tell all of it to end at once, beside the daemon,
which does that better. The slice must be one that is never stopped."""

HOLDERS = "supervisor"
START_S = 30.0
GOING_S = 1.0
"""What is told to end by SIGTERM has ended long before that, but for what does not listen."""


def is_needed(layout: Layout) -> bool:
    """systemd divides this machine's tree, and all of it is v2: elsewhere nobody minds where cgroups are made."""
    return bool(layout.v2) and not layout.v1 and os.path.isdir(BOOTED) and bool(shutil.which("systemd-run"))


class Scope:
    """Of the corral with this instance, in the v2 tree at `v2`. `parent`: its cgroup below that."""

    def __init__(self, v2: str, instance: str) -> None:
        self._name = f"corral-{instance}.scope"
        self.parent = f"{SLICE}/{self._name}"
        self._directory = os.path.join(v2, self.parent)

    def hold(self, pid: int) -> None:
        """Move the process there, into a new scope if there is none. Blocks: 0.05 s for a new one. Raises EngineError: also where
        systemd is stopping the scope, which would end whoever came into it now."""
        if not signals.wait_until(lambda: not self._is_going(), GOING_S):
            raise EngineError(f"cannot join the scope {self._name}: systemd is stopping it")
        try:
            self._move(pid)
        except OSError:
            self._make(pid)

    def _is_going(self) -> bool:
        if not os.path.isdir(self._directory):
            return False
        argv = ["systemctl", "show", "--property=ActiveState", "--value", self._name]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip() == "deactivating"

    def _move(self, pid: int) -> None:
        holders = os.path.join(self._directory, HOLDERS)
        if not os.path.isdir(holders):
            os.mkdir(holders)
        setting.write(os.path.join(holders, "cgroup.procs"), str(pid))

    def _make(self, pid: int) -> None:
        """systemd makes a scope around a process: one that ends once ours is in it."""
        first = subprocess.Popen(
            [*self._argv(), "cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ.get("PATH", os.defpath)},
        )
        try:
            signals.wait_until(lambda: self._has(first.pid) or first.poll() is not None, START_S)
            self._move(pid)
        except OSError as error:
            first.kill()
            said = " ".join((first.communicate()[1] or str(error)).split())
            raise EngineError(f"cannot make the scope {self._name}: {said}") from error
        finally:
            if first.returncode is None:
                first.communicate()

    def _argv(self) -> list[str]:
        argv = ["systemd-run", "--quiet", "--scope", "--collect", f"--unit={self._name}", f"--slice={SLICE}"]
        argv += [f"--property={each}" for each in PROPERTIES]
        return [*argv, "--description=Containers of corral"]

    def _has(self, pid: int) -> bool:
        try:
            return str(pid) in setting.read(os.path.join(self._directory, "cgroup.procs")).split()
        except OSError:
            return False
