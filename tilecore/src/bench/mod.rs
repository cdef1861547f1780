//! The cache of measured rates and cost maps: one versioned file, keyed by node, scene and Blender.
