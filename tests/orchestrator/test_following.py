"""Output: which lines are shown, in which order and how, now and as they come."""

import io
import os
import pathlib
import signal
import threading
import time

import pytest
from fake_lab import Lab, eventually

from engine.types.configs import ContainerConfig
from engine.types.infos import ContainerInfo, State
from orchestrator import errors
from orchestrator.command_line import cli, following
from orchestrator.protocol import Container
from reconciler.resource import Verb


def record(second: int, text: str, *, stream: str = "stdout", end: bool = True) -> str:
    return f"2025-03-01T12:00:{second:02d}.000000000Z {stream} {'F' if end else 'P'} {text}\n"


def container(name: str, path: pathlib.Path) -> Container:
    return Container(f"uid-{name}", f"demo-{name}-1", name, name, "running", "", None, str(path))


def shown(tmp_path: pathlib.Path, options: following.Options, **logs: str) -> list[str]:
    out = io.StringIO()
    follower = following.Follower(out, options, "demo", colour=False)
    for name, text in logs.items():
        (tmp_path / name).write_text(text)
    follower.know(container(name, tmp_path / name) for name in logs)
    follower.show(last=True)
    follower.close()
    return out.getvalue().splitlines()


def test_lines_of_all_come_by_their_times_with_aligned_prefixes(tmp_path: pathlib.Path) -> None:
    found = shown(
        tmp_path, following.Options(), web=record(1, "a") + record(4, "d"), database=record(2, "b") + record(3, "c")
    )
    assert found == ["web-1       | a", "database-1  | b", "database-1  | c", "web-1       | d"]


def test_prefix_times_services_tail_and_since(tmp_path: pathlib.Path) -> None:
    logs = {"web": record(1, "a") + record(2, "b") + record(3, "c"), "db": record(2, "x")}
    assert shown(tmp_path, following.Options(prefix=False, tail=1), **logs) == ["x", "c"]
    assert shown(tmp_path, following.Options(services=("db",)), **logs) == ["db-1  | x"]
    assert shown(tmp_path, following.Options(services=("db",), timestamps=True), **logs) == [
        "db-1  | 2025-03-01T12:00:02.000000000Z x"
    ]
    since = following.since_of("2025-03-01T12:00:02Z")
    assert shown(tmp_path, following.Options(prefix=False, since=since), **logs) == ["b", "x", "c"]


def test_a_line_kept_in_parts_is_shown_whole(tmp_path: pathlib.Path) -> None:
    text = (
        record(1, "one ", end=False)
        + record(2, "err", stream="stderr")
        + record(3, "line")
        + record(4, "rest", end=False)
    )
    assert shown(tmp_path, following.Options(prefix=False), web=text) == ["err", "one line", "rest"]


def test_a_log_that_is_not_there_yet_is_followed_from_its_start(tmp_path: pathlib.Path) -> None:
    out = io.StringIO()
    follower = following.Follower(out, following.Options(prefix=False), "demo", colour=False)
    follower.know([container("web", tmp_path / "web")])
    follower.show()
    (tmp_path / "web").write_text(record(1, "a"))
    follower.show()
    with open(tmp_path / "web", "a") as file:
        file.write(record(2, "b"))
    follower.know([container("web", tmp_path / "web")])
    follower.show()
    follower.close()
    assert out.getvalue() == "a\nb\n"


def test_colours_only_where_wanted(tmp_path: pathlib.Path) -> None:
    (tmp_path / "web").write_text(record(1, "a"))
    for colour, said in ((True, "\x1b[36mweb-1  | \x1b[0ma\n"), (False, "web-1  | a\n")):
        out = io.StringIO()
        follower = following.Follower(out, following.Options(), "demo", colour=colour)
        follower.know([container("web", tmp_path / "web")])
        follower.show()
        follower.close()
        assert out.getvalue() == said


