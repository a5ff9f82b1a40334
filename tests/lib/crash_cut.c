/*
 * Copies of a crash_fs: what a power cut leaves, and exact ones.
 *
 * A cut first decides which pending changes of names are kept, then walks the tree that those make
 * from the root; each file that it meets gets its content by a choice of its own. So only what can
 * be reached is copied, and the order of choices depends on nothing but the history and the seed.
 */
#include <stdlib.h>
#include <string.h>

#include "crash_fs.h"
#include "must.h"

struct inode_pair {
    const struct crash_inode *old;
    struct crash_inode *copy;
};

struct copier {
    const struct crash_fs *fs;
    struct prng *prng;
    enum crash_cut mode;
    bool *kept; /* for each pending change of names */
    struct inode_pair *pairs;
    size_t pair_count, pair_capacity;
};

static struct crash_inode *copier_find(const struct copier *copier, const struct crash_inode *old)
{
    for (size_t i = 0; i < copier->pair_count; i++) {
        if (copier->pairs[i].old == old)
            return copier->pairs[i].copy;
    }
    return NULL;
}

/* The pair holds the copy's first reference, until copier_deinit. */
static struct crash_inode *copier_add(struct copier *copier, const struct crash_inode *old)
{
    if (copier->pair_count == copier->pair_capacity) {
        copier->pair_capacity = copier->pair_capacity == 0 ? 16 : 2 * copier->pair_capacity;
        copier->pairs = must_realloc(copier->pairs, copier->pair_capacity, sizeof copier->pairs[0]);
    }
    struct crash_inode *copy = crash_inode_new(old->is_directory);
    copier->pairs[copier->pair_count++] = (struct inode_pair){.old = old, .copy = copy};
    return copy;
}

static void copier_deinit(struct copier *copier)
{
    for (size_t i = 0; i < copier->pair_count; i++)
        crash_inode_unref(copier->pairs[i].copy);
    free(copier->pairs);
    free(copier->kept);
}

/* A change can be kept only if every earlier one of the same names is. */
static void choose_names(struct copier *copier)
{
    static const unsigned percents[] = {20, 50, 80};
    const struct crash_fs *fs = copier->fs;
    unsigned percent = percents[prng_below(copier->prng, 3)];
    copier->kept = must_calloc(fs->pending_count + 1, sizeof copier->kept[0]);
    for (size_t i = 0; i < fs->pending_count; i++) {
        bool keep = copier->mode == CRASH_CUT_ALL ||
                    (copier->mode == CRASH_CUT_RANDOM && prng_chance(copier->prng, percent));
        for (size_t k = 0; keep && k < i; k++)
            keep = copier->kept[k] || !crash_name_op_touches(&fs->pending[k], &fs->pending[i]);
        copier->kept[i] = keep;
    }
}

/* What is kept of a file's pending changes: of each sector's writes, and of the sizes, that many
 * from the first on. */
struct data_choice {
    size_t sizes;
    uint32_t *sectors;
    size_t sector_count;
};

static size_t sectors_touched(const struct crash_inode *inode)
{
    uint64_t end = 0;
    for (size_t i = 0; i < inode->pending_count; i++) {
        const struct crash_data_op *op = &inode->pending[i];
        if (!op->is_size && op->offset + op->size > end)
            end = op->offset + op->size;
    }
    return (size_t)((end + CRASH_SECTOR_BYTES - 1) / CRASH_SECTOR_BYTES);
}

/* The first `count` changes, in the order in which they were made. */
static void choose_prefix(const struct crash_inode *inode, size_t count, struct data_choice *choice)
{
    for (size_t i = 0; i < count; i++) {
        if (inode->pending[i].is_size)
            choice->sizes++;
        else
            choice->sectors[inode->pending[i].offset / CRASH_SECTOR_BYTES]++;
    }
}

/* None, all, or any number of `count`, each as likely as the others. */
static size_t choose_some(struct prng *prng, size_t count)
{
    switch (prng_below(prng, 3)) {
    case 0:
        return 0;
    case 1:
        return count;
    default:
        return (size_t)prng_between(prng, 0, count);
    }
}

static void choose_data(struct copier *copier, const struct crash_inode *inode,
                        struct data_choice *choice)
{
    struct prng *prng = copier->prng;
    size_t count = inode->pending_count;
    choice->sector_count = sectors_touched(inode);
    choice->sectors = must_calloc(choice->sector_count + 1, sizeof choice->sectors[0]);
    if (copier->mode == CRASH_CUT_NONE)
        return;
    if (copier->mode == CRASH_CUT_ALL) {
        choose_prefix(inode, count, choice);
        return;
    }
    if (prng_chance(prng, 50)) {
        choose_prefix(inode, choose_some(prng, count), choice);
        return;
    }
    choose_prefix(inode, count, choice);
    choice->sizes = choose_some(prng, choice->sizes);
    for (size_t i = 0; i < choice->sector_count; i++) {
        if (choice->sectors[i] > 0)
            choice->sectors[i] = (uint32_t)choose_some(prng, choice->sectors[i]);
    }
}

static void content_extend(struct buf *content, uint64_t end)
{
    if (end > content->size)
        must_ok(buf_append_zeros(content, (size_t)(end - content->size)));
}

/* Content may for a while reach beyond the size: sectors that were written, under a size that was
 * not. Once a truncation is lost, what follows it and lies behind it is lost too. */
