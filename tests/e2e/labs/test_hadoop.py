"""The Hadoop lab is what the books say: real HDFS, YARN, MapReduce and Spark, whose nodes come, go and die."""

import collections
import pathlib
import re
from subprocess import PIPE
from typing import Any

from tests.e2e.lab import eventually
from tests.e2e.labs import hadoop_cluster
from tests.e2e.labs.hadoop_cluster import Cluster

INIT = ("hadoop", "--workers", "3", "--memory", "6g")
TEXT = "".join(path.read_text() for path in sorted(pathlib.Path("/usr/share/common-licenses").glob("*GPL-*")))
THREE = {f"worker-{number}.books" for number in (1, 2, 3)}
FIVE = THREE | {"worker-4.books", "worker-5.books"}


def counted(lines: str) -> dict[str, int]:
    return {word: int(count) for word, count in (line.rsplit("\t", 1) for line in lines.splitlines())}


def is_whole(fsck: str) -> bool:
    return "is HEALTHY" in fsck and "Under-replicated blocks:\t0" in fsck


def homes(cluster: Cluster, path: str) -> set[str]:
    """The addresses of all DataNodes that have a block of the file."""
    told = cluster.run(f"hdfs fsck {path} -files -blocks -locations")
    return set(re.findall(r"WithStorage\[([\d.]+):", told))


def id_of(cluster: Cluster, node: str) -> str:
    """What a DataNode's folder of the volume says that it is."""
    folder = cluster.lab.owner.root / f"volumes/books_workers/_data/{node}.books/blocks"
    return next(
        line for line in (folder / "current/VERSION").read_text().splitlines() if line.startswith("datanodeUuid=")
    )


def test_up_returns_when_the_cluster_is_usable(cluster: Cluster) -> None:
    assert cluster.live_datanodes() == THREE
    assert cluster.running_nodemanagers() == THREE
    assert cluster.beans("namenode", 9870, "NameNodeInfo")["Safemode"] == ""
    cluster.run("hdfs dfs -mkdir /in && hdfs dfs -put - /in/text", stdin=TEXT)
    assert cluster.run("hdfs dfs -cat /in/text") == TEXT


def test_names_agree_both_ways_and_hadoop_insists_on_it(cluster: Cluster) -> None:
    strict = "dfs.namenode.datanode.registration.ip-hostname-check"
    assert cluster.run(f"hdfs getconf -confKey {strict}") == "true\n"
    nodes = {
        node: cluster.address(node) for node in ("namenode", "resourcemanager", "worker-1", "worker-2", "worker-3")
    }
    for asker in nodes:
        assert cluster.run("hostname -f", node=asker) == f"{asker}.books\n"
        for node, address in nodes.items():
            there, back = cluster.run(
                f"getent ahostsv4 {node}.books | head -n 1; getent hosts {address}", node=asker
            ).splitlines()
            assert (there.split()[0], back.split()[:2]) == (address, [address, f"{node}.books"])


def test_every_jvm_knows_what_its_node_may_take(cluster: Cluster) -> None:
    limits = {
        name: int(mib) << 20
        for name, mib in re.findall(r"(\w+)_MEMORY=(\d+)m", (cluster.lab.folder / ".env").read_text())
    }
    for node, port in (("namenode", 9870), ("resourcemanager", 8088), ("historyserver", 19888)):
        heap = cluster.ask(node, port, "/jmx?qry=java.lang:type=Memory")["beans"][0]["HeapMemoryUsage"]["max"]
        assert 0.3 < heap / limits[node.upper()] < 0.45
    nodes = cluster.ask("resourcemanager", 8088, "/ws/v1/cluster/nodes")["nodes"]["node"]
    assert {node["availMemoryMB"] + node["usedMemoryMB"] for node in nodes} == {(limits["WORKER"] >> 20) - 320}


