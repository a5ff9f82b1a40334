/* Long sums are added up only at their beginning; the rest is their integral, corrected at both
 * ends (Euler and Maclaurin), which errs by less than the addition would. */
#include "programs/bench/zipfian.h"

#include <math.h>

#define ZETA_ADDED 10000u
#define UNIT_BITS 53 /* of a double between 0 and 1 */

double zipfian_zeta(uint64_t num)
{
    const double power = 1 - ZIPFIAN_SKEW;
    uint64_t added = num < ZETA_ADDED ? num : ZETA_ADDED;
    double sum = 0;
    for (uint64_t i = added; i > 0; i--)
        sum += pow((double)i, -ZIPFIAN_SKEW);
    if (added == num)
        return sum;
    double from = (double)added, to = (double)num;
    return sum + (pow(to, power) - pow(from, power)) / power +
           (pow(to, -ZIPFIAN_SKEW) - pow(from, -ZIPFIAN_SKEW)) / 2;
}

struct zipfian zipfian_make(uint64_t num)
{
    struct zipfian zipfian = {.num = num, .zeta = zipfian_zeta(num)};
    if (num > 2)
        zipfian.eta =
            (1 - pow(2 / (double)num, 1 - ZIPFIAN_SKEW)) / (1 - zipfian_zeta(2) / zipfian.zeta);
    return zipfian;
}

uint64_t zipfian_draw(const struct zipfian *zipfian, struct random *random)
{
    double unit = ldexp((double)(random_next(random) >> (64 - UNIT_BITS)), -UNIT_BITS);
    double place = unit * zipfian->zeta;
    if (place < 1 || zipfian->num == 1)
        return 0;
    if (place < 1 + pow(0.5, ZIPFIAN_SKEW) || zipfian->num == 2)
        return 1;
    double rank =
        (double)zipfian->num * pow(zipfian->eta * unit - zipfian->eta + 1, 1 / (1 - ZIPFIAN_SKEW));
    return rank < (double)zipfian->num ? (uint64_t)rank : zipfian->num - 1;
}
