"""The smallest Hadoop lab: 512 MB for the three daemons that there is one of, 768 MB for each of three workers."""

import collections
import json
import pathlib

from tests.e2e.labs.hadoop_cluster import Cluster

INIT = ("hadoop", "--memory", "3424m")
TEXT = "".join(path.read_text() for path in sorted(pathlib.Path("/usr/share/common-licenses").glob("*GPL-*")))


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