def test_daemons_share_one_archive_of_classes(cluster: Cluster) -> None:
    """It is never needed: so nothing else would say that it is not used."""
    for node in ("namenode", "resourcemanager", "historyserver", "worker-1"):
        javas = cluster.run(
            'for p in $(pgrep -x java); do grep -c "classes.jsa" /proc/$p/maps; done', node=node
        ).split()
        assert javas
        assert all(map(int, javas))


def test_mapreduce_counts_words(cluster: Cluster) -> None:
    cluster.run("yarn jar $EXAMPLES wordcount /in /out")
    assert counted(cluster.run("hdfs dfs -cat /out/part-r-*")) == collections.Counter(TEXT.split())
    assert "Estimated value of Pi is 3.1" in cluster.run("yarn jar $EXAMPLES pi 3 1000")
    eventually(lambda: list(cluster.finished_jobs().values()) == ["SUCCEEDED"] * 2)


def test_a_book_of_the_users_goes_in_and_its_counts_come_out_as_one_types_it(cluster: Cluster) -> None:
    files = cluster.lab.folder / "files"
    cluster.lab.corral("exec", "client", "hdfs", "dfs", "-put", "book.txt", "/in")
    assert cluster.run("hdfs dfs -cat /in/book.txt") == (files / "book.txt").read_text()
    cluster.lab.corral("exec", "client", "hdfs", "dfs", "-get", "/out/part-r-00000", "counts")
    assert counted((files / "counts").read_text()) == collections.Counter(TEXT.split())


def test_what_a_task_wrote_is_kept_and_shown(cluster: Cluster) -> None:
    job = sorted(cluster.finished_jobs())[0]
    application = job.replace("job", "application")
    told = eventually(lambda: cluster.run(f"yarn logs -applicationId {application}", code=None), 60)
    assert "LogType:syslog" in told
    assert "MRAppMaster" in told
    assert set(re.findall(r"Container: \S+ on (worker-\d\.books)", told)) <= THREE


def test_spark_runs_on_yarn(cluster: Cluster) -> None:
    told = cluster.run(
        "spark-submit /jobs/wordcount.py hdfs:///in/text hdfs:///spark-counts 2>/root/log || { cat /root/log; exit 1; }"
    )
    assert re.findall(r"(worker-\d)\S* read \d+ words", told), told
    counts = (line.split(" ") for line in cluster.run("hdfs dfs -cat /spark-counts/part-*").splitlines())
    words = collections.Counter(word.lower() for word in re.findall("[A-Za-z]+", TEXT))
    assert {word: int(count) for count, word in counts} == words
    cluster.run(
        "spark-submit --deploy-mode cluster /jobs/wordcount.py hdfs:///in/text hdfs:///counts-of-cluster 2>/root/log"
    )
    assert "final status: SUCCEEDED" in cluster.run("cat /root/log")


def test_what_spark_did_is_kept_and_shown(cluster: Cluster) -> None:
    def known() -> list[dict[str, Any]]:
        """Applications, by Spark's own history server."""
        found = cluster.ask("sparkhistory", 18080, "/api/v1/applications?status=completed")
        assert isinstance(found, list)
        return found

    eventually(lambda: [each["name"] for each in known()] == ["word count"] * 2, 30)
    jobs = cluster.ask("sparkhistory", 18080, f"/api/v1/applications/{known()[1]['id']}/jobs")
    assert {job["status"] for job in jobs} == {"SUCCEEDED"}


def test_commands_end_as_the_originals_do(cluster: Cluster) -> None:
    for script, code in {
        "hdfs dfs -test -e /in/text": 0,
        "hdfs dfs -test -e /nothing": 1,
        "hdfs dfs -cat /nothing": 1,
        "hdfs dfs -frobnicate": 255,
        "hdfs frobnicate": 1,
        "hdfs": 1,
        "hdfs --help": 0,
        "hdfs fsck /": 0,
        "hdfs dfsadmin -report": 0,
        "yarn application -list": 0,
        "yarn node -list -all": 0,
        "mapred job -list all": 0,
        "hadoop version": 0,
        "hadoop classpath": 0,
        "spark-submit --version": 0,
    }.items():
        cluster.run(script, code=code)


