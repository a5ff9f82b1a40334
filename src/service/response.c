/* The body is sent from where it lies; only the header fields are copied. */
#include "service/response.h"

#include "service/digits.h"
#include "service/stream.h"

static bool add_header(struct MHD_Response *response, const char *name, const char *value)
{
    return MHD_add_response_header(response, name, value) == MHD_YES;
}

static bool add_revision_headers(struct MHD_Response *response, const struct answer *answer)
{
    if (answer->has_tag) {
        char tag[ENTITY_TAG_BYTES];
        entity_tag_format(answer->revision, answer->tag_form, tag);
        if (!add_header(response, "ETag", tag))
            return false;
    }
    char text[DIGITS_MAX + 1];
    text[digits_write(answer->revision, text)] = '\0';
    return add_header(response, "X-Varve-Revision", text);
}

static bool add_retry_after(struct MHD_Response *response, unsigned seconds)
{
    if (seconds == 0)
        return true;
    char text[DIGITS_MAX + 1];
    text[digits_write(seconds, text)] = '\0';
    return add_header(response, "Retry-After", text);
}

static bool add_headers(struct MHD_Response *response, const struct exchange *exchange)
{
    const struct answer *answer = &exchange->answer;
    bool closes = (exchange->has_problem && problem_closes(&exchange->problem)) ||
                  service_state(exchange->loop->service) == SERVICE_DRAINING;
    return add_header(response, "X-Request-Id", exchange->id.text) &&
           (answer->content_type == NULL ||
            add_header(response, "Content-Type", answer->content_type)) &&
           (!answer->has_revision || add_revision_headers(response, answer)) &&
           (!answer->nosniff || add_header(response, "X-Content-Type-Options", "nosniff")) &&
           add_retry_after(response, answer->retry_after_s) &&
           (!exchange->has_problem || exchange->problem.allow == NULL ||
            add_header(response, "Allow", exchange->problem.allow)) &&
           (!exchange->has_problem || exchange->problem.challenge == NULL ||
            add_header(response, "WWW-Authenticate", exchange->problem.challenge)) &&
           (!closes || add_header(response, "Connection", "close"));
}

/* For a body that is not sent. */
static ssize_t read_nothing(void *context, uint64_t offset, char *data, size_t size)
{
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *make_body(struct exchange *exchange)
{
    const struct answer *answer = &exchange->answer;
    if (answer->streams)
        return stream_make_response(exchange);
    if (answer->is_length_only)
        return MHD_create_response_from_callback(answer->length, 1, read_nothing, NULL, NULL);
    struct varve_slice body = answer_bytes(answer);
    return MHD_create_response_from_buffer(body.size, (void *)(uintptr_t)body.data,
                                           MHD_RESPMEM_PERSISTENT);
}

struct MHD_Response *response_make(struct exchange *exchange)
{
    struct MHD_Response *response = make_body(exchange);
    if (response == NULL || add_headers(response, exchange))
        return response;
    MHD_destroy_response(response);
    return NULL;
}
