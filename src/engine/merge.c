/*
 * Entries of a user key come newest first. Walking down them, `needed_below` says that an entry at
 * or under `keep` has been met: whatever reads at keep or above sees that one or a newer one, so
 * the rest of the key is dead. A tombstone at or under `keep` is itself needless when nothing older
 * can hold its key; it still hides the rest of the key, which is dropped with it.
 */
#include "engine/merge.h"

#include "engine/db.h"
#include "format/bloom.h"
#include "format/sstable_writer.h"

/* How many entries, or bytes of them, pass between two looks at `cancelled`. */
#define MERGE_CANCEL_EVERY 4096u
#define MERGE_CANCEL_BYTES ((size_t)4 << 20)
/* Bits a key that filters above the last level have beyond the option: 10 give 1 false positive in
 * 100, 14 give 1 in 550. Tiers have about a third of the last level's keys, so filters as a whole
 * take one bit a key more. */
#define FILTER_BITS_MORE 4u

struct merge_output {
    const struct merge_job *job;
    struct manifest_edit *edit;
    struct sstable_writer *writer; /* the open table, NULL between tables */
    uint64_t file_id;
    enum compression compression;
    size_t next_cut; /* the first cut at or above the last key */
};

void merge_remove_table(struct varve_db *db, uint64_t file_id)
{
    char path[FILENAME_BYTES_MAX];
    enum varve_status status = filename_path(path, db->dir, FILE_TABLE, file_id);
    if (status == VARVE_OK)
        status = env_remove(db->env, path);
    if (status != VARVE_OK && status != VARVE_NOT_FOUND)
        log_write(&db->log, VARVE_LOG_WARNING, "cannot remove table %llu: %s",
                  (unsigned long long)file_id, varve_status_text(status));
}

void merge_remove_outputs(struct varve_db *db, const struct manifest_edit *edit, size_t from)
{
    for (size_t i = from; i < edit->added_count; i++)
        merge_remove_table(db, edit->added[i].file_id);
}

enum compression merge_compression(enum varve_compression option)
{
    switch (option) {
    case VARVE_COMPRESSION_NONE:
        break;
    case VARVE_COMPRESSION_LZ4:
        return COMPRESSION_LZ4;
    case VARVE_COMPRESSION_ZSTD:
        return COMPRESSION_ZSTD;
    }
    return COMPRESSION_NONE;
}

/* A look-up asks the filters of all runs, so their false positives add up. Their sum is least for
 * the memory when each rate is in proportion to the size of its run (Dayan, Athanassoulis, Idreos:
 * Monkey, 2017). Runs above the last level have a fourth to a fortieth of its keys: 1.44 log2 of
 * that is 3 to 8 bits more. */
static size_t filter_bits(const struct varve_options *options, bool last_level)
{
    size_t bits = options->bloom_bits_per_key;
    if (bits == 0 || last_level)
        return bits;
    bits += FILTER_BITS_MORE;
    return bits < BLOOM_BITS_PER_KEY_MAX ? bits : BLOOM_BITS_PER_KEY_MAX;
}

static enum varve_status output_begin(struct merge_output *output)
{
    char path[FILENAME_BYTES_MAX];
    struct varve_db *db = output->job->db;
    bool last_level = output->job->level + 1 >= db->options.max_levels;
    output->file_id = manifest_new_file_id(&db->manifest);
    output->compression =
        merge_compression(last_level ? db->options.compression_bottom : db->options.compression);
    const struct sstable_writer_options options = {
        .file_id = output->file_id,
        .block_bytes = db->options.block_bytes,
        .restart_interval = db->options.block_restart_interval,
        .bloom_bits_per_key = filter_bits(&db->options, last_level),
        .compression = output->compression,
        .time_min_ms = output->job->time_min_ms,
        .time_max_ms = output->job->time_max_ms,
        .memory = memory_budget_meter(&db->memory, MEMORY_WRITERS),
    };
    enum varve_status status = filename_path(path, db->dir, FILE_TABLE, output->file_id);
    if (status == VARVE_OK)
        status = sstable_writer_new(db->env, path, &options, &output->writer);
    return status;
}

