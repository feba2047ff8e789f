"""Pictures from files: read, checked, upright, in RGB, and brought to the size a model wants.

Training, scoring and searching all go through `read_resized` (or `resize`, for pictures that are
already in memory), so that a figure in a table and a hit in a search come from the same pixels.
`pixels_of` and `picture_of` do it for records: where a frame shows several people, the box of the
record is cut out first, and what follows sees no more than a file of that cut-out would hold.
Without cykooz-resizer, which has no wheels for Linux on ARM, Pillow resizes: a grey level more or
less here and there. With imagecodecs plain JPEGs are decoded past Pillow, to the same pixels.
"""

import errno
import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from io import BufferedReader, BytesIO
from itertools import chain, product
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import ExifTags, Image, ImageChops, ImageCms, ImageOps, UnidentifiedImageError

from vireid.errors import VireidError
from vireid.files.untrusted import NO_FILE, content_of, open_plain
from vireid.records import Box, ImageRecord, Modality
from vireid.types.arrays import Pixels

try:
    from cykooz_resizer import (
        FilterType,
        ImageData,
        PixelType,
        ResizeAlg,
        ResizeOptions,
        Resizer,
    )

    BILINEAR = ResizeOptions(ResizeAlg.convolution(FilterType.bilinear))
except ImportError:
    Resizer = None

decode_jpeg: Callable[[bytes], np.ndarray] | None
try:
    from imagecodecs import jpeg8_decode as decode_jpeg
except ImportError:
    decode_jpeg = None


@runtime_checkable
class TensorLike(Protocol):
    """A tensor of torch, which is not imported for it."""

    def detach(self) -> Any:
        """Return the tensor without its history."""


Picture = Image.Image | Path | str | bytes | np.ndarray | TensorLike
"""A file by its path or its bytes, a PIL image, an array (uint8 of rows, columns and red, green,
blue; or grey of rows and columns, which may have more bits), or such a tensor of torch (3, rows,
columns)."""
Size = tuple[int, int]
"""Columns and rows, as Pillow has it."""

LEAST_HEIGHT, LEAST_WIDTH = 8, 4
"""Smallest height and width of a picture; smaller ones show nobody."""
MOST_PIXELS = 89_478_485
"""Largest number of pixels: 256 MiB in RGB, where Pillow too suspects a decompression bomb."""
MOST_COSTLY_PIXELS = 2**25
"""Largest number of pixels that cost more memory: above 8 bits, transparent, or decoded into
several copies; 8K has as many."""
MOST_BYTES = 2**29
"""Largest size of a file: more than the most pixels take uncompressed."""
MOST_SCANS = 100
"""Largest number of scans of a JPEG; progressive ones have about ten, and each takes work on the
whole picture."""
LARGE = 2**23
"""Pixels from which pictures are decoded one at a time, so that memory is not a matter of cores."""
FORMATS = (
    *("JPEG", "PNG", "TIFF", "BMP", "DIB", "WEBP", "GIF", "PPM", "JPEG2000", "AVIF"),
    *("QOI", "SGI", "PCX", "TGA"),
)
"""Pillow's names of the formats that are read, whatever a file's name is. Formats that make Pillow
run a program (EPS), or that no camera writes, are not among them. TGA, which has no signature, is
tried last. MPO is opened as the JPEG that it begins with."""
COSTLY = ("WEBP", "AVIF", "JPEG2000")
"""Formats whose decoders hold several copies of a picture."""
DEEP_MODES = ("I", "F")
"""Beginnings of Pillow's names of pixels of more than 8 bits: whole numbers and fractions."""
MOST_OF_A_PROFILE = 2**22
"""Bytes of an ICC profile; those of printers have up to two million."""
COLOURS = Image.frombytes("RGB", (216, 1), bytes(chain(*product(range(0, 256, 51), repeat=3))))
"""Colours by which profiles are compared."""
MANY_PIXELS = 1_000_000
"""Number of pixels above which pictures are not copied to be resized."""
FEW_PIXELS = 2**16
"""Number of pixels up to which a plain JPEG is decoded in well under a millisecond."""

