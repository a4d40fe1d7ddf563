#!/bin/bash
[ $# -gt 0 ] || { echo "USAGE: $0 [-daemon] connect-standalone.properties [connector1.properties connector2.json ...]" && exit 1; }
words="${EXTRA_ARGS--name connectStandalone}"
[ "$1" != -daemon ] || { words="-daemon $words" && shift; }
export TOOL_HEAP=-Xmx176m # it looks for connectors in every class of every jar
# shellcheck disable=SC2086
exec "${BASH_SOURCE[0]%/*}/kafka-run-class.sh" $words org.apache.kafka.connect.cli.ConnectStandalone "$@"
