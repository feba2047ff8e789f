"""Protocols as data: queries, gallery, what is hidden, and how ranks are counted.

`Protocol.trials` draws queries and galleries from the test pictures of a data set.
`named_protocols` has the protocols by name; the sources of each are below.

SYSU-MM01. Two draws of its galleries are in use; both sample the same distribution, so that means
over ten trials compare, single trials do not:

* `sysu/official`: the first 1 (single-shot) or 10 (multi-shot) entries per person and camera of
  the permutations published with the data set
  (https://github.com/wuancong/SYSU-MM01, evaluation/data_split/rand_perm_cam.mat).
* `sysu/py-seed`: one picture per person and camera, by Python's generator seeded with the trial's
  number (https://github.com/mangye16/Cross-Modal-Re-ID-baseline, data_manager.py). Only
  single-shot: no published code draws several pictures reproducibly.

Cameras 2 (visible) and 3 (infrared) stand in one room, so every picture of camera 2 is hidden from
queries of camera 3, whoever is on it.

RegDB. `regdb/10-trial`: a trial is a split of its own with a model of its own; all test pictures of
one spectrum are searched for among all of the other (AGW's code, eval_regdb).

LLCM. `llcm/two-way`: the gallery is one picture per person and camera, seeded as above
(https://github.com/ZYK100/LLCM, train.py). `llcm/full-gallery`: all pictures (IDKL's code and
others). `llcm/legacy-swapped`: what the public test.py of LLCM does under the name
"visible to infrared": the *drawn infrared* pictures are searched for among *all visible* ones.

Video. Queries and galleries are tracklets; the embedding of one is the mean of its frames', of unit
length again. `vcm/tracklets` (https://github.com/VCM-project233/MITML), `bupt-campus/tracklets`
(https://github.com/dyhBUPT/BUPTCampus, lists query.txt and gallery.txt).

RGBNT201. `rgbnt201/thermal` and `rgbnt201/near`: all test pictures of one spectrum are searched for
among all of the other (https://github.com/ziwang1121/IEEE, issue 4). Its pictures are taken at one
instant in all spectra, so the query's own instant is hidden, which published code may not do.

`folder/cross-spectrum`: anyone's own pictures; all of one spectrum among all of the other.

`folder/registered`: a smoke test on pictures of one instant in both spectra, brought to one height
(see `registered`). One instant of each person is drawn in each trial, and searched for among the
people of the same camera, which stands still: then the place names nobody. Beside it, among the
people of the same frame.

`folder/tracks`: people who were followed through videos. A picture is searched for among one
picture of each person and camera, drawn anew in each trial; one of the same person from less than
two seconds away is hidden. Without that gap, pictures of one instant share the place and the pose,
and edges of the background alone find most people.
"""

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Shaped

from vireid.datasets import Dataset
from vireid.errors import VireidError
from vireid.records import ImageRecord, Modality, moment
from vireid.scoring.metrics import CmcVariant
from vireid.scoring.re_ranking import KReciprocal
from vireid.scoring.registered_pairs import Pairs, pairs_of
from vireid.scoring.sysu_permutations import check_permutation, read_permutations
from vireid.scoring.tracklets import frames_of_tracklets

Mode = Literal["all", "indoor"]
Shot = Literal["single", "multi"]
Direction = Literal["infrared-to-visible", "visible-to-infrared"]
Draw = Literal["official", "py-seed", "full", "split"]
Removal = Literal[
    "same-room",
    "same-id-and-camera",
    "same-id-and-instant",
    "same-id-and-moment",
    "other-camera",
    "other-frame",
    "none",
]
Centre = Literal["none", "camera"]
Flip = Literal["none", "mean", "sum", "concatenation"]

PICTURES_OF_SHOT: Mapping[str, int] = {"single": 1, "multi": 10}

Folders = Mapping[tuple[int, str], Sequence[ImageRecord]]
"""Pictures of a person under a camera, sorted by file name."""


