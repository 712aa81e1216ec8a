#include "frontend/broker/settings.h"

int broker_settings_read(broker_settings_t *out, const options_t *options, err_t *err)
{
    size_t words;
    const char *const *list = options_words(options, &words);

    *out = (broker_settings_t){
        .cluster = options_text(options, "cluster"),
        .interface = options_text(options, "interface"),
        .curve = options_text(options, "curve"),
        .beacon_port = (int)options_int(options, "beacon-port"),
    };
    if (words != 0)
        return err_set(err, OUTCOME_USAGE,
                       "\"%.64s\" is too much: hearsay-broker takes options alone, see --help",
                       list[0]);
    if (address_read_served(&out->served, options, 0, err) != 0 ||
        address_read_http(&out->http, options, err) != 0)
        return -1;
    list = options_list(options, "peer", &out->peer_count);
    for (size_t i = 0; i < out->peer_count; i++) {
        if (!endpoint_parse(list[i], &out->peers[i], err))
            return -1;
        if (out->peers[i].port == UINT16_MAX)
            return err_set(err, OUTCOME_USAGE, "--peer: %.64s has no room for a node's ports",
                           list[i]);
    }
    return 0;
}
