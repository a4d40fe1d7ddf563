"""Another content of a config, a secret or an env file: noticed by plan and up, which do what `x-corral.on_change` says."""

import pathlib

import pytest

from tests.e2e.lab import Lab, eventually

pytestmark = pytest.mark.key("services.x-corral.on_change")

TELLER = "trap 'echo told' HUP; trap exit TERM; echo began; while :; do sleep 0.05; done"


def project(lab: Lab, word: str, what: str = "configs: [c]") -> None:
    lab.write(
        f"""
services:
  a:
    image: IMAGE
    network_mode: none
    command: ["sh", "-c", "{TELLER.replace("$", "$$")}"]
    {what}
    x-corral: {{on_change: {word}}}
configs: {{c: {{file: ./c}}}}
"""
    )


def said(lab: Lab) -> list[str]:
    return lab.out("logs", "--no-log-prefix", "a").split()


def content(lab: Lab) -> str:
    return (pathlib.Path(f"/proc/{lab.pid('a')}/root") / "c").read_text()


def identity(lab: Lab) -> str:
    """Of the container: what it wrote before is there."""
    return str(lab.ps()["a-1"]["ID"])


@pytest.mark.parametrize(
    ("word", "plan", "is_same_process", "is_same_container", "is_changed"),
    [
        ("recreate", "replace  /c has another content", False, False, True),
        ("restart", "restarts: /c has another content", False, True, True),
        ("'signal:HUP'", "/c has another content, SIGHUP, live", True, True, True),
        ("ignore", "/c has another content, from its next start on, live", True, True, False),
    ],
)
def test_a_changed_config(
    lab: Lab, word: str, plan: str, is_same_process: bool, is_same_container: bool, is_changed: bool
) -> None:
    (lab.folder / "c").write_text("one\n")
    project(lab, word)
    lab.up()
    lab.exec("a", "touch", "/mark")
    before, container = lab.pid("a"), identity(lab)
    eventually(lambda: said(lab)[-1:] == ["began"])
    (lab.folder / "c").write_text("another\n")
    assert plan in lab.corral("plan", code=2).stdout
    lab.up()
    assert (lab.pid("a") == before) == is_same_process
    assert (identity(lab) == container) == is_same_container
    lab.exec("a", "ls", "/mark", code=0 if is_same_container else 1)
    assert content(lab) == ("another\n" if is_changed else "one\n")
    lab.corral("plan", code=0)
    if word == "'signal:HUP'":
        eventually(lambda: said(lab) == ["began", "told"])
    if word == "ignore":
        lab.corral("restart", "-t", "0", "a")
        assert content(lab) == "another\n"


def test_a_changed_env_file(lab: Lab) -> None:
    (lab.folder / "c").write_text("")
    (lab.folder / "e").write_text("V=1\n")
    project(lab, "{env_file: restart}", "env_file: ./e")
    lab.up()
    lab.exec("a", "touch", "/mark")
    before = lab.pid("a")
    (lab.folder / "e").write_text("V=2\n")
    assert "restarts: env_file has another V" in lab.corral("plan", code=2).stdout
    lab.up()
    assert lab.pid("a") != before
    assert b"V=2" in pathlib.Path(f"/proc/{lab.pid('a')}/environ").read_bytes().split(b"\0")
    lab.exec("a", "ls", "/mark")
