"""Damage: pure functions from a random generator, a file and another file to a file that is wrong somewhere.

The same seed and number always give the same file.
"""

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from random import Random

from structures import GIF, JPEG, PNG, RIFF, Part, directories, taken_apart

Mutator = Callable[[Random, bytes, bytes], bytes]

TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
ODD_NUMBERS = (0, 1, 2, 3, 7, 8, 16, 127, 128, 255, 256, 257, 4095, 32767, 32768, 65535, 65536, 1 << 20, (1 << 24) - 1)
HUGE_NUMBERS = (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 0x3FFFFFFF, 0x40000000)
SMALLEST, LARGEST_GARBAGE, MOST_BITS = 2, 300, 20


def damaged(seed: int, number: int, files: dict[str, bytes]) -> tuple[str, bytes]:
    """One file, and the story of how it came to be."""
    random = Random(f"{seed}:{number}")
    names = sorted(files)
    name = random.choice(names)
    data, story = files[name], name
    for _ in range(random.choice((1, 1, 1, 2, 2, 3))):
        kinds = [*ANY, *(of for fits, of in OF_FORMAT if fits(data) for _ in range(4))]
        mutate = random.choice(kinds)
        other = random.choice([*alike(name, names), random.choice(names)])
        data = mutate(random, data, files[other])
        story += f" > {mutate.__name__}" + (f"({other})" if mutate in WITH_OTHER else "")
    return story, data


def alike(name: str, names: list[str]) -> list[str]:
    """Files of the same format."""
    ending = name.rpartition(".")[2]
    return [other for other in names if other.endswith(f".{ending}")]


def odd_number(random: Random, bits: int) -> int:
    """A number that sizes, offsets and counts stumble over."""
    chosen = random.choice((*ODD_NUMBERS, *HUGE_NUMBERS, random.getrandbits(bits), (1 << bits) - 1))
    return chosen & ((1 << bits) - 1)


def put(data: bytes, place: int, piece: bytes) -> bytes:
    return data[:place] + piece + data[place + len(piece) :]


# Any file


def flip_bits(random: Random, data: bytes, _: bytes) -> bytes:
    changed = bytearray(data)
    for _index in range(random.randint(1, MOST_BITS) if data else 0):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def flip_bits_of_the_head(random: Random, data: bytes, other: bytes) -> bytes:
    return flip_bits(random, data[:200], other) + data[200:]


def write_a_number(random: Random, data: bytes, _: bytes) -> bytes:
    bits = random.choice((8, 16, 32, 64))
    piece = odd_number(random, bits).to_bytes(bits // 8, random.choice(("little", "big")))
    return put(data, random.randrange(max(1, min(len(data), random.choice((64, 400, len(data) or 1))))), piece)


def truncate(random: Random, data: bytes, _: bytes) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def splice(random: Random, data: bytes, other: bytes) -> bytes:
    """The beginning of one file and the end of another."""
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other) + 1) :]


def insert_garbage(random: Random, data: bytes, _: bytes) -> bytes:
    place = random.randrange(len(data) + 1)
    return data[:place] + random.randbytes(random.randint(1, LARGEST_GARBAGE)) + data[place:]


def _span(random: Random, data: bytes) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice((1, 4, 50, 500, len(data))))


def remove_bytes(random: Random, data: bytes, _: bytes) -> bytes:
    start, end = _span(random, data)
    return data[:start] + data[end:]


def repeat_bytes(random: Random, data: bytes, _: bytes) -> bytes:
    start, end = _span(random, data)
    return data[:end] + data[start:end] * random.randint(1, 3) + data[end:]


def fill_bytes(random: Random, data: bytes, _: bytes) -> bytes:
    start, end = _span(random, data)
    return data[:start] + bytes([random.choice((0, 255, random.randrange(256)))]) * (end - start) + data[end:]


def append(random: Random, data: bytes, other: bytes) -> bytes:
    return data + (other if random.random() < 0.5 else random.randbytes(random.randint(1, LARGEST_GARBAGE)))


# Files of parts: segments of a JPEG, chunks of a PNG or a WebP, blocks of a GIF, boxes of an AVIF


def has_parts(data: bytes) -> bool:
    found = taken_apart(data)
    return found is not None and len(found.parts) >= SMALLEST


def shuffle_parts(random: Random, data: bytes, other: bytes) -> bytes:
    """Remove, repeat, swap or take over parts."""
    found = taken_apart(data)
    parts = list(found.parts)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(parts))
        match random.choice(("remove", "repeat", "many", "swap", "take")):
            case "remove" if len(parts) > SMALLEST:
                del parts[at]
            case "repeat":
                parts.insert(random.randrange(len(parts) + 1), parts[at])
            case "many":
                parts[at:at] = [parts[at]] * random.choice((3, 10, 50))
            case "swap":
                to = random.randrange(len(parts))
                parts[at], parts[to] = parts[to], parts[at]
            case "take" if (from_other := taken_apart(other)) is not None and from_other.parts:
                parts.insert(at, random.choice(from_other.parts))
    return found.but(parts).joined()


