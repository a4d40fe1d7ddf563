#!/bin/bash
# kafka-run-class.sh CLASS …: any class of Kafka's. As Kafka's own script of this name; the others beside it call it.
#   -name NAME   who a daemon is
#   -daemon      in the background; what it writes is in /var/log/kafka/NAME.out
#   -loggc       what Java's collector does is in /var/log/kafka/NAME-gc.log
[ $# -gt 0 ] || { echo "USAGE: $0 [-daemon] [-name servicename] [-loggc] classname [opts]" && exit 1; }
conf="${KAFKA_CONF_DIR:-/etc/kafka}" logs="${LOG_DIR:-/var/log/kafka}" level=WARN name=kafka daemon='' gc=''
while [ $# -gt 0 ]; do
    case "$1" in
        -name) name="${2:?}" level=INFO && shift 2 ;; # a daemon says more than a tool
        -daemon) daemon=yes && shift ;;
        -loggc) gc=yes && shift ;;
        *) break ;;
    esac
done
[ -z "$gc" ] || KAFKA_GC_LOG_OPTS="${KAFKA_GC_LOG_OPTS:--Xlog:gc*:file=$logs/$name-gc.log:time,tags:filecount=10,filesize=100M}"
[ -z "$gc$daemon" ] || mkdir -p "$logs"
[ -z "${JMX_PORT:-}" ] || KAFKA_JMX_OPTS="${KAFKA_JMX_OPTS:--Dcom.sun.management.jmxremote.authenticate=false -Dcom.sun.management.jmxremote.ssl=false} -Dcom.sun.management.jmxremote.port=$JMX_PORT"
# jars first and in one order: only so does the class archive fit. Unquoted: options are several words, and no patterns.
set -f
# shellcheck disable=SC2046,SC2206
java=(java @"$conf/java.options" $(class-archive /opt/kafka) -Dkafka.root.logger="${KAFKA_ROOT_LOGGER:-$level,console}"
    -cp "/opt/kafka/lib/*:/opt/kafka-more/lib/*:$conf${CLASSPATH:+:$CLASSPATH}"
    ${KAFKA_HEAP_OPTS:-${TOOL_HEAP:--Xmx256m}} ${KAFKA_GC_LOG_OPTS:-} ${KAFKA_JMX_OPTS:-} ${KAFKA_OPTS:-} "$@")
[ -n "$daemon" ] || exec "${java[@]}"
nohup "${java[@]}" </dev/null >"$logs/$name.out" 2>&1 &
