"""Progress: the board from events, on a terminal of any size, and as plain lines."""

import io

import pytest

from orchestrator.command_line import output, progress
from orchestrator.protocol import Begun, Change, Containers, Ended, Note, Planned, Said, Settled, Waiting


def board(*services: str) -> progress.Board:
    found = progress.Board("up", 0.0)
    changes = [Change(f"{kind}:{name}", "create") for name in services for kind in ("sandbox", "container")]
    found.apply(Planned((Change("network:lab", "create"), *changes)), 0.0)
    return found


def test_a_container_its_sandbox_and_its_endpoints_share_a_row() -> None:
    shown = board("dn1")
    assert [row.id for row in shown.sorted_rows()] == ["network:lab", "container:dn1"]
    shown.apply(Begun("sandbox:dn1", "create"), 1.0)
    assert shown.rows["container:dn1"].text == "creating sandbox"
    assert shown.apply(Ended("sandbox:dn1", "create", 0.5), 1.5) == []
    shown.apply(Begun("endpoint:dn1/lab", "create"), 1.5)
    assert shown.rows["container:dn1"].text == "creating network"
    shown.apply(Begun("container:dn1", "start"), 2.0)
    done = shown.apply(Ended("container:dn1", "start", 0.25), 2.25)
    assert [(row.id, row.mark, row.text, row.seconds) for row in done] == [("container:dn1", "done", "started", 1.25)]


def test_a_failure_shows_its_reason_until_it_goes_better() -> None:
    shown = board("dn1")
    shown.apply(Begun("endpoint:dn1/lab", "create"), 1.0)
    [row] = shown.apply(Ended("endpoint:dn1/lab", "create", 0.1, "no such bridge"), 1.1)
    assert (row.id, row.mark, row.text) == ("container:dn1", "fail", "no such bridge")
    shown.apply(Begun("endpoint:dn1/lab", "create"), 2.0)
    assert shown.rows["container:dn1"].mark == "run"


def test_what_waits_says_for_what() -> None:
    shown = board("dn1")
    shown.apply(Planned((), (Waiting("container:dn1", "start", "container:nn is starting"),)), 0.5)
    assert (shown.rows["container:dn1"].mark, shown.rows["container:dn1"].text) == ("wait", "container:nn is starting")


def test_the_lines_fit_the_terminal_and_keep_a_natural_order() -> None:
    shown = board(*(f"dn{number}" for number in (10, 2, 1)))
    shown.apply(Begun("container:dn2", "create"), 0.0)
    lines = shown.lines(2.0, 60, 30, False)
    assert lines[0] == "[+] up 0/4  2.0s"
    assert [line.split()[1] for line in lines[1:]] == [
        "network:lab",
        "container:dn1",
        "container:dn2",
        "container:dn10",
    ]
    assert lines[3].endswith("2.0s")
    assert all(len(line) <= 60 for line in lines)


def test_a_hundred_services_fit_and_what_matters_is_seen() -> None:
    shown = board(*(f"w{number}" for number in range(100)))
    for number in range(100):
        shown.apply(Begun(f"container:w{number}", "start"), 1.0)
        if number not in (70, 80):
            shown.apply(Ended(f"container:w{number}", "start", 0.1), 1.1)
    shown.apply(Ended("container:w80", "start", 0.1, "no such file"), 1.2)
    lines = shown.lines(2.0, 80, 24, False)
    assert len(lines) <= 23
    assert "98/101" in lines[0]
    text = "\n".join(lines)
    assert "container:w70 " in text
    assert "no such file" in text
    assert lines[-1].strip() == f"… and {101 - (len(lines) - 2)} more"


def test_names_and_errors_cannot_command_the_terminal() -> None:
    shown = progress.Board("up", 0.0)
    shown.apply(Begun("container:x\x1b[2J", "start"), 0.0)
    shown.apply(Ended("container:x\x1b[2J", "start", 0.1, "bad\nthing\x07\u202e"), 0.1)
    text = "".join(shown.lines(1.0, 100, 20, False))
    assert text.isprintable()
    assert "bad\\nthing\\x07\\u202e" in text


