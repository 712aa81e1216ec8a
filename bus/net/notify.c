#include "bus/net/notify.h"

#ifdef HEARSAY_SYSTEMD
#include <systemd/sd-daemon.h>

enum { US_IN_MS = 1000, TIMES = 3 /* in the time after which the manager loses patience */ };

void notify_ready(void)
{
    (void)sd_notify(0, "READY=1"); /* nobody listens: that is all right */
}

void notify_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1");
}

int64_t notify_interval_ms(void)
{
    uint64_t limit_us = 0;
    if (sd_watchdog_enabled(0, &limit_us) <= 0)
        return 0;
    int64_t interval_ms = (int64_t)(limit_us / US_IN_MS / TIMES);
    return interval_ms > 0 ? interval_ms : 1;
}

void notify_alive(void)
{
    (void)sd_notify(0, "WATCHDOG=1");
}

#else

void notify_ready(void)
{
}

void notify_stopping(void)
{
}

int64_t notify_interval_ms(void)
{
    return 0;
}

void notify_alive(void)
{
}

#endif
