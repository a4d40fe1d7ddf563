"""What a shell is told when the user presses tab, and what `man corral` shows."""

import os
import pathlib
import subprocess
import sys

import pytest

from orchestrator.command_line import cli

TOP = pathlib.Path(cli.__file__).parents[2]
PROJECT = """
services:
  web: {image: host, profiles: [extra]}
  worker: {image: host}
"""
BASH = """
corral() { "$PYTHON" -m orchestrator "$@"; }
source <(corral completion bash)
COMP_POINT=${#COMP_LINE} COMP_TYPE=9
_python_argcomplete corral
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(line: str, folder: pathlib.Path) -> list[str]:
    """What bash makes of a tab at the end of the line."""
    environment = {"PYTHON": sys.executable, "PYTHONPATH": str(TOP), "PATH": os.environ["PATH"], "COMP_LINE": line}
    environment["CORRAL_RUN"] = environment["CORRAL_ROOT"] = str(folder / "none")
    done = subprocess.run(
        ["bash", "-c", BASH], cwd=folder, env=environment, capture_output=True, text=True, timeout=15, check=False
    )
    assert not done.stderr
    return [word.strip() for word in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("corral lo", ["logs"]),
        ("corral logs w", ["web", "worker"]),
        ("corral logs web w", ["worker"]),
        ("corral -f compose.yaml exec wo", ["worker"]),
        ("corral up --sca", ["--scale"]),
        ("corral --profile e", ["extra"]),
        ("corral init hado", ["hadoop", "hadoop-ha"]),
        ("corral completion ", ["--help", "bash", "zsh", "fish"]),
        ("corral network con", ["connect"]),
        ("corral -f none.yaml logs w", []),
    ],
)
def test_bash_is_told_what_could_come_next(line: str, expected: list[str], tmp_path: pathlib.Path) -> None:
    (tmp_path / "compose.yaml").write_text(PROJECT)
    assert [word for word in completed(line, tmp_path) if word] == expected


def test_no_daemon_is_started_for_it(tmp_path: pathlib.Path) -> None:
    assert completed("corral network inspect x", tmp_path) == [""]
    assert not (tmp_path / "none").exists()


def test_every_command_has_a_manual_page(tmp_path: pathlib.Path) -> None:
    environment = {"PYTHONPATH": str(TOP), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, str(TOP / "tools" / "man-pages"), str(tmp_path)], env=environment, check=False, timeout=15
    )
    assert done.returncode == 0
    assert {file.name for file in tmp_path.iterdir()} == {"corral.1"} | {f"corral-{name}.1" for name in cli.COMMANDS}
    up = (tmp_path / "corral-up.1").read_text()
    assert "\\fB\\-\\-force\\-recreate\\fR" in up
    assert ".nf\n    corral up " in up
    requests = {".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".nf", ".fi", ".RS", ".RE"}
    for file in tmp_path.iterdir():
        for line in file.read_text().splitlines():
            assert line[:1] not in (".", "'") or line.split()[0] in requests, f"{file.name}: {line}"
