"""How much room the cache takes, and making some."""

import os
import shutil
import time

from locks import lock

#: Where the file system has no locks, what was used within this time is taken to be in use, seconds.
IN_USE = 86400


def free(root):
    return shutil.disk_usage(root).free


def disk(root):
    """What the cache takes: bytes that are there once, however often they are linked."""
    size, count = 0, 0
    for folder in ("store", "trees", "spool"):
        for path, _, found in os.walk(os.path.join(root, folder)):
            for name in found:
                try:
                    info = os.lstat(os.path.join(path, name))
                except OSError:
                    continue
                if folder != "trees" or info.st_nlink == 1:
                    size += info.st_size
                    count += 1
    return {"bytes": size, "files": count, "free": free(root), "path": root}


def tidy(root, days, keep):
    """Removes what was not used for `days`, then the longest unused until at most `keep` bytes are left.

    What a worker holds or receives stays, and so does content that lies in a tree that stays.
    """
    oldest = time.time() - days * 86400
    removed = 0
    # A tree is made of links and soon made again; a spool may be all that a broken connection left of a render.
    for kind, always in (("trees", keep is not None), ("spool", keep == 0)):
        base = os.path.join(root, kind)
        for name in sorted(os.listdir(base)):
            removed += tidy_folder(os.path.join(base, name), float("inf") if always else oldest)
    files = []
    for folder, _, found in os.walk(os.path.join(root, "store")):
        for name in found:
            path = os.path.join(folder, name)
            try:
                info = os.lstat(path)
            except OSError:
                continue
            # Last use is kept as the time of last access; linked files are in a tree that is in use.
            if info.st_nlink == 1:
                files.append((info.st_atime, info.st_size, path))
    for name in os.listdir(os.path.join(root, "stamps")):
        if not os.path.isdir(os.path.join(root, "store", name)) or not os.listdir(os.path.join(root, "store", name)):
            remove_content(os.path.join(root, "stamps", name))
    left = disk(root)["bytes"]
    for used, size, path in sorted(files):
        if (used < oldest or keep is not None and left > keep) and remove_content(path):
            left -= size
            removed += size
    return {"removed": removed, "left": left}


def remove_content(path):
    try:
        if path.endswith(".part"):
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                unlocked = lock(fd)
                if unlocked is False or unlocked is None and time.time() - os.fstat(fd).st_mtime < IN_USE:
                    return False
                os.unlink(path)
            finally:
                os.close(fd)
        else:
            os.unlink(path)
    except OSError:
        return False
    return True


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
        unlocked = lock(fd)
        used = os.path.getmtime(path) if os.path.isdir(path) else 0
        if unlocked is False or unlocked is None and time.time() - used < IN_USE or used >= oldest:
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