static void apply_choice(const struct crash_inode *inode, struct data_choice *choice,
                         struct buf *content)
{
    uint64_t size = content->size;
    uint64_t size_then = content->size; /* as it was while the changes were made */
    uint64_t lost_from = UINT64_MAX;
    for (size_t i = 0; i < inode->pending_count; i++) {
        const struct crash_data_op *op = &inode->pending[i];
        if (op->is_size) {
            bool shrinks = op->offset < size_then;
            size_then = op->offset;
            if (choice->sizes > 0) {
                choice->sizes--;
                size = op->offset;
                if (shrinks && content->size > size)
                    content->size = (size_t)size;
            } else if (shrinks && op->offset < lost_from) {
                lost_from = op->offset;
            }
            continue;
        }
        uint32_t *left = &choice->sectors[op->offset / CRASH_SECTOR_BYTES];
        if (*left == 0)
            continue;
        (*left)--;
        uint64_t end = op->offset + op->size < lost_from ? op->offset + op->size : lost_from;
        if (op->offset >= end)
            continue;
        content_extend(content, end);
        memcpy(content->data + op->offset, inode->pending_bytes.data + op->bytes_at,
               (size_t)(end - op->offset));
    }
    content_extend(content, size);
    content->size = (size_t)size;
}

static void cut_file(struct copier *copier, const struct crash_inode *old, struct crash_inode *copy)
{
    copy->synced_apart = false;
    must_ok(buf_assign(&copy->now, buf_slice(old->synced_apart ? &old->synced : &old->now)));
    if (old->pending_count == 0)
        return;
    struct data_choice choice = {0};
    choose_data(copier, old, &choice);
    apply_choice(old, &choice, &copy->now);
    free(choice.sectors);
}

static struct crash_inode *cut_inode(struct copier *copier, const struct crash_inode *old);

/* The durable names and the kept changes of them. */
static void cut_dir(struct copier *copier, const struct crash_inode *old, struct crash_inode *copy)
{
    struct crash_entries names = {0};
    for (size_t i = 0; i < old->names_durable.count; i++)
        crash_entries_set(&names, old->names_durable.at[i].name, old->names_durable.at[i].target);
    for (size_t i = 0; i < copier->fs->pending_count; i++) {
        const struct crash_name_op *op = &copier->fs->pending[i];
        for (size_t k = 0; copier->kept[i] && k < op->count; k++) {
            if (op->changes[k].dir == old)
                crash_entries_set(&names, op->changes[k].name, op->changes[k].target);
        }
    }
    for (size_t i = 0; i < names.count; i++) {
        struct crash_inode *target = cut_inode(copier, names.at[i].target);
        crash_entries_set(&copy->names_now, names.at[i].name, target);
        crash_entries_set(&copy->names_durable, names.at[i].name, target);
        target->link_count++;
    }
    crash_entries_deinit(&names);
}

static struct crash_inode *cut_inode(struct copier *copier, const struct crash_inode *old)
{
    struct crash_inode *copy = copier_find(copier, old);
    if (copy != NULL)
        return copy;
    copy = copier_add(copier, old);
    if (old->is_directory)
        cut_dir(copier, old, copy);
    else
        cut_file(copier, old, copy);
    return copy;
}

void crash_fs_cut(const struct crash_fs *fs, struct prng *prng, enum crash_cut mode,
                  struct crash_fs *ret)
{
    struct copier copier = {.fs = fs, .prng = prng, .mode = mode};
    choose_names(&copier);
    *ret = (struct crash_fs){.root = crash_inode_ref(cut_inode(&copier, fs->root))};
    copier_deinit(&copier);
}

static struct crash_inode *clone_inode(struct copier *copier, const struct crash_inode *old);

static void clone_names(struct copier *copier, const struct crash_entries *names,
                        struct crash_entries *ret)
{
    for (size_t i = 0; i < names->count; i++)
        crash_entries_set(ret, names->at[i].name, clone_inode(copier, names->at[i].target));
}

static struct crash_inode *clone_inode(struct copier *copier, const struct crash_inode *old)
{
    struct crash_inode *copy = copier_find(copier, old);
    if (copy != NULL)
        return copy;
    copy = copier_add(copier, old);
    copy->link_count = old->link_count;
    copy->synced_apart = old->synced_apart;
    must_ok(buf_assign(&copy->now, buf_slice(&old->now)));
    must_ok(buf_assign(&copy->synced, buf_slice(&old->synced)));
    must_ok(buf_assign(&copy->pending_bytes, buf_slice(&old->pending_bytes)));
    copy->pending_count = copy->pending_capacity = old->pending_count;
    if (old->pending_count > 0) {
        copy->pending = must_calloc(old->pending_count, sizeof copy->pending[0]);
        memcpy(copy->pending, old->pending, old->pending_count * sizeof copy->pending[0]);
    }
    clone_names(copier, &old->names_now, &copy->names_now);
    clone_names(copier, &old->names_durable, &copy->names_durable);
    return copy;
}

void crash_fs_clone(const struct crash_fs *fs, struct crash_fs *ret)
{
    struct copier copier = {.fs = fs};
    *ret = (struct crash_fs){.root = crash_inode_ref(clone_inode(&copier, fs->root))};
    ret->pending_count = ret->pending_capacity = fs->pending_count;
    if (fs->pending_count > 0)
        ret->pending = must_calloc(fs->pending_count, sizeof ret->pending[0]);
    for (size_t i = 0; i < fs->pending_count; i++) {
        ret->pending[i].count = fs->pending[i].count;
        for (size_t k = 0; k < fs->pending[i].count; k++) {
            const struct crash_name_change *old = &fs->pending[i].changes[k];
            struct crash_inode *target =
                old->target != NULL ? crash_inode_ref(clone_inode(&copier, old->target)) : NULL;
            ret->pending[i].changes[k] = (struct crash_name_change){
                .dir = crash_inode_ref(clone_inode(&copier, old->dir)),
                .name = must_strdup(old->name),
                .target = target,
            };
        }
    }
    copier_deinit(&copier);
}
