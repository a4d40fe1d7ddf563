"""The import rules of docs/architecture.md: who may enter which room, and what the small processes may load."""

import ast
import pathlib
import subprocess
import sys

import pytest

TOP = pathlib.Path(__file__).parent.parent
ROOMS = {
    "specs": set(),
    "engine": set(),
    "reconciler": {"specs", "engine"},
    "orchestrator": {"specs", "engine", "reconciler"},
}
FROM_ENGINE_TO_RECONCILER = {"engine.api", "engine.types", "engine.errors"}
OF_SPECS: dict[str, set[str]] = {
    "": {"keys", "files", "composing", "canonical", "model", "checks"},
    "model": set(),
    "keys": set(),
    "files": {"keys"},
    "composing": {"keys", "files", "model"},
    "canonical": {"files", "composing", "model"},
    "normal": {"keys", "files", "composing", "canonical"},
    "checks": {"composing", "canonical", "model"},
    "telling": {"files", "composing"},
}
"""From each room of specs, where one may go beside the top, of which only loader, validate and context know rooms."""
DOORS = ("loader.py", "validate.py", "context.py")
OF_ORCHESTRATOR: dict[str, set[str]] = {
    "": set(),
    "command_line": set(),
    "daemon": set(),
    "commands": {"command_line"},
    "__main__.py": {"command_line"},
    "commands/daemon.py": {"command_line", "daemon"},
}
"""Daemon and command line meet in what stands at the top: the protocol and its client."""
SMALL = {"process.zygote", "process.shim", "dns.server", "relay.server"}
"""Processes of the engine that run under `python -I -S`: a handful of stdlib modules, nothing else."""


def modules() -> list[pathlib.Path]:
    return [path for room in ROOMS for path in sorted((TOP / room).rglob("*.py"))]


def imports(path: pathlib.Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(TOP)))
def test_a_room_enters_only_the_rooms_it_may(path: pathlib.Path) -> None:
    room = path.relative_to(TOP).parts[0]
    for name in imports(path):
        other = name.split(".")[0]
        assert other not in ROOMS or other == room or other in ROOMS[room], f"{path}: imports {name}"
        if room == "reconciler" and other == "engine":
            assert ".".join(name.split(".")[:2]) in FROM_ENGINE_TO_RECONCILER, f"{path}: imports {name}"
        assert other != "asyncio", f"{path}: anyio only"
        if other == "ctypes":
            assert path.name == "syscalls.py", f"{path}: only engine/process/syscalls.py may import ctypes"


@pytest.mark.parametrize("path", sorted((TOP / "specs").rglob("*.py")), ids=lambda path: str(path.relative_to(TOP)))
def test_a_room_of_specs_enters_only_those_it_may(path: pathlib.Path) -> None:
    room = path.parent.name if path.parent.name != "specs" else ""
    entered = {words[1] for name in imports(path) if (words := name.split("."))[0] == "specs" and words[1] in OF_SPECS}
    assert entered <= OF_SPECS[room] | {room}
    assert room or not entered or path.name in DOORS


@pytest.mark.parametrize(
    "path", sorted((TOP / "orchestrator").rglob("*.py")), ids=lambda path: str(path.relative_to(TOP))
)
def test_daemon_and_command_line_know_nothing_of_each_other(path: pathlib.Path) -> None:
    name = path.relative_to(TOP / "orchestrator")
    room = str(name.parent) if len(name.parts) > 1 else ""
    found = {
        words[1] for each in imports(path) if (words := each.split("."))[0] == "orchestrator"
    } & OF_ORCHESTRATOR.keys()
    assert found <= OF_ORCHESTRATOR.get(str(name), OF_ORCHESTRATOR[room]) | {room}


@pytest.mark.parametrize("path", sorted((TOP / "engine" / "process").glob("*.py")), ids=lambda path: path.name)
def test_what_runs_in_the_small_processes_uses_little_of_the_engine(path: pathlib.Path) -> None:
    for name in imports(path):
        if name.startswith("engine."):
            assert name.startswith(("engine.process", "engine.errors", "engine.network.netlink")), (
                f"{path}: imports {name}"
            )


def test_tarfile_reads_archives_and_lays_nothing_down() -> None:
    """CVE-2007-4559 and what came after: what tarfile lays down it lays where names and links lead."""
    readers = {str(path.relative_to(TOP)) for path in modules() if "tarfile" in imports(path)}
    assert readers == {f"engine/copying/{name}.py" for name in ("attributes", "packing", "unpacking")}
    for path in modules():
        called = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not called & {"extract", "extractall", "unpack_archive", "make_archive", "ZipFile"}, path


def test_the_planner_does_no_io() -> None:
    path = TOP / "reconciler" / "plan.py"
    if path.exists():
        assert not {name.split(".")[0] for name in imports(path)} & {
            "os",
            "io",
            "anyio",
            "socket",
            "time",
            "random",
            "logging",
        }


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_small_process_loads_no_third_party_module(name: str) -> None:
    path = "engine/" + name.replace(".", "/") + ".py"
    if not (TOP / path).exists():
        pytest.fail(f"{path} is gone: say so in SMALL")
    code = (
        f"import sys; sys.path.insert(0, {str(TOP)!r}); import engine.{name}\n"
        "print([m for m, x in sys.modules.items() if 'site-packages' in (getattr(x, '__file__', '') or '')"
        " or m.split('.')[0] in ('asyncio', 'dataclasses', 'logging', 'threading', 'subprocess', 'inspect')])"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
