"""What the HBase lab is for: rows that are kept, also when the server of some of them dies."""

import os

import cluster
from proof import eventually, prove, show, step

WRITES = """create 'books', 'about', SPLITS => ['2', '4']
300.times { |i| put 'books', "#{i % 6}row#{i}", 'about:n', i.to_s; $stdout.puts "wrote #{i}"; $stdout.flush }
exit
"""


def shell(script: str) -> str:
    return cluster.inside("client", "hbase shell -n 2>&1", stdin=f"{script}\nexit\n".encode())


def prove_all() -> None:
    step("hbase shell: 300 rows are put; a RegionServer is killed meanwhile")
    with cluster.begin("client", f"hbase shell -n 2>&1 <<'TEXT'\n{WRITES}TEXT") as writer:
        for line in writer.stdout or ():
            if b"wrote 50" in line:
                break
        os.kill(cluster.nodes()["regionserver-2"]["Pid"], 9)
        told = b"".join(writer.stdout or ()).decode()
    show("\n".join(told.splitlines()[-2:]))
    prove(writer.returncode == 0, "regionserver-2 was killed; all rows were put")
    told = shell("count 'books', INTERVAL => 100000")
    prove("300 row(s)" in told, "all 300 are there")
    step("hbase shell: status 'simple'")
    eventually(lambda: cluster.nodes()["regionserver-2"]["Health"] == "healthy", "regionserver-2 is back", 60)
    told = shell("status 'simple'")
    show(told)
    prove(
        all(f"regionserver-{number}.{cluster.project()}:16020" in told for number in (1, 2, 3)),
        "three live servers, by their names",
    )
