# Runs in /bin/sh on the node, after lines that set: MARK CACHE RUN BLENDER NICE SCRATCH ELSEWHERE OWN_OCIO, export the
# user's variables, and define the function unpack, which writes the worker's files into the current directory. All of
# it is one compound command, so that the shell has read it whole before anything else reads standard input. Finds
# Blender, starts it as a warm worker, and makes sure that nothing of it is left when the controller goes away.
LC_ALL=C
export LC_ALL
umask 077
trap '' PIPE

# One line to the controller; everything before the first MARK is a login shell's chatter.
say() { printf '\n%s %s\n' "$MARK" "$*"; }
die() { say "error" "$@"; exit 0; }

if [ -z "$CACHE" ]; then
    if [ -n "${XDG_CACHE_HOME:-}" ]; then CACHE=$XDG_CACHE_HOME/tilectl
    elif [ -n "${HOME:-}" ]; then CACHE=$HOME/.cache/tilectl
    else die no_cache "HOME is not set"; fi
fi
case $CACHE in
    "~/"*) CACHE=$HOME/${CACHE#??} ;;
esac
# Where the login begins is what a path without a beginning is meant from.
case $BLENDER in
    /* | "~/"*) ;;
    */*) BLENDER=$PWD/$BLENDER ;;
esac
# Hosts may share this directory: a host's name ends at a sign that no name has, or node-1 would be taken for node's.
HOST=$(uname -n 2>/dev/null | tr -cd 'A-Za-z0-9_.-')
# A connection that broke may still look well from here: the shell that serves it must not share a place with us.
NAME=h$HOST+$RUN.$$
DIR=$CACHE/run/$NAME
problem=$(mkdir -p "$DIR" 2>&1) && problem=$(cd "$DIR" 2>&1 && : 2>&1 >probe) || die no_cache "$CACHE: $problem"
cd "$DIR" || die no_cache "$CACHE"
printf '%s\n' "$$" >pid || die no_cache "$CACHE: no space"

# Ends the Blender of run directory $1. After a restart of this host its number may be another process's.
end_blender() {
    pid=$(cat "$1/blender" 2>/dev/null) && [ -n "$pid" ] || return 0
    if [ -r "/proc/$pid/cmdline" ]; then line=$(tr '\0' ' ' <"/proc/$pid/cmdline")
    else line=$(ps -o args= -p "$pid" 2>/dev/null); fi
    case $line in *"$1/worker.py"*) kill -9 "$pid" ;; esac 2>/dev/null
}
# What runs on this host left behind: their shell is gone, so their Blender must go too. And what served us before:
# the controller has given that connection up, whether it looks well from here or not.
for old in "$CACHE"/run/"h$HOST+"*; do
    [ "$old" != "$DIR" ] && [ -f "$old/pid" ] || continue
    case ${old##*/} in
        "h$HOST+$RUN."*) ;;
        *) kill -0 "$(cat "$old/pid")" 2>/dev/null && continue ;;
    esac
    end_blender "$old"
    rm -rf "$old"
done

unpack || die no_cache "$CACHE: no space"

