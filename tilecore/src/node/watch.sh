# Runs in /bin/sh beside a command that leads to a node. $1 is the process group of that command. Ends what does not
# end by itself: a command that waits in a queue does not read its input, so it cannot see that the controller is gone.
trap '' HUP INT QUIT
here() { kill -s 0 -- "-$1" 2>/dev/null; }
patience() {
    n=$2
    while [ "$n" -gt 0 ] && here "$1"; do
        sleep 1
        n=$((n - 1))
    done
}
# The end of the input is the end of the controller, or of its use for the command.
read -r word
[ "$word" = now ] || patience "$1" 5
here "$1" || exit 0
kill -s TERM -- "-$1" 2>/dev/null
patience "$1" 5
here "$1" && kill -s KILL -- "-$1" 2>/dev/null
exit 0
