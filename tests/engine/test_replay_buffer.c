/* What a replay gathers comes out in order, with the values that went in. */
#include <check.h>
#include <stdlib.h>

#include "crash_env.h"
#include "engine/replay_buffer.h"
#include "must.h"
#include "prng.h"
#include "run_suite.h"

#define LOG "/log"
#define ENTRIES 3000
#define VALUE_BYTES_MAX 1500

struct entry {
    struct buf key; /* internal */
    size_t offset, size;
};

struct fixture {
    struct crash_env *crash;
    struct env *env;
    struct replay_buffer buffer;
    struct buf log; /* what the file holds */
    struct entry entries[ENTRIES];
    size_t count;
};

static void log_make(struct fixture *f, struct prng *prng)
{
    struct env_file *file = NULL;
    must_ok(buf_append_zeros(&f->log, 65536));
    prng_bytes(prng, f->log.data, f->log.size);
    must_ok(env_open(f->env, LOG, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file));
    must_ok(env_file_write(file, 0, buf_slice(&f->log)));
    must_ok(env_file_close(file));
    ck_assert_int_eq(replay_buffer_log(&f->buffer, f->env, LOG), VARVE_OK);
}

static void add(struct fixture *f, struct varve_slice key, enum entry_kind kind, size_t offset,
                size_t size)
{
    struct entry *entry = &f->entries[f->count++];
    struct batch_op op = {.kind = kind, .key = key};
    *entry = (struct entry){.offset = offset, .size = kind == ENTRY_DELETE ? 0 : size};
    op.value = varve_slice(f->log.data + offset, size);
    must_ok(buf_append_slice(&entry->key, key));
    must_ok(buf_append_fixed64(&entry->key, entry_tag(f->count, kind)));
    ck_assert_int_eq(replay_buffer_add(&f->buffer, f->count, &op, offset), VARVE_OK);
}

/* Few different bytes, zeros among them, and few lengths: keys begin alike, end within each other
 * and come again. */
static void fill(struct fixture *f, struct prng *prng)
{
    static const uint8_t bytes[] = {0, 0, 'a', 0xff};
    uint8_t key[40];
    for (size_t i = 0; i < ENTRIES; i++) {
        size_t size = 1 + prng_below(prng, prng_chance(prng, 50) ? 4 : sizeof key);
        bool long_start = prng_chance(prng, 60);
        for (size_t k = 0; k < size; k++)
            key[k] = long_start && k < 20 ? 'a' : bytes[prng_below(prng, sizeof bytes)];
        size_t value =
            prng_chance(prng, 50) ? prng_below(prng, 40) : prng_below(prng, VALUE_BYTES_MAX);
        add(f, varve_slice(key, size), prng_chance(prng, 20) ? ENTRY_DELETE : ENTRY_PUT,
            prng_below(prng, f->log.size - VALUE_BYTES_MAX), value);
    }
}

static int compare(const void *a, const void *b)
{
    return entry_key_compare(buf_slice(&((const struct entry *)a)->key),
                             buf_slice(&((const struct entry *)b)->key));
}

static void assert_stands_on(const struct fixture *f, const struct entry_iterator *it, size_t at)
{
    const struct entry *entry = &f->entries[at];
    ck_assert(it->valid);
    ck_assert_int_eq(varve_slice_compare(it->key, buf_slice(&entry->key)), 0);
    ck_assert_int_eq(
        varve_slice_compare(it->value, varve_slice(f->log.data + entry->offset, entry->size)), 0);
}

static void assert_pass(struct fixture *f)
{
    struct entry_iterator *it = NULL;
    ck_assert_int_eq(replay_buffer_sort(&f->buffer, &it), VARVE_OK);
    qsort(f->entries, f->count, sizeof f->entries[0], compare);
    it->ops->seek_first(it);
    for (size_t i = 0; i < f->count; i++, it->ops->next(it))
        assert_stands_on(f, it, i);
    ck_assert(!it->valid && it->status == VARVE_OK);
    it->ops->seek_last(it);
    for (size_t i = f->count; i-- > 0; it->ops->prev(it))
        assert_stands_on(f, it, i);
    ck_assert(!it->valid && it->status == VARVE_OK);
    for (size_t i = 0; i < f->count; i += 7) {
        it->ops->seek(it, buf_slice(&f->entries[i].key));
        assert_stands_on(f, it, i);
    }
    entry_iterator_free(it);
}

static void entries_forget(struct fixture *f)
{
    for (size_t i = 0; i < f->count; i++)
        buf_deinit(&f->entries[i].key);
    f->count = 0;
}

static void set_up(struct fixture *f, struct prng *prng)
{
    *f = (struct fixture){.crash = crash_env_new(1)};
    f->env = crash_env_env(f->crash);
    log_make(f, prng);
}

static void tear_down(struct fixture *f)
{
    entries_forget(f);
    replay_buffer_deinit(&f->buffer);
    buf_deinit(&f->log);
    ck_assert_uint_eq(crash_env_handles(f->crash), 0);
    crash_env_free(f->crash);
}

START_TEST(all_in_order)
{
    static struct fixture f;
    struct prng prng = prng_make(3);
    set_up(&f, &prng);
    fill(&f, &prng);
    size_t bytes = f.buffer.bytes;
    ck_assert_uint_gt(bytes, ENTRIES * 300u);
    assert_pass(&f);
    /* Once more, with a log that stays and one that comes; then only the last one is open. */
    replay_buffer_clear(&f.buffer);
    ck_assert_uint_eq(f.buffer.bytes + f.buffer.count, 0);
    entries_forget(&f);
    add(&f, varve_slice_str("b"), ENTRY_PUT, 5, 700);
    ck_assert_int_eq(replay_buffer_log(&f.buffer, f.env, LOG), VARVE_OK);
    add(&f, varve_slice_str("a"), ENTRY_PUT, 9, 900);
    assert_pass(&f);
    ck_assert_uint_eq(crash_env_handles(f.crash), 2);
    replay_buffer_clear(&f.buffer);
    ck_assert_uint_eq(crash_env_handles(f.crash), 1);
    ck_assert_int_eq(replay_buffer_log(&f.buffer, f.env, "/none"), VARVE_NOT_FOUND);
    tear_down(&f);
}
END_TEST

/* A value that the log does not hold any more fails the pass, and is not given out. */
START_TEST(a_value_that_changed)
{
    for (int cut = 0; cut < 2; cut++) {
        static struct fixture f;
        struct prng prng = prng_make(4);
        struct entry_iterator *it = NULL;
        set_up(&f, &prng);
        add(&f, varve_slice_str("a"), ENTRY_PUT, 100, 10);
        add(&f, varve_slice_str("b"), ENTRY_PUT, 1000, 600);
        if (cut)
            ck_assert(crash_env_cut_file(f.crash, LOG, 1599));
        else
            ck_assert(crash_env_flip_byte(f.crash, LOG, 1599, 0x10));
        ck_assert_int_eq(replay_buffer_sort(&f.buffer, &it), VARVE_OK);
        it->ops->seek_first(it);
        assert_stands_on(&f, it, 0);
        it->ops->next(it);
        ck_assert(!it->valid);
        ck_assert_int_eq(it->status, VARVE_CORRUPT);
        entry_iterator_free(it);
        tear_down(&f);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine-replay-buffer");
    TCase *tests = tcase_create("replay-buffer");
    tcase_add_test(tests, all_in_order);
    tcase_add_test(tests, a_value_that_changed);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
