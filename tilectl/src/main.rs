//! tilectl: one Blender frame on every machine you own.

fn main() {}
