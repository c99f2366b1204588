#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef int16_t i16x2 __attribute__((vector_size(4)));
typedef int16_t i16x8 __attribute__((vector_size(16)));
typedef int16_t i16x16 __attribute__((vector_size(32)));
typedef uint16_t u16x8 __attribute__((vector_size(16)));
typedef uint8_t u8x8 __attribute__((vector_size(8)));
typedef uint8_t u8x16 __attribute__((vector_size(16)));

/* (a * b + 2^14) / 2^15, for a and b of 16 bits: one instruction on most processors. */
#if defined(__AVX2__)
#include <immintrin.h>
static inline i16x8 multiply(i16x8 a, i16x8 b) { return (i16x8)_mm_mulhrs_epi16((__m128i)a, (__m128i)b); }
static inline i16x16 multiply16(i16x16 a, i16x16 b) { return (i16x16)_mm256_mulhrs_epi16((__m256i)a, (__m256i)b); }
#else
#if defined(__ARM_NEON)
#include <arm_neon.h>
static inline i16x8 multiply(i16x8 a, i16x8 b) { return (i16x8)vqrdmulhq_s16((int16x8_t)a, (int16x8_t)b); }
#else
typedef int32_t i32x8 __attribute__((vector_size(32)));
static inline i16x8 multiply(i16x8 a, i16x8 b) {
    const i32x8 product = __builtin_convertvector(a, i32x8) * __builtin_convertvector(b, i32x8);
    return __builtin_convertvector((product + (1 << 14)) >> 15, i16x8);
}
#endif
static inline i16x16 multiply16(i16x16 a, i16x16 b) {
    const i16x8 low = multiply(__builtin_shufflevector(a, a, 0, 1, 2, 3, 4, 5, 6, 7), __builtin_shufflevector(b, b, 0, 1, 2, 3, 4, 5, 6, 7));
    const i16x8 high = multiply(__builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15),
                                __builtin_shufflevector(b, b, 8, 9, 10, 11, 12, 13, 14, 15));
    return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
#endif
