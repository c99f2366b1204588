/* Affine maps with linear interpolation, and mirrored copies. */

#include <math.h>

#include "kernels.h"

enum { CONSTANT, EDGE, SYMMETRIC, REFLECT, WRAP };
enum { TILE_ROWS = 64, TILE_COLUMNS = 64, RUN = 64 };
enum { FILLED = 1, BLENDED = 2 };
#define MARGIN (1.0 / 1024) /* pixels this near to the border take the exact path: fixed point may step over it */

typedef struct {
    ptrdiff_t height, width;
    int channels, mode;
    double fill;
    const double *map; /* x = map[0] * column + map[1] * row + map[2], y = map[3] * ... */
} Plan;

typedef struct {
    ptrdiff_t row, first, last; /* output columns first to last of this row */
    int found; /* FILLED, BLENDED */
} Line;

/* Where numpy.pad takes the pixel at position `at` from; -1 for the fill. */
static ptrdiff_t continued(ptrdiff_t at, ptrdiff_t length, int mode) {
    if (at >= 0 && at < length) return at;
    if (mode == CONSTANT) return -1;
    if (mode == EDGE) return at < 0 ? 0 : length - 1;
    const ptrdiff_t twice = mode == SYMMETRIC;
    ptrdiff_t period = mode == WRAP ? length : 2 * length - 2 + 2 * twice;
    if (period < 1) period = 1;
    at %= period;
    if (at < 0) at += period;
    if (mode == WRAP) return at;
    return at < period - twice - at ? at : period - twice - at;
}

/* The columns of an output row whose x or y, start + slope * column, lies inside of [low, high]. */
static void clip_columns(double slope, double start, double low, double high, Line *line) {
    if (slope == 0.0) {
        if (start < low || start > high) line->last = line->first;
        return;
    }
    double a = (low - start) / slope, b = (high - start) / slope;
    if (slope < 0) { double swap = a; a = b; b = swap; }
    a = ceil(a);
    b = floor(b) + 1;
    if (a > line->first) line->first = a < line->last ? (ptrdiff_t)a : line->last;
    if (b < line->last) line->last = b > line->first ? (ptrdiff_t)b : line->first;
}

/* The part of a line whose four neighbours are all inside, and not in the last two rows: 8 bytes may be read there. */
static Line inner(const Plan *plan, Line line, int rows_spared) {
    const double *m = plan->map;
    clip_columns(m[0], m[1] * line.row + m[2], MARGIN, plan->width - 1 - MARGIN, &line);
    clip_columns(m[3], m[4] * line.row + m[5], MARGIN, plan->height - 1 - rows_spared - MARGIN, &line);
    return line;
}

/* The part of a line that is not all fill. */
static Line touched(const Plan *plan, Line line) {
    const double *m = plan->map;
    if (plan->mode != CONSTANT) return line;
    clip_columns(m[0], m[1] * line.row + m[2], -1 - MARGIN, plan->width + MARGIN, &line);
    clip_columns(m[3], m[4] * line.row + m[5], -1 - MARGIN, plan->height + MARGIN, &line);
    return line;
}

/* The part of a line that lies in the tile that begins at column `left`. */
static Line part(Line line, ptrdiff_t left) {
    const ptrdiff_t right = left + TILE_COLUMNS;
    line.first = line.first < left ? left : line.first > right ? right : line.first;
    line.last = line.last < line.first ? line.first : line.last > right ? right : line.last;
    return line;
}

