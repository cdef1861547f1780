"""How many samples Cycles took, written into a tile, because the tile's own pixels do not say.

Cycles stores a pixel's sample count divided by the most samples that any pixel of the same render got. With
adaptive sampling a tile may be done sooner than the frame, so that a stored 1.0 means something else in every tile.
Only the progress messages tell, but where Cycles cuts the tile and takes the samples asked for as the whole. The
number is written into a place held open in the tile's metadata, and the stitch makes numbers of samples of the
fractions.
"""

import re

import bpy

import exr_header
import extent
import film

#: What the metadata field starts with; then one number for each sample count channel, in the order of the file.
MARK = "tilectl samples:"
#: Blender's metadata field for notes in EXR files, and room for some eighty channels; Blender cuts it at 511.
FIELD = "Note"
ROOM = 500
CHANNEL = re.compile(r"\.Debug Sample Count(\.[^.]+)?\.X$")


class NotTold(Exception):
    """Blender did not say how many samples it took."""


def hold_open(render):
    """Reserves the place in the metadata of what is rendered next."""
    render.use_stamp_note = True
    render.stamp_note_text = MARK.ljust(ROOM, ".")


def channels(header):
    """The sample count channels of a file, in its order."""
    return sorted((name for name in header.channels if CHANNEL.search(name)), key=lambda name: name.encode())


def most(header):
    """The most samples of any pixel, by channel, from the metadata of a tile or a stitched frame."""
    note = header.texts.get(FIELD, "")
    if not note.startswith(MARK):
        return {}
    return dict(zip(channels(header), (int(n) for n in note[len(MARK):].split())))


class Watch:
    """Listens to one render: make it before, `seal` what was written after."""

    def __init__(self, scene):
        self.scene = scene
        self.held_open = scene.render.stamp_note_text.startswith(MARK) and scene.render.use_stamp_note
        layers = [layer for layer in scene.view_layers if layer.use]
        views = views_of(scene)
        #: In the order they are rendered.
        self.renders = [(layer.name, view) for layer in layers for view in views]
        self.done = []
        self.now = 0
        if self.held_open:
            bpy.app.handlers.render_stats.append(self.heard)

    def heard(self, *said):
        for text in said:
            if isinstance(text, str):
                self.feed(text)

    def feed(self, text):
        """Takes in what Blender says: strings from its handler, or lines of its output where that is all there is."""
        for sample in re.findall(r"Sample (\d+)/\d+|\|\s*(Finished)", text):
            number = int(sample[0] or 0)
            if number == 0:
                self.end()
            self.now = number

    def end(self):
        if self.now:
            self.done.append(self.now)
        self.now = 0

    def close(self):
        if self.heard in bpy.app.handlers.render_stats:
            bpy.app.handlers.render_stats.remove(self.heard)
        self.end()

    def seal(self, path):
        """Writes the numbers into the tile at `path`, if it has a place for them."""
        self.close()
        if not self.held_open:
            return
        header = exr_header.read(path)
        names = channels(header)
        if not names:
            return
        if extent.is_cut(self.scene, header.size):
            layers = self.scene.view_layers
            self.done = [film.samples(self.scene, layers[layer]) for layer, _ in self.renders]
        if len(self.done) != len(self.renders):
            raise NotTold(f"Blender told the samples of {len(self.done)} of {len(self.renders)} renders")
        samples = dict(zip(self.renders, self.done))
        numbers = [samples[split(name)] for name in names]
        exr_header.overwrite(path, FIELD, f"{MARK} {' '.join(map(str, numbers))}".ljust(ROOM))


def split(channel):
    """The view layer and view of a sample count channel."""
    match = CHANNEL.search(channel)
    return channel[:match.start()], (match.group(1) or ".")[1:]


def views_of(scene):
    import reads

    return [view.name for view in reads.active_views(scene)] if scene.render.use_multiview else [""]
