"""A client of the service: the words of `Gallery`, over HTTP.

    with RemoteGallery.open("http://127.0.0.1:8750/site", key="vireid_...") as gallery:
        for hit in gallery.search("night.jpg", top=5).hits:
            print(hit.rank, round(hit.similarity, 2), hit.person, hit.camera)

Needs nothing but httpx2: `pip install 'vireid[client]'`. An address names a service and a gallery
in it; the gallery may be left out where there is only one.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal
from urllib.parse import urlsplit

import httpx2
import msgspec

from vireid.errors import VireidError
from vireid.files.atomic import whole_file, writing_to

API = "/api/v1"
KEY = "VIREID_KEY"
"""Variable of the environment that holds the key."""
COUNT = "X-Pictures"
"""Header of a backup that tells the number of pictures in it."""
AT_ONCE = 16
"""Pictures that are sent in one request."""
Among = Literal["other", "both", "visible", "infrared"]
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


class ServiceError(VireidError):
    """The service has refused something, or cannot be reached; the message is the service's."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """Status of HTTP; None where there was no answer."""


@dataclass(frozen=True)
class Picture:
    """One picture of one person."""

    id: str
    name: str
    """Path from its source on."""
    person: str | int | None
    camera: str | None
    modality: str
    time: str | None
    tracklet: str | None
    tags: list[str]
    box: list[int] | None
    thumbnail: str
    """Address of a small picture, below that of the service."""
    image: str
    frame: str | None


@dataclass(frozen=True)
class RemoteHit(Picture):
    """One answer to a search."""

    rank: int = 0
    similarity: float = 0.0
    probability: float | None = None
    same: bool | None = None
    """Whether somebody has said that it shows the person searched for; None where nobody has."""


@dataclass(frozen=True)
class RemoteAnswer:
    """The hits of one search."""

    search: str
    """Id of the search, for `judge`."""
    hits: list[RemoteHit]
    caveats: list[str]
    document: dict[str, Any]
    """The whole answer of the service."""

    @property
    def nobody_probability(self) -> float | None:
        """Chance that no picture searched shows the person; None where nobody has calibrated it."""
        told: float | None = self.document["nobody_probability"]
        return told

    @property
    def nobody(self) -> str | None:
        """Why there is no hit, where there is none."""
        told = self.document["nobody"]
        return told["reason"] if told else None


@dataclass(frozen=True)
class Removal:
    """Pictures that were removed."""

    id: str
    removed: int
    undo_until: str | None


def is_address(gallery: str | Path) -> bool:
    """Whether a gallery is named by the address of a service."""
    return isinstance(gallery, str) and _ADDRESS.match(gallery) is not None


