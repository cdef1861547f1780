"""Files on the node, all of them below its cache directory.

    store/ab/abcd...           content by SHA-256, written once, shared by all jobs
    store/ab/abcd....RUN.part  content that is still arriving; who receives it holds a lock on it
    trees/LAYOUT/...           a scene's files as links into the store, laid out as on the controller
    trees/LAYOUT.lock          held by every worker that has the scene open
    spool/JOB/TILE             finished tiles, until the controller has them
    spool/JOB.lock             held by every worker of the job
    run/HOST-ID/               one running worker's own directory (kept by the shell that started it)

Several workers, also of several controllers, share all of this, and any of them may be killed at any moment.
"""

import errno
import fcntl
import hashlib
import os
import random
import re
import shutil
import stat
import threading
import time

import names
from arrival import CHUNK, Arrival, Seals, digest_of, lock, locked_file, seal_of
from wire import Refused

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DIGEST = re.compile(r"[0-9a-f]{64}\Z")
TOKEN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}\Z")
#: How much of what is sealed is read again at a start, picked at random: bits rot without touching the time stamp.
SAMPLE = 128 << 20
#: Where the file system has no locks, what was used within this time is taken to be in use, seconds.
IN_USE = 86400


def checked(pattern, value, what):
    if not isinstance(value, str) or not pattern.match(value):
        raise Refused("bad_request", f"not a {what}: {value!r}"[:200])
    return value


def sample(files):
    """Digests of files to read again: at random, SAMPLE bytes of them on average at most."""
    left, picked = SAMPLE, set()
    for digest, size in random.sample(files, len(files)):
        if size > left and random.random() * size > left:
            break
        picked.add(digest)
        left -= size
        if left <= 0:
            break
    return picked


