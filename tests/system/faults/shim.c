/* Makes system calls fail for files of some names, as a disk that fails does: for LD_PRELOAD.
 *
 * "tear ENDING N": the N-th write to such a file, of all since the process began, is done by half, and kills it.
 * $FAULTS names a file with lines "CALL ENDING ERRNO": a call (write, sync, read) on a file whose path ends so fails.
 * It is read anew at each call; without it, nothing fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(const char *call, int fd)
{
    char rules[512], link[64], path[4096];
    const char *name = getenv("FAULTS");
    int rule = name ? (int)syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0) : -1;
    if (rule < 0)
        return 0;
    ssize_t size = syscall(SYS_read, rule, rules, sizeof rules - 1);
    syscall(SYS_close, rule);
    if (size <= 0)
        return 0;
    rules[size] = 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    char *rest = rules, *line;
    while ((line = strsep(&rest, "\n"))) {
        char what[16], ending[256];
        int number;
        if (sscanf(line, "%15s %255s %d", what, ending, &number) != 3 || strcmp(what, call))
            continue;
        size_t tail = strlen(ending);
        if ((size_t)length >= tail && !strcmp(path + length - tail, ending))
            return number;
    }
    return 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL(call, fd)                   \
    do {                                 \
        int number = fails(call, fd);    \
        if (number) {                    \
            errno = number;              \
            return -1;                   \
        }                                \
    } while (0)

#define TEAR(name, fd, data, size, at)                         \
    do {                                                       \
        static _Atomic int writes;                             \
        int last = fails("tear", fd);                          \
        if (last && ++writes == last) {                        \
            REAL(name)(fd, data, size / 2, at);                \
            kill(getpid(), SIGKILL);                           \
            for (;;)                                           \
                pause();                                       \
        }                                                      \
    } while (0)

int fsync(int fd) { FAIL("sync", fd); return REAL(fsync)(fd); }
int fdatasync(int fd) { FAIL("sync", fd); return REAL(fdatasync)(fd); }
ssize_t write(int fd, const void *data, size_t size) { FAIL("write", fd); return REAL(write)(fd, data, size); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { FAIL("write", fd); TEAR(pwrite, fd, data, size, at); return REAL(pwrite)(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { FAIL("write", fd); TEAR(pwrite64, fd, data, size, at); return REAL(pwrite64)(fd, data, size, at); }
ssize_t read(int fd, void *data, size_t size) { FAIL("read", fd); return REAL(read)(fd, data, size); }
ssize_t pread(int fd, void *data, size_t size, off_t at) { FAIL("read", fd); return REAL(pread)(fd, data, size, at); }
ssize_t pread64(int fd, void *data, size_t size, off64_t at) { FAIL("read", fd); return REAL(pread64)(fd, data, size, at); }
