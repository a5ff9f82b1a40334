/*
 * base/crc32c.h: CRC-32C (Castagnoli), the checksum of every byte that varve stores. SSE4.2 or
 * ARMv8 instructions where the machine has them, chosen once at run time, else slicing-by-8.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 to begin) over `data`. Thread safe. */
uint32_t crc32c_extend(uint32_t crc, const void *data, size_t size);

/* The portable form, whatever the machine has: for tests and comparisons. */
uint32_t crc32c_extend_software(uint32_t crc, const void *data, size_t size);

/* From now on the portable form serves crc32c_extend too. Call before any thread. */
void crc32c_use_software(void);

/* How a crc is stored next to the data it covers, so that the crc of bytes that hold crcs keeps
 * its strength (the technique of LevelDB's log format). */
static inline uint32_t crc32c_mask(uint32_t crc)
{
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}
static inline uint32_t crc32c_unmask(uint32_t masked)
{
    uint32_t rotated = masked - 0xa282ead8u;
    return (rotated >> 17) | (rotated << 15);
}

#endif
