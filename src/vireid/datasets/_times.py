"""Times in the names of files, as recorders write them: `gate_20261124_183000_0003.jpg`."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from vireid.errors import VireidError

PARTS = {
    "Y": r"(?:19|20)\d\d",
    "y": r"\d\d",
    "m": r"(?:0[1-9]|1[0-2])",
    "d": r"(?:0[1-9]|[12]\d|3[01])",
    "H": r"(?:[01]\d|2[0-3])",
    "M": r"[0-5]\d",
    "S": r"[0-5]\d",
    "f": r"\d{1,6}",
}
"""Patterns of the parts of a time, by Python's letters for them (`strftime`)."""


@dataclass(frozen=True)
class TimePattern:
    """A pattern such as `%Y%m%d_%H%M%S`, found anywhere in the name of a file.

    Raises:
        VireidError: The pattern has another letter than Y, y, m, d, H, M, S and f, or no day.
    """

    text: str

    def __post_init__(self) -> None:
        letters = re.findall(r"%(.)", self.text)
        strange = [letter for letter in letters if letter not in PARTS]
        if strange or not {"m", "d"} <= set(letters) or not {"Y", "y"} & set(letters):
            raise VireidError(
                f"time pattern {self.text!r} is none; write for instance %Y%m%d_%H%M%S, with the "
                f"letters {', '.join(PARTS)}, at least year, month and day"
            )

    def read(self, name: str) -> datetime | None:
        """Return the time in the name of a file; None if there is none."""
        found = self._searched.search(name)
        try:
            return datetime.strptime(found[0], self.text) if found else None
        except ValueError:
            return None

    @cached_property
    def _searched(self) -> re.Pattern[str]:
        parts = re.split(r"%(.)", self.text)
        literal, letters = map(re.escape, parts[::2]), [PARTS[part] for part in parts[1::2]]
        pieces = [piece for pair in zip(literal, [*letters, ""], strict=True) for piece in pair]
        return re.compile(rf"(?<!\d){''.join(pieces)}(?!\d)")
