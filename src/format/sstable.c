/*
 * The parts of a table that are neither data nor index, made and read back in one place.
 *
 * The footer's magic, crc and version stand at the same place from the end in every version, so
 * that an old reader can say "newer" where it would else say "damaged". Blocks must touch each
 * other: then every byte of the file is under some checksum.
 */
#include "format/sstable.h"

#include "base/crc32c.h"

enum footer_field {
    FOOTER_FILTER = 0,
    FOOTER_INDEX = 16,
    FOOTER_PROPERTIES = 32,
    FOOTER_FILE_ID = 48,
    FOOTER_VERSION = 56,
    FOOTER_RESERVED = 60,
    FOOTER_CRC = 84,
    FOOTER_MAGIC = 88,
};

void sstable_properties_deinit(struct sstable_properties *properties)
{
    if (properties == NULL)
        return;
    buf_deinit(&properties->smallest);
    buf_deinit(&properties->largest);
}

/* Where the number of a tag lives; NULL for a tag that is no number. */
static uint64_t *property_number(struct sstable_properties *p, uint64_t tag)
{
    switch (tag) {
    case SSTABLE_PROPERTY_FILE_ID:
        return &p->file_id;
    case SSTABLE_PROPERTY_ENTRY_COUNT:
        return &p->entry_count;
    case SSTABLE_PROPERTY_TOMBSTONE_COUNT:
        return &p->tombstone_count;
    case SSTABLE_PROPERTY_EXPIRING_COUNT:
        return &p->expiring_count;
    case SSTABLE_PROPERTY_RAW_KEY_BYTES:
        return &p->raw_key_bytes;
    case SSTABLE_PROPERTY_RAW_VALUE_BYTES:
        return &p->raw_value_bytes;
    case SSTABLE_PROPERTY_DATA_BLOCK_COUNT:
        return &p->data_block_count;
    case SSTABLE_PROPERTY_SEQUENCE_MIN:
        return &p->sequence_min;
    case SSTABLE_PROPERTY_SEQUENCE_MAX:
        return &p->sequence_max;
    case SSTABLE_PROPERTY_TIME_MIN_MS:
        return &p->time_min_ms;
    case SSTABLE_PROPERTY_TIME_MAX_MS:
        return &p->time_max_ms;
    case SSTABLE_PROPERTY_EXPIRY_MIN_S:
        return &p->expiry_min_s;
    case SSTABLE_PROPERTY_EXPIRY_MAX_S:
        return &p->expiry_max_s;
    default:
        return NULL;
    }
}

static struct buf *property_key(struct sstable_properties *p, uint64_t tag)
{
    if (tag == SSTABLE_PROPERTY_SMALLEST)
        return &p->smallest;
    return tag == SSTABLE_PROPERTY_LARGEST ? &p->largest : NULL;
}

enum varve_status sstable_properties_encode(const struct sstable_properties *properties,
                                            struct buf *out)
{
    struct sstable_properties p = *properties; /* borrows the keys */
    for (uint64_t tag = 1; tag <= SSTABLE_PROPERTY_MAX; tag++) {
        enum varve_status status = buf_append_varint(out, tag);
        if (status != VARVE_OK)
            return status;
        const uint64_t *number = property_number(&p, tag);
        status = number != NULL ? buf_append_prefixed(out, varve_slice(number, sizeof *number))
                                : buf_append_prefixed(out, buf_slice(property_key(&p, tag)));
        if (status != VARVE_OK)
            return status;
    }
    return VARVE_OK;
}

static bool properties_agree(const struct sstable_properties *p)
{
    struct varve_slice smallest = buf_slice(&p->smallest), largest = buf_slice(&p->largest);
    return p->entry_count != 0 && p->tombstone_count <= p->entry_count &&
           p->expiring_count <= p->entry_count - p->tombstone_count && p->data_block_count != 0 &&
           p->data_block_count <= p->entry_count && p->sequence_min <= p->sequence_max &&
           p->sequence_max <= ENTRY_SEQUENCE_MAX && p->time_min_ms <= p->time_max_ms &&
           p->expiry_min_s <= p->expiry_max_s && entry_key_is_valid(smallest) &&
           entry_key_is_valid(largest) && entry_key_compare(smallest, largest) <= 0;
}

static enum varve_status property_take(struct varve_slice *bytes, uint64_t *last_tag, size_t *known,
                                       struct sstable_properties *p)
{
    uint64_t tag = 0;
    struct varve_slice content = {0};
    if (!slice_take_varint(bytes, &tag) || !slice_take_prefixed(bytes, &content) ||
        tag <= *last_tag)
        return status_raise(VARVE_CORRUPT);
    *last_tag = tag;
    uint64_t *number = property_number(p, tag);
    struct buf *key = property_key(p, tag);
    *known += number != NULL || key != NULL;
    if (number != NULL) {
        if (content.size != sizeof *number)
            return status_raise(VARVE_CORRUPT);
        *number = fixed64_decode(content.data);
    }
    return key != NULL ? buf_assign(key, content) : VARVE_OK;
}

