#include "replica/node/settings.h"

#include <stdio.h>
#include <string.h>

#include "bus/base/nearest.h"
#include "bus/base/random.h"

enum {
    PORT_FIRST = 7710,
    PORT_STEP = 10,
    SHOWN = 64, /* bytes of somebody's text that a message repeats */
};

/* ---- --auto ---- */

/* "0.8", "80" or "80%" in millionths, at most 1000 of them whole; -1 when it is none. */
static int64_t parse_millionths(slice_t text, bool *percent)
{
    int64_t whole = 0;
    int64_t scale = RANDOM_PPM;
    bool digits = false;
    bool point = false;

    *percent = text.size != 0 && text.data[text.size - 1] == '%';
    if (*percent)
        text.size--;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9' || (point && scale < 10) || whole > 1000 * (int64_t)RANDOM_PPM)
            return -1;
        if (point)
            scale /= 10;
        whole = point ? whole + (c - '0') * scale : whole * 10 + (c - '0') * scale;
        digits = true;
    }
    return digits ? whole : -1;
}

/* The three chances; false unless they sum to 1 or, as percentages, to 100. */
static bool parse_chances(const char *text, uint32_t ppm[3])
{
    int64_t values[3];
    int64_t sum = 0;
    unsigned percents = 0;

    for (int i = 0; i < 3; i++) {
        size_t size = strcspn(text, ",");
        bool percent;
        values[i] = parse_millionths(slice_of(text, size), &percent);
        if (values[i] < 0 || (text[size] == ',') != (i < 2))
            return false;
        sum += values[i];
        percents += percent;
        text += size + 1;
    }
    bool hundredths = sum == 100 * (int64_t)RANDOM_PPM && (percents == 0 || percents == 3);
    if (!hundredths && (sum != RANDOM_PPM || percents != 0))
        return false;
    for (int i = 0; i < 3; i++)
        ppm[i] = (uint32_t)(hundredths ? values[i] / 100 : values[i]);
    ppm[0] += RANDOM_PPM - (ppm[0] + ppm[1] + ppm[2]); /* what the division cut off */
    return true;
}

int settings_auto_parse(const char *text, replica_mode_t *mode, uint32_t ppm[3], err_t *err)
{
    static const char random_prefix[] = "random:";
    static const uint32_t usual_ppm[3] = {800000, 150000, 50000};

    if (strcmp(text, "load") == 0 || strcmp(text, "random") == 0) {
        *mode = text[0] == 'l' ? MODE_AUTO_LOAD : MODE_AUTO_RANDOM;
        memcpy(ppm, usual_ppm, sizeof(usual_ppm));
        return 0;
    }
    if (strncmp(text, random_prefix, sizeof(random_prefix) - 1) == 0) {
        if (!parse_chances(text + sizeof(random_prefix) - 1, ppm))
            return err_set(
                err, OUTCOME_USAGE,
                "\"%.*s\" has no three chances that sum to 1 or 100%%: write the chances "
                "of active, overloaded and offline, as --auto random:80%%,15%%,5%%",
                SHOWN, text);
        *mode = MODE_AUTO_RANDOM;
        return 0;
    }
    return err_set(err, OUTCOME_USAGE,
                   "\"%.*s\" is no way to set the status: give --auto load, random or "
                   "random:80%%,15%%,5%%",
                   SHOWN, text);
}

/* ---- the words ---- */

static int read_status(settings_t *out, const char *word, err_t *err)
{
    const char *names[STATUS_LAST + 1];

    if (status_parse(word, &out->status)) {
        out->mode = MODE_MANUAL;
        return 0;
    }
    for (unsigned i = 0; i <= STATUS_LAST; i++)
        names[i] = status_name(i);
    const char *near = nearest(word, names, STATUS_LAST + 1);
    if (near != NULL)
        return err_set(err, OUTCOME_USAGE, "\"%.*s\" is no status: did you mean %s?", SHOWN, word,
                       near);
    return err_set(err, OUTCOME_USAGE,
                   "\"%.*s\" is no status: give active, overloaded, draining or offline, or none",
                   SHOWN, word);
}

static int read_words(settings_t *out, const options_t *options, err_t *err)
{
    size_t count;
    const char *const *words = options_words(options, &count);
    int64_t id;

    if (count == 0)
        return err_set(err, OUTCOME_USAGE,
                       "which node is this? give its id, 0 to %d, as in: hearsay-node 0",
                       NODE_ID_MAX);
    if (!slice_to_int64(slice_text(words[0]), &id) || id < 0 || id > NODE_ID_MAX)
        return err_set(err, OUTCOME_USAGE, "\"%.*s\" is no node id: give a number from 0 to %d",
                       SHOWN, words[0], NODE_ID_MAX);
    if (count > 2)
        return err_set(err, OUTCOME_USAGE,
                       "\"%.*s\" is too much: hearsay-node takes an id and a status", SHOWN,
                       words[2]);
    out->id = (uint16_t)id;
    return count == 2 ? read_status(out, words[1], err) : 0;
}

static int read_peers(settings_t *out, const options_t *options, err_t *err)
{
    const char *const *peers = options_list(options, "peer", &out->peer_count);

    for (size_t i = 0; i < out->peer_count; i++)
        if (!endpoint_parse(peers[i], &out->peers[i], err))
            return -1;
    return 0;
}

static disk_sync_mode_t sync_mode(const char *name)
{
    if (strcmp(name, "always") == 0)
        return DISK_SYNC_ALWAYS;
    return strcmp(name, "never") == 0 ? DISK_SYNC_NEVER : DISK_SYNC_INTERVAL;
}

/* ---- all ---- */

int settings_read(settings_t *out, const options_t *options, err_t *err)
{
    const char *data = options_text(options, "data");

    *out = (settings_t){.status = STATUS_ACTIVE};
    if (settings_auto_parse(options_text(options, "auto"), &out->auto_mode, out->random_ppm, err) !=
        0)
        return -1;
    out->mode = out->auto_mode;
    if (read_words(out, options, err) != 0 ||
        address_read_served(&out->served, options, (uint16_t)(PORT_FIRST + PORT_STEP * out->id),
                            err) != 0 ||
        address_read_http(&out->http, options, err) != 0 || read_peers(out, options, err) != 0)
        return -1;
    if (data != NULL)
        snprintf(out->data, sizeof(out->data), "%s", data);
    else
        snprintf(out->data, sizeof(out->data), "replica_%u", out->id);
    out->cluster = options_text(options, "cluster");
    out->interface = options_text(options, "interface");
    out->curve = options_text(options, "curve");
    out->beacon_port = (int)options_int(options, "beacon-port");
    out->sync = sync_mode(options_text(options, "sync"));
    out->gossip_interval_ms = options_ms(options, "gossip-interval");
    out->retry_horizon_ms = options_ms(options, "retry-horizon");
    out->max_drift_ms = options_ms(options, "max-drift");
    out->log_max = (uint64_t)options_bytes(options, "log-max");
    out->memory_max = options_bytes(options, "max-memory");
    out->value_max = (uint32_t)options_bytes(options, "max-value");
    out->ack = (uint32_t)options_int(options, "ack");
    out->salvage = options_flag(options, "salvage");
    return 0;
}
