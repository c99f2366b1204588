/* Filters of an 8-bit image that look at a pixel's surroundings: medians, erosion and dilation, sobel, unsharp masks.

   Rows are of `channels` values a pixel, each for itself; beyond the border its values are repeated. `padded` rows can
   be read `radius * channels` values beyond both ends. */

#include "kernels.h"
#include <math.h>
#include <stdlib.h>

enum { BLOCK = 2048, LEVELS = 256, PARTS = 16 };

static inline uint8_t least(uint8_t a, uint8_t b) { return a < b ? a : b; }
static inline uint8_t most(uint8_t a, uint8_t b) { return a > b ? a : b; }

static void pad_row(const uint8_t *in, ptrdiff_t count, int channels, ptrdiff_t pad, uint8_t *out) {
    memcpy(out + pad, in, (size_t)count);
    for (ptrdiff_t i = 0; i < pad; i++) {
        out[i] = in[i % channels];
        out[pad + count + i] = in[count - channels + i % channels];
    }
}

static ptrdiff_t within(ptrdiff_t row, ptrdiff_t height) { return row < 0 ? 0 : row < height ? row : height - 1; }

/* The padded rows around one: row r of the image is kept at r % (2 radius + 1). */
typedef struct {
    const uint8_t *in;
    ptrdiff_t height, count, pad, step, next;
    int channels, radius;
    uint8_t *kept;
} Rows;

static int open_rows(Rows *rows, const uint8_t *in, ptrdiff_t height, ptrdiff_t width, int channels, int radius) {
    *rows = (Rows){ .in = in, .height = height, .count = width * channels, .pad = (ptrdiff_t)radius * channels, .channels = channels, .radius = radius };
    rows->step = rows->count + 2 * rows->pad + 64;
    rows->kept = malloc((size_t)(2 * radius + 1) * (size_t)rows->step);
    return rows->kept != NULL;
}

static const uint8_t *row_at(Rows *rows, ptrdiff_t row) {
    const ptrdiff_t at = within(row, rows->height);
    for (; rows->next <= at; rows->next++)
        pad_row(rows->in + rows->next * rows->count, rows->count, rows->channels, rows->pad, rows->kept + rows->next % (2 * rows->radius + 1) * rows->step);
    return rows->kept + at % (2 * rows->radius + 1) * rows->step + rows->pad;
}

#define SORT(a, b)                        \
    do {                                  \
        const uint8_t low_ = least(a, b); \
        b = most(a, b);                   \
        a = low_;                         \
    } while (0)

/* Of nine values: Paeth, Graphics Gems (1990). */
static void median_of_9(const uint8_t *const *rows, ptrdiff_t count, ptrdiff_t channels, uint8_t *out) {
    const uint8_t *a = rows[0], *b = rows[1], *c = rows[2];
    for (ptrdiff_t i = 0; i < count; i++) {
        uint8_t p0 = a[i - channels], p1 = a[i], p2 = a[i + channels];
        uint8_t p3 = b[i - channels], p4 = b[i], p5 = b[i + channels];
        uint8_t p6 = c[i - channels], p7 = c[i], p8 = c[i + channels];
        SORT(p1, p2); SORT(p4, p5); SORT(p7, p8); SORT(p0, p1); SORT(p3, p4); SORT(p6, p7); SORT(p1, p2); SORT(p4, p5); SORT(p7, p8);
        p3 = most(p0, p3); p5 = least(p5, p8); SORT(p4, p7); p6 = most(p3, p6); p4 = most(p1, p4); p2 = least(p2, p5);
        p4 = least(p4, p7); SORT(p4, p2); p4 = most(p6, p4);
        out[i] = least(p4, p2);
    }
}

typedef uint8_t u8x32 __attribute__((vector_size(32)));

#if __has_builtin(__builtin_elementwise_min)
static inline u8x32 least_of_each(u8x32 a, u8x32 b) { return __builtin_elementwise_min(a, b); }
#else /* gcc, for the sanitizers */
static inline u8x32 least_of_each(u8x32 a, u8x32 b) {
    const u8x32 less = (u8x32)(a < b);
    return (a & less) | (b & ~less);
}
#endif

static inline void order(u8x32 *a, u8x32 *b) {
    const u8x32 low = least_of_each(*a, *b);
    *b = *a ^ *b ^ low; /* the other one */
    *a = low;
}

static inline void sort_5(u8x32 *v) {
    order(v, v + 1), order(v + 3, v + 4), order(v + 2, v + 4), order(v + 2, v + 3), order(v + 1, v + 4);
    order(v, v + 3), order(v, v + 2), order(v + 1, v + 3), order(v + 1, v + 2);
}

/* The least of some values to the front, the largest to the end. */
static inline __attribute__((always_inline)) void spread(u8x32 *v, int count) {
    for (int i = 0; i < count / 2; i++) order(v + i, v + count - 1 - i);
    for (int i = 1; i <= (count - 1) / 2; i++) order(v, v + i);
    for (int i = count / 2; i < count - 1; i++) order(v + i, v + count - 1);
}

