"""A file in the state folders that was edited, lost or half-written: the daemon lives, everybody else's things go on, nothing is done
to what the file is about nor beside it, and all is well again when the file is as it was.
"""

import filecmp
import functools
import itertools
import json
import os
import pathlib
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e import machine, mutations
from tests.e2e.lab import Lab, eventually

pytestmark = pytest.mark.timeout(300)
LONG = int(os.environ.get("CORRAL_FUZZ", "0"))
"""So many cases of each sort of file, instead of the few that an ordinary run has time for."""

FEW = 4
MINE = """
services:
  web:
    image: IMAGE
    init: true
    command: sleep 1111
    ports: ["8066:80"]
    volumes: ["data:/data"]
    networks: [lab]
    healthcheck: {test: ["CMD", "true"], interval: 1s}
    restart: always
  db: {image: IMAGE, init: true, command: sleep 1112, networks: [lab]}
networks: {lab: {}}
volumes: {data: {}}
"""
THEIRS = MINE.replace("8066", "8067").replace("111", "222")


class Scene:
    """Two projects that run, in one corral; `mine` is the one that is spoilt."""

    def __init__(self, mine: Lab, theirs: Lab) -> None:
        self.mine, self.theirs = mine, theirs
        theirs.up(THEIRS)
        mine.exec("web", "sh", "-c", "echo precious > /data/work")
        self.root, self.run = mine.owner.root, mine.owner.run_folder
        self.alive = self.living()

    def living(self) -> dict[int, str]:
        return {
            pid: f"{line} {machine.start_time(pid)}"
            for pid, line in machine.in_cgroups(self.mine.owner.instance).items()
            if line.startswith("sleep")
        }

    def machine_links(self) -> set[str]:
        return {each["ifname"] for each in json.loads(self.mine.machine.sh("ip -j link"))}

    def volume(self) -> pathlib.Path:
        return self.root / "volumes" / f"{self.mine.project}_data"

    def files(self) -> dict[str, tuple[pathlib.Path, pathlib.Path]]:
        """What is mine, and what of others is of the same sort."""
        mine, theirs = self.mine.project, self.theirs.project

        def container(project: str, file: str) -> pathlib.Path:
            lab = self.mine if project == mine else self.theirs
            return next(self.root.glob(f"containers/{lab.ps()['web-1']['ID']}*")) / file

        def found(pattern: str, project: str) -> pathlib.Path:
            return next(
                path
                for path in sorted(self.run.glob(pattern))
                if f'"project":"{project}"' in path.read_text() and ("web" in path.read_text() or "networks" in pattern)
            )

        def both(find: Callable[[str], pathlib.Path]) -> tuple[pathlib.Path, pathlib.Path]:
            return find(mine), find(theirs)

        return {
            "project": both(lambda project: self.root / "projects" / f"{project}.json"),
            "events": both(lambda project: self.root / "projects" / f"{project}.events"),
            "container": both(lambda project: container(project, "record.json")),
            "run": both(lambda project: container(project, "run.json")),
            "process": both(lambda project: container(project, "run/process.json")),
            "volume": both(lambda project: self.root / "volumes" / f"{project}_data" / "record.json"),
            "network": both(lambda project: found("networks/*.json", project)),
            "endpoint": both(lambda project: found("endpoints/*.json", project)),
            "sandbox": both(lambda project: found("sandboxes/*/record.json", project)),
            "shim": both(lambda project: found("sandboxes/*/record.json", project).parent / "shim.json"),
            "socket": both(lambda project: found("sandboxes/*/record.json", project).parent / "shim.sock"),
            "hosts": both(lambda project: found("sandboxes/*/record.json", project).parent / "hosts"),
            "names": both(lambda project: self.run / "dns" / f"{project}_lab.json"),
            "health": (self.run / "health.json", self.run / "firewall.json"),
            "firewall": (self.run / "firewall.json", self.run / "sysctls.json"),
            "sysctls": (self.run / "sysctls.json", self.run / "firewall.json"),
            "dns port": (self.run / "dns.port", self.run / "dns.json"),
            "dns process": (self.run / "dns.json", self.run / "dns.port"),
            "dns socket": (self.run / "dns.sock", self.run / "corral.sock"),
            "filter": (self.run / "seccomp.bpf", self.run / "health.json"),
        }


