/* JPEG to planes and back: luma and chroma as they are stored, without conversion to RGB and without resampling.

   Every function returns 0 where libjpeg reports an error, and where it only warns: then the picture may not be what
   another reader makes of it. */

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"
#include "libjpeg.h"

enum { PLANES = 3, MOST_ROWS = 4 * BLOCK_SIDE };

typedef struct {
    Errors errors; /* first: libjpeg hands over the address of this */
    jmp_buf failed;
    uint8_t *spare;  /* rows with their padding */
    uint8_t *rows[PLANES][MOST_ROWS];
    uint8_t **planes[PLANES];
} Call;

static void leave(void *codec) { longjmp(((Call *)*(Errors **)codec)->failed, 1); }

static void count(void *codec, int level) {
    if (level < 0) (*(Errors **)codec)->warnings++;
}

static void be_silent(void *codec) { (void)codec; }

static Errors *prepare(const Functions *libjpeg, Call *call) {
    call->spare = NULL;
    libjpeg->std_error(&call->errors);
    call->errors.error_exit = leave;
    call->errors.emit_message = count;
    call->errors.output_message = be_silent;
    return &call->errors;
}

static int is_plain(const Decoder *from) {
    if (from->bits != 8 || from->components != (from->colours == GREYSCALE ? 1 : PLANES)) return 0;
    if (from->colours == GREYSCALE) return 1;
    for (int c = 1; c < PLANES; c++)
        if (from->component[c].across != 1 || from->component[c].down != 1) return 0;
    return from->colours == YCBCR && from->component[0].across == from->most_across && from->most_across <= 2 &&
           from->component[0].down == from->most_down && from->most_down <= 2;
}

/* Height, width, number of planes, and how many columns and rows of luma belong to one of chroma. */
EXPORT int jpeg_layout(const Functions *libjpeg, const uint8_t *data, size_t size, int32_t *layout) {
    Call call;
    Decoder from;
    from.errors = prepare(libjpeg, &call);
    if (setjmp(call.failed)) {
        libjpeg->destroy_decompress(&from);
        return 0;
    }
    memset((uint8_t *)&from + sizeof(Errors *), 0, sizeof from - sizeof(Errors *));
    libjpeg->create_decompress(&from, VERSION, sizeof from);
    libjpeg->mem_src(&from, data, size);
    libjpeg->read_header(&from, 1);
    const int plain = is_plain(&from) && call.errors.warnings == 0;
    layout[0] = (int32_t)from.height;
    layout[1] = (int32_t)from.width;
    layout[2] = from.components;
    const int colour = plain && from.components > 1;
    layout[3] = colour ? from.component[0].across : 1;
    layout[4] = colour ? from.component[0].down : 1;
    libjpeg->destroy_decompress(&from);
    return plain;
}

/* Room for the rows of all planes that one call of libjpeg's takes, and for what pads them. */
static int make_room(Call *call, const Component *component, int components) {
    size_t bytes = 0;
    for (int c = 0; c < components; c++)
        bytes += (size_t)component[c].blocks_across * BLOCK_SIDE * component[c].down * BLOCK_SIDE;
    call->spare = malloc(bytes);
    return call->spare != NULL;
}

static unsigned rows_of(const Component *component) { return (unsigned)component->down * BLOCK_SIDE; }

/* Where row `row` of a plane lies: in the caller's array, or in the spare room where libjpeg wants it longer. */
static uint8_t *place(const Component *component, uint8_t *plane, uint8_t *spare, size_t row) {
    const size_t padded = (size_t)component->blocks_across * BLOCK_SIDE;
    if (row < component->height && padded == component->width) return plane + row * padded;
    return spare + row % rows_of(component) * padded;
}

static void point(Call *call, const Component *component, int components, uint8_t *const *planes, size_t group) {
    uint8_t *spare = call->spare;
    for (int c = 0; c < components; c++) {
        const unsigned rows = rows_of(component + c);
        call->planes[c] = call->rows[c];
        for (unsigned r = 0; r < rows; r++) call->rows[c][r] = place(component + c, planes[c], spare, group * rows + r);
        spare += (size_t)rows * component[c].blocks_across * BLOCK_SIDE;
    }
}

