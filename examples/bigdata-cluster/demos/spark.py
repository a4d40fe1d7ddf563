"""What the Spark lab is for: jobs on all workers, by the master's own account, also after one of them has died."""

import collections
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import cluster
from proof import eventually, prove, show, step

PI = "/opt/spark/examples/src/main/python/pi.py"  # pyspark's own
WORKERS = ["worker-1", "worker-2", "worker-3"]
TASKS = 12
COPIES = 20  # of Debian's licence texts: 6 MB of English


def prove_all() -> None:
    prove(sorted(alive()) == WORKERS, "the Spark master has its three workers, ALIVE")
    web_page()
    pi()
    word_count()
    heal()


def master_says() -> dict[str, Any]:
    """The state of the cluster as the Spark master tells it to this machine, through the published port."""
    page = cluster.page("master", 8080, "/json/")
    return json.loads(page) if page else {"workers": [], "completedapps": []}


def alive() -> dict[str, str]:
    """Mapping from the workers that the master calls ALIVE to the id they registered with."""
    return {w["host"].partition(".")[0]: w["id"] for w in master_says()["workers"] if w["state"] == "ALIVE"}


def submit(*words: str) -> tuple[str, dict[str, Any]]:
    """Run an application on the cluster, from the client. Gives its output, and what the master says of it."""
    before = {application["id"] for application in master_says()["completedapps"]}
    spark_submit = " ".join(("spark-submit --conf spark.cores.max=3", *words))
    output = cluster.inside("client", f"{spark_submit} 2>/data/errors || {{ tail -n 40 /data/errors; exit 1; }}")

    def completed() -> list[dict[str, Any]]:
        return [application for application in master_says()["completedapps"] if application["id"] not in before]

    return output, eventually(completed, "the master calls the application completed")[0]


def tasks_by_worker(application: dict[str, Any]) -> dict[str, int]:
    """How many tasks of an application each worker's executor has finished: from its own log, on its own node."""
    script = f"cat /tmp/work/{application['id']}/*/stderr | grep -c 'Finished task' || true"
    return {worker: int(cluster.inside(worker, script)) for worker in WORKERS}


def web_page() -> None:
    step("The master's web page, published on this machine")
    title = re.search(r"<title>\s*(.*?)\s*</title>", cluster.page("master", 8080), re.DOTALL)
    address = cluster.corral("port", "master", "8080").strip()
    prove(title and "Spark Master" in title[1], f"http://{address}/ is the {title and title[1]!r}")


def pi() -> None:
    step(f"spark-submit pi.py, from the client to the cluster, {TASKS} tasks")
    output, application = submit(PI, str(TASKS))
    show(output)
    found = re.search(r"Pi is roughly (\S+)", output)
    prove(found and abs(float(found[1]) - 3.14159) < 0.02, "this is pi, roughly")
    prove_finished(application)
    tasks = tasks_by_worker(application)
    prove(all(tasks.values()) and sum(tasks.values()) == TASKS, f"who did how many tasks, by their own logs: {tasks}")


def prove_finished(application: dict[str, Any]) -> None:
    state, seconds = application["state"], application["duration"] / 1000
    prove(state == "FINISHED", f"the master: {application['name']!r}, {application['id']}, {state} in {seconds:.1f} s")


def word_count() -> None:
    licences = sorted(path for path in Path("/usr/share/common-licenses").iterdir() if path.is_file())
    text = b"".join(path.read_bytes() for path in licences) * COPIES
    step(f"spark-submit wordcount.py over {len(text) / 1e6:.1f} MB: the licence texts of this Debian, {COPIES} times")
    cluster.inside("client", "cat >/data/text", stdin=text)
    sizes = {node: int(cluster.inside(node, "stat -c %s /data/text")) for node in cluster.nodes()}
    prove(set(sizes.values()) == {len(text)}, "written by the client, seen by all: one volume")
    output, application = submit("/jobs/wordcount.py", "file:///data/text", "file:///data/counts")
    show(output)
    prove_finished(application)
    tasks = tasks_by_worker(application)
    prove(all(tasks.values()), f"who did how many tasks, by their own logs: {tasks}")
    counted, expected = parsed(cluster.inside("client", "cat /data/counts/part-*")), counted_here(text)
    show("most frequent: " + ", ".join(f"{word} {count}" for word, count in counted.most_common(5)))
    total = sum(expected.values())
    prove(counted == expected, f"{total} words, {len(expected)} different: every count as tr, sort and uniq have it")


def counted_here(text: bytes) -> collections.Counter[str]:
    """The same count without Spark and without Python: by coreutils, on this machine."""
    pipeline = "tr -cs A-Za-z '\\n' | tr A-Z a-z | grep . | sort | uniq -c"
    environment = os.environ | {"LC_ALL": "C"}
    ended = subprocess.run(["sh", "-c", pipeline], input=text, stdout=subprocess.PIPE, env=environment, check=True)
    return parsed(ended.stdout.decode())


def parsed(lines: str) -> collections.Counter[str]:
    """The counts in lines of "COUNT WORD"."""
    return collections.Counter({word: int(count) for count, word in map(str.split, lines.splitlines())})


def heal() -> None:
    step("kill -9 of worker-2's process")
    before, registered = cluster.nodes()["worker-2"], alive()["worker-2"]
    killed = time.monotonic()
    os.kill(before["Pid"], signal.SIGKILL)

    def runs_again() -> dict[str, Any] | None:
        now = cluster.nodes().get("worker-2", {})
        return now if now.get("State") == "running" and now["Pid"] not in (0, before["Pid"]) else None

    after = eventually(runs_again, "worker-2 runs again")
    took_s = time.monotonic() - killed
    prove(
        True, f"pid {before['Pid']} is dead, and worker-2 runs again as pid {after['Pid']}, seen after {took_s:.2f} s"
    )
    prove(after["Addresses"] == before["Addresses"], f"at the same address: {cluster.address_of(after)}")
    eventually(lambda: alive().get("worker-2", registered) != registered, "worker-2 registers again")
    took_s = time.monotonic() - killed
    prove(sorted(alive()) == WORKERS, f"it has registered at the master again: ALIVE after {took_s:.1f} s")
    output, application = submit(PI, str(TASKS))
    prove(tasks_by_worker(application)["worker-2"], f"and it works: {output.strip()!r}, also by worker-2")
