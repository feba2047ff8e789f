"""A summary of the people and cameras on some pictures, and of what names them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from vireid.console import shortened
from vireid.datasets._files import SHOWN
from vireid.records import ImageRecord

IN_WORDS = {"identity": "people", "camera": "cameras", "modality": "spectra"}


@dataclass(frozen=True)
class Origin:
    """The source of a label: a folder, a column or an option."""

    label: str
    """Field of the record: `modality`, `identity` or `camera`."""
    kind: Literal["option", "column", "folder"]
    level: int | None = None
    """Depth of the folders that name it, 0 for the source itself; None for other origins."""


@dataclass(frozen=True)
class Seen:
    """The people and cameras of some records, and where their names come from."""

    people: int
    cameras: tuple[str, ...]
    origins: Mapping[Origin, int]
    """Number of pictures that each origin labels."""
    examples: Mapping[Origin, str]
    """Example of each origin: a folder, the column or the option."""

    @classmethod
    def of(cls, records: Sequence[ImageRecord], said: Iterable[Mapping[Origin, str]]) -> "Seen":
        """Sum up some records.

        Args:
            records: Records of the pictures.
            said: Origin of each record's labels, with the folder, column or option.
        """
        counts, examples = Counter[Origin](), dict[Origin, str]()
        for each in said:
            counts.update(each.keys())
            examples = {**each, **examples} if each.keys() - examples.keys() else examples
        people = {record.who for record in records} - {None}
        cameras = {record.camera for record in records if record.camera is not None}
        return cls(len(people), tuple(sorted(cameras)), counts, examples)

    def as_dict(self) -> dict[str, Any]:
        """Return the summary for programs."""
        return {
            "people": self.people,
            "cameras": list(self.cameras),
            "labels_from": [
                {**asdict(origin), "example": self.examples[origin], "pictures": count}
                for origin, count in self.origins.items()
            ],
        }

    def lines(self) -> Iterator[str]:
        """Return the summary for people: a line for persons, one for cameras, one for spectra."""
        shown = ", ".join(map(shortened, self.cameras[:SHOWN])) + (
            ", .." if len(self.cameras) > SHOWN else ""
        )
        cameras = f"{len(self.cameras)} ({shown})" if self.cameras else "none known"
        yield f"people: {self.people or 'none known'}{self._named_by('identity')}"
        yield f"cameras: {cameras}{self._named_by('camera')}"
        yield f"spectra: {self._named_by('modality').removeprefix(', ')}"

    def _named_by(self, label: str) -> str:
        origins = [origin for origin in self.origins if origin.label == label]
        return "".join(f", named by {self._told(origin)}" for origin in origins)

    def _told(self, origin: Origin) -> str:
        pictures = f" ({self.origins[origin]} pictures)"
        if origin.kind != "folder":
            return f"{origin.kind} {self.examples[origin]}{pictures}"
        level = "" if origin.level is None else f" of level {origin.level}"
        return f"folders{level} such as {self.examples[origin]}{pictures}"
