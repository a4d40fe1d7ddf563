"""A lab as its user sees it: through the command `corral` in the lab's folder, and through web pages."""

import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from proof import Failed

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
CORRAL = TOP / ".venv/bin/corral"
FOLDER = "CORRAL_DEMO_FOLDER"
"""The variable that says where the lab is."""


def corral(*words: str, stdin: bytes = b"") -> str:
    """What `corral WORDS…` writes to stdout. Raises Failed, with what it wrote, if its exit code is not 0."""
    ended = subprocess.run([CORRAL, *words], cwd=os.environ[FOLDER], input=stdin, capture_output=True, check=False)
    if ended.returncode:
        told = (ended.stdout + ended.stderr).decode(errors="replace")[-4000:]
        raise Failed(f"corral {' '.join(words)}: exit code {ended.returncode}\n{told}")
    return ended.stdout.decode()


def corral_aloud(*words: str) -> float:
    """Let `corral WORDS…` write to this terminal. Gives the seconds it took."""
    started = time.monotonic()
    words_of_command = [CORRAL, *words]
    code = subprocess.run(words_of_command, cwd=os.environ[FOLDER], stdin=subprocess.DEVNULL, check=False).returncode
    if code:
        raise Failed(f"corral {' '.join(words)}: exit code {code}")
    return time.monotonic() - started


def begin(node: str, script: str) -> "subprocess.Popen[bytes]":
    """A shell in a node that goes on by itself."""
    return subprocess.Popen(
        [CORRAL, *_shell_in(node, script)], cwd=os.environ[FOLDER], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )


def inside(node: str, script: str, stdin: bytes = b"") -> str:
    """What a shell in a node, SERVICE or SERVICE-N, writes to stdout."""
    return corral(*_shell_in(node, script), stdin=stdin)


def _shell_in(node: str, script: str) -> list[str]:
    service, dash, index = node.rpartition("-")
    words = ["--index", index, service] if dash and index.isdigit() else [node]
    return ["exec", "-T", *words, "sh", "-ec", script]


def project() -> str:
    return Path(os.environ[FOLDER]).name


def nodes() -> dict[str, dict[str, Any]]:
    """Mapping from the name that a node has for the others to its line of `corral ps`."""
    lines = map(json.loads, corral("ps", "--format", "json").splitlines())
    declared = services()
    return {_node_of(line, declared): line for line in lines}


def _node_of(line: dict[str, Any], declared: dict[str, Any]) -> str:
    several = int(declared[line["Service"]].get("scale", 1)) > 1
    return str(line["Name"].removeprefix(f"{project()}-") if several else line["Service"])


def services() -> dict[str, Any]:
    """As the compose file declares them."""
    found = json.loads(corral("config", "--format", "json"))["services"]
    assert isinstance(found, dict)
    return found


def address_of(line: dict[str, Any]) -> str:
    """In the one network that a lab has."""
    return str(next(iter(line["Addresses"].values())) if isinstance(line["Addresses"], dict) else line["Addresses"][0])


def page(service: str, port: int, path: str = "/") -> str:
    """A page that a lab publishes on this machine; "" where nobody answers."""
    return fetched(f"http://{corral('port', service, str(port)).strip()}{path}")


def fetched(address: str) -> str:
    """A page, asked for by no proxy; "" where nobody answers."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(address, timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""
