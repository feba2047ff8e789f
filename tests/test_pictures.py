import os
import pickle
import shutil
import socket as socketlib
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.permissions import as_nobody

from vireid import pictures
from vireid.pictures import (
    PictureError,
    check_header,
    picture_of,
    pixels_of,
    read_picture,
    read_resized,
    resize,
)
from vireid.records import Box, ImageRecord, Modality


def gradient(height: int = 64, width: int = 32) -> Image.Image:
    """Dark at the top left, bright at the bottom right, reddish."""
    rows = np.linspace(0, 150, height)[:, None] + np.linspace(0, 60, width)[None]
    return Image.fromarray(np.stack([rows + 45, rows, rows / 2], axis=2).astype(np.uint8))


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tiff", "webp"])
def test_an_ordinary_picture_keeps_its_size_and_colours(tmp_path: Path, suffix: str) -> None:
    gradient().save(tmp_path / f"a.{suffix}")
    picture = read_picture(tmp_path / f"a.{suffix}")
    assert (picture.mode, picture.size) == ("RGB", (32, 64))
    error = np.abs(np.asarray(picture, dtype=float) - np.asarray(gradient(), dtype=float))
    assert error.mean() < 4


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_other_kinds_of_pixels_become_rgb(tmp_path: Path, mode: str) -> None:
    name = tmp_path / f"a.{'jpg' if mode in {'CMYK', 'YCbCr'} else 'png'}"
    gradient().convert(mode).save(name)
    picture = read_picture(name)
    assert (picture.mode, picture.size) == ("RGB", (32, 64))
    pixels = np.asarray(picture, dtype=float)
    assert pixels[-8:].mean() > pixels[:8].mean() + 50


def test_transparency_is_laid_over_black(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (32, 64), (255, 255, 255, 0))
    picture.paste((200, 100, 50, 255), (0, 32, 32, 64))
    picture.save(tmp_path / "cut_out.png")
    pixels = np.asarray(read_picture(tmp_path / "cut_out.png"))
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert pixels[-1, 0].tolist() == [200, 100, 50]


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bit_thermal_pictures_are_stretched_over_all_of_8_bit(
    tmp_path: Path, suffix: str
) -> None:
    kelvin = np.linspace(29_500, 30_500, 64)[:, None].repeat(32, axis=1).astype(np.uint16)
    kelvin[0, 0] = 65_535  # a dead pixel
    Image.fromarray(kelvin).save(tmp_path / f"thermal.{suffix}")
    pixels = np.asarray(read_picture(tmp_path / f"thermal.{suffix}"))
    assert pixels[1].mean() < 10
    assert pixels[-1].mean() > 245
    assert (np.diff(pixels[1:, 5, 0].astype(int)) >= 0).all()


def test_float_tiff_with_holes_is_stretched_too(tmp_path: Path) -> None:
    celsius = np.linspace(-5, 38, 64)[:, None].repeat(32, axis=1).astype(np.float32)
    celsius[3, 3] = np.nan
    Image.fromarray(celsius).save(tmp_path / "celsius.tiff")
    pixels = np.asarray(read_picture(tmp_path / "celsius.tiff"))
    assert pixels[3, 3].tolist() == [0, 0, 0]
    assert pixels[-1].mean() > 245


