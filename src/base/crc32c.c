/*
 * CRC-32C two ways. The portable form looks up eight bytes at a time in eight tables. The hardware
 * form feeds the processor's crc32c instruction; as each step waits three cycles for the one
 * before, long inputs are cut into three stretches that run side by side. What the first stretches
 * yield is then carried over the length of the following ones: to carry a crc over n bytes is to
 * append n zeros, which is linear in its 32 bits, so four tables of 256 entries hold it for one
 * fixed n.
 *
 * Tables and the choice are made before main, so that nothing needs a lock. Inside, a crc is kept
 * inverted (the "raw" form), as the instruction has it.
 */
#include "base/crc32c.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#define CRC_HARDWARE 1
#define CRC_TARGET __attribute__((target("sse4.2")))
#elif defined(__aarch64__)
#include <sys/auxv.h>
#define CRC_HARDWARE 1
#define CRC_TARGET
#define AARCH64_HWCAP_CRC32 (1ul << 7)
#else
#define CRC_HARDWARE 0
#endif

#define POLYNOMIAL_REVERSED 0x82f63b78u
#define SLICES 8

static uint32_t slice_table[SLICES][256];

static void slice_table_fill(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL_REVERSED : 0);
        slice_table[0][byte] = crc;
    }
    for (int slice = 1; slice < SLICES; slice++) {
        for (int byte = 0; byte < 256; byte++) {
            uint32_t crc = slice_table[slice - 1][byte];
            slice_table[slice][byte] = (crc >> 8) ^ slice_table[0][crc & 0xff];
        }
    }
}

static uint64_t load64(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static uint32_t raw_software(uint32_t crc, const uint8_t *at, size_t size)
{
    for (; size >= SLICES; at += SLICES, size -= SLICES) {
        uint64_t word = load64(at) ^ crc;
        crc = 0;
        for (int i = 0; i < SLICES; i++)
            crc ^= slice_table[SLICES - 1 - i][(word >> (8 * i)) & 0xff];
    }
    for (; size > 0; at++, size--)
        crc = (crc >> 8) ^ slice_table[0][(crc ^ *at) & 0xff];
    return crc;
}

static uint32_t (*raw_extend)(uint32_t crc, const uint8_t *at, size_t size) = raw_software;

#if CRC_HARDWARE

/* One instruction each. On ARM in assembly, as compilers differ in what their headers offer. */
CRC_TARGET static inline uint32_t step8(uint32_t crc, uint64_t word)
{
#if defined(__x86_64__)
    return (uint32_t)_mm_crc32_u64(crc, word);
#else
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    return crc;
#endif
}

CRC_TARGET static inline uint32_t step1(uint32_t crc, uint8_t byte)
{
#if defined(__x86_64__)
    return _mm_crc32_u8(crc, byte);
#else
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"((uint32_t)byte));
    return crc;
#endif
}

/* Three long stretches make just under 4 KiB, the usual block; the short ones serve what is left.
 * Both are multiples of 8. */
#define STRETCH_LONG 1360u
#define STRETCH_SHORT 168u

typedef uint32_t carry_table[4][256];
static carry_table carry_long, carry_short;

static void carry_table_fill(carry_table table, size_t zeros)
{
    static const uint8_t zero[STRETCH_LONG];
    for (int i = 0; i < 4; i++) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t low =
                byte & (byte - 1); /* all but the lowest bit set, which is known by now */
            table[i][byte] = low != 0 ? table[i][low] ^ table[i][byte ^ low]
                                      : raw_software(byte << (8 * i), zero, zeros);
        }
    }
}

static inline uint32_t carry(carry_table table, uint32_t crc)
{
    return table[0][crc & 0xff] ^ table[1][(crc >> 8) & 0xff] ^ table[2][(crc >> 16) & 0xff] ^
           table[3][crc >> 24];
}

/* Takes three stretches from `at`. Inlined, so that `stretch` is a constant. */
CRC_TARGET static inline __attribute__((always_inline)) uint32_t
raw_three(uint32_t crc, const uint8_t *at, size_t stretch, carry_table table)
{
    uint32_t crc1 = 0;
    uint32_t crc2 = 0;
    for (const uint8_t *end = at + stretch; at < end; at += 8) {
        crc = step8(crc, load64(at));
        crc1 = step8(crc1, load64(at + stretch));
        crc2 = step8(crc2, load64(at + 2 * stretch));
    }
    return carry(table, carry(table, crc) ^ crc1) ^ crc2;
}

CRC_TARGET static uint32_t raw_hardware(uint32_t crc, const uint8_t *at, size_t size)
{
    for (; size >= 3 * STRETCH_LONG; at += 3 * STRETCH_LONG, size -= 3 * STRETCH_LONG)
        crc = raw_three(crc, at, STRETCH_LONG, carry_long);
    for (; size >= 3 * STRETCH_SHORT; at += 3 * STRETCH_SHORT, size -= 3 * STRETCH_SHORT)
        crc = raw_three(crc, at, STRETCH_SHORT, carry_short);
    for (; size >= 8; at += 8, size -= 8)
        crc = step8(crc, load64(at));
    for (; size > 0; at++, size--)
        crc = step1(crc, *at);
    return crc;
}

static bool machine_has_crc32c(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2");
#else
    return (getauxval(AT_HWCAP) & AARCH64_HWCAP_CRC32) != 0;
#endif
}
#endif

__attribute__((constructor)) static void crc32c_choose(void)
{
    slice_table_fill();
#if CRC_HARDWARE
    if (!machine_has_crc32c())
        return;
    carry_table_fill(carry_long, STRETCH_LONG);
    carry_table_fill(carry_short, STRETCH_SHORT);
    raw_extend = raw_hardware;
#endif
}

uint32_t crc32c_extend(uint32_t crc, const void *data, size_t size)
{
    return ~raw_extend(~crc, data, size);
}

uint32_t crc32c_extend_software(uint32_t crc, const void *data, size_t size)
{
    return ~raw_software(~crc, data, size);
}

void crc32c_use_software(void)
{
    raw_extend = raw_software;
}
