/*
 * uthash as this project uses it: memory that cannot fail, and XXH3 for the keys.
 *
 * Include this, never <uthash.h>. Its own hash function falls from case to case in a way that clang
 * refuses under our warnings. The macros work on structs with a UT_hash_handle, which belong to
 * their user.
 */
#ifndef HEARSAY_BUS_BASE_HASHED_H
#define HEARSAY_BUS_BASE_HASHED_H

#include <stdlib.h>
#include <xxhash.h>

#include "bus/base/memory.h"

#define uthash_malloc(size)            mem_alloc(size)
#define uthash_fatal(message)          abort() /* never: mem_alloc does not fail */
#define HASH_FUNCTION(key, size, hash) ((hash) = (unsigned)XXH3_64bits((key), (size)))

#include <uthash.h>

#endif
