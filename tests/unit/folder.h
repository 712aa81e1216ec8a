/*
 * Folders for tests of what is kept in files. In $TMPDIR, or in /tmp.
 */
#ifndef HEARSAY_TESTS_UNIT_FOLDER_H
#define HEARSAY_TESTS_UNIT_FOLDER_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Makes a folder "hearsay-name-..." and writes its path, of size bytes at most. 0, or -1. */
static inline int folder_make(char *path, size_t size, const char *name)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(path, size, "%s/hearsay-%s-XXXXXX", tmp != NULL ? tmp : "/tmp", name);
    return mkdtemp(path) != NULL ? 0 : -1;
}

/* Removes a folder with the files in it; one that is not there is no matter. 0, or -1. */
static inline int folder_remove(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    return rmdir(path);
}

#endif
