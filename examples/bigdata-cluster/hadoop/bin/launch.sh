# Sourced by hadoop, hdfs, yarn and mapred: what Hadoop's own hadoop-functions.sh does for them, without ssh and Kerberos.
# A command defines `class_of WORD`, which sets `class` (and `daemon`, `words`, and `before`: what to do before it starts), and
# `usage`; then it calls `main "$@"`.

export HADOOP_HOME="${HADOOP_HOME:-/opt/hadoop}" HADOOP_CONF_DIR="${HADOOP_CONF_DIR:-/etc/hadoop}"
PIDS=/run/hadoop
command="${0##*/}"

fail() {
    echo "ERROR: $*" >&2
    exit 1
}

main() {
    local level=INFO order= class= daemon= before=
    while [ $# -gt 0 ]; do
        case "$1" in
            --config | --conf) HADOOP_CONF_DIR="${2:?}" && shift 2 ;;
            --loglevel) level="${2:?}" && shift 2 ;;
            --daemon) order="${2:?}" && shift 2 ;;
            --debug) set -x && shift ;;
            --buildpaths) shift ;;
            --help | -help | -h | -\?) usage && exit 0 ;;
            --hosts | --hostnames | --workers) fail "$1 needs ssh between the nodes; use: corral exec SERVICE $command …" ;;
            *) break ;;
        esac
    done
    [ $# -gt 0 ] || { usage && exit 1; }
    [ -d "$HADOOP_CONF_DIR" ] || fail "$HADOOP_CONF_DIR is not a folder"
    . "$HADOOP_CONF_DIR/hadoop-env.sh"
    path="$HADOOP_HOME/lib/*:$HADOOP_CONF_DIR${HADOOP_CLASSPATH:+:$HADOOP_CLASSPATH}"
    words=("$@")
    case "$1" in
        classpath) [ $# -gt 1 ] || { echo "$path" && exit 0; } ;;
        envvars) envvars && exit 0 ;;
    esac
    class_of "$1" || class="$1" # any class with a main() may be named, as with the originals
    [ "$class" = "$1" ] && [[ "$1" != *.* ]] && { echo "ERROR: $1 is not COMMAND nor fully qualified CLASSNAME." >&2; usage >&2; exit 1; }
    # HDFS_NAMENODE_OPTS, YARN_RESOURCEMANAGER_OPTS … for daemons, HADOOP_CLIENT_OPTS for everything else.
    local own="${command^^}_${1^^}_OPTS"
    own="${own//[^A-Z0-9_]/_}" # a class has dots
    options="$HADOOP_OPTS ${!own:-}"
    [ -n "$daemon" ] || options="$options ${HADOOP_CLIENT_OPTS:-}"
    case "$order" in
        "") start "$level" ;;
        start | stop | status) [ -n "$daemon" ] || fail "$1 is no daemon"; "daemon_$order" "$1" "$level" ;;
        *) fail "--daemon start, stop or status, not $order" ;;
    esac
}

start() {
    [ -z "$before" ] || "$before"
    # jars first and in one order: only so does the class archive fit. Unquoted: options are several words. What a daemon writes is
    # in a file, too, which its page shows ("Logs").
    # shellcheck disable=SC2046,SC2086
    exec java @"$HADOOP_CONF_DIR/java.options" $(class-archive "$HADOOP_HOME") -Dhadoop.home.dir="$HADOOP_HOME" -Dhadoop.log.dir="${HADOOP_LOG_DIR:-/var/log/hadoop}" \
        -Dyarn.log.dir="${HADOOP_LOG_DIR:-/var/log/hadoop}" -Dhadoop.log.file="hadoop-root-${words[0]}-$HOSTNAME.log" \
        -Dhadoop.root.logger="${HADOOP_ROOT_LOGGER:-$1,console${daemon:+,file}}" \
        -cp "$path" $options "$class" "${words[@]:1}"
}

# Where `worker` keeps the daemon, it is told; else the daemon goes on in the background, until its container stops. What it
# writes is in `corral logs`, like everything that the first process writes.
daemon_start() {
    running "$1" && fail "$1 is running as process $(cat "$PIDS/$1.pid").  Stop it first."
    mkdir -p "$PIDS"
    if [ -e "$PIDS/$1.kept" ]; then
        rm -f "$PIDS/$1.stopped"
        return
    fi
    (start "$2") </dev/null >/proc/1/fd/1 2>/proc/1/fd/2 &
    echo $! >"$PIDS/$1.pid"
}

daemon_stop() {
    [ ! -e "$PIDS/$1.kept" ] || touch "$PIDS/$1.stopped"
    running "$1" || return 0
    local pid
    pid="$(cat "$PIDS/$1.pid")"
    kill "$pid"
    for _ in {1..350}; do
        running "$1" || return 0
        sleep 0.1
    done
    echo "WARNING: $1 did not stop gracefully after 35 seconds: Trying to kill with kill -9" >&2
    kill -9 "$pid"
}

daemon_status() {
    running "$1" && echo "$1 is running as process $(cat "$PIDS/$1.pid")." && exit 0
    [ -e "$PIDS/$1.pid" ] && echo "$1 is stopped, and left its pid file behind." && exit 1
    echo "$1 is stopped." && exit 3
}

# A pid alone may be somebody else's by now.
running() {
    local pid
    pid="$(cat "$PIDS/$1.pid" 2>/dev/null)" && grep -qsx java "/proc/$pid/comm"
}

envvars() {
    local name
    for name in JAVA_HOME HADOOP_HOME HADOOP_CONF_DIR HADOOP_OPTS HADOOP_CLIENT_OPTS; do
        echo "$name='${!name:-}'"
    done
}