class Store:
    def __init__(self, root, run, wire):
        self.root = os.path.abspath(root)
        self.wire = wire
        self.run_name = checked(TOKEN, run, "run name")
        self.arriving = {}
        #: Digest -> what the file looked like when its content was known to be right.
        self.seen = {}
        #: Parent directory -> (path, descriptor of its lock): the one tree and the one spool in use here.
        self.held = {}
        self.spools = threading.Lock()
        self.seals = Seals()
        for folder in ("store", "trees", "spool"):
            os.makedirs(os.path.join(root, folder), exist_ok=True)

    # Content

    def path_of(self, digest):
        return os.path.join(self.root, "store", digest[:2], digest)

    def trusted(self, digest, info):
        return info.st_mtime_ns == seal_of(digest) or self.seen.get(digest) == (info.st_ino, info.st_mtime_ns)

    def whole(self, digest, size, again=False):
        """Whether the store has it, unharmed: a disk that lost a bit must cost an upload, not a wrong picture."""
        path = self.path_of(digest)
        try:
            info = os.lstat(path)
            if not stat.S_ISREG(info.st_mode) or info.st_size != size:
                os.unlink(path)
                return False
            if again or not self.trusted(digest, info):
                if digest_of(path) != digest:
                    os.unlink(path)
                    return False
                self.right(path, digest, info)
            # Last use, for cleaning by age; the time of last change stays.
            os.utime(path, ns=(time.time_ns(), info.st_mtime_ns))
            return True
        except FileNotFoundError:
            return False

    def right(self, path, digest, info):
        self.seen[digest] = (info.st_ino, info.st_mtime_ns)
        if info.st_mtime_ns != seal_of(digest):
            self.seals.add(path, digest, info)

    def have(self, request):
        """For each file: -1 when it is here, else how many of its bytes are, to go on from there."""
        files = [(checked(DIGEST, digest, "SHA-256"), int(size)) for digest, size in request["files"]]
        again = sample([(digest, size) for digest, size in files if digest not in self.seen])
        answer = [-1 if self.whole(digest, size, digest in again) else self.claim(digest, size)
                  for digest, size in files]
        return {"have": answer, "free": self.free()}

    def claim(self, digest, size):
        """How much of this file is here, of this run or of one that is gone."""
        arrival = self.arriving.get(digest)
        if arrival is None:
            folder, mine = os.path.dirname(self.path_of(digest)), self.part(digest)
            os.makedirs(folder, exist_ok=True)
            for name in sorted(os.listdir(folder)):
                if name.startswith(digest + ".") and name.endswith(".part"):
                    arrival = Arrival.taken_over(os.path.join(folder, name), mine)
                    if arrival is not None:
                        self.arriving[digest] = arrival
                        break
            else:
                return 0
        if arrival.at > size:
            arrival.start_over()
        return arrival.at

    def part(self, digest):
        return f"{self.path_of(digest)}.{self.run_name}.part"

    def put(self, request, payload):
        """Takes the next piece of a file, or several small files at once."""
        if "batch" in request:
            return self.put_many(request["batch"], payload)
        digest = checked(DIGEST, request["sha256"], "SHA-256")
        size, offset = int(request["size"]), int(request["offset"])
        arrival = self.arriving.get(digest)
        if arrival is None and offset == 0:
            os.makedirs(os.path.dirname(self.path_of(digest)), exist_ok=True)
            arrival = self.arriving[digest] = Arrival.fresh(self.part(digest))
        if arrival is None or arrival.at != offset or offset + len(payload) > size:
            raise Refused("bad_request", "this piece of a file does not follow on the one before")
        try:
            arrival.write(payload)
            if arrival.at == size:
                self.keep(arrival, digest)
        except Exception:
            # The next try looks at what is on disk, not at what should be.
            self.forget(digest)
            raise
        return {"got": offset + len(payload)}

    def keep(self, arrival, digest):
        """The file is complete: into the store with it."""
        if arrival.hash.hexdigest() != digest:
            os.unlink(arrival.path)
            raise Refused("corrupt", "the file arrived damaged")
        os.fchmod(arrival.fd, 0o400)
        path = self.path_of(digest)
        os.replace(arrival.path, path)
        self.right(path, digest, os.fstat(arrival.fd))
        self.forget(digest)

    def forget(self, digest):
        arrival = self.arriving.pop(digest, None)
        if arrival is not None:
            arrival.close()

    def put_many(self, batch, payload):
        view, at = memoryview(payload), 0
        for digest, size in batch:
            checked(DIGEST, digest, "SHA-256")
            content = view[at:at + int(size)]
            at += int(size)
            if len(content) != size or hashlib.sha256(content).hexdigest() != digest:
                raise Refused("corrupt", "a file arrived damaged")
            os.makedirs(os.path.dirname(self.path_of(digest)), exist_ok=True)
            self.forget(digest)
            arrival = self.arriving[digest] = Arrival.fresh(self.part(digest))
            try:
                arrival.write(content)
                self.keep(arrival, digest)
            finally:
                self.forget(digest)
        return {"got": at}

    # A scene's files, laid out as they were

    def lay_out(self, layout, files):
        """Links `files`, a list of [path parts, digest], below trees/`layout`; answers with that directory."""
        root = os.path.join(self.root, "trees", checked(DIGEST, layout, "layout"))
        folders, wanted = {root}, {}
        for parts, digest in files:
            folder = root
            for name in self.parts(parts)[:-1]:
                folder = os.path.join(folder, name)
                folders.add(folder)
            wanted[self.place(root, parts)] = checked(DIGEST, digest, "SHA-256")
        alone = self.hold(root)
        for folder in sorted(folders):
            self.real_folder(folder)
        if alone:
            self.clear(root, folders, wanted)
        for target, digest in wanted.items():
            self.link(digest, target)
        if len({target.casefold() for target in wanted}) < len(wanted):
            for target, digest in wanted.items():
                if not self.same(digest, target):
                    raise Refused("bad_request", f"this file system cannot tell {names.to_wire(target)!r} from a file "
                                  "whose name differs in case only")
        os.utime(root)
        self.hold_on(root)
        return root

    @staticmethod
    def parts(parts):
        found = [names.from_wire(part) for part in parts]
        for name in found:
            if name in ("", ".", "..") or "/" in name or "\0" in name:
                raise Refused("bad_request", f"not a name for a file: {name!r}"[:200])
        if not found:
            raise Refused("bad_request", "a file without a name")
        return found

    def place(self, root, parts):
        return os.path.join(root, *self.parts(parts))

    @staticmethod
    def real_folder(path):
        """Makes a directory; a link in its place is removed, not followed."""
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                os.unlink(path)
                os.mkdir(path, 0o700)

    @staticmethod
    def clear(root, folders, wanted):
        """Removes what an earlier Blender left there: the picture must not depend on it."""
        for folder, below, found in os.walk(root):
            for name in list(below):
                path = os.path.join(folder, name)
                if os.path.islink(path):
                    os.unlink(path)
                elif path not in folders:
                    shutil.rmtree(path)
                    below.remove(name)
            for name in found:
                path = os.path.join(folder, name)
                if path not in wanted or os.path.islink(path):
                    os.unlink(path)

    def link(self, digest, target):
        source = self.path_of(digest)
        try:
            info = os.lstat(source)
            if not self.trusted(digest, info):
                raise Refused("corrupt", "a file in the cache was changed by somebody else")
            if self.same(digest, target):
                return
            fresh = os.path.join(self.root, "trees", self.run_name + ".new")
            if os.path.lexists(fresh):
                os.unlink(fresh)
            try:
                os.link(source, fresh, follow_symlinks=False)
            except OSError as e:
                if e.errno in NO_SPACE or e.errno == errno.ENOENT:
                    raise
                # No links here, or too many of them.
                shutil.copyfile(source, fresh)
                os.utime(fresh, ns=(time.time_ns(), seal_of(digest)))
            os.replace(fresh, target)
        except FileNotFoundError:
            raise Refused("corrupt", "a file in the cache was removed by somebody else")

    def same(self, digest, target):
        """Whether `target` is the stored file, or a copy that nobody has touched."""
        try:
            there, stored = os.lstat(target), os.lstat(self.path_of(digest))
        except OSError:
            return False
        return os.path.samestat(there, stored) or (
            stat.S_ISREG(there.st_mode) and there.st_mtime_ns == seal_of(digest) and there.st_size == stored.st_size)

    # Holding on to what is in use

    def hold(self, path):
        """Keeps a tree or a spool from being tidied away, instead of the one before.

        Says whether nobody else holds it; then nobody else can, until `hold_on`.
        """
        kind = os.path.dirname(path)
        held, fd = self.held.get(kind, (None, None))
        if held == path:
            return bool(lock(fd))
        if held is not None:
            os.close(fd)
        fd, alone = locked_file(path + ".lock")
        self.held[kind] = (path, fd)
        return bool(alone)

    def hold_on(self, path):
        """Goes on holding it, beside others."""
        lock(self.held[os.path.dirname(path)][1], fcntl.LOCK_SH)

    # Finished tiles

    def spool_dir(self, job):
        path = os.path.join(self.root, "spool", checked(TOKEN, job, "job"))
        with self.spools:
            if self.held.get(os.path.dirname(path), (None,))[0] != path:
                self.hold(path)
                self.hold_on(path)
            os.makedirs(path, exist_ok=True)
        return path

    def tile_path(self, job, name):
        return os.path.join(self.spool_dir(job), checked(TOKEN, name, "tile name"))

    def spool(self, request):
        """Every finished tile of the job that is still here, with its hash."""
        folder = self.spool_dir(request["job"])
        tiles = []
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if name.endswith(".tile") and os.path.isfile(path):
                tiles.append({"name": name, "bytes": os.path.getsize(path), "sha256": digest_of(path)})
        return {"tiles": tiles}

    def get(self, request):
        """Sends a spooled file in pieces; the last one has `last` set."""
        path = self.tile_path(request["job"], request["name"])
        offset = int(request.get("offset", 0))
        with open(path, "rb", buffering=0) as f:
            size = os.fstat(f.fileno()).st_size
            f.seek(offset)
            while True:
                block = f.read(CHUNK)
                offset += len(block)
                last = offset >= size or not block
                self.wire.send({"event": "data", "of": request["id"], "offset": offset - len(block), "last": last}, block)
                if last:
                    return {"size": size}

    def drop(self, request):
        """Forgets spooled tiles that the controller has, or the whole job."""
        job = request["job"]
        if request.get("all"):
            path = self.spool_dir(job)
            shutil.rmtree(path, ignore_errors=True)
            try:
                os.unlink(path + ".lock")
            except FileNotFoundError:
                pass
            return {}
        for name in request["names"]:
            try:
                os.unlink(self.tile_path(job, name))
            except FileNotFoundError:
                pass
        return {}

    # Room

    def free(self):
        return shutil.disk_usage(self.root).free

    def disk(self, request):
        size, count = 0, 0
        for folder in ("store", "trees", "spool"):
            for path, _, found in os.walk(os.path.join(self.root, folder)):
                for name in found:
                    try:
                        info = os.lstat(os.path.join(path, name))
                    except OSError:
                        continue
                    if folder != "trees" or info.st_nlink == 1:
                        size += info.st_size
                        count += 1
        return {"bytes": size, "files": count, "free": self.free(), "path": self.root}

    def tidy(self, request):
        """Removes what was not used for `days`, then the longest unused until at most `keep` bytes are left.

        What a worker holds or receives stays, and so does content that lies in a tree that stays.
        """
        oldest = time.time() - float(request.get("days", 30)) * 86400
        keep = request.get("keep")
        removed = 0
        # A tree is made of links and soon made again; a spool may be all that a broken connection left of a render.
        for kind, always in (("trees", keep is not None), ("spool", keep == 0)):
            base = os.path.join(self.root, kind)
            for name in sorted(os.listdir(base)):
                removed += self.tidy_folder(os.path.join(base, name), float("inf") if always else oldest)
        files = []
        for folder, _, found in os.walk(os.path.join(self.root, "store")):
            for name in found:
                path = os.path.join(folder, name)
                try:
                    info = os.lstat(path)
                except OSError:
                    continue
                # Last use is kept as the time of last access; linked files are in a tree that is in use.
                if info.st_nlink == 1:
                    files.append((info.st_atime, info.st_size, path))
        left = self.disk({})["bytes"]
        for used, size, path in sorted(files):
            if (used < oldest or keep is not None and left > keep) and self.remove_content(path):
                left -= size
                removed += size
        return {"removed": removed, "left": left}

    @staticmethod
    def remove_content(path):
        try:
            if path.endswith(".part"):
                fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    free = lock(fd)
                    if free is False or free is None and time.time() - os.fstat(fd).st_mtime < IN_USE:
                        return False
                    os.unlink(path)
                finally:
                    os.close(fd)
            else:
                os.unlink(path)
        except OSError:
            return False
        return True

    @staticmethod
    def tidy_folder(path, oldest):
        """Removes a tree or a job's spool that nobody holds, or what is left of one; answers with the bytes gained."""
        if path.endswith(".lock"):
            path = path[:-5]
        elif not os.path.isdir(path):
            try:
                if os.lstat(path).st_mtime < time.time() - IN_USE:
                    os.unlink(path)
            except OSError:
                pass
            return 0
        try:
            fd = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            return 0
        try:
            free = lock(fd)
            used = os.path.getmtime(path) if os.path.isdir(path) else 0
            if free is False or free is None and time.time() - used < IN_USE or used >= oldest:
                return 0
            gained = 0
            for folder, _, found in os.walk(path):
                for name in found:
                    info = os.lstat(os.path.join(folder, name))
                    gained += info.st_size if info.st_nlink == 1 else 0
            shutil.rmtree(path, ignore_errors=True)
            os.unlink(path + ".lock")
            return gained
        except OSError:
            return 0
        finally:
            os.close(fd)
