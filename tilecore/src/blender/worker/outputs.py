"""File Output nodes: their files are written below a folder of the finish and named as the nodes wanted them."""

import os
import re
import shutil

import compat

#: What stands for a step up in a path, so that nothing is written outside the folder.
UP = "__up__"


class Redirected:
    def __init__(self, node, root, folder):
        self.node = node
        #: "//", "/", "C:/" or "": what the path of the node was relative to.
        self.root = root
        self.folder = folder


def redirect(scene, folder):
    """Sends the files of every File Output node of the scene's compositor below `folder`."""
    found = []
    for node in compat.nodes_of(compat.active_compositor(scene)):
        if node.type != "OUTPUT_FILE":
            continue
        name = compat.output_folder(node)
        root, rest = split_root(getattr(node, name))
        place = os.path.join(folder, str(len(found)))
        setattr(node, name, os.path.join(place, contained(rest)))
        for holder, attribute in compat.output_paths(node):
            setattr(holder, attribute, contained(getattr(holder, attribute)))
        found.append(Redirected(node.name, root, place))
    return found


def split_root(path):
    """What a path is relative to, and the rest of it."""
    match = re.match(r"//|[A-Za-z]:[\\/]|/|\\\\?", path)
    root = match.group(0) if match else ""
    return root, path[len(root):]


def contained(path):
    """The path with every step up replaced by a name."""
    return re.sub(r"(^|[\\/])\.\.(?=$|[\\/])", r"\1" + UP, path)


def collect(redirected, output):
    """Moves the files beside `output` and says where each of them was meant to be."""
    files = []
    for each in redirected:
        for folder, _, names in os.walk(each.folder):
            for name in sorted(names):
                path = os.path.join(folder, name)
                inside = os.path.relpath(path, each.folder).replace(os.sep, "/")
                target = each.root + "/".join(".." if part == UP else part for part in inside.split("/"))
                kept = f"{os.path.splitext(output)[0]}.output-{len(files)}{os.path.splitext(name)[1]}"
                shutil.move(path, kept)
                files.append({"kind": "file_output", "path": kept, "node": each.node, "target": target})
    return files
