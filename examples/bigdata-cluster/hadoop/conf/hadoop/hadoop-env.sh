# Read by hadoop, hdfs, yarn and mapred before they start Java.

# Who this node is, and in which domain (the project's name): the XML files beside this one say ${env.LAB_DOMAIN}.
LAB_HOST="${LAB_HOST:-$(hostname -f)}"
export LAB_HOST LAB_DOMAIN="${LAB_DOMAIN:-${LAB_HOST#*.}}"

# Heaps. NameNode, ResourceManager, JobHistoryServer and JournalNode have a container of their own and take a part of its limit; a
# heap is about half of what a JVM needs. Those of a worker share theirs with the tasks that run there, a ZKFC with its NameNode.
share() { echo "-XX:MaxRAMPercentage=$1 -XX:MinRAMPercentage=$1"; } # Min: what Java calls it below 250 MB
HDFS_NAMENODE_OPTS="$(share 38)"
YARN_RESOURCEMANAGER_OPTS="$(share 42)"
MAPRED_HISTORYSERVER_OPTS="$(share 38)"
HDFS_JOURNALNODE_OPTS="$(share 38)"
HDFS_ZKFC_OPTS="-Xmx40m"
HDFS_DATANODE_OPTS="-Xmx64m"
YARN_NODEMANAGER_OPTS="-Xmx80m"
HADOOP_CLIENT_OPTS="-Xmx${HADOOP_CLIENT_HEAP:-64m} ${HADOOP_CLIENT_OPTS:-}"

# What is left of this container's limit for YARN to hand out, in MB: without both daemons of a worker, and some air.
limit="$(cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || echo max)"
case "$limit" in
    max | ????????????????*) ;; # none
    *) export LAB_YARN_MB=$((limit / 1048576 - 320)) ;;
esac
