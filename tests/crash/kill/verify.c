/*
 * verify.c: scans the store, recognises each value, and finds which unanswered operations happened.
 *
 * For each writer all numbers n of unanswered operations are tried, 0 to all: the private keys must
 * equal the known state plus the first n, for at least one n. Several can fit, since an operation
 * may change no private key; then the greatest is what may have happened. A shared key must hold
 * the acknowledged write of the greatest revision, or an unanswered one of greater revision that is
 * among the first n of its writer.
 */
#include "verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define REPORTS_MAX 10u

struct found_shared {
    uint64_t counter; /* 0: absent */
    uint64_t revision;
    unsigned writer;
};

struct found {
    uint64_t seed;
    uint64_t state[WRITERS][PRIVATE_KEYS];
    struct found_shared shared[SHARED_KEYS];
};

static bool note_item(struct found *found, const json_t *item)
{
    const char *key = json_string_value(json_object_get(item, "key"));
    const json_t *value = json_object_get(item, "value");
    const char *encoding = json_string_value(json_object_get(item, "encoding"));
    uint64_t revision = (uint64_t)json_integer_value(json_object_get(item, "revision"));
    unsigned owner = 0;
    unsigned number = 0;
    unsigned writer = 0;
    uint64_t counter = 0;
    if (!key || !json_is_string(value) || !encoding || strcmp(encoding, "utf8") != 0 ||
        !model_value_check(found->seed, key, json_string_value(value), json_string_length(value),
                           &writer, &counter)) {
        fprintf(stderr, "invented: %s = %.100s\n", key ? key : "?",
                json_is_string(value) ? json_string_value(value) : "?");
        return false;
    }
    if (sscanf(key, "w%u/%u", &owner, &number) == 2 && owner < WRITERS && number < PRIVATE_KEYS &&
        writer == owner) {
        found->state[owner][number] = counter;
        return true;
    }
    if (sscanf(key, "s/%u", &number) == 1 && number < SHARED_KEYS) {
        found->shared[number] = (struct found_shared){counter, revision, writer};
        return true;
    }
    fprintf(stderr, "invented: key %s with a value of writer %u\n", key, writer);
    return false;
}

/* Notes a page's items; `ret_cursor` (Caller frees with free) is NULL at the last page. */
static bool note_page(struct found *found, const struct http_answer *answer, char **ret_cursor)
{
    json_t *page = json_loadb(answer->body, answer->body_bytes, 0, NULL);
    const json_t *items = json_object_get(page, "items");
    bool right = json_is_array(items);
    for (size_t i = 0; right && i < json_array_size(items); i++)
        right = note_item(found, json_array_get(items, i));
    const char *cursor = json_string_value(json_object_get(page, "next_cursor"));
    *ret_cursor = right && cursor ? strdup(cursor) : NULL;
    json_decref(page);
    return right;
}

static bool scan_store(const char *address, struct found *found)
{
    struct http_client client = {0};
    struct text target = {0};
    char *cursor = NULL;
    bool right = http_client_open(&client, address) == 0;
    do {
        struct http_answer answer = {0};
        target.bytes = 0;
        text_format(&target, "/kv/range?limit=1000&encoding=utf8%s%s", cursor ? "&cursor=" : "",
                    cursor ? cursor : "");
        free(cursor);
        cursor = NULL;
        right = right && http_client_ask(&client, "GET", target.data, &answer);
        if (right && answer.status != 200) {
            fprintf(stderr, "a page failed: %d %.*s\n", answer.status,
                    (int)(answer.body_bytes < 300 ? answer.body_bytes : 300), answer.body);
            right = false;
        } else if (right) {
            right = note_page(found, &answer, &cursor);
        } else {
            fprintf(stderr, "the connection ended in a scan\n");
        }
    } while (right && cursor);
    free(cursor);
    text_deinit(&target);
    if (client.fd >= 0)
        http_client_close(&client);
    return right;
}

