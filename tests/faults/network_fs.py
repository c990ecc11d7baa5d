"""A small file system for tests: a folder as a network would show it.

Usage: network_fs.py FOLDER MOUNTPOINT LOCKS SECONDS

Two mounts of one FOLDER are two machines. LOCKS is `forward` (both see the locks of each other, as on NFS 4),
`local` (each sees only its own, as with `localflock` of Lustre) or `refuse` (ENOLCK, as with `noflock`). For
SECONDS a machine believes what it knew of names, sizes and times, as the attribute cache of NFS does. As on NFS,
data is read anew when a file is opened, a file that another machine has replaced is stale (ESTALE), and appending
is not atomic: the machine that appends decides where.

It speaks the protocol of /dev/fuse itself, so that it needs nothing but Python 3.10 on Linux, and ends with the
shell that started it.
"""

import ctypes
import errno
import fcntl
import os
import stat
import struct
import sys
import threading
import time

FOLDER, MOUNTPOINT, LOCKS, SECONDS = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
assert LOCKS in ("forward", "local", "refuse"), LOCKS

# INIT flags: FUSE_ASYNC_READ, FUSE_ATOMIC_O_TRUNC, FUSE_BIG_WRITES, FUSE_AUTO_INVAL_DATA, and FUSE_FLOCK_LOCKS where
# locks come here: without it the kernel keeps them for this mount alone.
FLAGS = 1 | 8 | 32 | 1 << 12 | (0 if LOCKS == "local" else 1 << 10)


class Node:
    """A file or folder as this machine knows it."""

    def __init__(self, path, inode):
        self.path, self.inode = path, inode


nodes = {1: Node(FOLDER, os.lstat(FOLDER).st_ino)}
known = {}  # (path, inode) -> number of the node
folders = {}  # number of an open folder -> its entries
counter = 1


def number():
    global counter
    counter += 1
    return counter


def path_of(node):
    """The path of a node; ESTALE where another file is there now."""
    found = nodes.get(node)
    if found is None:
        raise OSError(errno.ESTALE, "stale")
    try:
        inode = os.lstat(found.path).st_ino
    except FileNotFoundError:
        raise OSError(errno.ESTALE, "stale") from None
    if inode != found.inode:
        raise OSError(errno.ESTALE, "stale")
    return found.path


def child(node, name):
    return os.path.join(path_of(node), os.fsdecode(name))


def attributes(about):
    seconds = [about.st_atime_ns, about.st_mtime_ns, about.st_ctime_ns]
    return struct.pack(
        "<6Q10I", about.st_ino, about.st_size, about.st_blocks, *(t // 10**9 for t in seconds),
        *(t % 10**9 for t in seconds), about.st_mode, about.st_nlink, about.st_uid, about.st_gid, 0, 4096, 0)


def entry(path):
    about = os.lstat(path)
    key = (path, about.st_ino)
    if key not in known:
        known[key] = number()
        nodes[known[key]] = Node(path, about.st_ino)
    return struct.pack("<4Q2I", known[key], 0, SECONDS, SECONDS, 0, 0) + attributes(about)


def attr_out(about):
    return struct.pack("<Q2I", SECONDS, 0, 0) + attributes(about)


def opened(handle):
    return struct.pack("<Q2I", handle, 0, 0)


def moved(old, new):
    for node, found in nodes.items():
        if found.path == old or found.path.startswith(old + "/"):
            known.pop((found.path, found.inode), None)
            found.path = new + found.path[len(old):]
            known[(found.path, found.inode)] = node


def rename(node, folder, names):
    old, new, _ = names.split(b"\0")
    old, new = child(node, old), child(folder, new)
    os.rename(old, new)
    moved(old, new)
    return b""


def setattr_(node, body):
    valid, _, handle, size, _, atime, mtime, _, atime_ns, mtime_ns, _, mode, _, uid, gid, _ = struct.unpack(
        "<2I6Q8I", body[:88])
    where = handle if valid & 64 else path_of(node)
    if valid & 8:
        os.truncate(where, size)
    if valid & 1:
        os.chmod(where, stat.S_IMODE(mode))
    if valid & 6:
        os.chown(where, uid if valid & 2 else -1, gid if valid & 4 else -1)
    if valid & (16 | 32 | 128 | 256):
        about = os.stat(where)
        times = [about.st_atime_ns, about.st_mtime_ns]
        for at, (own, now, given) in enumerate([(16, 128, (atime, atime_ns)), (32, 256, (mtime, mtime_ns))]):
            if valid & now:
                times[at] = time.time_ns()
            elif valid & own:
                times[at] = given[0] * 10**9 + given[1]
        os.utime(where, ns=tuple(times))
    return attr_out(os.stat(where))


def readdir(body):
    handle, offset, size = struct.unpack("<2QI", body[:20])
    out = b""
    for at, (inode, kind, name) in list(enumerate(folders[handle]))[offset:]:
        one = struct.pack("<2Q2I", inode, at + 1, len(name), kind) + name
        one += b"\0" * (-len(one) % 8)
        if len(out) + len(one) > size:
            break
        out += one
    return out


def list_folder(node):
    handle, path = number(), path_of(node)
    kind = lambda found: (found.stat(follow_symlinks=False).st_mode >> 12) & 15
    listed = [(found.inode(), kind(found), os.fsencode(found.name)) for found in os.scandir(path)]
    folders[handle] = [(1, 4, b"."), (1, 4, b"..")] + listed
    return opened(handle)


def lock(body, wait):
    if LOCKS == "refuse":
        raise OSError(errno.ENOLCK, "no locks")
    handle, _, _, _, kind = struct.unpack("<4QI", body[:36])
    how = {fcntl.F_RDLCK: fcntl.LOCK_SH, fcntl.F_WRLCK: fcntl.LOCK_EX, fcntl.F_UNLCK: fcntl.LOCK_UN}[kind]
    # As NFS, which makes a lock of a range of it.
    if kind == fcntl.F_WRLCK and fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, "not open for writing")
    fcntl.flock(handle, how if wait else how | fcntl.LOCK_NB)
    return b""


