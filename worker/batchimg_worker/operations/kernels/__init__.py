"""The array functions behind the operations. Importing one of these modules imports numpy and scikit-image.

What they share: results equal scikit-image's float64 ones, rounded as `skimage.img_as_ubyte` does, but the work is
done in float32 and in tiles, so that beside input and output only `TEMPORARY_BYTES` are held, for any image size.
"""

TEMPORARY_BYTES = 48 * 1024 * 1024
"""What a kernel may hold beside its input and output; tests measure it."""
