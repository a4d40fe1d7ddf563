"""The Hadoop lab while something of it dies: what runs comes to its end, and who comes back is who it was."""

import contextlib
import pathlib
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.e2e import dns
from tests.e2e.lab import eventually
from tests.e2e.labs import cluster as clusters
from tests.e2e.labs.hadoop_cluster import Cluster

INIT = ("hadoop", "--workers", "3", "--memory", "6g")
TEXT = (pathlib.Path("/usr/share/common-licenses") / "GPL-3").read_text()
THREE = {f"worker-{number}.books" for number in (1, 2, 3)}
A_MINUTE_S = 60


def tasks(cluster: Cluster) -> dict[str, int]:
    """How many containers of YARN each node runs."""
    nodes = cluster.ask("resourcemanager", 8088, "/ws/v1/cluster/nodes")["nodes"]["node"]
    return {node["nodeHostName"].partition(".")[0]: node["numContainers"] for node in nodes}


@contextlib.contextmanager
def a_job(cluster: Cluster) -> Iterator["subprocess.Popen[str]"]:
    """It is in the middle of its run: every node has some of it."""
    with cluster.begin("yarn jar $EXAMPLES pi 8 100000") as job:
        eventually(lambda: len(tasks(cluster)) == 3 and all(tasks(cluster).values()), 90)
        assert job.poll() is None
        yield job


def ends_well(job: "subprocess.Popen[str]") -> None:
    assert job.stdout
    told = job.stdout.read()
    assert job.wait() == 0, told
    assert "Estimated value of Pi is 3.1" in told


def master_of(cluster: Cluster) -> str:
    """The node on which the one running application has its master."""
    found = cluster.ask("resourcemanager", 8088, "/ws/v1/cluster/apps?states=RUNNING")["apps"]["app"]
    assert len(found) == 1
    return str(found[0]["amHostHttpAddress"].partition(".")[0])


@pytest.mark.parametrize("which", ["of tasks", "of the application master"])
def test_a_job_ends_within_a_minute_of_the_death_of_a_nodemanager(cluster: Cluster, which: str) -> None:
    """Its tasks die with it, and it stays away."""
    with a_job(cluster) as job:
        master = master_of(cluster)
        others = sorted(node for node in tasks(cluster) if node != master)
        victim = master if which == "of the application master" else others[0]
        cluster.run("touch /run/hadoop/nodemanager.stopped", node=victim)
        cluster.run("pkill -9 -f 'java.*(NodeManager|YarnChild|MRAppMaster)'", node=victim)
        died = time.monotonic()
        ends_well(job)
        cluster.took(f"the end of a job after the death of a NodeManager {which}", died)
    assert time.monotonic() - died < A_MINUTE_S
    cluster.run("yarn --daemon start nodemanager", node=victim)
    eventually(lambda: cluster.running_nodemanagers() == THREE, 60)


def test_a_worker_without_its_sandbox_comes_back_as_who_it_was(cluster: Cluster) -> None:
    """Its network, its names and all of its processes are gone in the middle of a job, which ends well."""
    cluster.run("hdfs dfs -mkdir -p /in && hdfs dfs -D dfs.replication=3 -put - /in/text", stdin=TEXT)
    address = cluster.address("worker-2")
    with a_job(cluster) as job:
        lost = time.monotonic()
        cluster.lose_sandbox("worker-2")
        eventually(lambda: cluster.lab.ps()["worker-2"]["State"] == "running", 60)
        assert cluster.address("worker-2") == address
        assert cluster.run("hostname -f", node="worker-2") == "worker-2.books\n"
        ends_well(job)
        cluster.took("the end of a job after the loss of a sandbox", lost)
    eventually(lambda: cluster.lab.ps()["worker-2"]["Health"] == "healthy", 60)
    its_own = cluster.ask("worker-2", 9864, "/jmx?qry=Hadoop:service=DataNode,name=DataNodeInfo")["beans"][0]
    assert '"ActorState":"RUNNING"' in its_own["BPServiceActorInfo"], (
        "the one before it is still counted, and is not meant"
    )
    assert cluster.answers("worker-2", 8042, "/ws/v1/node/info")
    assert cluster.live_datanodes() == cluster.running_nodemanagers() == THREE
    told = eventually(
        lambda: ("Under-replicated blocks:\t0" in (said := fsck(cluster)) and f"[{address}:" in said) and said, 60
    )
    assert "is HEALTHY" in told
    assert cluster.run("hdfs dfs -cat /in/text") == TEXT


def fsck(cluster: Cluster) -> str:
    return cluster.run("hdfs fsck /in -files -blocks -locations | sed 's/DatanodeInfoWithStorage//g'")


def test_names_agree_by_dns_too(cluster: Cluster) -> None:
    """Asked by nodes and by this machine, of our own dns; hosts files have no part in it."""
    server = cluster.run("sed -n 's/^nameserver //p' /etc/resolv.conf | head -n 1").strip()
    for place in (cluster.lab.place("client"), cluster.lab.machine):
        for node in ("namenode", "resourcemanager", "worker-1", "worker-2", "worker-3"):
            address = cluster.address(node)
            assert dns.ask(place, f"{node}.books", server=server).records == (address,)
            backwards = ".".join([*reversed(address.split(".")), "in-addr", "arpa"])
            assert dns.ask(place, backwards, dns.PTR, server=server).records == (f"{node}.books",)


@pytest.mark.parametrize("what", clusters.WHAT)
def test_an_up_that_is_broken_off_goes_on_and_nothing_is_formatted_twice(cluster: Cluster, what: str) -> None:
    moments = ("*namenode/_data/name*", "*namenode/_data/name", "*workers/_data/*/blocks/current")
    assert len(cluster.break_off_at(moments, what, ["*/_data/**/current/VERSION"])) == 1
    assert cluster.live_datanodes() == cluster.running_nodemanagers() == THREE
    cluster.run("hdfs dfs -ls /spark-logs")
