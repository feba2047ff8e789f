"""Ground truth of rendered pictures, in files beside them.

    people.jsonl                  a line a person: number, group, and what they wear and carry
    truth/0001.jsonl.gz           a line a picture of person 1, in the order of their names
    parts/cam1/0001/0001.png      which part of whom each pixel of cam1/0001/0001.jpg shows
    parts/names.json              the name of each number in those masks

`vireid.datasets.nightwalk` reads them.
"""

import gzip
import io
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vireid.render.body_surface import Slot
from vireid.render.layouts import Shot
from vireid.render.people import FAMILY, Person
from vireid.render.pictures import BYSTANDER, OBJECT, Truth
from vireid.render.plans import Plan, group_of

PEOPLE_FILE = "people.jsonl"
PARTS_FOLDER = "parts"
PART_NAMES = (
    {0: "background"}
    | {1 + slot: slot.name.lower().replace("_", " ") for slot in Slot if slot != Slot.ON_BODY}
    | {BYSTANDER: "other person", OBJECT: "object"}
)


def truth_path(identity: int) -> str:
    """Return the path of the ground truth of a person's pictures."""
    return f"truth/{identity:04d}.jsonl.gz"


def parts_path(picture: str) -> str:
    """Return the path of a picture's mask."""
    return f"{PARTS_FOLDER}/{picture.rpartition('.')[0]}.png"


def person_line(plan: Plan, person: Person) -> dict[str, Any]:
    """Return the line about a person."""
    # Of RegDB's layout everybody is in another group in each of ten splits.
    group = {} if plan.layout == "regdb" else {"group": group_of(plan, person.identity)}
    return {
        "identity": person.identity,
        **group,
        "family": (person.identity - 1) // FAMILY,
        **_rounded(person.attributes()),
    }


def picture_line(shot: Shot, truth: Truth) -> dict[str, Any]:
    """Return the line about a picture; pixels from its upper left corner, metres, radians."""
    return {
        "picture": shot.path,
        "identity": shot.identity,
        "camera": shot.camera.name,
        "spectrum": shot.camera.spectrum,
        "keypoints": {
            name: [round(point.x, 1), round(point.y, 1), int(point.visible)]
            for name, point in truth.keypoints.items()
        },
        "box": _rounded(vars(truth.box)),
        "pose": _rounded(truth.pose),
        "view": _rounded(truth.camera),
        "light": _rounded(truth.light),
    }


def lines(of: Iterable[dict[str, Any]]) -> bytes:
    """Return JSON, one object a line."""
    return b"".join(json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in of)


def packed_lines(of: Iterable[dict[str, Any]]) -> bytes:
    """Return such lines through gzip, without a time, so that equal content is equal bytes."""
    return gzip.compress(lines(of), mtime=0)


def parts_png(parts: NDArray[np.uint8]) -> bytes:
    """Return a mask as PNG; the palette is for people's eyes, the numbers are the content."""
    picture = Image.fromarray(parts)
    picture.putpalette(_palette())
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return content.getvalue()


def _palette() -> list[int]:
    """Return black for the background, a colour for each part, greys for things in the way."""
    colours = np.random.default_rng(0).integers(60, 256, (256, 3))
    colours[0], colours[BYSTANDER], colours[OBJECT] = 0, 90, 150
    palette: list[int] = colours.reshape(-1).tolist()
    return palette


def _rounded(facts: Any) -> Any:
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in facts.items()}
