"""What stands in the inputs of a Geometry Nodes modifier, in any version of Blender.

Up to 5.1 the inputs are custom properties of the modifier; from 5.2 on each is a structure of its own.
"""


class ModifierInput:
    """One input of a Geometry Nodes modifier: the identifier of its socket, and the value that stands there."""

    def __init__(self, modifier, identifier):
        self.modifier = modifier
        self.identifier = identifier

    def holder(self):
        """From 5.2 on the structure that holds the value; None where this version has no such structures."""
        properties = getattr(self.modifier, "properties", None)
        return None if properties is None else getattr(properties.inputs, self.identifier, None)

    @property
    def value(self):
        """The value, or None where the input has none: a geometry, a bundle."""
        if hasattr(self.modifier, "properties"):
            return getattr(self.holder(), "value", None)
        return self.modifier.get(self.identifier)

    @value.setter
    def value(self, value):
        if hasattr(self.modifier, "properties"):
            self.holder().value = value
        else:
            self.modifier[self.identifier] = value


def interface_inputs(group):
    """The inputs that a node group declares, in their order."""
    if group is None:
        return []
    if hasattr(group, "interface"):
        return [item for item in group.interface.items_tree if item.item_type == "SOCKET" and item.in_out == "INPUT"]
    return list(group.inputs)


def inputs(modifier):
    """(what the group declares, what the modifier holds) of each input."""
    return [(item, ModifierInput(modifier, item.identifier)) for item in interface_inputs(modifier.node_group)]
