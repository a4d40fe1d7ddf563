"""The Hadoop lab with two of everything: whichever node dies, who is in the middle of something comes to its end."""

import os
import pathlib
import re
import signal
import time

from tests.e2e.lab import eventually
from tests.e2e.labs import cluster as clusters

INIT = ("hadoop-ha", "--workers", "3", "--memory", "7g")
TEXT = "".join(path.read_text() for path in sorted(pathlib.Path("/usr/share/common-licenses").glob("*GPL-*")))
NAMENODES = ("namenode-1", "namenode-2")
RESOURCEMANAGERS = ("resourcemanager-1", "resourcemanager-2")


class Cluster(clusters.Cluster):
    def state_of_namenode(self, node: str) -> str:
        """active, standby, or "" where it does not answer."""
        try:
            found = self.ask(node, 9870, "/jmx?qry=Hadoop:service=NameNode,name=NameNodeStatus")["beans"]
            return str(found[0]["State"]) if found else ""
        except (OSError, KeyError, AssertionError):
            return ""

    def state_of_resourcemanager(self, node: str) -> str:
        try:
            return str(self.ask(node, 8088, "/ws/v1/cluster/info")["clusterInfo"]["haState"]).lower()
        except (OSError, KeyError, AssertionError):
            return ""

    def namenodes(self) -> dict[str, str]:
        return {node: self.state_of_namenode(node) for node in NAMENODES}

    def resourcemanagers(self) -> dict[str, str]:
        return {node: self.state_of_resourcemanager(node) for node in RESOURCEMANAGERS}


def sides(states: dict[str, str]) -> tuple[str, str]:
    """Who is active, and who stands by."""
    assert sorted(states.values()) == ["active", "standby"], states
    active, standby = sorted(states, key=lambda node: states[node])
    return active, standby


def settled(cluster: Cluster) -> None:
    """Both NameNodes and both ResourceManagers are there again."""
    eventually(lambda: sides(cluster.namenodes()), 60)
    eventually(lambda: sides(cluster.resourcemanagers()), 60)


def test_up_returns_when_the_cluster_is_usable(cluster: Cluster) -> None:
    active, _ = sides(cluster.namenodes())
    info = cluster.ask(active, 9870, "/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo")["beans"][0]
    assert len(re.findall(r"worker-\d\.books:", info["LiveNodes"])) == 3
    assert info["Safemode"] == ""
    active, _ = sides(cluster.resourcemanagers())
    nodes = cluster.ask(active, 8088, "/ws/v1/cluster/nodes")["nodes"]["node"]
    assert [node["state"] for node in nodes] == ["RUNNING"] * 3
    modes = [cluster.run("quorum", node=f"zookeeper-{number}").strip() for number in (1, 2, 3)]
    assert sorted(modes) == ["Mode: follower", "Mode: follower", "Mode: leader"]
    cluster.run("hdfs dfs -mkdir /in && hdfs dfs -put - /in/text", stdin=TEXT)
    assert cluster.run("hdfs dfs -cat hdfs://lab/in/text") == TEXT


def test_states_are_asked_for_as_the_books_do(cluster: Cluster) -> None:
    lines = cluster.run("hdfs haadmin -getAllServiceState").splitlines()
    assert sorted(line.split()[-1] for line in lines) == ["active", "standby"]
    assert sorted(line.split(":")[0] for line in lines) == ["namenode-1.books", "namenode-2.books"]
    lines = cluster.run("yarn rmadmin -getAllServiceState").splitlines()
    assert sorted(line.split()[-1] for line in lines) == ["active", "standby"]
    assert "lab" in cluster.run("zkCli.sh ls /hadoop-ha 2>/dev/null", node="client")


