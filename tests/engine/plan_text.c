/* The figures that a text leaves out are small, so that a script's own can be. */
#include "plan_text.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"

#define ENTRIES 10u /* of a table in a script */

void plan_text_key(struct buf *key, char user_key)
{
    must_ok(buf_append_byte(key, (uint8_t)user_key));
    must_ok(buf_append_fixed64(key, entry_tag(1, ENTRY_PUT)));
}

static const struct policy_word {
    const char *name;
    size_t offset;
} policy_words[] = {
    {"trigger=", offsetof(struct compaction_policy, level0_trigger)},
    {"levels=", offsetof(struct compaction_policy, max_levels)},
    {"multiplier=", offsetof(struct compaction_policy, level_multiplier)},
    {"memtable=", offsetof(struct compaction_policy, memtable_bytes)},
    {"table=", offsetof(struct compaction_policy, table_bytes)},
    {"keep=", offsetof(struct compaction_policy, keep.sequence)},
    {"now_ms=", offsetof(struct compaction_policy, keep.time_ms)},
};

static void policy_parse_word(struct compaction_policy *policy, const char *word)
{
    if (strcmp(word, "leveled") == 0) {
        policy->style = VARVE_COMPACTION_LEVELED;
        return;
    }
    if (strcmp(word, "fold") == 0 || strcmp(word, "everything") == 0) {
        policy->mode = word[0] == 'f' ? COMPACTION_FOLD : COMPACTION_EVERYTHING;
        return;
    }
    if (strncmp(word, "cursor", 6) == 0) { /* cursor1=c */
        policy->cursors[word[6] - '0'] = varve_slice_str(word + 8);
        return;
    }
    if (strncmp(word, "from=", 5) == 0 || strncmp(word, "to=", 3) == 0) {
        struct varve_slice key = varve_slice_str(strchr(word, '=') + 1);
        *(word[0] == 'f' ? &policy->start : &policy->end) = key;
        return;
    }
    if (strcmp(word, "bottom=lz4") == 0) {
        policy->compression_bottom = COMPRESSION_LZ4;
        return;
    }
    for (size_t i = 0; i < sizeof policy_words / sizeof policy_words[0]; i++)
        if (strncmp(word, policy_words[i].name, strlen(policy_words[i].name)) == 0) {
            uint64_t number = strtoull(word + strlen(policy_words[i].name), NULL, 10);
            memcpy((char *)policy + policy_words[i].offset, &number, sizeof number);
            return;
        }
    must(!"a word that a policy knows");
}

struct compaction_policy plan_text_policy(char *words)
{
    char *rest = NULL;
    struct compaction_policy policy = {
        .style = VARVE_COMPACTION_TIERED,
        .level0_trigger = 4,
        .max_levels = 7,
        .level_multiplier = 10,
        .memtable_bytes = 64,
        .table_bytes = 64,
        .keep = {.sequence = 100, .time_ms = 1000},
    };
    for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        policy_parse_word(&policy, word);
    return policy;
}

static void table_parse(struct manifest_table *table, const char *word)
{
    char smallest = 0, largest = 0;
    int used = 0;
    table->entry_count = ENTRIES;
    table->sequence_min = table->sequence_max = 1;
    must(sscanf(word, "%c-%c:%" SCNu64 "%n", &smallest, &largest, &table->file_bytes, &used) == 3);
    plan_text_key(&table->smallest, smallest);
    plan_text_key(&table->largest, largest);
    if (word[used] != '(')
        return;
    for (const char *more = word + used; *more != '\0' && *more != ')';
         more += strcspn(more, ",)")) {
        more++;
        if (more[0] == 'z')
            table->compression = more[1] == 's' ? COMPRESSION_ZSTD : COMPRESSION_LZ4;
        must(more[0] == 'z' || sscanf(more, "t%" SCNu64, &table->tombstone_count) == 1 ||
             sscanf(more, "s%" SCNu64, &table->sequence_max) == 1 ||
             sscanf(more, "x%" SCNu64 "@%" SCNu64 "..%" SCNu64, &table->expiring_count,
                    &table->expiry_min_s, &table->expiry_max_s) == 3);
    }
}

static struct version *version_of(const struct manifest_edit *edit)
{
    struct version *empty = NULL, *version = NULL;
    struct varve_error error = {0};
    must_ok(version_new_empty(&empty));
    enum varve_status status = version_apply(empty, edit, NULL, &version, &error);
    ck_assert_msg(status == VARVE_OK, "%s", error.text);
    version_unref(empty);
    return version;
}

struct version *plan_text_version(const char *text)
{
    struct manifest_edit edit = {0};
    char *copy = must_strdup(text), *rest = NULL;
    uint32_t level = 0;
    uint64_t run_id = 0, file_id = 0;
    for (char *word = strtok_r(copy, " |", &rest); word != NULL;
         word = strtok_r(NULL, " |", &rest)) {
        struct manifest_table table = {.level = level, .run_id = run_id, .file_id = ++file_id};
        if (word[0] == 'L') {
            level = (uint32_t)strtoul(word + 1, NULL, 10);
        } else if (word[0] == 'r' && word[1] != '-') {
            run_id = strtoull(word + 1, NULL, 10);
        } else {
            table_parse(&table, word);
            must_ok(manifest_edit_add_table(&edit, &table));
        }
        manifest_table_deinit(&table);
    }
    struct version *version = version_of(&edit);
    manifest_edit_deinit(&edit);
    free(copy);
    return version;
}

void plan_text_print(const struct compaction_plan *plan, struct buf *text)
{
    if (plan->source_count == 0) {
        must_ok(buf_append_format(text, "nothing"));
        return;
    }
    must_ok(buf_append_format(text, "%s%s:", compaction_reason_name(plan->reason),
                              plan->move ? " move" : ""));
    for (size_t s = 0; s < plan->source_count; s++) {
        const struct compaction_source *source = &plan->sources[s];
        must_ok(buf_append_format(text, "%s L%u r%" PRIu64, s > 0 ? " |" : "", source->level,
                                  source->run.id));
        for (size_t t = 0; t < source->run.table_count; t++)
            must_ok(buf_append_format(text, " %c-%c", table_smallest(source->run.tables[t]).data[0],
                                      table_largest(source->run.tables[t]).data[0]));
    }
    must_ok(buf_append_format(text, " -> L%u ", plan->output_level));
    if (plan->output_run_id != 0)
        must_ok(buf_append_format(text, "r%" PRIu64, plan->output_run_id));
    else
        must_ok(buf_append_format(text, "new"));
    must_ok(buf_append_format(text, " %" PRIu64, plan->output_bytes));
    for (size_t c = 0; c < plan->cut_count; c++)
        must_ok(buf_append_format(text, "%s%c", c == 0 ? " cuts " : "", plan->cuts[c].data[0]));
    if (plan->cut_count > 0)
        must_ok(buf_append_format(text, " %" PRIu64, plan->cut_bytes));
}
