# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done with the machines: `bpy.ops.tilectl.*`, with a window and without."""

import json
import os

import bpy
from bpy.props import BoolProperty, StringProperty

from . import job, nodes, outside, places, program, scene_copy, session


class Operator:
    """What goes wrong becomes a report: in a script an exception with the same words."""

    bl_options = {"REGISTER"}

    def execute(self, context):
        try:
            return self.run(context) or {"FINISHED"}
        except program.Trouble as e:
            self.report({"ERROR"}, str(e))
            return {"CANCELLED"}
        except (OSError, ValueError) as e:
            self.report({"ERROR"}, f"All Machines: {e}")
            return {"CANCELLED"}


class TILECTL_OT_render(Operator, bpy.types.Operator):
    """Render the active scene on all machines, whether or not the panel's switch is on"""

    bl_idname = "tilectl.render"
    bl_label = "Render on All Machines"

    animation: BoolProperty(name="Animation", description="Render the frames of the scene's range and write them")
    write_still: BoolProperty(name="Write Image", description="Write the picture to the scene's output path")

    def run(self, context):
        return self.start("EXEC_DEFAULT")

    def invoke(self, context, event):
        return self.start("INVOKE_DEFAULT")

    def start(self, how):
        session.wanted = True
        try:
            return bpy.ops.render.render(how, animation=self.animation, write_still=self.write_still)
        except RuntimeError as e:
            raise program.Trouble(str(e).strip().removeprefix("Error: ")) from e
        finally:
            if how == "EXEC_DEFAULT":
                session.wanted = False


def copy_of_scene():
    """A copy for a run beside Blender's own renders."""
    copy = scene_copy.SceneCopy(places.Seat(bpy.data.filepath, kind="run"))
    copy.settle()
    return copy


def scene_flags(context, frame=None):
    from . import engine

    scene = context.scene
    return ["--frame", str(scene.frame_current if frame is None else frame), "--scene", scene.name,
            *engine.chosen(scene.tilectl)]


def start(context, name, command, more, then):
    copy = copy_of_scene()
    words = [command, copy.path, *more]
    for root in copy.roots:
        words += ["--root", root] if command != "map" else []
    # A render may find them well again; an estimate counts on those that are.
    troubled = {node.name for node in nodes.window().nodes if node.state == "TROUBLE"} if command == "plan" else ()
    try:
        taking_part = nodes.taking_part(bpy.data.filepath, troubled)[0]
    except program.Trouble:
        copy.remove()
        raise
    outside.start(name, words + taking_part, copy, then)


class TILECTL_OT_render_background(Operator, bpy.types.Operator):
    """Render the current frame of the scene as it is now on all machines, into its file, while Blender stays free"""

    bl_idname = "tilectl.render_background"
    bl_label = "Render Image on All Machines in the Background"

    filepath: StringProperty(name="File", subtype="FILE_PATH",
                             description="Where the picture goes; the scene's own output path when empty")

    def run(self, context):
        scene = context.scene
        path = bpy.path.abspath(self.filepath) if self.filepath else scene.render.frame_path()
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        start(context, "rendering", "render",
              [*scene_flags(context), "-o", path, "--work-dir", path + ".tiles", "--json"], finished)
        if not bpy.app.background:
            self.report({"INFO"}, f"All machines render {os.path.basename(path)}; there will be a notice.")


def finished(run):
    """A picture is there, or not."""
    if run.error:
        tell(run.error, None)
        return
    path = next((event["output"] for event in events(run.said) if event.get("event") == "done"), None)
    if path is not None:
        import shutil

        shutil.rmtree(path + ".tiles", ignore_errors=True)
        tell(f"{os.path.basename(path)} is rendered", path)


def events(text):
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def tell(text, path):
    """A notice in Blender's window, with a button that shows the picture."""
    session.notices.append(text)
    if bpy.app.background:
        print(f"All Machines: {text}")
        return

    def draw(self, context):
        self.layout.label(text=text, translate=False, icon="ERROR" if path is None else "IMAGE_DATA")
        if path is not None:
            self.layout.operator("tilectl.show", icon="ZOOM_ALL").filepath = path

    bpy.context.window_manager.popup_menu(draw, title="All Machines")
    nodes.redraw()


class TILECTL_OT_show(Operator, bpy.types.Operator):
    """Open the picture in an Image Editor in a window of its own"""

    bl_idname = "tilectl.show"
    bl_label = "Show"

    filepath: StringProperty(name="File", subtype="FILE_PATH", description="The picture")

    def run(self, context):
        image = bpy.data.images.load(self.filepath, check_existing=True)
        image.reload()
        if bpy.app.background:
            return
        bpy.ops.wm.window_new()
        area = context.window_manager.windows[-1].screen.areas[0]
        area.type = "IMAGE_EDITOR"
        area.spaces.active.image = image