enum varve_status sstable_properties_decode(struct varve_slice bytes,
                                            struct sstable_properties *ret)
{
    struct sstable_properties p = {0};
    uint64_t last_tag = 0;
    size_t known = 0;
    enum varve_status status = VARVE_OK;
    while (bytes.size != 0 && status == VARVE_OK)
        status = property_take(&bytes, &last_tag, &known, &p);
    if (status == VARVE_OK && (known != SSTABLE_PROPERTY_MAX || !properties_agree(&p)))
        status = status_raise(VARVE_CORRUPT);
    if (status != VARVE_OK) {
        sstable_properties_deinit(&p);
        return status;
    }
    *ret = p;
    return VARVE_OK;
}

static void footer_handle_encode(uint8_t *at, struct block_handle handle)
{
    fixed64_encode(at, handle.offset);
    fixed64_encode(at + sizeof handle.offset, handle.size);
}

static struct block_handle footer_handle_decode(const uint8_t *at)
{
    struct block_handle handle = {.offset = fixed64_decode(at),
                                  .size = fixed64_decode(at + sizeof handle.offset)};
    return handle;
}

void sstable_footer_encode(uint8_t ret_bytes[SSTABLE_FOOTER_BYTES],
                           const struct sstable_footer *footer)
{
    memset(ret_bytes, 0, SSTABLE_FOOTER_BYTES);
    footer_handle_encode(ret_bytes + FOOTER_FILTER, footer->filter);
    footer_handle_encode(ret_bytes + FOOTER_INDEX, footer->index);
    footer_handle_encode(ret_bytes + FOOTER_PROPERTIES, footer->properties);
    fixed64_encode(ret_bytes + FOOTER_FILE_ID, footer->file_id);
    fixed32_encode(ret_bytes + FOOTER_VERSION, SSTABLE_FORMAT_VERSION);
    fixed32_encode(ret_bytes + FOOTER_CRC, crc32c_mask(crc32c_extend(0, ret_bytes, FOOTER_CRC)));
    memcpy(ret_bytes + FOOTER_MAGIC, SSTABLE_MAGIC, SSTABLE_MAGIC_BYTES);
}

/* True when the block and its trailer end exactly at `end`. */
static bool handle_ends_at(struct block_handle handle, uint64_t end)
{
    return end >= SSTABLE_BLOCK_TRAILER_BYTES && handle.size <= end - SSTABLE_BLOCK_TRAILER_BYTES &&
           handle.offset == end - SSTABLE_BLOCK_TRAILER_BYTES - handle.size;
}

enum varve_status sstable_footer_decode(const uint8_t bytes[SSTABLE_FOOTER_BYTES],
                                        uint64_t file_bytes, struct sstable_footer *ret_footer)
{
    static const uint8_t reserved[FOOTER_CRC - FOOTER_RESERVED];
    if (memcmp(bytes + FOOTER_MAGIC, SSTABLE_MAGIC, SSTABLE_MAGIC_BYTES) != 0 ||
        crc32c_unmask(fixed32_decode(bytes + FOOTER_CRC)) != crc32c_extend(0, bytes, FOOTER_CRC))
        return status_raise(VARVE_CORRUPT);
    if (fixed32_decode(bytes + FOOTER_VERSION) != SSTABLE_FORMAT_VERSION)
        return status_raise(VARVE_UNSUPPORTED);
    struct sstable_footer footer = {
        .filter = footer_handle_decode(bytes + FOOTER_FILTER),
        .index = footer_handle_decode(bytes + FOOTER_INDEX),
        .properties = footer_handle_decode(bytes + FOOTER_PROPERTIES),
        .file_id = fixed64_decode(bytes + FOOTER_FILE_ID),
    };
    if (memcmp(bytes + FOOTER_RESERVED, reserved, sizeof reserved) != 0 ||
        file_bytes < SSTABLE_FOOTER_BYTES ||
        !handle_ends_at(footer.properties, file_bytes - SSTABLE_FOOTER_BYTES) ||
        !handle_ends_at(footer.index, footer.properties.offset) ||
        !handle_ends_at(footer.filter, footer.index.offset))
        return status_raise(VARVE_CORRUPT);
    *ret_footer = footer;
    return VARVE_OK;
}

uint8_t *block_handle_encode(uint8_t *at, struct block_handle handle)
{
    return varint64_encode(varint64_encode(at, handle.offset), handle.size);
}

bool block_handle_decode(struct varve_slice bytes, struct block_handle *ret_handle)
{
    struct block_handle handle = {0};
    if (!slice_take_varint(&bytes, &handle.offset) || !slice_take_varint(&bytes, &handle.size) ||
        bytes.size != 0)
        return false;
    *ret_handle = handle;
    return true;
}

uint32_t sstable_block_crc(uint64_t file_id, uint64_t offset, const uint8_t *data, size_t size)
{
    uint8_t place[2 * sizeof(uint64_t)];
    fixed64_encode(place, file_id);
    fixed64_encode(place + sizeof(uint64_t), offset);
    return crc32c_extend(crc32c_extend(0, place, sizeof place), data, size);
}
