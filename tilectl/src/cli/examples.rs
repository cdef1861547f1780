//! What `--help` shows of every command at work.

pub(super) const TOP: &str = "Examples:
  tilectl render still.blend --frame 1                    on this machine
  tilectl render still.blend --frame 1 --node me@server   on a machine you can log in to
  tilectl nodes check me@server                           whether that works, or what it lacks
  tilectl COMMAND --help                                  more about each";

pub(super) const RENDER: &str = "Examples:
  tilectl render still.blend -f 1
  tilectl render still.blend --frame 1 --node local --node me@server -o still.png
  tilectl render still.blend --frame 1 --node local,threads=4 --resolution 14000x9000
  tilectl render still.blend --frame 1 --serve                 watch it in a browser
  tilectl render film.blend --frames 1-250 -o 'out/shot_####.png'
  tilectl render film.blend -s 10 -e 50 -a                     as in Blender
  tilectl render shop.blend --frame 1 --cameras all -o '{camera}.png'

A render that was stopped or killed goes on where it was: run the same command again.
Exit codes: 0 done, 1 could not be completed, 2 wrong usage or input, 3 stopped and resumable.";

pub(super) const MAP: &str = "Examples:
  tilectl map still_0001.png.tiles -o heat.png             of a render that was kept, or still runs
  tilectl map still.blend --frame 1 --quick -o heat.png    rendered with few samples, in seconds
  tilectl map still.blend --frame 1 --detail 64x64 --style grey -o heat.png";

pub(super) const PLAN: &str = "Examples:
  tilectl plan still.blend --frame 1 --node local --node me@server
  tilectl plan still.blend --frame 1 -o plan.png           with the tiles drawn over what they cost";

pub(super) const BENCH: &str = "Examples:
  tilectl bench                           all configured nodes, with a built-in scene
  tilectl bench still.blend --frame 7     with a scene of yours
  tilectl bench --show                    what was measured before";

pub(super) const STATUS: &str = "Examples:
  tilectl status still_0001.png.tiles
  tilectl status still_0001.png.tiles --watch              until it is done; Ctrl-C ends the watching alone
  tilectl status still_0001.png.tiles --watch --json       one line per change, for programs";

pub(super) const STITCH: &str = "Examples:
  tilectl stitch still_0001.png.tiles -o still.png
  tilectl stitch still_0001.png.tiles -o preview.png --partial
  tilectl stitch --grid 8x8 t_*.png -o out.png
  tilectl stitch --pattern 'tile_{x}_{y}.png' -o out.png";

pub(super) const VERIFY: &str = "Examples:
  tilectl render still.blend --frame 1 --keep && tilectl verify still_0001.png
  tilectl verify still_0001.png --whole --node me@server   the whole frame again, on that node";

pub(super) const PROVE: &str = "Examples:
  tilectl prove still.blend                                      on this machine
  tilectl prove still.blend --node local --node me@server        after an update of Blender or of a node
  tilectl prove still.blend --json                               for programs

Renders a small version of the frame twice, in tiles on the nodes and in one piece by this machine's Blender from the
file as it lies, and compares every channel of every file. Exit codes: 0 exact, 1 not.";

pub(super) const SELFTEST: &str = "Examples:
  tilectl selftest                                  on this machine
  tilectl selftest --node me@server                 with the Blender there
  tilectl selftest denoise stereo --node me@gpu,device=OPTIX

Exit codes: 0 every scene exact or refused, 1 not.";

pub(super) const INIT: &str = "Examples:
  tilectl init                    tilectl.ron here, for this project
  tilectl init --user             for everything you render
  tilectl init --ssh-hosts        with the machines of ~/.ssh/config that answer";

pub(super) const NODES: &str = "Examples:
  tilectl nodes list
  tilectl nodes check
  tilectl nodes add me@laptop --job still_0001.png.tiles";

