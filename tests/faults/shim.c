/* Makes the n-th system call on a file below a folder fail: the disk of tests/faults.rs. Loaded with LD_PRELOAD.

   MACLIP_FAULT_ROOT   the folder
   MACLIP_FAULT_AT     number of the call that fails, from 1; 0 for none
   MACLIP_FAULT_STAYS  "1": from that call on every call that takes room fails too, as on a full disk
   MACLIP_FAULT_COUNT  file that gets the number of calls when the program ends

   Counted are open, read, write, sync, rename, making a folder, cutting a file and removing, in all their variants. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 4096
static atomic_long calls;
static atomic_char below[FDS];
static const char *root;
static long at;
static int stays;

__attribute__((constructor)) static void begin(void) {
  const char *text = getenv("MACLIP_FAULT_AT");
  root = getenv("MACLIP_FAULT_ROOT");
  at = text ? atol(text) : 0;
  text = getenv("MACLIP_FAULT_STAYS");
  stays = text && *text == '1';
}

__attribute__((destructor)) static void end(void) {
  const char *file = getenv("MACLIP_FAULT_COUNT");
  if (!file) return;
  root = NULL;
  FILE *out = fopen(file, "w");
  if (!out) return;
  fprintf(out, "%ld\n", atomic_load(&calls));
  fclose(out);
}

static int inside(const char *path) { return root && path && !strncmp(path, root, strlen(root)); }
static int counted(int fd) { return fd >= 0 && fd < FDS && atomic_load(&below[fd]); }

/* The error of this call, or 0. A call that takes room fails as on a full disk. */
static int fault(int room) {
  long now = atomic_fetch_add(&calls, 1) + 1;
  if (at && (now == at || (stays && room && now > at))) return room ? ENOSPC : EIO;
  return 0;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL(when, room)                    \
  if (when) {                               \
    int code = fault(room);                 \
    if (code) {                             \
      errno = code;                         \
      return -1;                            \
    }                                       \
  }

#define OPEN(name, ...)                                        \
  {                                                            \
    mode_t mode = 0;                                           \
    if (flags & (O_CREAT | O_TMPFILE)) {                       \
      va_list rest;                                            \
      va_start(rest, flags);                                   \
      mode = va_arg(rest, mode_t);                             \
      va_end(rest);                                            \
    }                                                          \
    FAIL(inside(path), (flags & O_CREAT) != 0)                 \
    int fd = NEXT(name)(__VA_ARGS__, flags, mode);             \
    if (fd >= 0 && fd < FDS) atomic_store(&below[fd], inside(path)); \
    return fd;                                                 \
  }
int open(const char *path, int flags, ...) OPEN(open, path)
int open64(const char *path, int flags, ...) OPEN(open64, path)
int openat(int dir, const char *path, int flags, ...) OPEN(openat, dir, path)
int openat64(int dir, const char *path, int flags, ...) OPEN(openat64, dir, path)

int close(int fd) {
  if (fd >= 0 && fd < FDS) atomic_store(&below[fd], 0);
  return NEXT(close)(fd);
}

#define ON_FD(type, name, room, parameters, ...) \
  type name parameters {                         \
    FAIL(counted(fd), room)                      \
    return NEXT(name)(__VA_ARGS__);              \
  }
ON_FD(ssize_t, read, 0, (int fd, void *bytes, size_t length), fd, bytes, length)
ON_FD(ssize_t, readv, 0, (int fd, const struct iovec *parts, int count), fd, parts, count)
ON_FD(ssize_t, pread, 0, (int fd, void *bytes, size_t length, off_t from), fd, bytes, length, from)
ON_FD(ssize_t, pread64, 0, (int fd, void *bytes, size_t length, off64_t from), fd, bytes, length, from)
ON_FD(ssize_t, write, 1, (int fd, const void *bytes, size_t length), fd, bytes, length)
ON_FD(ssize_t, writev, 1, (int fd, const struct iovec *parts, int count), fd, parts, count)
ON_FD(ssize_t, pwrite, 1, (int fd, const void *bytes, size_t length, off_t to), fd, bytes, length, to)
ON_FD(ssize_t, pwrite64, 1, (int fd, const void *bytes, size_t length, off64_t to), fd, bytes, length, to)
ON_FD(int, fsync, 0, (int fd), fd)
ON_FD(int, fdatasync, 0, (int fd), fd)
ON_FD(int, ftruncate, 0, (int fd, off_t length), fd, length)
ON_FD(int, ftruncate64, 0, (int fd, off64_t length), fd, length)
ON_FD(ssize_t, copy_file_range, 1, (int fd, off64_t *from, int to, off64_t *at_, size_t length, unsigned flags), fd, from, to, at_,
      length, flags)

#define ON_PATH(name, room, parameters, ...) \
  int name parameters {                      \
    FAIL(inside(path), room)                 \
    return NEXT(name)(__VA_ARGS__);          \
  }
ON_PATH(rename, 0, (const char *path, const char *to), path, to)
ON_PATH(mkdir, 1, (const char *path, mode_t mode), path, mode)
ON_PATH(unlink, 0, (const char *path), path)
ON_PATH(rmdir, 0, (const char *path), path)
