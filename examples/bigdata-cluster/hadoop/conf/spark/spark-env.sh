# Read by spark-submit and its like. Hadoop's files say ${env.LAB_DOMAIN}: who this node is, and in which domain.
. /etc/hadoop/hadoop-env.sh
