/*
 * Sockets that share an address with SO_REUSEPORT would also share it with those of another varved
 * of the same user, which would then get a part of the requests. So the address is first bound
 * alone, which fails if anybody has it.
 */
#include "service/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define BACKLOG 1024

struct address {
    struct sockaddr_storage storage;
    socklen_t size;
    const char *text; /* borrowed: as configured */
};

static enum varve_status socket_error(struct varve_error *ret_error, const char *address)
{
    enum varve_status status = errno == EADDRINUSE ? VARVE_LOCKED : VARVE_IO;
    return error_set(ret_error, status, NULL, STATUS_NO_OFFSET, "cannot listen on %s: %s", address,
                     strerror(errno));
}

static enum varve_status resolve(const struct service_config *config, struct address *ret_address,
                                 struct varve_error *ret_error)
{
    struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };
    struct addrinfo *found = NULL;
    char port[8];
    snprintf(port, sizeof port, "%u", config->listen_port);
    int failure = getaddrinfo(config->listen_host, port, &hints, &found);
    if (failure != 0)
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET, "listen = %s: %s",
                         config->listen, gai_strerror(failure));
    memcpy(&ret_address->storage, found->ai_addr, found->ai_addrlen);
    ret_address->size = found->ai_addrlen;
    freeaddrinfo(found);
    return VARVE_OK;
}

/* Binds a socket, alone or sharing; `address` gets the port if it had none. */
static enum varve_status bind_socket(struct address *address, bool shared, int *ret_fd,
                                     struct varve_error *ret_error)
{
    int on = 1;
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return socket_error(ret_error, address->text);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
        bind(fd, (struct sockaddr *)&address->storage, address->size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address->storage, &address->size) != 0) {
        enum varve_status status = socket_error(ret_error, address->text);
        close(fd);
        return status;
    }
    *ret_fd = fd;
    return VARVE_OK;
}

static enum varve_status open_sockets(struct address *address, size_t count, int *ret_fds,
                                      struct varve_error *ret_error)
{
    int alone = -1;
    enum varve_status status = bind_socket(address, false, &alone, ret_error);
    if (status != VARVE_OK)
        return status;
    close(alone);
    for (size_t i = 0; i < count; i++) {
        status = bind_socket(address, true, &ret_fds[i], ret_error);
        if (status == VARVE_OK && listen(ret_fds[i], BACKLOG) != 0)
            status = socket_error(ret_error, address->text);
        if (status != VARVE_OK)
            return status;
    }
    return VARVE_OK;
}

bool listener_is_exposed(int fd)
{
    struct sockaddr_storage storage = {0};
    socklen_t size = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &size) != 0)
        return true;
    switch (storage.ss_family) {
    case AF_UNIX:
        return false;
    case AF_INET:
        return ntohl(((const struct sockaddr_in *)(const void *)&storage)->sin_addr.s_addr) >> 24 !=
               IN_LOOPBACKNET;
    case AF_INET6:
        return !IN6_IS_ADDR_LOOPBACK(
            &((const struct sockaddr_in6 *)(const void *)&storage)->sin6_addr);
    default:
        return true;
    }
}

static enum varve_status share_inherited(const struct service_config *config, int inherited_count,
                                         size_t count, int *ret_fds, struct varve_error *ret_error)
{
    int inherited = SD_LISTEN_FDS_START;
    if (inherited_count > 1)
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "there are %d inherited sockets, and only one can be served",
                         inherited_count);
    if (!config_allows_others(config) && listener_is_exposed(inherited))
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "the inherited socket is not on a loopback address; that takes a "
                         "token_file and TLS (tls_cert_file, tls_key_file), or insecure to do "
                         "without");
    int flags = fcntl(inherited, F_GETFL);
    if (flags < 0 || fcntl(inherited, F_SETFL, flags | O_NONBLOCK) != 0)
        return socket_error(ret_error, "the inherited socket");
    ret_fds[0] = inherited;
    for (size_t i = 1; i < count; i++) {
        ret_fds[i] = fcntl(inherited, F_DUPFD_CLOEXEC, 0);
        if (ret_fds[i] < 0)
            return socket_error(ret_error, "the inherited socket");
    }
    return VARVE_OK;
}

static void describe(int fd, char ret_address[LISTENER_ADDRESS_BYTES])
{
    struct address address = {.size = sizeof address.storage};
    char host[LISTENER_ADDRESS_BYTES - 16] = "";
    char port[8] = "";
    if (getsockname(fd, (struct sockaddr *)&address.storage, &address.size) != 0 ||
        getnameinfo((struct sockaddr *)&address.storage, address.size, host, sizeof host, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        snprintf(ret_address, LISTENER_ADDRESS_BYTES, "an inherited socket");
        return;
    }
    bool brackets = address.storage.ss_family == AF_INET6;
    snprintf(ret_address, LISTENER_ADDRESS_BYTES, brackets ? "[%s]:%s" : "%s:%s", host, port);
}

enum varve_status listener_open(const struct service_config *config, size_t count, int *ret_fds,
                                char ret_address[LISTENER_ADDRESS_BYTES],
                                struct varve_error *ret_error)
{
    for (size_t i = 0; i < count; i++)
        ret_fds[i] = -1;
    struct address address = {.text = config->listen};
    enum varve_status status = VARVE_OK;
    int inherited_count = sd_listen_fds(1);
    if (inherited_count > 0) {
        status = share_inherited(config, inherited_count, count, ret_fds, ret_error);
    } else {
        status = resolve(config, &address, ret_error);
        if (status == VARVE_OK)
            status = open_sockets(&address, count, ret_fds, ret_error);
    }
    if (status == VARVE_OK) {
        describe(ret_fds[0], ret_address);
        return VARVE_OK;
    }
    for (size_t i = 0; i < count; i++) {
        if (ret_fds[i] >= 0)
            close(ret_fds[i]);
    }
    return status;
}
