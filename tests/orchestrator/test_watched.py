"""`up --watch` where what it relies on fails: a daemon that cannot be talked to, a watcher that hangs."""

import io
import pathlib
import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest
import watchfiles

from orchestrator import errors
from orchestrator.command_line import saves, watched
from specs import local_files

WAIT_S = 20.0


class Up:
    """Of an `up`: that it has begun."""

    over = False

    def next(self, timeout_s: float) -> None:
        threading.Event().wait(timeout_s)

    def close(self) -> None:
        pass


class Called:
    """The command line, as far as it is asked."""

    def __init__(self) -> None:
        self.err = io.StringIO()

    def note(self, text: str) -> None:
        self.err.write(f"{text}\n")

    def display(self, verb: str) -> Any:
        quiet = types.SimpleNamespace(tick=lambda: None, finish=lambda: None)
        quiet.show = lambda event: None
        return quiet


class Wishes:
    """`begin` fails as `answers` say, one after the other; then it ends the watching."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers, self.begun = [*answers], list[str]()
        self.text = "first"

    def load(self) -> Any:
        return types.SimpleNamespace(project_name="p", canonical={"text": self.text}, files=())

    def begin(self, loaded: Any) -> Any:
        self.begun.append(loaded.canonical["text"])
        if not self.answers:
            raise KeyboardInterrupt
        if (answer := self.answers.pop(0)) is not None:
            raise answer
        self.text = "second"
        return Up()


@pytest.mark.parametrize(
    ("answer", "begun", "told"),
    [
        (errors.DaemonError("hung up"), ["first", "second", "second"], "trying again"),
        (errors.Refused("somebody has the port"), ["first", "second"], "waiting for the next save"),
    ],
)
def test_a_good_save_that_no_daemon_took_is_tried_again(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, answer: Exception, begun: list[str], told: str
) -> None:
    monkeypatch.setattr(watched, "RETRY_S", 0.0)
    called: Any = Called()
    wishes = Wishes(None, answer)
    words = watched.Words(wishes.load, wishes.begin, lambda loaded: None, lambda loaded: 0)
    watch = watched._Watch(called, words, wishes.load(), {})
    try:
        watch._saved()
        assert told in called.err.getvalue()
        if watch.retry_at is not None:
            with pytest.raises(KeyboardInterrupt):
                watch.go_on()
    finally:
        watch.close()
    assert wishes.begun == begun


def test_an_up_that_was_under_way_when_the_daemon_died_is_tried_until_one_takes_it() -> None:
    called: Any = Called()
    wishes = Wishes(None, errors.DaemonError("cannot start the daemon"))
    words = watched.Words(wishes.load, wishes.begin, lambda loaded: None, lambda loaded: 0)
    watch = watched._Watch(called, words, wishes.load(), {})
    try:
        watch._over()
        assert watch.retry_at is not None
        assert "cannot start the daemon" in called.err.getvalue()
    finally:
        watch.close()


def test_a_save_is_noticed_though_the_watcher_hangs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, hangs = threading.Event(), threading.Event()

    def hang(*paths: str, **options: Any) -> Iterator[None]:
        hangs.set()
        ended.wait(WAIT_S)
        yield

    monkeypatch.setattr(watchfiles, "watch", hang)
    monkeypatch.setattr(saves, "PATIENCE_S", 0.0)
    path = tmp_path / "file"
    path.write_text("first")
    found = saves.Saves({str(path): local_files.print_of(str(path))})
    try:
        assert hangs.wait(WAIT_S)
        assert not found.come()
        path.write_text("second")
        assert found.come()
        assert not found.come()
    finally:
        ended.set()
        found.close()
