def configure(scene, fmt):
    r = scene.render
    r.dither_intensity = 0.0
    r.use_compositing = r.use_sequencer = r.use_stamp = False
    r.image_settings.file_format = "PNG"
    r.image_settings.compression = 15