def test_a_thermal_picture_of_one_temperature_is_dark_rather_than_an_error(tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 32), 30_000, np.uint16)).save(tmp_path / "flat.png")
    assert np.asarray(read_picture(tmp_path / "flat.png")).max() == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed(tmp_path: Path, orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = gradient(400, 200)
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.jpg", exif=exif, quality=95)
    pixels = read_resized(tmp_path / "a.jpg", 40, 20).astype(float)
    assert np.abs(pixels - resize(upright, 40, 20)).mean() < 3


def test_broken_exif_does_not_condemn_sound_pixels(tmp_path: Path) -> None:
    gradient().save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff broken")
    with pytest.warns(UserWarning, match="EXIF"):
        assert read_picture(tmp_path / "a.jpg").size == (32, 64)


def test_a_large_jpeg_is_decoded_at_a_fraction_and_looks_the_same(tmp_path: Path) -> None:
    large = gradient(1600, 800)
    large.save(tmp_path / "a.jpg", quality=95)
    assert read_picture(tmp_path / "a.jpg", enough_for=(192, 96)).size == (200, 400)
    fast, slow = read_resized(tmp_path / "a.jpg", 192, 96), resize(large, 192, 96)
    assert np.abs(fast.astype(int) - slow.astype(int)).mean() < 1


@pytest.mark.skipif(
    not (pictures.decode_jpeg and pictures._fitted_fast), reason="there are no wheels here"
)
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("size", [(300, 120), (301, 77), (8, 4)])
def test_plain_jpegs_get_the_same_pixels_without_pillow(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    subsampling: str,
    progressive: bool,
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    path = tmp_path / "a.jpg"
    Image.fromarray(noise).save(path, subsampling=subsampling, progressive=progressive, quality=90)
    with monkeypatch.context() as alone:
        alone.setattr(Image, "open", lambda _: pytest.fail("Pillow is asked"))
        fast = read_resized(path, 288, 144)
    monkeypatch.setattr(pictures, "decode_jpeg", None)
    assert (fast == read_resized(path, 288, 144)).all()


def test_what_is_not_plain_is_left_to_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 120, 3), dtype=np.uint8)
    picture, path = Image.fromarray(noise), tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    monkeypatch.setattr(pictures, "decode_jpeg", lambda _: pytest.fail("decoded in haste"))
    picture.save(path, exif=exif)
    read_resized(path, 288, 144)
    picture.save(path)
    head, scan, rest = path.read_bytes().partition(b"\xff\xda")
    late = struct.pack(">2sH", b"\xff\xe1", 2 + len(exif.tobytes())) + exif.tobytes()
    path.write_bytes(head + late + scan + rest)
    assert read_picture(path).size == (300, 120)  # EXIF behind the size counts too
    read_resized(path, 288, 144)
    for mode in ("CMYK", "L"):
        picture.convert(mode).save(path)
        read_resized(path, 288, 144)
    picture.resize((1200, 3000)).save(path)
    read_resized(path, 288, 144)
    picture.save(path)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(PictureError, match="truncated"):
        read_resized(path, 288, 144)


@pytest.mark.parametrize(("height", "width"), [(288, 144), (96, 48), (301, 77)])
def test_without_the_fast_resizer_pillow_gives_nearly_the_same(
    monkeypatch: pytest.MonkeyPatch, height: int, width: int
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 120, 3), dtype=np.uint8)
    for picture in (Image.fromarray(noise), gradient()):
        fast = resize(picture, height, width).astype(int)
        with monkeypatch.context() as without:
            without.setattr(pictures, "_fitted_fast", None)
            by_pillow = resize(picture, height, width)
        own = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
        assert (by_pillow == own).all()
        assert np.abs(fast - by_pillow).max() <= 2
        assert np.abs(fast - by_pillow).mean() < 0.3


def test_threads_resize_as_one_does() -> None:
    rng = np.random.default_rng(0)
    shapes = [(int(h), int(w), 3) for h, w in rng.integers(20, 200, (64, 2))]
    given = [Image.fromarray(rng.integers(0, 256, s, dtype=np.uint8)) for s in shapes]
    sizes = [(48 + i % 3, 24 + i % 2) for i in range(64)]
    alone = [resize(picture, *size) for picture, size in zip(given, sizes, strict=True)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda picture, size: resize(picture, *size), given, sizes))
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))


