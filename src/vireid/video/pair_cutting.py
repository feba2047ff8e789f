"""Cutting a pair: two videos of one scene, whose people become a data set of one's own site."""

from collections.abc import Set as AbstractSet
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from vireid.files.locks import locked
from vireid.video import box_sheets as sheets
from vireid.video.cut_list import LOCK, read_rows, write_rows
from vireid.video.pairs import Homography, Paired, paired
from vireid.video.people import Cut, Cutter, Job

NOBODY = "-1"
"""Identity of people whom nobody has named."""


def cut_pair(
    jobs: tuple[Job, Job],
    cutter: Cutter,
    out: Path,
    homography: Homography | None = None,
    shift: float | None = None,
) -> tuple[Cut, Cut, Paired]:
    """Cut people out of two videos of one scene, and name those who are in both.

    A person who is found in both spectra gets a number that no other has in the folder, as the
    identity of all their crops; all others keep -1, which stands for nobody known.

    Args:
        jobs: The visible and the infrared source.
        cutter: What cuts them into the folder.
        out: Folder; what it holds of the same sources is replaced.
        homography: See `pairs.paired`.
        shift: See `pairs.paired`.
    """
    visible, infrared = cutter(
        [replace(job, wishes=replace(job.wishes, keeps_courses=True)) for job in jobs]
    )
    found = paired(visible.courses, infrared.courses, homography, shift)
    with locked(out / LOCK):
        _name(found, {job.source.address for job in jobs}, out)
    return visible, infrared, found


def _name(found: Paired, places: AbstractSet[str], out: Path) -> None:
    """Write who is who into the list, in numbers that nobody of another source has."""
    rows = read_rows(out)
    taken = [
        int(row["identity"])
        for row in rows
        if row["source"] not in places and row["identity"].isdigit()
    ]
    first = max(taken, default=0) + 1
    people = {
        name: str(first + number)
        for number, person in enumerate(found.people)
        for tracks in person
        for name in tracks
    }
    for row in rows:
        if row["source"] in places:
            row["identity"] = people.get(row["tracklet"], NOBODY)
    write_rows(out, rows)


def write_pairs(found: Paired, out: Path, sheet: Path) -> None:
    """Write a sheet on which each person who is in both spectra has two rows of crops."""
    crops: dict[str, list[Path]] = {}
    identity: dict[str, str] = {}
    for row in read_rows(out):
        crops.setdefault(row["tracklet"], []).append(out / row["path"])
        identity[row["tracklet"]] = row["identity"]
    people = list[sheets.Pairing]()
    for seen, felt in found.people:
        of_person = [each for each in found.evidence if each.visible in seen]
        overlap = sum(e.overlap * e.seconds for e in of_person) / sum(e.seconds for e in of_person)
        title = f"person {identity[min(seen)]}\noverlap {overlap:.2f}\n"
        title += "\n".join((*sorted(seen), *sorted(felt)))
        rows = ([crop for name in sorted(of) for crop in crops[name]] for of in (seen, felt))
        people.append(sheets.Pairing(title, *rows))
    sheets.save(sheets.pairs(people), sheet)


def pairs_as_dict(found: Paired) -> dict[str, Any]:
    """Return who is who, for programs."""
    return {
        "people": [
            {"visible": sorted(seen), "infrared": sorted(felt)} for seen, felt in found.people
        ],
        "evidence": [asdict(each) for each in found.evidence],
        "shift": found.shift,
        "shift_is_told_by_motion": found.is_told_by_motion,
        "visible_alone": list(found.visible_alone),
        "infrared_alone": list(found.infrared_alone),
    }
