"""What the lab is for: the active NameNode dies under a write, the active ResourceManager under a job; both end well."""

import json
import os
import time

import cluster
from proof import Failed, eventually, prove, show, step


def prove_all() -> None:
    namenode()
    resourcemanager()


def active(command: str) -> str:
    """The node that is, as `hdfs haadmin` and `yarn rmadmin` say."""
    told = cluster.inside("client", f"{command} -getAllServiceState 2>/dev/null")
    show(told)
    for line in told.splitlines():
        if line.split()[-1] == "active":
            return line.partition(".")[0]
    raise Failed(f"{command}: nobody is active")


def namenode() -> None:
    step("A file is written, slowly; the node of the active NameNode is killed")
    victim = active("hdfs haadmin")
    slowly = "for i in $(seq 60); do head -c 100000 /dev/zero; sleep 0.1; done | hdfs dfs -put - /slow"
    with cluster.begin("client", slowly) as writer:
        eventually(
            lambda: cluster.inside("client", "hdfs dfs -ls /slow._COPYING_ 2>/dev/null || true"), "the write has begun"
        )
        os.kill(cluster.nodes()[victim]["Pid"], 9)
        killed = time.monotonic()
        code = writer.wait()
    prove(code == 0, f"{victim} was killed; the write ended well {time.monotonic() - killed:.1f} s later")
    prove(cluster.inside("client", "hdfs dfs -stat %b /slow").strip() == "6000000", "and every byte is there")
    prove(active("hdfs haadmin") != victim, "the other NameNode is active")
    eventually(lambda: cluster.nodes()[victim]["Health"] == "healthy", f"{victim} stands by", 60)


def resourcemanager() -> None:
    step("A job runs; the node of the active ResourceManager is killed")
    victim = active("yarn rmadmin")
    with cluster.begin("client", "yarn jar $EXAMPLES pi 6 100000 2>&1") as job:
        eventually(lambda: running(victim) >= 2, "its tasks run", 60)
        os.kill(cluster.nodes()[victim]["Pid"], 9)
        told = b"".join(job.stdout or ()).decode()
    show("\n".join(told.splitlines()[-3:]))
    prove(job.returncode == 0, f"{victim} was killed; the job ended well")
    prove(active("yarn rmadmin") != victim, "the other ResourceManager is active")
    eventually(lambda: cluster.nodes()[victim]["Health"] == "healthy", f"{victim} stands by", 60)


def running(resourcemanager: str) -> int:
    """Containers of YARN's, as a ResourceManager says."""
    script = f". /opt/lab/bin/http.sh; http GET {resourcemanager} 8088 /ws/v1/cluster/metrics | tail -n 1"
    told = cluster.inside("client", f'bash -c "{script}"')
    return int(json.loads(told)["clusterMetrics"]["containersAllocated"])