JPEG = b"\xff\xd8\xff"
SCANS = b"\xff\xda"
EXIF = b"Exif\0"
JFIF = JPEG + b"\xe0"
FRAMES = {0xFFC0, 0xFFC1, 0xFFC2}
SCAN = 0xFFDA
HARMLESS = {0xFFE0, 0xFFDB, 0xFFC4, 0xFFDD, 0xFFFE}
"""Markers of a JPEG that are skipped: JFIF, tables, restart interval, comment. The first scan ends
the headers."""

ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
"""Last bytes of a whole file, by format."""


class PictureError(VireidError):
    """A picture that cannot be used, with the reason and the way out."""

    def __init__(
        self,
        path: Path | str,
        reason: str,
        way_out: str = "put a sound copy in its place or leave it out",
    ) -> None:
        super().__init__(path, reason, way_out)
        self.path, self.reason, self.way_out = path, reason, way_out

    @property
    def sentence(self) -> str:
        """The path, the reason and the way out."""
        return f"{self.path}: {self.reason}; {self.way_out}"


@dataclass(frozen=True, eq=False)
class PictureQuery:
    """Somebody who is looked for by a picture that lies in no file."""

    picture: Image.Image
    modality: Modality
    identity: int | None = None
    """Identity of the person that it shows, where that is known."""


def pixels_of(record: ImageRecord, height: int, width: int) -> Pixels:
    """Read what a record shows, its box cut out, and bring it to a size.

    Raises:
        PictureError: What `read_picture` raises.
    """
    return read_resized(record.path, height, width, record.box)


def picture_of(record: ImageRecord, enough_for: tuple[int, int] | None = None) -> Image.Image:
    """Read what a record shows, its box cut out.

    Args:
        record: Record of the picture.
        enough_for: See `read_picture`.

    Raises:
        PictureError: What `read_picture` raises.
    """
    return read_picture(record.path, enough_for, record.box)


def size_of(record: ImageRecord) -> tuple[int, int]:
    """Return width and height in pixels of what a record shows, upright; only a header is read.

    Raises:
        PictureError: What `read_picture` raises, as far as it can be seen so.
    """
    if record.box:
        left, top, right, bottom = record.box.corners
        return right - left, bottom - top
    path = record.path
    with _explaining(path), open_plain(path) as file, _open(file, path) as picture:
        width, height = picture.size
        return (height, width) if _orientation(picture) >= 5 else (width, height)


def read_resized(path: Path | str, height: int, width: int, box: Box | None = None) -> Pixels:
    """Read a picture and bring it to a size; large JPEGs are decoded at a fraction of theirs.

    Raises:
        PictureError: What `read_picture` raises.
    """
    path = Path(path)
    return _resized(path, _content(path), height, width, box)


def resized_in(content: bytes, name: str, height: int, width: int) -> Pixels:
    """Bring a picture that came as bytes to a size; see `picture_in` and `read_resized`.

    Raises:
        PictureError: What `read_picture` raises.
    """
    return _resized(*_named_content(content, name), height, width)


def _resized(path: Path, content: bytes, height: int, width: int, box: Box | None = None) -> Pixels:
    if _fitted_fast and not box and (plain := _decoded_as_it_is(content, height, width)):
        return _fitted_fast(*plain, height, width)
    return _fitted(_decoded(path, content, (height, width), box), height, width)


def read_picture(
    path: Path | str, enough_for: tuple[int, int] | None = None, box: Box | None = None
) -> Image.Image:
    """Read any picture that Pillow can open.

    Args:
        path: A file; of several frames in it the first is taken.
        enough_for: Height and width that the picture will be resized to. A JPEG is then decoded at
            1/2, 1/4 or 1/8 of its size where that still leaves twice as many rows and columns,
            which is several times faster.
        box: Part of the picture that is wanted; the frame is then decoded whole.

    Returns:
        The picture as `as_rgb` gives it, decoded; the file is closed.

    Raises:
        PictureError: The file is not there, not allowed to be read, empty, no picture, damaged,
            smaller than 8 x 4 or larger than 89 million pixels (seen in its header: nothing that
            large is decoded); or the box reaches beyond it, or is smaller than 8 x 4 itself.
    """
    path = Path(path)
    return _decoded(path, _content(path), enough_for, box)


