#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/replica/node_rig.h"

/* Of a log with four updates the second is damaged: where it begins, and where it ends. */
static void find_damage(slice_t log, size_t *begin, size_t *end)
{
    unsigned updates = 0;
    seglog_entry_t entry;
    for (size_t at = 0; at < log.size; at += entry.size) {
        slice_t rest = slice_of(log.data + at, log.size - at);
        assert_int_equal(seglog_next(rest, LOG_START + at, &entry), SEGLOG_GOOD);
        if (entry.kind == SEGLOG_KIND_UPDATE && ++updates == 2) {
            *begin = at;
            *end = at + entry.size;
        }
    }
    assert_int_equal(updates, 4);
}

/* Node 0 started again with this log, and what was found behind the damage in that of `before`. */
static node_t *start_damaged(bool with_salvage, slice_t log, const node_t *before, slice_t members)
{
    size_t begin;
    size_t end;
    find_damage(buf_slice(&before->log), &begin, &end);
    node_t *n = mem_zero(1, sizeof *n);
    n->now = before->now;
    n->incarnation = before->incarnation + 1 + (log.size != begin);
    replica_config_t config = config_of(0, n->incarnation);
    config.salvage = with_salvage;
    n->replica = replica_new(&config);
    seglog_entry_t entry;
    for (size_t at = 0; at < log.size; at += entry.size) {
        slice_t rest = slice_of(log.data + at, log.size - at);
        assert_int_equal(seglog_next(rest, LOG_START + at, &entry), SEGLOG_GOOD);
        assert_int_equal(
            replica_replay(n->replica, LOG_START + at, entry.kind, entry.payload, NULL), 0);
    }
    buf_append_slice(&n->log, log);
    replica_set_damaged(n->replica);
    for (size_t at = end; at < before->log.size; at += entry.size) {
        slice_t rest = slice_of(before->log.data + at, before->log.size - at);
        assert_int_equal(seglog_next(rest, LOG_START + at, &entry), SEGLOG_GOOD);
        replica_salvage(n->replica, entry.kind, entry.payload);
    }
    if (members.size != 0)
        assert_int_equal(replica_replay(n->replica, LOG_START, SEGLOG_KIND_MEMBERS, members, NULL),
                         0);
    replica_start(n->replica, n->now, LOG_START + n->log.size);
    turn(n);
    return n;
}

/*
 * Node 0 started again from the log of one that accepted four updates, of which the second is
 * damaged: what is before it is replayed, what is behind it was found.
 */
static node_t *damaged(bool with_salvage, const node_t *before, slice_t members)
{
    size_t begin;
    size_t end;
    find_damage(buf_slice(&before->log), &begin, &end);
    return start_damaged(with_salvage, slice_of(before->log.data, begin), before, members);
}

static node_t *four_updates(void)
{
    node_t *n = served(0, 10, 1);
    set(n, 1, 1, "first");
    set(n, 1, 2, "second");
    set(n, 1, 3, "third");
    set(n, 1, 4, "fourth");
    return n;
}

/* The same, and the other has the first two of them. */
static node_t *half_with(node_t *other)
{
    node_t *n = served(0, 10, 1);
    connect_nodes(n, other);
    set(n, 1, 1, "first");
    set(n, 1, 2, "second");
    n->peer = other->peer = NULL;
    set(n, 1, 3, "third");
    set(n, 1, 4, "fourth");
    return n;
}

static void test_damaged_waits(void **state)
{
    (void)state;
    node_t *before = four_updates();
    node_t *n = damaged(false, before, slice_text(""));
    pass_on_disk(n, 60000);
    assert_false(replica_is_ready(n->replica));
    assert_true(replica_info(n->replica, n->now).is_joining);
    assert_true(replica_info(n->replica, n->now).is_damaged);
    assert_int_equal(n->damaged_notes, 2); /* that it is, and what it waits for, once */
    assert_int_equal(n->lost.size, 0);
    assert_int_equal(has(n, 10), 1);
    node_free(n);
    node_free(before);
}

