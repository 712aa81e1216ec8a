#include "frontend/broker/settings.h"

#include <string.h>

#include "bus/net/address.h"

/* Without keys nobody but this machine is served, unless that is asked for in so many words. */
static int check_secure(const broker_settings_t *self, bool insecure, err_t *err)
{
    if (insecure)
        return 0;
    if (!address_is_loopback_interface(self->interface))
        return err_set(err, OUTCOME_USAGE,
                       "on interface %.40s anybody could read and write the data: give --insecure "
                       "if you trust that network, or stay on lo",
                       self->interface);
    if (!address_is_loopback(self->listen.host))
        return err_set(err, OUTCOME_USAGE,
                       "at %.60s anybody could read and write the data: give --insecure if you "
                       "trust that network, or listen on 127.0.0.1",
                       self->listen.host);
    return 0;
}

static int read_addresses(broker_settings_t *out, const options_t *options, err_t *err)
{
    const char *advertise = options_text(options, "advertise");
    char own[ENDPOINT_HOST_SIZE];

    if (!endpoint_parse(options_text(options, "listen"), &out->listen, err) ||
        check_secure(out, options_flag(options, "insecure"), err) != 0 ||
        address_of_interface(out->interface, own, err) != 0)
        return -1;
    out->listen_exact = options_given(options, "listen");
    if (!out->listen_exact)
        memcpy(out->listen.host, own, sizeof(own));
    if (advertise != NULL)
        return address_parse_advertised(advertise, &out->advertised, err);
    memcpy(out->advertised.host, address_is_any(out->listen.host) ? own : out->listen.host,
           ENDPOINT_HOST_SIZE);
    return 0;
}

int broker_settings_read(broker_settings_t *out, const options_t *options, err_t *err)
{
    size_t words;
    const char *const *list = options_words(options, &words);

    *out = (broker_settings_t){
        .cluster = options_text(options, "cluster"),
        .interface = options_text(options, "interface"),
        .beacon_port = (int)options_int(options, "beacon-port"),
    };
    if (words != 0)
        return err_set(err, OUTCOME_USAGE,
                       "\"%.64s\" is too much: hearsay-broker takes options alone, see --help",
                       list[0]);
    if (read_addresses(out, options, err) != 0)
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
