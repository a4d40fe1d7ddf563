#!/bin/bash
# kafka-server-stop.sh [--node-id=ID | --process-role=ROLES]: stops the Kafka of this node, in order. As Kafka's own script of this name.
wanted=
case "${1:-}" in
    --node-id=*) wanted="node.id=${1#*=}" ;;
    --process-role=*) wanted="process.roles=${1#*=}" ;;
esac
found=()
for pid in $(pgrep -x java); do
    mapfile -d '' -t words <"/proc/$pid/cmdline"
    [[ " ${words[*]} " == *" kafka.Kafka "* ]] || continue
    [ -z "$wanted" ] || grep -qxF "$wanted" "${words[@]: -1}" || continue
    found+=("$pid")
done
[ ${#found[@]} -gt 0 ] || { echo "No kafka server to stop" && exit 1; }
kill -s "${SIGNAL:-TERM}" "${found[@]}"
