/*
 * Vector timestamps: for each incarnation of a replica, how many of its updates are covered.
 *
 * Coulouris et al., Distributed Systems, sections 14.4 (vector clocks) and 18.4.1 (the gossip
 * architecture); Ladin et al., ACM TOCS 10(4) 1992, section 3.1 ("multipart timestamps"). A part
 * that is absent counts as 0. The parts are kept sorted by incarnation in one small array: a
 * cluster has a handful, and merge and comparison walk two arrays once. The struct lives inside its
 * user; zero it, vec_free it.
 */
#ifndef HEARSAY_BUS_BASE_VECTOR_H
#define HEARSAY_BUS_BASE_VECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most parts a vector may have; decoders refuse more, replicas refuse to join more. */
enum {
    VEC_PARTS_MAX = 1024,
    VEC_ENDED_MAX = 16384, /* of the vector of final counts, which travels seldom */
    VEC_WHOLE_MAX = VEC_PARTS_MAX + VEC_ENDED_MAX, /* of one with its final counts in it */
};

typedef struct vec_part {
    uint64_t incarnation;
    uint64_t count;
} vec_part_t;

/*
 * In a token a part may stand for a node instead of one of its starts: the node has left the
 * members (it was forgotten, or left behind), and the count is the stamp of the row that says so.
 * Their numbers are above those of all incarnations, which are at most VEC_INCARNATION_MAX.
 */
#define VEC_INCARNATION_MAX (UINT64_MAX - UINT16_MAX - 1)

static inline uint64_t vec_node(uint16_t id)
{
    return VEC_INCARNATION_MAX + 1 + id;
}

typedef struct vec {
    vec_part_t *parts; /* sorted by incarnation, no part twice, no count 0 */
    uint32_t size;
    uint32_t capacity;
} vec_t;

void vec_free(vec_t *self);

/* Empties it, keeps the memory. */
void vec_reset(vec_t *self);

/* The count of an incarnation, 0 when it has no part. */
uint64_t vec_get(const vec_t *self, uint64_t incarnation);

/* Raises a part to count if it is less; true when it changed. */
bool vec_raise(vec_t *self, uint64_t incarnation, uint64_t count);

/* Sets a part, also downwards; 0 removes it. */
void vec_set(vec_t *self, uint64_t incarnation, uint64_t count);

/*
 * Takes the parts out of self that other has with the same count or a greater one. What is left
 * stands for the whole where other is known.
 */
void vec_leave_out(vec_t *self, const vec_t *other);

/* Takes out what stands for nodes. */
void vec_drop_nodes(vec_t *self);

/* Raises each part of self to that of other: the least upper bound. True when self changed. */
bool vec_merge(vec_t *self, const vec_t *other);

/* self becomes a copy of other. */
void vec_copy(vec_t *self, const vec_t *other);

/* True when every part of other is at or under that of self (other <= self). */
bool vec_covers(const vec_t *self, const vec_t *other);

/* As vec_covers; false with *lacking set to the first part of other that self does not cover. */
bool vec_covers_or(const vec_t *self, const vec_t *other, vec_part_t *lacking);

/* A walk over two vectors; zero it. */
typedef struct vec_walk {
    uint32_t self;
    uint32_t other;
} vec_walk_t;

/* The next part of other that is above that of self; false behind the last. */
bool vec_next_above(const vec_t *self, const vec_t *other, vec_walk_t *walk, vec_part_t *out);

bool vec_equal(const vec_t *a, const vec_t *b);

/*
 * How many updates other covers that self does not: the sum over the parts where other is greater.
 */
uint64_t vec_lag(const vec_t *self, const vec_t *other);

#endif