@pytest.mark.parametrize("text", ["plain", "grün ✔ 日本", ""])
def test_clean_leaves_what_is_harmless(text: str) -> None:
    assert output.clean(text) == text


def test_the_terminal_is_redrawn_in_place_and_ends_with_the_last_picture() -> None:
    stream, now = io.StringIO(), [0.0]
    shown = progress.Terminal(stream, "up", False, clock=lambda: now[0])
    shown.show(Planned((Change("container:a", "create"), Change("container:b", "create"))))
    now[0] = 1.0
    shown.show(Begun("container:a", "start"))
    now[0] = 1.01  # too soon: not drawn
    shown.show(Ended("container:a", "start", 0.01))
    assert "started" not in stream.getvalue()
    shown.finish()
    frames = stream.getvalue().split("\x1b[3A\r\x1b[J")
    assert len(frames) == 2
    assert " ✔ container:a  started" in frames[-1]
    assert frames[-1].endswith("\n")


def test_plain_lines_tell_each_thing_once() -> None:
    stream, now = io.StringIO(), [0.0]
    shown = progress.Plain(stream, "up", clock=lambda: now[0])
    waits = Planned((), (Waiting("container:b", "start", "container:a is starting"),))
    for event in (waits, waits, Begun("network:n", "create"), Begun("container:a", "create")):
        shown.show(event)
    now[0] = 0.5
    for event in (
        Ended("network:n", "create", 0.5),
        Ended("container:a", "create", 0.5, "cannot: no\x1bway"),
        Note("by the way"),
        Containers(()),
        Settled(1),
    ):
        shown.show(event)
    assert stream.getvalue().splitlines() == [
        "container:b  waits: container:a is starting",
        "network:n  created  0.5s",
        "container:a  failed: cannot: no\\x1bway",
        "by the way",
    ]


def test_the_way_it_is_shown_follows_the_flag_and_the_stream() -> None:
    stream = io.StringIO()
    for mode, kind in (
        ("auto", progress.Plain),
        ("plain", progress.Plain),
        ("tty", progress.Terminal),
        ("json", progress.Lines),
        ("quiet", progress.Quiet),
    ):
        assert isinstance(progress.display_of(mode, "up", stream, {}), kind)


def test_tables_align_and_are_clean() -> None:
    text = output.table(("NAME", "STATUS"), [["a", "Up"], ["longer\x1b[31m", "Exited (1)"]])
    assert text == "NAME             STATUS\na                Up\nlonger\\x1b[31m   Exited (1)\n"


def test_no_colour_where_the_user_or_the_stream_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    assert not output.may_colour(stream, {"TERM": "xterm"})
    monkeypatch.setattr(output, "is_terminal", lambda stream: True)
    assert output.may_colour(stream, {"TERM": "xterm"})
    assert not output.may_colour(stream, {"TERM": "xterm", "NO_COLOR": "1"})
    assert not output.may_colour(stream, {"TERM": "dumb"})


def test_what_a_leaving_replica_says_is_shown() -> None:
    stream = io.StringIO()
    shown = progress.Plain(stream, "up", clock=lambda: 0.0)
    for event in (
        Begun("container:dn-3", "stop"),
        Said("container:dn-3", "12 blocks to go"),
        Said("container:dn-3", "12 blocks to go"),
        Said("container:dn-3", "\x1b[2Jdone"),
        Ended("container:dn-3", "stop", 2.0),
    ):
        shown.show(event)
    assert stream.getvalue().splitlines() == [
        "container:dn-3  leaving: 12 blocks to go",
        "container:dn-3  leaving: \\x1b[2Jdone",
        "container:dn-3  stopped  0.0s",
    ]
    board = progress.Board("up", 0.0)
    board.apply(Begun("container:dn-3", "stop"), 0.0)
    board.apply(Said("container:dn-3", "11 blocks to go"), 1.0)
    assert "leaving: 11 blocks to go" in board.lines(1.0, 80, 20, False)[1]