static enum varve_status output_end(struct merge_output *output)
{
    struct sstable_properties properties = {0};
    uint64_t file_bytes = 0;
    enum varve_status status = sstable_writer_finish(output->writer, &properties, &file_bytes);
    if (status == VARVE_OK) {
        const struct manifest_table table = {
            .level = output->job->level,
            .run_id = output->job->run_id,
            .file_id = output->file_id,
            .file_bytes = file_bytes,
            .entry_count = properties.entry_count,
            .tombstone_count = properties.tombstone_count,
            .expiring_count = properties.expiring_count,
            .expiry_min_s = properties.expiry_min_s,
            .expiry_max_s = properties.expiry_max_s,
            .sequence_min = properties.sequence_min,
            .sequence_max = properties.sequence_max,
            .time_min_ms = properties.time_min_ms,
            .time_max_ms = properties.time_max_ms,
            .compression = output->compression,
            .smallest = properties.smallest, /* lent: the edit copies */
            .largest = properties.largest,
        };
        status = manifest_edit_add_table(output->edit, &table);
    }
    sstable_properties_deinit(&properties);
    if (status != VARVE_OK)
        return status;
    sstable_writer_free(output->writer);
    output->writer = NULL;
    return VARVE_OK;
}

static void output_abort(struct merge_output *output)
{
    if (output->writer == NULL)
        return;
    sstable_writer_free(output->writer);
    output->writer = NULL;
    merge_remove_table(output->job->db, output->file_id);
}

struct merge_key_state {
    struct buf user_key;
    uint64_t tag;         /* of its last entry */
    bool needed_below;    /* an entry of user_key at or under keep has been met */
    struct buf tombstone; /* the internal key of an expired entry, as a deletion */
};

/* An expiring entry that is over for everyone who may still read is a tombstone of its own
 * sequence. */
static bool entry_has_expired(const struct merge_job *job)
{
    return entry_tag_kind(entry_key_tag(job->input->key)) == ENTRY_PUT_EXPIRING &&
           fixed64_decode(job->input->value.data) <= job->keep.time_ms / 1000;
}

/* Blocks pass their crc whatever was written into them: what the merge relies on is looked at. */
static bool entry_is_sound(const struct merge_job *job, const struct merge_key_state *state,
                           int order)
{
    uint64_t tag = entry_key_tag(job->input->key);
    if (order > 0 || (order == 0 && tag >= state->tag))
        return false;
    return entry_tag_kind(tag) != ENTRY_PUT_EXPIRING ||
           job->input->value.size >= ENTRY_EXPIRY_BYTES;
}

/* Whether the entry that the input stands on goes to the output; moves the key state on. */
static enum varve_status entry_is_needed(const struct merge_job *job, struct merge_key_state *state,
                                         bool *ret_new_key, bool *ret_needed)
{
    struct varve_slice user_key = entry_user_key(job->input->key);
    uint64_t tag = entry_key_tag(job->input->key);
    int order =
        state->user_key.size == 0 ? -1 : varve_slice_compare(buf_slice(&state->user_key), user_key);
    bool new_key = order != 0;

    if (!entry_is_sound(job, state, order))
        return status_raise(VARVE_CORRUPT);
    state->tag = tag;
    if (new_key) {
        enum varve_status status = buf_assign(&state->user_key, user_key);
        if (status != VARVE_OK)
            return status;
        state->needed_below = false;
    }
    *ret_new_key = new_key;
    if (state->needed_below) {
        *ret_needed = false;
        return VARVE_OK;
    }
    *ret_needed = true;
    if (entry_tag_sequence(tag) <= job->keep.sequence) {
        state->needed_below = true;
        if ((entry_tag_kind(tag) == ENTRY_DELETE || entry_has_expired(job)) &&
            job->older_may_hold != NULL && !job->older_may_hold(job->context, user_key))
            *ret_needed = false;
    }
    return VARVE_OK;
}

