# SPDX-License-Identifier: GPL-3.0-or-later
"""Tiles in the Render Result while others are still being rendered.

An Image Editor asks a running Cycles to draw, and draws nothing else. The render thread lays the pixels of tiles ready
here; the window's thread makes textures of them, a few at a time, and draws those. Very large frames are drawn with
fewer pixels: nobody sees more, and graphics memory is dear.
"""

import collections

#: Longest side of what is drawn, pixels.
LONGEST = 4096
#: The most pixels that become textures in one drawing.
AT_ONCE = 1 << 19


class Display:
    """What is drawn of one run."""

    def __init__(self):
        self.ready = collections.deque()
        self.textures = []

    def add(self, place, size, pixels):
        """`pixels` of `size`, four floats each from the bottom left, are drawn at `place`: left, bottom, width, height."""
        self.ready.append((place, size, pixels))

    def draw(self):
        """Draws what has arrived; on the window's thread, in the coordinates of the frame."""
        import gpu
        from gpu_extras.presets import draw_texture_2d

        left = AT_ONCE
        while self.ready and left > 0:
            place, size, pixels = self.ready.popleft()
            left -= size[0] * size[1]
            buffer = gpu.types.Buffer("FLOAT", len(pixels), pixels)
            self.textures.append((place, gpu.types.GPUTexture(size, format="RGBA16F", data=buffer)))
        gpu.state.blend_set("ALPHA_PREMULT")
        for (x, y, width, height), texture in list(self.textures):
            draw_texture_2d(texture, (x, y), width, height)
        gpu.state.blend_set("NONE")


def step_of(frame):
    """Every how many pixels one is drawn."""
    return -(-max(frame) // LONGEST)


def thinned(pixels, width, height, step):
    """Every so many pixels of every so many rows, and how many these are."""
    if step == 1:
        return pixels, (width, height)
    rows, columns = range(0, height, step), len(range(0, width, step))
    out = pixels[:0]
    for row in rows:
        line = pixels[row * width * 4:(row + 1) * width * 4]
        thin = line[:0]
        thin.extend(line[:columns * 4])
        for channel in range(4):
            thin[channel::4] = line[channel::4 * step]
        out.extend(thin)
    return out, (columns, len(rows))