def test_every_node_has_every_tool_and_means_this_cluster(cluster: Cluster) -> None:
    assert hadoop_cluster.told_by_tools(cluster) == dict.fromkeys(cluster.services(), hadoop_cluster.TOLD_BY_TOOLS)


def test_a_daemon_that_dies_comes_back_alone(cluster: Cluster) -> None:
    def pid_of(daemon: str) -> str:
        return cluster.run(f"cat /run/hadoop/{daemon}.pid || true", node="worker-2").strip()

    datanode, nodemanager = pid_of("datanode"), pid_of("nodemanager")
    cluster.run(f"kill -9 {nodemanager}", node="worker-2")
    eventually(lambda: pid_of("nodemanager") not in ("", nodemanager))
    eventually(lambda: cluster.answers("worker-2", 8042, "/ws/v1/node/info"), 60)
    eventually(lambda: cluster.running_nodemanagers() == THREE, 60)
    assert pid_of("datanode") == datanode


def test_a_daemon_that_hangs_goes_on_living_and_its_node_is_unhealthy(cluster: Cluster) -> None:
    """Only who counts them tells: NameNode and ResourceManager."""
    hang = {"worker-1": "datanode", "worker-2": "nodemanager"}
    pids = {node: cluster.run(f"cat /run/hadoop/{daemon}.pid", node=node).strip() for node, daemon in hang.items()}
    for node, pid in pids.items():
        cluster.run(f"kill -STOP {pid}", node=node)
    eventually(lambda: all(cluster.health(node) == "unhealthy" for node in hang), 90)
    assert cluster.health("worker-3") == "healthy"
    for node, pid in pids.items():
        assert cluster.run(f"cut -d' ' -f2,3 /proc/{pid}/stat", node=node) == "(java) T\n"
        cluster.run(f"kill -CONT {pid}", node=node)
    eventually(lambda: all(cluster.health(node) == "healthy" for node in hang), 90)
    assert cluster.live_datanodes() == cluster.running_nodemanagers() == THREE
    for node, daemon in hang.items():
        assert cluster.run(f"cat /run/hadoop/{daemon}.pid", node=node).strip() == pids[node]


def test_the_blocks_of_a_killed_datanode_are_copied(cluster: Cluster) -> None:
    """One that writes has the first copy of its block itself. What is killed here stays away."""
    cluster.run("hdfs dfs -put - /in/pair", node="worker-3", stdin=TEXT)
    killed, others = cluster.address("worker-3"), {cluster.address("worker-1"), cluster.address("worker-2")}
    before = homes(cluster, "/in/pair")
    assert killed in before
    assert len(before & others) == 1
    cluster.run("touch /run/hadoop/datanode.stopped", node="worker-3")
    cluster.kill_java("worker-3", "datanode.DataNode")
    eventually(lambda: cluster.live_datanodes() == THREE - {"worker-3.books"}, 60)
    eventually(lambda: cluster.health("worker-3") == "unhealthy", 90)
    eventually(lambda: homes(cluster, "/in/pair") == others, 60)
    eventually(lambda: is_whole(cluster.run("hdfs fsck /")), 60)
    assert cluster.run("hdfs dfs -cat /in/pair") == TEXT
    cluster.run("hdfs --daemon start datanode", node="worker-3")
    eventually(lambda: cluster.live_datanodes() == THREE, 60)
    eventually(lambda: cluster.lab.ps()["worker-3"]["Health"] == "healthy", 60)


