"""Ways to damage a file, by chance but repeatably: the same seed damages the same file alike."""

from __future__ import annotations

import bz2
import functools
import gzip
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numcodecs
from strangers import Good, Tree, as_json, unzipped, zipped

EXTREMES = (
    0,
    1,
    2,
    3,
    7,
    255,
    256,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x10000,
    10**6,
    2**30,
    2**31 - 1,
    2**31,
    2**32 - 1,
)
EXTREMES_64 = (*EXTREMES, 2**40, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
OUTSIDE = ("../outside.tif", "../../outside.tif", "/etc/hostname", "..\\outside.tif", "../outside.zarr/0")
"""Names that lead out of the folder; the first is there, beside it."""
VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 3, 16, 1.5, -1e308, 1e-320, 10**12, 2**31, 2**63, 2**64, 10**400),
    *(
        "",
        "0",
        "x" * 5000,
        "é\ud800",
        "<f4",
        "|O",
        ">c16",
        "<M8[s]",
        "zstd",
        "gzip",
        "pickle",
        "lzma",
        "2.5d",
    ),
    *OUTSIDE,
    *(
        [],
        {},
        [[]],
        [1, 1],
        [1, 1, 1],
        [10**6] * 3,
        [10**12] * 3,
        [1] * 70,
        {"id": "pickle"},
        {"a": {"b": None}},
    ),
    *({"id": "lzma"}, {"id": "json2"}, {"id": "shuffle", "elementsize": 0}, {"name": "crc32c"}, float("nan")),
)
METADATA = (".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json", ".json")


def damaged(good: Good, others: list[Good], seed: int) -> Tree:
    """The file after one to a few accidents."""
    dice = random.Random(seed)
    tree = dict(good.tree)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        if len(tree) > 1 and dice.random() < 0.04:
            del tree[dice.choice(sorted(tree))]
            continue
        metadata = [name for name in tree if name.endswith(METADATA)]
        name = dice.choice(sorted(metadata if metadata and dice.random() < 0.7 else tree))
        donor = dice.choice([other for other in others if other.kind == good.kind])
        donated = donor.tree[dice.choice(sorted(donor.tree))]
        try:
            tree[name] = _changed(name, tree[name], donated, dice)
        except (
            RecursionError,
            OverflowError,
            ValueError,
        ):  # what an earlier accident has left is beyond us too
            tree[name] = flip_bits(tree[name], donated, dice)
    return tree


def _changed(name: str, content: bytes, donated: bytes, dice: random.Random) -> bytes:
    if name.endswith(METADATA) and dice.random() < 0.85:
        return json_swap(content, donated, dice)
    if name.endswith(".zip") and dice.random() < 0.8:
        return inside_zip(content, donated, dice)
    if "/0/" in name and dice.random() < 0.1:
        return bomb(dice.randrange(4))
    if name.endswith(".safetensors") and dice.random() < 0.4:
        return _header_swapped(content, dice)
    if name.endswith((".gz", ".bz2")) and dice.random() < 0.7:
        return _inside_packed(name, content, donated, dice)
    ways = [*EVERYWHERE]
    if name.endswith((".tif", ".tiff")):
        ways += [tiff_entry] * 8 + [number_in_text] * 3 + [name_in_text]
    if name.endswith((".mrc", ".rec", ".st", ".map")) or "." not in name:
        ways += [header_word] * 10
    if name.endswith((".dm3", ".dm4", ".emd", ".ser")):
        ways += [header_word] * 5 + [number_in_text]
    if name.endswith(".npy"):
        ways += [number_in_text] * 5
    return dice.choice(ways)(content, donated, dice)


def _inside_packed(name: str, content: bytes, donated: bytes, dice: random.Random) -> bytes:
    """A packed file whose content is damaged, and the packing is not."""
    plain, _, packing = name.rpartition(".")
    try:
        unpacked = gzip.decompress(content) if packing == "gz" else bz2.decompress(content)
    except (OSError, EOFError, ValueError, zlib.error):  # it was damaged before
        return flip_bits(content, donated, dice)
    changed = _changed(plain, unpacked, donated, dice)
    return gzip.compress(changed, mtime=0) if packing == "gz" else bz2.compress(changed)