NAMED = ("project", "container", "run", "volume", "network", "endpoint", "sandbox", "shim", "socket")
"""Those without which nobody knows what is what: they must be named where a user looks. The others are found out anew."""

MUST_BE_NAMED = set(NAMED) - {"project", "volume"}
"""Of these, where they are lost altogether: `up` makes the other two anew, around what there is."""

SORTS = (
    *NAMED,
    "events",
    "process",
    "hosts",
    "names",
    "health",
    "firewall",
    "sysctls",
    "dns port",
    "dns process",
    "dns socket",
    "filter",
)


def save(path: pathlib.Path, safe: pathlib.Path) -> None:
    safe.unlink(missing_ok=True)
    if path.is_socket():
        os.link(path, safe)
    else:
        shutil.copy2(path, safe)


def restore(path: pathlib.Path, safe: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    if safe.is_socket():
        os.link(safe, path)
    else:
        shutil.copy2(safe, path)
        os.chown(path, 0, 0)


def start(scene: Scene) -> None:
    """Who asks while the last threads of the killed one end is hung up on."""
    eventually(lambda: scene.mine.corral("daemon", "start", code=None).returncode == 0)


def told(scene: Scene) -> str:
    """All that a user is told, wherever he looks."""
    status = scene.mine.corral("daemon", "status").stdout
    ps, plan = scene.mine.corral("ps", "-a", code=None), scene.mine.corral("plan", code=None)
    said = f"{status}\n{ps.stdout}{ps.stderr}\n{plan.stdout}{plan.stderr}"
    assert "Traceback" not in said
    return said


def assert_others_go_on(scene: Scene) -> None:
    """Whatever was believed: the daemon answers, their things are as they were, the data is there, nothing runs twice."""
    now = scene.living()
    assert {pid: line for pid, line in scene.alive.items() if " 222" in line}.items() <= now.items()
    lines = [" ".join(line.split()[:2]) for line in now.values()]
    assert len(set(lines)) == len(lines), lines
    assert (scene.volume() / "_data/work").read_text() == "precious\n"
    assert not pathlib.Path("/tmp/corral-mutant").exists()
    assert scene.machine_links() >= {"lo", "ext0"}
    scene.theirs.corral("plan", code=0)


Case = tuple[str, mutations.Spoiler, bool]


def cases_of(sort: str, files: tuple[pathlib.Path, pathlib.Path]) -> list[Case]:
    """All that can be done to the file, in a random order that is always the same; and whether it may be believed."""
    if "socket" in sort:
        kept = ("gone", "a directory", "a pipe", "a socket", "a dangling link")
        return [(name, mutations.WHOLE[name], False) for name in kept]
    texts = files[0].read_bytes(), files[1].read_bytes()
    has_seal = bool(mutations.SEAL.search(texts[0]))
    orders: list[list[Case]] = [[(*case, False) for case in mutations.WHOLE.items()]]
    if has_seal:
        orders.append([(*case, False) for case in mutations.leaf_spoilers(*texts, sealed=True)])
    orders.append([(f"{name}, unsealed", spoil, True) for name, spoil in mutations.leaf_spoilers(*texts, sealed=False)])
    first, *rest = orders[0]  # lost altogether comes first
    chance = random.Random(sort + os.environ.get("CORRAL_FUZZ_SEED", ""))
    for order in orders:
        chance.shuffle(order)
    chance.shuffle(rest)
    orders[0] = [first, *rest]
    return [case for several in itertools.zip_longest(*orders) for case in several if case]


@pytest.fixture
def scene(lab: Lab) -> Iterator[Scene]:
    theirs = Lab(lab.owner, "theirs")
    lab.up(MINE)
    try:
        yield Scene(lab, theirs)
    finally:
        theirs.end()


def try_one(scene: Scene, sort: str, case: Case, safe: pathlib.Path) -> None:
    _, spoil, may_be_believed = case
    path, other = scene.files()[sort]
    scene.mine.kill("corral daemon")
    save(path, safe)
    spoil(path, other)
    try:
        start(scene)
        said = told(scene)
        assert_others_go_on(scene)
        if not may_be_believed:
            assert scene.living() == scene.alive
            as_declared = scene.mine.corral("plan", code=None).returncode == 0
            is_mended = as_declared and sort not in MUST_BE_NAMED
            assert path.name.removesuffix(".json")[:10] in said or is_mended, said
    finally:
        if may_be_believed:  # put back under a daemon that has believed it, it would be news to nobody
            scene.mine.kill("corral daemon")
        if os.path.lexists(path) or not may_be_believed:  # what was believed may have been made anew
            restore(path, safe)
        start(scene)
        eventually(lambda: "as declared" in told(scene) and scene.mine.corral("plan", code=None).returncode == 0)
    if may_be_believed:
        assert_others_go_on(scene)
        scene.alive = scene.living()
    else:
        assert scene.living() == scene.alive


@pytest.mark.parametrize("sort", SORTS)
def test_a_spoilt_file_costs_nothing_but_itself(scene: Scene, sort: str, tmp_path: pathlib.Path) -> None:
    problems = []
    for case in cases_of(sort, scene.files()[sort])[: LONG or FEW]:
        began = time.monotonic()
        try:
            try_one(scene, sort, case, tmp_path / "safe")
        except (AssertionError, pytest.fail.Exception) as error:
            problems.append(f"{sort}: {case[0]}: {str(error)[:1500]}")
            if not LONG:
                raise
        if LONG:
            sys.stdout.write(f"{sort}: {case[0]}: {time.monotonic() - began:.1f} s {problems[-1:]}\n")
        if len(problems) > 3:
            break
    assert not problems, "\n\n".join(problems)


def test_a_file_spoilt_under_a_running_daemon_is_news_to_nobody(scene: Scene, tmp_path: pathlib.Path) -> None:
    for sort in SORTS:
        path, other = scene.files()[sort]
        save(path, tmp_path / "safe")
        mutations.WHOLE["a dangling link" if "socket" in sort else "garbage"](path, other)
        assert scene.mine.states() == {"web-1": "running", "db-1": "running"}, sort
        if sort == "filter":
            eventually(functools.partial(filecmp.cmp, path, tmp_path / "safe", shallow=False))
        if sort == "socket":  # nobody new can be let in
            assert "shim.sock" in scene.mine.refusal("exec", "-T", "web", "true")
        else:
            assert scene.mine.exec("web", "cat", "/data/work") == "precious\n", sort
        assert_others_go_on(scene)
        restore(path, tmp_path / "safe")
        eventually(lambda: scene.mine.corral("plan", code=None).returncode == 0)
        assert scene.living() == scene.alive, sort


def test_what_is_given_up_as_told_is_made_anew(scene: Scene) -> None:
    """The way out that the message names, word by word."""
    path, _ = scene.files()["sandbox"]
    mine, shim = scene.mine, scene.mine.process(f"corral shim {scene.mine.project}/web")
    mine.kill("corral daemon")
    path.write_text("{}")
    mine.corral("daemon", "start")
    said = told(scene)
    assert f"kill {shim}" in said
    assert f"move {path.parent} away" in said
    assert scene.living() == scene.alive
    os.kill(shim, 9)
    path.parent.rename(mine.folder / "away")
    eventually(lambda: mine.corral("plan", code=None).returncode == 0)
    eventually(lambda: mine.states() == {"web-1": "running", "db-1": "running"})
    assert mine.exec("web", "cat", "/data/work") == "precious\n"
    assert_others_go_on(scene)


def test_a_project_whose_record_was_lost_can_be_taken_down(lab: Lab) -> None:
    lab.up(MINE)
    alive = lab.pids()
    lab.kill("corral daemon")
    (lab.owner.root / "projects" / f"{lab.project}.json").unlink()
    lab.corral("daemon", "start")
    assert lab.pids() == alive
    lab.corral("down", "-t", "0")
    assert lab.ps() == {}