/*
 * A member that has to take over a state since its disk is damaged never left: what only it had,
 * also from behind the damage, counts as it is.
 */
static void test_damaged_hands_in(void **state)
{
    (void)state;
    node_t *other = node_new(1, 20);
    node_t *before = half_with(other);
    node_t *n = damaged(false, before, slice_text(""));
    meet(other, n);
    pass_synced_times(n, 80);
    assert_true(replica_is_ready(n->replica));
    assert_int_equal(replica_info(n->replica, n->now).counts->repairs, 1);
    assert_int_equal(has(other, 10), 4);
    assert_int_equal(other->lost.size, 0);
    link_up(other);
    hello(other, 1, NULL);
    item_t got = call(other, (ask_t){.session = 1, .seq = 5, .command = COMMAND_GET, .a = "k"});
    assert_value(&got, "fourth");
    node_free(n);
    node_free(other);
    node_free(before);
}

static void log_joining(node_t *n, seglog_joining_t what)
{
    buf_t number = {0};
    seglog_number_put(&number, what);
    seglog_entry_put(&n->log, LOG_START + n->log.size, SEGLOG_KIND_JOINING, buf_slice(&number));
    buf_free(&number);
}

/*
 * Behind the damage its log says that it had left and was about to take over a state: what it had
 * handed in then did not count, and does not when it is handed in again.
 */
static void test_damaged_amid_joining(void **state)
{
    (void)state;
    node_t *other = node_new(1, 20);
    node_t *before = half_with(other);
    log_joining(before, SEGLOG_JOINING_LEFT);
    node_t *n = damaged(false, before, slice_text(""));
    meet(other, n);
    pass_synced_times(n, 80);
    assert_true(replica_is_ready(n->replica));
    assert_int_equal(has(other, 10), 4);
    assert_true(has_lost(other, "third") && has_lost(other, "fourth"));
    node_free(n);
    node_free(other);
    node_free(before);
}

/*
 * Started once more before anybody was there, it is a member as before, and what it hands in
 * counts; unless it had left, as its log says behind the damage, or since.
 */
static void test_damaged_and_started_again(void **state)
{
    (void)state;
    enum { NEVER, BEHIND, SINCE, CASES };
    for (int left = NEVER; left < CASES; left++) {
        node_t *other = node_new(1, 20);
        node_t *before = half_with(other);
        log_joining(before, left == BEHIND ? SEGLOG_JOINING_LEFT : SEGLOG_JOINING_NOT);
        node_t *first = damaged(false, before, slice_text(""));
        if (left == SINCE)
            log_joining(first, SEGLOG_JOINING_LEFT);
        node_t *n = start_damaged(false, buf_slice(&first->log), before, slice_text(""));
        meet(other, n);
        pass_synced_times(n, 80);
        assert_true(replica_is_ready(n->replica));
        assert_int_equal(has(other, 10), 4);
        assert_true(has_lost(other, "third") == (left != NEVER));
        node_free(n);
        node_free(first);
        node_free(other);
        node_free(before);
    }
}

/*
 * It is left out while it waits, and does not hear that. Taken back, and killed before it has a
 * state, it would start again as the member that it was.
 */
static void test_damaged_and_has_not_heard(void **state)
{
    (void)state;
    err_t err;
    replica_part_t part;
    node_t *other = node_new(1, 20);
    node_t *before = half_with(other);
    node_t *n = damaged(false, before, slice_text(""));
    assert_int_equal(replica_backup(other->replica, other->now, 0, 0, &part, &err), 0);
    meet(other, n); /* which has no time for it before the backup is given up */
    pass_synced_times(n, 20);
    n->is_deaf = true;
    assert_int_equal(replica_forget(other->replica, other->now, 0, &err), 0);
    pass_synced_times(n, 60);
    assert_false(replica_is_ready(n->replica));
    assert_int_equal(replica_info(other->replica, other->now).members, 1);
    node_free(n);
    node_free(other);
    node_free(before);
}

