"""The HBase lab is what the books say: regions on several servers, and no row lost when one of them dies."""

import re
import subprocess
import time

import pytest

from tests.e2e.lab import eventually
from tests.e2e.labs import cluster as clusters
from tests.e2e.labs import hadoop_cluster

INIT = ("hbase", "--workers", "3", "--memory", "4500m")
DATANODES = {f"datanode-{number}.books" for number in (1, 2, 3)}
SERVERS = {f"regionserver-{number}.books" for number in (1, 2, 3)}
ROWS = 300
BACKUP = "hdfs://namenode:8020/backup"
WRITES = (
    """ROWS.times { |i| put 'books', "#{i % 6}row#{i}", 'about:n', i.to_s; $stdout.puts "wrote #{i}"; $stdout.flush }"""
)


class Cluster(hadoop_cluster.Cluster):
    def master(self) -> dict[str, object]:
        found = self.ask("hmaster", 16010, "/jmx?qry=Hadoop:service=HBase,name=Master,sub=Server")["beans"][0]
        assert isinstance(found, dict)
        return found

    def servers(self, which: str = "live") -> set[str]:
        """By their names in the master's account."""
        return set(re.findall(r"([^,;]+),16020,\d+", str(self.master()[f"tag.{which}RegionServers"])))

    def incarnation(self, server: str) -> str:
        """Of a live RegionServer; "" where the master has lost it."""
        found = re.search(rf"{server},16020,(\d+)", str(self.master()["tag.liveRegionServers"]))
        return found[1] if found else ""

    def page(self) -> str:
        """What the master shows."""
        return self.run("exec 3<>/dev/tcp/hmaster/16010; printf 'GET /master-status HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3")

    def shell(self, script: str) -> str:
        return self.run("hbase shell -n", stdin=f"{script}\nexit\n")


def rows(cluster: Cluster, table: str) -> int:
    found = re.search(r"(\d+) row\(s\)", cluster.shell(f"count '{table}', INTERVAL => 100000"))
    assert found
    return int(found[1])


def test_up_returns_when_the_cluster_is_usable(cluster: Cluster) -> None:
    assert cluster.servers() == SERVERS
    assert cluster.master()["tag.isActiveMaster"] == "true"
    cluster.shell("create 'books', 'about', SPLITS => ['1', '2', '3', '4', '5']")
    told = cluster.shell("put 'books', '1emma', 'about:pages', '474'\nget 'books', '1emma'")
    assert "value=474" in told
    assert "1 row(s)" in told
    assert "/hbase/data/default/books" in cluster.run("hdfs dfs -ls /hbase/data/default")


def test_the_master_shows_names(cluster: Cluster) -> None:
    assert set(re.findall(r"([\w.-]+),16020,\d+", cluster.page())) == SERVERS


def test_every_node_shows_its_pages(cluster: Cluster) -> None:
    assert cluster.pages() == {"NameNode": 1, "DataNode": 3, "HBase master": 1, "RegionServer": 3}


def test_commands_end_as_the_originals_do(cluster: Cluster) -> None:
    for script, code in {
        "hbase": 1,
        "hbase version": 0,
        "hbase classpath": 0,
        "echo frobnicate | hbase shell -n": 1,
        "zkCli.sh ls /hbase": 0,
        "hdfs dfs -ls /": 0,
        "hbase snapshot": 1,
        "hbase hbck -j /nothing.jar": 1,
        "hbase pre-upgrade": 1,
    }.items():
        cluster.run(script, code=code)


def test_every_word_of_the_usage_has_its_class(cluster: Cluster) -> None:
    """One that is in no jar would be noticed by whoever says the word."""
    script = (cluster.lab.folder / "bin/hbase").read_text()
    words = re.findall(r"(?m)^  ([a-z-]+)  ", script.partition("Commands:")[2].partition("TEXT")[0])
    assert {"shell", "snapshot", "rowcounter", "cellcounter", "hbck"} <= set(words)
    asked = [word for word in words if word not in ("classpath", "snapshot")]
    asked += ["snapshot create", "snapshot info", "snapshot export"]
    function = script[script.index("class_of() {") :].partition("\n}\n")[0] + "\n}\n"
    told = subprocess.run(
        ["bash", "-euc", function + "".join(f"class_of {each}; echo $class\n" for each in asked)],
        capture_output=True,
        text=True,
        check=True,
    )
    classes = cluster.classes("hbase-2.6.4-hadoop3", "hbase-mapreduce-2.6.4")
    found = dict(zip(asked, told.stdout.split(), strict=True))
    assert {word: name for word, name in found.items() if name not in classes} == {}


def test_tools_are_on_every_node(cluster: Cluster) -> None:
    for node in cluster.services():
        told = cluster.run("hbase version 2>&1; hdfs version", node=node)
        assert ("HBase 2.6.4" in told, "Hadoop 3.4.2" in told) == (True, True), node


def test_rows_and_cells_are_counted_by_a_job(cluster: Cluster) -> None:
    assert "ROWS=1\n" in cluster.run("hbase rowcounter books 2>&1")
    cluster.run("hbase cellcounter books /cells")
    assert re.search(r"Total ROWS\s+1\n", cluster.run("hdfs dfs -cat '/cells/part-r-*'"))


