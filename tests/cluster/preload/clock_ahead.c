/*
 * A machine whose clock is wrong: loaded before libc (LD_PRELOAD) it lets CLOCK_REALTIME run
 * CLOCK_AHEAD_S seconds ahead, negative for behind, and leaves all other clocks as they are.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *at)
{
    const char *ahead = getenv("CLOCK_AHEAD_S");
    long rc = syscall(SYS_clock_gettime, clock, at);
    if (rc == 0 && clock == CLOCK_REALTIME && ahead != NULL)
        at->tv_sec += strtol(ahead, NULL, 10);
    return (int)rc;
}
