"""The smallest Hadoop lab: 512 MB for the three daemons that there is one of, 768 MB for each of three workers."""

import collections
import json
import pathlib
import re

from tests.e2e import machine
from tests.e2e.labs.hadoop_cluster import Cluster

INIT = ("hadoop", "--memory", "3424m")
TEXT = "".join(path.read_text() for path in sorted(pathlib.Path("/usr/share/common-licenses").glob("*GPL-*")))


def killed_by_the_kernel(cluster: Cluster) -> dict[str, int]:
    """Mapping from node to how many of its processes were killed because its limit was reached, of those that have any."""
    counts = {name: oom_kills(pid) for name, pid in cluster.lab.pids().items() if pid}
    return {name: count for name, count in counts.items() if count}


def oom_kills(pid: int) -> int:
    """In the cgroup of a container, and in those below it, where the version of cgroups counts each for itself."""
    folder = machine.cgroup_of(pid, "memory")
    if (folder / "memory.events").exists():
        files = [folder / "memory.events"]
    else:
        files = list(folder.rglob("memory.oom_control"))
        assert files
    return sum(int(count) for file in files for count in re.findall(r"(?m)^oom_kill (\d+)$", file.read_text()))


def test_it_counts_words_and_nothing_of_it_is_killed(cluster: Cluster) -> None:
    cluster.run("hdfs dfs -mkdir /in && hdfs dfs -put - /in/text", stdin=TEXT * 20)
    cluster.run("yarn jar $EXAMPLES wordcount /in /out")
    lines = cluster.run("hdfs dfs -cat /out/part-r-*").splitlines()
    counts = {word: int(count) for word, count in (line.rsplit("\t", 1) for line in lines)}
    assert counts == {word: 20 * count for word, count in collections.Counter(TEXT.split()).items()}
    assert "Estimated value of Pi is 3.1" in cluster.run("yarn jar $EXAMPLES pi 4 1000")
    lines = cluster.lab.out("events", "--since", "1h", "--until", "0s", "--json").splitlines()
    actions = collections.Counter((event["service"], event["action"]) for event in map(json.loads, lines))
    assert actions["worker", "start"] == 3
    assert [action for _, action in actions if action == "oom"] == []
    assert killed_by_the_kernel(cluster) == {}


def test_what_the_kernel_kills_in_a_node_would_have_been_counted(cluster: Cluster) -> None:
    """Also where it is no first process of a node: nothing of the lab is told of such a one."""
    cluster.run("python3 -c 'b\"x\" * (4 << 30)'", code=137)
    assert killed_by_the_kernel(cluster) == {"client-1": 1}


def test_another_one_runs_beside_it_from_the_same_folder(cluster: Cluster) -> None:
    lab = cluster.lab
    try:
        lab.corral("-p", "other", "up", "-d", "--wait", "--scale", "worker=1", timeout=240)
        asked = ("exec", "-T", "client", "hdfs", "getconf", "-confKey", "fs.defaultFS")
        assert lab.corral("-p", "other", *asked).stdout == "hdfs://namenode.other:8020\n"
        report = lab.corral("-p", "other", "exec", "-T", "client", "hdfs", "dfsadmin", "-report").stdout
        assert "Hostname: worker-1.other" in report
        assert "Live datanodes (1):" in report
        assert len(cluster.live_datanodes()) == 3
    finally:
        lab.corral("-p", "other", "down", "-v")
