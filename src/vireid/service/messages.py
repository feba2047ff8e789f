"""Messages: what is said over HTTP, with examples, as the document of the API shows it."""

from typing import Annotated, Any, Literal

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

from vireid.service.keys import Scope

Spectrum = Literal["visible", "infrared"]
Among = Literal["other", "both", "visible", "infrared"]
Label = Annotated[str, Field(max_length=200)]
MOST_TOP = 1_000
"""Largest number of hits."""


class Message(BaseModel):
    """A document whose members are all that there are."""

    model_config = ConfigDict(extra="forbid", str_max_length=20_000)


class ProblemDocument(BaseModel):
    """What is wrong, and the way out (RFC 9457)."""

    type: str = "about:blank"
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no gallery 'nort'; did you mean 'north'?"])
    instance: str = Field(examples=["/api/v1/galleries/nort"])
    request_id: str | None = Field(examples=["5f0c1d5e9b7a4c02"])
    errors: list[dict[str, str]] = Field(default=[], description="Each part that is not valid.")


class Model(Message):
    """The model that embedded a gallery's pictures."""

    name: str = Field(examples=["small"])
    fingerprint: str = Field(examples=["0f1e2d3c4b5a6978"])
    precision: str
    caveat: str | None = Field(description="What a person needs to know to judge hits.")
    text: bool = Field(description="Whether it can be searched by a sentence.")


class GalleryDocument(Message):
    """A gallery, and what it holds."""

    name: str = Field(examples=["site"])
    pictures: int = Field(examples=[2460])
    modalities: dict[str, int] = Field(examples=[{"visible": 1640, "infrared": 820}])
    cameras: dict[str, int] = Field(description="Pictures of each camera.")
    people: dict[str, int] = Field(description="Pictures of each person who has a name.")
    identities: int = Field(description="Number of people who are known by a number.")
    days: dict[str, int] = Field(description="Pictures of each day.")
    tags: list[str]
    sources: list[str] = Field(description="Folders that were indexed, for the filters in: source:")
    model: Model
    keep_days: float | None = Field(description="Days after which `vireid index` removes pictures.")
    can_write: bool = Field(description="Whether whoever asks may add, label and remove.")
    probability: bool = Field(description="Whether hits have a probability.")
    undo_minutes: int = Field(description="Minutes for which a removal can be undone.")


class Galleries(Message):
    """All galleries."""

    galleries: list[GalleryDocument]


class Picture(Message):
    """One picture of one person."""

    id: str = Field(examples=["YTFiMmMzZDRlNWY2AHZpc2libGUvY2FtMS8xLmpwZwA"])
    name: str = Field(description="Path from its source on.", examples=["photos/cam1/0012/a.jpg"])
    person: str | int | None = Field(description="Name, or number, of the person.")
    camera: str | None = Field(examples=["gate"])
    modality: Spectrum
    time: str | None = Field(description="When it was taken (ISO 8601).")
    tracklet: str | None
    tags: list[str]
    box: list[int] | None = Field(description="Left, top, right, bottom in the frame.")
    thumbnail: str = Field(description="Address of a small picture.")
    image: str = Field(description="Address of the picture.")
    frame: str | None = Field(description="Address of the whole frame, where there is one.")


class HitDocument(Picture):
    """One answer: a picture, and how similar it is."""

    rank: int
    similarity: float
    probability: float | None = Field(
        description="Probability that it shows the person; null where nobody has calibrated it."
    )
    same: bool | None = Field(
        description="What was said of it for the first picture that was searched with: the same "
        "person, or another; null where nobody has judged it."
    )


class SearchRequest(Message):
    """Who is looked for, and where."""

    model_config = ConfigDict(extra="ignore")

    images: list[UploadFile] = Field(
        default=[], description="Pictures of one person that count together."
    )
    pictures: list[str] = Field(
        default=[], max_length=100, description="Ids of pictures of the gallery."
    )
    text: str | None = Field(
        default=None,
        max_length=1000,
        description="A sentence in English, if the model reads text.",
    )
    modality: Literal["auto", "visible", "infrared"] = Field(
        default="auto",
        description="Spectrum of the pictures sent; `auto` guesses by their colours.",
    )
    among: Among = Field(
        default="other", description="Spectrum to search in; `other` than the first picture's."
    )
    filter: list[str] = Field(default=[], max_length=50, description="Words such as `camera:gate`.")
    top: int = Field(default=20, ge=1, le=MOST_TOP)
    group: Literal["none", "person", "tracklet"] = Field(
        default="none", description="Show only the best of each."
    )
    several: Literal["mean", "best"] = Field(
        default="mean", description="What counts of several pictures."
    )
    min_similarity: float | None = Field(default=None, ge=-1, le=1)
    centre: bool = Field(default=False, description="Subtract what all pictures of a camera share.")


class QueryDocument(Message):
    """What was searched with."""

    modality: Spectrum | None
    guessed: bool = Field(description="Whether the spectrum was told by the picture's colours.")
    picture: str | None = Field(description="Id, where it is a picture of the gallery.")
    text: str | None = None


class Nobody(Message):
    """Nobody here is similar enough: an answer, not an error."""

    reason: str = Field(examples=["nobody is 0.4 similar or more"])