def damage_a_part(random: Random, data: bytes, _: bytes) -> bytes:
    """A body is changed, and its checksum is right again."""
    found = taken_apart(data)
    parts = list(found.parts)
    at = random.randrange(len(parts))
    mutate = random.choice((flip_bits, write_a_number, truncate, fill_bytes, insert_garbage))
    parts[at] = replace(parts[at], body=mutate(random, parts[at].body, b""), whole_sum=random.random() < 0.9)
    return found.but(parts).joined()


def lie_about_a_length(random: Random, data: bytes, _: bytes) -> bytes:
    found = taken_apart(data)
    parts = list(found.parts)
    at = random.randrange(len(parts))
    near = len(parts[at].body) + random.choice((-8, -2, -1, 1, 2, 4, 8))
    parts[at] = replace(parts[at], length=random.choice((near, odd_number(random, 32))) & 0xFFFFFFFF)
    return found.but(parts).joined()


# JPEG


def change_the_frame(random: Random, data: bytes, _: bytes) -> bytes:
    """Precision, sides, components, their sampling factors and tables, or the process itself."""
    found = taken_apart(data)
    parts = list(found.parts)
    frames = [at for at, part in enumerate(parts) if part.kind in SOF and len(part.body) >= 6]
    if not frames:
        return data
    at = random.choice(frames)
    body = bytearray(parts[at].body)
    kind = parts[at].kind
    match random.choice(("side", "side", "byte", "byte", "sampling", "process", "again")):
        case "side":
            struct.pack_into(
                ">H", body, random.choice((1, 3)), random.choice((random.randint(0, 300), odd_number(random, 16)))
            )
        case "byte":
            body[random.randrange(len(body))] = random.choice((0, 1, 2, 3, 4, 8, 12, 16, 0x11, 0x22, 0x44, 255))
        case "sampling":
            for place in range(7, len(body), 3):
                body[place] = random.choice((0x11, 0x12, 0x21, 0x22, 0x14, 0x41, 0x44, 0x31, 0x13, 0x01, 0x10))
        case "process":
            kind = random.choice(SOF)
        case "again":
            parts.insert(random.randrange(len(parts)), parts[at])
            return found.but(parts).joined()
    parts[at] = Part(kind, bytes(body))
    return found.but(parts).joined()


SOF = tuple(bytes((0xFF, kind)) for kind in (0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC9, 0xCA, 0xCB))


def damage_the_scan(random: Random, data: bytes, other: bytes) -> bytes:
    found = taken_apart(data)
    parts = list(found.parts)
    scans = [at for at, part in enumerate(parts) if not part.kind and part.body]
    if not scans:
        return data
    at = random.choice(scans)
    mutate = random.choice((flip_bits, remove_bytes, fill_bytes, _restarts, truncate))
    parts[at] = replace(parts[at], body=mutate(random, parts[at].body, other))
    return found.but(parts).joined()


def _restarts(random: Random, body: bytes, _: bytes) -> bytes:
    place = random.randrange(len(body) + 1)
    return body[:place] + bytes((0xFF, 0xD0 + random.randrange(8))) * random.randint(1, 5) + body[place:]


# PNG


def change_the_png_header(random: Random, data: bytes, _: bytes) -> bytes:
    """Sides, bits, colour type, interlacing, with a right checksum."""
    found = taken_apart(data)
    head = bytearray(found.parts[0].body.ljust(13, b"\0"))
    match random.choice(("side", "side", "kind", "kind", "interlace")):
        case "side":
            struct.pack_into(
                ">I", head, random.choice((0, 4)), random.choice((random.randint(0, 300), odd_number(random, 32)))
            )
        case "kind":
            head[8], head[9] = random.choice((1, 2, 4, 8, 16, 3)), random.choice((0, 2, 3, 4, 6, 1))
        case "interlace":
            head[random.choice((10, 11, 12))] = random.choice((0, 1, 2, 255))
    return found.but([Part(b"IHDR", bytes(head)), *found.parts[1:]]).joined()


def repack_pixels(random: Random, data: bytes, _: bytes) -> bytes:
    """Unpacked pixels are changed, cut or made many, and packed again."""
    found = taken_apart(data)
    packed = b"".join(part.body for part in found.parts if part.kind == b"IDAT")
    try:
        pixels = zlib.decompressobj().decompress(packed, 1 << 22)
    except zlib.error:
        return data
    match random.choice(("bits", "cut", "more", "bomb")):
        case "bits":
            pixels = flip_bits(random, pixels, b"")
        case "cut":
            pixels = truncate(random, pixels, b"")
        case "more":
            pixels *= 2
        case "bomb":
            pixels += bytes(1 << 24)
    others = [part for part in found.parts if part.kind != b"IDAT"]
    body = [Part(b"IDAT", piece) for piece in _pieces(random, zlib.compress(pixels))]
    return found.but([*others[:-1], *body, *others[-1:]]).joined()


