#include "bus/net/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

enum {
    SHOWN = 64, /* bytes of somebody's text that a message repeats */
};

bool address_is_loopback_interface(const char *interface)
{
    return strcmp(interface, "lo") == 0 || strcmp(interface, "127.0.0.1") == 0;
}

bool address_is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

bool address_is_any(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

int address_of_interface(const char *interface, char host[ENDPOINT_HOST_SIZE], err_t *err)
{
    struct ifaddrs *all = NULL;
    bool found = false;

    if (address_is_loopback_interface(interface)) {
        snprintf(host, ENDPOINT_HOST_SIZE, "127.0.0.1");
        return 0;
    }
    if (getifaddrs(&all) != 0)
        all = NULL;
    for (const struct ifaddrs *i = all; i != NULL && !found; i = i->ifa_next) {
        struct sockaddr_in address;
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET ||
            strcmp(i->ifa_name, interface) != 0)
            continue;
        memcpy(&address, i->ifa_addr, sizeof(address));
        found = inet_ntop(AF_INET, &address.sin_addr, host, ENDPOINT_HOST_SIZE) != NULL;
    }
    if (all != NULL)
        freeifaddrs(all);
    if (found)
        return 0;
    return err_set(err, OUTCOME_USAGE,
                   "interface %.40s has no IPv4 address: set it up, or give another with "
                   "--interface",
                   interface);
}

int address_check_interface(const char *interface, bool is_allowed, err_t *err)
{
    if (is_allowed || address_is_loopback_interface(interface))
        return 0;
    return err_set(err, OUTCOME_USAGE,
                   "on interface %.40s anybody could read and write the data: give keys with "
                   "--curve DIR, or --insecure if you trust that network, or stay on lo",
                   interface);
}

int address_check_host(const char *host, bool is_allowed, err_t *err)
{
    if (is_allowed || address_is_loopback(host))
        return 0;
    return err_set(err, OUTCOME_USAGE,
                   "at %.60s anybody could read and write the data: give keys with --curve DIR, or "
                   "--insecure if you trust that network, or stay on 127.0.0.1",
                   host);
}

bool address_is_allowed(const options_t *options)
{
    return options_flag(options, "insecure") || options_text(options, "curve") != NULL;
}

int address_read_served(address_served_t *out, const options_t *options, uint16_t port, err_t *err)
{
    const char *interface = options_text(options, "interface");
    const char *listen = options_text(options, "listen");
    const char *advertise = options_text(options, "advertise");
    bool is_allowed = address_is_allowed(options);
    char own[ENDPOINT_HOST_SIZE];

    *out =
        (address_served_t){.listen.port = port, .listen_exact = options_given(options, "listen")};
    if (address_check_interface(interface, is_allowed, err) != 0 ||
        (listen != NULL && !endpoint_parse(listen, &out->listen, err)) ||
        (listen != NULL && address_check_host(out->listen.host, is_allowed, err) != 0) ||
        address_of_interface(interface, own, err) != 0)
        return -1;
    if (!out->listen_exact)
        memcpy(out->listen.host, own, sizeof(own));
    if (advertise != NULL)
        return address_parse_advertised(advertise, &out->advertised, err);
    memcpy(out->advertised.host, address_is_any(out->listen.host) ? own : out->listen.host,
           ENDPOINT_HOST_SIZE);
    return 0;
}

int address_read_http(endpoint_t *out, const options_t *options, err_t *err)
{
    const char *text = options_text(options, "http");
    char longer[ENDPOINT_TEXT_SIZE + 8];

    *out = (endpoint_t){.port = 0};
    if (text == NULL)
        return 0;
    snprintf(longer, sizeof(longer), "%s%.*s", strstr(text, "://") == NULL ? "tcp://" : "",
             ENDPOINT_TEXT_SIZE, text);
    if (!endpoint_parse(longer, out, NULL))
        return err_set(err, OUTCOME_USAGE,
                       "--http: \"%.*s\" is no address: give host:port, as 127.0.0.1:9710", SHOWN,
                       text);
    if (options_flag(options, "insecure") || address_is_loopback(out->host))
        return 0;
    return err_set(
        err, OUTCOME_USAGE,
        "--http: at %.60s anybody could read it, as HTTP has no keys: give --insecure if "
        "you trust that network, or stay on 127.0.0.1",
        out->host);
}

int address_parse_advertised(const char *text, endpoint_t *out, err_t *err)
{
    char longer[ENDPOINT_TEXT_SIZE + 32];

    if (endpoint_parse(text, out, NULL))
        return 0;
    snprintf(longer, sizeof(longer), "tcp://%.*s", ENDPOINT_TEXT_SIZE, text);
    if (endpoint_parse(longer, out, NULL))
        return 0;
    bool bare_ipv6 = strchr(text, ':') != NULL && text[0] != '[';
    snprintf(longer, sizeof(longer), bare_ipv6 ? "tcp://[%.*s]:1" : "tcp://%.*s:1",
             ENDPOINT_HOST_SIZE, text);
    if (!endpoint_parse(longer, out, NULL))
        return err_set(err, OUTCOME_USAGE,
                       "--advertise: \"%.*s\" is no address: give a host, or host:port", SHOWN,
                       text);
    out->port = 0;
    return 0;
}

void address_to_beacon(const char *host, uint8_t address[16])
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};

    memset(address, 0, 16);
    if (address_is_any(host))
        return;
    if (inet_pton(AF_INET, host, address + sizeof(mapped)) == 1)
        memcpy(address, mapped, sizeof(mapped));
    else if (inet_pton(AF_INET6, host, address) != 1)
        memset(address, 0, 16);
}
