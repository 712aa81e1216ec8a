/*
 * hearsay-sim: runs simulated clusters from seeds. Exit 0 only if all were clean.
 *
 *   hearsay-sim [--seed N] [--seeds M] [--seconds S] [--first] [--trace]
 *
 * With --first it ends at the first failure. With --seconds it goes on to further seeds until that
 * much real time has passed. A failing seed is printed with the command that repeats it.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/world.h"

enum {
    COVERAGE_SEEDS = 200, /* from so many on, every branch must have been reached */
};

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Prints how often each branch was reached; the number of those that never were. */
static int print_coverage(const sim_coverage_t *c)
{
    const struct {
        const char *name;
        uint64_t count;
    } rows[] = {
        {"tokens handed over", c->handed_over},
        {"deaf to what is published", c->deaf},
        {"blackouts", c->black_outs},
        {"slow reads of a log", c->slow_reads},
        {"machines with a wrong clock", c->wrong_clocks},
        {"clocks accepted", c->clocks_accepted},
        {"requests", c->requests},
        {"done", c->done_ok},
        {"retries answered from the executed table", c->retries_answered},
        {"RETAG", c->retagged},
        {"requests that waited for their token", c->waited},
        {"BEHIND", c->turned_back_behind},
        {"MOVED", c->turned_back_moved},
        {"BUSY", c->busy},
        {"UNKNOWN", c->unknown},
        {"LOST reads", c->lost_reads},
        {"MISSING", c->missing},
        {"relaxed", c->relaxed},
        {"NOT_REACHED", c->not_reached},
        {"READ_ONLY", c->refused_read_only},
        {"cancelled in time", c->cancelled},
        {"cancelled and UNKNOWN", c->cancelled_unknown},
        {"records held back", c->held_back},
        {"conflicts", c->conflicts},
        {"records received twice", c->duplicates},
        {"pulls served", c->pulls_served},
        {"torn log tails", c->torn_tails},
        {"nodes killed", c->node_kills},
        {"brokers killed", c->broker_kills},
        {"clients killed", c->client_kills},
        {"clients killed with requests under way", c->client_dead_amid},
        {"tokens taken over from killed clients", c->client_restored},
        {"updates applied after a kill of their client", c->left_applied},
        {"pauses of clients", c->client_pauses},
        {"pauses", c->pauses},
        {"partitions", c->partitions},
        {"set offline", c->offline},
        {"set draining", c->draining},
        {"disks full", c->read_only},
        {"appends failed", c->appends_failed},
        {"turns that waited for a failed append", c->stalls},
        {"failed appends left in part by a kill", c->torn_appends},
        {"syncs failed", c->syncs_failed},
        {"disks without pages of a failed sync", c->pages_lost},
        {"clock jumps", c->clock_jumps},
        {"disks lost", c->disks_lost},
        {"old folders put back", c->put_back},
        {"power cuts", c->power_cuts},
        {"syncs that were asked for", c->asked_syncs},
        {"disks damaged", c->damages},
        {"damaged disks repaired", c->repairs},
        {"damage met when the log was read", c->damaged_reads},
        {"files damaged and found while running", c->files_damaged},
        {"of them, made good while running", c->made_good},
        {"nodes killed before damage was made good", c->worn_kills},
        {"updates from behind damage handed in", c->salvaged},
        {"clients forgotten", c->forgotten},
        {"TOO_OLD", c->too_old},
        {"checkpoints", c->checkpoints},
        {"final counts", c->final_counts},
        {"states taken over", c->transfers},
        {"updates handed in that do not count", c->lost_records},
        {"nodes forgotten", c->forgotten_nodes},
        {"updates with two copies or more", c->copied},
        {"RETAG in the middle of a pipeline", c->retagged_before},
        {"updates that two replicas accepted", c->executed_twice},
        {"deadlines of keys that passed in a partition", c->expired_apart},
        {"transfers of state interrupted", c->transfers_cut},
        {"members left behind", c->left_behind},
        {"logs full", c->logs_full},
        {"brokers killed amid a pipeline", c->brokers_amid},
        {"floors that came before records", c->early_floors},
        {"final counts heard of from others", c->late_counts},
        {"splits into two halves", c->splits},
        {"all nodes killed at once", c->all_killed},
        {"all nodes but one gone for good", c->left_alone},
        {"requests done by the one that was left", c->alone_done},
        {"MISSING at the one that was left", c->alone_missing},
        {"updates after all was healed", c->tried},
        {"own deletes read", c->own_deletes},
        {"members of sets seen to go", c->members_gone},
        {"deadlines seen to have passed", c->deadlines},
        {"snapshots of what was being set", c->snapshots_amid},
        {"scans of several pages", c->scans},
    };
    size_t size = sizeof rows / sizeof rows[0];
    int missing = 0;
    for (size_t i = 0; i < size; i++) {
        printf("  %-44s %10llu\n", rows[i].name, (unsigned long long)rows[i].count);
        missing += rows[i].count == 0;
    }
    return missing;
}

