"""A running lab, judged from outside: by what its nodes say over HTTP, and by what commands in them write."""

import collections
import contextlib
import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

HOW = ("process", "container", "sandbox", "network")
"""How a node may be lost."""
WHAT = ("daemon", "all")
"""What may be broken off with an `up`."""


class Cluster:
    """`node` is a SERVICE, or SERVICE-N."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def run(
        self,
        script: str,
        *,
        node: str = "client",
        code: int | None = 0,
        stdin: str | None = None,
        timeout_s: float = 240,
    ) -> str:
        """What a shell in a node writes to standard output."""
        return self.lab.corral(*self._shell_in(node, script), code=code, timeout=timeout_s, stdin=stdin).stdout

    def begin(self, script: str, *, node: str = "client") -> "subprocess.Popen[str]":
        """A shell in a node that goes on by itself."""
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
        return self.lab.popen(*self._shell_in(node, script), **streams)

    def _shell_in(self, node: str, script: str) -> tuple[str, ...]:
        service, _, index = node.partition("-")
        return ("exec", "-T", *(("--index", index) if index else ()), service, "bash", "-c", script)

    def up(self, *words: str) -> None:
        began = time.monotonic()
        self.lab.corral("up", "-d", "--wait", *words, timeout=240)
        self.took(" ".join(("up", *words)), began)

    def down(self, *words: str) -> None:
        began = time.monotonic()
        self.lab.corral("down", *words)
        self.took(" ".join(("down", *words)), began)

    def took(self, what: str, began: float) -> None:
        """Keep how long it took, by time.monotonic(), for who wants to know (`pytest -s`, or where it fails)."""
        print(f"{time.monotonic() - began:6.1f} s  {what}  (load {os.getloadavg()[0]:.1f})")  # noqa: T201

    def ask(self, node: str, port: int, path: str) -> Any:
        """The JSON that a node answers with."""
        return json.loads(self._fetch(f"http://{self.address(node)}:{port}{path}"))

    def pages(self) -> dict[str, int]:
        """Mapping from the title of each page of `corral urls` to how many nodes have it; every one of them answers."""
        found: collections.Counter[str] = collections.Counter()
        for line in self.lab.out("urls", "--format", "json").splitlines():
            page = json.loads(line)
            self._fetch(page["URL"])
            found[page["Title"]] += 1
        return dict(found)

    def _fetch(self, url: str) -> bytes:
        """What this machine is answered. Raises OSError, also where the answer is no success."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(url, headers={"Accept": "application/json, text/html"})
        with self.lab.machine.inside(), opener.open(request, timeout=10) as answer:
            return bytes(answer.read())

    def address(self, node: str) -> str:
        service = node.rpartition("-")[0] or node
        return self.lab.address(node if service != node else f"{node}-1")

    def kill_java(self, node: str, what: str) -> None:
        """kill -9 the JVM of a node whose command line has `what` in it."""
        killed = self.run(f"pkill -9 -e -f 'java.*{what}'", node=node)
        assert len(killed.splitlines()) == 1, killed

    def break_off(self, up: "subprocess.Popen[str]", what: str) -> None:
        """kill -9 an `up` that is under way and the daemon; and with "all" whatever else runs, as when the power goes."""
        daemon = eventually(lambda: self.lab.process("corral daemon"))  # which the `up` may have to begin
        for pid in self.lab.owner.own_processes() if what == "all" else [daemon]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        up.kill()
        up.wait(20)

    def die(self, node: str) -> None:
        """kill -9 the node's first process, and so all of them; what is said of it from then on is not of before."""
        pid = self.lab.pid(node)
        os.kill(pid, 9)
        eventually(lambda: self.lab.ps()[self._container_of(node)]["Pid"] != pid)

    @contextlib.contextmanager
    def struck(self, node: str, how: str, java: str) -> Iterator[None]:
        """A node is lost, one of HOW; what is lost comes back by itself, or at the latest with the end of this."""
        match how:
            case "process":  # its ZKFC, or its init, lives on
                self.kill_java(node, java)
            case "container":
                self.die(node)
            case "sandbox":
                self.lose_sandbox(node)
            case _:
                with self.cut_off(node):
                    yield
                return
        yield

    def lose_sandbox(self, node: str) -> None:
        """kill -9 what holds the node's network, names and processes."""
        pid = self.lab.pid(node)
        self.lab.kill(f"corral shim {self.lab.project}/{node} ")
        eventually(lambda: not machine.is_alive(pid))

    @contextlib.contextmanager
    def cut_off(self, node: str) -> Iterator[None]:
        """While this lasts, nothing goes to the node and nothing comes from it; nobody is told."""
        place = self.lab.place(node)
        rules = ("INPUT ! -i lo -j DROP", "OUTPUT ! -o lo -j DROP")
        place.sh("; ".join(f"iptables -I {rule}" for rule in rules))
        try:
            yield
        finally:
            place.sh("; ".join(f"iptables -D {rule}" for rule in rules))

    def _container_of(self, node: str) -> str:
        return node if re.search(r"-\d+$", node) else f"{node}-1"

    def health(self, node: str) -> str:
        found = self.lab.ps()[self._container_of(node)]["Health"]
        assert isinstance(found, str)
        return found
