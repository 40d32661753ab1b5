/*
 * Preloaded into ClickHouse: the rename that makes a part of an insert visible waits. How long, in microseconds, is in
 * the file that SPILLWAY_RENAME_DELAY names; it is read again while waiting, so a test can let go at any time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEP_US 1000

static long delay(void) {
    const char *path = getenv("SPILLWAY_RENAME_DELAY");
    FILE *file = path ? fopen(path, "r") : NULL;
    long us = 0;
    if (file) {
        if (fscanf(file, "%ld", &us) != 1) us = 0;
        fclose(file);
    }
    return us;
}

int rename(const char *from, const char *to) {
    int (*next)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    if (strstr(from, "tmp_insert_"))
        for (long waited = 0; waited < delay(); waited += STEP_US) usleep(STEP_US);
    return next(from, to);
}
