#!/bin/bash
# kafka-run-class.sh CLASS …: any class of Kafka's. As Kafka's own script of this name; the others beside it call it.
[ $# -gt 0 ] || { echo "USAGE: $0 [-daemon] [-name servicename] [-loggc] classname [opts]" && exit 1; }
conf="${KAFKA_CONF_DIR:-/etc/kafka}"
# jars first and in one order: only so does the class archive fit. Unquoted: options are several words.
# shellcheck disable=SC2086
exec java @"$conf/java.options" -Dkafka.root.logger="${KAFKA_ROOT_LOGGER:-WARN,console}" -cp "/opt/kafka/lib/*:$conf${CLASSPATH:+:$CLASSPATH}" \
    ${KAFKA_HEAP_OPTS:--Xmx256m} ${KAFKA_OPTS:-} "$@"
