"""Starting, replacing and ending the daemon, as its client sees it."""

import fcntl
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fake_lab import Lab, eventually

from engine.api import Engine
from engine.errors import EngineError
from orchestrator import client, errors, settings
from orchestrator.command_line import launch
from orchestrator.daemon import daemon


@pytest.fixture
def places(tmp_path: pathlib.Path) -> settings.Places:
    found = settings.Places(str(tmp_path / "root"), str(tmp_path / "run"))
    for each in found:
        os.mkdir(each)
    return found


class Script:
    """Plays `talk`, `start` and `end`, and notes what was called."""

    def __init__(self, *answers: object) -> None:
        self.answers, self.called = list(answers), ["talk"][:0]

    def talk(self) -> object:
        self.called.append("talk")
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def patch(self, monkeypatch: pytest.MonkeyPatch, uid: int = 0) -> None:
        monkeypatch.setattr(launch, "start", lambda places: self.called.append("start"))
        monkeypatch.setattr(launch, "end", lambda places: self.called.append("end"))
        monkeypatch.setattr(launch.os, "geteuid", lambda: uid)


def test_a_daemon_that_is_there_is_just_talked_to(places: settings.Places, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script("said")
    script.patch(monkeypatch)
    assert launch.with_daemon(places, script.talk) == "said"
    assert script.called == ["talk"]


def test_a_daemon_that_is_not_there_is_started(places: settings.Places, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(client.NoDaemon("nobody"), "said")
    script.patch(monkeypatch)
    assert launch.with_daemon(places, script.talk) == "said"
    assert script.called == ["talk", "start", "talk"]


def test_a_daemon_of_another_version_is_replaced(places: settings.Places, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(client.OtherVersion("0.0.9"), "said")
    script.patch(monkeypatch)
    assert launch.with_daemon(places, script.talk) == "said"
    assert script.called == ["talk", "end", "start", "talk"]


def test_only_root_starts_or_replaces_a_daemon(places: settings.Places, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(client.OtherVersion("0.0.9"))
    script.patch(monkeypatch, uid=1000)
    with pytest.raises(errors.DaemonError, match="only root may") as caught:
        launch.with_daemon(places, script.talk)
    assert caught.value.hint == "run with sudo"
    assert script.called == ["talk"]
    monkeypatch.undo()
    monkeypatch.setattr(launch.os, "geteuid", lambda: 1000)
    with pytest.raises(errors.DaemonError, match="cannot start the daemon: only root may"):
        launch.start(places)


def test_the_daemon_inherits_nothing_of_the_users_shell() -> None:
    given = {
        "PATH": "/p",
        "CORRAL_GROUP": "wheel",
        "LD_PRELOAD": "x",
        "PYTHONSTARTUP": "y",
        "SECRET": "z",
        "CORRAL_ROOT": "/r",
    }
    found = launch.environment_of(given)
    assert set(found) == {"PATH", "CORRAL_GROUP", "LANG", "HOME", "PYTHONPATH"}
    assert found["PATH"] == "/p"
    assert "/sbin" in launch.environment_of({})["PATH"]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is started instead of the daemon."""
    argv = [sys.executable, "-c", ""]
    monkeypatch.setattr(launch, "argv_of", lambda places: argv)
    monkeypatch.setattr(launch.os, "geteuid", lambda: 0)
    return argv


def test_a_daemon_that_dies_at_its_start_is_reported_with_the_end_of_its_log(
    places: settings.Places, program: list[str]
) -> None:
    pathlib.Path(places.log).write_text("from before\n")
    program[2] = "import sys; print('\\n'.join(map(str, range(40))), flush=True); sys.exit('it \\x1b[31mhurts')"
    with pytest.raises(errors.DaemonError, match="cannot start the daemon: it ended") as caught:
        launch.start(places)
    assert places.log in caught.value.hint
    assert "it \x1b[31mhurts" in caught.value.hint, "cleaned where it is printed"
    assert "39" in caught.value.hint
    assert "from before" not in caught.value.hint
    assert " 12\n" not in caught.value.hint


def test_a_daemon_that_never_answers_is_given_up(
    places: settings.Places, program: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "READY_S", 0.1)
    program[2] = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(60)"
    with pytest.raises(errors.DaemonError, match="does not answer within"):
        launch.start(places)
    eventually(lambda: "pid" in pathlib.Path(places.log).read_text())
    pid = int(pathlib.Path(places.log).read_text().split()[1])
    assert os.getsid(pid) == pid, "it is the leader of a session of its own"
    os.kill(pid, 9)
    os.waitpid(pid, 0)


ANSWERS = """
import os, socket, sys
if len(sys.argv) > 1: sys.exit(75)
s = socket.socket(socket.AF_UNIX); s.bind(%r); s.listen()
while True:
    c, _ = s.accept(); c.recv(65536)
    b = b'{"pid": %%d}' %% os.getpid()
    c.sendall(b'HTTP/1.1 200 OK\\r\\ncontent-length: %%d\\r\\n\\r\\n' %% len(b) + b); c.close()
"""


def test_two_who_start_a_daemon_at_a_time_get_there_both(places: settings.Places, program: list[str]) -> None:
    program[2] = ANSWERS % places.socket
    first = launch.start(places)
    program.append("the lock is taken")
    assert launch.start(places) == first
    os.kill(first, 9)
    os.waitpid(first, 0)


# ---------------------------------------------------------------------------------------------------------- the lock


def test_one_daemon_a_root(places: settings.Places) -> None:
    lock = daemon.take_lock(places)
    assert lock is not None
    assert json.loads(pathlib.Path(places.lock).read_text()) == {"pid": os.getpid(), "run": places.run}
    with pytest.raises(errors.DaemonError, match=f"a daemon with the run folder {places.run} has it"):
        daemon.take_lock(places, patience_s=0.05)
    elsewhere = places._replace(run=f"{places.run}-2")
    began = time.monotonic()
    with pytest.raises(errors.DaemonError) as caught:
        daemon.take_lock(elsewhere)
    assert time.monotonic() - began < 5, "there is nothing to wait for"
    assert caught.value.hint == f"use --run {places.run}"
    os.close(lock)
    again = daemon.take_lock(places)
    assert again is not None
    os.unlink(places.lock)  # as a daemon does that leaves nothing
    other = daemon.take_lock(places)
    assert other is not None
    assert os.path.samestat(os.fstat(other), os.stat(places.lock))
    os.close(again)
    os.close(other)


def test_a_daemon_that_answers_keeps_the_root(lab: Lab) -> None:
    held = os.open(lab.places.lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    os.write(held, json.dumps({"pid": 1, "run": lab.places.run}).encode())
    assert daemon.take_lock(lab.places) is None
    os.close(held)


def test_a_daemon_that_is_just_ending_is_waited_for(places: settings.Places) -> None:
    held = os.open(places.lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    timer = threading.Timer(0.1, os.close, [held])
    timer.start()
    lock = daemon.take_lock(places)
    assert lock is not None
    os.close(lock)
    timer.join()


def test_what_keeps_a_daemon_from_running_is_one_line_in_its_log(
    places: settings.Places, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @asynccontextmanager
    async def broken(places: settings.Places, access: settings.Access) -> AsyncIterator[Engine]:
        raise EngineError("cannot open the kernel: it is shut")
        yield

    monkeypatch.setattr(daemon.title, "show", lambda area, text: None)
    assert daemon.run(places, settings.Access(), broken) == 1
    assert [record.message for record in caplog.records] == [
        "the daemon cannot run: cannot open the kernel: it is shut"
    ]


# ----------------------------------------------------------------------------------------------------------- the end

DEAF = """
import signal, socket, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
s = socket.socket(socket.AF_UNIX); s.bind(%r); s.listen(); print(flush=True)
while True:
    c, _ = s.accept()
    if c.recv(65536): c.sendall(b'HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\n{}')
    c.close()
"""


def test_a_daemon_that_does_not_go_is_killed(places: settings.Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "END_S", 0.1)
    with subprocess.Popen([sys.executable, "-c", DEAF % places.socket], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert launch.end(places) == {}
        assert process.wait(10) == -9
    with pytest.raises(client.NoDaemon):
        launch.end(places)


def test_stop_ends_the_daemon_and_says_that_containers_stay(lab: Lab) -> None:
    lab.write("services: {a: {image: 'rootfs:/r', command: x}}")
    lab.corral("up", "-d")
    said = client.ask(lab.places.socket, "POST", "/v1/daemon/stop", {})
    assert [(each["name"], each["running"]) for each in said["projects"]] == [("demo", 1)]
    lab._done.result(timeout=10)
    assert not os.path.exists(lab.places.socket)
    assert lab.corral("daemon", "stop")[1] == "corral: no daemon runs\n"
    assert lab.corral("daemon", "status", code=1)[0] == "no daemon runs\n"
    assert len([uid for uid in lab.engine.infos if uid.startswith("container")]) == 1


def test_the_places_come_from_flags_then_variables_then_defaults() -> None:
    assert settings.places({}) == ("/var/lib/corral", "/run/corral")
    assert settings.places({"CORRAL_ROOT": "/a", "CORRAL_RUN": "/b"}) == ("/a", "/b")
    assert settings.places({"CORRAL_ROOT": "/a", "CORRAL_RUN": "/b"}, "/c", "/d") == ("/c", "/d")
    beside = settings.places({"CORRAL_ROOT": "/a"})
    assert beside.run.startswith("/run/corral-")
    assert beside.run != settings.places({"CORRAL_ROOT": "/b"}).run
    with pytest.raises(errors.UsageError, match="longer than 107 bytes"):
        settings.places({}, run="/x" * 60)


def test_access_is_said_by_variable_or_file(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "config.yaml"
    assert settings.access({}, str(file)).group == ""
    file.write_text("group: wheel\n")
    assert settings.access({}, str(file)).group == "wheel"
    assert settings.access({"CORRAL_GROUP": "ops"}, str(file)).group == "ops"
    for text in ("grupp: x", "[", "- a", "group: 3"):
        file.write_text(text)
        with pytest.raises(errors.UsageError, match=r"config\.yaml"):
            settings.access({}, str(file))


def test_a_socket_path_of_the_longest_length_works(tmp_path: pathlib.Path) -> None:
    run = f"/tmp/{'r' * (settings.SOCKET_PATH_BYTES - len('/tmp/') - len('/corral.sock'))}"
    assert len(settings.places({}, run=run).socket) == 107
    os.makedirs(run)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(settings.places({}, run=run).socket)
    finally:
        os.unlink(f"{run}/corral.sock")
        os.rmdir(run)