def test_nodes_join_a_running_cluster_and_leave_it_in_order(cluster: Cluster) -> None:
    """A block whose only copy is on a node that leaves is copied before the node is stopped, and nobody had to ask for it."""
    cluster.up("--scale", "worker=5")
    assert cluster.live_datanodes() == cluster.running_nodemanagers() == FIVE
    cluster.run("hdfs dfs -D dfs.replication=1 -put - /in/alone", node="worker-5", stdin=TEXT)
    leaving = {cluster.address("worker-4"), cluster.address("worker-5")}
    assert homes(cluster, "/in/alone") == {cluster.address("worker-5")}
    known_as = id_of(cluster, "worker-5")
    with cluster.lab.popen("up", "-d", "--wait", "--scale", "worker=3", stdout=PIPE, stderr=PIPE) as up:
        eventually(lambda: cluster.admin_states().get("worker-5.books") == "Decommissioned", 120)
        told = up.communicate(timeout=200)[1]
    assert up.returncode == 0, told
    assert "container:worker-4  leaving: has left" in told
    assert "container:worker-5  leaving: has left" in told
    assert cluster.running_nodemanagers() == THREE
    assert cluster.run("hdfs dfs -cat /in/alone") == cluster.run("hdfs dfs -cat /in/text") == TEXT
    assert is_whole(cluster.run("hdfs fsck /"))
    assert len(homes(cluster, "/in/alone") - leaving) == 1

    cluster.up("--scale", "worker=5")
    assert cluster.running_nodemanagers() == FIVE
    assert cluster.admin_states() == dict.fromkeys(FIVE, "In Service")
    assert id_of(cluster, "worker-5") == known_as, "it has found its volume"
    assert (cluster.lab.folder / "conf/hadoop/leaving").read_text() == ""


def test_who_was_to_leave_and_is_kept_after_all_works_on(cluster: Cluster) -> None:
    """With one DataNode files would have no second home: so nobody can leave, until the scale is taken back."""
    with cluster.lab.popen("up", "-d", "--scale", "worker=1", stdout=PIPE, stderr=PIPE) as up:
        eventually(lambda: "Decommission In Progress" in cluster.admin_states().values(), 60)
        cluster.up("--scale", "worker=3")
        up.communicate(timeout=60)
    eventually(lambda: cluster.running_nodemanagers() == THREE, 60)
    eventually(lambda: [cluster.admin_states()[node] for node in THREE] == ["In Service"] * 3, 30)
    assert "In Service" not in [cluster.admin_states().get(node, "") for node in FIVE - THREE]
    eventually(lambda: cluster.live_datanodes() == THREE, 60)


def test_down_and_up_find_everything_again(cluster: Cluster) -> None:
    jobs, name_space = cluster.finished_jobs(), cluster.beans("namenode", 9870, "NameNodeInfo")["ClusterId"]
    cluster.lab.corral("down")
    cluster.up()
    assert cluster.run("hdfs dfs -cat /in/text") == TEXT
    assert cluster.beans("namenode", 9870, "NameNodeInfo")["ClusterId"] == name_space
    eventually(lambda: cluster.finished_jobs() == jobs)


def test_a_lost_name_space_is_said_before_anything_starts(cluster: Cluster) -> None:
    cluster.lab.corral("down")
    kept = cluster.lab.owner.root / "volumes/books_namenode/_data/name"
    kept.rename(kept.with_name("elsewhere"))
    starts = cluster.events("start")
    refused = cluster.lab.corral("up", "-d", "--wait", code=1, timeout=60)
    assert "container:namenode/pre_start-0 exited 1" in refused.stderr
    assert "The name space of HDFS is gone, and the DataNodes still have blocks of it (clusterID=" in refused.stderr
    assert "corral down -v" in refused.stderr
    assert "running" not in cluster.lab.states().values()
    assert cluster.events("start") == starts
    kept.with_name("elsewhere").rename(kept)
    cluster.up()
    assert cluster.run("hdfs dfs -cat /in/text") == TEXT


def test_a_format_that_was_cut_off_begins_again(cluster: Cluster) -> None:
    """Half a name space is none: what is there is whole."""
    cluster.cut_step_off("namenode-pre_start-0", "*_namenode/_data")
    cluster.up()
    cluster.run("hdfs dfs -ls /tmp")
