#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bus/net/address.h"

static void test_loopback(void **state)
{
    (void)state;
    assert_true(address_is_loopback_interface("lo"));
    assert_true(address_is_loopback_interface("127.0.0.1"));
    assert_false(address_is_loopback_interface("lo0"));
    assert_false(address_is_loopback_interface(""));
    assert_true(address_is_loopback("127.0.0.1"));
    assert_true(address_is_loopback("127.9.8.7"));
    assert_true(address_is_loopback("::1"));
    assert_true(address_is_loopback("localhost"));
    assert_false(address_is_loopback("12.7.0.1"));
    assert_false(address_is_loopback("localhost.example.org"));
    assert_false(address_is_loopback("::"));
    assert_true(address_is_any("0.0.0.0"));
    assert_true(address_is_any("::"));
    assert_false(address_is_any("127.0.0.1"));
}

static void test_an_interface_has_an_address(void **state)
{
    (void)state;
    char host[ENDPOINT_HOST_SIZE];
    err_t err = {0};

    assert_int_equal(address_of_interface("lo", host, &err), 0);
    assert_string_equal(host, "127.0.0.1");
    assert_int_equal(address_of_interface("no-such-interface", host, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_USAGE);
    assert_non_null(strstr(err.text, "no-such-interface"));
}

static void assert_advertised(const char *text, const char *host, uint16_t port)
{
    endpoint_t out = {0};
    err_t err = {0};

    assert_int_equal(address_parse_advertised(text, &out, &err), 0);
    assert_string_equal(out.host, host);
    assert_int_equal(out.port, port);
}

static void test_what_is_advertised(void **state)
{
    (void)state;
    char longest[1000];
    endpoint_t out;
    err_t err = {0};

    assert_advertised("tcp://10.0.0.7:7710", "10.0.0.7", 7710);
    assert_advertised("10.0.0.7:7710", "10.0.0.7", 7710);
    assert_advertised("10.0.0.7", "10.0.0.7", 0);
    assert_advertised("node.example.org", "node.example.org", 0);
    assert_advertised("[fe80::1]:7710", "fe80::1", 7710);
    assert_advertised("[fe80::1]", "fe80::1", 0);
    assert_advertised("fe80::1", "fe80::1", 0);
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    const char *const wrong[] = {"", ":7710", "a b", "host:0", "host:70000", "udp://a:1", longest};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(address_parse_advertised(wrong[i], &out, &err), -1);
        assert_int_equal(err.outcome, OUTCOME_USAGE);
        assert_non_null(strstr(err.text, "--advertise"));
    }
}

static void test_addresses_in_beacons(void **state)
{
    (void)state;
    static const uint8_t zeros[16] = {0};
    static const uint8_t mapped[16] = {[10] = 0xFF, [11] = 0xFF, [12] = 10, [15] = 7};
    static const uint8_t six[16] = {[0] = 0xFE, [1] = 0x80, [15] = 1};
    uint8_t address[16];

    address_to_beacon("10.0.0.7", address);
    assert_memory_equal(address, mapped, 16);
    address_to_beacon("fe80::1", address);
    assert_memory_equal(address, six, 16);
    const char *const nowhere[] = {"0.0.0.0", "::", "node.example.org", ""};
    for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
        address_to_beacon(nowhere[i], address);
        assert_memory_equal(address, zeros, 16);
    }
}

static void test_other_machines_only_if_said(void **state)
{
    (void)state;
    err_t err = {0};

    assert_int_equal(address_check_interface("lo", false, &err), 0);
    assert_int_equal(address_check_interface("eth9", true, &err), 0);
    assert_int_equal(address_check_interface("eth9", false, &err), -1);
    assert_non_null(strstr(err.text, "--insecure"));
    assert_non_null(strstr(err.text, "--curve"));
    assert_int_equal(address_check_host("127.0.0.1", false, &err), 0);
    assert_int_equal(address_check_host("0.0.0.0", true, &err), 0);
    assert_int_equal(address_check_host("0.0.0.0", false, &err), -1);
    assert_non_null(strstr(err.text, "--insecure"));
}

/* Reads the arguments as a program would; -1 when they are refused. */
static int served(unsigned program, address_served_t *out, int argc, const char *const words[])
{
    char *argv[8];
    char text[8][64];
    options_t *options = options_new(program);
    int rc;

    for (int i = 0; i < argc; i++)
        argv[i] = strncpy(text[i], words[i], sizeof(text[i]) - 1);
    for (int i = 0; i < argc; i++)
        text[i][sizeof(text[i]) - 1] = '\0';
    assert_int_equal(options_parse(options, argc, argv, NULL, NULL), 0);
    rc = address_read_served(out, options, 7730, NULL);
    options_destroy(&options);
    return rc;
}

#define SERVED(program, out, ...)                                                                  \
    served(program, out, (int)(sizeof((const char *[]){"test", __VA_ARGS__}) / sizeof(char *)),    \
           (const char *const[]){"test", __VA_ARGS__})

static void test_where_a_program_serves(void **state)
{
    (void)state;
    address_served_t out;

    assert_int_equal(SERVED(OPTION_NODE, &out, "0"), 0);
    assert_string_equal(out.listen.host, "127.0.0.1");
    assert_int_equal(out.listen.port, 7730);
    assert_false(out.listen_exact);
    assert_string_equal(out.advertised.host, "127.0.0.1");
    assert_int_equal(out.advertised.port, 0);
    assert_int_equal(SERVED(OPTION_BROKER, &out, "--json"), 0);
    assert_int_equal(out.listen.port, 7700); /* the option's own default */
    assert_false(out.listen_exact);
    assert_int_equal(SERVED(OPTION_NODE, &out, "--listen", "tcp://127.0.0.5:99"), 0);
    assert_string_equal(out.listen.host, "127.0.0.5");
    assert_int_equal(out.listen.port, 99);
    assert_true(out.listen_exact);
    assert_string_equal(out.advertised.host, "127.0.0.5");
    assert_int_equal(SERVED(OPTION_NODE, &out, "--listen", "tcp://0.0.0.0:99", "--insecure"), 0);
    assert_string_equal(out.advertised.host, "127.0.0.1"); /* of the interface */
    assert_int_equal(SERVED(OPTION_NODE, &out, "--listen", "tcp://0.0.0.0:99", "--curve", "keys"),
                     0);
    assert_int_equal(SERVED(OPTION_NODE, &out, "--advertise", "here.example.org:5"), 0);
    assert_string_equal(out.listen.host, "127.0.0.1");
    assert_string_equal(out.advertised.host, "here.example.org");
    assert_int_equal(out.advertised.port, 5);
    assert_int_equal(SERVED(OPTION_NODE, &out, "--listen", "tcp://0.0.0.0:99"), -1);
    assert_int_equal(SERVED(OPTION_NODE, &out, "--listen", "nonsense"), -1);
    assert_int_equal(SERVED(OPTION_NODE, &out, "--interface", "eth9"), -1);
    assert_int_equal(SERVED(OPTION_NODE, &out, "--interface", "no-such", "--insecure"), -1);
    assert_int_equal(SERVED(OPTION_NODE, &out, "--advertise", "a b"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_an_interface_has_an_address),
        cmocka_unit_test(test_what_is_advertised),
        cmocka_unit_test(test_addresses_in_beacons),
        cmocka_unit_test(test_other_machines_only_if_said),
        cmocka_unit_test(test_where_a_program_serves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