def _place(length: int, dice: random.Random) -> int:
    """A place below ``length``: in the header as often as anywhere else, and near the end at times."""
    match dice.randrange(5):
        case 0 | 1:
            return dice.randrange(min(length, 1024))
        case 2:
            return length - 1 - dice.randrange(min(length, 512))
        case _:
            return dice.randrange(length)


def flip_bits(content: bytes, donated: bytes, dice: random.Random) -> bytes:
    """Some bits the other way round, mostly near the start."""
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 8, 64))):
        if changed:
            changed[_place(len(changed), dice)] ^= 1 << dice.randrange(8)
    return bytes(changed)


def truncate(content: bytes, donated: bytes, dice: random.Random) -> bytes:
    """The start alone."""
    return content[: _place(len(content) + 1, dice)]


def prolong(content: bytes, donated: bytes, dice: random.Random) -> bytes:
    """Something after the end."""
    return content + dice.choice((dice.randbytes(dice.randrange(1, 2000)), bytes(4096), content))


def splice(content: bytes, donated: bytes, dice: random.Random) -> bytes:
    """A part replaced by a part of another file of the kind."""
    start, length = _place(len(content) + 1, dice), dice.choice((1, 4, 16, 256, 2048))
    source = dice.randrange(max(1, len(donated)))
    cut = dice.choice((0, length))
    return content[:start] + donated[source : source + length] + content[start + cut :]


def integer(content: bytes, donated: bytes, dice: random.Random) -> bytes:
    """An extreme number in place of one that may be there."""
    size = dice.choice((1, 2, 4, 4, 8))
    start = _place(max(1, len(content) - size), dice) // size * size
    value = dice.choice(EXTREMES_64) % 2 ** (8 * size)
    return content[:start] + value.to_bytes(size, dice.choice(("little", "big"))) + content[start + size :]


EVERYWHERE: tuple[Callable[[bytes, bytes, random.Random], bytes], ...] = (
    *(flip_bits, flip_bits, truncate, prolong, splice, splice, integer, integer, integer),
)


@functools.cache
def bomb(codec: int) -> bytes:
    """A few kilobytes that unpack to far more than memory should be taken for."""
    pack = (zlib.compress, gzip.compress, bz2.compress, numcodecs.Zstd().encode)[codec]
    return bytes(pack(bytes(300_000_000)))


def header_word(content: bytes, donated: bytes, dice: random.Random) -> bytes:
    """One of the first 56 words of an MRC header: sizes, mode, grid, extended header, space group."""
    start = 4 * dice.choice((0, 1, 2, 3, 7, 8, 9, 10, 22, 23, 53, 54, dice.randrange(56)))
    value = dice.choice((*EXTREMES, *range(8), 12, 101, 401, 2**32 - 2)) % 2**32
    return content[:start] + value.to_bytes(4, dice.choice(("little", "big"))) + content[start + 4 :]


def tiff_entry(content: bytes, donated: bytes, dice: random.Random) -> bytes:
    """The type, the count or the value of one entry of a directory of a TIFF file."""
    places = list(_entries(content))
    if not places:
        return integer(content, donated, dice)
    order, big, start = dice.choice(places)
    field, size = dice.choice(
        ((0, 2), (2, 2), (4, 8 if big else 4), (12 if big else 8, 8 if big else 4), (12 if big else 8, 2))
    )
    codes = (
        256,
        257,
        258,
        259,
        262,
        273,
        277,
        278,
        279,
        322,
        323,
        324,
        325,
        317,
        339,
        347,
        33628,
        50839,
        51123,
    )
    codecs = (1, 5, 7, 8, 32773, 33003, 34712, 34887, 34925, 50000, 50001, 50002, 52546)
    value = dice.choice((*EXTREMES_64, *codes, *codecs, len(content), len(content) - 8)) % 2 ** (8 * size)
    start += field
    return content[:start] + value.to_bytes(size, order) + content[start + size :]


def _entries(content: bytes) -> list[tuple[Any, bool, int]]:
    """Where the entries of the directories lie, with their byte order and whether it is a BigTIFF."""
    found: list[tuple[Any, bool, int]] = []
    try:
        order = {b"II": "little", b"MM": "big"}[content[:2]]
        mark = "<" if order == "little" else ">"
        big = struct.unpack_from(f"{mark}H", content, 2)[0] == 43
        (offset,) = struct.unpack_from(f"{mark}{'Q' if big else 'I'}", content, 8 if big else 4)
        while offset and len(found) < 200:
            (count,) = struct.unpack_from(f"{mark}{'Q' if big else 'H'}", content, offset)
            first, step = offset + (8 if big else 2), 20 if big else 12
            found += [(order, big, first + n * step) for n in range(min(count, 40))]
            (offset,) = struct.unpack_from(f"{mark}{'Q' if big else 'I'}", content, first + count * step)
    except (KeyError, struct.error):
        pass
    return [place for place in found if place[2] + 20 < len(content)]