#define EXACT(NAME, TYPE, ROUND)                                                                           \
    static void NAME##_exact(const TYPE *in, TYPE *out, const Plan *plan, Line *line) {                    \
        const double *m = plan->map;                                                                       \
        const int channels = plan->channels;                                                               \
        for (ptrdiff_t column = line->first; column < line->last; column++) {                              \
            const double x = m[0] * column + m[1] * line->row + m[2], y = m[3] * column + m[4] * line->row + m[5]; \
            const double left = floor(x), top = floor(y), right_part = x - left, low_part = y - top;       \
            ptrdiff_t xs[2], ys[2];                                                                        \
            for (int k = 0; k < 2; k++) {                                                                  \
                xs[k] = continued((ptrdiff_t)left + k, plan->width, plan->mode);                           \
                ys[k] = continued((ptrdiff_t)top + k, plan->height, plan->mode);                           \
            }                                                                                              \
            for (int c = 0; c < channels; c++) {                                                           \
                double v[2][2];                                                                            \
                for (int j = 0; j < 2; j++)                                                                \
                    for (int k = 0; k < 2; k++)                                                            \
                        v[j][k] = ys[j] < 0 || xs[k] < 0 ? plan->fill                                      \
                                                         : in[(ys[j] * plan->width + xs[k]) * channels + c]; \
                const double upper = (1 - right_part) * v[0][0] + right_part * v[0][1];                    \
                const double lower = (1 - right_part) * v[1][0] + right_part * v[1][1];                    \
                const double value = (1 - low_part) * upper + low_part * lower;                            \
                if (plan->mode == CONSTANT && (ys[0] < 0 || ys[1] < 0 || xs[0] < 0 || xs[1] < 0))          \
                    line->found |= value == plan->fill ? FILLED : BLENDED;                                 \
                out[column * channels + c] = ROUND(value);                                                 \
            }                                                                                              \
        }                                                                                                  \
    }                                                                                                      \
    static int NAME##_fill(TYPE *out, const Plan *plan, ptrdiff_t first, ptrdiff_t last) {                 \
        const TYPE fill = ROUND(plan->fill);                                                               \
        for (ptrdiff_t i = first * plan->channels; i < last * plan->channels; i++) out[i] = fill;          \
        return first < last ? FILLED : 0;                                                                  \
    }

#define WHOLE(value) (value) < 0 ? 0 : rint(value)
EXACT(u8, uint8_t, WHOLE)
EXACT(u16, uint16_t, WHOLE)
EXACT(f32, float, (float))

/* Where the pixels of a run come from: `at` counts bytes from the run's first source pixel, x and y are parts of 2^15. */
typedef struct {
    const uint8_t *in;
    int32_t at[RUN];
    int16_t x[RUN + 1], y[RUN + 1]; /* they are read in pairs */
} Places;

static inline __attribute__((always_inline)) void places_of(const uint8_t *in, const Plan *plan, ptrdiff_t row, ptrdiff_t column,
                                                            int channels, Places *places) {
    const double *m = plan->map;
    const double x = m[0] * column + m[1] * row + m[2], y = m[3] * column + m[4] * row + m[5];
    const double left = floor(x), top = floor(y);
    const int32_t x_part = (int32_t)((x - left) * 65536), y_part = (int32_t)((y - top) * 65536);
    const int32_t x_step = (int32_t)(m[0] * 65536 + (m[0] < 0 ? -0.5 : 0.5));
    const int32_t y_step = (int32_t)(m[3] * 65536 + (m[3] < 0 ? -0.5 : 0.5));
    const int32_t stride = (int32_t)plan->width * channels;
    places->in = in + ((ptrdiff_t)top * plan->width + (ptrdiff_t)left) * channels;
    for (int i = 0; i < RUN; i++) {
        const int32_t across = x_part + i * x_step, down = y_part + i * y_step;
        places->at[i] = (down >> 16) * stride + (across >> 16) * channels;
        places->x[i] = (int16_t)((across & 0xffff) >> 1);
        places->y[i] = (int16_t)((down & 0xffff) >> 1);
    }
}

/* Eight values of each of two pixels, or of one pixel twice. */
static inline i16x16 widen(const uint8_t *first, const uint8_t *second) {
    u8x8 a, b;
    memcpy(&a, first, 8);
    memcpy(&b, second, 8);
    return __builtin_convertvector(__builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), i16x16);
}

