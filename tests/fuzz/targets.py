"""The parsers: each reads bytes as the file of a stranger, in a folder that is prepared once."""

import io
import json
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import save
from tests import stand_ins, sysu_layout
from tests.onnx_model import person, write_model, write_site
from tests.tiny_recipe import tiny_recipe
from tests.toy import HEIGHT, PEOPLE, WIDTH, ThreeStep, ToyData, small, small_settings

from vireid import Embedder, Gallery, Modality, datasets
from vireid.datasets import folder as folders
from vireid.errors import VireidError
from vireid.experiments import sweep
from vireid.files import user_code
from vireid.learning import checkpoints, training_history
from vireid.learning.checkpoints import Position, Sums
from vireid.method import Method
from vireid.methods.agw import AGW
from vireid.models import runs
from vireid.models.opening import SHIPPED
from vireid.pictures import check_header, read_picture, read_resized
from vireid.recipes import recipe
from vireid.records import Box
from vireid.scoring import results, sysu_permutations
from vireid.search import folder_indexing
from vireid.training_data import packs
from vireid.video import boxes, cut_list, detector_cards, pairs, source_labels

Reader = Callable[[bytes], object]


@dataclass(frozen=True)
class Target:
    """A parser."""

    prepare: Callable[[Path], Reader]
    """Returns a reader that works in a folder."""
    seeds: Callable[[Path], Iterator[bytes]]
    """Yields files to begin with, made in a folder; the first is sound."""
    examples: int = 150
    """Number of mutations that the tests try."""


def _file(name: str, read: Callable[[Path], object]) -> Callable[[Path], Reader]:
    """Return what prepares a reader of a single file."""

    def prepare(folder: Path) -> Reader:
        path = folder / name

        def reader(content: bytes) -> object:
            path.write_bytes(content)
            return read(path)

        return reader

    return prepare


# Pictures

MODES = {
    **dict.fromkeys(("JPEG", "BMP", "WEBP", "PPM", "AVIF", "QOI", "SGI", "PCX", "TGA"), "RGB"),
    "PNG": "RGBA",
    "TIFF": "I;16",
    "GIF": "P",
    "JPEG2000": "L",
}
"""Pixels of the sound pictures, by format."""


def _pictures(_folder: Path) -> Iterator[bytes]:
    picture = Image.linear_gradient("L").resize((24, 32))
    for name, mode in MODES.items():
        content = io.BytesIO()
        picture.convert(mode).save(content, name)
        yield content.getvalue()
    for options in (
        {"format": "JPEG", "progressive": True},
        {"format": "JPEG", "exif": _turned()},
        {"format": "TIFF", "compression": "tiff_lzw"},
    ):
        content = io.BytesIO()
        picture.convert("RGB").save(content, **options)
        yield content.getvalue()


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _read_picture(path: Path) -> None:
    errors = []
    for read in (
        lambda: read_resized(path, 32, 16),
        lambda: read_picture(path, box=Box(2, 2, 14, 20)),
        lambda: check_header(path),
    ):
        try:
            read()
        except VireidError as error:
            errors.append(error)
    if errors:
        raise errors[0]


# Boxes of others

FRAMED = {
    "a.csv": b"frame,left,top,right,bottom,score,track\n1,2,3,40,50,0.5,7\n",
    "det.txt": b"1,7,2,3,38,47,0.5,1,1\n",
    "coco.json": b'{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, '
    b'"bbox": [2, 3, 38, 47]}]}',
    "events.json": b'[{"id": "1", "camera": "gate", "label": "person", "start_time": 1.5, '
    b'"data": {"box": [0.1, 0.1, 0.2, 0.5], "score": 0.5}}]',
    "a.xml": b"<annotation><object><name>person</name><bndbox><xmin>2</xmin><ymin>3</ymin>"
    b"<xmax>40</xmax><ymax>50</ymax></bndbox></object></annotation>",
    "labels/a.txt": b"0 0.5 0.5 0.2 0.5 0.9 7\n",
}
"""Boxes in every format; the first byte of an example says which it is."""


def _boxes(_folder: Path) -> Iterator[bytes]:
    for number, content in enumerate(FRAMED.values()):
        yield bytes([number]) + content