def _pieces(random: Random, body: bytes) -> list[bytes]:
    each = random.choice((len(body) or 1, 1000, max(1, len(body) // 3)))
    return [body[start : start + each] for start in range(0, len(body), each)]


# TIFF


def is_tiff(data: bytes) -> bool:
    if data[:4] not in TIFFS or len(data) < 16:
        return False
    return any(found.entries for found in directories(data)[2])


def change_a_field(random: Random, data: bytes, _: bytes) -> bytes:
    """Tag, type, count or value of a field of a directory."""
    order, big, found = directories(data)
    field = random.choice([each for one in found for each in one.entries])
    wide = "Q" if big else "I"
    match random.choice(("tag", "type", "count", "value", "value", "value", "place")):
        case "tag":
            piece, place = struct.pack(order + "H", random.choice(TAGS)), field.place
        case "type":
            piece, place = struct.pack(order + "H", random.choice((0, *range(1, 19), 255, 65535))), field.place + 2
        case "count":
            count = random.choice((field.count + 1, field.count * 2, odd_number(random, 64 if big else 32)))
            piece, place = struct.pack(order + wide, count & (2 ** (64 if big else 32) - 1)), field.place + 4
        case "place":
            piece = struct.pack(order + wide, random.choice((0, field.place, len(data) - 1, odd_number(random, 32))))
            place = field.place + (12 if big else 8)
        case _:
            bits = {1: 8, 3: 16, 4: 32, 16: 64}.get(field.kind, 16)
            piece = odd_number(random, bits).to_bytes(bits // 8, "little" if order == "<" else "big")
            place = field.value_place + bits // 8 * random.randrange(max(1, min(field.count, 8)))
    return put(data, place, piece) if place < len(data) else data


TAGS = (
    254,
    256,
    257,
    258,
    259,
    262,
    273,
    274,
    277,
    278,
    279,
    284,
    317,
    320,
    322,
    323,
    324,
    325,
    330,
    338,
    339,
    347,
    530,
)


def tie_directories(random: Random, data: bytes, _: bytes) -> bytes:
    """Directories that follow themselves, one another, or lie nowhere."""
    order, big, found = directories(data)
    one = random.choice(found)
    to = random.choice((*(other.place for other in found), one.place + 2, 8, len(data) - 4, 0xFFFFFFF0))
    return put(data, one.next_place, struct.pack(order + ("Q" if big else "I"), to))


def drop_a_field(random: Random, data: bytes, _: bytes) -> bytes:
    """A field becomes one that nobody knows."""
    order, _big, found = directories(data)
    field = random.choice([each for one in found for each in one.entries])
    return put(data, field.place, struct.pack(order + "H", 60_000))


# Headers of the others


def change_the_screen(random: Random, data: bytes, _: bytes) -> bytes:
    """Sides of a GIF, of its frames, of a WebP's canvas, of a BMP; depth of a BMP."""
    if data[:4] == GIF:
        places = [6, 8, *(found.start() + 1 + 2 * random.randrange(4) for found in re.finditer(b",", data[:5000]))]
        return put(data, random.choice(places), struct.pack("<H", odd_number(random, 16)))
    if data[:4] == RIFF:
        return put(data, random.choice((20, 24, 26, 27, 30)), struct.pack("<I", odd_number(random, 24))[:3])
    return put(data, random.choice((10, 14, 18, 22, 28, 30, 34, 46)), struct.pack("<I", odd_number(random, 32)))


def has_a_screen(data: bytes) -> bool:
    return data[:4] in (GIF, RIFF) or data[:2] == b"BM"


def change_the_words(random: Random, data: bytes, _: bytes) -> bytes:
    """Numbers in the head of a Netpbm."""
    numbers = list(re.finditer(rb"\d+", data[:40]))
    chosen = random.choice(numbers)
    word = random.choice((b"0", b"-1", b"1", b"65536", b"4294967296", b"9" * 30, b"#", b"%d" % odd_number(random, 32)))
    return data[: chosen.start()] + word + data[chosen.end() :]


def is_netpbm(data: bytes) -> bool:
    return data[:1] == b"P" and bool(re.search(rb"\d", data[:40]))


ANY: tuple[Mutator, ...] = (
    *(flip_bits, flip_bits_of_the_head, write_a_number, truncate, splice, insert_garbage, remove_bytes, repeat_bytes),
    *(fill_bytes, append),
)
WITH_OTHER = (splice, append, shuffle_parts)
OF_FORMAT: tuple[tuple[Callable[[bytes], bool], Mutator], ...] = (
    (has_parts, shuffle_parts),
    (has_parts, damage_a_part),
    (has_parts, lie_about_a_length),
    (lambda data: data[:2] == JPEG and has_parts(data), change_the_frame),
    (lambda data: data[:2] == JPEG and has_parts(data), damage_the_scan),
    (lambda data: data[:8] == PNG and has_parts(data), change_the_png_header),
    (lambda data: data[:8] == PNG and has_parts(data), repack_pixels),
    (is_tiff, change_a_field),
    (is_tiff, change_a_field),
    (is_tiff, tie_directories),
    (is_tiff, drop_a_field),
    (has_a_screen, change_the_screen),
    (is_netpbm, change_the_words),
)