/* The parts of two pixels, or of one twice. */
static inline i16x16 spread(const int16_t *parts, int pair) {
    i16x2 v = {parts[0], parts[0]};
    if (pair) memcpy(&v, parts, 4);
    return __builtin_shufflevector(v, v, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
}

/* Two pixels of 2, 3 or 4 channels, in the bytes from 0 and from 8: neighbours lie side by side in 8 bytes. */
static inline __attribute__((always_inline)) u8x16 blend(const Places *places, int i, int j, ptrdiff_t stride, int channels) {
    const uint8_t *first = places->in + places->at[i], *second = places->in + places->at[j];
    const i16x16 upper = widen(first, second), lower = widen(first + stride, second + stride);
    const i16x16 left = (upper << 6) + multiply16((lower - upper) << 6, spread(places->y + i, i != j));
    i16x16 right;
    if (channels == 2)
        right = __builtin_shufflevector(left, left, 2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9);
    else if (channels == 3)
        right = __builtin_shufflevector(left, left, 3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10);
    else
        right = __builtin_shufflevector(left, left, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    const i16x16 value = left + multiply16(right - left, spread(places->x + i, i != j));
    return __builtin_convertvector((value + 32) >> 6, u8x16);
}

/* Two pixels side by side, in the first bytes. */
static inline __attribute__((always_inline)) u8x8 together(u8x16 v, int channels) {
    if (channels == 2) return __builtin_shufflevector(v, v, 0, 1, 8, 9, 0, 1, 8, 9);
    if (channels == 3) return __builtin_shufflevector(v, v, 0, 1, 2, 8, 9, 10, 0, 1);
    return __builtin_shufflevector(v, v, 0, 1, 2, 3, 8, 9, 10, 11);
}

static inline __attribute__((always_inline)) void u8_inner(const uint8_t *in, uint8_t *out, const Plan *plan, Line line, int channels) {
    const ptrdiff_t stride = plan->width * channels;
    Places places;
    for (ptrdiff_t first = line.first; first < line.last; first += RUN) {
        const int count = line.last - first < RUN ? (int)(line.last - first) : RUN;
        places_of(in, plan, line.row, first, channels, &places);
        uint8_t *to = out + first * channels;
        int i = 0;
        for (; i + 5 < count; i += 2, to += 2 * channels) { /* 8 bytes: what is too much is written again */
            const u8x8 pair = together(blend(&places, i, i + 1, stride, channels), channels);
            memcpy(to, &pair, 8);
        }
        for (; i < count; i++, to += channels) {
            const u8x16 one = blend(&places, i, i, stride, channels);
            memcpy(to, &one, channels);
        }
    }
}

/* One channel, eight pixels at a time. */
static inline __attribute__((always_inline)) u8x8 blend_grey(const Places *places, int i, ptrdiff_t stride) {
    u16x8 upper, lower;
    i16x8 x, y;
    for (int k = 0; k < 8; k++) {
        const uint8_t *at = places->in + places->at[i + k];
        uint16_t pair;
        memcpy(&pair, at, 2);
        upper[k] = pair;
        memcpy(&pair, at + stride, 2);
        lower[k] = pair;
    }
    memcpy(&x, places->x + i, 16);
    memcpy(&y, places->y + i, 16);
    const i16x8 upper_left = (i16x8)((upper & 255) << 6), lower_left = (i16x8)((lower & 255) << 6);
    const i16x8 upper_right = (i16x8)((upper >> 8) << 6), lower_right = (i16x8)((lower >> 8) << 6);
    const i16x8 left = upper_left + multiply(lower_left - upper_left, y);
    const i16x8 right = upper_right + multiply(lower_right - upper_right, y);
    return __builtin_convertvector((left + multiply(right - left, x) + 32) >> 6, u8x8);
}

static void u8_inner_grey(const uint8_t *in, uint8_t *out, const Plan *plan, Line line) {
    Places places;
    for (ptrdiff_t first = line.first; first < line.last; first += RUN) {
        const int count = line.last - first < RUN ? (int)(line.last - first) : RUN;
        places_of(in, plan, line.row, first, 1, &places);
        for (int i = count; i < RUN; i++) places.at[i] = 0;
        for (int i = 0; i < count; i += 8) {
            const u8x8 bytes = blend_grey(&places, i, plan->width);
            if (i + 8 <= count) memcpy(out + first + i, &bytes, 8);
            else
                for (int k = 0; i + k < count; k++) out[first + i + k] = bytes[k];
        }
    }
}

static void u8_some(const uint8_t *in, uint8_t *out, const Plan *plan, Line line) {
    switch (plan->channels) {
    case 1: u8_inner_grey(in, out, plan, line); break;
    case 2: u8_inner(in, out, plan, line, 2); break;
    case 3: u8_inner(in, out, plan, line, 3); break;
    default: u8_inner(in, out, plan, line, 4);
    }
}

/* The rows of the result from `first` to `last`; `out` holds these alone. */
#define WARP(NAME, TYPE, SPARED)                                                                           \
    EXPORT int warp_##NAME(const TYPE *in, ptrdiff_t height, ptrdiff_t width, int channels, TYPE *out, ptrdiff_t first, \
                    ptrdiff_t last, ptrdiff_t out_width, const double *map, int mode, double fill) {       \
        const Plan plan = { height, width, channels, mode, fill, map };                                    \
        int found = 0;                                                                                     \
        for (ptrdiff_t top = first; top < last; top += TILE_ROWS) {                                        \
            const int rows = last - top < TILE_ROWS ? (int)(last - top) : TILE_ROWS;                       \
            Line wholes[TILE_ROWS], middles[TILE_ROWS];                                                    \
            for (int r = 0; r < rows; r++) {                                                               \
                wholes[r] = touched(&plan, (Line){ top + r, 0, out_width, 0 });                            \
                middles[r] = inner(&plan, wholes[r], SPARED);                                              \
                TYPE *to = out + (top + r - first) * out_width * channels;                                 \
                found |= NAME##_fill(to, &plan, 0, wholes[r].first) | NAME##_fill(to, &plan, wholes[r].last, out_width); \
            }                                                                                              \
            for (ptrdiff_t left = 0; left < out_width; left += TILE_COLUMNS)                               \
                for (int r = 0; r < rows; r++) {                                                           \
                    const Line whole = part(wholes[r], left), middle = part(middles[r], left);             \
                    if (whole.first >= whole.last) continue;                                               \
                    Line before = whole, after = whole;                                                    \
                    before.last = middle.first;                                                            \
                    after.first = middle.last;                                                             \
                    TYPE *to = out + (whole.row - first) * out_width * channels;                           \
                    NAME##_exact(in, to, &plan, &before);                                                  \
                    NAME##_some(in, to, &plan, middle);                                                    \
                    NAME##_exact(in, to, &plan, &after);                                                   \
                    found |= before.found | after.found;                                                   \
                }                                                                                          \
        }                                                                                                  \
        return found;                                                                                      \
    }

#define INNER(NAME, TYPE, ROUND)                                                                           \
    static void NAME##_some(const TYPE *in, TYPE *out, const Plan *plan, Line line) {                      \
        const double *m = plan->map;                                                                       \
        const int channels = plan->channels;                                                               \
        const ptrdiff_t stride = plan->width * channels;                                                   \
        for (ptrdiff_t column = line.first; column < line.last; column++) {                                \
            const double x = m[0] * column + m[1] * line.row + m[2], y = m[3] * column + m[4] * line.row + m[5]; \
            const ptrdiff_t left = (ptrdiff_t)x, top = (ptrdiff_t)y;                                       \
            const float right_part = (float)(x - left), low_part = (float)(y - top);                       \
            const TYPE *at = in + top * stride + left * channels;                                          \
            for (int c = 0; c < channels; c++, at++) {                                                     \
                const float upper = (1 - right_part) * at[0] + right_part * at[channels];                  \
                const float lower = (1 - right_part) * at[stride] + right_part * at[stride + channels];    \
                const float value = (1 - low_part) * upper + low_part * lower;                             \
                out[column * channels + c] = ROUND(value);                                                 \
            }                                                                                              \
        }                                                                                                  \
    }