def test_a_snapshot_is_made_told_of_and_taken_elsewhere(cluster: Cluster) -> None:
    cluster.run("hbase snapshot create -t books -n early")
    assert re.search(r"early +\| .*\| books", cluster.run("hbase snapshot info -list-snapshots"))
    told = cluster.run(f"hbase snapshot export -snapshot early -copy-to {BACKUP} 2>&1")
    assert "Export Completed: early" in told
    assert "Name: early" in cluster.run(f"hbase snapshot info -remote-dir {BACKUP} -snapshot early")


@pytest.mark.parametrize("how", clusters.HOW)
def test_no_row_is_lost_with_a_regionserver(cluster: Cluster, how: str) -> None:
    before, lost = rows(cluster, "books"), cluster.incarnation("regionserver-2.books")
    writes = WRITES.replace("ROWS", str(ROWS)).replace("row", f"-{how}-")
    with cluster.begin(f"hbase shell -n <<'TEXT'\n{writes}\nexit\nTEXT") as writer:
        assert writer.stdout
        for line in writer.stdout:
            if "wrote 50" in line:
                break
        with cluster.struck("regionserver-2", how, "HRegionServer"):
            struck_at = time.monotonic()
            eventually(lambda: cluster.incarnation("regionserver-2.books") != lost, 60)
            told = writer.stdout.read()
            assert writer.wait() == 0, told
            cluster.took(f"the end of {ROWS} puts after the loss of a RegionServer, {how}", struck_at)
    assert rows(cluster, "books") == before + ROWS
    eventually(lambda: cluster.servers() == SERVERS, 90)
    eventually(lambda: cluster.health("regionserver-2") == "healthy", 60)
    assert set(re.findall(r"([\w.-]+),16020,\d+", cluster.page())) == SERVERS


def test_no_row_is_lost_with_a_regionserver_that_leaves(cluster: Cluster) -> None:
    """It closes its regions, and what it had in memory is written down: so they are opened elsewhere as they were."""
    before = rows(cluster, "books")
    writes = WRITES.replace("ROWS", str(ROWS)).replace("row", "-left-")
    with cluster.begin(f"hbase shell -n <<'TEXT'\n{writes}\nexit\nTEXT") as writer:
        assert writer.stdout
        for line in writer.stdout:
            if "wrote 50" in line:
                break
        cluster.up("--scale", "regionserver=2")
        told = writer.stdout.read()
        assert writer.wait() == 0, told
    assert rows(cluster, "books") == before + ROWS
    eventually(lambda: cluster.servers() == SERVERS - {"regionserver-3.books"}, 30)
    died = [
        each["attributes"] for each in cluster.events("die") if each["attributes"]["name"].endswith("regionserver-3")
    ]
    assert died[-1]["exitCode"] in ("0", "143")
    cluster.up("--scale", "regionserver=3")
    eventually(lambda: cluster.servers() == SERVERS, 60)


def test_datanodes_leave_in_order(cluster: Cluster) -> None:
    """What only one of them has is copied before it is stopped, and nobody had to ask for it; there is no YARN to be told."""
    before = rows(cluster, "books")
    cluster.run("hdfs dfs -D dfs.replication=1 -put - /alone", node="datanode-3", stdin="only here")
    told = cluster.lab.corral("up", "-d", "--wait", "--scale", "datanode=2", timeout=300).stderr
    assert "container:datanode-3  leaving: has left" in told
    assert cluster.lab.states().get("datanode-3") is None
    assert cluster.run("hdfs dfs -cat /alone") == "only here"
    assert rows(cluster, "books") == before
    eventually(lambda: re.search(r"Under-replicated blocks:\t0.*HEALTHY", cluster.run("hdfs fsck /"), re.DOTALL), 60)
    assert "474" in cluster.shell("put 'books', '2emma', 'about:pages', '474'\nget 'books', '2emma'")
    cluster.up("--scale", "datanode=3")
    eventually(lambda: cluster.admin_states() == dict.fromkeys(DATANODES, "In Service"), 60)
    assert (cluster.lab.folder / "conf/hadoop/leaving").read_text() == ""


def test_down_and_up_find_everything_again(cluster: Cluster) -> None:
    cluster.down()
    cluster.up()
    assert cluster.servers() == SERVERS
    assert rows(cluster, "books") == (len(clusters.HOW) + 1) * ROWS + 2


def test_another_one_runs_beside_it_from_the_same_folder(cluster: Cluster) -> None:
    lab = cluster.lab
    try:
        lab.corral("-p", "other", "up", "-d", "--wait", "--scale", "regionserver=2", timeout=240)
        listed = lab.corral(
            "-p", "other", "exec", "-T", "client", "bash", "-c", "echo list | hbase shell -n", timeout=120
        )
        assert "0 row(s)" in listed.stdout
        assert cluster.servers() == SERVERS
    finally:
        lab.corral("-p", "other", "down", "-v")


@pytest.mark.parametrize("what", clusters.WHAT)
def test_an_up_that_is_broken_off_goes_on_and_nothing_is_formatted_twice(cluster: Cluster, what: str) -> None:
    """Also while the master makes HBase's own first files, which are HDFS's first blocks."""
    moments = ("*namenode/_data/name*", "*namenode/_data/name", "*datanodes/_data/**/blk_*")
    assert len(cluster.break_off_at(moments, what, ["*/_data/**/current/VERSION"])) == 1
    eventually(lambda: cluster.servers() == SERVERS, 60)
    cluster.shell("create 'books', 'about'")
    assert "value=474" in cluster.shell("put 'books', 'emma', 'about:pages', '474'\nget 'books', 'emma'")