/* Of 25 values: columns are sorted, then what stands in a row of them; then twelve cannot be the median, and of the
   others the ends are taken away in turn. `sorted` has room for five rows. */
static void median_of_25(const uint8_t *const *rows, ptrdiff_t count, ptrdiff_t channels, uint8_t *sorted, ptrdiff_t step, uint8_t *out) {
    enum { WIDE = sizeof(u8x32), LEFT = 13, HELD = 8 };
    static const uint8_t left[LEFT][2] = { { 0, 3 }, { 0, 4 }, { 1, 2 }, { 1, 3 }, { 1, 4 }, { 2, 1 }, { 2, 2 },
                                           { 2, 3 }, { 3, 0 }, { 3, 1 }, { 3, 2 }, { 4, 0 }, { 4, 1 } };
    for (ptrdiff_t i = 0; i < count + 4 * channels; i += WIDE) {
        u8x32 column[5];
        for (int k = 0; k < 5; k++) memcpy(column + k, rows[k] - 2 * channels + i, WIDE);
        sort_5(column);
        for (int k = 0; k < 5; k++) memcpy(sorted + k * step + i, column + k, WIDE);
    }
    for (ptrdiff_t i = 0; i < count; i += WIDE) {
        u8x32 v[5][5], few[HELD];
        for (int k = 0; k < 5; k++) {
            for (int j = 0; j < 5; j++) memcpy(&v[k][j], sorted + k * step + i + j * channels, WIDE);
            sort_5(v[k]);
        }
        for (int k = 0; k < HELD; k++) few[k] = v[left[k][0]][left[k][1]];
        for (int k = HELD; k <= LEFT; k++) {
            spread(few, HELD - (k - HELD));
            if (k < LEFT) few[0] = v[left[k][0]][left[k][1]];
        }
        memcpy(out + i, few + 1, (size_t)(count - i < WIDE ? count - i : WIDE));
    }
}

/* Of more: counts of the columns slide down, those of the square slide along (Perreault and Hebert, 2007). */
typedef struct {
    uint16_t coarse[PARTS], fine[LEVELS];
} Counts;

static inline void slide(Counts *counts, const Counts *added, const Counts *taken) {
    for (int i = 0; i < PARTS; i++) counts->coarse[i] = (uint16_t)(counts->coarse[i] + added->coarse[i] - taken->coarse[i]);
    for (int i = 0; i < LEVELS; i++) counts->fine[i] = (uint16_t)(counts->fine[i] + added->fine[i] - taken->fine[i]);
}

static inline uint8_t ranked(const Counts *counts, int rank) {
    int part = 0, sum = 0;
    while (sum + counts->coarse[part] <= rank) sum += counts->coarse[part++];
    int level = part * PARTS;
    while (sum + counts->fine[level] <= rank) sum += counts->fine[level++];
    return (uint8_t)level;
}

static inline void count(Counts *counts, uint8_t level, int by) {
    counts->coarse[level / PARTS] = (uint16_t)(counts->coarse[level / PARTS] + by);
    counts->fine[level] = (uint16_t)(counts->fine[level] + by);
}

static int median_by_counts(const uint8_t *in, ptrdiff_t height, ptrdiff_t width, int channels, int radius, uint8_t *out) {
    static const Counts none;
    Counts *columns = malloc(sizeof(Counts) * (size_t)width);
    if (columns == NULL) return 0;
    for (int channel = 0; channel < channels; channel++) {
        const uint8_t *plane = in + channel;
        memset(columns, 0, sizeof(Counts) * (size_t)width);
        for (ptrdiff_t x = 0; x < width; x++)
            for (ptrdiff_t y = -radius - 1; y < radius; y++) count(&columns[x], plane[(within(y, height) * width + x) * channels], 1);
        for (ptrdiff_t y = 0; y < height; y++) {
            const uint8_t *gone = plane + within(y - radius - 1, height) * width * channels;
            const uint8_t *come = plane + within(y + radius, height) * width * channels;
            for (ptrdiff_t x = 0; x < width; x++) {
                count(&columns[x], gone[x * channels], -1);
                count(&columns[x], come[x * channels], 1);
            }
            Counts square = none;
            for (ptrdiff_t x = -radius - 1; x < radius; x++) slide(&square, &columns[within(x, width)], &none);
            for (ptrdiff_t x = 0; x < width; x++) {
                slide(&square, &columns[within(x + radius, width)], &columns[within(x - radius - 1, width)]);
                out[(y * width + x) * channels + channel] = ranked(&square, (2 * radius + 1) * (2 * radius + 1) / 2);
            }
        }
    }
    free(columns);
    return 1;
}

