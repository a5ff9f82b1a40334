/*
 * load_verify.c: loads keys over HTTP batches and reads them back, all and at random.
 *
 * load_verify --address A:P [--load] [--verify] --count N --value-bytes V --seed S --random M
 *             --batch B
 *
 * Key number i is "load/" and the 16 hexadecimal digits of a bijection of i and the seed, so that
 * the keys are unique and come in random order; a value is made of bytes that follow from its key.
 * So --verify can run on its own, after a restart, and needs no record of what was loaded. It reads
 * the whole prefix through range pages, which must show exactly the N keys in order, and then M
 * random keys and M / 16 absent ones by GET. Prints a line a step; exits 1 at the first difference.
 */
#include "client.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define PREFIX "load/"
#define KEY_BYTES (sizeof PREFIX - 1 + 16)
#define PAGE_LIMIT 1000
#define ABSENT_SHARE 16
#define BATCH_MAX 10000u

struct load {
    const char *address;
    uint64_t count;
    uint64_t seed;
    uint64_t random_count;
    size_t value_bytes;
    uint64_t batch;
    struct http_client client;
};

static uint64_t key_number(const struct load *load, uint64_t index)
{
    return http_mix64(index ^ http_mix64(load->seed) << 32);
}

static void make_key(uint64_t number, char ret_key[KEY_BYTES + 1])
{
    snprintf(ret_key, KEY_BYTES + 1, PREFIX "%016" PRIx64, number);
}

static void make_value(const struct load *load, uint64_t number, uint8_t *ret_value)
{
    uint64_t state = number ^ http_mix64(load->seed);
    for (size_t at = 0; at < load->value_bytes; at += 8) {
        uint64_t word = http_mix64(state++);
        size_t bytes = load->value_bytes - at < 8 ? load->value_bytes - at : 8;
        memcpy(ret_value + at, &word, bytes);
    }
}

static int complain(const char *what, const char *key, const struct http_answer *answer)
{
    fprintf(stderr, "%s %s", what, key);
    if (answer)
        fprintf(stderr, ": %d %.*s", answer->status,
                (int)(answer->body_bytes < 300 ? answer->body_bytes : 300), answer->body);
    fprintf(stderr, "\n");
    return -1;
}

static int load_batch(struct load *load, uint64_t from, uint64_t to, uint8_t *value)
{
    struct text body = {0};
    struct text request = {0};
    struct http_answer answer = {0};
    char key[KEY_BYTES + 1];
    int result = 0;
    text_format(&body, "{\"ops\":[");
    for (uint64_t i = from; i < to; i++) {
        uint64_t number = key_number(load, i);
        make_key(number, key);
        make_value(load, number, value);
        text_format(&body, "%s{\"op\":\"put\",\"key\":\"%s\",\"value\":\"", i > from ? "," : "",
                    key);
        text_append_base64(&body, value, load->value_bytes);
        text_append(&body, "\"}", 2);
    }
    text_append(&body, "]}", 2);
    text_append_request(&request, "POST", "/kv/batch", "application/json", body.data, body.bytes);
    if (!http_client_send(&load->client, request.data, request.bytes) ||
        !http_client_receive(&load->client, &answer))
        result = complain("the connection ended in a batch at", key, NULL);
    else if (answer.status != 200)
        result = complain("a batch failed at", key, &answer);
    text_deinit(&body);
    text_deinit(&request);
    return result;
}

static int load_all(struct load *load, uint8_t *value)
{
    uint64_t start = http_now_us();
    for (uint64_t from = 0; from < load->count; from += load->batch) {
        uint64_t to = from + load->batch < load->count ? from + load->batch : load->count;
        if (load_batch(load, from, to, value) != 0)
            return -1;
    }
    double seconds = (double)(http_now_us() - start) / 1e6;
    printf("loaded %" PRIu64 " keys of %zu bytes in %.1f s, %.0f keys/s\n", load->count,
           load->value_bytes, seconds, (double)load->count / seconds);
    return 0;
}

