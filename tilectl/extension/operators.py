# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done with the machines besides F12."""


def register():
    pass


def unregister():
    pass
