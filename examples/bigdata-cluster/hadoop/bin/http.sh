# Sourced: what a web service answers, without curl and without a JVM: some milliseconds, most of them forks.

http() { # VERB HOST PORT PATH: writes the answer
    ask "$@" || return 1
    cat <&3
    exec 3>&-
} 2>/dev/null

has() { # REGEX WHAT-IS-WRONG-WITHOUT HOST PORT PATH: whether the answer to GET has it; else says what is wrong, and ends the script
    local answer
    ask GET "${@:3}" 2>/dev/null && answer="$(exec cat <&3)" && [[ "$answer" =~ $1 ]] && return
    echo "$2" && exit 1
}

ask() { # VERB HOST PORT PATH: the answer is to be read from 3
    exec 3<>"/dev/tcp/$2/$3" || return 1
    printf '%s %s HTTP/1.0\r\nHost: %s:%s\r\nContent-Length: 0\r\nAccept: application/json\r\n\r\n' "$1" "$4" "$2" "$3" >&3
}

# In a regex: what may stand before another thing in the same line.
line=$'[^\n]*'
