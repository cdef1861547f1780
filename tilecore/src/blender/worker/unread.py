"""Reading a scene part by part: what cannot be read is said and does not keep the rest from being read."""

import os
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))


class Parts:
    """What of a scene was tried to be read."""

    def __init__(self):
        #: What went wrong first, in words; None while all went well.
        self.trouble = None

    def read(self, what, function, otherwise):
        """What `function` reads, or `otherwise` where that ends in an exception nobody thought of."""
        try:
            return function()
        except Exception as e:
            traceback.print_exc()
            self.trouble = self.trouble or f"{what} could not be read ({place(e)})"
            return otherwise


def place(error):
    """An exception and where it came from, in one line: the last place in the worker's own files, if there is one."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if os.path.dirname(os.path.abspath(frame.filename)) == HERE]
    words = " ".join(str(error).split())[:200]
    named = f"{type(error).__name__}: {words}" if words else type(error).__name__
    if not (own or frames):
        return named
    frame = (own or frames)[-1]
    return f"{named}, in {os.path.basename(frame.filename)}, line {frame.lineno}"