def _prepare_boxes(folder: Path) -> Reader:
    (folder / "labels").mkdir()

    def reader(content: bytes) -> object:
        path = folder / tuple(FRAMED)[content[0] % len(FRAMED) if content else 0]
        path.write_bytes(content[1:])
        return boxes.read(path.parent if path.parent.name == "labels" else path)

    return reader


# What stands beside videos


def _small_files(_folder: Path) -> Iterator[bytes]:
    yield b"\0" + (detector_cards.FOLDER / "yolox_nano.toml").read_bytes()
    yield b"\x011 0 5\n0 1 2\n0 0 1\n"
    yield b'\x02gate = "infrared"\n"north yard" = "auto"\n'
    yield b"\x03" + ",".join(cut_list.COLUMNS).encode() + b"\n" + b"a" + b"," * 12 + b"\n"


def _prepare_small_file(folder: Path) -> Reader:
    def reader(content: bytes) -> object:
        readers: tuple[tuple[str, Callable[[Path], object]], ...] = (
            ("card.toml", detector_cards.read),
            ("homography.txt", pairs.read_homography),
            ("spectra.toml", source_labels.read_spectra),
            (cut_list.LIST, lambda path: cut_list.read_rows(path.parent)),
        )
        name, read = readers[content[0] % len(readers) if content else 0]
        (folder / name).write_bytes(content[1:])
        return read(folder / name)

    return reader


# Recipes, sweeps, and what runs and models say of themselves


def _recipes(_folder: Path) -> Iterator[bytes]:
    yield tiny_recipe("nightwalk").encode()
    yield tiny_recipe("sysu_mm01", Path("/nowhere"), "mun").encode()
    yield (SHIPPED / "small/recipe.toml").read_bytes()


def _read_recipe(path: Path) -> None:
    recipe.outline_of(path)
    recipe.read(path)


def _sweeps(_folder: Path) -> Iterator[bytes]:
    rows = '[rows."a b"]\nsettings.epochs = 3\n[rows.c]\naugmentation.flip = 0.1\n'
    yield f'recipe = "agw_nightwalk_mini"\nprotocol = "x"\nseeds = [0, 1]\n{rows}'.encode()


def _cards(folder: Path) -> Iterator[bytes]:
    yield (write_model(folder / "toy") / "model.json").read_bytes()
    yield (SHIPPED / "small/model.json").read_bytes()


def _prepare_card(folder: Path) -> Reader:
    model = write_model(folder / "toy")

    def read(content: bytes) -> None:
        (model / "model.json").write_bytes(content)
        Embedder.open(model).check()

    return read


def _write_run(folder: Path) -> Path:
    data = {"dataset": "nightwalk", "height": HEIGHT, "width": WIDTH}
    wanted = recipe.from_dict({"method": "agw", "data": data, "settings": small_settings(AGW)})
    runs.start(folder, wanted, runs.Details(dataset="nightwalk", num_identities=PEOPLE))
    torch.manual_seed(0)
    runs.finish(folder, AGW(wanted.settings, PEOPLE), wanted)
    return folder


def _runs(folder: Path) -> Iterator[bytes]:
    details = json.loads((_write_run(folder / "run") / "run.json").read_text())
    yield json.dumps({**details, "platform": "any"}).encode()


def _prepare_run(folder: Path) -> Reader:
    run = _write_run(folder / "run")

    def read(content: bytes) -> None:
        (run / "run.json").write_bytes(content)
        Embedder.open(run).check()

    return read


def _scores(_folder: Path) -> Iterator[bytes]:
    content = json.loads((SHIPPED / "small/scores.json").read_text())
    for few in (content["scores"][:1], content["scores"][1:3]):
        for each in few:
            each["trials"] = each["trials"][:2]
        yield json.dumps({**content, "scores": few}).encode()


def _read_scores(path: Path) -> None:
    comparison = results.compare(results.read(path))
    Console(file=io.StringIO(), width=80).print(comparison.table())
    json.dumps(comparison.as_dict())


def _losses(_folder: Path) -> Iterator[bytes]:
    yield b"".join((SHIPPED / "small/losses.jsonl").read_bytes().splitlines(keepends=True)[:2])


def _measures(_folder: Path) -> Iterator[bytes]:
    line = {"stage": "a", "stage_number": 0, "when": "after", "figures": {"up": 0.5, "down": None}}
    yield json.dumps(line).encode() + b"\n"


def _kept_code(_folder: Path) -> Iterator[bytes]:
    yield json.dumps({"mine.py": {"sum": "ab", "origin": "/there/mine.py"}}).encode()


