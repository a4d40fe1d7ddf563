# Sourced: `http VERB HOST PORT PATH` writes what a web service answers. No curl and no JVM: some milliseconds.
http() {
    exec 3<>"/dev/tcp/$2/$3" || return 1
    printf '%s %s HTTP/1.0\r\nHost: %s:%s\r\nContent-Length: 0\r\nAccept: application/json\r\n\r\n' "$1" "$4" "$2" "$3" >&3
    cat <&3
    exec 3>&-
} 2>/dev/null
