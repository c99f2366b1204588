/* The part of libjpeg's binary interface, version 6.2 on 64-bit Linux, that jpeg.c needs.

   No header of libjpeg is needed to build this, and no library: the one that Pillow's wheel holds is asked for these
   functions by name when it runs. libjpeg compares the sizes of the two large structures with its own before it
   touches them, and refuses others. What is named `skipped` is libjpeg's own. */

#include <stddef.h>
#include <stdint.h>

enum { VERSION = 62, BLOCK_SIDE = 8, GREYSCALE = 1, YCBCR = 3 };

typedef struct {
    void (*error_exit)(void *codec);
    void (*emit_message)(void *codec, int level);
    void (*output_message)(void *codec);
    uint8_t skipped_0[104];
    long warnings;
    uint8_t skipped_1[32];
} Errors;

typedef struct {
    int id, index, across, down; /* `across` and `down` are the sampling factors */
    uint8_t skipped_0[12];
    unsigned blocks_across, blocks_down;
    int block_side;
    unsigned width, height; /* in samples, without padding */
    uint8_t skipped_1[48];
} Component;

typedef struct {
    Errors *errors;
    uint8_t skipped_0[40];
    unsigned width, height;
    int components, colours, out_colours;
    uint8_t skipped_1[24];
    int raw;
    uint8_t skipped_2[40];
    unsigned out_width, out_height;
    uint8_t skipped_3[24];
    unsigned row;
    uint8_t skipped_4[124];
    int bits;
    Component *component;
    uint8_t skipped_5[96];
    int most_across, most_down;
    uint8_t skipped_6[216];
} Decoder;

typedef struct {
    Errors *errors;
    uint8_t skipped_0[40];
    unsigned width, height;
    int in_components, in_colours;
    double gamma;
    int bits, components, colours;
    Component *component;
    uint8_t skipped_1[160];
    int raw;
    uint8_t skipped_2[44];
    unsigned row;
    uint8_t skipped_3[212];
} Encoder;

_Static_assert(sizeof(void *) == 8 && sizeof(Errors) == 168 && sizeof(Component) == 96, "libjpeg's structures");
_Static_assert(offsetof(Errors, warnings) == 128 && offsetof(Component, width) == 40, "libjpeg's fields");
_Static_assert(sizeof(Decoder) == 632 && offsetof(Decoder, width) == 48 && offsetof(Decoder, raw) == 92, "Decoder");
_Static_assert(offsetof(Decoder, out_width) == 136 && offsetof(Decoder, row) == 168, "Decoder");
_Static_assert(offsetof(Decoder, bits) == 296 && offsetof(Decoder, most_across) == 408, "Decoder");
_Static_assert(sizeof(Encoder) == 520 && offsetof(Encoder, bits) == 72 && offsetof(Encoder, component) == 88, "Encoder");
_Static_assert(offsetof(Encoder, raw) == 256 && offsetof(Encoder, row) == 304, "Encoder");

/* In the order of FUNCTIONS in `batchimg_worker.operations.kernels.libjpeg`. */
typedef struct {
    Errors *(*std_error)(Errors *);
    void (*create_decompress)(Decoder *, int version, size_t size);
    void (*mem_src)(Decoder *, const uint8_t *, unsigned long);
    int (*read_header)(Decoder *, int require_image);
    int (*start_decompress)(Decoder *);
    unsigned (*read_raw_data)(Decoder *, uint8_t ***planes, unsigned lines);
    int (*finish_decompress)(Decoder *);
    void (*destroy_decompress)(Decoder *);
    void (*create_compress)(Encoder *, int version, size_t size);
    void (*mem_dest)(Encoder *, uint8_t **, unsigned long *);
    void (*set_defaults)(Encoder *);
    void (*set_quality)(Encoder *, int quality, int baseline);
    void (*start_compress)(Encoder *, int all_tables);
    unsigned (*write_raw_data)(Encoder *, uint8_t ***planes, unsigned lines);
    void (*finish_compress)(Encoder *);
    void (*destroy_compress)(Encoder *);
} Functions;