#define NEAREST(value) (uint16_t)((value) + 0.5f)
INNER(u16, uint16_t, NEAREST)
INNER(f32, float, (float))

WARP(u8, uint8_t, 2)
WARP(u16, uint16_t, 0)
WARP(f32, float, 0)

/* Rows with their pixels in reverse order; `bytes` is the size of a pixel. */
#define MIRROR(BYTES)                                                                                      \
    for (ptrdiff_t row = 0; row < rows; row++) {                                                           \
        const uint8_t *from = in + (row * width + width - 1) * BYTES;                                      \
        uint8_t *to = out + row * width * BYTES;                                                           \
        for (ptrdiff_t x = 0; x < width; x++, from -= BYTES, to += BYTES) memcpy(to, from, BYTES);         \
    }

static void mirror_rgb(const uint8_t *in, uint8_t *out, ptrdiff_t rows, ptrdiff_t width) {
    for (ptrdiff_t row = 0; row < rows; row++) {
        const uint8_t *from = in + row * width * 3;
        uint8_t *to = out + row * width * 3;
        ptrdiff_t x = width; /* pixels left to take, from the end */
        for (; x >= 6; x -= 5, to += 15) { /* 16 bytes: one that is not used, then 5 pixels */
            u8x16 v;
            memcpy(&v, from + (x - 5) * 3 - 1, 16);
            v = __builtin_shufflevector(v, v, 13, 14, 15, 10, 11, 12, 7, 8, 9, 4, 5, 6, 1, 2, 3, 0);
            memcpy(to, &v, 16);
        }
        for (; x > 0; x--, to += 3) memcpy(to, from + (x - 1) * 3, 3);
    }
}

EXPORT void mirror(const uint8_t *in, uint8_t *out, ptrdiff_t rows, ptrdiff_t width, int bytes) {
    switch (bytes) {
    case 1: MIRROR(1) break;
    case 2: MIRROR(2) break;
    case 3: mirror_rgb(in, out, rows, width); break;
    case 4: MIRROR(4) break;
    case 6: MIRROR(6) break;
    case 8: MIRROR(8) break;
    default: MIRROR(bytes)
    }
}