static bool run_one(uint64_t seed, sim_coverage_t *coverage, FILE *trace, uint64_t *virtual_ms)
{
    sim_report_t report = sim_run(seed, coverage, trace);
    *virtual_ms += (uint64_t)report.virtual_ms;
    if (report.is_clean)
        return true;
    printf("seed %llu: %s\n  again: make sim SEED=%llu SEEDS=1 SIM_FLAGS=--trace\n",
           (unsigned long long)seed, report.why, (unsigned long long)seed);
    return false;
}

/* The same seed twice must be the same run, or no failure could be repeated. */
static bool is_deterministic(uint64_t seed)
{
    sim_coverage_t ignored = {0};
    sim_report_t first = sim_run(seed, &ignored, NULL);
    sim_report_t second = sim_run(seed, &ignored, NULL);
    if (first.trace_hash == second.trace_hash && first.events == second.events)
        return true;
    printf("seed %llu: two runs differ: hash %016llx and %016llx\n", (unsigned long long)seed,
           (unsigned long long)first.trace_hash, (unsigned long long)second.trace_hash);
    return false;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    uint64_t seeds = 20;
    double seconds = 0;
    bool is_first_enough = false;
    FILE *trace = NULL;
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--seed") == 0 && has_value) {
            seed = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--seeds") == 0 && has_value) {
            seeds = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--seconds") == 0 && has_value) {
            seconds = strtod(argv[++i], NULL);
        } else if (strcmp(argv[i], "--first") == 0) {
            is_first_enough = true;
        } else if (strcmp(argv[i], "--trace") == 0) {
            trace = stdout;
        } else {
            fprintf(stderr, "usage: hearsay-sim [--seed N] [--seeds M] [--seconds S] [--first] "
                            " [--trace]\n");
            return 2;
        }
    }
    sim_coverage_t coverage = {0};
    uint64_t virtual_ms = 0;
    uint64_t runs = 0;
    uint64_t failures = 0;
    double started = seconds_now();
    for (;
         (runs < seeds || seconds_now() - started < seconds) && !(is_first_enough && failures != 0);
         runs++)
        failures += !run_one(seed + runs, &coverage, trace, &virtual_ms);
    double took = seconds_now() - started;
    failures += !is_deterministic(seed);
    int unreached = print_coverage(&coverage);
    if (runs >= COVERAGE_SEEDS && unreached != 0) {
        printf("%d branches were never reached: the simulation does not test what it says\n",
               unreached);
        failures++;
    }
    printf("%llu simulated seconds in %.1f real ones\n", (unsigned long long)(virtual_ms / 1000),
           took);
    printf("%llu seeds from %llu, %llu failed\n", (unsigned long long)runs,
           (unsigned long long)seed, (unsigned long long)failures);
    return failures != 0 ? 1 : 0;
}
