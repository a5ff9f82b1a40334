/*
 * tests/fuzz/fuzz.h: what every fuzz target has. A target is one file with one entry point, of the
 * shape that libFuzzer calls; linked with driver.c instead it runs as an ordinary test.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* The decoder must take any bytes; it fails by crashing or by never coming back. Gives 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Puts a right input into `out`: what mutations start from. Several are told apart by `which`;
 * false when there is none of that number. */
bool fuzz_seed(unsigned which, struct buf *out);

/* A name for the target's input as a file, in a directory of this process's own, that goes at its
 * exit. */
const char *fuzz_path(void);

/* Makes the input the content of that file. */
void fuzz_file_write(const uint8_t *data, size_t size);
/* And back: what stands in the file. */
void fuzz_file_read(struct buf *out);

#endif