class RemoteGallery:
    """A gallery that a service holds."""

    def __init__(self, client: httpx2.Client, name: str, address: str) -> None:
        """Take a client that is open already; see `open`."""
        self._client, self.name, self.address = client, name, address

    @classmethod
    def open(
        cls, address: str, key: str | None = None, *, timeout: float = 60.0
    ) -> "RemoteGallery":
        """Open a gallery of a service.

        Args:
            address: `http://HOST:PORT/NAME`; without a name, the only gallery of the service.
            key: API key; by default that of the environment's VIREID_KEY.
            timeout: Seconds to wait for an answer.

        Raises:
            ServiceError: It cannot be reached, the key is not valid, or there is no such gallery.
        """
        parts = urlsplit(address)
        key = key if key is not None else os.environ.get(KEY)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        client = httpx2.Client(
            base_url=f"{parts.scheme}://{parts.netloc}", headers=headers, timeout=timeout
        )
        try:
            gallery = cls(client, parts.path.strip("/"), address)
            gallery.name = gallery._found()
        except BaseException:
            client.close()
            raise
        return gallery

    def _found(self) -> str:
        names = [each["name"] for each in self._ask("GET", f"{API}/galleries")["galleries"]]
        if self.name in names:
            return self.name
        if not self.name and len(names) == 1:
            return str(names[0])
        there = ", ".join(names) or "none"
        raise ServiceError(f"{self.address} names no gallery of this service; it has {there}")

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> "RemoteGallery":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return int(self.info()["pictures"])

    def info(self) -> dict[str, Any]:
        """Return what the gallery holds."""
        return self._ask("GET", self._at())

    def search(
        self,
        pictures: str | Path | Picture | Sequence[str | Path | Picture] = (),
        top: int = 10,
        filters: Iterable[str] = (),
        *,
        text: str | None = None,
        query_modality: str | None = None,
        among: Among = "other",
        combined: Literal["mean", "best"] = "mean",
        by: Literal["person", "tracklet"] | None = None,
        min_similarity: float | None = None,
        centred: bool = False,
    ) -> RemoteAnswer:
        """Find a person.

        Args:
            pictures: Files, or pictures of the gallery, all of one person.
            top: Largest number of hits.
            filters: Words such as `camera:gate`.
            text: A sentence in English in place of pictures, if the gallery's model reads text.
            query_modality: Spectrum of the files; by default the service guesses it by their
                colours.
            among: Spectrum to search in: the `other` than that of the first picture, or `both`.
            combined: What counts of several pictures.
            by: Show only the best hit of each person or tracklet.
            min_similarity: Leave out hits that are less similar.
            centred: Subtract the means of cameras.

        Raises:
            ServiceError: Something does not fit, or the service cannot be reached.
        """
        given = [pictures] if isinstance(pictures, str | Path | Picture) else list(pictures)
        data: dict[str, Any] = {
            "pictures": [each.id for each in given if isinstance(each, Picture)],
            "text": text,
            "modality": query_modality or "auto",
            "among": among,
            "filter": [_quoted(word) for word in filters],
            "top": top,
            "group": by or "none",
            "several": combined,
            "min_similarity": min_similarity,
            "centre": centred,
        }
        files = [Path(each) for each in given if not isinstance(each, Picture)]
        told = self._send(self._at("search"), files, data)
        hits = msgspec.convert(told["hits"], list[RemoteHit])
        return RemoteAnswer(told["search"], hits, told["caveats"], told)

    def entries(self, filters: Iterable[str] = ()) -> Iterator[Picture]:
        """Yield the pictures that filters let pass."""
        after, words = None, [_quoted(word) for word in filters]
        while True:
            asked = {"filter": words, "limit": 500} | ({"after": after} if after else {})
            page = self._ask("GET", self._at("pictures"), params=asked)
            yield from msgspec.convert(page["pictures"], list[Picture])
            after = page["next"]
            if after is None:
                return

    def add(
        self,
        files: Iterable[str | Path],
        *,
        modality: str | None = None,
        camera: str | None = None,
        person: str | None = None,
        tags: Iterable[str] = (),
    ) -> tuple[list[str], list[str]]:
        """Send pictures; return the ids of those that were added, and why others were not.

        Raises:
            ServiceError: The key may not, or the service cannot be reached.
        """
        data = {
            "modality": modality or "auto",
            "camera": camera,
            "person": person,
            "tags": list(tags),
        }
        paths, ids, skipped = [Path(file) for file in files], list[str](), list[str]()
        for start in range(0, len(paths), AT_ONCE):
            some = paths[start : start + AT_ONCE]
            told = self._send(self._at("pictures"), some, data)
            ids += told["ids"]
            skipped += [
                f"{some[_number(each['where'])]}: {each['reason']}" for each in told["skipped"]
            ]
        return ids, skipped

    def label(
        self,
        picture: Picture | str,
        person: str | None = None,
        camera: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> Picture:
        """Say who is on a picture, which camera took it, and all its tags; None leaves it as it is.

        Raises:
            ServiceError: There is no such picture, or the key may not.
        """
        said = {"person": person, "camera": camera, "tags": None if tags is None else list(tags)}
        told = self._ask("PATCH", self._at("pictures", _id(picture)), json=said)
        return msgspec.convert(told, Picture)

    def remove(
        self, filters: Iterable[str] = (), *, ids: Iterable[str] = (), expect: int | None = None
    ) -> Removal:
        """Remove pictures; they can come back for some minutes.

        Args:
            filters: Words such as `person:anna`; or
            ids: Ids of pictures.
            expect: Number of pictures that are expected to go; else nothing is removed.

        Raises:
            ServiceError: It would be another number, or the key may not.
        """
        words = [_quoted(word) for word in filters]
        wanted = {"filter": words, "ids": list(ids), "expect": expect}
        return msgspec.convert(self._ask("POST", self._at("removals"), json=wanted), Removal)

    def undo(self, removal: Removal | str) -> int:
        """Bring removed pictures back; return how many came.

        Raises:
            ServiceError: The removal is final.
        """
        id_ = removal if isinstance(removal, str) else removal.id
        return int(self._ask("DELETE", self._at("removals", id_))["restored"])

    def judge(self, query: str | Picture | RemoteAnswer, hit: Picture, *, same: bool) -> None:
        """Say of a hit whether it shows the person searched for.

        Raises:
            ServiceError: There is no such picture, or the search is too long ago.
        """
        asked = query.search if isinstance(query, RemoteAnswer) else _id(query)
        said = {"query": asked, "picture": hit.id, "same": same}
        self._ask("POST", self._at("judgements"), json=said)

    def index(self, source: str, *, modality: str | None = None, camera: str | None = None) -> str:
        """Have the service index a folder of its machine; return the id of the job.

        Raises:
            ServiceError: The folder may not be indexed, or the key may not.
        """
        wanted = {"gallery": self.name, "source": source, "modality": modality, "camera": camera}
        return str(self._ask("POST", f"{API}/jobs", json=wanted)["id"])

    def job(self, id_: str) -> dict[str, Any]:
        """Return how far a job is."""
        return self._ask("GET", f"{API}/jobs/{id_}")

    def image(self, picture: Picture, look: Literal["thumbnail", "image", "frame"]) -> bytes:
        """Return a picture as JPEG.

        Raises:
            ServiceError: Its file is gone, or has changed.
        """
        return self._answer("GET", self._at("pictures", picture.id, look)).content

    def backup(self, archive: Path | str) -> int:
        """Copy the gallery, as of one moment, into an archive; it takes a key of the scope admin.

        Args:
            archive: File to write, a ZIP archive; a file that is there is replaced.

        Returns:
            The number of pictures in it.

        Raises:
            ServiceError: The service refuses.
            VireidError: The file cannot be written.
        """
        path, place = Path(archive), self._at("backup")
        with (
            self._reaching(),
            self._client.stream("GET", place, timeout=None) as answer,
        ):
            if not answer.is_success:
                answer.read()
                raise self._refusal(answer)
            with writing_to(path), whole_file(path) as file:
                for some in answer.iter_bytes():
                    file.write(some)
            return int(answer.headers[COUNT])

    def restore(self, archive: Path | str) -> int:
        """Have the gallery become what `backup` has copied; it takes a key of the scope admin.

        Returns:
            The number of its pictures.

        Raises:
            ServiceError: The service refuses; the gallery is as it was.
            VireidError: The file cannot be read.
        """
        with _opened(Path(archive)) as file:
            given: Any = {"files": {"archive": ("backup.zip", file)}, "timeout": None}
            return int(self._ask("POST", self._at("restore"), **given)["pictures"])

    def _at(self, *parts: str) -> str:
        return "/".join((f"{API}/galleries/{self.name}", *parts))

    def _send(self, path: str, files: Sequence[Path], data: dict[str, Any]) -> dict[str, Any]:
        said = {name: value for name, value in data.items() if value not in (None, [], ())}
        with ExitStack() as stack:
            opened: list[tuple[str, tuple[str, IO[bytes]]]] = []
            for number, file in enumerate(files):
                opened.append(("images", (str(number), stack.enter_context(_opened(file)))))
            return self._ask("POST", path, data=said, files=opened or None)

    def _ask(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        told = self._answer(method, path, **given).json()
        assert isinstance(told, dict)
        return told

    def _answer(self, method: str, path: str, **given: Any) -> httpx2.Response:
        with self._reaching():
            answer = self._client.request(method, path, **given)
        if answer.is_success:
            return answer
        raise self._refusal(answer)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx2.HTTPError as error:
            base = self._client.base_url
            raise ServiceError(f"{base} cannot be reached ({error}); is the service up?") from error

    def _refusal(self, answer: httpx2.Response) -> ServiceError:
        """Return why the service has refused."""
        try:
            why = str(answer.json()["detail"])
        except (ValueError, KeyError, TypeError):
            why = f"{answer.status_code} {answer.reason_phrase}"
        hint = f" (the key is taken from {KEY})" if answer.status_code == 401 else ""
        return ServiceError(f"{self.address}: {why}{hint}", answer.status_code)


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise VireidError(f"{path}: {error.strerror}; check the path") from error


def _quoted(word: str) -> str:
    """Return a filter as the service takes it, which splits words as a shell does."""
    name, colon, value = word.partition(":")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}{colon}"{escaped}"' if colon else word


def _id(picture: Picture | str) -> str:
    return picture if isinstance(picture, str) else picture.id


def _number(where: str) -> int:
    """Return the number of a file that the service names by its place: `images[3]`."""
    return int(where.partition("[")[2].rstrip("]"))
