# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel All Machines in the render properties, and the entries of the Render menu."""

import textwrap

import bpy

from . import nodes, outside, properties, session


class TILECTL_UL_nodes(bpy.types.UIList):
    """The machines, one a line."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index=0, flt_flag=0):
        row = layout.row(align=True)
        row.active = item.enabled
        row.prop(item, "enabled", text="")
        row.label(text=item.name, translate=False, icon=nodes.ICONS[item.state])
        row.label(text=item.device, translate=False)
        row.label(text=item.speed, translate=False)


class RenderPanel:
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "render"
    COMPAT_ENGINES = {"CYCLES"}

    @classmethod
    def poll(cls, context):
        return context.engine in cls.COMPAT_ENGINES


class TILECTL_PT_machines(RenderPanel, bpy.types.Panel):
    bl_label = "All Machines"
    bl_options = {"DEFAULT_CLOSED"}

    def draw_header(self, context):
        self.layout.prop(context.scene.tilectl, "use_all_machines", text="")

    def draw(self, context):
        nodes.wanted = True
        layout = self.layout
        state = context.window_manager.tilectl
        row = layout.row()
        row.template_list("TILECTL_UL_nodes", "", state, "nodes", state, "active", rows=3)
        buttons = row.column(align=True)
        buttons.operator("tilectl.node_add", text="", icon="ADD")
        buttons.operator("tilectl.node_remove", text="", icon="REMOVE")
        buttons.separator()
        buttons.operator("tilectl.nodes_check", text="", icon="FILE_REFRESH")
        if 0 <= state.active < len(state.nodes):
            self.draw_node(layout, state.nodes[state.active], context)
        if state.trouble:
            lines(layout, state.trouble, "ERROR", context)
        elif not nodes.online():
            lines(layout, "Online access is off: only this machine renders.", "INTERNET_OFFLINE"
                  if bpy.app.version >= (4, 2, 0) else "INFO", context)
        row = layout.row()
        row.operator("tilectl.plan", icon="TIME")
        if state.estimate:
            lines(layout, state.estimate, "NONE", context)
        for run in outside.running:
            layout.label(text=f"{run.name.capitalize()} in the background", icon="SORTTIME")
        if session.last is not None:
            for text in session.last.notes[-4:]:
                lines(layout, text, "INFO", context)

    @staticmethod
    def draw_node(layout, node, context):
        if node.state == "TROUBLE":
            lines(layout, node.reason, "ERROR", context)
            lines(layout, node.remedy, "NONE", context)
        elif node.details:
            lines(layout, f"{node.where}: {node.details}", "NONE", context)


class TILECTL_PT_advanced(RenderPanel, bpy.types.Panel):
    bl_label = "Advanced"
    bl_parent_id = "TILECTL_PT_machines"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context):
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        chosen = context.scene.tilectl
        for switch, value in (("use_tiles", "tiles"), ("use_overlap", "overlap")):
            row = layout.row(align=True, heading=chosen.bl_rna.properties[value].name)
            row.prop(chosen, switch, text="")
            part = row.row(align=True)
            part.active = getattr(chosen, switch)
            part.prop(chosen, value, text="")
        column = layout.column(heading="Allow")
        column.prop(properties.preferences(), "allow_scripts", text="Scripts")
        column.prop(chosen, "allow_missing", text="Missing Files")
        layout.prop(properties.preferences(), "folders")


def lines(layout, text, icon, context):
    """A text over as many lines as the panel's width makes of it."""
    scale = context.preferences.system.ui_scale
    width = max(20, int(context.region.width / (7 * scale)) - 6)
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(textwrap.wrap(text, width)):
        column.label(text=line, icon="BLANK1" if number and icon != "NONE" else icon, translate=False)


def draw_menu(self, context):
    layout = self.layout
    layout.separator()
    layout.operator("tilectl.render_background", icon="RENDER_STILL")
    layout.operator("tilectl.heat_map", icon="TEXTURE")


CLASSES = (TILECTL_UL_nodes, TILECTL_PT_machines, TILECTL_PT_advanced)


def register():
    for each in CLASSES:
        bpy.utils.register_class(each)
    bpy.types.TOPBAR_MT_render.append(draw_menu)


def unregister():
    bpy.types.TOPBAR_MT_render.remove(draw_menu)
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
