"""A scene's files on the node, laid out as they were on the controller: links into the store."""

import errno
import os
import shutil
import stat
import time

import names
from arrival import digest_of, look, seal_of
from locks import Held
from names import DIGEST, checked
from wire import Refused

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Trees:
    def __init__(self, store):
        self.store = store
        self.root = os.path.join(store.root, "trees")
        self.held = Held()
        #: What copies looked like that were read, where the file system has no links.
        self.copies = {}

    def lay_out(self, layout, files):
        """Links `files`, a list of [path parts, digest], below trees/`layout`; answers with that directory.

        A third item is the digest of another file: this one gets the same time of last change, and is a copy for that.
        """
        root = os.path.join(self.root, checked(DIGEST, layout, "layout"))
        folders, wanted = {root}, {}
        for parts, digest, *as_old_as in files:
            folder = root
            for name in self.parts(parts)[:-1]:
                folder = os.path.join(folder, name)
                folders.add(folder)
            digests = [checked(DIGEST, d, "SHA-256") for d in (digest, *as_old_as)]
            wanted[self.place(root, parts)] = digests[0], digests[-1] if as_old_as else None
        self.fill(root, folders, wanted)
        while not self.held.share():
            self.fill(root, folders, wanted)
        return root

    def fill(self, root, folders, wanted):
        """Brings the tree at `root` to what is wanted. Others may hold it too, or tidy it away until it is shared."""
        alone = self.held.take(root)
        for folder in sorted(folders):
            self.real_folder(folder)
        if alone:
            self.clear(root, folders, wanted)
        for target, (digest, as_old_as) in wanted.items():
            if as_old_as is None:
                self.link(digest, target)
        for target, (digest, as_old_as) in wanted.items():
            if as_old_as is not None:
                self.store.sealed(as_old_as)
                self.link(digest, target, seal_of(as_old_as))
        if len({target.casefold() for target in wanted}) < len(wanted):
            for target, (digest, as_old_as) in wanted.items():
                if not self.same(digest, target, as_old_as and seal_of(as_old_as)):
                    raise Refused("bad_request", f"this file system cannot tell {names.to_wire(target)!r} from a file "
                                  "whose name differs in case only")
        os.utime(root)

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

    def link(self, digest, target, time_ns=None):
        """Puts the stored file there: as a link, or as a copy that was last changed at `time_ns`."""
        source = self.store.path_of(digest)
        try:
            if not self.store.whole(digest, os.lstat(source).st_size):
                raise Refused("corrupt", "a file in the cache was changed by somebody else")
            if self.same(digest, target, time_ns):
                return
            fresh = os.path.join(self.root, self.store.run_name + ".new")
            if os.path.lexists(fresh):
                os.unlink(fresh)
            stamps = self.store.stamps
            # A link, and the link's name, change the inode.
            with stamps.lock:
                before = os.lstat(source)
                known = stamps.trusted(digest, before)
                linked = time_ns is None and self.linked(source, fresh)
                if linked:
                    os.replace(fresh, target)
                    if os.path.lexists(fresh):
                        os.unlink(fresh)  # Another worker was first; a name is not put over one of the same file.
                    if known:
                        stamps.still(digest, before, source)
            if not linked:
                shutil.copyfile(source, fresh)
                os.utime(fresh, ns=(time.time_ns(), time_ns or seal_of(digest)))
                os.replace(fresh, target)
                self.copies[target] = digest, look(os.lstat(target))
        except FileNotFoundError:
            raise Refused("corrupt", "a file in the cache was removed by somebody else")

    @staticmethod
    def linked(source, fresh):
        """Whether there are links here, and not too many of them."""
        try:
            os.link(source, fresh)
            return True
        except OSError as e:
            if e.errno in NO_SPACE or e.errno == errno.ENOENT:
                raise
            return False

    def same(self, digest, target, time_ns=None):
        """Whether `target` is the stored file, or a copy of it that was last changed at `time_ns`."""
        try:
            there, stored = os.lstat(target), os.lstat(self.store.path_of(digest))
        except OSError:
            return False
        if os.path.samestat(there, stored):
            return time_ns is None
        changed = time_ns or seal_of(digest)
        if not stat.S_ISREG(there.st_mode) or there.st_mtime_ns != changed or there.st_size != stored.st_size:
            return False
        # A copy has no stamp that lasts: once in each worker it is read.
        if self.copies.get(target) != (digest, look(there)):
            if digest_of(target) != digest:
                return False
            self.copies[target] = digest, look(there)
        return True