/* Of a square of 2 radius + 1 pixels. Returns 0 where there is no memory. */
EXPORT int median_u8(const uint8_t *in, ptrdiff_t height, ptrdiff_t width, int channels, int radius, uint8_t *out) {
    enum { SORTED = 5 };
    if (radius > 2) return median_by_counts(in, height, width, channels, radius, out);
    Rows rows;
    if (!open_rows(&rows, in, height, width, channels, radius)) return 0;
    uint8_t *sorted = malloc((size_t)(SORTED * rows.step));
    for (ptrdiff_t row = 0; row < height && sorted != NULL; row++) {
        const uint8_t *around[SORTED];
        for (int k = 2 * radius; k >= 0; k--) around[k] = row_at(&rows, row + k - radius);
        if (radius == 1)
            median_of_9(around, rows.count, channels, out + row * rows.count);
        else
            median_of_25(around, rows.count, channels, sorted, rows.step, out + row * rows.count);
    }
    free(sorted);
    free(rows.kept);
    return sorted != NULL;
}

#define EXTREME(NAME, BETTER)                                                                                              \
    static inline void NAME(const uint8_t *const *rows, const int32_t *half, int radius, ptrdiff_t count, ptrdiff_t channels, uint8_t *out) { \
        for (ptrdiff_t first = 0; first < count; first += BLOCK) {                                                         \
            const ptrdiff_t some = count - first < BLOCK ? count - first : BLOCK;                                          \
            uint8_t *to = out + first;                                                                                     \
            memcpy(to, rows[radius] + first, (size_t)some);                                                                \
            for (int k = 0; k <= 2 * radius; k++)                                                                          \
                for (ptrdiff_t at = -half[k] * channels; at <= half[k] * channels; at += channels) {                       \
                    const uint8_t *from = rows[k] + first + at;                                                            \
                    for (ptrdiff_t i = 0; i < some; i++) to[i] = BETTER(to[i], from[i]);                                   \
                }                                                                                                          \
        }                                                                                                                  \
    }
EXTREME(least_of_rows, least)
EXTREME(most_of_rows, most)

/* The least or the largest value of a footprint, of which row k is 2 half[k] + 1 pixels wide; none where half[k] < 0. */
EXPORT int extreme_u8(const uint8_t *in, ptrdiff_t height, ptrdiff_t width, int channels, int radius, const int32_t *half, int largest,
                      uint8_t *out) {
    Rows rows;
    const uint8_t **around = malloc(sizeof *around * (size_t)(2 * radius + 1));
    if (around == NULL || !open_rows(&rows, in, height, width, channels, radius)) {
        free(around);
        return 0;
    }
    for (ptrdiff_t row = 0; row < height; row++) {
        for (int k = 2 * radius; k >= 0; k--) around[k] = row_at(&rows, row + k - radius);
        (largest ? most_of_rows : least_of_rows)(around, half, radius, rows.count, channels, out + row * rows.count);
    }
    free(rows.kept);
    free(around);
    return 1;
}

/* image + (image - blurred) * amount */
EXPORT void unsharp_u8(const uint8_t *in, const uint8_t *blurred, ptrdiff_t count, float amount, uint8_t *out) {
    for (ptrdiff_t i = 0; i < count; i++) {
        const float level = (float)in[i] + (float)(in[i] - blurred[i]) * amount + 0.5f;
        out[i] = (uint8_t)(level < 0.0f ? 0.0f : level < 255.0f ? level : 255.0f);
    }
}

static void grey_row(const uint8_t *in, ptrdiff_t width, int channels, float *out) {
    if (channels == 3)
        for (ptrdiff_t i = 0; i < width; i++) out[i] = 0.2125f * in[3 * i] + 0.7154f * in[3 * i + 1] + 0.0721f * in[3 * i + 2];
    else if (channels == 4)
        for (ptrdiff_t i = 0; i < width; i++) out[i] = 0.2125f * in[4 * i] + 0.7154f * in[4 * i + 1] + 0.0721f * in[4 * i + 2];
    else
        for (ptrdiff_t i = 0; i < width; i++) out[i] = in[channels * i];
    out[-1] = out[0];
    out[width] = out[width - 1];
}

/* The strength of the luminance's edges: the root of the mean of both squared slopes. */
EXPORT int sobel_u8(const uint8_t *in, ptrdiff_t height, ptrdiff_t width, int channels, uint8_t *out) {
    float *kept = malloc(sizeof *kept * 3 * (size_t)(width + 2));
    if (kept == NULL) return 0;
    ptrdiff_t next = 0;
    for (ptrdiff_t row = 0; row < height; row++) {
        const float *around[3];
        for (; next <= within(row + 1, height); next++)
            grey_row(in + next * width * channels, width, channels, kept + next % 3 * (width + 2) + 1);
        for (int k = 0; k < 3; k++) around[k] = kept + within(row + k - 1, height) % 3 * (width + 2) + 1;
        const float *a = around[0], *b = around[1], *c = around[2];
        for (ptrdiff_t i = 0; i < width; i++) {
            const float down = (c[i - 1] - a[i - 1]) + 2.0f * (c[i] - a[i]) + (c[i + 1] - a[i + 1]);
            const float along = (a[i + 1] - a[i - 1]) + 2.0f * (b[i + 1] - b[i - 1]) + (c[i + 1] - c[i - 1]);
            const float level = sqrtf((down * down + along * along) * (1.0f / 32.0f)) + 0.5f;
            out[row * width + i] = (uint8_t)(level < 255.0f ? level : 255.0f);
        }
    }
    free(kept);
    return 1;
}