pub(super) const CHECK: &str = "Examples:
  tilectl nodes check                       all configured nodes, or this machine
  tilectl nodes check attic me@server       these
  tilectl nodes check -v                    with login, build, clock and cache";

pub(super) const LIST: &str = "Examples:
  tilectl nodes list
  tilectl nodes list --json";

pub(super) const ADD: &str = "Examples:
  tilectl nodes add me@laptop,threads=4
  tilectl nodes add attic --job still_0001.png.tiles
  tilectl nodes add me@laptop,threads=4 --job still_0001.png.tiles";

pub(super) const ENABLE: &str = "Examples:
  tilectl nodes enable attic";

pub(super) const DISABLE: &str = "Examples:
  tilectl nodes disable attic";

pub(super) const REMOVE: &str = "Examples:
  tilectl nodes remove attic
  tilectl nodes remove attic --job still_0001.png.tiles";

pub(super) const PAUSE: &str = "Examples:
  tilectl nodes pause --job still_0001.png.tiles           all of them
  tilectl nodes pause attic --job still_0001.png.tiles";

pub(super) const RESUME: &str = "Examples:
  tilectl nodes resume --job still_0001.png.tiles";

pub(super) const EXTENSION: &str = "Examples:
  tilectl extension install                                   into the Blender that is found
  tilectl extension install --blender /opt/blender/blender
  tilectl extension build -o tilectl-extension.zip            for Preferences > Get Extensions > Install from Disk";

pub(super) const EXTENSION_BUILD: &str = "Examples:
  tilectl extension build -o tilectl-extension.zip            for Preferences > Get Extensions > Install from Disk";

pub(super) const EXTENSION_INSTALL: &str = "Examples:
  tilectl extension install
  tilectl extension install --blender /opt/blender/blender";

pub(super) const EXTENSION_REMOVE: &str = "Examples:
  tilectl extension remove";

pub(super) const CLEAN: &str = "Examples:
  tilectl clean                  what was not used for 30 days, on all configured nodes
  tilectl clean --keep 20GB      also the longest unused, until 20 GB are left
  tilectl clean --all --node me@server

Files of a scene that is being rendered stay in any case.";

pub(super) const COMPLETIONS: &str = "Examples:
  tilectl completions bash > ~/.local/share/bash-completion/completions/tilectl
  tilectl completions zsh > ~/.zfunc/_tilectl              with ~/.zfunc in fpath, before compinit
  tilectl completions fish > ~/.config/fish/completions/tilectl.fish";

pub(super) const MAN: &str = "Examples:
  tilectl man | man -l -
  tilectl man ~/.local/share/man/man1      a page for every command: `man tilectl-render`";

pub(super) const DISCOVER: &str = "Examples:
  tilectl nodes discover
  tilectl nodes discover --check           also logs in where that works by itself, and looks for Blender";

pub(super) const QUEUE: &str = "Examples:
  tilectl queue add film.blend --frames 1-250 --node local --node me@server
  tilectl queue run
  tilectl queue list";

pub(super) const QUEUE_ADD: &str = "Examples:
  tilectl queue add film.blend --frames 1-250 --node local --node me@server
  tilectl queue add --priority 5 still.blend --frame 1     takes the nodes at once";

pub(super) const QUEUE_LIST: &str = "Examples:
  tilectl queue list
  tilectl queue list --json";

pub(super) const QUEUE_RUN: &str = "Examples:
  tilectl queue run
  tilectl queue run --watch ~/jobs         also takes job files that are dropped there";

pub(super) const QUEUE_SUSPEND: &str = "Examples:
  tilectl queue suspend 3";

pub(super) const QUEUE_RESUME: &str = "Examples:
  tilectl queue resume 3";

pub(super) const QUEUE_PRIORITY: &str = "Examples:
  tilectl queue priority 3 9";

pub(super) const QUEUE_REMOVE: &str = "Examples:
  tilectl queue remove 3
  tilectl queue remove --done";
