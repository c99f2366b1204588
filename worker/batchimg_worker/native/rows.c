/* Weighted sums of rows, and transposition: all that separable filters and resizing need.

   Every function is called from `batchimg_worker.operations.kernels.native`, which checks types, shapes and bounds.
   Strides count values, not bytes. Loops are written so that compilers turn them into vector instructions. */

#include "kernels.h"

#define LANES 64 /* sums that are kept in registers */
#define BLOCK 2048 /* values of a row that are worked on before the next row: keeps the sources in the L2 cache */

static inline uint8_t as_u8(float x) {
    union { float f; uint32_t u; } bits = { 8388608.0f + (x < 0.0f ? 0.0f : x > 255.0f ? 255.0f : x) };
    return (uint8_t)bits.u; /* 2^23 has a last bit of 1: the sum rounds half to even */
}

static inline uint16_t as_u16(float x) {
    union { float f; uint32_t u; } bits = { 8388608.0f + (x < 0.0f ? 0.0f : x > 65535.0f ? 65535.0f : x) };
    return (uint16_t)bits.u;
}

static inline float as_f32(float x) { return x; }

/* out[j][i] = sum over t of weights[j][t] * in[index[j][t] * step + i], for i < n. */
#define ROWS(NAME, IN, OUT, CONVERT)                                                                       \
    static inline __attribute__((always_inline)) void NAME##_some(                                         \
        const IN *in, ptrdiff_t step, const int32_t *index, const float *weights, int taps, OUT *out, ptrdiff_t count) { \
        float sum[LANES];                                                                                  \
        for (ptrdiff_t i = 0; i < count; i++) sum[i] = 0.0f;                                               \
        for (int t = 0; t < taps; t++) {                                                                   \
            const float weight = weights[t];                                                               \
            const IN *row = in + index[t] * step;                                                          \
            for (ptrdiff_t i = 0; i < count; i++) sum[i] += weight * (float)row[i];                        \
        }                                                                                                  \
        for (ptrdiff_t i = 0; i < count; i++) out[i] = CONVERT(sum[i]);                                    \
    }                                                                                                      \
    EXPORT void NAME(const IN *in, ptrdiff_t step, ptrdiff_t n, const int32_t *index, const float *weights, \
                     int taps, ptrdiff_t outputs, OUT *out, ptrdiff_t out_step) {                          \
        for (ptrdiff_t first = 0; first < n; first += BLOCK) {                                             \
            const ptrdiff_t last = first + BLOCK < n ? first + BLOCK : n;                                  \
            for (ptrdiff_t j = 0; j < outputs; j++) {                                                      \
                const int32_t *where = index + j * taps;                                                   \
                const float *weight = weights + j * taps;                                                  \
                ptrdiff_t i = first;                                                                       \
                for (; i + LANES <= last; i += LANES)                                                      \
                    NAME##_some(in + i, step, where, weight, taps, out + j * out_step + i, LANES);         \
                if (i < last) NAME##_some(in + i, step, where, weight, taps, out + j * out_step + i, last - i); \
            }                                                                                              \
        }                                                                                                  \
    }

ROWS(rows_u8_f32, uint8_t, float, as_f32)
ROWS(rows_u16_f32, uint16_t, float, as_f32)
ROWS(rows_f32_f32, float, float, as_f32)
ROWS(rows_f32_u8, float, uint8_t, as_u8)
ROWS(rows_f32_u16, float, uint16_t, as_u16)

/* in (rows, columns) to out (columns, rows). */
EXPORT void transpose_f32(const float *in, ptrdiff_t in_step, ptrdiff_t rows, ptrdiff_t columns, float *out,
                          ptrdiff_t out_step) {
    enum { TILE = 8 };
    ptrdiff_t column = 0;
    for (; column + TILE <= columns; column += TILE) {
        ptrdiff_t row = 0;
        for (; row + TILE <= rows; row += TILE) {
            float tile[TILE][TILE];
            for (int r = 0; r < TILE; r++)
                for (int c = 0; c < TILE; c++) tile[c][r] = in[(row + r) * in_step + column + c];
            for (int c = 0; c < TILE; c++)
                for (int r = 0; r < TILE; r++) out[(column + c) * out_step + row + r] = tile[c][r];
        }
        for (; row < rows; row++)
            for (int c = 0; c < TILE; c++) out[(column + c) * out_step + row] = in[row * in_step + column + c];
    }
    for (; column < columns; column++)
        for (ptrdiff_t row = 0; row < rows; row++) out[column * out_step + row] = in[row * in_step + column];
}