def test_times_and_counts_are_understood_or_refused() -> None:
    assert following.since_of("", 1000.0) is None
    assert following.since_of("10m", 1000.0) == 400.0
    assert following.since_of("1h30m500ms", 10000.0) == 4599.5
    assert following.since_of("1700000000") == 1700000000.0
    assert following.since_of("2025-03-01T12:00:00Z") == 1740830400.0
    assert following.tail_of("all") is None
    assert following.tail_of("-1") is None
    assert following.tail_of("0") == 0
    for wrong in ("yesterday", "10x"):
        with pytest.raises(errors.UsageError):
            following.since_of(wrong)
    with pytest.raises(errors.UsageError):
        following.tail_of("some")


# ------------------------------------------------------------------------------------------------- through the daemon

ONE = "services: {web: {image: 'rootfs:/r', command: x}}"


def running(lab: Lab) -> ContainerInfo:
    return next(i for i in lab.engine.infos.values() if isinstance(i, ContainerInfo) and i.state is State.RUNNING)


@pytest.fixture
def logged(lab: Lab, tmp_path: pathlib.Path) -> pathlib.Path:
    """The path of the log of every container."""
    path = tmp_path / "the.log"

    def log_path(config: ContainerConfig) -> str:
        return str(path)

    lab.engine.log_path = log_path  # type: ignore[method-assign]
    return path


def now(text: str) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(time.time() + 1))}.000000000Z stdout F {text}\n"


def test_logs_shows_what_is_there_and_follows_until_nothing_runs(lab: Lab, logged: pathlib.Path) -> None:
    lab.write(ONE)
    assert "nothing to show" in lab.corral("logs")[1]
    lab.corral("up", "-d")
    logged.write_text(now("first"))
    assert lab.corral("logs")[0] == "web-1  | first\n"
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(lab.corral("logs", "-f", "--no-log-prefix")[0]))
    thread.start()
    with logged.open("a") as file:
        file.write(now("second"))
    lab.engine.exit(running(lab).uid, 0)
    thread.join(10)
    assert found == ["first\nsecond\n"]


def test_up_without_d_shows_the_output_and_ends_with_the_containers(lab: Lab, logged: pathlib.Path) -> None:
    lab.write(ONE)
    lab.engine.starts = lambda info: (
        logged.write_text(now("hello")),
        lab.engine.at(0.2, lambda: lab.engine.exit(info.uid, 0)),
    )[1]
    out, err = lab.corral("up")
    assert out == "web-1  | hello\n"
    assert "container:web  started" in err


class Interrupted:
    """Presses Ctrl-C the first time that a text is written, once for each of the texts in turn."""

    def __init__(self, *texts: str) -> None:
        self.texts, self.written = list(texts), ""

    def write(self, text: str) -> int:
        self.written += text
        if self.texts and self.texts[0] in self.written:
            del self.texts[0]
            os.kill(os.getpid(), signal.SIGINT)
        return len(text)

    def flush(self) -> None:
        pass

    def fileno(self) -> int:
        raise OSError


def up(err: Interrupted, out: object = None) -> int:
    return cli.run(("up",), out or err, err)  # type: ignore[arg-type]


@pytest.mark.parametrize("when", ["created", "started", "| hello"])
def test_ctrl_c_stops_the_project_at_any_moment(lab: Lab, logged: pathlib.Path, when: str) -> None:
    lab.write(ONE)
    lab.engine.starts = lambda info: logged.write_text(now("hello")) and None
    stream = Interrupted(when)
    assert up(stream) == 130
    assert "Ctrl-C again kills" in stream.written
    assert not [
        info for info in lab.engine.infos.values() if isinstance(info, ContainerInfo) and info.state is State.RUNNING
    ]


def test_a_second_ctrl_c_kills_it(lab: Lab, logged: pathlib.Path) -> None:
    lab.write(ONE)
    lab.engine.delay_s = lambda resource_id, verb: 30.0 if verb is Verb.STOP else 0.0
    lab.engine.starts = lambda info: logged.write_text(now("hello")) and None
    assert up(Interrupted("| hello", "Ctrl-C again")) == 130
    eventually(lambda: '"ExitCode":137' in lab.corral("ps", "-a", "--format", "json")[0])
