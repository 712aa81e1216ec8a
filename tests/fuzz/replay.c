/*
 * Runs a fuzz target over files, and over damaged copies of each, as an ordinary test.
 * Usage: replay_NAME [-v] [-n COPIES] FILE|FOLDER…; -v names each input before it is run.
 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/mutate.h"

static bool is_verbose;
static unsigned copies;
static unsigned inputs;

static void run_one(const char *path, unsigned copy, slice_t bytes)
{
    if (is_verbose)
        fprintf(stderr, "%s, copy %u\n", path, copy);
    LLVMFuzzerTestOneInput(bytes.data, bytes.size);
    inputs++;
}

/* Copy 0 is the file itself; each of the others depends on its number alone. */
static void run_file(const char *path)
{
    buf_t bytes = {0};
    FILE *file = fopen(path, "rb");
    size_t got = 1;

    if (file == NULL) {
        fprintf(stderr, "replay: cannot read %s\n", path);
        exit(1);
    }
    while (got != 0) {
        got = fread(buf_reserve(&bytes, 4096), 1, 4096, file);
        bytes.size += got;
    }
    fclose(file);
    for (unsigned copy = 0; copy <= copies; copy++) {
        random_t rng;
        random_seed(&rng, copy);
        slice_t input =
            copy == 0 ? mutate_exact(buf_slice(&bytes)) : mutate(&rng, buf_slice(&bytes), 0);
        run_one(path, copy, input);
        mutate_free(input);
    }
    buf_free(&bytes);
}

static void run_path(const char *path)
{
    struct stat at;

    if (stat(path, &at) != 0 || !S_ISDIR(at.st_mode)) {
        run_file(path);
        return;
    }
    DIR *folder = opendir(path);
    for (struct dirent *i; folder != NULL && (i = readdir(folder)) != NULL;) {
        char inner[4096];
        if (i->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof(inner), "%s/%s", path, i->d_name);
        run_file(inner);
    }
    if (folder != NULL)
        closedir(folder);
}

int main(int argc, char *argv[])
{
    for (int option; (option = getopt(argc, argv, "vn:")) != -1;) {
        if (option == 'v')
            is_verbose = true;
        else if (option == 'n')
            copies = (unsigned)strtoul(optarg, NULL, 10);
        else
            return 2;
    }
    for (int i = optind; i < argc; i++)
        run_path(argv[i]);
    printf("%u inputs\n", inputs);
    return inputs != 0 ? 0 : 1;
}
