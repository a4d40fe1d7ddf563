#!/bin/bash
[ $# -gt 0 ] || { echo "USAGE: $0 [-daemon] server.properties [--override property=value]*" && exit 1; }
words="${EXTRA_ARGS--name kafkaServer}"
[ "$1" != -daemon ] || { words="-daemon $words" && shift; }
# shellcheck disable=SC2086
exec "${BASH_SOURCE[0]%/*}/kafka-run-class.sh" $words kafka.Kafka "$@"
