"""The people of NightWalk under its cameras, in three spectra: the picture in docs/nightwalk.md.

    python -m scripts.nightwalk_sheet --out docs/nightwalk.jpg [--identities 1,2,3,7,8,9]

Columns cam1 to cam6 are SYSU-MM01's cameras; `low light` is one of LLCM's by lamps and by its own
infrared lamp; `pair` is RegDB's, visible and thermal at one moment.
"""

import argparse
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vireid import ImageRecord
from vireid.files.atomic import write_whole
from vireid.render.bodies import shop
from vireid.render.nightwalk import passers_by
from vireid.render.outfits import Outfit, dress
from vireid.render.people import draw_person
from vireid.render.pictures import photograph
from vireid.render.scenes import CAMERAS, LLCM, REGDB, Camera
from vireid.reports import contact_sheet

SEED, ROWS, COLUMNS = 0, 288, 144
SHOWN: dict[str, tuple[Camera, ...]] = {
    **{camera.name: (camera,) for camera in CAMERAS},
    "low light": tuple(camera for camera in LLCM if camera.name == "cam2"),
    "pair": REGDB,
}
"""Cameras by the heading of their columns."""


def records(identities: list[int], folder: Path) -> Iterator[ImageRecord]:
    """Return a picture of everybody by every camera, in a folder."""
    for identity in identities:
        person = draw_person(SEED, identity)
        outfit = dress(person, shop().body(person.phenotype))
        for heading, cameras in SHOWN.items():
            for camera in cameras:
                path = folder / f"{identity}-{heading}-{camera.modality}.png"
                _take(outfit, camera, path)
                yield ImageRecord(path, camera.modality, identity, heading)


def _take(outfit: Outfit, camera: Camera, path: Path) -> None:
    rng = np.random.default_rng([SEED, outfit.person.identity, camera.place])
    others = passers_by(SEED)
    taken = photograph(outfit, camera, SEED, rng, ROWS, COLUMNS, others)
    taken.picture.convert("RGB").save(path)


def main() -> None:
    """Compose the sheet and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--identities", default="1,2,3,4,5,6,13,22", help="4,5,6 are a family")
    asked = parser.parse_args()
    identities = [int(word) for word in asked.identities.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        taken = list(records(identities, Path(folder)))
        sheet = contact_sheet.compose_people(taken, identities, "NightWalk: people by cameras")
    content = io.BytesIO()
    sheet.save(content, "JPEG", quality=86)
    write_whole(asked.out, content.getvalue())


if __name__ == "__main__":
    main()
