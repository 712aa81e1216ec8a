#include "tests/sim/ask.h"

#include <stdio.h>

#include "bus/wire/command.h"
#include "bus/wire/mp.h"

void ask_text(uint32_t number, char text[24])
{
    snprintf(text, 24, "v%u", number);
}

bool ask_number(slice_t text, uint32_t *number)
{
    int64_t value;
    if (text.size < 2 || text.data[0] != 'v' ||
        !slice_to_int64(slice_of(text.data + 1, text.size - 1), &value))
        return false;
    *number = (uint32_t)value;
    return true;
}

bool ask_is_marked(ask_kind_t kind)
{
    return kind == ASK_SET || kind == ASK_DEL || kind == ASK_EXPIRE || kind == ASK_PERSIST ||
           kind == ASK_JOIN || kind == ASK_LEAVE;
}

ask_kind_t ask_look(uint32_t key)
{
    return key == KEY_SET        ? ASK_MEMBERS
           : key >= KEY_COUNTERS ? ASK_LOOK
           : key == KEY_PAIR     ? ASK_ALL
                                 : ASK_GET;
}

const char *ask_prefix(uint32_t number)
{
    static const char *const prefixes[ASK_PREFIXES] = {"", "r", "h", "t"};
    return prefixes[number];
}

/* Arguments being written. */
typedef struct words {
    buf_t *out;
    uint32_t count;
} words_t;

static void put(words_t *words, const char *text)
{
    mp_put_bin(words->out, slice_text(text));
    words->count++;
}

static void put_all(words_t *words, const char *const *texts)
{
    for (; *texts != NULL; texts++)
        put(words, *texts);
}

#define PUT(words, ...) put_all(words, (const char *const[]){__VA_ARGS__, NULL})

static uint8_t put_set(words_t *words, uint32_t key, const char *text, random_t *random)
{
    const char *field;
    const char *name = known_key(key, &field);
    if (field[0] != '\0') {
        PUT(words, name, field, text);
        return COMMAND_HSET;
    }
    if (key == KEY_PAIR && random_chance(random, 500000)) {
        PUT(words, "3", "set", "p", text, "3", "set", "q", text);
        return COMMAND_MULTI;
    }
    if (key == KEY_PAIR) {
        PUT(words, "p", text, "q", text);
        return COMMAND_MSET;
    }
    if (random_chance(random, 100000)) { /* twice in one update: the second holds */
        PUT(words, name, ASK_FIRST, name, text);
        return COMMAND_MSET;
    }
    PUT(words, name, text);
    return COMMAND_SET;
}

static uint8_t put_del(words_t *words, uint32_t key, const char *text, random_t *random)
{
    const char *field;
    const char *name = known_key(key, &field);
    if (field[0] != '\0' && random_chance(random, 700000)) {
        PUT(words, name, field, text);
        return COMMAND_HDEL;
    }
    if (key == KEY_PAIR)
        PUT(words, name, "q", text);
    else
        PUT(words, name, text);
    return COMMAND_DEL;
}

static uint8_t put_all_of(words_t *words, uint32_t key)
{
    if (key == KEY_PAIR) {
        PUT(words, "p", "q");
        return COMMAND_MGET;
    }
    if (key < KEY_PAIR) {
        PUT(words, "r0", "r1", "r2", "r3");
        return COMMAND_MGET;
    }
    PUT(words, "h1");
    return COMMAND_HGETALL;
}

static uint8_t put_scan(words_t *words, const ask_t *ask, random_t *random)
{
    char cursor[24];
    snprintf(cursor, sizeof cursor, "%llu", (unsigned long long)ask->cursor);
    PUT(words, cursor, ask_prefix(ask->key));
    if (random_chance(random, 700000))
        put(words, random_chance(random, 500000) ? "2" : "6");
    return COMMAND_SCAN;
}

static uint8_t put_command(words_t *words, const ask_t *ask, random_t *random)
{
    char text[24];
    const char *field;
    const char *name = ask->kind != ASK_SCAN ? known_key(ask->key, &field) : "";
    bool is_of_other = ask->kind == ASK_LEAVE || ask->kind == ASK_IS_MEMBER;
    ask_text(is_of_other ? ask->member : ask->number, text);
    switch (ask->kind) {
    case ASK_SET:
        return put_set(words, ask->key, text, random);
    case ASK_DEL:
        return put_del(words, ask->key, text, random);
    case ASK_ALL:
        return put_all_of(words, ask->key);
    case ASK_EXPIRE:
        PUT(words, "3", "expire", name, random_chance(random, 600000) ? "1" : "2", "2", "del",
            text);
        return COMMAND_MULTI;
    case ASK_PERSIST:
        PUT(words, "2", "persist", name, "2", "del", text);
        return COMMAND_MULTI;
    case ASK_JOIN:
        PUT(words, name, text);
        return COMMAND_SADD;
    case ASK_LEAVE:
        PUT(words, name, text);
        return COMMAND_SREM;
    case ASK_IS_MEMBER:
        PUT(words, name, text);
        return COMMAND_SISMEMBER;
    case ASK_MEMBERS:
        put(words, name);
        return COMMAND_SMEMBERS;
    case ASK_SCAN:
        return put_scan(words, ask, random);
    case ASK_ADD:
    case ASK_GET:
    case ASK_LOOK:
    case ASK_MIX:
        break;
    }
    put(words, name);
    if (field[0] == '\0')
        return ask->kind == ASK_ADD ? COMMAND_INCR : COMMAND_GET;
    put(words, field);
    return ask->kind == ASK_ADD ? COMMAND_HINCR : COMMAND_HGET;
}

uint8_t ask_put(const ask_t *ask, random_t *random, buf_t *arguments, uint32_t *count)
{
    words_t words = {arguments, 0};
    uint8_t command = put_command(&words, ask, random);
    *count = words.count;
    return command;
}
