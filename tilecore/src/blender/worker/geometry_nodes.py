"""What stands in the inputs of a Geometry Nodes modifier, in any version of Blender, and which constant text a socket
of such nodes gets.

Up to 5.1 the inputs are custom properties of the modifier; from 5.2 on each is a structure of its own.
"""

#: Nodes that hand on one of their text inputs.
CHOOSING = ("GeometryNodeSwitch", "GeometryNodeIndexSwitch", "GeometryNodeMenuSwitch")


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


class Text:
    """Where a constant text stands: what holds it, and in which property."""

    def __init__(self, holder, attribute):
        self.holder, self.attribute = holder, attribute

    @property
    def value(self):
        return getattr(self.holder, self.attribute)

    def point(self, value):
        setattr(self.holder, self.attribute, value)


class Computed(Exception):
    """A text that only evaluating the nodes tells."""


def texts(socket, tree, modifiers, trees, deep=0):
    """Every constant text that may arrive at an input of a node of `tree`; `Computed` where it is no constant.
    `modifiers` are all that use Geometry Nodes, `trees` all node trees."""
    if deep > 32:
        raise Computed
    if not socket.is_linked:
        return [Text(socket, "default_value")]
    link = socket.links[0]
    node, output = link.from_node, link.from_socket
    if output.type != "STRING" or node.mute or link.is_muted:
        raise Computed
    go_on = lambda each, within=tree: texts(each, within, modifiers, trees, deep + 1)  # noqa: E731
    if node.type == "REROUTE":
        return go_on(node.inputs[0])
    if node.bl_idname == "FunctionNodeInputString":
        return [Text(node, "string")]
    if node.bl_idname in CHOOSING:
        return [found for each in node.inputs if each.type == "STRING" and not each.is_unavailable for found in go_on(each)]
    if node.type == "GROUP_INPUT":
        found = [Text(each, "value") for modifier in modifiers if modifier.node_group == tree
                 for item, each in inputs(modifier) if item.identifier == output.identifier]
        for other in trees:
            for user in other.nodes:
                if user.type == "GROUP" and user.node_tree == tree:
                    for each in user.inputs:
                        if each.identifier == output.identifier:
                            found += go_on(each, other)
        if any(not isinstance(each.value, str) for each in found):
            raise Computed
        return found
    if node.type == "GROUP" and node.node_tree is not None:
        return [found for end in node.node_tree.nodes if end.type == "GROUP_OUTPUT" and end.is_active_output
                for each in end.inputs if each.identifier == output.identifier for found in go_on(each, node.node_tree)]
    raise Computed
