#!/bin/bash
# trogdor.sh ACTION …: Kafka's own tests under load and faults. As Kafka's own script of this name.
usage() {
    cat <<TEXT
The Trogdor fault injector.

Usage:
  $0 [action] [options]

Actions:
  agent: Run the trogdor agent.
  coordinator: Run the trogdor coordinator.
  client: Run the client which communicates with the trogdor coordinator.
  agent-client: Run the client which communicates with the trogdor agent.
  help: This help message.
TEXT
}
case "${1:-help}" in
    agent) class=org.apache.kafka.trogdor.agent.Agent ;;
    coordinator) class=org.apache.kafka.trogdor.coordinator.Coordinator ;;
    client) class=org.apache.kafka.trogdor.coordinator.CoordinatorClient ;;
    agent-client) class=org.apache.kafka.trogdor.agent.AgentClient ;;
    help) usage && exit 0 ;;
    *) echo "Unknown action '$1'.  Type '$0 help' for help." && exit 1 ;;
esac
exec "${BASH_SOURCE[0]%/*}/kafka-run-class.sh" "$class" "${@:2}"
