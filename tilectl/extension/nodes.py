# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines: the same list as the command line's, read and written by the program."""

import json
import os

import bpy
from bpy.app.handlers import persistent
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, IntProperty, PointerProperty, StringProperty

from . import outside, program, properties

STATES = (
    ("UNKNOWN", "Not checked", "Nobody has looked whether it can render", "RADIOBUT_OFF", 0),
    ("CHECKING", "Checking", "It is being reached", "SORTTIME", 1),
    ("READY", "Ready", "It was reached, and its Blender starts", "CHECKMARK", 2),
    ("TROUBLE", "In trouble", "It cannot render; the reason is below the list", "ERROR", 3),
)
ICONS = {state[0]: state[3] for state in STATES}


def flags(blend):
    """Which configuration counts for a file."""
    config = properties.preferences().config
    if config:
        return ["--config", bpy.path.abspath(config)]
    if blend:
        # One that lies beside the file, which its copy may not lie beside.
        path = os.path.join(os.path.dirname(blend), "tilectl.ron")
        if os.path.isfile(path):
            return ["--config", path]
    return []


def read(blend):
    """Every machine of the configuration; this one alone where there is none."""
    return program.ask("nodes", "list", *flags(blend))


def is_remote(node):
    return node["place"] != "Local"


def online():
    """Whether the user lets extensions reach the network."""
    return getattr(bpy.app, "online_access", True)


def taking_part(blend, without=()):
    """The flags that name the machines that render. A Blender of this machine is this very one, unless the list says
    otherwise."""
    words, left_out = [], []
    for node in read(blend):
        if not node["enabled"] or node["name"] in without:
            continue
        if is_remote(node) and not online():
            left_out.append(node["name"])
            continue
        spec = node["name"]
        if not is_remote(node) and not node.get("blender"):
            spec += f",blender={program.blender()}"
        words += ["--node", spec]
    if not words and left_out:
        raise program.Trouble(f"{', '.join(left_out)} cannot be reached while online access is off. Allow it in "
                              "Preferences > System > Network, or add this machine (local) to the list.")
    if not words:
        raise program.Trouble("No machine is switched on. Switch one on in the list of the panel All Machines.")
    return words + flags(blend), left_out


# The list as the panel shows it


def switched(self, context):
    if loading:
        return
    try:
        program.tell("nodes", "enable" if self.enabled else "disable", self.name, *flags(bpy.data.filepath))
    except program.Trouble as e:
        trouble(str(e))
    load()


class TILECTL_PG_node(bpy.types.PropertyGroup):
    name: StringProperty(name="Name", description="What the machine is called everywhere")
    enabled: BoolProperty(name="Takes Part", update=switched,
                          description="Let this machine take part in every render")
    where: StringProperty(name="Place", description="How the machine is reached")
    device: StringProperty(name="Device", description="What it renders with")
    state: EnumProperty(name="State", items=STATES, description="What the last check has shown")
    details: StringProperty(name="Details", description="What the last check has found out about it")
    reason: StringProperty(name="Reason", description="Why it cannot render")
    remedy: StringProperty(name="Remedy", description="What to do about it")
    speed: StringProperty(name="Speed", description="How fast it was when it was measured last")


class TILECTL_PG_window(bpy.types.PropertyGroup):
    nodes: CollectionProperty(type=TILECTL_PG_node)
    active: IntProperty(name="Machine", description="The machine that the buttons are for")
    trouble: StringProperty(name="Trouble", description="What is wrong with the list, or with the program")
    estimate: StringProperty(name="Estimate", description="How long the frame would take")


loading = False
#: Whether the list has to be read again, and whether anybody looks at it.
stale, wanted = True, False


def window():
    managers = bpy.data.window_managers
    return managers[0].tilectl if len(managers) else None


def trouble(text):
    if window() is not None:
        window().trouble = text