kind_of() {
    case ${1##*/} in
        python*) echo python ;;
        *) echo blender ;;
    esac
}
with_bpy() { "$1" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("bpy") is None)' >/dev/null 2>&1; }
find_bpy() {
    for p in python3 python3.13 python3.12 python3.11 python3.10 python "$HOME"/.venv/bin/python "$HOME"/bpy/bin/python; do
        p=$(command -v "$p" 2>/dev/null) || continue
        if with_bpy "$p"; then printf '%s\n' "$p"; return 0; fi
    done
    return 1
}
find_blender() {
    command -v blender 2>/dev/null && return 0
    for p in /usr/local/bin/blender /opt/blender/blender /opt/blender*/blender "$HOME"/blender/blender \
        "$HOME"/blender*/blender "$HOME"/.local/bin/blender "$HOME"/Applications/blender*/blender /snap/bin/blender \
        /Applications/Blender.app/Contents/MacOS/Blender "$HOME"/Applications/Blender.app/Contents/MacOS/Blender; do
        if [ -f "$p" ] && [ -x "$p" ]; then printf '%s\n' "$p"; return 0; fi
    done
    find_bpy
}
case $BLENDER in
    '') BIN=$(find_blender) || die no_blender "no Blender in PATH, the usual places, or a Python with bpy" ;;
    bpy) BIN=$(find_bpy) || die no_blender "no Python with bpy" ;;
    *)
        case $BLENDER in "~/"*) BLENDER=$HOME/${BLENDER#??} ;; esac
        BIN=$(command -v "$BLENDER" 2>/dev/null) || die no_blender "$BLENDER is not there or not executable"
        [ -d "$BIN" ] && BIN=$BIN/blender
        [ -f "$BIN" ] && [ -x "$BIN" ] || die no_blender "$BIN is not there or not executable"
        ;;
esac
say "blender" "$BIN"

mkfifo in || die no_cache "$CACHE: cannot make a named pipe there"
if [ "$(kind_of "$BIN")" = python ]; then
    with_bpy "$BIN" || die no_blender "$BIN has no module bpy"
    set -- "$BIN" -u "$DIR/worker.py"
else
    set -- "$BIN" -b --factory-startup -noaudio -P "$DIR/worker.py"
fi
[ -n "$NICE" ] && set -- nice -n "$NICE" "$@"

TILECTL_CACHE=$CACHE TILECTL_RUN=$NAME TILECTL_LOG=$DIR/log TILECTL_OUT=4
export TILECTL_CACHE TILECTL_RUN TILECTL_LOG TILECTL_OUT
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
# A Blender that is killed leaves its temporary files; here they go with the rest. Who has set a place means it.
if [ -z "$SCRATCH" ]; then
    TMPDIR=$DIR/tmp TMP=$DIR/tmp TEMP=$DIR/tmp
    export TMPDIR TMP TEMP
    mkdir tmp || die no_cache "$CACHE: no space"
fi
# What this login has of its own changes colours, and runs scripts: the picture is the controller's.
if [ -z "$OWN_OCIO" ]; then
    TILECTL_OCIO_THERE=${OCIO:-}
    export TILECTL_OCIO_THERE
    unset OCIO OCIO_ACTIVE_DISPLAYS OCIO_ACTIVE_VIEWS OCIO_INACTIVE_COLORSPACES OCIO_OPTIMIZATION_FLAGS
fi
if [ -n "$ELSEWHERE" ]; then
    unset BLENDER_USER_CONFIG BLENDER_USER_SCRIPTS BLENDER_USER_DATAFILES BLENDER_USER_EXTENSIONS
    XDG_CONFIG_HOME=$DIR/config BLENDER_USER_RESOURCES=$DIR/config
    export XDG_CONFIG_HOME BLENDER_USER_RESOURCES
    mkdir config || die no_cache "$CACHE: no space"
fi
exec 3<&0
"$@" <in 4>&1 >log 2>&1 3<&- &
PID=$!
printf '%s\n' "$PID" >blender
# Passes requests on; when the controller is gone, gives the worker a moment to end by itself, then ends it.
(
    cat <&3 >in
    sleep 3
    kill -9 "$PID"
) >/dev/null 2>&1 &
FEED=$!
# A Blender that reads nothing keeps the end of the input from being seen. This shell's parent ends with the connection.
parent() {
    if read -r line <"/proc/$$/stat"; then
        line=${line##*") "?" "}
        printf '%s\n' "${line%% *}"
    else
        ps -o ppid= -p "$$"
    fi 2>/dev/null
}
(
    first=$(parent)
    while [ "$(parent)" = "$first" ]; do sleep 2; done
    sleep 3
    kill -9 "$PID"
) >/dev/null 2>&1 3<&- &
GUARD=$!
exec 3<&-
wait "$PID"
code=$?
kill "$FEED" "$GUARD" 2>/dev/null
size=$(wc -c <log)
log=$(tail -c 6000 log | tr -cd '\11\12\40-\176')
cd / && rm -rf "$DIR"
printf '\n%s exit %d %d\n%s\n%s end\n' "$MARK" "$code" "$size" "$log" "$MARK"
