/* The filters of PNG (RFC 2083, section 6): for each row the one whose bytes are the smallest numbers in sum. */

#include "kernels.h"

enum { FILTERS = 5, PIECE = 256 };

static inline uint8_t paeth(int a, int b, int c) {
    const int p = a + b - c;
    const int pa = p > a ? p - a : a - p, pb = p > b ? p - b : b - p, pc = p > c ? p - c : c - p;
    const int bc = pb <= pc ? b : c;
    return (uint8_t)(pa <= pb && pa <= pc ? a : bc);
}

/* One filter over the bytes from `first` to `last`; what is left of the image is 0. */
static inline __attribute__((always_inline)) void filter_some(int kind, const uint8_t *row, const uint8_t *above, uint8_t *out,
                                                              ptrdiff_t first, ptrdiff_t last, int pixel) {
    for (ptrdiff_t i = first; i < last; i++) {
        const int a = first ? row[i - pixel] : 0, b = above[i], c = first ? above[i - pixel] : 0;
        const int guess = kind == 1 ? a : kind == 2 ? b : kind == 3 ? (a + b) >> 1 : kind == 4 ? paeth(a, b, c) : 0;
        out[i] = (uint8_t)(row[i] - guess);
    }
}

static void filter_row(int kind, const uint8_t *row, const uint8_t *above, uint8_t *out, ptrdiff_t bytes, int pixel) {
    switch (kind) {
    case 0: memcpy(out, row, bytes); break;
#define FILTER(KIND) case KIND: filter_some(KIND, row, above, out, 0, pixel, pixel); filter_some(KIND, row, above, out, pixel, bytes, pixel); break
    FILTER(1);
    FILTER(2);
    FILTER(3);
    FILTER(4);
    }
}

static uint64_t weight(const uint8_t *bytes, ptrdiff_t count) {
    uint64_t sum = 0;
    for (ptrdiff_t first = 0; first < count; first += PIECE) {
        const ptrdiff_t last = first + PIECE < count ? first + PIECE : count;
        uint32_t some = 0;
        for (ptrdiff_t i = first; i < last; i++) some += bytes[i] < 128 ? bytes[i] : 256 - bytes[i];
        sum += some;
    }
    return sum;
}

/* out holds rows of 1 + bytes values: the filter's number, then the filtered row. `spare` has room for bytes and a row of 0. */
EXPORT void png_filter(const uint8_t *in, ptrdiff_t rows, ptrdiff_t bytes, int pixel, uint8_t *out, uint8_t *spare) {
    memset(spare + bytes, 0, bytes);
    for (ptrdiff_t y = 0; y < rows; y++, in += bytes, out += bytes + 1) {
        const uint8_t *above = y ? in - bytes : spare + bytes;
        uint64_t best = UINT64_MAX;
        for (int kind = 1; kind < FILTERS; kind++) {
            filter_row(kind, in, above, spare, bytes, pixel);
            const uint64_t sum = weight(spare, bytes);
            if (sum >= best) continue;
            best = sum;
            out[0] = (uint8_t)kind;
            memcpy(out + 1, spare, bytes);
        }
    }
}
