/* Loaded before libc (LD_PRELOAD): every fsync and fdatasync takes longer, as on a slow
 * disk. AMENDS_BENCH_SLOW_FSYNC_US says by how many microseconds. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int slowly(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *told = getenv("AMENDS_BENCH_SLOW_FSYNC_US");
    long more_us = told ? atol(told) : 0;
    struct timespec more = {more_us / 1000000, more_us % 1000000 * 1000};
    int result = real(fd);
    nanosleep(&more, NULL);
    return result;
}

int fsync(int fd) { return slowly("fsync", fd); }

int fdatasync(int fd) { return slowly("fdatasync", fd); }
