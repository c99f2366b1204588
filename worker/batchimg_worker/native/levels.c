/* Grey levels of 8-bit images: tables, counts, and equalization by regions.

   `value` is the largest colour of a pixel, as in HSV. */

#include "kernels.h"

enum { LEVELS = 256 };

EXPORT void lookup_u8(const uint8_t *in, ptrdiff_t count, const uint8_t *table, uint8_t *out) {
    for (ptrdiff_t i = 0; i < count; i++) out[i] = table[in[i]];
}

/* Of `channels` values a pixel the first `colours` count. */
EXPORT void strongest_u8(const uint8_t *in, ptrdiff_t pixels, int channels, uint8_t *out) {
    if (channels == 3)
        for (ptrdiff_t i = 0; i < pixels; i++) {
            const uint8_t a = in[3 * i], b = in[3 * i + 1], c = in[3 * i + 2], ab = a > b ? a : b;
            out[i] = ab > c ? ab : c;
        }
    else
        for (ptrdiff_t i = 0; i < pixels; i++) {
            const uint8_t *p = in + 4 * i, ab = p[0] > p[1] ? p[0] : p[1];
            out[i] = ab > p[2] ? ab : p[2];
        }
}

/* How often each level occurs in a rectangle; `step` is from row to row. */
EXPORT void counts_u8(const uint8_t *in, ptrdiff_t step, ptrdiff_t rows, ptrdiff_t columns, int64_t *counts) {
    uint32_t some[4][LEVELS];
    for (ptrdiff_t row = 0; row < rows; row++, in += step) {
        if (row % 1024 == 0) memset(some, 0, sizeof some);
        ptrdiff_t i = 0;
        for (; i + 4 <= columns; i += 4)
            for (int k = 0; k < 4; k++) some[k][in[i + k]]++;
        for (; i < columns; i++) some[0][in[i]]++;
        if (row % 1024 == 1023 || row == rows - 1)
            for (int k = 0; k < 4; k++)
                for (int level = 0; level < LEVELS; level++) counts[level] += some[k][level];
    }
}

/* Every colour times new / old, where `fresh` is the new value of each old one's pixel; black becomes grey. */
EXPORT void revalue_u8(const uint8_t *in, ptrdiff_t pixels, int channels, const uint8_t *value, const float *fresh, uint8_t *out) {
    float part[LEVELS];
    part[0] = 0.0f;
    for (int level = 1; level < LEVELS; level++) part[level] = 1.0f / (float)level;
    const int colours = channels > 2 ? 3 : 1;
    for (ptrdiff_t i = 0; i < pixels; i++) {
        const float ratio = fresh[i] * part[value[i]], grey = value[i] ? 0.5f : fresh[i] + 0.5f;
        for (int k = 0; k < colours; k++) {
            const float level = (float)in[i * channels + k] * ratio + grey;
            out[i * channels + k] = (uint8_t)(level < 255.0f ? level : 255.0f);
        }
        if (channels != colours) out[i * channels + colours] = in[i * channels + colours];
    }
}

/* Each pixel's level by the tables of the four regions around it. `tables` is (down + 2, across + 2, 256); a region is
   `high` by `wide` pixels, and the first begins half a region before the image. */
EXPORT void blend_tables(const uint8_t *in, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t high, ptrdiff_t wide, const float *tables,
                         ptrdiff_t across, float *out) {
    for (ptrdiff_t row = 0; row < rows; row++) {
        const ptrdiff_t y = row + high / 2;
        const float below = (float)(y % high) / (float)high, above = 1.0f - below;
        const float *upper = tables + y / high * across * LEVELS, *lower = upper + across * LEVELS;
        for (ptrdiff_t column = 0; column < columns;) {
            const ptrdiff_t x = column + wide / 2, left = x / wide * LEVELS;
            const ptrdiff_t end = column + wide - x % wide < columns ? column + wide - x % wide : columns;
            const float step = 1.0f / (float)wide;
            float right = (float)(x % wide) * step;
            for (; column < end; column++, right += step) {
                const ptrdiff_t at = left + in[row * columns + column];
                const float first = upper[at] * above + lower[at] * below;
                const float second = upper[at + LEVELS] * above + lower[at + LEVELS] * below;
                out[row * columns + column] = (float)(int)(first + (second - first) * right);
            }
        }
    }
}

/* Cut what is above `limit` off and deal it out, as scikit-image does (Zuiderveld, Graphics Gems IV, 1994). */
EXPORT void clip_counts(int64_t *counts, int bins, int64_t limit) {
    int64_t excess = 0, below = 0;
    for (int i = 0; i < bins; i++)
        if (counts[i] > limit) {
            excess += counts[i] - limit;
            counts[i] = limit;
        }
    const int64_t each = excess / bins, upper = limit - each;
    for (int i = 0; i < bins; i++) {
        const int64_t before = counts[i];
        if (counts[i] < upper) counts[i] += each;
        if (counts[i] >= upper && counts[i] < limit) counts[i] = limit;
        below += counts[i] - before;
    }
    excess -= below;
    while (excess > 0) {
        const int64_t before = excess;
        for (int first = 0; first < bins && excess > 0; first++) {
            int64_t room = 0;
            for (int i = 0; i < bins; i++) room += counts[i] < limit;
            const int64_t step = room / excess > 1 ? room / excess : 1;
            for (int64_t i = first; i < bins; i += step)
                if (counts[i] < limit) {
                    counts[i]++;
                    excess--;
                }
        }
        if (excess == before) break;
    }
}