def number_in_text(content: bytes, donated: bytes, dice: random.Random) -> bytes:
    """Digits replaced by others, as many: sizes in a description."""
    runs = list(re.finditer(rb"(?<=[=\"(, ])\d{1,6}(?=[\"\n),. ])", content))
    if not runs:
        return flip_bits(content, donated, dice)
    run = dice.choice(runs)
    digits = len(run.group())
    number = dice.choice((b"9" * digits, b"0" * digits, b"%0*d" % (digits, dice.randrange(10**digits))))
    return content[: run.start()] + number + content[run.end() :]


def name_in_text(content: bytes, donated: bytes, dice: random.Random) -> bytes:
    """The file name in an OME description led out of the folder, without moving what follows."""
    match = re.search(rb'FileName="([^"]{14,})"', content)
    if match is None:
        return number_in_text(content, donated, dice)
    name = dice.choice(OUTSIDE[:1] + OUTSIDE[2:4]).encode()[: len(match.group(1))]
    filled = name + b'"' + b" " * (len(match.group(1)) - len(name))
    return content[: match.start(1)] + filled + content[match.end(1) + 1 :]


def json_swap(content: bytes, donated: bytes, dice: random.Random) -> bytes:
    """A value replaced, dropped or added in JSON, or numbers nested beyond reason."""
    tree = as_json(content)
    if tree is None or dice.random() < 0.05:
        return dice.choice((flip_bits, truncate, splice))(content, donated, dice)
    if dice.random() < 0.02:
        return b"[" * 100_000
    places = list(_places(tree))
    if not places:
        return json.dumps(dice.choice(VALUES)).encode()
    holder, key = dice.choice(places)
    match dice.randrange(6):
        case 0:
            del holder[key]
        case 1:
            other, index = dice.choice(places)
            holder[key] = json.loads(json.dumps(other[index]))
        case 2 if isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = dice.choice(
                (holder[key] * -1, holder[key] * 10**9, holder[key] + 1, holder[key] / 3)
            )
        case 3 if isinstance(holder, list):
            holder.insert(key, dice.choice(VALUES))
        case 3:
            holder[dice.choice(("extra", "shape", "path", "filters", "codecs", "storage_transformers"))] = (
                dice.choice(VALUES)
            )
        case _:
            holder[key] = dice.choice(VALUES)
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def _places(tree: Any) -> list[tuple[Any, Any]]:
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree))) if isinstance(tree, list) else []
    return [(tree, key) for key in keys] + [place for key in keys for place in _places(tree[key])]


def inside_zip(content: bytes, donated: bytes, dice: random.Random) -> bytes:
    """A member of a zip file changed, and all of it packed again."""
    try:
        parts = unzipped(content)
    except Exception:  # what an earlier accident has left
        return flip_bits(content, donated, dice)
    name = dice.choice(sorted(parts)) if parts else "model.json"
    part = parts.pop(name, b"")
    match dice.randrange(8):
        case 0:
            parts[dice.choice((*OUTSIDE, "other", name.upper()))] = part
        case 1:
            parts |= {name: part, dice.choice(OUTSIDE): b"beside the target"}
        case 2 if name.endswith(".safetensors"):
            parts[name] = _header_swapped(part, dice)
        case 3 if name.endswith(".safetensors"):
            parts[name] = part[:8] + flip_bits(part[8:], b"", dice)
        case 4:
            parts[name] = dice.choice(
                (bytes(30_000_000), b" " * 30_000_000 + part)
            )  # a bomb, if it is packed
        case _:
            change = json_swap if name.endswith(".json") else dice.choice(EVERYWHERE)
            parts[name] = change(part, b"{}", dice)
    return zipped(
        parts, dice.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    )


def _header_swapped(content: bytes, dice: random.Random) -> bytes:
    """The JSON at the start of a safetensors file changed, its length kept right."""
    length = int.from_bytes(content[:8], "little")
    header = json_swap(content[8 : 8 + length], b"{}", dice)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]
