/* Whether this processor has what the other files were compiled for. */

#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#define PLAIN __attribute__((target("arch=x86-64"))) /* this file has to run anywhere */

PLAIN static uint32_t enabled(void) { /* the registers that the system saves for us */
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* The third level of the x86-64 psABI: AVX2 and what came with it. */
PLAIN EXPORT int runs_here(void) {
    const uint32_t leaf1 = 1u << 12 | 1u << 22 | 1u << 27 | 1u << 29; /* FMA, MOVBE, OSXSAVE, F16C */
    const uint32_t leaf7 = 1u << 5 | 1u << 3 | 1u << 8;               /* AVX2, BMI1, BMI2 */
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & leaf1) != leaf1 || (enabled() & 6) != 6) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & leaf7) == leaf7;
}
#else
EXPORT int runs_here(void) { return 1; }
#endif
