/*
 * client.c: sockets and just enough HTTP/1.1 to drive the daemon hard.
 *
 * Answers are parsed from one growing buffer, so that pipelined ones need no extra care: what
 * stands behind the answer that was handed out stays for the next call.
 */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RECEIVE_BYTES 65536u
#define HEAD_BYTES_MAX 65536u
#define ANSWER_TIMEOUT_S 60
#define ADDRESS_BYTES_MAX 64u

static void text_reserve(struct text *text, size_t bytes)
{
    if (text->capacity - text->bytes >= bytes)
        return;
    size_t capacity = text->capacity ? text->capacity : 256;
    while (capacity - text->bytes < bytes)
        capacity *= 2;
    text->data = realloc(text->data, capacity);
    if (!text->data) {
        fprintf(stderr, "out of memory\n");
        abort();
    }
    text->capacity = capacity;
}

void text_deinit(struct text *text)
{
    if (text)
        free(text->data);
}

void text_append(struct text *text, const void *data, size_t bytes)
{
    text_reserve(text, bytes);
    if (bytes)
        memcpy(text->data + text->bytes, data, bytes);
    text->bytes += bytes;
}

void text_format(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int bytes = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    text_reserve(text, (size_t)bytes + 1);
    vsnprintf(text->data + text->bytes, (size_t)bytes + 1, format, again);
    va_end(again);
    text->bytes += (size_t)bytes;
}

void text_append_base64(struct text *text, const void *data, size_t bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *in = data;
    text_reserve(text, (bytes + 2) / 3 * 4);
    char *out = text->data + text->bytes;
    for (size_t at = 0; at < bytes; at += 3) {
        size_t have = bytes - at < 3 ? bytes - at : 3;
        uint32_t three = (uint32_t)in[at] << 16;
        if (have > 1)
            three |= (uint32_t)in[at + 1] << 8;
        if (have > 2)
            three |= in[at + 2];
        *out++ = digits[three >> 18];
        *out++ = digits[three >> 12 & 63];
        *out++ = have > 1 ? digits[three >> 6 & 63] : '=';
        *out++ = have > 2 ? digits[three & 63] : '=';
    }
    text->bytes = (size_t)(out - text->data);
}

void text_append_request(struct text *text, const char *method, const char *target,
                         const char *type, const void *body, size_t body_bytes)
{
    text_format(text, "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, target);
    if (type)
        text_format(text, "Content-Type: %s\r\n", type);
    if (body_bytes)
        text_format(text, "Content-Length: %zu\r\n", body_bytes);
    text_append(text, "\r\n", 2);
    text_append(text, body, body_bytes);
}

static bool parse_number(const char *data, size_t bytes, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (bytes == 0 || bytes > 19)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] < '0' || data[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(data[i] - '0');
    }
    *ret_number = number;
    return true;
}

static bool name_is(const char *line, size_t name_bytes, const char *name)
{
    return name_bytes == strlen(name) && strncasecmp(line, name, name_bytes) == 0;
}

/* Takes one header line; false if it is malformed. */
static bool parse_header(const char *line, size_t bytes, struct http_answer *answer,
                         uint64_t *length, bool *has_length)
{
    const char *colon = memchr(line, ':', bytes);
    if (!colon)
        return false;
    size_t name_bytes = (size_t)(colon - line);
    const char *value = colon + 1;
    const char *end = line + bytes;
    while (value < end && *value == ' ')
        value++;
    size_t value_bytes = (size_t)(end - value);
    if (name_is(line, name_bytes, "Content-Length")) {
        *has_length = true;
        return parse_number(value, value_bytes, length);
    }
    if (name_is(line, name_bytes, "X-Varve-Revision"))
        return parse_number(value, value_bytes, &answer->revision);
    if (name_is(line, name_bytes, "Connection"))
        answer->closes = value_bytes == 5 && strncasecmp(value, "close", 5) == 0;
    return !name_is(line, name_bytes, "Transfer-Encoding");
}

