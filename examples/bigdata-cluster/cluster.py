"""The cluster as its user sees it: through the command `corral`, and through the web page of the Spark master."""

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
CORRAL = TOP / ".venv/bin/corral"

# As compose.yaml has them.
SUBNET = "172.28.77."
NODES = {
    name: f"{SUBNET}{number}"
    for name, number in {"master": 10, "worker1": 11, "worker2": 12, "worker3": 13, "client": 20}.items()
}
WORKERS = [name for name in NODES if name.startswith("worker")]
MEMORY_MIB = {"master": 512, "client": 1024} | dict.fromkeys(WORKERS, 1024)
CPUS = 1.0


class Failed(Exception):
    """Something that must be true is not."""


def eventually(check: Callable[[], Any], what: str, timeout_s: float = 30.0) -> Any:
    """Ask until the answer is true, and give it."""
    deadline = time.monotonic() + timeout_s
    while not (answer := check()):
        if time.monotonic() > deadline:
            raise Failed(f"{what} (waited {timeout_s:.0f} s)")
        time.sleep(0.05)
    return answer


# ---------------------------------------------------------------------------------------------------------- corral


def corral(*words: str, stdin: bytes = b"") -> str:
    """What `corral WORDS…` writes to stdout. Raises Failed, with what it wrote, if its exit code is not 0."""
    ended = subprocess.run([CORRAL, *words], cwd=HERE, input=stdin, capture_output=True, check=False)
    if ended.returncode:
        told = (ended.stdout + ended.stderr).decode(errors="replace")[-4000:]
        raise Failed(f"corral {' '.join(words)}: exit code {ended.returncode}\n{told}")
    return ended.stdout.decode()


def corral_aloud(*words: str) -> float:
    """Let `corral WORDS…` write to this terminal. Gives the seconds it took."""
    started = time.monotonic()
    code = subprocess.run([CORRAL, *words], cwd=HERE, stdin=subprocess.DEVNULL, check=False).returncode
    if code:
        raise Failed(f"corral {' '.join(words)}: exit code {code}")
    return time.monotonic() - started


def inside(node: str, script: str, stdin: bytes = b"") -> str:
    """What a shell in a node writes to stdout."""
    return corral("exec", "-T", node, "sh", "-ec", script, stdin=stdin)


def containers() -> dict[str, dict[str, Any]]:
    """Mapping from service to its line of `corral ps`."""
    return {line["Service"]: line for line in map(json.loads, corral("ps", "--format", "json").splitlines())}


# ----------------------------------------------------------------------------------------------------------- Spark


def fetch(url: str) -> str:
    """A page, asked for by the host and by no proxy; "" where nobody answers."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=3) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def master_says() -> dict[str, Any]:
    """The state of the cluster as the Spark master tells it to the host, through the published port."""
    page = fetch(f"http://127.0.0.1:{os.environ['SPARK_UI_PORT']}/json/")
    return json.loads(page) if page else {"workers": [], "completedapps": []}


def alive() -> dict[str, str]:
    """Mapping from the workers that the master calls ALIVE to the id they registered with."""
    return {w["host"].partition(".")[0]: w["id"] for w in master_says()["workers"] if w["state"] == "ALIVE"}


def submit(*words: str) -> tuple[str, dict[str, Any]]:
    """Run an application on the cluster, from the client. Gives its output, and what the master says of it."""
    before = {application["id"] for application in master_says()["completedapps"]}
    spark_submit = " ".join(("spark-submit --master spark://master:7077", *words))
    output = inside("client", f"{spark_submit} 2>/data/errors || {{ tail -n 40 /data/errors; exit 1; }}")

    def completed() -> list[dict[str, Any]]:
        return [application for application in master_says()["completedapps"] if application["id"] not in before]

    return output, eventually(completed, "the master calls the application completed")[0]


def tasks_by_worker(application: dict[str, Any]) -> dict[str, int]:
    """How many tasks of an application each worker's executor has finished: from its own log, on its own node."""
    script = f"cat /tmp/work/{application['id']}/*/stderr | grep -c 'Finished task' || true"
    return {worker: int(inside(worker, script)) for worker in WORKERS}
