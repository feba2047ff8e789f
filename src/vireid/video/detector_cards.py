"""Cards of detectors: what an ONNX file expects, what it answers, and where to get it.

A card is a small TOML file. vireid holds cards and no weights: the weights are yours, and some can
be fetched by name. A card of your own lies beside its file (`mine.onnx`, `mine.toml`) or is named.
"""

import hashlib
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from vireid.errors import VireidError, suggestion
from vireid.files.atomic import whole_file, writing_to
from vireid.files.cache import cache_folder
from vireid.files.documents import read_toml
from vireid.files.untrusted import is_file, open_plain, what_is_wrong
from vireid.progress import tell
from vireid.records import Modality

FOLDER = Path(__file__).parent / "detectors"
"""Folder of the cards that come with vireid."""
CHUNK = 2**18
"""Bytes that are fetched or hashed at a time."""
PATIENCE = 30
"""Seconds without a byte after which a download is given up."""

Side = Annotated[int, msgspec.Meta(ge=32, le=8192)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Colour = tuple[float, float, float]


class DetectorError(VireidError):
    """A detector that cannot be used: its file, its card, or both together."""


@dataclass(frozen=True)
class Input:
    """What the network expects."""

    width: Side
    """Columns of a picture."""
    height: Side
    """Rows of a picture."""
    fit: Literal["corner", "centre", "stretched"]
    """How a frame is brought to that size: shrunk as it is and put into a corner or the centre, the
    rest filled up, or stretched."""
    colours: Literal["rgb", "bgr"]
    mean: Colour = (0.0, 0.0, 0.0)
    """Grey level that is subtracted from each colour, in the order of `colours`."""
    deviation: Colour = (1.0, 1.0, 1.0)
    """What each colour is divided by afterwards."""
    padding: float | None = None
    """Grey level that fills up; by default the mean."""
    layout: Literal["nchw", "nhwc"] = "nchw"
    name: str | None = None
    """Name of the input; by default the only one, or the first."""
    size_name: str | None = None
    """Name of a second input that takes width and height, where the graph scales boxes itself."""


@dataclass(frozen=True)
class Output:
    """What the network answers."""

    decoder: Literal["nanodet", "yolox", "ssd", "detr"]
    scores: tuple[str, ...]
    """Names of the outputs that hold scores of classes, one for each stride or one for all."""
    boxes: tuple[str, ...] = ()
    """Names of the outputs that hold boxes; none where they stand beside the scores."""
    labels: str | None = None
    """Name of the output that holds classes (ssd)."""
    person: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0
    """Number of the class of persons."""
    classes: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 80
    """Number of classes; boxes without an output of their own stand behind them (nanodet)."""
    strides: tuple[Annotated[int, msgspec.Meta(ge=1, le=256)], ...] = ()
    """Pixels between two cells, of each grid (nanodet, yolox)."""
    centre: tuple[float, float] = (0.0, 0.0)
    """Where a cell's centre is: share of the stride, plus pixels (nanodet)."""
    corners: Literal["xyxy", "yxyx"] = "xyxy"
    """Order of a box's sides (ssd)."""
    unit: Literal["pixels", "shares"] = "pixels"
    """Unit of a box's sides: pixels of the input, or shares of it (ssd)."""


@dataclass(frozen=True)
class Thresholds:
    """Which boxes are people."""

    visible: Share = 0.4
    """Least score in a visible frame."""
    infrared: Share = 0.35
    """Least score in an infrared frame, where scores are lower."""
    overlap: Share = 0.5
    """Largest overlap (IoU) of two people; 1 where the network removes repeats itself."""
    widest: Annotated[float, msgspec.Meta(gt=0)] = 1.2
    """Largest width of a person, in heights: what is wider lies or is no person."""
    largest: Share = 0.8
    """Largest share of the frame that a person takes; warm walls look like larger ones."""

    def least(self, modality: Modality) -> float:
        """Return the least score of a person in a spectrum."""
        return self.visible if modality is Modality.VISIBLE else self.infrared


@dataclass(frozen=True)
class Origin:
    """Where a file comes from."""

    licence: str
    page: str
    """Address of a page for people."""
    how: str
    """How to get or to make the file, in one sentence."""
    url: str | None = None
    """Address that it can be fetched from."""
    sha256: str | None = None
    megabytes: float | None = None


@dataclass(frozen=True)
class Card:
    """All that has to be known of a detector beside its file."""

    title: str
    input: Input
    output: Output
    origin: Origin
    thresholds: Thresholds = field(default_factory=Thresholds)
    format: Literal[1] = 1


def available() -> list[str]:
    """Return the names of the cards that come with vireid, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read(path: Path) -> Card:
    """Read a card.

    Raises:
        DetectorError: It cannot be read, or is no card.
    """
    way_out = "see `vireid detector list` for cards that are complete"
    card: Card = read_toml(path, Card, way_out, DetectorError)
    if 0 in card.input.deviation:
        raise DetectorError(f"{path} divides by a deviation of 0; give 1 to leave colours alone")
    return card


def shipped(name: str) -> Card:
    """Return a card that comes with vireid.

    Raises:
        DetectorError: None has this name.
    """
    if name not in available():
        raise DetectorError(f"no detector is called {name!r}; {suggestion(name, available())}")
    return read(FOLDER / f"{name}.toml")


def place_of(name: str) -> Path:
    """Return the place where the file of a card that comes with vireid is kept."""
    return cache_folder() / "detectors" / f"{name}.onnx"


def card_of(file: Path, given: str | None = None) -> Card:
    """Return the card of an ONNX file.

    Args:
        file: ONNX file.
        given: Name of a card that comes with vireid, or path of a card; by default the card beside
            the file, or one that comes with vireid and has the file's name or its content.

    Raises:
        DetectorError: There is none.
    """
    if given is not None:
        return shipped(given) if given in available() else read(Path(given))
    beside = file.with_suffix(".toml")
    if is_file(beside):
        return read(beside)
    named = file.stem.replace("-", "_")
    if named in available():
        return shipped(named)
    content = sha256_of(file)
    for name in available():
        if shipped(name).origin.sha256 == content:
            return shipped(name)
    raise DetectorError(
        f"nothing says what {file} expects and answers; write a card {beside}, or give one that is "
        f"like it by --card ({', '.join(available())})"
    )


def sha256_of(file: Path) -> str:
    """Return the hash of a file's content.

    Raises:
        DetectorError: It cannot be read.
    """
    try:
        with open_plain(file) as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        way_out = "give the ONNX file of a detector, or fetch one with `vireid detector get`"
        raise DetectorError(f"{file} {what_is_wrong(file, error)}; {way_out}") from error


def get(name: str, out: Path | None = None) -> Path:
    """Fetch the file of a card that comes with vireid, by https, and compare its hash.

    Args:
        name: Name of the card.
        out: Path of the file; by default where `Detector.open(name)` looks for it.

    Returns:
        The path of the file. One that is there and has the right hash is not fetched again.

    Raises:
        DetectorError: It can only be made, cannot be fetched, or is another file.
    """
    card, place = shipped(name), out or place_of(name)
    origin = card.origin
    if origin.url is None or origin.sha256 is None:
        raise DetectorError(f"{name} cannot be fetched. {origin.how}. Put the file at {place}")
    if is_file(place) and sha256_of(place) == origin.sha256:
        return place
    with writing_to(place):
        _fetch(origin.url, origin.sha256, place, f"fetching {name}")
    return place


def _fetch(url: str, sha256: str, place: Path, what: str) -> None:
    """Write what an address answers to a file, if it is what it should be."""
    by_hand = f"fetch {url} on another computer and put it at {place}"
    digest = hashlib.sha256()
    try:
        with _opener().open(url, timeout=PATIENCE) as answer, whole_file(place) as file:
            total, done = int(answer.headers.get("Content-Length") or 0), 0
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                tell(what, done, max(total, done + 1))
            if digest.hexdigest() != sha256:
                raise DetectorError(
                    f"what {url} answers has the hash {digest.hexdigest()}, not {sha256}; "
                    "nothing was kept, as it is another file"
                )
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise DetectorError(f"{url} could not be fetched ({reason}); {by_hand}") from error


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follows no address to a place that is not encrypted."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if urlsplit(newurl).scheme != "https":
            fp.close()
            raise urllib.error.URLError(f"it leads to {newurl}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_OnlyHttps)
