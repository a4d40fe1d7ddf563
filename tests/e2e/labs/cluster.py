"""A running lab, judged from outside: by what its nodes say over HTTP, and by what commands in them write."""

import json
import os
import re
import subprocess
import urllib.request
from typing import Any

from tests.e2e.lab import Lab, eventually


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
        self.lab.corral("up", "-d", "--wait", *words, timeout=240)

    def ask(self, node: str, port: int, path: str) -> Any:
        """The JSON that a node answers with."""
        url = f"http://{self.address(node)}:{port}{path}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(url, headers={"Accept": "application/json"})
        with self.lab.machine.inside(), opener.open(request, timeout=10) as answer:
            return json.loads(answer.read())

    def address(self, node: str) -> str:
        service = node.rpartition("-")[0] or node
        return self.lab.address(node if service != node else f"{node}-1")

    def kill_java(self, node: str, what: str) -> None:
        """kill -9 the JVM of a node whose command line has `what` in it."""
        killed = self.run(f"pkill -9 -e -f 'java.*{what}'", node=node)
        assert len(killed.splitlines()) == 1, killed

    def die(self, node: str) -> None:
        """kill -9 the node's first process, and so all of them; what is said of it from then on is not of before."""
        pid = self.lab.pid(node)
        os.kill(pid, 9)
        eventually(lambda: self.lab.ps()[self._container_of(node)]["Pid"] != pid)

    def _container_of(self, node: str) -> str:
        return node if re.search(r"-\d+$", node) else f"{node}-1"

    def health(self, node: str) -> str:
        found = self.lab.ps()[self._container_of(node)]["Health"]
        assert isinstance(found, str)
        return found
