"""How Cycles scales a pixel around its denoiser, and what tiles must carry so that it can be repeated bit for bit.

Without a sample count per pixel Cycles gives the denoiser the sum of all samples and scales what comes back by
`exposure / samples`. With one (adaptive sampling; frames that Cycles cuts; volumes from 5.0 on) it gives it the mean,
multiplies what comes back by the pixel's samples and divides by them again. Every one of these steps rounds, so the
finish takes the same ones: a tile's Combined must be the sum, or the mean at exposure 1, without rounding that cannot
be undone.
"""

import ctypes
import math

import compat
import extent
import volumes

#: The pass that tells how many samples a pixel got.
COUNT = "Debug Sample Count"


class Film:
    """The film of one view layer."""

    def __init__(self, exposure, samples, counted, adaptive):
        #: Film exposure of the scene.
        self.exposure = exposure
        #: Samples per pixel, at most.
        self.samples = samples
        #: Whether Cycles keeps a sample count per pixel.
        self.counted = counted
        #: Whether a pixel's noise decides how many it gets; Cycles judges it at the scene's exposure.
        self.adaptive = adaptive

    @property
    def scale(self):
        """What Cycles multiplies a sum by when it reads it, without a count per pixel."""
        return single(single(1.0 / self.samples) * self.exposure)

    @property
    def tile_exposure(self):
        """The exposure that tiles are rendered with; None when none is exact."""
        if is_power_of_two(self.exposure) and (self.counted or is_power_of_two(self.samples)):
            return self.exposure
        if self.counted:
            return None if self.adaptive else 1.0
        # The scale becomes a power of two, and Combined the sum itself but for its exponent. Blender up to 4.2 takes
        # no exposure above 10.
        one = single(1.0 / self.samples)
        size = math.frexp(self.samples)[1]
        near = single(math.ldexp(self.samples, 1 - size))
        for exposure in (near, next_single(near, 1), next_single(near, -1)):
            if single(one * exposure) == math.ldexp(1.0, 1 - size):
                return exposure
        return None

    def before(self, exposure):
        """What Combined of tiles rendered with `exposure` is multiplied by before it is denoised."""
        if self.counted:
            return 1.0 / exposure
        return 1.0 / single(single(1.0 / self.samples) * exposure)


def of(scene, layer, own):
    """The film of a view layer; `own` are the scene's own settings."""
    return Film(single(own["cycles"].get("film_exposure", 1.0)), samples(scene, layer),
                bool(is_counted(scene, layer, own)), scene.cycles.use_adaptive_sampling)


def is_counted(scene, layer, own):
    """Whether Cycles keeps a sample count per pixel of the frame; None if that cannot be told."""
    mine = next((each for each in own["layers"] if each["name"] == layer.name), None)
    asked_for = bool(mine and mine["cycles"]["pass_debug_sample_count"])
    if scene.cycles.use_adaptive_sampling or asked_for or extent.frame_is_cut(scene, own):
        return True
    return volumes.are_counted(scene, layer)


def asked(scene, layer):
    """The samples that the scene asks for, as Cycles writes them into metadata."""
    count, mode = scene.cycles.samples, scene.cycles.use_layer_samples
    if layer.samples > 0 and mode == "USE":
        return layer.samples
    return min(count, layer.samples) if layer.samples > 0 and mode == "BOUNDED" else count


def samples(scene, layer):
    """The samples that Cycles takes."""
    cycles, count = scene.cycles, asked(scene, layer)
    if getattr(cycles, "use_sample_subset", False):
        count = max(1, min(count - cycles.sample_offset, cycles.sample_subset_length))
    return count


def repeats(scene):
    """Whether Cycles renders the same again when it keeps the scene."""
    return not compat.KEEPS_PATTERN or len({samples(scene, layer) for layer in scene.view_layers if layer.use}) < 2


def volume_overlap(scene):
    """Pixels that volume guiding looks beyond a tile: 5 each time, after 1, 2, 4, 8... samples."""
    if not volumes.are_guided(scene):
        return 0
    most = max(samples(scene, layer) for layer in scene.view_layers)
    return 5 * math.ceil(math.log2(max(1, most)))


# Arithmetic in single precision


def single(value):
    return ctypes.c_float(value).value


def next_single(value, step):
    bits = ctypes.cast(ctypes.pointer(ctypes.c_float(value)), ctypes.POINTER(ctypes.c_int32)).contents
    return ctypes.cast(ctypes.pointer(ctypes.c_int32(bits.value + step)), ctypes.POINTER(ctypes.c_float)).contents.value


def is_power_of_two(value):
    return value > 0 and math.frexp(value)[0] == 0.5
