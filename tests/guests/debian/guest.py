"""A Debian guest under QEMU, emulated: no /dev/kvm is asked for, since a nested one may be slower than none.

    with Guest(image, directory) as guest:
        guest.boot()
        guest.sh("corral up -d", directory="/srv/lab")
        guest.cut_power()
        guest.boot()                     # the same disk

The guest has no network; what it is told to do comes by a serial port (`agent.py`), the project's files as a tar archive on a
second disk. All that it says is in `console` and `transcript`.
"""

import contextlib
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.process import syscalls
from tests.guests.debian import payload

BOOT_S = 180.0
COMMAND_S = 180.0
END_S = 120.0
PATIENCE_S = 60.0
MEMORY = "1536M"
CPU = "max,-erms,-fsrm,-avx,-avx2,-xsave,-smap,-smep,-la57,-pku"
FASTER = "mitigations=off tsc=reliable clocksource=tsc clearcpuid=rep_good"
"""Without what an emulator does slowly: strings byte by byte, wide registers, a fifth level of pages, a clock behind a device."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}


class GuestError(Exception):
    """The guest did not boot, or does not answer."""


class Guest:
    """`image`: vmlinuz, initrd and root.ext4, which is copied. `directory`: for the copy, the console and the transcript."""

    def __init__(self, image: Path, directory: Path) -> None:
        self.image, self.directory = image, directory
        self.console, self.transcript = directory / "console", directory / "transcript"
        self.boot_id = ""
        self._disk, self._project = directory / "disk", directory / "project.tar"
        self._process: subprocess.Popen[bytes] | None = None
        self._port: socket.socket | None = None
        self._waiting = b""

    def __enter__(self) -> "Guest":
        self.directory.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", self.image / "root.ext4", self._disk], check=True)
        payload.write(self._project)
        return self

    def __exit__(self, *_: object) -> None:
        self.cut_power()
        for path in (self._disk, self._project):
            path.unlink(missing_ok=True)

    # ---------------------------------------------------------------------------------------------------- its power

    def boot(self, timeout_s: float = BOOT_S) -> float:
        """Switch it on, and wait until it listens; the seconds that took. The project is at /opt/corral then."""
        assert self._process is None
        began = time.monotonic()
        path = self.directory / "port"
        path.unlink(missing_ok=True)
        with self.console.open("ab") as output:
            self._process = subprocess.Popen(
                self._argv(path),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self._port = self._connect(path, began + timeout_s)
        self._await_hello(began + timeout_s)
        self.sh("test -d /opt/corral || { mkdir /opt/corral && tar -xf /dev/vdb -C /opt/corral; }")
        return time.monotonic() - began

    def _argv(self, port: Path) -> list[str]:
        return [
            *("qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", CPU, "-m", MEMORY, "-smp", "2"),
            *("-nodefaults", "-no-reboot", "-display", "none", "-monitor", "none", "-serial", "stdio"),
            *("-kernel", str(self.image / "vmlinuz"), "-initrd", str(self.image / "initrd")),
            *("-append", f"console=ttyS0 quiet panic=-1 systemd.show_status=0 {FASTER}"),
            *("-drive", f"file={self._disk},if=virtio,format=raw,cache=writeback"),
            *("-drive", f"file={self._project},if=virtio,format=raw,readonly=on"),
            *("-chardev", f"socket,id=agent,path={port},server=on,wait=off"),
            *("-device", "virtio-serial", "-device", "virtserialport,chardev=agent,name=agent"),
        ]

    def _connect(self, path: Path, deadline: float) -> socket.socket:
        port = socket.socket(socket.AF_UNIX)
        while True:
            try:
                port.connect(str(path))
                return port
            except OSError:
                self._must_live(deadline)
                time.sleep(0.02)

    def _must_live(self, deadline: float) -> None:
        assert self._process is not None
        if self._process.poll() is not None or time.monotonic() > deadline:
            what = "does not answer in time" if self._process.poll() is None else "has ended"
            raise GuestError(f"the guest {what}\n{self.console.read_text(errors='replace')[-3000:]}")

    def cut_power(self) -> None:
        """From one moment to the next: what was not on the disk never will be."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._gone()

    def _gone(self) -> None:
        assert self._process is not None
        self._process.wait()
        if self._port:
            self._port.close()
        self._process, self._port, self._waiting = None, None, b""

    def power_off(self, timeout_s: float = END_S) -> None:
        """As its user would: everything is told to end."""
        assert self._process is not None
        self.sh("systemctl poweroff --no-block", code=None)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.cut_power()
            raise GuestError(f"the guest did not go off within {timeout_s:g} s") from None
        self._gone()

    # ------------------------------------------------------------------------------------------------- what it does

    def sh(self, command: str, **options: Any) -> str:
        """What a shell command writes; `options` as of `run`."""
        return self.run("sh", "-c", command, **options)

    def run(
        self,
        *argv: str,
        code: int | None = 0,
        directory: str = "/",
        timeout_s: float = COMMAND_S,
        environment: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> str:
        """What the command writes to both its outputs; its exit code must be `code` (None: any). Two calls may not overlap."""
        began = time.monotonic()
        asked = {
            "argv": argv,
            "directory": directory,
            "environment": {**ENVIRONMENT, **(environment or {})},
            "input": stdin,
        }
        self._note(f"$ {argv[2] if argv[:2] == ('sh', '-c') else shlex.join(argv)}\n")
        self._send(asked)
        said, ended = "", None
        while ended is None:
            answer = self._receive(began + timeout_s)
            said += answer.get("text", "")
            self._note(answer.get("text", ""))
            ended = answer.get("code")
        self._note(f"= {ended} after {time.monotonic() - began:.1f} s\n")
        assert code is None or ended == code, f"{argv[-1]}: exit {ended}, expected {code}\n{said}"
        return said

    def eventually(self, command: str, wanted: str, timeout_s: float = PATIENCE_S) -> str:
        """Run the command until what it writes has `wanted` in it; what it wrote."""
        deadline = time.monotonic() + timeout_s
        while wanted not in (said := self.sh(command, code=None)):
            assert time.monotonic() < deadline, f"{command}: still no {wanted!r} in {said!r}"
        return said

    def _note(self, text: str) -> None:
        with self.transcript.open("a") as file:
            file.write(text)

    # ------------------------------------------------------------------------------------------------- the conversation

    def _await_hello(self, deadline: float) -> None:
        """What an agent from before said is passed over."""
        self.boot_id = str(self._receive(deadline)["hello"])
        self._note(f"--- boot {self.boot_id}\n")

    def _send(self, asked: dict[str, object]) -> None:
        assert self._port is not None
        self._port.setblocking(True)
        self._port.sendall(json.dumps(asked).encode() + b"\n")

    def _receive(self, deadline: float) -> dict[str, Any]:
        """The next line of the agent's. Raises GuestError."""
        assert self._port is not None
        while b"\n" not in self._waiting:
            self._must_live(deadline)
            if select.select([self._port], [], [], 0.5)[0]:
                received = self._port.recv(1 << 16)
                if not received:
                    raise GuestError(f"the guest has hung up\n{self.console.read_text(errors='replace')[-3000:]}")
                self._waiting += received
        line, _, self._waiting = self._waiting.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _die_with_parent() -> None:
    """A guest whose tests were killed would keep two CPUs busy for ever."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
