#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bus/wire/files.h"
#include "tests/unit/mutate.h"
#include "tests/unit/property.h"

enum { ROUNDS = 2000 };

static void put_report(buf_t *out)
{
    buf_t items = {0};
    char text[2 * FILES_TEXT_MAX];
    memset(text, 'x', sizeof(text));
    const files_finding_t finding = {
        .is_damage = true,
        .file = slice_text("checkpoint/data.mdb"),
        .offset = UINT64_MAX,
        .text = slice_of(text, sizeof(text)),
    };
    files_finding_put(&items, &finding);
    files_finding_put(&items, &finding);
    const files_report_t report = {
        .id = 255,
        .incarnation = 42,
        .state = FILES_REPAIRING,
        .read = 1,
        .bytes = 2,
        .segments = 3,
        .entries = 4,
        .rows = 5,
        .damaged = 6,
        .findings = 2,
        .findings_at = buf_slice(&items),
    };
    files_report_put(out, &report);
    buf_free(&items);
}

static void test_round_trip(void **state)
{
    (void)state;
    buf_t bytes = {0};
    files_report_t report;
    files_finding_t finding;
    put_report(&bytes);
    assert_true(files_report_read(buf_slice(&bytes), &report));
    assert_true(report.id == 255 && report.incarnation == 42 && report.state == FILES_REPAIRING);
    assert_true(report.read == 1 && report.bytes == 2 && report.segments == 3);
    assert_true(report.entries == 4 && report.rows == 5 && report.damaged == 6);
    mp_t in = mp_open(report.findings_at);
    assert_true(files_finding_next(&in, &finding) && files_finding_next(&in, &finding));
    assert_true(finding.is_damage && finding.offset == UINT64_MAX);
    assert_true(slice_equal(finding.file, slice_text("checkpoint/data.mdb")));
    assert_int_equal(finding.text.size, FILES_TEXT_MAX); /* cut */
    assert_false(files_finding_next(&in, &finding));
    buf_free(&bytes);
}

static void test_bounds(void **state)
{
    (void)state;
    for (unsigned how = 0; how <= FILES_DONE + 1; how++) {
        const files_report_t report = {.id = 1, .incarnation = 2, .state = (files_state_t)how};
        buf_t bytes = {0};
        files_report_t seen;
        files_report_put(&bytes, &report);
        assert_int_equal(files_report_read(buf_slice(&bytes), &seen),
                         how != 0 && how <= FILES_DONE);
        buf_free(&bytes);
    }
}

/* What a reader took can be gone through to its end. */
static void check_damage(random_t *rng)
{
    buf_t bytes = {0};
    files_report_t report;
    files_finding_t finding;
    put_report(&bytes);
    slice_t message = mutate(rng, buf_slice(&bytes), 0);
    if (files_report_read(message, &report)) {
        mp_t in = mp_open(report.findings_at);
        for (uint32_t i = 0; i < report.findings; i++)
            assert_true(files_finding_next(&in, &finding));
    }
    mutate_free(message);
    buf_free(&bytes);
}

static void test_damage(void **state)
{
    (void)state;
    property_run(check_damage, ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_bounds),
        property_test(test_damage),
    };
    return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
