"""Locks on files that several workers share; whatever ends a worker releases them."""

import fcntl
import os


def lock(fd, kind=fcntl.LOCK_EX):
    """Whether this process now holds the lock; None where the file system has no locks. It goes with the process."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return None


def locked_file(path):
    """A lock file, made if need be: (descriptor, as `lock`). Someone may remove it at any moment."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        alone = lock(fd)
        if alone is False:
            fcntl.flock(fd, fcntl.LOCK_SH)
        try:
            if os.path.samestat(os.fstat(fd), os.lstat(path)):
                return fd, alone
        except FileNotFoundError:
            pass
        os.close(fd)


class Held:
    """What this worker keeps from being tidied away: at most one path, through a lock file beside it.

    A lock that changes between shared and exclusive is let go for a moment, and whoever tidies up may take it then.
    So a lock file is asked, each time it was changed, whether it is still the one at its path.
    """

    def __init__(self):
        self.path = None
        self.fd = None

    def take(self, path):
        """Holds `path` instead of the one before.

        Says whether nobody else holds it; then nobody else can, until `share`. What was at the path may be gone.
        """
        self.path = None
        before, self.fd = self.fd, None
        if before is not None:
            os.close(before)
        self.fd, alone = locked_file(path + ".lock")
        self.path = path
        return bool(alone)

    def share(self):
        """Goes on holding it, beside others; False if it was tidied away meanwhile and has to be taken again."""
        try:
            # Whoever tidies has it for a moment only.
            fcntl.flock(self.fd, fcntl.LOCK_SH)
        except OSError:
            return True  # No locks here: nothing that was used lately is tidied away.
        try:
            if os.path.samestat(os.fstat(self.fd), os.lstat(self.path + ".lock")):
                return True
        except FileNotFoundError:
            pass
        self.path = None
        return False