static enum varve_status entry_write(struct merge_output *output, struct merge_key_state *state)
{
    struct varve_slice key = output->job->input->key;
    if (!entry_has_expired(output->job))
        return sstable_writer_add(output->writer, key, output->job->input->value);
    enum varve_status status = buf_assign(&state->tombstone, entry_user_key(key));
    uint64_t sequence = entry_tag_sequence(entry_key_tag(key));
    if (status == VARVE_OK)
        status = buf_append_fixed64(&state->tombstone, entry_tag(sequence, ENTRY_DELETE));
    if (status == VARVE_OK)
        status =
            sstable_writer_add(output->writer, buf_slice(&state->tombstone), varve_slice(NULL, 0));
    return status;
}

/* Whether the open table ends in front of `user_key`, the first entry of which comes now. */
static bool output_is_full(struct merge_output *output, struct varve_slice user_key)
{
    const struct merge_job *job = output->job;
    bool passed_cut = false, always = false;

    while (output->next_cut < job->cut_count &&
           varve_slice_compare(user_key, job->cuts[output->next_cut]) > 0) {
        always = always || merge_cuts_always(job->cuts[output->next_cut], job->cut_mask);
        passed_cut = true;
        output->next_cut++;
    }
    if (output->writer == NULL)
        return false;
    uint64_t bytes = sstable_writer_bytes(output->writer);
    return bytes >= job->table_bytes || (passed_cut && bytes >= job->cut_bytes) || always;
}

static enum varve_status merge_step(struct merge_output *output, struct merge_key_state *state)
{
    const struct merge_job *job = output->job;
    bool new_key = false, needed = false;
    enum varve_status status = entry_is_needed(job, state, &new_key, &needed);

    if (status == VARVE_OK && new_key && output_is_full(output, entry_user_key(job->input->key)))
        status = output_end(output);
    if (status == VARVE_OK && needed && output->writer == NULL)
        status = output_begin(output);
    if (status == VARVE_OK && needed)
        status = entry_write(output, state);
    return status;
}

/* Now and then: for how long depends on what passed. */
static bool merge_is_cancelled(const struct merge_job *job, size_t *passed, size_t *passed_bytes)
{
    *passed_bytes += job->input->key.size + job->input->value.size;
    if (++*passed < MERGE_CANCEL_EVERY && *passed_bytes < MERGE_CANCEL_BYTES)
        return false;
    *passed = *passed_bytes = 0;
    return job->cancelled != NULL && job->cancelled(job->context);
}

enum varve_status merge_run(const struct merge_job *job, struct manifest_edit *edit)
{
    struct merge_output output = {.job = job, .edit = edit};
    struct merge_key_state state = {0};
    size_t added_before = edit->added_count;
    enum varve_status status = VARVE_OK;
    size_t passed = 0, passed_bytes = 0;

    job->input->ops->seek_first(job->input);
    while (status == VARVE_OK && job->input->valid) {
        status = merge_step(&output, &state);
        if (status == VARVE_OK && merge_is_cancelled(job, &passed, &passed_bytes))
            status = VARVE_CLOSED;
        if (status == VARVE_OK)
            job->input->ops->next(job->input);
    }
    if (status == VARVE_OK)
        status = job->input->status;
    if (status == VARVE_OK && output.writer != NULL)
        status = output_end(&output);
    if (status == VARVE_OK)
        status = env_sync_dir(job->db->env, job->db->dir);
    if (status != VARVE_OK) {
        output_abort(&output);
        merge_remove_outputs(job->db, edit, added_before);
    }
    buf_deinit(&state.user_key);
    buf_deinit(&state.tombstone);
    return status;
}
