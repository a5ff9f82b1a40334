/*
 * client.h: a small blocking HTTP/1.1 client for test programs.
 *
 * It does exactly what it is told, without a library's help or mercy: requests are bytes that the
 * caller composed, answers must have a Content-Length. A client belongs to one thread. What runs
 * out of memory ends the program: these are tests.
 */
#ifndef TESTS_HTTP_CLIENT_H
#define TESTS_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that grow. Start zeroed; end with text_deinit. */
struct text {
    char *data;
    size_t bytes;
    size_t capacity;
};

void text_deinit(struct text *text);
void text_append(struct text *text, const void *data, size_t bytes);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_append_base64(struct text *text, const void *data, size_t bytes);

/* Appends a request with its body (`body_bytes` 0: no Content-Length, no body). `type` may be
 * NULL for no Content-Type. */
void text_append_request(struct text *text, const char *method, const char *target,
                         const char *type, const void *body, size_t body_bytes);

struct http_answer {
    int status;
    bool closes;       /* the peer will close after it */
    uint64_t revision; /* X-Varve-Revision, or 0 */
    const char *body;  /* not terminated */
    size_t body_bytes;
};

enum http_parse { HTTP_WHOLE, HTTP_MORE, HTTP_MALFORMED };

/* Looks for a whole answer at the start of `data`; HTTP_WHOLE fills both out-parameters, `body`
 * borrowed from `data`. Interim (1xx) answers are malformed here. */
enum http_parse http_answer_parse(const char *data, size_t bytes, struct http_answer *ret_answer,
                                  size_t *ret_bytes);

/* The number behind `"revision":` in an answer's JSON, or the header's; 0 if there is neither. */
uint64_t http_answer_revision(const struct http_answer *answer);

/* A socket connected to "address:port", with TCP_NODELAY; -1 with errno on failure. */
int http_connect(const char *address);

struct http_client {
    int fd;
    struct text in;
    size_t in_done; /* bytes at the start of `in` that belong to the last answer */
};

/* 0, or -1 with errno. A client that failed to open needs no close. */
int http_client_open(struct http_client *client, const char *address);
void http_client_close(struct http_client *client);

/* Sends everything; false if the connection has ended. */
bool http_client_send(struct http_client *client, const void *data, size_t bytes);

/* The next answer, its body borrowed until the next call; false if the connection has ended or
 * speaks no HTTP. */
bool http_client_receive(struct http_client *client, struct http_answer *ret_answer);

/* Sends one request without a body and waits for its answer. */
bool http_client_ask(struct http_client *client, const char *method, const char *target,
                     struct http_answer *ret_answer);

/* splitmix64: a bijection of 64-bit numbers, and a generator by counting up its argument. */
uint64_t http_mix64(uint64_t number);

uint64_t http_now_us(void);

#endif
