/*
 * Preloaded: while the file that SPILLWAY_DISK_IS_FULL names is there, files whose paths hold what SPILLWAY_DISK_HOLDS says
 * cannot be written to, as on a disk that is full.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int is_full(int file) {
    const char *flag = getenv("SPILLWAY_DISK_IS_FULL"), *holds = getenv("SPILLWAY_DISK_HOLDS");
    char link[64], path[4096];
    ssize_t length;
    if (!flag || !holds || access(flag, F_OK) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (!strstr(path, holds)) return 0;
    errno = ENOSPC;
    return 1;
}

#define NEXT(name, type) ((type)dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *from, size_t size) {
    return is_full(file) ? -1 : NEXT(write, ssize_t (*)(int, const void *, size_t))(file, from, size);
}

ssize_t pwrite(int file, const void *from, size_t size, off_t at) {
    return is_full(file) ? -1 : NEXT(pwrite, ssize_t (*)(int, const void *, size_t, off_t))(file, from, size, at);
}

ssize_t pwrite64(int file, const void *from, size_t size, off64_t at) {
    return is_full(file) ? -1 : NEXT(pwrite64, ssize_t (*)(int, const void *, size_t, off64_t))(file, from, size, at);
}
