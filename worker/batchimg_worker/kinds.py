"""Files that hold pictures, or stand for one, and that no reader here reads."""

from __future__ import annotations

from batchimg_worker.errors import DecodeError

RAW = "a camera raw file"
KINDS = (
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    (b"II\xbc", "a JPEG XR image"),
    (b"\xff\xd8\xff\xf7", "a JPEG-LS image"),
    (b"%PDF-", "a PDF document"),
    (b"v/1\x01", "an OpenEXR image"),
    (b"#?RADIANCE", "a Radiance HDR image"),
    (b"\x89HDF\r\n", "an HDF5 file"),
    (b"GRIB", "a GRIB file"),
    (b"BUFR", "a BUFR file"),
    (b"<svg", "an SVG drawing"),
    (b"FUJIFILMCCD-RAW", RAW),
    (b"IIRO", RAW),
    (b"IIRS", RAW),
    (b"MMOR", RAW),
    (b"IIU\0", RAW),
    (b"FOVb", RAW),
)
"""How they begin."""

HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
POSTSCRIPT = (b"%!PS", b"\xc5\xd0\xd3\xc6")
"""EPS is a program; Pillow would give it to Ghostscript, where there is one."""

LFS = b"version https://git-lfs"
XML_BYTES = 1024


def refuse_unreadable(data: bytes) -> None:
    """Raise DecodeError that names the kind, and says what to do."""
    if data[4:8] == b"ftyp" and b"avif" not in data[8:64]:  # some AVIF files call themselves mif1 first
        _refuse_media(data[8:12])
    kind = next((name for beginning, name in KINDS if data.startswith(beginning)), None)
    if data[128:132] == b"DICM":
        kind = "a DICOM file"
    if data.startswith(b"<?xml") and b"<svg" in data[:XML_BYTES]:
        kind = "an SVG drawing"
    if kind is not None:
        raise DecodeError(f"is {kind}, which batchimg does not read", "Convert it to PNG or TIFF first.")
    if data[:4] in POSTSCRIPT:
        raise DecodeError("is a PostScript drawing, which batchimg does not run", "Convert it to PNG or TIFF first.")
    if data.startswith(LFS):
        raise DecodeError("is a pointer of Git LFS, not the image itself", "Fetch the image: git lfs pull.")


def _refuse_media(brand: bytes) -> None:
    if brand in HEIF_BRANDS:
        raise DecodeError("is a HEIC image, which batchimg does not read", "Convert it to JPEG or PNG first.")
    kind = RAW if brand == b"crx " else "a video"
    raise DecodeError(f"is {kind}, which batchimg does not read", "Convert it to PNG or TIFF first.")