/*
 * It had taken one over, and what was before that was still in its log. It is a member again, so
 * what it hands in counts; what it had handed in when it was none did not, at those who were there.
 */
static void test_damaged_after_joining(void **state)
{
    (void)state;
    node_t *other = node_new(1, 20);
    node_t *before = half_with(other);
    log_joining(before, SEGLOG_JOINING_LEFT);
    log_joining(before, SEGLOG_JOINING_ADOPTED);
    node_t *n = damaged(false, before, slice_text(""));
    meet(other, n);
    pass_synced_times(n, 80);
    assert_true(replica_is_ready(n->replica));
    assert_int_equal(has(other, 10), 2);
    assert_int_equal(has(n, 10), 2);
    node_free(n);
    node_free(other);
    node_free(before);
}

/* With --salvage it goes on, what does not follow is for people, and nothing of before is taken. */
static void test_damaged_salvage(void **state)
{
    (void)state;
    node_t *before = four_updates();
    node_t *n = damaged(true, before, slice_text(""));
    hlc_t floor = replica_info(n->replica, n->now).floor;
    pass_on_disk(n, 2000);
    assert_false(replica_is_ready(n->replica));
    pass_on_disk(n, 10000);
    assert_true(replica_is_ready(n->replica));
    assert_false(replica_info(n->replica, n->now).is_damaged);
    assert_true(replica_info(n->replica, n->now).floor > floor);
    assert_true(replica_info(n->replica, n->now).floor > clock_of(before));
    assert_false(has_lost(n, "first"));
    assert_true(has_lost(n, "set \"k\" \"third\""));
    assert_true(has_lost(n, "set \"k\" \"fourth\""));
    link_up(n);
    hello(n, 1, NULL);
    item_t got = call(n, (ask_t){.session = 1, .seq = 5, .command = COMMAND_GET, .a = "k"});
    assert_value(&got, "first");
    node_free(n);
    node_free(before);
}

/* It had been left behind, by members that are gone: it goes on as a member. */
static void test_salvaged_after_it_had_left(void **state)
{
    (void)state;
    node_t *before = four_updates();
    const peer_member_t rows[] = {{0, before->incarnation, clock_of(before), MEMBER_LEFT_BEHIND},
                                  {1, 77, clock_of(before), MEMBER_IN}};
    buf_t members = {0};
    peer_members_put(&members, rows, 2);
    node_t *n = damaged(true, before, buf_slice(&members));
    pass_on_disk(n, 12000);
    assert_true(replica_is_ready(n->replica));
    node_t *fresh = node_new(2, 500);
    fresh->now = n->now;
    meet(n, fresh);
    pass_synced_times(n, 100);
    assert_true(replica_is_ready(n->replica));
    assert_true(replica_is_ready(fresh->replica));
    assert_int_equal(has(fresh, 10), 1);
    buf_free(&members);
    node_free(before);
    node_free(n);
    node_free(fresh);
}

/*
 * It had been left behind, by members that are there after all, and one of them is not even alone:
 * nobody goes on with both.
 */
static void test_salvaged_and_the_others_are_back(void **state)
{
    (void)state;
    node_t *before = four_updates();
    node_t *other = node_new(1, 20);
    node_t *third = node_new(2, 30);
    err_t err;
    join(before, other);
    before->peer = NULL;
    join(other, third);
    other->peer = NULL;
    assert_int_equal(replica_forget(other->replica, other->now, 0, &err), 0);
    settle(other);
    link_up(other);
    hello(other, 2, NULL);
    set(other, 2, 1, "of the others");
    const peer_member_t rows[] = {{0, 10, clock_of(other), MEMBER_FORGOTTEN},
                                  {1, 20, clock_of(before), MEMBER_IN},
                                  {2, 30, clock_of(before), MEMBER_IN}};
    buf_t members = {0};
    peer_members_put(&members, rows, 3);
    node_t *n = damaged(true, before, buf_slice(&members));
    pass_on_disk(n, 12000);
    assert_true(replica_is_ready(n->replica));
    link_up(n);
    hello(n, 1, NULL);
    set(n, 1, 5, "of one");
    meet(n, other);
    pass_synced_times(n, 100);
    assert_true(replica_is_ready(n->replica) && replica_is_ready(other->replica));
    assert_true(replica_digest(n->replica, 0) == replica_digest(other->replica, 0));
    assert_true(has_lost(other, "# 4 updates that only the state of node 1 had"));
    buf_free(&members);
    node_free(before);
    node_free(other);
    node_free(third);
    node_free(n);
}