class TILECTL_OT_heat_map(Operator, bpy.types.Operator):
    """Measure with few samples where the time of the frame goes, and show it in an Image Editor"""

    bl_idname = "tilectl.heat_map"
    bl_label = "Heat Map"

    filepath: StringProperty(name="File", subtype="FILE_PATH",
                             description="Where the map goes, a PNG; a file of the extension's own when empty")

    def run(self, context):
        scene = context.scene
        path = bpy.path.abspath(self.filepath) or os.path.join(places.folder("maps"), "heat.png")
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        start(context, "heat map", "map", ["--frame", str(scene.frame_current), "--scene", scene.name, "--quick", "-o",
                                           path], lambda run: self.mapped(run, path))

    @staticmethod
    def mapped(run, path):
        tell(run.error or "The heat map is there", None if run.error else path)


class TILECTL_OT_plan(Operator, bpy.types.Operator):
    """Ask the machines how long the frame would take; renders small pieces of it"""

    bl_idname = "tilectl.plan"
    bl_label = "Estimate"

    def run(self, context):
        nodes.window().estimate = "Measuring"
        start(context, "estimate", "plan", [*scene_flags(context), "--json"], planned)


def planned(run):
    state = nodes.window()
    state.estimate = run.error or estimate(run.said)
    if bpy.app.background:
        print(f"All Machines: {state.estimate}")
    nodes.redraw()


def estimate(said):
    try:
        plan = json.loads(said)
    except ValueError:
        return "The plan says nothing."
    if plan.get("seconds") is None:
        return "How long it would take is not known yet."
    alone = plan.get("alone")
    instead = ""
    if alone and alone[1] > plan["seconds"]:
        instead = f" instead of {job.clock(alone[1])} on {alone[0]} alone"
    return f"About {job.clock(plan['seconds'])}{instead}."


class TILECTL_OT_nodes_check(Operator, bpy.types.Operator):
    """Reach every machine that takes part, and see whether it can render"""

    bl_idname = "tilectl.nodes_check"
    bl_label = "Check Machines"

    def run(self, context):
        nodes.load()
        if nodes.window().trouble:
            raise program.Trouble(nodes.window().trouble)
        nodes.check()


class TILECTL_OT_node_add(Operator, bpy.types.Operator):
    """Add a machine that you can log in to with SSH"""

    bl_idname = "tilectl.node_add"
    bl_label = "Add Machine"

    node: StringProperty(name="Machine",
                         description="[user@]host[:port], a name of ~/.ssh/config, or local; options may follow after "
                                     "commas, for example me@server,threads=8")

    def invoke(self, context, event):
        return context.window_manager.invoke_props_dialog(self)

    def run(self, context):
        if not self.node.strip():
            raise program.Trouble("Write the machine's name, for example me@server.")
        program.tell("nodes", "add", self.node.strip(), *nodes.flags(bpy.data.filepath))
        nodes.load()


class TILECTL_OT_node_remove(Operator, bpy.types.Operator):
    """Take the machine out of the list"""

    bl_idname = "tilectl.node_remove"
    bl_label = "Remove Machine"

    node: StringProperty(name="Machine", description="Its name; the chosen one when empty")

    def run(self, context):
        state = nodes.window()
        name = self.node
        if not name and 0 <= state.active < len(state.nodes):
            name = state.nodes[state.active].name
        if not name:
            raise program.Trouble("Choose a machine in the list first.")
        program.tell("nodes", "remove", name, *nodes.flags(bpy.data.filepath))
        nodes.load()


class TILECTL_OT_node_enable(Operator, bpy.types.Operator):
    """Let a machine take part, or not"""

    bl_idname = "tilectl.node_enable"
    bl_label = "Switch Machine On or Off"

    node: StringProperty(name="Machine", description="Its name")
    enable: BoolProperty(name="Takes Part", default=True, description="Whether it takes part")

    def run(self, context):
        program.tell("nodes", "enable" if self.enable else "disable", self.node, *nodes.flags(bpy.data.filepath))
        nodes.load()


CLASSES = (TILECTL_OT_render, TILECTL_OT_render_background, TILECTL_OT_show, TILECTL_OT_heat_map, TILECTL_OT_plan,
           TILECTL_OT_nodes_check, TILECTL_OT_node_add, TILECTL_OT_node_remove, TILECTL_OT_node_enable)


def register():
    for each in CLASSES:
        bpy.utils.register_class(each)


def unregister():
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