static void read_groups(const Functions *libjpeg, Call *call, Decoder *from, uint8_t *const *planes) {
    const unsigned lines = (unsigned)from->most_down * BLOCK_SIDE;
    for (size_t group = 0; from->row < from->out_height; group++) {
        point(call, from->component, from->components, planes, group);
        libjpeg->read_raw_data(from, call->planes, lines);
        for (int c = 0; c < from->components; c++) {
            const Component *component = from->component + c;
            const unsigned rows = rows_of(component);
            for (unsigned r = 0; r < rows && group * rows + r < component->height; r++) {
                uint8_t *to = planes[c] + (group * rows + r) * component->width;
                if (call->rows[c][r] != to) memcpy(to, call->rows[c][r], component->width);
            }
        }
    }
}

/* Fill one array a plane, of the size that the layout gives; sizes that are not whole are rounded up. */
EXPORT int jpeg_read(const Functions *libjpeg, const uint8_t *data, size_t size, uint8_t *const *planes) {
    Call call;
    Decoder from;
    from.errors = prepare(libjpeg, &call);
    if (setjmp(call.failed)) {
        libjpeg->destroy_decompress(&from);
        free(call.spare);
        return 0;
    }
    memset((uint8_t *)&from + sizeof(Errors *), 0, sizeof from - sizeof(Errors *));
    libjpeg->create_decompress(&from, VERSION, sizeof from);
    libjpeg->mem_src(&from, data, size);
    libjpeg->read_header(&from, 1);
    from.raw = 1;
    from.out_colours = from.colours;
    int done = is_plain(&from);
    if (done) {
        libjpeg->start_decompress(&from);
        done = make_room(&call, from.component, from.components);
    }
    if (done) {
        read_groups(libjpeg, &call, &from, planes);
        libjpeg->finish_decompress(&from);
        done = call.errors.warnings == 0;
    }
    libjpeg->destroy_decompress(&from);
    free(call.spare);
    return done;
}

/* A row with its last sample repeated, where libjpeg reads whole blocks. */
static void pad_row(const Component *component, const uint8_t *from, uint8_t *to) {
    const size_t padded = (size_t)component->blocks_across * BLOCK_SIDE;
    memcpy(to, from, component->width);
    memset(to + component->width, from[component->width - 1], padded - component->width);
}

static void write_groups(const Functions *libjpeg, Call *call, Encoder *to, uint8_t *const *planes, unsigned lines) {
    for (size_t group = 0; to->row < to->height; group++) {
        point(call, to->component, to->components, planes, group);
        for (int c = 0; c < to->components; c++) {
            const Component *component = to->component + c;
            const unsigned rows = rows_of(component);
            for (unsigned r = 0; r < rows; r++) {
                const size_t row = group * rows + r, last = component->height - 1;
                uint8_t *source = planes[c] + (row < last ? row : last) * component->width;
                if (call->rows[c][r] != source) pad_row(component, source, call->rows[c][r]);
            }
        }
        libjpeg->write_raw_data(to, call->planes, lines);
    }
}

/* `layout` is that of jpeg_layout. The file lies in `*file`, which is another than before where `*size` bytes were
   too few: then the caller has to release it with jpeg_release. */
EXPORT int jpeg_write(const Functions *libjpeg, uint8_t *const *planes, const int32_t *layout, int quality, uint8_t **file,
                      unsigned long *size) {
    Call call;
    Encoder to;
    to.errors = prepare(libjpeg, &call);
    if (setjmp(call.failed)) {
        libjpeg->destroy_compress(&to);
        free(call.spare);
        return 0;
    }
    memset((uint8_t *)&to + sizeof(Errors *), 0, sizeof to - sizeof(Errors *));
    libjpeg->create_compress(&to, VERSION, sizeof to);
    libjpeg->mem_dest(&to, file, size);
    to.height = (unsigned)layout[0];
    to.width = (unsigned)layout[1];
    to.in_components = layout[2];
    to.in_colours = layout[2] == 1 ? GREYSCALE : YCBCR;
    libjpeg->set_defaults(&to);
    libjpeg->set_quality(&to, quality, 1);
    to.component[0].across = layout[3];
    to.component[0].down = layout[4];
    to.raw = 1;
    libjpeg->start_compress(&to, 1);
    const int done = make_room(&call, to.component, to.components);
    if (done) {
        write_groups(libjpeg, &call, &to, planes, (unsigned)layout[4] * BLOCK_SIDE);
        libjpeg->finish_compress(&to);
    }
    libjpeg->destroy_compress(&to);
    free(call.spare);
    return done;
}

EXPORT void jpeg_release(uint8_t *file) { free(file); }
