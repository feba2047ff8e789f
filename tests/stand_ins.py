"""The data sets one has to sign for, in little: NightWalk's pictures in their true layouts.

Few people, few pictures, the folders, file names and lists of the real ones.
"""

import json
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path

from PIL import Image
from tests import sysu_layout

from vireid import datasets
from vireid.datasets._sysu_layout import MODALITIES
from vireid.records import ImageRecord, Modality

People = Mapping[int, Mapping[Modality, Sequence[Path]]]


def people(count: int) -> People:
    """Pictures of rendered people, numbered from 1, by spectrum."""
    nightwalk = datasets.read("nightwalk")
    pictures: dict[int, dict[Modality, list[Path]]] = {}
    for record in (*nightwalk.train, *nightwalk.test):
        of_one = pictures.setdefault(record.identity or 0, {modality: [] for modality in Modality})
        of_one[record.modality].append(record.path)
    return dict(enumerate(islice(pictures.values(), count), start=1))


def copy(source: Path, target: Path) -> Path:
    """A picture, in the format of the target's suffix."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix.lower() == source.suffix:
        return Path(shutil.copy(source, target))
    with Image.open(source) as picture:
        picture.resize((32, 64)).save(target)
    return target


def write_lines(path: Path, lines: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_sysu_mm01(root: Path, train: int = 4, test: int = 4) -> Path:
    """All pictures of a few people of NightWalk, its layout being this one."""
    chosen = datasets.read("nightwalk")
    groups = {"train": chosen.train, "val": chosen.validation, "test": chosen.test}
    counts: dict[tuple[str, int], int] = {}
    for (group, records), number in zip(groups.items(), (train, 1, test), strict=True):
        ids = list(dict.fromkeys(record.identity for record in records))[:number]
        for record in records:
            if record.identity in ids:
                _, camera, folder, name = record.path.parts[-4:]
                copy(record.path, root / camera / folder / name)
                counts[camera, int(folder)] = counts.get((camera, int(folder)), 0) + 1
        write_lines(root / "exp" / f"{group}_id.txt", [",".join(map(str, ids))])
    for camera in MODALITIES:
        (root / camera).mkdir(exist_ok=True)
    sysu_layout.write_permutations(root, counts, cells=150)
    return root


def write_regdb(root: Path, count: int = 8, pictures: int = 3, trials: int = 10) -> Path:
    folders = {Modality.VISIBLE: ("Visible", "v"), Modality.INFRARED: ("Thermal", "t")}
    for identity, of_one in people(count).items():
        for modality, (folder, letter) in folders.items():
            for frame, source in enumerate(islice(cycle(of_one[modality]), pictures), start=1):
                name = f"male_back_{letter}_{frame:05d}_{identity}.bmp"
                copy(source, root / folder / str(identity) / name)
    for trial in range(1, trials + 1):
        order = random.Random(trial).sample(range(1, count + 1), count)
        halves = {"train": sorted(order[: count // 2]), "test": sorted(order[count // 2 :])}
        for half, ids in halves.items():
            for folder, _ in folders.values():
                lines = [
                    f"{folder}/{identity}/{path.name} {label}"
                    for label, identity in enumerate(ids)
                    for path in sorted((root / folder / str(identity)).iterdir())
                ]
                write_lines(root / "idx" / f"{half}_{folder.lower()}_{trial}.txt", lines)
    return root


def write_llcm(root: Path, train: int = 4, test: int = 4, cameras: int = 4) -> Path:
    """Everybody is seen in both spectra by the same few cameras, from `cam1` on."""
    folders = {Modality.VISIBLE: "vis", Modality.INFRARED: "nir"}
    for modality, folder in folders.items():
        for camera in range(1, 10):
            (root / f"test_{folder}" / f"cam{camera}").mkdir(parents=True)
        lines = []
        for identity, of_one in people(train + test).items():
            seen_by = [c for c in range(1, cameras + 1) if (c, modality) != (3, Modality.INFRARED)]
            for frame, source in enumerate(islice(cycle(of_one[modality]), 2 * len(seen_by))):
                camera = seen_by[frame % len(seen_by)]
                name = f"{identity:04d}_c{camera:02d}_s1_f{frame:05d}_{folder}.jpg"
                if identity <= train:
                    copy(source, root / folder / f"{identity:04d}" / name)
                    lines.append(f"{folder}/{identity:04d}/{name} {identity - 1}")
                else:
                    copy(source, root / f"test_{folder}/cam{camera}/{identity:04d}/{name}")
        write_lines(root / "idx" / f"train_{folder}.txt", lines)
    ids = range(train + 1, train + test + 1)
    write_lines(root / "idx" / "test_id.txt", [",".join(map(str, ids))])
    return root


def write_hitsz_vcm(root: Path, train: int = 2, test: int = 2, frames: int = 12) -> Path:
    """Two cameras a spectrum, of which the second is the same; one track each, and a short one."""
    folders = {Modality.INFRARED: ("ir", 1, (1, 2)), Modality.VISIBLE: ("rgb", 2, (2, 3))}
    names: dict[str, list[str]] = {"train": [], "test": []}
    tracks: dict[str, list[str]] = {"train": [], "test": []}
    for identity, of_one in people(train + test).items():
        half = "train" if identity <= train else "test"
        for modality, (folder, number, cameras) in folders.items():
            for camera in cameras:
                last = 0
                for track, length in ((1, frames), (2, 5)):
                    tracks[half].append(
                        f"{number} {len(names[half]) + 1} {len(names[half]) + length} "
                        f"{identity:04d} {camera}"
                    )
                    for source in islice(cycle(of_one[modality]), length):
                        last += 1
                        names[half].append(f"{identity:04d}M{number}D{camera}T{track}F{last}.jpg")
                        place = root / half.title() / f"{identity:04d}" / folder / f"D{camera}"
                        copy(source, place / f"{last}.jpg")
    for half in names:
        write_lines(root / "info" / f"{half}_name.txt", names[half])
        write_lines(root / "info" / f"track_{half}_info.txt", tracks[half])
    infrared = [n for n, line in enumerate(tracks["test"], start=1) if line.startswith("1")]
    write_lines(root / "info" / "query_IDX.txt", [" ".join(map(str, infrared))])
    return root


def write_bupt_campus(root: Path, train: int = 3, test: int = 3, frames: int = 4) -> Path:
    """Everybody under two cameras; the first is searched for, both are searched in."""
    paths: dict[str, dict[str, dict[str, dict[str, list[str]]]]] = {}
    lists: dict[str, list[str]] = {"train": [], "query": [], "gallery": []}
    modalities = {"RGB": Modality.VISIBLE, "IR": Modality.INFRARED}
    for identity, of_one in people(train + test).items():
        for camera in ("LS3", "G25"):
            for word, modality in modalities.items():
                track: list[str] = []
                for frame, source in enumerate(islice(cycle(of_one[modality]), frames)):
                    name = f"{identity}/{word}/{camera}/{identity}_{word}_{camera}_1_{frame}.jpg"
                    copy(source, root / "DATA" / name)
                    track.append(name)
                of_person = paths.setdefault(str(identity), {}).setdefault(word, {})
                of_person[camera] = {"1": track}
            if identity <= train:
                lists["train"].append(f"{identity} RGB/IR {camera} 1")
            else:
                lists["gallery"].append(f"{identity} RGB/IR {camera} 1")
                if camera == "LS3":
                    lists["query"] += [f"{identity} {word} {camera} 1" for word in modalities]
    for name, lines in lists.items():
        write_lines(root / f"{name}.txt", lines)
    (root / "data_paths.json").write_text(json.dumps(paths), encoding="utf-8")
    return root


def write_rgbnt201(root: Path, train: int = 3, test: int = 3) -> Path:
    """Everybody at two places, two instants each, in three spectra."""
    lists: dict[str, list[str]] = {}
    for identity, of_one in people(train + test).items():
        half, label = (
            ("train", identity - 1) if identity <= train else ("test", identity - 1 - train)
        )
        for camera in (1, 2):
            for instant in range(2):
                name = f"{identity:06d}_cam{camera}_0_{instant:02d}.jpg"
                for letter, folder in {"R": "RGB", "N": "NI", "T": "TI"}.items():
                    modality = Modality.VISIBLE if letter == "R" else Modality.INFRARED
                    pictures = of_one[modality]
                    place = f"{'train_171' if half == 'train' else half}/{folder}/{name}"
                    at = 2 * camera + instant + (letter == "T")
                    copy(pictures[at % len(pictures)], root / place)
                    lists.setdefault(f"{half}_{letter}", []).append(f"{place} {label}")
    for name, lines in lists.items():
        write_lines(root / "idx" / f"{name}.txt", lines)
    return root


def write_folder(root: Path, train: int = 3, test: int = 3) -> Path:
    """One's own pictures, by folder names."""
    for identity, of_one in people(train + test).items():
        group = "train" if identity <= train else "test"
        for modality, sources in of_one.items():
            for frame, source in enumerate(sources[:3]):
                place = root / group / modality.value / f"cam{frame}" / str(identity)
                copy(source, place / f"{frame}.jpg")
    return root


WRITERS: Mapping[str, Callable[[Path], Path]] = {
    "sysu_mm01": write_sysu_mm01,
    "regdb": write_regdb,
    "llcm": write_llcm,
    "hitsz_vcm": write_hitsz_vcm,
    "bupt_campus": write_bupt_campus,
    "rgbnt201": write_rgbnt201,
    "folder": write_folder,
}


def relative(records: Sequence[ImageRecord], root: Path) -> list[str]:
    return [record.path.relative_to(root).as_posix() for record in records]