@dataclass(frozen=True)
class Trial:
    """One search: every query ranks the whole gallery, except what is hidden from it."""

    number: int
    queries: tuple[ImageRecord, ...]
    gallery: tuple[ImageRecord, ...]
    """Gallery records in the order drawn, which decides between equal similarities."""
    frames: Mapping[ImageRecord, tuple[ImageRecord, ...]] = field(default_factory=dict)
    """Frames to embed of each tracklet; a tracklet stands in the trial by its first frame."""

    def frames_of(self, record: ImageRecord) -> tuple[ImageRecord, ...]:
        """Return the pictures whose mean embedding, of unit length again, is the record's."""
        return self.frames.get(record, (record,))

    @property
    def pictures(self) -> Iterator[ImageRecord]:
        """All pictures to embed; some come twice."""
        return (f for record in (*self.queries, *self.gallery) for f in self.frames_of(record))


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """All settings that two scores must share to be comparable; stands in every result."""

    id: str
    dataset: str
    mode: Mode | None = None
    """Place of the gallery's cameras (SYSU-MM01): all, or indoor only."""
    shot: Shot | None = None
    """Gallery pictures of a person per camera (SYSU-MM01): 1, or 10, or all where there are
    fewer."""
    direction: Direction = "infrared-to-visible"
    """Spectrum of the queries, then that of the gallery."""
    query_cameras: tuple[str, ...] | None = None
    """Cameras of the queries; None: all."""
    gallery_cameras: tuple[str, ...] | None = None
    """Cameras of the gallery; None: all."""
    draw: Draw
    """Source of the galleries: published permutations, a seeded choice, all pictures, or all
    pictures of the split that a model was trained on."""
    drawn: Literal["gallery", "queries"] = "gallery"
    """Which of the two is drawn; the other is all there is."""
    trial_numbers: tuple[int, ...]
    """Rows of the permutations, seeds, or numbers of splits."""
    removal: Removal
    """Gallery pictures hidden from a query: those of cameras in its own room, those of its own
    person under its own camera or from the same instant or moment, those of other cameras or other
    frames than its own, or none."""
    usual_removal: Removal | None = None
    """The usual `removal` of the protocol of this name, if this one has another."""
    hidden_cameras: tuple[tuple[str, str], ...] = ()
    """Pairs (query's camera, gallery's camera) that stand in one room."""
    gap: float | None = None
    """Seconds that make another instant, where pictures of one instant are hidden."""
    single_frames: bool = False
    """Whether each frame of a tracklet stands for itself."""
    registered: bool = False
    """Whether queries and gallery are pairs of pictures of one instant, made alike in all but the
    person; see `registered`."""
    frames: int | None = None
    """Number of frames of a tracklet to embed, evenly spaced from its first on; None: all."""
    cmc: CmcVariant
    """Whether ranks count people (`identity`) or pictures (`plain`)."""
    similarity: str = "inner product of unit embeddings"
    feature: str = "the method's embedding"
    test_time_flip: Flip = "none"
    """How the embeddings of a picture and its mirror image become one; see `evaluation`."""
    test_time_centre: Centre = "none"
    """Whether the mean embedding of its camera is subtracted from each embedding, and the rest
    brought to length one. Means are over the pictures of all trials, and need no labels; see
    `vireid.models.centring`."""
    re_ranking: KReciprocal | None = None

    @property
    def title(self) -> str:
        """The protocol's name with its parameters."""
        options = "" if self.test_time == "plain" else f", {self.test_time}"
        return f"{self.id} {self.variant}" + ("-shot" if self.mode else "") + options

    @property
    def test_time(self) -> str:
        """Steps beyond comparing two embeddings, such as flips and re-ranking; `plain` if none."""
        flip = "" if self.test_time_flip == "none" else f"flip {self.test_time_flip}"
        centre = "" if self.test_time_centre == "none" else f"centred by {self.test_time_centre}"
        return ", ".join(filter(None, [flip, centre, str(self.re_ranking or "")])) or "plain"

    @property
    def variant(self) -> str:
        """The parameters that tell this protocol from others of its name."""
        if self.drawn == "queries":
            return "published as visible-to-infrared"
        said = [f"{self.mode} {self.shot}" if self.mode else self.direction]
        if self.registered:
            said.append(f"among its own {self.removal.removeprefix('other-')}")
        elif self.usual_removal:
            said.append("nothing hidden" if self.removal == "none" else f"hiding {self.removal}")
        if self.gap is not None:
            said.append(f"{self.gap:g} s apart")
        if self.frames:
            said.append(f"{self.frames} frames")
        return ", ".join(said)

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks that have to stand beside its scores."""
        if self.drawn == "queries":
            return (
                f"{self.id} is for reproducing published numbers only: drawn infrared pictures are "
                "searched for among all visible ones; never compare it with llcm/two-way",
            )
        if self.registered:
            return (
                f"{self.id} is a smoke test and no re-identification: pairs of one instant share "
                "pose, outline and place",
            )
        if self.draw == "split" and len(self.trial_numbers) < 10:
            said = ", ".join(map(str, self.trial_numbers))
            return (f"split {said} alone: published numbers are means over ten",)
        return ()

    @property
    def modalities(self) -> tuple[Modality, Modality]:
        """Modalities of the queries and of the gallery."""
        infrared_first = self.direction == "infrared-to-visible"
        query = Modality.INFRARED if infrared_first else Modality.VISIBLE
        return query, query.other

    def trials(self, dataset: Dataset) -> tuple[Trial, ...]:
        """Draw the trials from a data set's test records, whose order does not matter.

        Raises:
            VireidError: the permutations are needed and missing or made for other pictures, the
                data set has no splits where they are needed, or no query or no gallery picture is
                left.
        """
        records = [record for part in _parts(dataset) for record in part]
        if self.registered:
            return tuple(self._of_one_instant_each(pairs_of(records)))
        frames = (
            {record: (record,) for record in records}
            if self.single_frames
            else frames_of_tracklets(records, self.frames)
        )
        self._check_times(records)
        queries, gallery = (
            _folders([r for r in part if r in frames and r.modality is modality], cameras)
            for part, modality, cameras in zip(
                _parts(dataset),
                self.modalities,
                (self.query_cameras, self.gallery_cameras),
                strict=True,
            )
        )
        drawn = [
            Trial(number, searching, searched, {r: f for r, f in frames.items() if f != (r,)})
            for number, searching, searched in self._draw(dataset, queries, gallery)
        ]
        for trial in drawn:
            if not trial.queries or not trial.gallery:
                raise VireidError(
                    f"{self.title}: {dataset.root} has no test picture of {self._of(trial)}"
                )
        return tuple(drawn)

    def _of_one_instant_each(self, pairs: Pairs) -> Iterator[Trial]:
        """Yield trials of one instant of each person, drawn by the trial's number."""
        query, gallery = self.modalities
        for number in self.trial_numbers:
            generator = random.Random(number)
            drawn = [generator.choice(pairs[person]) for person in sorted(pairs)]
            searching, searched = (tuple(pair[m] for pair in drawn) for m in (query, gallery))
            yield Trial(number, searching, searched)

    def hidden(self, trial: Trial) -> Bool[np.ndarray, "q g"]:
        """Return a matrix that is true where a gallery picture is hidden from a query."""
        hidden = self.hidden_by_camera(trial)
        if self.removal == "same-id-and-camera":
            query_cameras, gallery_cameras = _cameras(trial)
            same_camera = (query_cameras == gallery_cameras) & (query_cameras != "")
            hidden |= same_camera & _same(trial, "identity")
        if self.removal == "same-id-and-instant":
            hidden |= self._of_one_instant(trial)
        if self.removal in ("other-camera", "other-frame"):
            hidden |= ~_same(trial, "camera")
        if self.removal == "other-frame":
            hidden |= ~_same(trial, "moment")
        if self.removal == "same-id-and-moment":
            hidden |= _same(trial, "identity") & _same(trial, "moment")
        return hidden

    def _of_one_instant(self, trial: Trial) -> Bool[np.ndarray, "q g"]:
        """Return where both pictures show one person less than the gap apart."""
        times, other_times = (_seconds(of) for of in (trial.queries, trial.gallery))
        near = np.abs(times[:, None] - other_times) < (self.gap or 0)
        return np.asarray(near & _same(trial, "identity"))

    def _check_times(self, records: Sequence[ImageRecord]) -> None:
        """Check that every picture says when it was taken, where that decides what is hidden."""
        bare = [r for r in records if r.time is None and r.identity is not None]
        if self.gap is not None and bare:
            raise VireidError(
                f"{self.id} hides what is less than {self.gap:g} seconds apart, and "
                f"{bare[0].path} has no time; give the list a column `time`, which "
                "`vireid cut --start 2026-11-24T18:30:00` writes"
            )

    def hidden_by_camera(self, trial: Trial) -> Bool[np.ndarray, "q g"]:
        """Return the part of `hidden` that depends on cameras alone, not on identities."""
        query_cameras, gallery_cameras = _cameras(trial)
        hidden = np.zeros((len(trial.queries), len(trial.gallery)), dtype=bool)
        for query_camera, gallery_camera in self.hidden_cameras:
            hidden |= (query_cameras == query_camera) & (gallery_cameras == gallery_camera)
        return hidden

    def _draw(
        self, dataset: Dataset, queries: Folders, gallery: Folders
    ) -> list[tuple[int, tuple[ImageRecord, ...], tuple[ImageRecord, ...]]]:
        """Return number, queries and gallery of every trial."""
        if self.draw == "official":
            return [
                (number, _everything(queries), drawn)
                for number, drawn in zip(
                    self.trial_numbers, self._official_galleries(dataset, gallery), strict=True
                )
            ]
        if self.draw == "py-seed" and self.drawn == "gallery":
            return [(n, _everything(queries), _choice(gallery, n)) for n in self.trial_numbers]
        if self.draw == "py-seed":
            return [(n, _choice(queries, n), _everything(gallery)) for n in self.trial_numbers]
        if self.draw == "split" and dataset.trial not in self.trial_numbers:
            raise VireidError(f"{self.id} needs a data set with splits; {dataset.name} has none")
        # Nothing is drawn from here on: the split, or all there is, makes the one trial.
        number = dataset.trial if self.draw == "split" else self.trial_numbers[0]
        return [(number or 0, _everything(queries), _everything(gallery))]

    def _of(self, trial: Trial) -> str:
        """Return the cameras or the spectrum of which a trial has no picture."""
        missing = 1 if trial.queries else 0
        cameras = (self.query_cameras, self.gallery_cameras)[missing]
        return " or ".join(cameras) if cameras else f"the {self.modalities[missing]} spectrum"

    def _official_galleries(
        self, dataset: Dataset, folders: Folders
    ) -> list[tuple[ImageRecord, ...]]:
        """Draw the official galleries, ordered by camera, then person, as the published code."""
        # As in the published code, a trial takes the first entries of its row for each person and
        # camera. Entries count from 1 the pictures that are on disk, by file name.
        permutations = read_permutations(dataset.root)
        people = sorted({r.identity for r in dataset.test if r.identity is not None})
        keys = [(person, camera) for camera in self.gallery_cameras or () for person in people]
        for key in keys:
            check_permutation(key, folders.get(key, ()), permutations.get(key), self.trial_numbers)
        return [
            tuple(
                folders[key][place - 1]
                for key in keys
                if key in folders
                for place in permutations[key][number, : PICTURES_OF_SHOT[self.shot or "single"]]
            )
            for number in self.trial_numbers
        ]


