"""`corral up --watch`: a good save is an `up`, a bad one changes nothing and is told with its place."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.lab import Lab, eventually

ONE = """
services:
  one:
    image: IMAGE
    stop_grace_period: 0s
    command: ["sh", "-c", "echo mode $$MODE; exec sleep 1000"]
    network_mode: none
    environment: {MODE: "MODE_OF_ONE"}
"""
TWO = "  two: {image: IMAGE, stop_grace_period: 0s, network_mode: none, command: [sleep, '1000']}\n"


class Watching:
    """A `corral up --watch` under way."""

    def __init__(self, lab: Lab, process: "subprocess.Popen[str]", said: pathlib.Path) -> None:
        self.lab, self.process, self.said = lab, process, said

    def tells(self, words: str, times: int = 1) -> None:
        eventually(lambda: self.said.read_text().count(words) >= times)

    def settles(self, times: int) -> None:
        self.tells("watching the files", times)

    def ends(self, code: int = 130) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(30) == code, self.said.read_text()


@contextlib.contextmanager
def watching(lab: Lab, *words: str) -> Iterator[Watching]:
    said = lab.folder.parent / f"{lab.project}-said"
    with said.open("w") as file, lab.popen("up", "--watch", *words, stdout=file, stderr=file) as process:
        try:
            yield Watching(lab, process, said)
        finally:
            process.kill()
            print(said.read_text())  # noqa: T201


def mode(lab: Lab, code: int | None = 0) -> str:
    return lab.exec("one", "sh", "-c", "echo $MODE", code=code).strip()


def test_a_good_save_is_an_up_and_a_bad_one_changes_nothing(lab: Lab) -> None:
    lab.write(ONE)
    with watching(lab) as seen:
        seen.settles(1)
        seen.tells("mode MODE_OF_ONE")
        lab.write(ONE + TWO)
        seen.settles(2)
        pids = lab.pids()
        assert lab.states() == {"one-1": "running", "two-1": "running"}
        lab.write(ONE + "  two: {image: IMAGE, stop_grace_period: 0s, network_mode: none, comand: [sleep, '1']}\n")
        seen.tells("compose.yaml:9:")
        seen.tells("nothing is changed")
        assert lab.pids() == pids
        lab.write(ONE.replace("MODE_OF_ONE", "other") + TWO)
        seen.settles(3)
        seen.tells("mode other")
        assert lab.pids()["two-1"] == pids["two-1"]
        assert lab.pids()["one-1"] != pids["one-1"]
        seen.ends()
    assert set(lab.states().values()) == {"exited"}, "Ctrl-C stops what it shows"


def test_without_output_it_leaves_all_running_when_it_ends(lab: Lab) -> None:
    lab.write(ONE)
    with watching(lab, "-d") as seen:
        seen.settles(1)
        before = lab.pids()
        seen.ends()
    assert lab.pids() == before
    assert "mode" not in seen.said.read_text()


def test_editors_that_rename_remove_and_write_in_pieces(lab: Lab) -> None:
    """What counts is what the file is in the end; the same text again is no reason to touch anything."""
    lab.write(ONE)
    file = lab.folder / "compose.yaml"
    with watching(lab, "-d") as seen:
        seen.settles(1)
        first = lab.pids()
        lab.write(ONE.replace("MODE_OF_ONE", "renamed"), ".compose.yaml.swp")
        os.replace(lab.folder / ".compose.yaml.swp", file)
        seen.settles(2)
        assert mode(lab) == "renamed"
        text = file.read_text()
        file.unlink()
        seen.tells("nothing is changed")
        second = lab.pids()
        assert second.keys() == first.keys()
        half = text.index("command")
        with file.open("w") as stream:
            stream.write(text[:half])
            stream.flush()
            stream.write(text[half:])
        lab.write(ONE.replace("MODE_OF_ONE", "later"))
        seen.settles(3)
        assert mode(lab) == "later"
        third = lab.pids()
        os.utime(file)
        lab.write(ONE.replace("MODE_OF_ONE", "later") + TWO)
        seen.settles(4)
        assert lab.pids()["one-1"] == third["one-1"]


@pytest.mark.parametrize("part", ["override", "included", "env", "env_file", "config"])
def test_all_that_was_read_is_watched(lab: Lab, part: str) -> None:
    """Also a file that was not there."""
    lab.write("MODE=first\n", "mode.env")
    lab.write("first\n", "content")
    lab.write("services: {}\n", "more.yaml")
    lab.write(
        "include: [more.yaml]\n"
        + ONE.replace("MODE_OF_ONE", "${WORD:-first}").replace("MODE:", "FROM_SHELL:")
        + "    env_file: mode.env\n    configs: [content]\nconfigs: {content: {file: content}}\n"
    )
    with watching(lab, "-d") as seen:
        seen.settles(1)
        before = lab.pids()["one-1"]
        match part:
            case "override":
                lab.write("services: {one: {environment: {MODE: other}}}\n", "compose.override.yaml")
            case "included":
                lab.write(f"services:\n{TWO}", "more.yaml")
            case "env":
                lab.write("WORD=other\n", ".env")
            case "env_file":
                lab.write("MODE=other\n", "mode.env")
            case "config":
                lab.write("other\n", "content")
        seen.settles(2)
        said = lab.exec("one", "sh", "-c", "echo $MODE $FROM_SHELL $(cat /content)").split()
        expected = {"override": 0, "env_file": 0, "env": 1, "config": 2}
        assert said == ["other" if expected.get(part) == index else "first" for index in range(3)]
        assert ("two-1" in lab.pids()) == (part == "included")
        assert (lab.pids()["one-1"] == before) == (part == "included")


def test_a_folder_that_comes_back_and_a_daemon_that_dies(lab: Lab) -> None:
    lab.write(ONE)
    (lab.folder / "conf").mkdir()
    (lab.folder / "conf" / "one").write_text("first")
    lab.write(ONE + "    configs: [c]\nconfigs: {c: {file: conf/one}}\n")
    with watching(lab) as seen:
        seen.settles(1)
        shutil.rmtree(lab.folder / "conf")
        seen.tells("nothing is changed")
        lab.kill("corral daemon")
        (lab.folder / "conf").mkdir()
        (lab.folder / "conf" / "one").write_text("second")
        eventually(lambda: lab.exec("one", "cat", "/c", code=None) == "second")
        lab.write(ONE.replace("MODE_OF_ONE", "after"))
        eventually(lambda: mode(lab, None) == "after")


def test_what_cannot_go_together_is_refused(lab: Lab) -> None:
    lab.write(ONE)
    assert "--wait and --watch" in lab.refusal("up", "--watch", "--wait")
