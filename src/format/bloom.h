/*
 * format/bloom.h: a cache-line-blocked Bloom filter (Putze, Sanders, Singler, 2007): one hash picks
 * a 64-byte line and all probes stay within it, so that a look-up touches one cache line.
 *
 *   filter: lines of 64 bytes, then probes per key (1 byte, 1 to 14), then 0x01 (the layout's
 *           number)
 *   layout 1: the upper 32 bits of the hash, times the count of lines, divided by 2^32, pick the
 *           line; the hash times 0x9e3779b97f4a7c15 gives the bits within it, 9 bits a probe from
 *           the top down, seven probes; an eighth and more come from that product times the same
 *           number again. Bit b of a line is bit b mod 8 of its byte b / 8.
 * With the first line on a 64-byte boundary in memory a look-up touches one cache line.
 */
#ifndef FORMAT_BLOOM_H
#define FORMAT_BLOOM_H

#include <stdbool.h>

#include "base/buf.h"

#define BLOOM_LINE_BYTES 64u
#define BLOOM_BITS_PER_KEY_MAX 32u

/* Appends a filter over `count` hashes (base/hash.h, of user keys; repeated ones are fine).
 * bits_per_key 1 to BLOOM_BITS_PER_KEY_MAX. VARVE_NO_MEMORY, VARVE_TOO_LARGE (over 2^32 - 1 lines).
 */
MUST_CHECK enum varve_status bloom_build(const uint64_t *hashes, size_t count, size_t bits_per_key,
                                         struct buf *out);
/* True when the bytes have the shape of a filter. */
bool bloom_is_valid(struct varve_slice filter);
/* False: surely not in the set. Only on a valid one. */
bool bloom_may_contain(struct varve_slice filter, uint64_t hash);
void bloom_prefetch(struct varve_slice filter, uint64_t hash);

#endif
