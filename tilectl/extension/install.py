# SPDX-License-Identifier: GPL-3.0-or-later
"""Run by `tilectl extension` in the user's Blender: installs the extension and switches it on, or removes it.

    blender -b -P install.py -- install FILE.zip | remove

Its last line begins with MARK: the module that was installed, or what went wrong.
"""

import os
import shutil
import sys

import bpy

MARK = "tilectl-extension:"
#: From here on add-ons are extensions.
EXTENSIONS = bpy.app.version >= (4, 2, 0)
REPOSITORY = "user_default"
MODULE = f"bl_ext.{REPOSITORY}.tilectl" if EXTENSIONS else "tilectl"


def install(path):
    if EXTENSIONS:
        # One that is loaded would go on as it was.
        if MODULE in bpy.context.preferences.addons:
            bpy.ops.preferences.addon_disable(module=MODULE)
        bpy.ops.extensions.package_install_files(filepath=path, repo=REPOSITORY, enable_on_install=True, overwrite=True)
    else:
        bpy.ops.preferences.addon_install(filepath=path, overwrite=True)
        bpy.ops.preferences.addon_enable(module=MODULE)
    if MODULE not in bpy.context.preferences.addons:
        raise RuntimeError("Blender did not switch the extension on")
    bpy.ops.wm.save_userpref()


def remove():
    if MODULE in bpy.context.preferences.addons:
        bpy.ops.preferences.addon_disable(module=MODULE)
    if EXTENSIONS:
        repositories = bpy.context.preferences.extensions.repos
        index = next(i for i, each in enumerate(repositories) if each.module == REPOSITORY)
        folder = os.path.join(repositories[index].directory, "tilectl")
        if os.path.isdir(folder):
            bpy.ops.extensions.package_uninstall(repo_index=index, pkg_id="tilectl")
        own = bpy.utils.user_resource("EXTENSIONS", path=os.path.join(".user", REPOSITORY, "tilectl"))
    else:
        folder = os.path.join(bpy.utils.user_resource("SCRIPTS", path="addons"), "tilectl")
        shutil.rmtree(folder, ignore_errors=True)
        own = bpy.utils.user_resource("DATAFILES", path="tilectl")
    # Preferences, copies and tiles of the extension.
    shutil.rmtree(own, ignore_errors=True)
    bpy.ops.wm.save_userpref()
    if os.path.isdir(folder):
        raise RuntimeError(f"{folder} is still there")


def main():
    words = sys.argv[sys.argv.index("--") + 1:]
    try:
        install(words[1]) if words[0] == "install" else remove()
    except Exception as e:
        print(f"\n{MARK} failed {' '.join(str(e).split())}")
        sys.exit(1)
    print(f"\n{MARK} done {MODULE}")


main()