def test_a_write_ends_when_the_active_namenode_dies(cluster: Cluster) -> None:
    """Its process; and its ZKFC does not wait until it is back."""
    active, standby = sides(cluster.namenodes())
    slowly = f"for i in $(seq 60); do head -c 100000 /dev/zero; sleep 0.1; done | hdfs dfs -put - /slow-{active}"
    with cluster.begin(slowly) as writer:
        eventually(lambda: cluster.run(f"hdfs dfs -ls /slow-{active}._COPYING_ 2>/dev/null || true"), 30)
        killed_at = time.monotonic()
        cluster.kill_java(active, "namenode.NameNode")
        eventually(lambda: cluster.state_of_namenode(standby) == "active", 30)
        took_s = time.monotonic() - killed_at
        assert writer.stdout
        told = writer.stdout.read()
        assert writer.wait() == 0, told
    assert took_s < 15
    assert cluster.run(f"hdfs dfs -stat %b /slow-{active}") == "6000000\n"
    settled(cluster)


def test_a_write_ends_when_the_active_namenodes_node_dies(cluster: Cluster) -> None:
    """Its ZKFC dies with it: ZooKeeper misses it."""
    active, standby = sides(cluster.namenodes())
    slowly = f"for i in $(seq 60); do head -c 100000 /dev/zero; sleep 0.1; done | hdfs dfs -put - /node-{active}"
    with cluster.begin(slowly) as writer:
        eventually(lambda: cluster.run(f"hdfs dfs -ls /node-{active}._COPYING_ 2>/dev/null || true"), 30)
        cluster.die(active)
        eventually(lambda: cluster.state_of_namenode(standby) == "active", 30)
        assert writer.stdout
        told = writer.stdout.read()
        assert writer.wait() == 0, told
    assert cluster.run(f"hdfs dfs -stat %b /node-{active}") == "6000000\n"
    settled(cluster)


def test_a_job_ends_when_the_active_resourcemanager_dies(cluster: Cluster) -> None:
    active, standby = sides(cluster.resourcemanagers())
    with cluster.begin("yarn jar $EXAMPLES pi 6 100000") as job:

        def tasks_run() -> bool:
            metrics = cluster.ask(active, 8088, "/ws/v1/cluster/metrics")["clusterMetrics"]
            return bool(metrics["containersAllocated"] >= 2)

        eventually(tasks_run, 60)
        cluster.die(active)
        eventually(lambda: cluster.state_of_resourcemanager(standby) == "active", 30)
        assert job.stdout
        told = job.stdout.read()
        assert job.wait() == 0, told
    assert "Estimated value of Pi is 3.1" in told
    assert "SUCCEEDED" in cluster.run("yarn application -list -appStates ALL")
    settled(cluster)


def test_a_lost_name_space_is_taken_over_from_the_other(cluster: Cluster) -> None:
    _, standby = sides(cluster.namenodes())
    cluster.lab.corral("stop", "namenode")
    kept = cluster.lab.owner.root / f"volumes/books_namenodes/_data/{standby}.books/name"
    kept.rename(kept.with_name("elsewhere"))
    cluster.up()
    settled(cluster)
    assert kept.exists()
    assert cluster.run("hdfs dfs -cat /in/text") == TEXT


def test_down_and_up_find_everything_again(cluster: Cluster) -> None:
    cluster.lab.corral("down")
    cluster.up()
    settled(cluster)
    assert cluster.run("hdfs dfs -cat /in/text") == TEXT
    assert "Formatting" not in cluster.lab.out("logs", "namenode")
    assert "SUCCEEDED" in cluster.run("mapred job -list all")


def test_a_format_that_was_cut_off_begins_again(cluster: Cluster) -> None:
    cluster.lab.corral("down", "-v")
    data = cluster.lab.owner.root / "volumes/books_namenodes/_data"
    with cluster.lab.popen("up", "-d", "--wait") as up:
        eventually(lambda: list(data.glob("*/name.new")), 60)
        os.kill(eventually(lambda: cluster.lab.ps().get("namenode-pre_start-0", {}).get("Pid")), signal.SIGKILL)
        up.wait(200)
    cluster.up()
    settled(cluster)
    cluster.run("hdfs dfs -ls /tmp")