def listing(records: Sequence[ImageRecord]) -> str:
    """Return one line for each picture, `cam1/0006/0025.jpg`, or for each tracklet its name.

    Lines are the same on every machine and for every suffix. A tracklet's line is its name; that of
    one of several people in a frame ends in the box.
    """
    return "\n".join(record.tracklet or _listed(record) for record in records)


def _listed(record: ImageRecord) -> str:
    name = "/".join((*record.path.parts[-3:-1], f"{record.path.stem}.jpg"))
    return f"{name} {record.box}" if record.box else name


def list_fingerprint(records: Sequence[ImageRecord]) -> str:
    """Return the SHA-256 of a listing; equal where two programs drew the same gallery."""
    return hashlib.sha256(listing(records).encode()).hexdigest()


def _cameras(trial: Trial) -> tuple[Shaped[np.ndarray, "q 1"], Shaped[np.ndarray, " g"]]:
    """Return the cameras of queries and gallery; empty strings where unknown."""
    queries = np.array([record.camera or "" for record in trial.queries])[:, None]
    return queries, np.array([record.camera or "" for record in trial.gallery])


def _same(trial: Trial, field: str) -> Bool[np.ndarray, "q g"]:
    """Return where query and gallery picture have the same value in a field, which is known."""
    queries, gallery = ([getattr(r, field) for r in of] for of in (trial.queries, trial.gallery))
    known = np.array([value is not None for value in queries])
    return np.asarray(known[:, None] & (np.array(queries)[:, None] == np.array(gallery)))


