"""Content on its way into the store, and the seal that says it lies there whole."""

import hashlib
import os
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from locks import lock

CHUNK = 1 << 20
#: Smaller pieces are hashed sooner than another thread is awake.
WORTH_IT = 128 << 10
HASHER = ThreadPoolExecutor(1)


def digest_of(path):
    h = hashlib.sha256()
    with open(path, "rb", buffering=0) as f:
        while block := f.read(CHUNK):
            h.update(block)
    return h.hexdigest()


class Arrival:
    """One file that is being received in order; it goes on from what is there."""

    def __init__(self, path, fd):
        self.path = path
        self.fd = fd
        self.at = 0
        self.hash = hashlib.sha256()
        while block := os.read(fd, CHUNK):
            self.take(block)

    def take(self, block):
        self.hash.update(block)
        self.at += len(block)

    def write(self, block):
        # Both let other threads run meanwhile; writing takes the longer.
        hashed = HASHER.submit(self.take, block) if len(block) >= WORTH_IT else None
        view = memoryview(block)
        while view:
            view = view[os.write(self.fd, view):]
        if hashed is None:
            self.take(block)
        else:
            hashed.result()

    def start_over(self):
        os.ftruncate(self.fd, 0)
        os.lseek(self.fd, 0, os.SEEK_SET)
        self.at = 0
        self.hash = hashlib.sha256()

    def close(self):
        os.close(self.fd)

    @classmethod
    def fresh(cls, path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        lock(fd)
        return cls(path, fd)

    @classmethod
    def taken_over(cls, path, mine):
        """Goes on with what a run left that is gone; None while that run lives."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            free = lock(fd)
            if free is None:
                free = time.time() - os.fstat(fd).st_mtime > 30
            if free and os.path.samestat(os.fstat(fd), os.lstat(path)):
                if path != mine:
                    os.rename(path, mine)
                return cls(mine, fd)
        except OSError:
            pass
        os.close(fd)
        return None


def seal_of(digest):
    """The time of last change, in nanoseconds, that a file of this content is given once it is safely on disk.

    Whoever writes to it later changes the time; a crash before it was on disk leaves another time. So a file that
    bears its seal need not be read again. Whole, even seconds: some file systems keep no more.
    """
    return (1_000_000_000 + 2 * (int(digest[:8], 16) >> 3)) * 1_000_000_000


class Seals:
    """Brings stored files to the disk in the background, and seals them then."""

    def __init__(self):
        self.waiting = queue.SimpleQueue()
        for _ in range(4):
            threading.Thread(target=self.run, daemon=True).start()

    def add(self, path, digest, info):
        self.waiting.put((path, digest, info))

    def run(self):
        while True:
            path, digest, info = self.waiting.get()
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    os.fsync(fd)
                    now = os.fstat(fd)
                    if (now.st_ino, now.st_mtime_ns) == (info.st_ino, info.st_mtime_ns):
                        os.utime(fd, ns=(time.time_ns(), seal_of(digest)))
                finally:
                    os.close(fd)
            except OSError:
                continue  # Unsealed it is read once more before it is used again.
