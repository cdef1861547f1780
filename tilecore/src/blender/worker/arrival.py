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

    A crash before it was on disk leaves another time. Whole, even seconds: some file systems keep no more.
    """
    return (1_000_000_000 + 2 * (int(digest[:8], 16) >> 3)) * 1_000_000_000


def look(info):
    """What tells whether somebody wrote to a file since: no program can set back the time its inode last changed."""
    return info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


class Stamps:
    """What stored files looked like when their content was last known to be right.

    In files of lines, `stamps/ab` for the digests that begin with ab; the last line for a digest counts. All workers
    that share the store add to them. A line that is lost or torn costs one more reading of the file it is about.
    """

    #: Above so many bytes a file is written anew without the lines that no longer count, if there are many.
    MOST = 1 << 20

    def __init__(self, root):
        self.root = os.path.join(root, "stamps")
        os.makedirs(self.root, exist_ok=True)
        self.store = os.path.join(root, "store")
        #: What this worker has read or received itself, on disk or not yet.
        self.seen = {}
        self.kept = {}
        self.lock = threading.RLock()

    def trusted(self, digest, info):
        """Whether nobody wrote to it since its content was known to be right."""
        with self.lock:
            return self.seen.get(digest) == look(info) or self.written(digest, info)

    def written(self, digest, info):
        """Whether other workers can know that, too."""
        with self.lock:
            return info.st_mtime_ns == seal_of(digest) and self.read(digest).get(digest) == look(info)

    def still(self, digest, before, path):
        """The file was right `before`, and what happened to it since was done here: linking it, say."""
        with self.lock:
            now = os.lstat(path)
            if look(now)[:3] == look(before)[:3]:
                self.seen[digest] = look(now)
                if now.st_mtime_ns == seal_of(digest):
                    self.keep(digest, now)

    def read(self, digest):
        """All lines of the file that this digest is in."""
        name = digest[:2]
        try:
            size = os.stat(os.path.join(self.root, name)).st_size
        except OSError:
            return {}
        if name not in self.kept or self.kept[name][0] != size:
            found = {}
            with open(os.path.join(self.root, name), "rb") as f:
                text = f.read()
            for line in text.split(b"\n"):
                word, *numbers = line.split(b" ")
                if len(word) == 64 and len(numbers) == 4 and all(number.isdigit() for number in numbers):
                    found[word.decode("latin-1")] = tuple(map(int, numbers))
            self.kept[name] = len(text), found
            if len(text) > max(self.MOST, 400 * len(found)):
                self.shorten(name, found)
        return self.kept[name][1]

    def keep(self, digest, info):
        """Writes it down. The content is on disk by now."""
        if self.written(digest, info):
            return
        name, line = digest[:2], self.line(digest, look(info))
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(os.path.join(self.root, name), flags, 0o600)
            try:
                os.write(fd, line)
                size = os.fstat(fd).st_size
            finally:
                os.close(fd)
        except OSError:
            return
        before, found = self.kept.get(name, (0, {}))
        if before + len(line) == size:
            found[digest] = look(info)
            self.kept[name] = size, found

    @staticmethod
    def line(digest, stamp):
        return f"{digest} {' '.join(map(str, stamp))}\n".encode()

    def shorten(self, name, found):
        """Keeps only lines about what is still there."""
        lines = [self.line(digest, stamp) for digest, stamp in found.items()
                 if os.path.lexists(os.path.join(self.store, name, digest))]
        fresh = os.path.join(self.root, f"{name}.{os.getpid()}.new")
        with open(fresh, "wb") as f:
            f.write(b"".join(lines))
        os.replace(fresh, os.path.join(self.root, name))
        self.kept[name] = sum(map(len, lines)), found


class Seals:
    """Brings stored files to the disk in the background, and seals them then."""

    def __init__(self, stamps):
        self.stamps = stamps
        self.waiting = queue.SimpleQueue()
        for _ in range(4):
            threading.Thread(target=self.run, daemon=True).start()

    def add(self, path, digest):
        self.waiting.put((path, digest))

    def run(self):
        while True:
            path, digest = self.waiting.get()
            try:
                self.seal(path, digest)
            except OSError:
                continue  # Unsealed it is read once more before it is used again.

    def seal(self, path, digest):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if self.stamps.written(digest, os.fstat(fd)):
                return
            os.fsync(fd)
            with self.stamps.lock:
                # Nobody wrote to it since it was known to be right.
                if self.stamps.trusted(digest, os.fstat(fd)):
                    os.utime(fd, ns=(time.time_ns(), seal_of(digest)))
                    now = os.fstat(fd)
                    self.stamps.seen[digest] = look(now)
                    self.stamps.keep(digest, now)
        finally:
            os.close(fd)
