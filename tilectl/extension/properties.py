# SPDX-License-Identifier: GPL-3.0-or-later
"""What is chosen: per scene whether all machines render it and how, and for everything where the program is."""

import bpy
from bpy.props import BoolProperty, IntProperty, PointerProperty, StringProperty


class TILECTL_AP_preferences(bpy.types.AddonPreferences):
    bl_idname = __package__

    program: StringProperty(
        name="Program", subtype="FILE_PATH",
        description="The program tilectl; found by itself when empty")
    config: StringProperty(
        name="Configuration", subtype="FILE_PATH",
        description="The file with the machines; when empty tilectl.ron beside the .blend, else your own")

    # Nothing that a file of somebody else's may decide.
    allow_scripts: BoolProperty(
        name="Allow Scripts",
        description="Let Python scripts and drivers inside files run on the machines, as they do here")
    folders: StringProperty(
        name="Folders", description="Folders beside the file's own whose files may be sent to the machines, with "
                                    "semicolons between them")

    def draw(self, context):
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "program")
        layout.prop(self, "config")
        layout.prop(self, "folders")
        layout.prop(self, "allow_scripts")


class TILECTL_PG_scene(bpy.types.PropertyGroup):
    use_all_machines: BoolProperty(
        name="All Machines", options=set(),
        description="Render Image and Render Animation run on all machines in the list, with exactly the pixels of one")
    allow_missing: BoolProperty(
        name="Allow Missing Files", options=set(),
        description="Render although files that the scene refers to are missing")
    use_overlap: BoolProperty(
        name="Own Overlap", options=set(),
        description="Choose how far tiles are rendered beyond their edges, instead of what the scene needs")
    overlap: IntProperty(
        name="Overlap", default=8, min=0, max=4096, subtype="PIXEL", options=set(),
        description="Pixels rendered beyond each tile on every side and cropped away")
    use_tiles: BoolProperty(
        name="Own Number of Tiles", options=set(),
        description="Choose the number of tiles, instead of what the speed of the machines suggests")
    tiles: IntProperty(
        name="Tiles", default=64, min=1, soft_max=4096, options=set(),
        description="Cut the frame into a uniform grid of this many tiles")


def preferences():
    return bpy.context.preferences.addons[__package__].preferences


CLASSES = (TILECTL_AP_preferences, TILECTL_PG_scene)


def register():
    for each in CLASSES:
        bpy.utils.register_class(each)
    bpy.types.Scene.tilectl = PointerProperty(type=TILECTL_PG_scene)


def unregister():
    del bpy.types.Scene.tilectl
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
