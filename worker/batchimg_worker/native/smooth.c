/* A symmetric filter along both axes of an image of 8 bits, in 16-bit fixed point: values have 7 bits behind the point,
   weights 16. Weight 0 is half of that in the middle; beyond the border its values are repeated. A product loses its
   lower half; what that takes away on average is added to the sum beforehand. */

#include "kernels.h"

enum { LANES = 16, MOST_RADIUS = 64 };

typedef uint16_t u16x16 __attribute__((vector_size(32)));

#if defined(__AVX2__)
static inline u16x16 high_half(u16x16 a, u16x16 b) { return (u16x16)_mm256_mulhi_epu16((__m256i)a, (__m256i)b); }
#else
typedef uint32_t u32x16 __attribute__((vector_size(64)));
static inline u16x16 high_half(u16x16 a, u16x16 b) {
    return __builtin_convertvector((__builtin_convertvector(a, u32x16) * __builtin_convertvector(b, u32x16)) >> 16, u16x16);
}
#endif

static inline uint16_t times(unsigned value, unsigned weight) { return (uint16_t)(value * weight >> 16); }

static inline uint16_t lost(int radius) { return (uint16_t)((radius + 1) / 2); }

static inline u16x16 load_bytes(const uint8_t *from) {
    u8x16 bytes;
    memcpy(&bytes, from, LANES);
    return __builtin_convertvector(bytes, u16x16);
}

static inline u16x16 load(const uint16_t *from) {
    u16x16 values;
    memcpy(&values, from, sizeof values);
    return values;
}

/* Down the columns: `upper[k]` and `lower[k]` are the rows k before and after. */
static void filter_down(const uint8_t *const *upper, const uint8_t *const *lower, ptrdiff_t count, const uint16_t *weights, int radius,
                        uint16_t *out) {
    ptrdiff_t i = 0;
    for (; i + 2 * LANES <= count; i += 2 * LANES) {
        u16x16 a = (u16x16){ 0 } + lost(radius), b = a;
        for (int k = 0; k <= radius; k++) {
            const uint8_t *u = upper[k] + i, *l = lower[k] + i;
            const u16x16 weight = (u16x16){ 0 } + weights[k];
            a += high_half((load_bytes(u) + load_bytes(l)) << 7, weight);
            b += high_half((load_bytes(u + LANES) + load_bytes(l + LANES)) << 7, weight);
        }
        memcpy(out + i, &a, sizeof a);
        memcpy(out + i + LANES, &b, sizeof b);
    }
    for (; i < count; i++) {
        uint16_t sum = lost(radius);
        for (int k = 0; k <= radius; k++) sum += times((unsigned)(upper[k][i] + lower[k][i]) << 7, weights[k]);
        out[i] = sum;
    }
}

/* Along a row, of which `radius * channels` values can be read beyond both ends. */
static void filter_across(const uint16_t *in, ptrdiff_t count, const uint16_t *weights, int radius, int channels, uint8_t *out) {
    ptrdiff_t i = 0;
    for (; i + 2 * LANES <= count; i += 2 * LANES) {
        u16x16 a = (u16x16){ 0 } + lost(radius), b = a;
        for (int k = 0; k <= radius; k++) {
            const uint16_t *left = in + i - k * channels, *right = in + i + k * channels;
            const u16x16 weight = (u16x16){ 0 } + weights[k];
            a += high_half(load(left) + load(right), weight);
            b += high_half(load(left + LANES) + load(right + LANES), weight);
        }
        const u8x16 first = __builtin_convertvector((a + 64) >> 7, u8x16), second = __builtin_convertvector((b + 64) >> 7, u8x16);
        memcpy(out + i, &first, LANES);
        memcpy(out + i + LANES, &second, LANES);
    }
    for (; i < count; i++) {
        uint16_t sum = lost(radius);
        for (int k = 0; k <= radius; k++) sum += times((unsigned)(in[i - k * channels] + in[i + k * channels]), weights[k]);
        out[i] = (uint8_t)((sum + 64) >> 7);
    }
}

/* `line` has room for (width + 2 * across_radius) * channels values. Returns 0 where a radius is too large. */
EXPORT int smooth_u8(const uint8_t *in, ptrdiff_t height, ptrdiff_t width, int channels, const uint16_t *down, int down_radius,
                     const uint16_t *across, int across_radius, uint16_t *line, uint8_t *out) {
    const ptrdiff_t count = width * channels, pad = (ptrdiff_t)across_radius * channels;
    const uint8_t *upper[MOST_RADIUS + 1], *lower[MOST_RADIUS + 1];
    if (down_radius > MOST_RADIUS || across_radius > MOST_RADIUS) return 0;
    for (ptrdiff_t row = 0; row < height; row++) {
        for (int k = 0; k <= down_radius; k++) {
            upper[k] = in + (row < k ? 0 : row - k) * count;
            lower[k] = in + (row + k < height ? row + k : height - 1) * count;
        }
        filter_down(upper, lower, count, down, down_radius, line + pad);
        for (ptrdiff_t i = 0; i < pad; i++) {
            line[i] = line[pad + i % channels];
            line[pad + count + i] = line[pad + count - channels + i % channels];
        }
        filter_across(line + pad, count, across, across_radius, channels, out + row * count);
    }
    return 1;
}
