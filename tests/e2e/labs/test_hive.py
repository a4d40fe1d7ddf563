"""The Hive lab is what the books say: what one client makes, another finds through the metastore."""

import re

import pytest

from tests.e2e.lab import eventually
from tests.e2e.labs.cluster import WHAT, Cluster

INIT = ("hive", "--memory", "4g")
BEELINE = "beeline --silent=true --outputformat=csv2 --showHeader=false -u jdbc:hive2://thriftserver:10000 -n root -e"

PARTLY = (80, 120)
"""Files of a database to which Hive has made some of its tables: an empty one of Derby 10.16 has 73, one with all 163."""


def spark_sql(cluster: Cluster, text: str) -> list[str]:
    told = cluster.run(f'spark-sql -S -e "{text}" 2>/root/log || {{ tail -n 30 /root/log; exit 1; }}')
    return told.splitlines()


def beeline(cluster: Cluster, text: str) -> list[str]:
    told = cluster.run(f'{BEELINE} "{text}" 2>/root/log || {{ tail -n 30 /root/log; exit 1; }}')
    return without_prompts(told).split()


def without_prompts(told: str) -> str:
    """Of beeline, which writes them also where nobody types."""
    return re.sub(r"\S+: jdbc:\S*> ", "", told)


def test_a_table_made_by_spark_sql_is_read_by_another_client(cluster: Cluster) -> None:
    spark_sql(
        cluster,
        "CREATE DATABASE class; CREATE TABLE class.books (title STRING, pages INT) USING parquet;"
        " INSERT INTO class.books VALUES ('Emma', 474), ('Dune', 412), ('Ulysses', 730)",
    )
    assert beeline(cluster, "SELECT title FROM class.books WHERE pages > 450 ORDER BY title") == ["Emma", "Ulysses"]
    assert "part-" in cluster.run("hdfs dfs -ls -R /user/hive/warehouse/class.db/books")


def test_the_metastore_shares_the_archive_of_classes(cluster: Cluster) -> None:
    assert int(cluster.run("cat /proc/$(pgrep -x java)/maps | grep -c classes.jsa", node="metastore"))


def test_every_node_shows_its_pages(cluster: Cluster) -> None:
    assert cluster.pages() == {"NameNode": 1, "DataNode": 2, "Thrift server": 1}


def test_a_datanode_leaves_in_order(cluster: Cluster) -> None:
    """What only it has is copied before it is stopped."""
    cluster.up("--scale", "datanode=3")
    cluster.run("hdfs dfs -D dfs.replication=1 -put - /alone", node="datanode-3", stdin="only here")
    told = cluster.lab.corral("up", "-d", "--wait", "--scale", "datanode=2", timeout=300).stderr
    assert "container:datanode-3  leaving: has left" in told
    assert cluster.run("hdfs dfs -cat /alone") == "only here"


def test_and_the_other_way_round(cluster: Cluster) -> None:
    beeline(cluster, "CREATE TABLE words (word STRING) STORED AS ORC")
    beeline(cluster, "INSERT INTO words VALUES ('one'), ('two')")
    assert spark_sql(cluster, "SELECT count(*) FROM words") == ["2"]


def test_the_metastore_may_die(cluster: Cluster) -> None:
    cluster.die("metastore")
    eventually(lambda: cluster.health("metastore") == "healthy", 60)
    assert beeline(cluster, "SELECT sum(pages) FROM class.books") == ["1616"]


def test_down_and_up_find_everything_again(cluster: Cluster) -> None:
    cluster.down()
    cluster.up()
    assert beeline(cluster, "SELECT count(*) FROM class.books") == ["3"]
    assert spark_sql(cluster, "SHOW TABLES IN class") != []


def test_commands_end_as_the_originals_do(cluster: Cluster) -> None:
    for script, code in {
        "spark-sql -e 'SELECT 1'": 0,
        "spark-sql -e 'SELECT * FROM nothing'": 1,
        f"{BEELINE} 'SELECT 1'": 0,
        f"{BEELINE} 'SELECT * FROM nothing'": 1,
        "hdfs dfs -ls /user/hive/warehouse": 0,
    }.items():
        cluster.run(script, code=code)


def test_every_node_has_every_tool(cluster: Cluster) -> None:
    hadoop = ("hdfs", "hadoop", "yarn", "mapred")
    spark = ("spark-submit", "spark-shell", "pyspark", "spark-sql", "beeline")
    for node in ("namenode", "datanode-1", "metastore", "thriftserver", "client"):
        cluster.has_tools(node, (*hadoop, *spark))
        for each in hadoop:
            assert cluster.run(f"{each} version", node=node).startswith("Hadoop 3.4.2\n")
        assert "version 4.3.0" in cluster.run("spark-submit --version 2>&1", node=node)


def test_another_one_runs_beside_it_from_the_same_folder(cluster: Cluster) -> None:
    lab = cluster.lab
    try:
        lab.corral("-p", "other", "up", "-d", "--wait", timeout=240)
        shown = lab.corral(
            "-p", "other", "exec", "-T", "client", "bash", "-c", f"{BEELINE} 'SHOW DATABASES'", timeout=120
        )
        assert without_prompts(shown.stdout).split() == ["default"]
        assert beeline(cluster, "SELECT count(*) FROM class.books") == ["3"]
    finally:
        lab.corral("-p", "other", "down", "-v")


def test_a_database_that_was_cut_off_begins_again(cluster: Cluster) -> None:
    cluster.cut_step_off("metastore-pre_start-0", "*_metastore/_data/metastore*")
    cluster.up()
    assert beeline(cluster, "SHOW DATABASES") == ["default"]


@pytest.mark.parametrize("what", WHAT)
def test_an_up_that_is_broken_off_goes_on(cluster: Cluster, what: str) -> None:
    """The tables of the metastore's database are made one after the other."""
    cluster.down("-v")
    database = cluster.lab.owner.root / "volumes/books_metastore/_data"
    formatted: set[str] = set()
    for moment, files in (("metastore.new", 1), ("metastore", 1), *(("metastore/seg0/*", files) for files in PARTLY)):
        with cluster.lab.popen("up", "-d", "--wait") as up:
            eventually(lambda moment=moment, files=files: len(list(database.glob(moment))) >= files, 120)
            cluster.break_off(up, what)
        formatted |= {path.read_text() for path in database.parent.parent.glob("*namenode/_data/name/current/VERSION")}
    cluster.up()
    assert len(formatted) == 1
    assert beeline(cluster, "SHOW DATABASES") == ["default"]
    beeline(cluster, "CREATE TABLE words (word STRING); INSERT INTO words VALUES ('one')")
    assert spark_sql(cluster, "SELECT * FROM words") == ["one"]
