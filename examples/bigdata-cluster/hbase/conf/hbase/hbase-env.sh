# Read by hbase before it starts Java.

# Who this node is, and in which domain (the project's name): the XML files beside this one say ${env.LAB_DOMAIN}.
LAB_HOST="${LAB_HOST:-$(hostname -f)}"
export LAB_HOST LAB_DOMAIN="${LAB_DOMAIN:-${LAB_HOST#*.}}"

# Heaps: a part of the container's limit; what else a JVM needs is another 130 MB.
share() { echo "-XX:MaxRAMPercentage=$1 -XX:MinRAMPercentage=$1"; } # Min: what Java calls it below 250 MB
HBASE_MASTER_OPTS="$(share 50) -XX:MaxDirectMemorySize=64m"
HBASE_REGIONSERVER_OPTS="$(share 55) -XX:MaxDirectMemorySize=64m"
HBASE_CLIENT_OPTS="-Xmx192m ${HBASE_CLIENT_OPTS:-}"