def _read_kept_code(path: Path) -> None:
    user_code.kept_files(path.parent)


# Files of torch


def _checkpoint(folder: Path) -> Path:
    method = small(ThreeStep)
    stage = method.stages(ToyData())[-1]
    checkpoints.write(folder / "checkpoint.pt", method, stage, Position(2, 1), Sums(1, {"a": 0.5}))
    return folder / "checkpoint.pt"


def _checkpoints(folder: Path) -> Iterator[bytes]:
    yield _checkpoint(folder).read_bytes()


def _prepare_checkpoint(folder: Path) -> Reader:
    path, method = folder / "checkpoint.pt", small(ThreeStep)

    def read(content: bytes) -> None:
        path.write_bytes(content)
        _go_on(path, method)

    return read


def _go_on(path: Path, method: Method) -> None:
    saved = checkpoints.read(path, method)
    assert saved is not None
    stages = method.stages(ToyData())
    saved.restore_method(method)
    saved.check_position(stages)
    saved.restore_stage(stages[saved.position.stage])


def _pickles(folder: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(_checkpoint(folder)) as archive:
        yield archive.read(next(n for n in archive.namelist() if n.endswith("/data.pkl")))
    path = folder / "small.pt"
    torch.save({"a": torch.rand(2, 3).T, "b": [torch.tensor(7), 1.5, (True, None, "é")]}, path)
    with zipfile.ZipFile(path) as archive:
        yield archive.read("small/data.pkl")


def _prepare_pickle(folder: Path) -> Reader:
    """Put the instructions into a sound archive: in another, its checksums would refuse them."""
    path, method = _checkpoint(folder), small(ThreeStep)
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}

    def read(content: bytes) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name, record in records.items():
                archive.writestr(name, content if name.endswith("/data.pkl") else record)
        _go_on(path, method)

    return read


def _weights(_folder: Path) -> Iterator[bytes]:
    yield save({"a": torch.rand(2, 3), "b": torch.arange(4)}, {"fingerprint": "x"})


# Lists of pictures


def _lists(_folder: Path) -> Iterator[bytes]:
    comma = (
        "path,modality,camera,identity,tracklet,time\na.png,visible,gate,7,t1,2026-01-31 10:00\n"
    )
    boxes = (
        "path;modality;left;top;right;bottom;identity\na.png;infrared;0;0;16;32;7,0\nb.png;;;;;;\n"
    )
    yield comma.encode()
    yield boxes.encode()
    yield comma.replace(",", "\t").encode("utf-16")
    yield '"path","tags"\r\n"visible\\cam1\\0007\\a.png","x y"\r\n'.encode("utf-8-sig")


def _prepare_list(folder: Path) -> Reader:
    person(1).save(folder / "a.png")
    path = folder / "list.csv"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        found = folders.find(path)
        found.seen().lines()

    return read


SPLITS = (
    ("sysu_mm01", "exp/train_id.txt"),
    ("regdb", "idx/train_visible_1.txt"),
    ("llcm", "idx/train_nir.txt"),
    ("hitsz_vcm", "info/track_train_info.txt"),
    ("hitsz_vcm", "info/train_name.txt"),
    ("bupt_campus", "query.txt"),
    ("bupt_campus", "data_paths.json"),
)
"""Data sets and their lists; the first byte of an example says which it is."""


def _write_sets(folder: Path) -> Path:
    for name in dict.fromkeys(name for name, _ in SPLITS):
        if name == "sysu_mm01":
            sysu_layout.write(folder / name)
        else:
            stand_ins.WRITERS[name](folder / name)
    return folder


def _splits(folder: Path) -> Iterator[bytes]:
    _write_sets(folder)
    for number, (name, file) in enumerate(SPLITS):
        yield bytes([number]) + (folder / name / file).read_bytes()[:4000]


def _prepare_split(folder: Path) -> Reader:
    _write_sets(folder)
    sound = {each: (folder / each[0] / each[1]).read_bytes() for each in SPLITS}

    def read(content: bytes) -> None:
        name, file = each = SPLITS[content[0] % len(SPLITS) if content else 0]
        path = folder / name / file
        path.write_bytes(content[1:])
        try:
            datasets.read(name, folder / name)
        finally:
            path.write_bytes(sound[each])

    return read