class SearchAnswer(Message):
    """The hits of a search, most similar first."""

    schema_version: int = Field(description="Version of this form; later ones may add members.")
    search: str = Field(description="Id of this search, for judgements.")
    gallery: str
    query: QueryDocument
    queries: list[QueryDocument] = Field(description="All that was searched with.")
    several: Literal["mean", "best"]
    modality: Spectrum | None = Field(description="Spectrum that was searched; null for both.")
    filters: dict[str, Any]
    group: Literal["none", "person", "tracklet"]
    centred: bool
    hits: list[HitDocument]
    nobody: Nobody | None = Field(description="Where there is no hit: why.")
    nobody_probability: float | None = Field(
        description="Probability that no picture searched shows the person; null where nobody has "
        "calibrated it."
    )
    model: Model
    caveats: list[str]
    took_ms: float


class ComparisonRequest(Message):
    """A hit of a search."""

    search: str = Field(max_length=100, description="Id of the search.")
    picture: str = Field(max_length=8192, description="Id of the hit.")


Map = list[list[float]]


class Comparison(Message):
    """Where a hit and the first picture that was searched with are alike, in rows from the top."""

    how: Literal["parts", "covered"] | None = Field(
        default=None,
        description="`parts`: what each part adds to the similarity, all of it in all. `covered`: "
        "what the similarity loses when each place is covered, for models whose numbers do not "
        "stand for parts.",
    )
    similarity: float | None = Field(default=None, examples=[0.71])
    query: Map | None = Field(
        default=None,
        description="Places of the first picture that was searched with; some may be below zero.",
        examples=[[[0.15, 0.16], [0.19, 0.2], [-0.01, 0.02]]],
    )
    hit: Map | None = Field(
        default=None,
        description="Places of the hit.",
        examples=[[[0.15, 0.16], [0.19, 0.2], [-0.01, 0.02]]],
    )
    reason: str | None = Field(default=None, description="Why there is nothing of this.")


class Pictures(Message):
    """Some pictures of a gallery."""

    pictures: list[Picture]
    next: str | None = Field(description="What to give as `after` for more; null at the end.")


class Bin(Message):
    """Pictures of one camera in one hour."""

    camera: str | None
    hour: str | None = Field(examples=["2026-11-24T18"], description="Null where no time is known.")
    pictures: int


class Timeline(Message):
    """Where pictures were taken, and when."""

    bins: list[Bin]


class Refused(Message):
    """A picture that could not be used."""

    where: str = Field(examples=["images[2]"])
    reason: str


class Added(Message):
    """Pictures that were added."""

    ids: list[str]
    skipped: list[Refused]


class Labels(Message):
    """What to say of a picture; what is left out stays."""

    person: Label | None = Field(
        default=None, description="Name or number; empty for nobody known.", examples=["anna"]
    )
    camera: Label | None = Field(default=None, description="Name; empty for none.")
    tags: list[Label] | None = Field(default=None, max_length=50, description="All its tags.")


class RemovalRequest(Message):
    """Which pictures to remove: those of ids, or those that filters let pass."""

    filter: list[Label] = Field(default=[], max_length=50, examples=[["person:anna"]])
    ids: list[str] = Field(default=[], max_length=1000)
    expect: int | None = Field(
        default=None,
        ge=0,
        le=2**31,
        description="Number of pictures that you expect to go; else nothing is removed.",
    )


class Removal(Message):
    """Pictures that were removed."""

    id: str
    removed: int
    undo_until: str | None = Field(description="When it becomes final (ISO 8601).")


class Restored(Message):
    """Pictures that are back."""

    restored: int


class RestoredBackup(Message):
    """A gallery that has become what a backup held."""

    pictures: int = Field(description="Number of its pictures.", examples=[2460])


class JudgementRequest(Message):
    """Say whether a hit shows the person searched for."""

    query: str = Field(description="Id of the picture searched with, or of the search.")
    picture: str = Field(description="Id of the hit.")
    same: bool


class Judged(Message):
    """A judgement that was kept."""

    judgements: int = Field(description="Number of all judgements of the gallery.")


class SessionRequest(Message):
    """A key, to sign in on the page."""

    key: str = Field(max_length=200)


class Session(Message):
    """Who is asking."""

    authenticated: bool
    name: str | None = Field(description="Name of the key.")
    scopes: list[Scope]
    key_required: bool


class Health(Message):
    """The process answers."""

    status: Literal["ok"] = "ok"
    version: str


class Ready(Message):
    """Galleries and models are open."""

    status: Literal["ready", "starting", "stopping"]
    galleries: int


class Uploaded(Message):
    """Pictures that wait to be indexed by a job."""

    upload: str
    pictures: int
    skipped: list[Refused]


class JobRequest(Message):
    """Index a folder, or an upload, into a gallery."""

    kind: Literal["index"] = "index"
    gallery: str = Field(max_length=64)
    source: str | None = Field(
        default=None, max_length=4096, description="Folder or list below a folder of the settings."
    )
    upload: str | None = Field(default=None, max_length=64, description="Id of an upload.")
    modality: Spectrum | None = Field(default=None, description="Spectrum of all pictures.")
    camera: Label | None = Field(default=None, description="Camera of all pictures.")


State = Literal["waiting", "running", "done", "failed", "cancelled"]


class Progress(Message):
    """How far a job is."""

    what: str = Field(examples=["indexing pictures"])
    done: int
    total: int


class Job(Message):
    """A job, and how far it is."""

    id: str
    kind: Literal["index"]
    gallery: str
    source: str
    state: State
    progress: Progress | None
    created: str
    ended: str | None
    by: str | None = Field(description="Name of the key that asked for it.")
    result: dict[str, Any] | None = Field(description="What `vireid index --json` prints.")
    error: str | None


class Jobs(Message):
    """All jobs, the latest first."""

    jobs: list[Job]
