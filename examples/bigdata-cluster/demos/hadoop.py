"""What the Hadoop lab is for: files in HDFS, MapReduce and Spark on YARN, also after a node has died."""

from pathlib import Path

import cluster
from proof import eventually, prove, show, step


def prove_all() -> None:
    files()
    jobs("yarn jar $EXAMPLES pi 3 1000")
    words()
    pages()
    come_and_go()
    heal()


def files() -> None:
    step("hdfs dfs -put, and which block is on which nodes")
    text = b"".join(path.read_bytes() for path in sorted(Path("/usr/share/common-licenses").glob("*GPL*"))) * 20
    cluster.inside("client", "hdfs dfs -mkdir -p /in && hdfs dfs -put - /in/text", stdin=text)
    prove(
        cluster.inside("client", "hdfs dfs -cat /in/text | wc -c").strip() == str(len(text)),
        f"{len(text)} bytes, read back",
    )
    show(cluster.inside("client", "hdfs fsck /in/text -files -blocks -locations | grep -E '^[0-9]+\\. |Status'"))


def jobs(command: str) -> None:
    step(command)
    told = cluster.inside("client", f"{command} 2>/root/log || {{ tail -n 30 /root/log; exit 1; }}")
    show(told)
    prove("Estimated value of Pi is 3.1" in told, "this is pi, roughly")


def words() -> None:
    step("wordcount by MapReduce, then by Spark on YARN")
    cluster.inside(
        "client", "yarn jar $EXAMPLES wordcount /in /out >/root/log 2>&1 || { tail -n 30 /root/log; exit 1; }"
    )
    counted = cluster.inside("client", "hdfs dfs -cat /out/part-r-* | awk '{ sum += $2 } END { print sum }'").strip()
    expected = cluster.inside("client", "hdfs dfs -cat /in/text | wc -w").strip()
    prove(counted == expected, f"MapReduce has counted {counted} words, as wc has")
    command = "spark-submit /jobs/wordcount.py hdfs:///in/text hdfs:///counts"
    told = cluster.inside("client", f"{command} 2>/root/log || {{ tail -n 30 /root/log; exit 1; }}")
    show(told)
    prove(" words" in told, "Spark has counted them too, on the workers")


def pages() -> None:
    step("corral urls: what a browser on this machine can open")
    show(cluster.corral("urls"))
    listed = cluster.corral("urls", "-q").split()
    opened = [address for address in listed if "<title>" in cluster.fetched(address)]
    prove(opened == listed, f"all {len(listed)} pages open")


def come_and_go() -> None:
    step("corral up -d --wait --scale worker=4, and back to 3: who goes leaves first")
    cluster.corral("up", "-d", "--wait", "--scale", "worker=4")
    cluster.inside("worker-4", "hdfs dfs -D dfs.replication=1 -cp /in/text /in/alone")
    homes = "hdfs fsck /in/alone -files -blocks -locations | grep -o 'Storage\\[[^:]*' | sort | uniq -c"
    show(cluster.inside("client", homes))
    prove(True, "worker-4 has joined, and a file is on it alone")
    cluster.corral_aloud("up", "-d", "--wait", "--scale", "worker=3")
    show(cluster.inside("client", homes))
    same = cluster.inside("client", "hdfs dfs -cat /in/alone | cksum; hdfs dfs -cat /in/text | cksum").splitlines()
    prove(same[0] == same[1], "worker-4 has left, and the file is whole")


def heal() -> None:
    step("a DataNode is gone: its blocks are copied")
    cluster.inside("worker-3", "hdfs --daemon stop datanode")
    eventually(
        lambda: cluster.inside("client", "hdfs dfsadmin -report | grep '^Live datanodes (2)' || true"),
        "two DataNodes are left",
        60,
    )
    eventually(
        lambda: cluster.inside("client", "hdfs fsck / | grep -P 'Under-replicated blocks:\\t0' || true"),
        "all blocks are there twice",
        60,
    )
    prove("is HEALTHY" in cluster.inside("client", "hdfs fsck /"), "HDFS is healthy without it")
    cluster.inside("worker-3", "hdfs --daemon start datanode")
    eventually(
        lambda: cluster.inside("client", "hdfs dfsadmin -report | grep '^Live datanodes (3)' || true"), "it is back", 60
    )
    prove(True, "and it is back")