static int compare_numbers(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Compares one item of a page with the key and value that must stand there. */
static int check_item(struct load *load, const json_t *item, uint64_t number, uint8_t *value,
                      struct text *scratch)
{
    char key[KEY_BYTES + 1];
    make_key(number, key);
    const char *found_key = json_string_value(json_object_get(item, "key"));
    if (!found_key || strcmp(found_key, key) != 0)
        return complain("a page shows another key instead of", key, NULL);
    make_value(load, number, value);
    scratch->bytes = 0;
    text_append_base64(scratch, value, load->value_bytes);
    const json_t *found = json_object_get(item, "value");
    if (!json_is_string(found) || json_string_length(found) != scratch->bytes ||
        memcmp(json_string_value(found), scratch->data, scratch->bytes) != 0)
        return complain("a page shows another value of", key, NULL);
    return 0;
}

/* Checks one page; `ret_cursor` (Caller frees with free) is NULL at the last one. */
static int check_page(struct load *load, const struct http_answer *answer, const uint64_t *numbers,
                      uint64_t *index, uint8_t *value, char **ret_cursor)
{
    struct text scratch = {0};
    int result = 0;
    json_t *page = json_loadb(answer->body, answer->body_bytes, 0, NULL);
    const json_t *items = json_object_get(page, "items");
    if (!json_is_array(items))
        result = complain("no page", "", answer);
    for (size_t i = 0; result == 0 && i < json_array_size(items); i++) {
        if (*index == load->count)
            result = complain("a key too many is shown on a page", "", answer);
        else
            result =
                check_item(load, json_array_get(items, i), numbers[(*index)++], value, &scratch);
    }
    const char *cursor = json_string_value(json_object_get(page, "next_cursor"));
    if (result == 0 && json_is_true(json_object_get(page, "truncated")) != (cursor != NULL))
        result = complain("a page is truncated without a cursor, or the reverse", "", NULL);
    if (result == 0)
        *ret_cursor = cursor ? strdup(cursor) : NULL;
    json_decref(page);
    text_deinit(&scratch);
    return result;
}

static int verify_pages(struct load *load, const uint64_t *numbers, uint8_t *value)
{
    uint64_t start = http_now_us();
    uint64_t index = 0;
    uint64_t pages = 0;
    char *cursor = NULL;
    struct text target = {0};
    int result = 0;
    do {
        struct http_answer answer = {0};
        target.bytes = 0;
        text_format(&target, "/kv/range?limit=%d&%s%s", PAGE_LIMIT,
                    cursor ? "cursor=" : "prefix=" PREFIX, cursor ? cursor : "");
        text_append(&target, "", 1);
        free(cursor);
        cursor = NULL;
        if (!http_client_ask(&load->client, "GET", target.data, &answer))
            result = complain("the connection ended in", target.data, NULL);
        else if (answer.status != 200)
            result = complain("a page failed:", target.data, &answer);
        else
            result = check_page(load, &answer, numbers, &index, value, &cursor);
        pages++;
    } while (result == 0 && cursor);
    free(cursor);
    text_deinit(&target);
    if (result == 0 && index != load->count) {
        fprintf(stderr, "%" PRIu64 " keys of %" PRIu64 " are missing\n", load->count - index,
                load->count);
        result = -1;
    }
    if (result == 0)
        printf("read %" PRIu64 " keys back in %" PRIu64 " pages in %.1f s: all equal\n", index,
               pages, (double)(http_now_us() - start) / 1e6);
    return result;
}

static int verify_one(struct load *load, uint64_t number, bool present, uint8_t *value)
{
    struct http_answer answer = {0};
    char key[KEY_BYTES + 1];
    char target[KEY_BYTES + 16];
    make_key(number, key);
    snprintf(target, sizeof target, "/kv/%s?raw", key);
    if (!http_client_ask(&load->client, "GET", target, &answer))
        return complain("the connection ended in a GET of", key, NULL);
    if (!present)
        return answer.status == 404 ? 0 : complain("an absent key is found:", key, &answer);
    make_value(load, number, value);
    if (answer.status != 200)
        return complain("a GET failed:", key, &answer);
    if (answer.body_bytes != load->value_bytes ||
        memcmp(answer.body, value, load->value_bytes) != 0)
        return complain("a GET shows another value of", key, NULL);
    return 0;
}

static int verify_random(struct load *load, uint8_t *value)
{
    uint64_t start = http_now_us();
    uint64_t absent = 0;
    for (uint64_t i = 0; i < load->random_count && load->count > 0; i++) {
        uint64_t index = http_mix64(i ^ load->seed << 20) % load->count;
        if (verify_one(load, key_number(load, index), true, value) != 0)
            return -1;
        if (i % ABSENT_SHARE == 0) {
            if (verify_one(load, key_number(load, load->count + index), false, value) != 0)
                return -1;
            absent++;
        }
    }
    printf("read %" PRIu64 " keys at random and %" PRIu64 " absent ones in %.1f s: all right\n",
           load->random_count, absent, (double)(http_now_us() - start) / 1e6);
    return 0;
}

static int verify_all(struct load *load, uint8_t *value)
{
    uint64_t *numbers = malloc((size_t)(load->count + 1) * sizeof *numbers);
    if (!numbers)
        return complain("out of memory", "", NULL);
    for (uint64_t i = 0; i < load->count; i++)
        numbers[i] = key_number(load, i);
    qsort(numbers, (size_t)load->count, sizeof *numbers, compare_numbers);
    int result = verify_pages(load, numbers, value);
    free(numbers);
    return result == 0 ? verify_random(load, value) : result;
}

static int usage(void)
{
    fprintf(stderr, "usage: load_verify --address A:P [--load] [--verify] [--count N]\n"
                    "       [--value-bytes V] [--seed S] [--random M] [--batch B]\n");
    return 2;
}

struct steps {
    bool load;
    bool verify;
};

static bool parse_flags(int argc, char **argv, struct load *load, struct steps *steps)
{
    static const struct option options[] = {{"address", required_argument, NULL, 'a'},
                                            {"load", no_argument, NULL, 'l'},
                                            {"verify", no_argument, NULL, 'y'},
                                            {"count", required_argument, NULL, 'n'},
                                            {"value-bytes", required_argument, NULL, 'v'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"random", required_argument, NULL, 'r'},
                                            {"batch", required_argument, NULL, 'b'},
                                            {0}};
    for (int flag = 0; (flag = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (flag == 'a')
            load->address = optarg;
        else if (flag == 'l')
            steps->load = true;
        else if (flag == 'y')
            steps->verify = true;
        else if (flag == 'n')
            load->count = strtoull(optarg, NULL, 10);
        else if (flag == 'v')
            load->value_bytes = (size_t)strtoull(optarg, NULL, 10);
        else if (flag == 's')
            load->seed = strtoull(optarg, NULL, 10);
        else if (flag == 'r')
            load->random_count = strtoull(optarg, NULL, 10);
        else if (flag == 'b')
            load->batch = strtoull(optarg, NULL, 10);
        else
            return false;
    }
    return optind == argc && load->batch > 0 && load->batch <= BATCH_MAX &&
           (steps->load || steps->verify);
}

int main(int argc, char **argv)
{
    struct steps steps = {0};
    struct load load = {.address = "127.0.0.1:7070",
                        .count = 2000000,
                        .seed = 1,
                        .random_count = 100000,
                        .value_bytes = 100,
                        .batch = 1000};
    if (!parse_flags(argc, argv, &load, &steps))
        return usage();
    uint8_t *value = malloc(load.value_bytes + 1);
    if (!value || http_client_open(&load.client, load.address) != 0) {
        fprintf(stderr, "cannot connect to %s: %s\n", load.address, strerror(errno));
        free(value);
        return 1;
    }
    int result = 0;
    if (steps.load)
        result = load_all(&load, value);
    if (result == 0 && steps.verify)
        result = verify_all(&load, value);
    http_client_close(&load.client);
    free(value);
    return result != 0;
}