def _permutations(folder: Path) -> Iterator[bytes]:
    (folder / "exp").mkdir()
    sysu_layout.write_permutations(folder, {("cam1", 1): 2, ("cam3", 1): 3}, cells=2, trials=2)
    yield sysu_permutations.permutations_path(folder).read_bytes()


def _prepare_permutations(folder: Path) -> Reader:
    path = sysu_permutations.permutations_path(folder)
    path.parent.mkdir()

    def read(content: bytes) -> None:
        path.write_bytes(content)
        sysu_permutations._read.cache_clear()
        sysu_permutations.read_permutations(folder)

    return read


# Folders


def _pack_lists(folder: Path) -> Iterator[bytes]:
    yield (_write_pack(folder) / "pack.json").read_bytes().replace(bytes(folder), b"/data")


def _write_pack(folder: Path) -> Path:
    paths = list(islice(sorted(write_site(folder / "site").rglob("*.jpg")), 3))
    packs.make_pack(paths, 24, 12, root=folder / "site", folder=folder / "pack")
    return folder / "pack"


def _prepare_pack(folder: Path) -> Reader:
    pack = _write_pack(folder)

    def read(content: bytes) -> None:
        (pack / "pack.json").write_bytes(content)
        found = packs._read_pack(pack)
        if found:
            found.is_sound()

    return read


EDIT = struct.Struct("<BIB")
"""An edit of a gallery: which file, where, and how many bytes follow that are written there; none
cuts the file off."""


def _edits(_folder: Path) -> Iterator[bytes]:
    yield b""
    for file in range(4):
        yield EDIT.pack(file, 100, 3) + b"abc" + EDIT.pack(file, 5000, 0)
    yield EDIT.pack(0, 24, 4) + b"\0\0\0\1"


def _prepare_gallery(folder: Path) -> Reader:
    model, site = write_model(folder / "toy"), write_site(folder / "site", people=2)
    folder_indexing.index(site, folder / "sound", str(model))
    question = site / "cam3/0001/0001.jpg"
    embedder = Embedder.open(model)

    def read(content: bytes) -> None:
        shutil.rmtree(folder / "g", ignore_errors=True)
        shutil.copytree(folder / "sound", folder / "g")
        files = sorted(path for path in (folder / "g").rglob("*") if path.is_file())
        _edit(files, content)
        with Gallery.open(folder / "g", embedder) as gallery:
            gallery.cameras()
            gallery.search(embedder.embed([question], Modality.INFRARED), top=3)
            gallery.entries_of(folders.find(site).records)
            gallery.damage()

    return read


def _edit(files: list[Path], edits: bytes) -> None:
    while len(edits) >= EDIT.size:
        which, place, count = EDIT.unpack_from(edits)
        new, edits = edits[EDIT.size : EDIT.size + count], edits[EDIT.size + count :]
        path = files[which % len(files)]
        content = bytearray(path.read_bytes())
        place %= len(content) + 1
        if count:
            content[place : place + len(new)] = new
        else:
            del content[place:]
        path.write_bytes(content)


TARGETS = {
    "picture": Target(_file("picture", _read_picture), _pictures, 400),
    "list": Target(_prepare_list, _lists),
    "boxes": Target(_prepare_boxes, _boxes, 300),
    "beside_videos": Target(_prepare_small_file, _small_files, 200),
    "split": Target(_prepare_split, _splits, 100),
    "permutations": Target(_prepare_permutations, _permutations),
    "recipe": Target(_file("recipe.toml", _read_recipe), _recipes),
    "sweep": Target(_file("sweep.toml", sweep.read), _sweeps),
    "card": Target(_prepare_card, _cards, 100),
    "run": Target(_prepare_run, _runs, 40),
    "scores": Target(_file("scores.json", _read_scores), _scores),
    "losses": Target(_file("losses.jsonl", training_history.read_epochs), _losses),
    "measures": Target(_file("measures.jsonl", training_history.read_measures), _measures),
    "kept_code": Target(
        _file("user_code.json", lambda p: user_code.kept_files(p.parent)), _kept_code
    ),
    "checkpoint": Target(_prepare_checkpoint, _checkpoints, 60),
    "pickle": Target(_prepare_pickle, _pickles, 60),
    "weights": Target(_file("model.safetensors", runs.read_weights), _weights),
    "pack": Target(_prepare_pack, _pack_lists),
    "gallery": Target(_prepare_gallery, _edits, 20),
}