def _seconds(records: Sequence[ImageRecord]) -> Shaped[np.ndarray, " n"]:
    """Return when pictures were taken, in seconds; NaN where that is unknown."""
    return np.array([moment(r.time) / 1e6 if r.time else np.nan for r in records])


def _parts(dataset: Dataset) -> tuple[Sequence[ImageRecord], Sequence[ImageRecord]]:
    """Return the records from which queries and gallery are taken."""
    queries, gallery = dataset.test_queries, dataset.test_gallery
    return (
        dataset.test if queries is None else queries,
        dataset.test if gallery is None else gallery,
    )


def _folders(records: Sequence[ImageRecord], cameras: Sequence[str] | None) -> Folders:
    """Return pictures by person and camera, sorted; those of one camera by file name."""
    folders: dict[tuple[int, str], list[ImageRecord]] = {}
    for record in records:
        if record.identity is None or (record.camera is None and cameras is not None):
            raise VireidError(f"{record.path}: a test picture needs an identity and a camera")
        if cameras is None or record.camera in cameras:
            folders.setdefault((record.identity, record.camera or ""), []).append(record)
    return {key: sorted(folders[key], key=_by_name) for key in sorted(folders)}


def _by_name(record: ImageRecord) -> tuple[str, str, tuple[int, ...]]:
    """Return a sorting key; path and box break ties between pictures of one name."""
    return record.path.name, str(record.path), record.box.corners if record.box else ()


def _everything(folders: Folders) -> tuple[ImageRecord, ...]:
    return tuple(record for records in folders.values() for record in records)


def _choice(folders: Folders, seed: int) -> tuple[ImageRecord, ...]:
    """Draw one picture a folder, all from one generator, in the order of the folders."""
    # Published code seeds Python's generator once a trial and draws folder by folder: in another
    # order, or with a generator for each, the same seed would draw another gallery.
    generator = random.Random(seed)
    return tuple(generator.choice(records) for records in folders.values())