def test_resized_pictures_are_writable_uint8_of_the_size_asked_for() -> None:
    pixels = resize(gradient(), 20, 30)
    assert pixels.shape == (20, 30, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    assert pixels.flags.c_contiguous


def truncated(path: Path) -> None:
    gradient(200, 100).save(path)
    path.write_bytes(path.read_bytes()[:900])


def chunk(name: bytes, data: bytes) -> bytes:
    body = name + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def bomb(path: Path) -> None:
    """The header of a PNG of 30,000 x 30,000 pixels; all of it would be 2.7 GB."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(90_001) * 100)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def film(path: Path) -> None:
    """Full of holes, so that it takes no room; it is not to be read into memory."""
    with path.open("wb") as file:
        file.truncate(3 * 2**30)


def socket(path: Path) -> None:
    with socketlib.socket(socketlib.AF_UNIX) as file:
        file.bind(str(path))


def deep_png(height: int, width: int) -> Callable[[Path], None]:
    """A PNG in grey of 16 bits."""

    def write(path: Path) -> None:
        pixels = np.zeros((height, width), np.uint16)
        Image.fromarray(pixels).save(path)

    return write


def many_scans(path: Path) -> None:
    """A progressive JPEG whose last scan comes again and again; each passes over all of it."""
    gradient(800, 400).save(path, progressive=True)
    content = path.read_bytes()
    scan = content[content.rindex(b"\xff\xda") : -2]
    path.write_bytes(content[:-2] + scan * (1000 - content.count(b"\xff\xda")) + content[-2:])


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 100\n%%EndComments\nshowpage\n%%EOF\n"

BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated.jpg": (truncated, "it cannot be decoded .*truncated.*; put a sound copy"),
    "empty.jpg": (Path.touch, "it is empty"),
    "text.jpg": (lambda path: path.write_text("not a picture"), "it is not a picture"),
    "one_pixel.png": (gradient(1, 1).save, "1 rows and 1 columns; .* at least 8 rows"),
    "narrow.png": (gradient(100, 3).save, "100 rows and 3 columns"),
    "bomb.png": (bomb, "too large.*cut out the person"),
    "poster.png": (Image.new("1", (10_000, 9_000)).save, "too large"),
    "film.jpg": (film, "it is too large: more than 512 MiB"),
    "vanished.jpg": (lambda path: None, "it is not there"),
    "folder.png": (Path.mkdir, "it is no regular file but .* or a folder; give the picture"),
    "pipe.jpg": (os.mkfifo, "it is no regular file but a pipe"),
    "socket.jpg": (socket, "it is no regular file but a pipe, a socket"),
    "device.jpg": (lambda path: path.symlink_to("/dev/zero"), "no regular file but .* a device"),
    "postscript.jpg": (lambda path: path.write_bytes(POSTSCRIPT), "not a picture of a kind"),
    "thermal.png": (deep_png(6000, 6000), "6000 columns of I;16 in PNG; .* 34 million"),
    "web.webp": (Image.new("RGB", (6000, 6000)).save, "6000 columns of RGB in WEBP; .* 34 mill"),
    "clear.png": (Image.new("RGBA", (6000, 6000)).save, "6000 columns of RGBA in PNG"),
    "endless.jpg": (many_scans, "it is too large: a JPEG of 1000 scans"),
    "broken.tiff": (lambda path: path.write_bytes(b"II*\0\x08\0\0\0\x01\0"), "it (is not|cannot)"),
}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_is_refused_by_name_with_reason_and_way_out(
    tmp_path: Path, name: str
) -> None:
    make, expected = BAD[name]
    path = tmp_path / name
    make(path)
    with pytest.raises(PictureError, match=expected) as caught:
        read_picture(path)
    assert str(caught.value).startswith(str(path))
    assert caught.value.path == path


def test_no_program_is_run_to_read_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(POSTSCRIPT)
    ghostscript, called = tmp_path / "gs", tmp_path / "called"
    ghostscript.write_text(f"#!/bin/sh\ntouch {called}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert shutil.which("gs") == str(ghostscript)
    with pytest.raises(PictureError):
        read_resized(tmp_path / "a.jpg", 20, 10)
    assert not called.exists()


@pytest.mark.parametrize("kind", ["JPEG", "TGA", "JPEG2000", "DIB", "GIF", "PPM", "AVIF", "QOI"])
def test_the_content_tells_the_kind_and_not_the_suffix(kind: str, tmp_path: Path) -> None:
    gradient().save(tmp_path / "a.jfif", kind)
    assert read_picture(tmp_path / "a.jfif").size == (32, 64)


def test_a_link_to_a_picture_is_a_picture(tmp_path: Path) -> None:
    gradient().save(tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to("a.png")
    assert read_picture(tmp_path / "link.png").size == (32, 64)
    check_header(tmp_path / "link.png")


KELVIN = np.linspace(29_500, 30_500, 64)[:, None].repeat(32, axis=1).astype(np.uint16)


def deep_colours(kind: str, path: Path) -> None:
    """In every channel what a thermal camera would write in one."""
    if kind == "ppm":
        colours = KELVIN[..., None].repeat(3, axis=2).astype(">u2")
        path.write_bytes(b"P6\n32 64\n65535\n" + colours.tobytes())
    elif kind == "jp2":
        content = BytesIO()
        gradient().save(content, "JPEG2000")
        # A file of 16 bits a channel says so here, once for each channel.
        sizes = content.getvalue().index(b"\xff\x4f\xff\x51")
        deep = bytearray(content.getvalue())
        deep[sizes + 42 : sizes + 51 : 3] = b"\x0f\x0f\x0f"
        path.write_bytes(deep)
    else:
        path.write_bytes(png_16({"la": 4, "rgb": 2, "rgba": 6}[kind]))


def png_16(kind: int) -> bytes:
    channels = {4: 2, 2: 3, 6: 4}[kind]
    rows = b"".join(b"\0" + row.astype(">u2").repeat(channels).tobytes() for row in KELVIN)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 64, 16, kind, 0, 0, 0))
    body = header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("kind", ["la", "rgb", "rgba", "ppm", "jp2"])
def test_colours_of_16_bits_are_refused_and_never_cut_to_their_high_byte(
    kind: str, tmp_path: Path
) -> None:
    deep_colours(kind, tmp_path / f"a.{kind}")
    told = r"more than 8 bits in each of several channels.* save it in grey with 16 bits"
    for read in (read_picture, check_header, lambda path: read_resized(path, 20, 10)):
        with pytest.raises(PictureError, match=told):
            read(tmp_path / f"a.{kind}")


def test_a_picture_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    gradient().save(path)
    path.chmod(0)
    with as_nobody(), pytest.raises(PictureError, match=r"it may not be read; .*chmod"):
        read_picture(path)


def test_a_picture_error_survives_the_way_out_of_a_worker_process() -> None:
    error = pickle.loads(pickle.dumps(PictureError("a.jpg", "it is empty")))
    assert str(error) == "a.jpg: it is empty; put a sound copy in its place or leave it out"


def frame(kind: str) -> Image.Image:
    """100 columns and 80 rows as it is looked at."""
    noise = np.random.default_rng(0)
    if kind == "thermal":
        return Image.fromarray(noise.integers(20_000, 40_000, (80, 100), dtype=np.uint16))
    return Image.fromarray(noise.integers(0, 256, (80, 100, 3), dtype=np.uint8))


@pytest.mark.parametrize("kind", ["colour", "thermal", "lying"])
def test_a_box_gives_the_pixels_of_the_cut_out_in_a_file_of_its_own(
    tmp_path: Path, kind: str
) -> None:
    box, upright = Box(30, 5, 61, 72), frame(kind)
    exif = Image.Exif()
    exif[0x0112] = 6 if kind == "lying" else 1
    stored = upright.transpose(Image.Transpose.ROTATE_90) if kind == "lying" else upright
    stored.save(tmp_path / "frame.png", exif=exif)
    upright.crop(box.corners).save(tmp_path / "person.png")
    seen = ImageRecord(tmp_path / "frame.png", Modality.INFRARED, box=box)
    alone = ImageRecord(tmp_path / "person.png", Modality.INFRARED)
    assert (pixels_of(seen, 24, 12) == pixels_of(alone, 24, 12)).all()
    assert (np.asarray(picture_of(seen)) == np.asarray(picture_of(alone))).all()
    small = np.asarray(picture_of(seen, enough_for=(4, 4)))
    assert (small == np.asarray(picture_of(seen))).all()  # no rows are left out of a frame


@pytest.mark.parametrize(
    ("box", "why"),
    [
        (Box(90, 0, 101, 80), r"box 90,0,101,80 reaches beyond the frame of 100 columns and 80"),
        (Box(0, 60, 50, 81), r"reaches beyond .* cut the box at the frame's edge"),
        (Box(10, 10, 40, 17), r"box 10,10,40,17 has 7 rows and 30 columns; give a box of at least"),
        (Box(10, 10, 13, 70), r"has 60 rows and 3 columns"),
    ],
)
def test_a_box_that_shows_nobody_of_the_frame_is_refused(
    tmp_path: Path, box: Box, why: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "frame.png"
    frame("colour").transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    with pytest.raises(PictureError, match=why):
        pixels_of(ImageRecord(path, Modality.VISIBLE, box=box), 24, 12)
    with pytest.raises(PictureError, match=why):
        check_header(path, box)
    check_header(path, Box(0, 0, 100, 80))