def picture_in(content: bytes, name: str, enough_for: tuple[int, int] | None = None) -> Image.Image:
    """Decode a picture that came as bytes, such as an upload; see `read_picture`.

    Args:
        content: Bytes of the file.
        name: Name of the picture in errors; no file of that name is looked at.
        enough_for: Height and width that the picture will be resized to, see `read_picture`.

    Raises:
        PictureError: What `read_picture` raises.
    """
    return _decoded(*_named_content(content, name), enough_for, None)


def _named_content(content: bytes, name: str) -> tuple[Path, bytes]:
    """Return the name of a picture that came as bytes, in place of a path, and these."""
    path = Path(name)
    if not content:
        raise PictureError(name, "it is empty")
    _check_content(content, path)
    return path, content


def in_memory(
    picture: Image.Image | bytes | np.ndarray | TensorLike,
    enough_for: tuple[int, int] | None = None,
    *,
    bgr: bool = False,
) -> Image.Image:
    """Return a picture that lies in no file as Pillow has it.

    Args:
        picture: See `Picture`.
        enough_for: Height and width that the picture will be resized to, see `read_picture`.
        bgr: The channels of an array are blue, green, red, as OpenCV has them.

    Raises:
        PictureError: It is of another shape or type; or what `read_picture` raises for bytes.
    """
    if isinstance(picture, Image.Image):
        return picture
    if isinstance(picture, bytes):
        return picture_in(picture, "picture in memory", enough_for)
    array = picture if isinstance(picture, np.ndarray) else _of_tensor(picture)
    if bgr and array.ndim == 3:
        array = array[:, :, ::-1]
    try:
        return Image.fromarray(np.ascontiguousarray(array))
    except (TypeError, ValueError) as error:
        what = f"an array of {array.dtype} in the shape {array.shape} is no picture"
        way_out = "give uint8 of rows, columns and 3 colours"
        raise PictureError("picture in memory", what, way_out) from error


def _of_tensor(tensor: TensorLike) -> np.ndarray:
    """Return a tensor of channels, rows and columns as an array of rows, columns and channels."""
    array: np.ndarray = tensor.detach().cpu().numpy()
    return np.moveaxis(array, 0, -1) if array.ndim == 3 else array


def _decoded(
    path: Path, content: bytes, enough_for: tuple[int, int] | None, box: Box | None
) -> Image.Image:
    with _explaining(path), _open(BytesIO(content), path) as picture, _turn_of(picture):
        _check_box(picture, path, box)
        if enough_for and not box:
            _decode_fewer_pixels(picture, *enough_for)
        picture.load()
        return as_rgb(picture, box)


def _content(path: Path) -> bytes:
    with _explaining(path):
        content = content_of(path, MOST_BYTES)
    _check_content(content, path)
    return content


def _check_content(content: bytes, path: Path) -> None:
    if content.startswith(JPEG) and content.count(SCANS) > MOST_SCANS:
        raise _too_large(path, f"a JPEG of {content.count(SCANS)} scans")


def _open(file: BytesIO | BufferedReader, path: Path) -> Image.Image:
    """Open a picture whose pixels Pillow can give whole, and which is not too large to be read."""
    picture = Image.open(file, formats=_formats())
    _check_size(picture, path)
    if _is_cut_to_8_bits(picture):
        reason = "it has more than 8 bits in each of several channels, of which Pillow reads 8"
        raise PictureError(path, reason, "save it in grey with 16 bits, or in colour with 8")
    return picture