/*
 * A log that is damaged where a peer reads: a gap, at once, and the next checkpoint makes that log
 * void.
 */
static void test_damaged_read(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    const vec_t nothing = {0};
    set(n, 1, 1, "x");
    n->is_slow = true;
    for (unsigned turn = 1; turn < 3; turn++) {
        buf_t asked = pull(5, &nothing);
        replica_peer_router(n->replica, n->now, 5, buf_slice(&asked));
        settle(n);
        if (turn == 1) {
            assert_int_equal(n->reads, 1);
            replica_log_damaged(n->replica, n->now, n->read_link, n->read_request,
                                n->read_position);
            replica_checkpoint_room(n->replica, n->now, 1024);
            settle(n);
        }
        assert_int_equal(n->gaps, turn); /* the second is not even read */
        assert_int_equal(n->reads, 1);
        buf_free(&asked);
    }
    assert_int_equal(n->damaged_notes, 1);
    assert_int_equal(n->checkpoints, 1);
    /* What comes later is given. */
    set(n, 1, 2, "y");
    vec_t one = vec_one(10, 1);
    buf_t asked = pull(6, &one);
    replica_peer_router(n->replica, n->now, 6, buf_slice(&asked));
    settle(n);
    assert_int_equal(n->reads, 2);
    assert_int_equal(n->gaps, 2);
    assert_true(replica_is_ready(n->replica));
    buf_free(&asked);
    vec_free(&one);
    node_free(n);
}

/*
 * Damage that a node finds in its own files: the log before is void with the next checkpoint, which
 * is of everything when that was damaged, and not begun while the disk takes none.
 */
static void test_damaged_files(void **state)
{
    (void)state;
    node_t *n = served(0, 10, 1);
    const vec_t nothing = {0};
    set(n, 1, 1, "x");
    n->is_slow = true;
    uint64_t end = LOG_START + n->log.size;
    replica_checkpoint_room(n->replica, n->now, 0);
    replica_files_damaged(n->replica, n->now, true, false);
    settle(n);
    assert_int_equal(n->damaged_notes, 1);
    assert_int_equal(n->checkpoints, 0);
    buf_t asked = pull(5, &nothing);
    replica_peer_router(n->replica, n->now, 5, buf_slice(&asked));
    settle(n);
    assert_int_equal(n->gaps, 1);
    assert_int_equal(n->reads, 0);
    buf_free(&asked);
    pass_synced_times(n, 4);
    assert_int_equal(n->checkpoints, 1);
    assert_int_equal(n->whole_checkpoints, 0);
    assert_int_equal(n->truncated, end);
    replica_files_damaged(n->replica, n->now, false, true);
    pass_synced_times(n, 4);
    assert_int_equal(n->damaged_notes, 2);
    assert_int_equal(n->checkpoints, 2);
    assert_int_equal(n->whole_checkpoints, 1);
    node_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damaged_waits),
        cmocka_unit_test(test_damaged_hands_in),
        cmocka_unit_test(test_damaged_amid_joining),
        cmocka_unit_test(test_damaged_after_joining),
        cmocka_unit_test(test_damaged_and_started_again),
        cmocka_unit_test(test_damaged_and_has_not_heard),
        cmocka_unit_test(test_damaged_salvage),
        cmocka_unit_test(test_salvaged_after_it_had_left),
        cmocka_unit_test(test_salvaged_and_the_others_are_back),
        cmocka_unit_test(test_damaged_read),
        cmocka_unit_test(test_damaged_files),
    };
    return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
