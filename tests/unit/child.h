/*
 * Parts of tests that run in a child process, for what ends a process or sets limits to it.
 *
 * To be included behind cmocka.h.
 */
#ifndef HEARSAY_TESTS_UNIT_CHILD_H
#define HEARSAY_TESTS_UNIT_CHILD_H

#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs fn(arg) in a child, where an assertion that fails ends it with another code: none may. */
static inline void child_passes(void (*fn)(void *arg), void *arg)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fn(arg);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/*
 * Starts a child that runs fn(arg) and then waits for its end; returns its pid once fn is through,
 * with what fn returned in *out unless that is NULL. child_kill ends it.
 */
static inline pid_t child_start(uint64_t (*fn)(void *arg), void *arg, uint64_t *out)
{
    int told[2];
    uint64_t answer;
    assert_int_equal(pipe(told), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        answer = fn(arg);
        if (write(told[1], &answer, sizeof answer) != (ssize_t)sizeof answer)
            _exit(1);
        for (;;)
            pause();
    }
    close(told[1]);
    assert_int_equal(read(told[0], &answer, sizeof answer), sizeof answer);
    close(told[0]);
    if (out != NULL)
        *out = answer;
    return pid;
}

static inline void child_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

#endif
