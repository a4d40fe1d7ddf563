# Sourced: what a web service answers, without curl and without a JVM: some milliseconds, most of them forks.

http() { # VERB HOST PORT PATH: writes the answer
    ask "$@" || return 1
    cat <&3
    exec 3>&-
} 2>/dev/null

has() { # REGEX WHAT-IS-WRONG-WITHOUT HOST PORT PATH: whether the answer to GET has it; else says what is wrong, and ends the script
    answers "$1" "${@:3}" && return
    echo "$2" && exit 1
}

answers() { # REGEX HOST PORT PATH: whether the answer to GET has it
    local answer
    ask GET "${@:2}" || return
    read -r -N 1000000 answer <&3 || : # no fork, and with -N not character by character
    [[ "$answer" =~ $1 ]]
} 2>/dev/null

ask() { # VERB HOST PORT PATH: the answer is to be read from 3
    exec 3<>"/dev/tcp/$2/$3" || return 1
    printf '%s %s HTTP/1.0\r\nHost: %s:%s\r\nContent-Length: 0\r\nAccept: application/json\r\n\r\n' "$1" "$4" "$2" "$3" >&3
}

# In a regex: what may stand before another thing in the same line.
line=$'[^\n]*'