/* Names the keys that differ from the acknowledged state and the operations in doubt. */
static void report_private(const struct writer_model *model, const uint64_t *found)
{
    unsigned reports = 0;
    fprintf(stderr, "writer %u: no prefix of its %u unanswered operations leads to what is there\n",
            model->writer, model->flight_count);
    for (unsigned i = 0; i < PRIVATE_KEYS && reports < REPORTS_MAX; i++)
        if (found[i] != model->state[i]) {
            fprintf(stderr, "  key %04u: found counter %" PRIu64 ", acknowledged %" PRIu64 "\n", i,
                    found[i], model->state[i]);
            reports++;
        }
    for (unsigned i = 0; i < model->flight_count; i++)
        fprintf(stderr, "  unanswered: counter %" PRIu64 ", %u keys\n", model->flight[i].counter,
                model->flight[i].touches_count);
}

/* The greatest number of unanswered operations that explains what was found, or -1. */
static int count_done(const struct writer_model *model, const uint64_t *found)
{
    uint64_t state[PRIVATE_KEYS];
    int done = -1;
    memcpy(state, model->state, sizeof state);
    for (unsigned n = 0; n <= model->flight_count; n++) {
        if (n > 0)
            model_apply(state, &model->flight[n - 1]);
        if (memcmp(state, found, sizeof state) == 0)
            done = (int)n;
    }
    return done;
}

/* Whether one of the writer's first `done` unanswered operations left the shared key like this. */
static bool may_have_left(const struct writer_model *model, int done, unsigned key,
                          uint64_t counter)
{
    for (int i = 0; i < done; i++) {
        const struct op *op = &model->flight[i];
        const struct touch *last = NULL;
        for (unsigned k = 0; k < op->touches_count; k++)
            if (op->touches[k].shared && op->touches[k].key == key)
                last = &op->touches[k];
        if (last && (last->deletes ? counter == 0 : counter == op->counter))
            return true;
    }
    return false;
}

static bool judge_shared(struct writer_model *const models[WRITERS], const int done[WRITERS],
                         unsigned key, const struct found_shared *found)
{
    struct shared_write known = {0};
    for (unsigned w = 0; w < WRITERS; w++)
        if (models[w]->shared[key].revision > known.revision)
            known = models[w]->shared[key];
    bool right = false;
    if (found->counter == known.counter &&
        (found->counter == 0 ||
         (found->writer == known.writer && found->revision == known.revision)))
        right = true;
    for (unsigned w = 0; !right && w < WRITERS; w++)
        right = (found->counter == 0 || (found->writer == w && found->revision > known.revision)) &&
                may_have_left(models[w], done[w], key, found->counter);
    if (!right)
        fprintf(stderr,
                "shared key %02u: found writer %u, counter %" PRIu64 ", revision %" PRIu64
                "; acknowledged writer %u, counter %" PRIu64 ", revision %" PRIu64 "\n",
                key, found->writer, found->counter, found->revision, known.writer, known.counter,
                known.revision);
    return right;
}

/* What was found is what is known from now on. */
static void adopt(struct writer_model *const models[WRITERS], const struct found *found)
{
    uint64_t highest = 0;
    for (unsigned w = 0; w < WRITERS; w++)
        if (models[w]->revision > highest)
            highest = models[w]->revision;
    for (unsigned key = 0; key < SHARED_KEYS; key++)
        if (found->shared[key].revision > highest)
            highest = found->shared[key].revision;
    for (unsigned w = 0; w < WRITERS; w++) {
        memcpy(models[w]->state, found->state[w], sizeof models[w]->state);
        models[w]->flight_count = 0;
        models[w]->revision = highest; /* the next ones must lie behind all of them */
        for (unsigned key = 0; key < SHARED_KEYS; key++)
            models[w]->shared[key] = (struct shared_write){
                .revision = found->shared[key].counter ? found->shared[key].revision : highest,
                .counter = found->shared[key].counter,
                .writer = found->shared[key].writer};
    }
}

bool verify_store(const char *address, struct writer_model *const models[WRITERS])
{
    int done[WRITERS] = {0};
    struct found *found = calloc(1, sizeof *found);
    if (!found)
        return false;
    found->seed = models[0]->seed;
    bool right = scan_store(address, found);
    for (unsigned w = 0; right && w < WRITERS; w++) {
        done[w] = count_done(models[w], found->state[w]);
        if (done[w] < 0) {
            report_private(models[w], found->state[w]);
            right = false;
        }
    }
    for (unsigned key = 0; right && key < SHARED_KEYS; key++)
        right = judge_shared(models, done, key, &found->shared[key]);
    if (right)
        adopt(models, found);
    free(found);
    return right;
}
