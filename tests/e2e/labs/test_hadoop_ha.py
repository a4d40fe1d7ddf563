"""The Hadoop lab with two of everything: whichever node dies, who is in the middle of something comes to its end."""

import collections
import contextlib
import pathlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.lab import eventually
from tests.e2e.labs import browser, hadoop_cluster
from tests.e2e.labs import cluster as clusters

INIT = ("hadoop-ha", "--workers", "3", "--memory", "7g")
TEXT = "".join(path.read_text() for path in sorted(pathlib.Path("/usr/share/common-licenses").glob("*GPL-*")))
NAMENODES = ("namenode-1", "namenode-2")
NAME_SPACE = ("*namenodes/_data/*/name/current/VERSION",)
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


def test_a_book_of_the_users_goes_in_as_one_types_it(cluster: Cluster) -> None:
    cluster.lab.corral("exec", "client", "hdfs", "dfs", "-put", "book.txt", "/in")
    assert cluster.run("hdfs dfs -cat /in/book.txt") == (cluster.lab.folder / "files/book.txt").read_text()


def test_every_node_has_every_tool_and_means_this_cluster(cluster: Cluster) -> None:
    assert hadoop_cluster.told_by_tools(cluster) == dict.fromkeys(cluster.services(), hadoop_cluster.TOLD_BY_TOOLS)
    for service in cluster.services():
        assert "ZooKeeper CLI version: 3.8" in cluster.run("zkCli.sh version", node=service)


def test_every_node_shows_its_pages(cluster: Cluster) -> None:
    assert cluster.pages() == {
        "NameNode": 2,
        "ResourceManager": 2,
        "JournalNode": 3,
        "DataNode": 3,
        "NodeManager": 3,
        "Job history": 1,
    }


def test_whoever_opens_the_page_of_a_resourcemanager_that_stands_by_comes_to_the_other(cluster: Cluster) -> None:
    active, standby = sides(cluster.resourcemanagers())
    with cluster.named(), browser.on_the_machine_of(cluster.lab) as window:
        window.open(f"http://{standby}.books:8088/cluster/nodes")
        window.sees("Nodes of the cluster")
        assert window.url == f"http://{active}.books:8088/cluster/nodes"
        assert window.follow(r"worker-1\.books:8042") == "http://worker-1.books:8042/"
        window.sees("Total Vmem allocated for Containers")


def test_who_does_not_do_what_it_is_for_is_unhealthy(cluster: Cluster) -> None:
    cluster.run("hdfs --daemon stop datanode", node="worker-3")
    cluster.run("hdfs dfsadmin -safemode enter")
    eventually(lambda: cluster.health("worker-3") == cluster.health("client") == "unhealthy", 90)
    cluster.run("hdfs dfsadmin -safemode leave")
    cluster.run("hdfs --daemon start datanode", node="worker-3")
    eventually(lambda: cluster.health("worker-3") == cluster.health("client") == "healthy", 90)


@contextlib.contextmanager
def in_the_middle(cluster: Cluster, name: str) -> Iterator[Callable[[], None]]:
    """Within this a client is writing a file, slowly, and a job runs. What it gives waits until both have ended, well."""
    with cluster.begin("yarn jar $EXAMPLES pi 16 100000") as job:
        active, _ = sides(cluster.resourcemanagers())

        def tasks_run() -> bool:
            metrics = cluster.ask(active, 8088, "/ws/v1/cluster/metrics")["clusterMetrics"]
            return bool(metrics["containersAllocated"] >= 2)

        eventually(tasks_run, 90)
        slowly = f"for i in $(seq 60); do head -c 100000 /dev/zero; sleep 0.1; done | hdfs dfs -put - {name}"
        with cluster.begin(slowly) as writer:
            eventually(lambda: blocks_of(cluster, f"{name}._COPYING_"), 60)
            assert job.poll() is None
            assert writer.poll() is None

            def end() -> None:
                ends_well(writer)
                assert "Estimated value of Pi is 3.1" in ends_well(job)
                assert cluster.run(f"hdfs dfs -stat %b {name}") == "6000000\n"

            yield end


def blocks_of(cluster: Cluster, path: str) -> int:
    """How many blocks a file has that is being written."""
    active, _ = sides(cluster.namenodes())
    try:
        found = cluster.ask(active, 9870, f"/webhdfs/v1{path}?op=GET_BLOCK_LOCATIONS&user.name=root")
    except OSError:  # 404: not there yet
        return 0
    return len(found["LocatedBlocks"]["locatedBlocks"])


def ends_well(process: "subprocess.Popen[str]") -> str:
    """What it wrote."""
    assert process.stdout
    told = process.stdout.read()
    assert process.wait() == 0, told
    return told


@pytest.mark.parametrize("how", clusters.HOW)
def test_a_write_and_a_job_end_when_the_active_namenode_is_lost(cluster: Cluster, how: str) -> None:
    active, standby = sides(cluster.namenodes())
    with in_the_middle(cluster, f"/{how}-namenode") as end, cluster.struck(active, how, "namenode.NameNode"):
        struck_at = time.monotonic()
        eventually(lambda: cluster.state_of_namenode(standby) == "active", 60)
        cluster.took(f"{standby} for {active}, {how}", struck_at)
        end()
        cluster.took("and the end of both", struck_at)
    settled(cluster)


