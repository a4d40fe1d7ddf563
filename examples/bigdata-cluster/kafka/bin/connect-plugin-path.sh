#!/bin/bash
export TOOL_HEAP=-Xmx176m # it looks for connectors in every class of every jar
exec "${BASH_SOURCE[0]%/*}/kafka-run-class.sh" org.apache.kafka.tools.ConnectPluginPath "$@"
