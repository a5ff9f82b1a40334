/*
 * writer.c: makes operations at random, sends some of them at once, takes the answers in order.
 *
 * Up to FLIGHT_MAX requests stand unanswered on the one connection, so that a kill can leave any
 * number of them done. The model learns of an operation before a byte of it is sent.
 */
#include "writer.h"

#include <inttypes.h>

static uint64_t next_random(struct writer *writer)
{
    return http_mix64(writer->random++);
}

static struct touch random_touch(struct writer *writer)
{
    uint64_t random = next_random(writer);
    struct touch touch = {.shared = random % 5 == 0, .deletes = random / 5 % 4 == 0};
    touch.key = (unsigned)(random >> 32) % (touch.shared ? SHARED_KEYS : PRIVATE_KEYS);
    return touch;
}

static struct op random_op(struct writer *writer)
{
    uint64_t random = next_random(writer);
    struct op op = {.counter = ++writer->model.counter, .sync = random % 2 == 0};
    op.touches_count = 1;
    op.touches[0] = random_touch(writer);
    op.kind = op.touches[0].deletes ? OP_DELETE : OP_PUT;
    if (random / 2 % 4 == 0) {
        op.kind = OP_BATCH;
        op.touches_count = 1 + (unsigned)(random >> 32) % TOUCHES_MAX;
        for (unsigned i = 1; i < op.touches_count; i++)
            op.touches[i] = random_touch(writer);
    }
    return op;
}

static void compose_batch(const struct writer *writer, const struct op *op, struct text *body)
{
    char key[KEY_TEXT_MAX];
    text_format(body, "{\"ops\":[");
    for (unsigned i = 0; i < op->touches_count; i++) {
        const struct touch *touch = &op->touches[i];
        model_key(writer->model.writer, touch, key);
        text_format(body, "%s{\"op\":\"%s\",\"key\":\"%s\"", i ? "," : "",
                    touch->deletes ? "delete" : "put", key);
        if (!touch->deletes) {
            text_format(body, ",\"encoding\":\"utf8\",\"value\":\"");
            model_value(body, writer->model.seed, writer->model.writer, op->counter, key);
            text_append(body, "\"", 1);
        }
        text_append(body, "}", 1);
    }
    text_format(body, "]}");
}

static void compose(const struct writer *writer, const struct op *op, struct text *request)
{
    struct text body = {0};
    char key[KEY_TEXT_MAX];
    char target[KEY_TEXT_MAX + 32];
    const char *sync = op->sync ? "true" : "false";
    model_key(writer->model.writer, &op->touches[0], key);
    snprintf(target, sizeof target, "/kv/%s?sync=%s", key, sync);
    switch (op->kind) {
    case OP_PUT:
        model_value(&body, writer->model.seed, writer->model.writer, op->counter, key);
        text_append_request(request, "PUT", target, "application/octet-stream", body.data,
                            body.bytes);
        break;
    case OP_DELETE:
        text_append_request(request, "DELETE", target, NULL, NULL, 0);
        break;
    case OP_BATCH:
        compose_batch(writer, op, &body);
        snprintf(target, sizeof target, "/kv/batch?sync=%s", sync);
        text_append_request(request, "POST", target, "application/json", body.data, body.bytes);
        break;
    }
    text_deinit(&body);
}

static void log_sent(const struct writer *writer, const struct op *op)
{
    char key[KEY_TEXT_MAX];
    fprintf(writer->log, "S %" PRIu64 " %s %s", op->counter,
            op->kind == OP_BATCH ? "batch" : "single", op->sync ? "sync" : "unsynced");
    for (unsigned i = 0; i < op->touches_count; i++) {
        model_key(writer->model.writer, &op->touches[i], key);
        fprintf(writer->log, " %s%s", op->touches[i].deletes ? "-" : "+", key);
    }
    fprintf(writer->log, "\n");
}

static bool take_answer(struct writer *writer, struct http_client *client)
{
    struct http_answer answer = {0};
    const struct op *op = &writer->model.flight[0];
    if (!http_client_receive(client, &answer))
        return false;
    uint64_t revision = http_answer_revision(&answer);
    if (answer.status != (op->kind == OP_DELETE ? 204 : 200) || revision == 0) {
        fprintf(stderr, "writer %u, operation %" PRIu64 ": answer %d %.*s\n", writer->model.writer,
                op->counter, answer.status,
                (int)(answer.body_bytes < 300 ? answer.body_bytes : 300), answer.body);
        writer->failed = true;
        return false;
    }
    fprintf(writer->log, "A %" PRIu64 " %" PRIu64 "\n", op->counter, revision);
    uint64_t before = writer->model.revision;
    if (!model_acknowledge(&writer->model, revision)) {
        fprintf(stderr, "writer %u: revision %" PRIu64 " after %" PRIu64 "\n", writer->model.writer,
                revision, before);
        writer->failed = true;
    }
    atomic_fetch_add(writer->acks, 1);
    return !writer->failed;
}

void *writer_run(void *context)
{
    struct writer *writer = context;
    struct http_client client = {0};
    struct text requests = {0};
    bool goes_on = http_client_open(&client, writer->address) == 0;
    while (goes_on) {
        unsigned depth = 1 + (unsigned)(next_random(writer) % FLIGHT_MAX);
        requests.bytes = 0;
        for (unsigned i = 0; i < depth; i++) {
            struct op op = random_op(writer);
            log_sent(writer, &op);
            compose(writer, &op, &requests);
            writer->model.flight[writer->model.flight_count++] = op;
        }
        goes_on = http_client_send(&client, requests.data, requests.bytes);
        while (writer->model.flight_count > 0 && take_answer(writer, &client))
            continue;
        goes_on = goes_on && writer->model.flight_count == 0 && !writer->failed;
    }
    if (client.fd >= 0)
        http_client_close(&client);
    text_deinit(&requests);
    atomic_fetch_add(writer->ended, 1);
    return NULL;
}
