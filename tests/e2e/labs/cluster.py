"""A running lab, judged from outside: by what its nodes say over HTTP, and by what commands in them write."""

import collections
import contextlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

from tests.e2e import machine
from tests.e2e.lab import TOP, Lab, eventually

LABS = TOP / "examples/bigdata-cluster"
PARTS = "/var/cache/corral/labs"
HOW = ("process", "container", "sandbox", "network")
"""How a node may be lost."""
WHAT = ("daemon", "all")
"""What may be broken off with an `up`."""

OPEN = "import sys, urllib.request as r; print(r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=10).read())"
ASK = """
import sys, urllib.request as r
ask = r.build_opener(r.ProxyHandler({})).open
for url in sys.argv[1:]:
    try:
        ask(url, timeout=20).read(1000)
    except OSError as error:
        print(f"{url}: {error}")
"""


class ByAddress(urllib.request.HTTPRedirectHandler):
    """Goes where a page leads by address, as the page of a ResourceManager that stands by does not: without `corral hosts` this
    machine has no names of nodes."""

    def redirect_request(self, request: Any, body: Any, code: int, message: str, headers: Any, url: str) -> Any:
        if re.match(r"http://[\d.]+:", url):
            return super().redirect_request(request, body, code, message, headers, url)
        return urllib.request.Request("data:,")


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

    def has_tools(self, node: str, names: Sequence[str]) -> None:
        self.run(
            f"for each in {' '.join(names)}; do command -v $each >/dev/null || {{ echo no $each; exit 1; }}; done",
            node=node,
        )

    def begin(self, script: str, *, node: str = "client") -> "subprocess.Popen[str]":
        """A shell in a node that goes on by itself."""
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
        return self.lab.popen(*self._shell_in(node, script), **streams)

    @contextlib.contextmanager
    def typing(self, program: str, *, ready: str, line: str, answer: str, bye: str) -> Iterator[None]:
        """As students type it: a program of the client with a terminal, without which it would be no shell. Where it says `ready`
        (a pattern) it is given the line, and has answered so while this lasts; then it is bidden to end, and ends well."""
        typed = (
            f"until grep -qs {shlex.quote(ready)} /root/seen; do sleep 0.2; done; echo {shlex.quote(line)};"
            f" until [ -e /root/enough ]; do sleep 0.2; done; echo {shlex.quote(bye)}"
        )
        sized = f"stty rows 50 cols 200; exec {program}"  # else it is 0 by 0
        self.run("rm -f /root/seen /root/enough")
        with self.begin(f"({typed}) | timeout 300 script -qefc {shlex.quote(sized)} /root/seen") as process:
            try:
                eventually(lambda: answer in self.run("cat /root/seen 2>/dev/null || true"), 120)
                yield
            except BaseException as error:
                error.add_note(self.run("tail -c 5000 /root/seen"))
                process.terminate()
                raise
            self.run("touch /root/enough")
            told, _ = process.communicate(timeout=60)
            assert process.returncode == 0, told

    def _shell_in(self, node: str, script: str) -> tuple[str, ...]:
        service, _, index = node.partition("-")
        return ("exec", "-T", *(("--index", index) if index else ()), service, "bash", "-c", script)

    def up(self, *words: str) -> None:
        began = time.monotonic()
        self.lab.corral("up", "-d", "--wait", *words, timeout=400)
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

    def answers(self, node: str, port: int, path: str) -> bool:
        try:
            return self.ask(node, port, path) is not None
        except OSError:
            return False

    def pages(self) -> dict[str, int]:
        """Mapping from the title of each page of `corral urls` to how many nodes have it; every one of them answers."""
        found: collections.Counter[str] = collections.Counter()
        for line in self.lab.out("urls", "--format", "json").splitlines():
            page = json.loads(line)
            self._fetch(page["URL"])
            found[page["Title"]] += 1
        return dict(found)

    def pages_by_name(self) -> dict[str, int]:
        """The same within `named`, asked for by names only, by a program of this machine's."""
        found: collections.Counter[str] = collections.Counter()
        for line in self.lab.out("urls", "--format", "json").splitlines():
            page = json.loads(line)
            assert re.match(rf"http://[\w-]+\.{self.lab.project}:\d+/", page["URL"]), page
            machine.run(*self._on_the_machine, sys.executable, "-Ic", OPEN, page["URL"])
            found[page["Title"]] += 1
        return dict(found)

    def dead(self, urls: Sequence[str]) -> list[str]:
        """Those that answer a program of this machine's with no success, and what it is told."""
        patience_s = 20 + len(urls)
        return machine.run(*self._on_the_machine, sys.executable, "-Ic", ASK, *urls, timeout=patience_s).splitlines()

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """While this lasts, a user has asked for the lab's names on this machine, whose hosts file is the tests' own."""
        enter = (*self._on_the_machine, "sh", "-c")
        machine.run(*enter, "cp /etc/hosts /run/hosts && mount --bind /run/hosts /etc/hosts")
        try:
            self.lab.corral("hosts", "on")
            yield
            self.lab.corral("hosts", "off")
        finally:
            machine.run(*enter, "umount /etc/hosts && rm /run/hosts")

    @property
    def _on_the_machine(self) -> tuple[str, ...]:
        return ("nsenter", "-t", str(self.lab.machine.pid), "-n", "-m")

    def services(self) -> list[str]:
        return self.lab.out("config", "--services").split()

    def classes(self, *parts: str) -> set[str]:
        """By their full names, of all jars of these parts (NAME-VERSION)."""
        top = pathlib.Path(self.lab.environment["CORRAL_LABS"])
        names = (
            name
            for part in parts
            for jar in (top / part / "lib").glob("*.jar")
            for name in zipfile.ZipFile(jar).namelist()
        )
        return {name.removesuffix(".class").replace("/", ".") for name in names if name.endswith(".class")}

    def events(self, *actions: str) -> list[dict[str, Any]]:
        """What happened to containers of the lab, oldest first; without the steps before a start, which end when they are done."""
        lines = self.lab.out("events", "--json", "--since", "2h", "--until", "0s").splitlines()
        found = [event for event in map(json.loads, lines) if event["action"] in actions]
        return [event for event in found if "pre_start" not in event["attributes"]["name"]]

    def _fetch(self, url: str) -> bytes:
        """What this machine is answered. Raises OSError, also where the answer is no success, nor leads to a node by its name."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), ByAddress)
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

    def cut_step_off(self, step: str, moment: str) -> None:
        """From no volumes on, kill -9 a step before a start when there are such files (a pattern) of the volumes. Again, where the
        step was quicker than we."""
        is_cut = False
        while not is_cut:
            self.down("-v")
            with self.lab.popen("up", "-d", "--wait") as up:
                eventually(lambda: any(self.volumes.glob(moment)), 120)
                found = eventually(
                    lambda: (its := self.lab.ps().get(step)) and (its["Pid"] or its["State"] == "exited") and its
                )
                with contextlib.suppress(ProcessLookupError):
                    if found["Pid"]:
                        os.kill(found["Pid"], 9)
                        is_cut = True
                up.wait(200)

    def break_off_at(self, moments: Sequence[str], what: str, ids: Sequence[str]) -> set[str]:
        """From no volumes on, an `up` broken off at each moment (a pattern of files of the volumes), and one that is not. The
        identities that the cluster has had meanwhile, by `ids_in`."""
        self.down("-v")
        found: set[str] = set()
        for moment in moments:
            with self.lab.popen("up", "-d", "--wait") as up:
                eventually(lambda moment=moment: any(self.volumes.glob(moment)), 120)
                self.break_off(up, what)
            found |= self.ids_in(ids)
        self.up()
        return found | self.ids_in(ids)

    @property
    def volumes(self) -> pathlib.Path:
        return self.lab.owner.root / "volumes"

    def ids_in(self, files: Sequence[str]) -> set[str]:
        """The clusters that daemons say they are of, in these files (patterns) of the volumes. What was being made, NAME.new, is
        nobody's."""
        paths = [path for pattern in files for path in self.volumes.glob(pattern)]
        texts = [path.read_text() for path in paths if not any(part.endswith(".new") for part in path.parts)]
        return {found[1] for text in texts if (found := re.search(r"cluster\.?ID=(\S+)", text, re.IGNORECASE))}

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
        eventually(lambda: self.lab.ps()[self._container_of(node)]["Pid"] != pid)

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


def fetch(name: str, parts: str) -> None:
    """What the lab runs on, by the real machine: from the machine of the tests no way leads outside."""
    subprocess.run([LABS / name / "prepare"], env=os.environ | {"CORRAL_LABS": parts}, check=True)


@contextlib.contextmanager
def brought_up(
    corrals: Any, words: Sequence[str], kind: type[Cluster] = Cluster, project: str = "books"
) -> Iterator[Cluster]:
    """The lab that `corral init` makes with these words."""
    name, parts = words[0], os.environ.get("CORRAL_LABS", PARTS)
    fetch(name, parts)
    with corrals.get().lab(project) as lab:
        lab.environment["CORRAL_LABS"] = parts
        lab.corral("init", name, ".", *words[1:], timeout=1800)
        found = kind(lab)
        try:
            found.up()
        except BaseException:
            lab.keep_artifacts(f"labs-{name}")
            raise
        yield found
