/* What the planes of a JPEG need beside the kernels for images of one channel. */

#include "kernels.h"

/* Means of `across` columns and `down` rows, each 1 or 2. Halves are rounded down and up in turn, as libjpeg does. */
EXPORT void halve(const uint8_t *in, ptrdiff_t height, ptrdiff_t width, int across, int down, uint8_t *out) {
    const ptrdiff_t rows = (height + down - 1) / down, columns = (width + across - 1) / across, pairs = width / across;
    const int shift = across / 2 + down / 2;
    for (ptrdiff_t row = 0; row < rows; row++) {
        const uint8_t *upper = in + row * down * width, *lower = row * down + down - 1 < height ? upper + (down - 1) * width : upper;
        uint8_t *to = out + row * columns;
        if (across == 1)
            for (ptrdiff_t i = 0; i < columns; i++) to[i] = (uint8_t)((upper[i] + lower[i] + (i & 1)) >> 1);
        else if (down == 1)
            for (ptrdiff_t i = 0; i < pairs; i++) to[i] = (uint8_t)((upper[2 * i] + upper[2 * i + 1] + (i & 1)) >> 1);
        else
            for (ptrdiff_t i = 0; i < pairs; i++)
                to[i] = (uint8_t)((upper[2 * i] + upper[2 * i + 1] + lower[2 * i] + lower[2 * i + 1] + 1 + (i & 1)) >> 2);
        if (pairs < columns) to[pairs] = (uint8_t)((upper[width - 1] * (1 << (shift - 1)) + lower[width - 1] * (1 << (shift - 1)) + (shift > 1)) >> shift);
    }
}

enum { SIDE = 4, COLUMNS = 128 * SIDE, MANY_ROWS = 512, STEP = 3 };

/* Values of 8 bits with 6 more behind the point. */
static inline int32_t beyond(int32_t value) {
    const int32_t over = value - (255 << 6);
    return (value < 0 ? -value : 0) - (over > 0 ? over : 0);
}

static inline __attribute__((always_inline)) void add_row(const uint8_t *luma, ptrdiff_t width, const uint8_t *blue, const uint8_t *red,
                                                          int count, int across, int down, int32_t (*sums)[COLUMNS]) {
    const uint8_t *below = luma + (down - 1) * width;
    for (int i = 0; i < count; i++) {
        const int32_t light = (luma[i * across] + luma[i * across + across - 1] + below[i * across] + below[i * across + across - 1]) << 4;
        const int32_t b = blue[i] - 128, r = red[i] - 128;
        sums[0][i] += beyond(light + ((359 * r) >> 2));
        sums[1][i] += beyond(light - ((88 * b + 183 * r) >> 2));
        sums[2][i] += beyond(light + ((454 * b) >> 2));
    }
}

/* The sum over blocks of SIDE columns of sums of `rows` rows: the square of their mean, times their number. */
static double squares(const int32_t (*sums)[COLUMNS], int count, int rows) {
    double total = 0;
    for (int c = 0; c < 3; c++)
        for (int left = 0; left < count; left += SIDE) {
            const int right = left + SIDE < count ? left + SIDE : count;
            int32_t sum = 0;
            for (int i = left; i < right; i++) sum += sums[c][i];
            total += (double)sum * sum / (rows * (right - left));
        }
    return total / (64 * 64);
}

/* How far the planes' colours lie outside of RGB: the mean over blocks of SIDE x SIDE samples of chroma, of the square
   of the mean by which red, green and blue of the block would be clipped, in grey levels squared. */
EXPORT double clipped(const uint8_t *luma, const uint8_t *blue, const uint8_t *red, ptrdiff_t height, ptrdiff_t width,
                      int across, int down) {
    const ptrdiff_t rows = height / down, columns = width / across, stride = (width + across - 1) / across; /* whole ones */
    const ptrdiff_t step = rows > MANY_ROWS ? STEP : 1; /* of a large image every third row of blocks is enough */
    double total = 0;
    ptrdiff_t seen = 0;
    for (ptrdiff_t left = 0; left < columns; left += COLUMNS) {
        const int count = columns - left < COLUMNS ? (int)(columns - left) : COLUMNS;
        for (ptrdiff_t top = 0; top < rows; top += SIDE * step) {
            const ptrdiff_t bottom = top + SIDE < rows ? top + SIDE : rows;
            int32_t sums[3][COLUMNS] = { { 0 } };
            for (ptrdiff_t row = top; row < bottom; row++) {
                const uint8_t *light = luma + row * down * width + left * across;
                const uint8_t *b = blue + row * stride + left, *r = red + row * stride + left;
                if (across == 2) add_row(light, width, b, r, count, 2, down, sums);
                else add_row(light, width, b, r, count, 1, down, sums);
            }
            total += squares(sums, count, (int)(bottom - top));
            seen += (bottom - top) * count;
        }
    }
    return seen ? total / 3 / (double)seen : 0;
}
