/* Eight bytes a key: the values themselves would be another store. */
#include "programs/bench/value_sums.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

enum varve_status value_sums_init(struct value_sums *sums, uint64_t num)
{
    uint64_t *array = calloc(num, sizeof *array);
    if (array == NULL)
        return status_raise(VARVE_NO_MEMORY);
    *sums = (struct value_sums){.sums = array, .num = num};
    return VARVE_OK;
}

void value_sums_deinit(struct value_sums *sums)
{
    free(sums->sums);
    *sums = (struct value_sums){0};
}

void value_sums_clear(struct value_sums *sums)
{
    if (sums->sums != NULL)
        memset(sums->sums, 0, sums->num * sizeof *sums->sums);
}

enum varve_status value_sums_reserve(struct value_sums *sums, uint64_t number)
{
    if (sums->sums == NULL || number < sums->num)
        return VARVE_OK;
    uint64_t num = number + 1 + number / 2;
    uint64_t *array = realloc(sums->sums, num * sizeof *array);
    if (array == NULL)
        return status_raise(VARVE_NO_MEMORY);
    memset(array + sums->num, 0, (num - sums->num) * sizeof *array);
    *sums = (struct value_sums){.sums = array, .num = num};
    return VARVE_OK;
}

/* Never 0, which stands for no value. */
static uint64_t sum_of(struct varve_slice value)
{
    uint64_t sum = hash_slice(value);
    return sum != 0 ? sum : 1;
}

void value_sums_note(struct value_sums *sums, uint64_t number, struct varve_slice value)
{
    if (sums->sums != NULL)
        sums->sums[number] = sum_of(value);
}

void value_sums_forget(struct value_sums *sums, uint64_t number)
{
    if (sums->sums != NULL)
        sums->sums[number] = 0;
}

bool value_sums_match(const struct value_sums *sums, uint64_t number, struct varve_slice value)
{
    return sums->sums == NULL || sums->sums[number] == sum_of(value);
}
