#!/bin/bash
exec "${BASH_SOURCE[0]%/*}/kafka-run-class.sh" org.apache.kafka.tools.ShareConsumerPerformance "$@"