@pytest.mark.parametrize("how", clusters.HOW)
def test_a_write_and_a_job_end_when_the_active_resourcemanager_is_lost(cluster: Cluster, how: str) -> None:
    active, _ = sides(cluster.resourcemanagers())
    with in_the_middle(cluster, f"/{how}-resourcemanager") as end, cluster.struck(active, how, "ResourceManager"):
        struck_at = time.monotonic()
        # which may be the one that was killed: it is back in a second, and as soon as its place in ZooKeeper is free both want it
        eventually(lambda: "active" in cluster.resourcemanagers().values(), 60)
        cluster.took(f"somebody for {active}, {how}", struck_at)
        end()
        cluster.took("and the end of both", struck_at)
    settled(cluster)


def test_a_job_of_spark_ends_when_the_active_resourcemanager_is_lost(cluster: Cluster) -> None:
    active, _ = sides(cluster.resourcemanagers())

    def executors_run() -> bool:
        metrics = cluster.ask(active, 8088, "/ws/v1/cluster/metrics")["clusterMetrics"]
        return bool(metrics["containersAllocated"] == 3)  # two, and their master

    with cluster.begin("spark-submit /jobs/wordcount.py hdfs:///in/text hdfs:///counts") as job:
        eventually(executors_run, 90)
        assert job.poll() is None
        cluster.kill_java(active, "ResourceManager")
        eventually(lambda: "active" in cluster.resourcemanagers().values(), 60)
        assert re.findall(r"worker-\d\S* read \d+ words", ends_well(job))
    words = collections.Counter(word.lower() for word in re.findall("[A-Za-z]+", TEXT))
    counts = (line.split(" ") for line in cluster.run("hdfs dfs -cat /counts/part-*").splitlines())
    assert {word: int(count) for count, word in counts} == words
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
    cluster.down()
    cluster.up()
    settled(cluster)
    assert cluster.run("hdfs dfs -cat /in/text") == TEXT
    assert "Formatting" not in cluster.lab.out("logs", "namenode")
    assert "SUCCEEDED" in cluster.run("mapred job -list all")


def test_a_lost_name_space_is_said_before_anything_starts(cluster: Cluster) -> None:
    cluster.down()
    kept = [cluster.lab.owner.root / f"volumes/books_namenodes/_data/{node}.books/name" for node in NAMENODES]
    for path in kept:
        path.rename(path.with_name("lost"))
    starts = cluster.events("start")
    told = cluster.lab.corral("up", "-d", "--wait", code=1, timeout=120).stderr
    assert "container:zookeeper/pre_start-0: cannot start: exited 1" in told
    assert "The name space of HDFS is gone, and the DataNodes still have blocks of it (clusterID=" in told
    assert "corral down -v" in told
    assert "running" not in cluster.lab.states().values()
    assert cluster.events("start") == starts
    for path in kept:
        path.with_name("lost").rename(path)
    cluster.up()
    settled(cluster)
    assert cluster.run("hdfs dfs -cat /in/text") == TEXT


def test_what_zookeeper_has_lost_is_made_again(cluster: Cluster) -> None:
    """Its volumes alone are gone: the name space is kept, and who is active is agreed on anew."""
    before = cluster.ids_in(NAME_SPACE)
    cluster.down()
    for number in (1, 2, 3):
        data = cluster.volumes / f"books_zookeeper-{number}/_data"
        shutil.rmtree(data / "version-2")
    cluster.up()
    settled(cluster)
    assert cluster.ids_in(NAME_SPACE) == before
    assert cluster.run("hdfs dfs -cat /in/text") == TEXT
    assert "lab" in cluster.run("zkCli.sh ls /hadoop-ha 2>/dev/null")
    active, standby = sides(cluster.namenodes())
    cluster.die(active)
    eventually(lambda: cluster.state_of_namenode(standby) == "active", 60)
    settled(cluster)


@pytest.mark.parametrize("what", clusters.WHAT)
def test_an_up_that_is_broken_off_goes_on_and_nothing_is_formatted_twice(cluster: Cluster, what: str) -> None:
    moments = (
        "*namenodes/_data/*/name.new",
        "*namenodes/_data/namenode-1*/name",
        "*workers/_data/*/blocks/current",
    )
    assert len(cluster.break_off_at(moments, what, [*NAME_SPACE, "*workers/_data/*/blocks/current/VERSION"])) == 1, (
        "what JournalNodes have before there is a name is of none"
    )
    settled(cluster)
    cluster.run("hdfs dfs -ls /tmp")


def test_a_format_that_was_cut_off_begins_again(cluster: Cluster) -> None:
    cluster.cut_step_off("namenode-pre_start-0", "*_namenodes/_data/*/name*")
    cluster.up()
    settled(cluster)
    cluster.run("hdfs dfs -ls /tmp")


def test_another_one_runs_beside_it_from_the_same_folder(cluster: Cluster) -> None:
    lab = cluster.lab
    try:
        lab.corral("-p", "other", "up", "-d", "--wait", "--scale", "worker=1", timeout=240)
        asked = ("-p", "other", "exec", "-T", "client", "hdfs", "haadmin", "-getAllServiceState")
        lines = lab.corral(*asked, timeout=120).stdout.splitlines()
        assert sorted(line.split(":")[0] for line in lines) == ["namenode-1.other", "namenode-2.other"]
        assert sorted(line.split()[-1] for line in lines) == ["active", "standby"]
        settled(cluster)
    finally:
        lab.corral("-p", "other", "down", "-v")
