#!/bin/bash
# zkCli.sh [-server HOST:PORT] [COMMAND …]: the shell of ZooKeeper. As ZooKeeper's own script of this name; without -server
# it asks the lab's.
[[ " $* " == *" -server "* ]] || set -- -server zookeeper:2181 "$@"
exec hadoop --loglevel WARN org.apache.zookeeper.ZooKeeperMain "$@"
