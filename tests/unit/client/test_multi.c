#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "client/tool/multi.h"

typedef struct fixture {
    multi_t multi;
    words_t words;
    const char *answer;
    err_t err;
} fixture_t;

static multi_step_t take(fixture_t *f, const char *line)
{
    assert_int_equal(words_parse(&f->words, slice_text(line), &f->err), 0);
    f->answer = NULL;
    return multi_take(&f->multi, &f->words, &f->answer, &f->err);
}

static void assert_kept(fixture_t *f, const char *line, const char *answer)
{
    assert_int_equal(take(f, line), MULTI_KEPT);
    assert_string_equal(f->answer, answer);
}

static void assert_sends(const fixture_t *f, const char *line)
{
    words_t expected = {0};
    assert_int_equal(words_parse(&expected, slice_text(line), NULL), 0);
    assert_int_equal(f->multi.words.count, expected.count);
    for (size_t i = 0; i < expected.count; i++) {
        const hearsay_word_t *word = &f->multi.words.list[i];
        assert_int_equal(word->size, expected.list[i].size);
        assert_memory_equal(word->data, expected.list[i].data, word->size);
    }
    words_free(&expected);
}

static void end(fixture_t *f)
{
    multi_free(&f->multi);
    words_free(&f->words);
}

static void test_goes_as_one(void **state)
{
    (void)state;
    fixture_t f = {0};
    assert_int_equal(take(&f, "set a 1"), MULTI_NOT);
    assert_int_equal(take(&f, "multi 3 set a 1"), MULTI_NOT);
    assert_kept(&f, "MULTI", "OK");
    assert_kept(&f, "SET a \"x y\"", "QUEUED");
    assert_kept(&f, "set exec discard", "QUEUED");
    assert_kept(&f, "hset h f 1 g \"\"", "QUEUED");
    assert_int_equal(take(&f, "Exec"), MULTI_SEND);
    assert_sends(&f, "multi 3 set a \"x y\" 3 set exec discard 6 hset h f 1 g \"\"");
    assert_int_equal(take(&f, "get a"), MULTI_NOT);
    assert_kept(&f, "multi", "OK"); /* nothing is left of the one before */
    assert_kept(&f, "get a", "QUEUED");
    assert_int_equal(take(&f, "exec"), MULTI_SEND);
    assert_sends(&f, "multi 2 get a");
    end(&f);
}

static void test_discard(void **state)
{
    (void)state;
    fixture_t f = {0};
    assert_kept(&f, "multi", "OK");
    assert_kept(&f, "del a", "QUEUED");
    assert_kept(&f, "discard", "OK");
    assert_int_equal(take(&f, "exec"), MULTI_REFUSED);
    assert_non_null(strstr(f.err.text, "exec without multi"));
    assert_int_equal(take(&f, "discard"), MULTI_REFUSED);
    assert_int_equal(take(&f, "get a"), MULTI_NOT);
    end(&f);
}

/* One command of it that cannot be sent: none is. */
static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"set a", "frobnicate", "incr a b",
                                      "multi", "scan 0",     "Scan 0"};
    fixture_t f = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_kept(&f, "multi", "OK");
        assert_kept(&f, "set a 1", "QUEUED");
        assert_int_equal(take(&f, bad[i]), MULTI_REFUSED);
        assert_int_equal(f.err.outcome, OUTCOME_USAGE);
        assert_kept(&f, "set b 1", "QUEUED");
        assert_int_equal(take(&f, "exec"), MULTI_REFUSED);
        assert_non_null(strstr(f.err.text, "nothing was done"));
        assert_int_equal(take(&f, "set a 1"), MULTI_NOT);
    }
    assert_kept(&f, "multi", "OK");
    assert_int_equal(take(&f, "exec"), MULTI_REFUSED);
    assert_non_null(strstr(f.err.text, "no command between"));
    end(&f);
}

static void test_limits(void **state)
{
    (void)state;
    enum { WORDS = 2049 };
    fixture_t f = {0};
    assert_kept(&f, "multi", "OK");
    for (size_t words = 0; words + 4 <= WORDS; words += 4)
        assert_kept(&f, "set a 1", "QUEUED");
    assert_int_equal(take(&f, "set a 1"), MULTI_REFUSED);
    assert_int_equal(f.err.outcome, OUTCOME_TOO_LARGE);
    assert_int_equal(take(&f, "exec"), MULTI_REFUSED);

    char *value = test_malloc(HEARSAY_VALUE_MAX);
    memset(value, 'x', HEARSAY_VALUE_MAX);
    const hearsay_word_t list[] = {{"set", 3}, {"a", 1}, {value, HEARSAY_VALUE_MAX}};
    const words_t words = {.list = (hearsay_word_t *)(uintptr_t)list, .count = 3};
    assert_kept(&f, "multi", "OK");
    assert_int_equal(multi_take(&f.multi, &words, &f.answer, &f.err), MULTI_KEPT);
    assert_int_equal(multi_take(&f.multi, &words, &f.answer, &f.err), MULTI_REFUSED);
    assert_int_equal(f.err.outcome, OUTCOME_TOO_LARGE);
    /* Nothing more of it is kept, since none of it will be sent. */
    const size_t kept = f.multi.words.bytes.size;
    assert_int_equal(multi_take(&f.multi, &words, &f.answer, &f.err), MULTI_KEPT);
    assert_int_equal(f.multi.words.bytes.size, kept);
    test_free(value);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_as_one),
        cmocka_unit_test(test_discard),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests_name("multi", tests, NULL, NULL);
}
