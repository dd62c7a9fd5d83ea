/* A disk that fails when it is told to, put under a process with LD_PRELOAD.
 *
 * In the folder FAULTY_DISK: while the file "sync-fails" is there, fsync and fdatasync fail with EIO; while "full" is there,
 * writes to the database fail with ENOSPC. Each successful sync and each answer "HTTP/1.1 202" that is sent is a line of the
 * file "trace", so that their order can be seen.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *in_folder(char *path, size_t size, const char *name) {
    snprintf(path, size, "%s/%s", getenv("FAULTY_DISK"), name);
    return path;
}

static int is_asked_for(const char *name) {
    char path[512];
    return access(in_folder(path, sizeof path, name), F_OK) == 0;
}

static void trace(const char *line) {
    char path[512];
    int saved = errno;
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    int fd = open(in_folder(path, sizeof path, "trace"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd >= 0) {
        (void)!real(fd, line, strlen(line));
        close(fd);
    }
    errno = saved;
}

static int is_database(int fd) {
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "bellwire.sqlite") != NULL;
}

static int refuses_write(int fd) {
    if (!is_asked_for("full") || !is_database(fd)) return 0;
    errno = ENOSPC;
    return 1;
}

static void watch_answer(const void *bytes, size_t length) {
    static const char answer[] = "HTTP/1.1 202";
    if (length >= sizeof answer - 1 && memcmp(bytes, answer, sizeof answer - 1) == 0) trace("202\n");
}

static int sync_with(const char *name, int fd) {
    if (is_asked_for("sync-fails")) {
        errno = EIO;
        return -1;
    }
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    int outcome = real(fd);
    if (outcome == 0) trace("sync\n");
    return outcome;
}

int fsync(int fd) { return sync_with("fsync", fd); }
int fdatasync(int fd) { return sync_with("fdatasync", fd); }

ssize_t write(int fd, const void *bytes, size_t length) {
    if (refuses_write(fd)) return -1;
    watch_answer(bytes, length);
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    return real(fd, bytes, length);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    if (refuses_write(fd)) return -1;
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
    return real(fd, bytes, length, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    if (refuses_write(fd)) return -1;
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    return real(fd, bytes, length, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (count > 0) watch_answer(parts[0].iov_base, parts[0].iov_len);
    ssize_t (*real)(int, const struct iovec *, int) = dlsym(RTLD_NEXT, "writev");
    return real(fd, parts, count);
}

ssize_t send(int fd, const void *bytes, size_t length, int flags) {
    watch_answer(bytes, length);
    ssize_t (*real)(int, const void *, size_t, int) = dlsym(RTLD_NEXT, "send");
    return real(fd, bytes, length, flags);
}
