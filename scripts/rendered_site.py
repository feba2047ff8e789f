"""A site that does not exist, to see and test the service with: NightWalk's people, with names.

    python -m scripts.rendered_site OUT    makes OUT/site.gallery and OUT/crowd.gallery

The cameras have names, hours and tracklets that NightWalk does not give; the pictures are rendered.
"""

import csv
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from vireid import Embedder, Gallery, ImageRecord, Modality, datasets
from vireid.search import folder_indexing
from vireid.service.database import Database
from vireid.service.keys import Keys, Scope

CAMERAS = {
    "cam1": "gate",
    "cam2": "hall",
    "cam3": "north yard",
    "cam4": "street",
    "cam5": "bridge",
    "cam6": "dock",
}
"""Names of NightWalk's cameras; cam3 and cam6 see infrared."""
NAMES = ("Anna", "Béla", "Chen", "Dana", "Emil", "Farah", "Goran", "Hana")
BEGIN = datetime(2026, 11, 23)
DAYS = 4
AT_DAY, AT_NIGHT = (7, 8, 8, 9, 11, 12, 13, 16, 17), (18, 19, 20, 21, 22, 23, 0, 1, 2, 4)
COLUMNS = ["path", "modality", "camera", "identity", "time", "tracklet", "tags"]
BOX = ["left", "top", "right", "bottom"]


def site(folder: Path, people: int = 50, model: str = "small", name: str = "site") -> Path:
    """Index the first test people of NightWalk mini; return the gallery.

    The first eight have names, the first three the tag `staff`. Two pictures of the gate are boxes
    in one frame.
    """
    test = datasets.read("nightwalk").test
    known = sorted({record.identity for record in test if record.identity is not None})[:people]
    dice = random.Random(5)
    rows: list[dict[str, object]] = []
    for place, identity in enumerate(known):
        for camera in CAMERAS:
            seen = [r for r in test if r.identity == identity and r.camera == camera]
            rows += _rows(seen, identity, place, dice)
    shared = [row for row in rows if row["camera"] == "gate"][:8:4]
    _put_into_one_frame(shared, folder / "frame.png")
    listed = folder / "site.csv"
    with listed.open("w", newline="") as file:
        table = csv.DictWriter(file, [*COLUMNS, *BOX])
        table.writeheader()
        table.writerows(rows)
    folder_indexing.index(listed, folder / f"{name}.gallery", model)
    return folder / f"{name}.gallery"


def _rows(
    seen: list[ImageRecord], identity: int, place: int, dice: random.Random
) -> Iterator[dict[str, object]]:
    """Yield the rows of one person's tracklet by one camera."""
    if not seen:
        return
    name = CAMERAS[str(seen[0].camera)]
    hours = AT_NIGHT if seen[0].modality is Modality.INFRARED else AT_DAY
    hour = 24 * dice.randrange(DAYS) + dice.choice(hours)
    begin = BEGIN + timedelta(hours=hour, minutes=dice.randrange(59))
    for frame, record in enumerate(seen):
        yield {
            "path": str(record.path),
            "modality": record.modality.value,
            "camera": name,
            "identity": NAMES[place] if place < len(NAMES) else identity,
            "time": (begin + timedelta(seconds=2 * frame)).isoformat(),
            "tracklet": f"{name}-{identity}",
            "tags": "staff" if place < 3 else "",
        }


def _put_into_one_frame(rows: list[dict[str, object]], path: Path) -> None:
    """Put pictures side by side into one frame, and make their rows boxes in it."""
    pictures = [Image.open(str(row["path"])).convert("RGB") for row in rows]
    height = max(picture.height for picture in pictures)
    frame = Image.new("RGB", (sum(p.width for p in pictures) + 240, height + 60), (96, 98, 104))
    left = 60
    for row, picture in zip(rows, pictures, strict=True):
        frame.paste(picture, (left, 40))
        box = (left, 40, left + picture.width, 40 + picture.height)
        row |= {"path": str(path), **dict(zip(BOX, box, strict=True))}
        left += picture.width + 100
    frame.save(path)


def crowd(folder: Path) -> Path:
    """Make a gallery of more than a thousand pictures, whose vectors are drawn; return it."""
    records = list(datasets.read("nightwalk").test)
    model = Embedder.open("small")
    drawn = np.random.default_rng(7).normal(size=(len(records), model.card.embedding_dim))
    vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    with Gallery.create(folder / "crowd.gallery", model) as gallery:
        for modality in Modality:
            chosen = [n for n, record in enumerate(records) if record.modality is modality]
            gallery.add(vectors[chosen], [records[n] for n in chosen])
    return folder / "crowd.gallery"


def key(data: Path, scope: Scope) -> str:
    """Make a key for the service whose folder is `data`; return it."""
    data.mkdir(exist_ok=True)
    database = Database(data)
    try:
        return Keys(database).add(scope, scope)[1]
    finally:
        database.close()


@contextmanager
def serving(galleries: list[Path], data: Path, *, keys: bool = False) -> Iterator[str]:
    """Run `vireid serve` on galleries at a free port; give its address."""
    command = [sys.executable, "-m", "vireid", "serve", *map(str, galleries), "--port", "0"]
    environment = os.environ | {"VIREID_KEYS": "required" if keys else "auto"}
    environment |= {"VIREID_REQUESTS_PER_MINUTE": "100000"}
    log = data.with_suffix(".log")
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, "--data", str(data)], env=environment, stdout=file, stderr=file
        )
    try:
        yield _address(process, log)
    finally:
        process.terminate()
        process.wait(30)


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    while process.poll() is None:
        if found := re.search(r"running on (http://\S+)", log.read_text()):
            return f"{found[1]}/"
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    raise RuntimeError(f"vireid serve ended with {process.returncode}: {log.read_text()}")


def main() -> None:
    """Make both galleries."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = Path(sys.argv[1]).absolute()
    out.mkdir(parents=True, exist_ok=True)
    print(site(out), crowd(out))


if __name__ == "__main__":
    main()
