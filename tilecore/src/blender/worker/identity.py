"""What a scene or an object is called between controller and worker: its name, or, where it is linked, its name and
that of its library in brackets. The name alone may belong to several: to one of the file and to one of each library."""

from wire import Refused


def key(thing, among):
    """What `thing` is called among the scenes, or among the objects, of a file."""
    if thing.library is None:
        return thing.name
    label = f"{thing.name} [{thing.library.name}]"
    while any(other.library is None and other.name == label for other in among):
        label += "'"
    return label


def find(called, among):
    """What is called so; a name alone finds what is linked too, if there is only one of that name. None if there is
    nothing, or not only one."""
    near = [thing for thing in among
            if called == thing.name or thing.library is not None and called.startswith(thing.name + " [")]
    exact = [thing for thing in near if key(thing, among) == called]
    named = [thing for thing in near if thing.name == called]
    return exact[0] if exact else named[0] if len(named) == 1 else None


def found(called, among, what):
    """What is called so, or a refusal that lists all there are."""
    thing = find(called, among)
    if thing is None:
        keys = [key(each, among) for each in among]
        raise Refused(f"no_{what}", f"the file has no {what} {called!r}; it has "
                      + (", ".join(map(repr, keys)) or "none"), called, keys)
    return thing