def load():
    """Reads the list; what is known of a machine from its last check stays."""
    global loading, stale
    state = window()
    if state is None:
        return
    stale = False
    try:
        found = read(bpy.data.filepath)
        rates = speeds()
    except (program.Trouble, ValueError) as e:
        trouble(str(e))
        return
    kept = {each.name: (each.state, each.details, each.reason, each.remedy) for each in state.nodes}
    loading = True
    try:
        state.nodes.clear()
        for node in found:
            each = state.nodes.add()
            each.name, each.enabled, each.device = node["name"], node["enabled"], node["device"]
            each.where = place_of(node)
            each.speed = rates.get(node["name"], "")
            if node["name"] in kept:
                each.state, each.details, each.reason, each.remedy = kept[node["name"]]
        state.active = min(state.active, max(0, len(state.nodes) - 1))
        state.trouble = ""
    finally:
        loading = False


def place_of(node):
    place = node["place"]
    if place == "Local":
        return "this machine"
    if isinstance(place, dict) and "Ssh" in place:
        return place["Ssh"]
    return "command"


def speeds():
    """By machine, how fast it was on the scene that it rendered last."""
    found = {}
    for each in program.ask("bench", "--show"):
        rate = each.get("rate") or 0
        found[each["node"]] = f"{rate / 1000:.1f} k pixels/s" if rate >= 1000 else f"{rate:.0f} pixels/s"
    return found


def check(report=None):
    """Reaches every machine that takes part."""
    state = window()
    if not online() and all(node.where != "this machine" for node in state.nodes if node.enabled):
        raise program.Trouble("Machines cannot be reached while online access is off. Allow it in Preferences > System "
                              "> Network.")
    names = [node.name + (f",blender={program.blender()}" if node.where == "this machine" else "")
             for node in state.nodes if node.enabled and (online() or node.where == "this machine")]
    if not names:
        raise program.Trouble("No machine is switched on. Switch one on in the list.")
    for node in state.nodes:
        if node.enabled:
            node.state = "CHECKING"
    outside.start("check", ["nodes", "check", *names, *flags(bpy.data.filepath), "--json"], None, checked)


def checked(run):
    state = window()
    if state is None:
        return
    try:
        found = {each["node"]: each for each in json.loads(run.said)}
    except ValueError:
        found = {}
        trouble(run.error or "The check has said nothing.")
    for node in state.nodes:
        health = found.get(node.name)
        if health is None:
            if node.state == "CHECKING":
                node.state = "UNKNOWN"
            continue
        node.state = "READY" if health["usable"] else "TROUBLE"
        why = health.get("trouble") or {}
        node.reason, node.remedy = sentence(why.get("reason")), sentence(why.get("remedy"))
        words = [f"Blender {health['blender']}"] if health.get("blender") else []
        words += [f"{health['cores']} cores"] if health.get("cores") else []
        words += [f"{health['free'] // 10**9} GB free"] if health.get("free") else []
        node.details = ", ".join(words)
    redraw()


def sentence(text):
    text = (text or "").strip()
    return text if not text or text.endswith((".", "!", "?")) else text + "."


def redraw():
    for manager in bpy.data.window_managers:
        for each in manager.windows:
            for area in each.screen.areas:
                if area.type == "PROPERTIES":
                    area.tag_redraw()


def serve():
    """Reads the list when somebody looks at it and it may have changed."""
    if stale and wanted:
        load()
        redraw()


@persistent
def on_load(*_):
    global stale
    stale = True


CLASSES = (TILECTL_PG_node, TILECTL_PG_window)


def register():
    for each in CLASSES:
        bpy.utils.register_class(each)
    bpy.types.WindowManager.tilectl = PointerProperty(type=TILECTL_PG_window, options={"SKIP_SAVE"})
    bpy.app.handlers.load_post.append(on_load)


def unregister():
    if on_load in bpy.app.handlers.load_post:
        bpy.app.handlers.load_post.remove(on_load)
    del bpy.types.WindowManager.tilectl
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
