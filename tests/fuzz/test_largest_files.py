"""The largest files that are read take no more time and memory than SECURITY.md says."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.fuzz import bounds

from vireid.errors import VireidError
from vireid.files import documents, torch_files
from vireid.files.torch_files import MOST_INSTRUCTIONS, UnreadableError
from vireid.files.untrusted import MOST_OF_A_CARD
from vireid.models.card import read_exported
from vireid.pictures import MOST_COSTLY_PIXELS, MOST_PIXELS, read_resized
from vireid.recipes import recipe

SECONDS = 30.0


def picture(mode: str, kind: str, pixels: int, **options: Any) -> Callable[[], bytes]:
    """A square picture of one colour, which is small as a file."""

    def made() -> bytes:
        side = int(pixels**0.5)
        content = io.BytesIO()
        if mode in ("I;16", "F"):
            dtype = np.uint16 if mode == "I;16" else np.float32
            drawn = Image.fromarray(np.full((side, side), 300, dtype))
        else:
            drawn = Image.new(mode, (side, side))
        drawn.save(content, kind, **options)
        return content.getvalue()

    return made


@pytest.mark.slow
@pytest.mark.parametrize(
    "made",
    [
        picture("RGB", "PNG", MOST_PIXELS),
        picture("P", "GIF", MOST_PIXELS),
        picture("CMYK", "TIFF", MOST_PIXELS, compression="tiff_lzw"),
        picture("RGB", "JPEG", MOST_PIXELS, progressive=True),
        picture("RGBA", "PNG", MOST_COSTLY_PIXELS),
        picture("I;16", "PNG", MOST_COSTLY_PIXELS),
        picture("F", "TIFF", MOST_COSTLY_PIXELS, compression="tiff_lzw"),
        picture("RGB", "WEBP", MOST_COSTLY_PIXELS),
        picture("RGB", "JPEG2000", MOST_COSTLY_PIXELS),
        picture("RGB", "AVIF", MOST_COSTLY_PIXELS),
    ],
)
def test_the_largest_pictures_take_a_gibibyte_at_most(
    made: Callable[[], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    (tmp_path / "a").write_bytes(made())
    monkeypatch.undo()
    read = []
    bounds.check(lambda _: read.append(read_resized(tmp_path / "a", 288, 144)), b"", SECONDS)
    assert read


# In a process of its own: here every call is checked for the types of its arguments.
READ = """
import sys
from pathlib import Path
from tests.fuzz import bounds
from vireid.files import torch_files
for path in map(Path, sys.argv[1:]):
    bounds.check(lambda _: torch_files.read(path), b"", 30)
"""


@pytest.mark.slow
def test_the_longest_instructions_of_torch_take_half_a_minute_at_most(tmp_path: Path) -> None:
    most, paths = MOST_INSTRUCTIONS - 16, []
    places = b"".join(b"r" + i.to_bytes(4, "little") for i in range(most // 5))
    for name, instructions in (
        ("tables", b"(" + b"}" * most + b"t"),
        ("tuples", b")" + b"\x85" * most),
        ("texts", b"(" + b"X\0\0\0\0" * (most // 5) + b"t"),
        ("memory", b"N" + places),
        ("longer", b"(" + b"}" * 2 * most + b"t"),
    ):
        paths.append(tmp_path / name)
        with zipfile.ZipFile(paths[-1], "w") as archive:
            archive.writestr("a/data.pkl", b"\x80\2" + instructions + b".")
    with pytest.raises(UnreadableError, match=r"data\.pkl is too large"):
        torch_files.read(paths.pop())
    done = subprocess.run([sys.executable, "-c", READ, *paths], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("value", [b"[]", b"{}", b"1", b'""'])
def test_the_largest_cards_take_seconds_at_most(value: bytes, tmp_path: Path) -> None:
    told = {"method": "a", "precision": "int8", "fingerprint": "a", "name": "a", "files": {}}
    sizes = {"format": 1, "height": 1, "width": 1, "embedding_dim": 1}
    begin = json.dumps({**told, **sizes, "settings": {"a": ["x"]}}).encode()
    count = (MOST_OF_A_CARD - len(begin)) // (len(value) + 1)
    content = begin.replace(b'"x"', b",".join([value] * count))
    assert len(content) > 0.99 * MOST_OF_A_CARD
    (tmp_path / "model.json").write_bytes(content)
    names = []
    bounds.check(lambda _: names.append(read_exported(tmp_path).name), b"", SECONDS)
    assert names == ["a"]
    (tmp_path / "model.json").write_bytes(content + b" " * MOST_OF_A_CARD)
    with pytest.raises(VireidError, match=r"model\.json cannot be read \(it has .* bytes, more"):
        read_exported(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        b"a.b%d = 1",
        b"[a.b%d]",
        b"[[a.b%d]]",
        b".".join([b"a"] * 60) + b".b%d = 1",
        b"[" + b".".join([b"a"] * 60) + b".b%d]",
        b"a%d = [1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9]",
    ],
)
def test_the_longest_recipes_take_seconds_at_most(line: bytes, tmp_path: Path) -> None:
    content = b"\n".join(line % i for i in range(documents.MOST_OF_A_TABLE // (len(line) + 5)))
    assert documents.MOST_OF_A_TABLE // 2 < len(content) <= documents.MOST_OF_A_TABLE
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    bounds.check(lambda _: recipe.outline_of(path), b"", SECONDS)
