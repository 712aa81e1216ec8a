#include "frontend/broker/inspect.h"

#include <stdlib.h>

#include "bus/base/memory.h"
#include "bus/wire/inspect.h"

void broker_put_sessions(buf_t *out, const frontend_t *frontend, now_t now, uint16_t port)
{
    frontend_route_info_t *list = mem_alloc(INSPECT_ROUTES_MAX * sizeof(*list));
    size_t count = frontend_routes(frontend, list, INSPECT_ROUTES_MAX);
    frontend_info_t info = frontend_info(frontend, now);
    buf_t routes = {0};

    for (size_t i = 0; i < count; i++) {
        const inspect_route_t route = {
            .connection = list[i].connection,
            .replica = list[i].replica,
            .sessions = list[i].sessions,
            .in_flight = list[i].in_flight,
        };
        inspect_route_put(&routes, &route);
    }
    const inspect_sessions_t document = {
        .incarnation = info.incarnation,
        .port = port,
        .sessions = info.sessions,
        .routes = info.routes,
        .routes_here = (uint32_t)count,
        .routes_at = buf_slice(&routes),
    };
    inspect_sessions_put(out, &document);
    buf_free(&routes);
    free(list);
}