def init(body):
    major, minor, readahead, _ = struct.unpack("<4I", body[:16])
    return struct.pack("<4I2H2I2H8I", 7, min(minor, 31), readahead, FLAGS, 12, 9, 1 << 17, 1, 32, 0, *[0] * 8)


def statfs():
    about = os.statvfs(FOLDER)
    return struct.pack("<5Q10I", about.f_blocks, about.f_bfree, about.f_bavail, about.f_files, about.f_ffree,
                       about.f_bsize, 255, about.f_frsize, *[0] * 7)


def named(body):
    return body.rstrip(b"\0")


def open_(node, flags):
    # The machine appends itself, at the end that it knows.
    return opened(os.open(path_of(node), flags & ~(os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)))


def create(node, body):
    flags, mode = struct.unpack("<2I", body[:8])
    path = child(node, named(body[16:]))
    handle = os.open(path, (flags | os.O_CREAT) & ~os.O_APPEND, mode)
    return entry(path) + opened(handle)


def made(path):
    return entry(path)


def answer(opcode, node, body):
    """The answer to one request; None where there is none."""
    match opcode:
        case 1:
            return entry(child(node, named(body)))
        case 2 | 36 | 38 | 42:
            return None
        case 3:
            flags, _, handle = struct.unpack("<2IQ", body[:16])
            return attr_out(os.fstat(handle) if flags & 1 else os.lstat(path_of(node)))
        case 4:
            return setattr_(node, body)
        case 5:
            return os.fsencode(os.readlink(path_of(node)))
        case 6:
            name, target, _ = body.split(b"\0")
            os.symlink(target, child(node, name))
            return made(child(node, name))
        case 8:
            mode = struct.unpack("<I", body[:4])[0]
            path = child(node, named(body[16:]))
            os.mknod(path, mode)
            return made(path)
        case 9:
            path = child(node, named(body[8:]))
            os.mkdir(path, struct.unpack("<I", body[:4])[0])
            return made(path)
        case 10:
            os.unlink(child(node, named(body)))
            return b""
        case 11:
            os.rmdir(child(node, named(body)))
            return b""
        case 12:
            return rename(node, struct.unpack("<Q", body[:8])[0], body[8:])
        case 45:
            return rename(node, struct.unpack("<Q", body[:8])[0], body[16:])
        case 13:
            path = child(node, named(body[8:]))
            os.link(path_of(struct.unpack("<Q", body[:8])[0]), path)
            return made(path)
        case 14:
            return open_(node, struct.unpack("<I", body[:4])[0])
        case 15:
            handle, offset, size = struct.unpack("<2QI", body[:20])
            return os.pread(handle, size, offset)
        case 16:
            handle, offset, size = struct.unpack("<2QI", body[:20])
            return struct.pack("<2I", os.pwrite(handle, body[40:40 + size], offset), 0)
        case 17:
            return statfs()
        case 18:
            os.close(struct.unpack("<Q", body[:8])[0])
            return b""
        case 20:
            os.fsync(struct.unpack("<Q", body[:8])[0])
            return b""
        case 25 | 30 | 34:
            return b""
        case 26:
            return init(body)
        case 27:
            return list_folder(node)
        case 28:
            return readdir(body)
        case 29:
            folders.pop(struct.unpack("<Q", body[:8])[0], None)
            return b""
        case 32 | 33:
            return lock(body, opcode == 33)
        case 35:
            return create(node, body)
    raise OSError(errno.ENOSYS, "not here")


def serve(device):
    while True:
        try:
            request = os.read(device, (1 << 17) + 4096)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.ENOENT):
                continue
            # The mount is gone.
            return
        length, opcode, unique, node = struct.unpack("<2I2Q", request[:24])

        def reply(body=request[40:length], opcode=opcode, unique=unique, node=node):
            try:
                given, failed = answer(opcode, node, body), 0
            except OSError as error:
                given, failed = b"", error.errno
            if given is not None:
                try:
                    os.write(device, struct.pack("<IiQ", 16 + len(given), -failed, unique) + given)
                except OSError:
                    # Nobody waits any more.
                    pass

        # A lock may wait for another process.
        if opcode == 33:
            threading.Thread(target=reply, daemon=True).start()
        else:
            reply()


def end_with(process):
    """Ends this server with the shell that asked for the mount: its own mount table would live on otherwise."""
    while os.path.exists(f"/proc/{process}"):
        time.sleep(0.2)
    os._exit(0)


shell = os.getppid()
device = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},allow_other,default_permissions"
if libc.mount(b"network_fs", os.fsencode(MOUNTPOINT), b"fuse", 0, options.encode()) != 0:
    sys.exit(f"cannot mount: {os.strerror(ctypes.get_errno())}")
if os.fork():
    os._exit(0)
os.setsid()
nothing = os.open(os.devnull, os.O_RDWR)
for stream in range(3):
    os.dup2(nothing, stream)
threading.Thread(target=end_with, args=(shell,), daemon=True).start()
serve(device)