enum http_parse http_answer_parse(const char *data, size_t bytes, struct http_answer *ret_answer,
                                  size_t *ret_bytes)
{
    const char *end = bytes ? memmem(data, bytes, "\r\n\r\n", 4) : NULL;
    if (!end)
        return bytes > HEAD_BYTES_MAX ? HTTP_MALFORMED : HTTP_MORE;
    struct http_answer answer = {0};
    uint64_t status = 0;
    if (end - data < 12 || memcmp(data, "HTTP/1.1 ", 9) != 0 || !parse_number(data + 9, 3, &status))
        return HTTP_MALFORMED;
    answer.status = (int)status;
    uint64_t length = 0;
    bool has_length = false;
    const char *line = memmem(data, bytes, "\r\n", 2);
    while (line < end) {
        line += 2;
        const char *next = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        if (!parse_header(line, (size_t)(next - line), &answer, &length, &has_length))
            return HTTP_MALFORMED;
        line = next;
    }
    bool bodiless = answer.status == 204 || answer.status == 304;
    if (answer.status < 200 || (!has_length && !bodiless))
        return HTTP_MALFORMED;
    size_t head_bytes = (size_t)(end - data) + 4;
    answer.body = data + head_bytes;
    answer.body_bytes = bodiless ? 0 : (size_t)length;
    if (bytes - head_bytes < answer.body_bytes)
        return HTTP_MORE;
    *ret_answer = answer;
    *ret_bytes = head_bytes + answer.body_bytes;
    return HTTP_WHOLE;
}

uint64_t http_answer_revision(const struct http_answer *answer)
{
    static const char member[] = "\"revision\":";
    if (answer->revision || answer->body_bytes == 0)
        return answer->revision;
    const char *at = memmem(answer->body, answer->body_bytes, member, sizeof member - 1);
    if (!at)
        return 0;
    at += sizeof member - 1;
    const char *end = answer->body + answer->body_bytes;
    uint64_t number = 0;
    while (at < end && *at == ' ')
        at++;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (uint64_t)(*at - '0');
    return number;
}

int http_connect(const char *address)
{
    char host[ADDRESS_BYTES_MAX] = "";
    const char *colon = strrchr(address, ':');
    struct sockaddr_in peer = {.sin_family = AF_INET};
    if (!colon || (size_t)(colon - address) >= sizeof host) {
        errno = EINVAL;
        return -1;
    }
    memcpy(host, address, (size_t)(colon - address));
    peer.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, host, &peer.sin_addr) != 1) {
        errno = EINVAL;
        return -1;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&peer, sizeof peer) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

int http_client_open(struct http_client *client, const char *address)
{
    struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
    *client = (struct http_client){.fd = http_connect(address)};
    if (client->fd < 0)
        return -1;
    (void)setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    (void)setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    return 0;
}

void http_client_close(struct http_client *client)
{
    close(client->fd);
    text_deinit(&client->in);
    *client = (struct http_client){.fd = -1};
}

bool http_client_send(struct http_client *client, const void *data, size_t bytes)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t sent = send(client->fd, at, bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        at += sent;
        bytes -= (size_t)sent;
    }
    return true;
}

bool http_client_receive(struct http_client *client, struct http_answer *ret_answer)
{
    struct text *in = &client->in;
    if (client->in_done) {
        memmove(in->data, in->data + client->in_done, in->bytes - client->in_done);
        in->bytes -= client->in_done;
        client->in_done = 0;
    }
    for (;;) {
        enum http_parse found =
            http_answer_parse(in->data, in->bytes, ret_answer, &client->in_done);
        if (found != HTTP_MORE)
            return found == HTTP_WHOLE;
        text_reserve(in, RECEIVE_BYTES);
        ssize_t got = recv(client->fd, in->data + in->bytes, RECEIVE_BYTES, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        in->bytes += (size_t)got;
    }
}

bool http_client_ask(struct http_client *client, const char *method, const char *target,
                     struct http_answer *ret_answer)
{
    struct text request = {0};
    text_append_request(&request, method, target, NULL, NULL, 0);
    bool done = http_client_send(client, request.data, request.bytes) &&
                http_client_receive(client, ret_answer);
    text_deinit(&request);
    return done;
}

uint64_t http_mix64(uint64_t number)
{
    number += 0x9e3779b97f4a7c15u;
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9u;
    number = (number ^ number >> 27) * 0x94d049bb133111ebu;
    return number ^ number >> 31;
}

uint64_t http_now_us(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}
