/*
 * model.c: values that can be recognised, and the state that operations lead to.
 */
#include "model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAD_MAX 400u
#define BIG_PAD_MAX 30000u
#define BIG_SHARE 64u
#define WORD_BYTES 16u

void model_key(unsigned writer, const struct touch *touch, char ret_key[KEY_TEXT_MAX])
{
    if (touch->shared)
        snprintf(ret_key, KEY_TEXT_MAX, "s/%02u", touch->key);
    else
        snprintf(ret_key, KEY_TEXT_MAX, "w%u/%04u", writer, touch->key);
}

static uint64_t key_hash(const char *key)
{
    uint64_t hash = 0;
    for (; *key; key++)
        hash = http_mix64(hash ^ (unsigned char)*key);
    return hash;
}

void model_value(struct text *text, uint64_t seed, unsigned writer, uint64_t counter,
                 const char *key)
{
    uint64_t state = http_mix64(seed ^ key_hash(key) ^ http_mix64(counter * WRITERS + writer));
    uint64_t pad = state % BIG_SHARE == 0 ? (state >> 8) % BIG_PAD_MAX : (state >> 8) % PAD_MAX;
    text_format(text, "%s w%u c%" PRIu64 " ", key, writer, counter);
    for (uint64_t at = 0; at < pad; at += WORD_BYTES) {
        char word[WORD_BYTES + 1];
        snprintf(word, sizeof word, "%016" PRIx64, http_mix64(state++));
        text_append(text, word, pad - at < WORD_BYTES ? (size_t)(pad - at) : WORD_BYTES);
    }
}

bool model_value_check(uint64_t seed, const char *key, const char *value, size_t bytes,
                       unsigned *ret_writer, uint64_t *ret_counter)
{
    char found_key[KEY_TEXT_MAX] = "";
    unsigned writer = 0;
    uint64_t counter = 0;
    if (sscanf(value, "%23s w%u c%" SCNu64 " ", found_key, &writer, &counter) != 3)
        return false;
    struct text expected = {0};
    model_value(&expected, seed, writer, counter, key);
    bool equal = writer < WRITERS && counter > 0 && expected.bytes == bytes &&
                 memcmp(expected.data, value, bytes) == 0;
    text_deinit(&expected);
    if (equal) {
        *ret_writer = writer;
        *ret_counter = counter;
    }
    return equal;
}

void model_apply(uint64_t state[PRIVATE_KEYS], const struct op *op)
{
    for (unsigned i = 0; i < op->touches_count; i++)
        if (!op->touches[i].shared)
            state[op->touches[i].key] = op->touches[i].deletes ? 0 : op->counter;
}

bool model_acknowledge(struct writer_model *model, uint64_t revision)
{
    const struct op *op = &model->flight[0];
    bool grows = revision > model->revision;
    model->revision = revision;
    model_apply(model->state, op);
    for (unsigned i = 0; i < op->touches_count; i++)
        if (op->touches[i].shared)
            model->shared[op->touches[i].key] =
                (struct shared_write){.revision = revision,
                                      .counter = op->touches[i].deletes ? 0 : op->counter,
                                      .writer = model->writer};
    model->flight_count--;
    memmove(&model->flight[0], &model->flight[1], model->flight_count * sizeof model->flight[0]);
    return grows;
}
