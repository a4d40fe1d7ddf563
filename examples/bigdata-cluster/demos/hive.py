"""What the Hive lab is for: a table that one client makes is there for another."""

import cluster
from proof import prove, show, step

MAKE = "CREATE TABLE books (title STRING, pages INT); INSERT INTO books VALUES ('Emma', 474), ('Dune', 412), ('Ulysses', 730)"
ASK = "SELECT title FROM books WHERE pages > 450 ORDER BY title"


def prove_all() -> None:
    step(f"spark-sql -e {MAKE!r}")
    cluster.inside("client", f'spark-sql -e "{MAKE}" 2>/root/log || {{ tail -n 30 /root/log; exit 1; }}')
    show(cluster.inside("client", "hdfs dfs -ls -R /user/hive/warehouse"))
    step(f"beeline, through the Thrift server, which asks the metastore: {ASK}")
    words = "beeline --silent=true --outputformat=csv2 --showHeader=false -u jdbc:hive2://thriftserver:10000 -n root"
    told = cluster.inside("client", f'{words} -e "{ASK}" 2>/root/log || {{ tail -n 30 /root/log; exit 1; }}')
    show(told)
    prove(told.split()[-2:] == ["Emma", "Ulysses"], "what one client has made, another has read")