@cache
def _formats() -> tuple[str, ...]:
    """Return those of the formats that Pillow has been built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextmanager
def _turn_of(picture: Image.Image) -> Iterator[None]:
    """Wait until no other large picture is being decoded; small ones do not wait."""
    with _one_large_at_a_time if picture.width * picture.height > LARGE else nullcontext():
        yield


_one_large_at_a_time = threading.RLock()


def _is_cut_to_8_bits(picture: Image.Image) -> bool:
    """Whether a file has more than 8 bits a channel where Pillow gives 8, which loses the rest.

    Pillow says so in what it tells its decoders: `RGB;16B`, or for PPM the largest value. For
    JPEG 2000 it says nothing, but the file does, behind the sizes that its header begins with.
    """
    if picture.mode.startswith(DEEP_MODES):
        return False
    if picture.format == "JPEG2000":
        return _bits_of_jpeg_2000(picture) > 8
    told = [argument for tile in getattr(picture, "tile", ()) for argument in _arguments(tile)]
    deep_names = (isinstance(each, str) and ";16" in each for each in told)
    return any(deep_names) or (picture.format == "PPM" and any(each > 255 for each in told[1:2]))


def _arguments(tile: Any) -> tuple[Any, ...]:
    return tile[3] if isinstance(tile[3], tuple) else (tile[3],)


def _bits_of_jpeg_2000(picture: Any) -> int:
    file = picture.fp
    place = file.tell()
    file.seek(0)
    begin = file.read(2**20)
    file.seek(place)
    sizes = begin.find(b"\xff\x4f\xff\x51")
    if sizes < 0 or sizes + 42 >= len(begin):
        raise ValueError("its header is damaged")
    return int(begin[sizes + 42] & 0x7F) + 1


def check_header(path: Path, box: Box | None = None) -> None:
    """Look at the beginning and the end of a picture; decode it only if its end is not there.

    Raises:
        PictureError: What `read_picture` raises, as far as it can be seen so.
    """
    with _explaining(path), open_plain(path) as file, _open(file, path) as picture:
        _check_box(picture, path, box)
        if not _ends_well(file, picture.format):
            picture.load()


def as_rgb(picture: Image.Image, box: Box | None = None) -> Image.Image:
    """Turn a picture the way its EXIF says, cut out the box, and give it three channels of 8 bits.

    Grey is repeated, palettes and CMYK are converted, transparency is laid over black. Colours are
    taken for what the picture's ICC profile says, and become sRGB's; a damaged profile is ignored.
    Pictures of more than 8 bits a channel (thermal cameras' PNG and TIFF) are stretched so that
    their 1st percentile becomes 0 and their 99th 255: contrast is kept, absolute temperature is
    not. These percentiles are the box's own, as they would be if its pixels were all there is.
    """
    picture = _upright(picture)
    if box:
        picture = picture.crop(box.corners)
    if picture.mode.startswith(("I", "F")):
        picture = _stretched(picture)
    if picture.has_transparency_data:
        picture = _in_srgb(picture.convert("RGBA"))
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture)
    elif picture.info.get("icc_profile"):
        picture = _in_srgb(picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _in_srgb(picture: Image.Image) -> Image.Image:
    """Return a picture whose colours are sRGB's, if its profile says that they are others."""
    if picture.mode not in ("L", "RGB", "RGBA", "CMYK"):
        picture = picture.convert("RGB")
    conversion = _conversion(picture.info.get("icc_profile") or b"", picture.mode)
    return conversion.apply(picture) if conversion else picture


@lru_cache(16)
def _conversion(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the conversion of a profile's colours to sRGB; None if there is nothing to convert.

    Most profiles are one of the many forms of sRGB's own, which change no colour.
    """
    if not 0 < len(profile) <= MOST_OF_A_PROFILE:
        return None
    try:
        given, srgb = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
        to = "RGBA" if mode == "RGBA" else "RGB"
        conversion = ImageCms.buildTransform(given, srgb, mode, to)
        before = COLOURS.convert(mode)
        after = conversion.apply(before)
    except Exception:  # a damaged profile, one of another kind, or a Pillow without ImageCms
        return None
    changes = ImageChops.difference(after.convert("RGB"), before.convert("RGB")).getextrema()
    return conversion if np.max(changes) > 2 else None


def resize(picture: Image.Image, height: int, width: int) -> Pixels:
    """Bring a picture to a size, whatever its proportions.

    Raises:
        PictureError: It is too small or too large, as for `read_picture`.
    """
    _check_size(picture, "picture in memory")
    return _fitted(as_rgb(picture), height, width)


def _fitted(picture: Image.Image, height: int, width: int) -> Pixels:
    """Return a picture in RGB as an array of this size, by the filter of everything in vireid.

    The filter is bilinear and averages when it reduces. It takes less than half of the time of
    Lanczos, which is most of what packing costs.
    """
    if _fitted_fast and picture.width * picture.height <= MANY_PIXELS:
        return _fitted_fast(picture.tobytes(), picture.size, height, width)
    size, filter_ = (width, height), Image.Resampling.BILINEAR
    return np.array(picture.resize(size, filter_, reducing_gap=3.0))


class _Resizing(threading.local):
    """A thread's resizer; fresh memory for every picture would cost as much time again."""

    def __init__(self) -> None:
        self.resizer = Resizer()
        self.fitted = ImageData(1, 1, PixelType.U8x3)

    def __call__(self, pixels: bytes, size: Size, height: int, width: int) -> Pixels:
        """Resize by Pillow's filter in a third of its time; pixels differ by two of 255 at most.

        Args:
            pixels: Red, green and blue of all pixels, row by row.
            size: Columns and rows that there are.
            height: Rows that are wanted.
            width: Columns.
        """
        if (self.fitted.height, self.fitted.width) != (height, width):
            self.fitted = ImageData(width, height, PixelType.U8x3)
        given = ImageData(*size, PixelType.U8x3, pixels)
        self.resizer.resize(given, self.fitted, BILINEAR)
        fitted = bytearray(self.fitted.get_buffer())
        return np.frombuffer(fitted, np.uint8).reshape(height, width, 3)


_fitted_fast = None if Resizer is None else _Resizing()


def _check_size(picture: Image.Image, path: Path | str) -> None:
    width, height = picture.size
    if height < LEAST_HEIGHT or width < LEAST_WIDTH:
        reason = f"it has {height} rows and {width} columns"
        least = f"at least {LEAST_HEIGHT} rows and {LEAST_WIDTH} columns"
        raise PictureError(path, reason, f"give a picture of {least}, or leave it out")
    transparent = picture.mode.endswith("A")
    costly = transparent or picture.format in COSTLY or picture.mode.startswith(DEEP_MODES)
    most = MOST_COSTLY_PIXELS if costly else MOST_PIXELS
    if height * width > most:
        kind = f" of {picture.mode} in {picture.format}" if costly and picture.format else ""
        raise _too_large(path, f"{height} rows and {width} columns{kind}", most)


def _check_box(picture: Image.Image, path: Path | str, box: Box | None) -> None:
    """Refuse a box that is not all in the picture as it is looked at, or that shows nobody."""
    if not box:
        return
    width, height = picture.size if _orientation(picture) < 5 else picture.size[::-1]
    if box.right > width or box.bottom > height:
        reason = f"its box {box} reaches beyond the frame of {width} columns and {height} rows"
        raise PictureError(path, reason, "cut the box at the frame's edge or leave it out")
    rows, columns = box.bottom - box.top, box.right - box.left
    if rows < LEAST_HEIGHT or columns < LEAST_WIDTH:
        reason = f"its box {box} has {rows} rows and {columns} columns"
        least = f"at least {LEAST_HEIGHT} rows and {LEAST_WIDTH} columns"
        raise PictureError(path, reason, f"give a box of {least}, or leave it out")


def _too_large(path: Path | str, what: str, most: int = MOST_PIXELS) -> PictureError:
    way_out = f"cut out the person, at most {most / 1e6:.0f} million pixels"
    return PictureError(path, f"it is too large: {what}", way_out)


def _decode_fewer_pixels(picture: Image.Image, height: int, width: int) -> None:
    """Let a JPEG be decoded at a fraction; sizes are swapped for pictures on their side."""
    lies = picture.format == "JPEG" and _orientation(picture) >= 5
    height, width = (width, height) if lies else (height, width)
    picture.draft("L" if picture.mode == "L" else "RGB", (2 * width, 2 * height))


def _decoded_as_it_is(content: bytes, height: int, width: int) -> tuple[bytes, Size] | None:
    """Return pixels and size of a plain JPEG that Pillow would decode whole; None for all else.

    Pillow's pixels are the same, but while it reads headers one thread keeps the others waiting.
    """
    size = _plain_size(content)
    if not decode_jpeg or not size or not content.endswith(ENDS["JPEG"]):
        return None
    columns, rows = size
    small = rows < LEAST_HEIGHT or columns < LEAST_WIDTH
    reduced = rows >= 4 * height and columns >= 4 * width
    if small or reduced or rows * columns > MANY_PIXELS:
        return None
    try:
        return decode_jpeg(content).tobytes(), size
    except Exception:  # Pillow shall say what is wrong, or do better
        return None


def is_soon_decoded(content: bytes) -> bool:
    """Whether a picture is a small and plain JPEG, which takes well under a millisecond."""
    size = _plain_size(content)
    return size is not None and size[0] * size[1] <= FEW_PIXELS


def _plain_size(content: bytes) -> Size | None:
    """Return columns and rows of a JPEG of three 8-bit channels without EXIF and profile."""
    size, place = None, 2
    while content.startswith(JFIF) and place + 10 <= len(content):
        marker, length = struct.unpack_from(">HH", content, place)
        if marker == SCAN:
            return size
        if marker in FRAMES:
            bits, rows, columns, channels = struct.unpack_from(">BHHB", content, place + 4)
            size = (columns, rows) if (bits, channels) == (8, 3) else None
        elif marker not in HARMLESS:
            return None
        place += 2 + length
    return None


def _orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation: 1 is upright, from 5 on the picture lies on its side."""
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF says nothing about the pixels, which are sound
        return 1


def _upright(picture: Image.Image) -> Image.Image:
    # Always transposing would copy the many pictures that stand upright.
    return picture if _orientation(picture) == 1 else ImageOps.exif_transpose(picture)


def _stretched(picture: Image.Image) -> Image.Image:
    values = np.array(picture, np.float32)
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("it has no finite values")
    low, high = np.percentile(values if finite.all() else values[finite], (1, 99))
    # In place: the largest pictures that are read take 128 MiB a copy.
    values -= low
    values *= 255 / max(high - low, 1e-12)
    np.nan_to_num(values, copy=False, nan=0.0)
    np.clip(values, 0, 255, out=values)
    return Image.fromarray(np.rint(values, out=values).astype(np.uint8))


def _ends_well(file: BytesIO | BufferedReader, kind: str | None) -> bool:
    """Whether a file ends as its format does, apart from zeros; other formats do not tell."""
    place = file.tell()
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - 64))
    end = file.read().rstrip(b"\0")
    file.seek(place)
    return kind in ENDS and end.endswith(ENDS[kind])


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except PictureError:
        raise
    except Exception as error:  # decoders raise almost anything when a file is damaged
        raise _explained(path, error) from error


def _explained(path: Path, error: Exception) -> PictureError:
    match error:
        case FileNotFoundError():
            return PictureError(path, "it is not there (any more)", "check the path")
        case PermissionError():
            way_out = "allow it to be read (chmod +r) or leave it out"
            return PictureError(path, "it may not be read", way_out)
        case Image.DecompressionBombError() | Image.DecompressionBombWarning():
            return _too_large(path, "perhaps a decompression bomb")
        case OSError(errno=errno.EINVAL, filename=str()):
            return PictureError(path, NO_FILE, "give the picture itself, as a file")
        case OSError(errno=errno.EFBIG, filename=str()):
            return _too_large(path, f"more than {MOST_BYTES // 2**20} MiB")
        case UnidentifiedImageError():
            what = f"is not a picture of a kind that is read ({', '.join(FORMATS)})"
            return PictureError(path, "it is empty" if _is_empty(path) else f"it {what}")
        case _:
            return PictureError(path, f"it cannot be decoded ({error or type(error).__name__})")


def _is_empty(path: Path) -> bool:
    return path.exists() and path.stat().st_size == 0


def taken_at(path: Path) -> datetime | None:
    """Return the time when a picture was taken, as the camera has written into it (EXIF).

    None where it does not say, or says nonsense. A camera that tells its zone gives a time in it.
    """
    try:
        content = _content(path)
        if content.startswith(JPEG) and EXIF not in content:
            return None  # Opening it by Pillow to find that takes as long as decoding a small one.
        with Image.open(BytesIO(content), formats=_formats()) as picture:
            exif = picture.getexif()
            told = {**exif, **exif.get_ifd(ExifTags.IFD.Exif)}
        taken = told.get(ExifTags.Base.DateTimeOriginal) or told.get(ExifTags.Base.DateTime)
        time = datetime.strptime(str(taken).strip("\0 "), "%Y:%m:%d %H:%M:%S")
        zone = str(told.get(ExifTags.Base.OffsetTimeOriginal) or "").strip("\0 ")
        return datetime.fromisoformat(f"{time.isoformat()}{zone}") if zone else time
    except Exception:  # damaged EXIF says nothing about the pixels, which are sound
        return None
