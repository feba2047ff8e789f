"""The check of `vireid data check`: is a data set on disk the one that was published?"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from rich import box
from rich.table import Table
from rich.text import Text

from vireid import datasets
from vireid.console import plain, shortened
from vireid.datasets import Counts, Dataset, in_one_table
from vireid.errors import MissingExtraError, VireidError
from vireid.pictures import PictureError, check_header, picture_of
from vireid.records import ImageRecord
from vireid.scoring import named_protocols, sysu_permutations
from vireid.threads import in_threads
from vireid.training_data.sampling import seen_in_one_spectrum

SHOWN = 10
"""Number of entries shown to people of a long list; programs get all of it."""

Kind = Literal[
    "layout", "counts", "unreadable", "people", "protocol", "duplicates", "spectrum", "unused"
]


@dataclass(frozen=True)
class Finding:
    """Something wrong, or something that one should know."""

    kind: Kind
    changes_numbers: bool
    """Whether scores would differ from those on the published data set."""
    what: str
    where: tuple[str, ...] = ()
    """Files or people that it is about."""


@dataclass(frozen=True)
class Look:
    """The result of looking at one picture's file."""

    content: str
    """Digest of its bytes, with the box; empty where there is a fault."""
    fault: str | None
    """Reason why it cannot be used, and the way out."""


@dataclass(frozen=True)
class Check:
    """The result of a check."""

    dataset: str
    root: Path | None
    facts: Mapping[str, Any]
    """Facts published about the data set."""
    counts: dict[str, Counts]
    """Counts of people and pictures on disk, by group, and by trial where there are several."""
    pictures: int
    decoded: bool
    """Whether all pictures were decoded; otherwise their headers and ends were looked at."""
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether scores will be those of the published data set."""
        return not any(finding.changes_numbers for finding in self.findings)

    @property
    def way_to_get_it(self) -> str | None:
        """The place to get the data set, if some of it is missing; None otherwise."""
        lacks = any(finding.kind in ("layout", "counts", "unreadable") for finding in self.findings)
        if not (lacks and "url" in self.facts):
            return None
        parts = (self.facts.get("obtain"), self.facts["url"], self.facts.get("licence"))
        return f"how to get {self.facts['title']}: {'; '.join(filter(None, parts))}"

    def as_dict(self) -> dict[str, Any]:
        """Return the result for programs."""
        return {
            "dataset": self.dataset,
            "root": None if self.root is None else str(self.root),
            "sound": self.sound,
            "pictures": self.pictures,
            "decoded": self.decoded,
            "counts": self.counts,
            "findings": [asdict(finding) for finding in self.findings],
            "facts": dict(self.facts),
        }

    def in_words(self) -> Iterator[Table | Text]:
        """Return the result for people, as tables and texts."""
        if self.counts:
            yield self._table()
        yield from map(_in_words, self.findings)
        if self.way_to_get_it:
            yield plain(self.way_to_get_it)
        yield self._verdict()

    def _table(self) -> Table:
        how = "decoded" if self.decoded else "headers looked at"
        title = f"{self.facts.get('title', self.dataset)}: {self.pictures:,} pictures, {how}"
        shown = plain(title, style="table.title")
        table = Table(title=shown, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
        found = {group: in_one_table(counts) for group, counts in self.counts.items()}
        what = list(dict.fromkeys(key for counts in found.values() for key in counts))
        table.add_column("")
        for _, heading in what:
            table.add_column(plain(shortened(heading)), justify="right", no_wrap=True)
        for group, counts in found.items():
            published = in_one_table(self.facts.get("counts", {}).get(group.partition(" ")[0], {}))
            table.add_row(plain(group), *(_cell(counts.get(k, 0), published.get(k)) for k in what))
        return table

    def _verdict(self) -> Text:
        if self.sound:
            return Text("nothing found that would change a number", "green")
        count = sum(finding.changes_numbers for finding in self.findings)
        what = "finding changes" if count == 1 else "findings change"
        meaning = "not the published data set" if "url" in self.facts else "put them right first"
        return Text(f"{count} {what} numbers: {meaning}", "bold red")


def check(name: str, root: Path | None = None, *, full: bool = False) -> Check:
    """Compare a data set on disk with what was published about it, and look at every picture.

    Args:
        name: One of `datasets.available()`.
        root: Folder of the data set.
        full: Decode every picture; otherwise only those whose header or end is suspicious.

    Raises:
        VireidError: There is no data set of this name.
    """
    facts = datasets.facts(name)
    found, findings = _read_trials(name, root)
    for dataset in found:
        findings += [*_count(dataset), *_of_one_spectrum(dataset), *_official_draw(dataset)]
    if found and root is not None:
        findings += _unused(name, root)
    records = _each_once(found)
    findings += _look(records, full)
    return Check(
        name,
        found[0].root if found else root,
        facts,
        _counts(found),
        len(records),
        full,
        tuple(sorted(findings, key=lambda finding: not finding.changes_numbers)),
    )


def _read_trials(name: str, root: Path | None) -> tuple[list[Dataset], list[Finding]]:
    """Read all splits of a data set; the readers refuse what would change a number."""
    found: list[Dataset] = []
    refused: list[Finding] = []
    trials: Sequence[int | None] = datasets.trials(name) or [None]
    for trial in trials:
        try:
            found.append(datasets.read(name, root, trial))
        except VireidError as error:
            refused.append(Finding("layout", True, error.sentence, error.listed))
            if not found:  # the others would say the same
                break
    return found, refused


def _counts(found: Sequence[Dataset]) -> dict[str, Counts]:
    """Return counts by group; trials with the same counts share an entry."""
    alike: dict[tuple[Any, ...], list[tuple[Dataset, Counts]]] = defaultdict(list)
    for dataset in found:
        for group, counts in dataset.counts.items():
            if dataset.groups[group]:
                alike[group, *in_one_table(counts).items()].append((dataset, counts))
    return {
        _named(group, [dataset.trial for dataset, _ in same]): same[0][1]
        for (group, *_), same in alike.items()
    }


def _named(group: str, trials: Sequence[int | None]) -> str:
    if trials[0] is None:
        return group
    return f"{group} (trial {', '.join(map(str, trials))})"


def _count(dataset: Dataset) -> Iterator[Finding]:
    differences = tuple(d for d in dataset.differences if d not in _remarks(dataset))
    if differences:
        what = f"{dataset.label} has other counts than were published"
        yield Finding("counts", True, what, differences)
        return
    published = dataset.facts.get("pictures")
    on_disk = Counter(r.modality.value for records in dataset.groups.values() for r in records)
    for modality, count in published.items() if isinstance(published, Mapping) else ():
        if on_disk[modality] != count:
            what = f"{on_disk[modality]} {modality} pictures on disk, {count} were published"
            yield Finding("counts", True, what)


def _of_one_spectrum(dataset: Dataset) -> Iterator[Finding]:
    for group, records in dataset.groups.items():
        lonely = seen_in_one_spectrum(r for r in records if r.identity is not None)
        if not lonely:
            continue
        means = (
            "they are no use to one another as query and hit"
            if group == "test"
            else "to train in pairs, leave them out with data.unpaired=drop"
        )
        what = f"{len(lonely)} {group} people of {dataset.label} in one spectrum only; {means}"
        where = tuple(f"{identity} ({modality} only)" for identity, modality in lonely.items())
        yield Finding("spectrum", False, what, where)


def _official_draw(dataset: Dataset) -> Iterator[Finding]:
    """Yield findings about SYSU-MM01's permutations: missing, or of other pictures."""
    path = sysu_permutations.permutations_path(dataset.root)
    published = dataset.facts.get("permutations")
    if published:
        for remark in _remarks(dataset):
            yield Finding("protocol", True, remark)
    if path.is_file():
        try:
            for protocol in named_protocols.choose(dataset, "sysu/official"):
                protocol.trials(dataset)
        except MissingExtraError as error:
            yield Finding("protocol", False, f"{path} was not looked at: {error}")
        except VireidError as error:
            yield Finding("protocol", True, str(error))
    elif published:
        what = f"{path} is missing, which sysu/official needs; download it from"
        yield Finding("protocol", False, f"{what} {published}")


def _remarks(dataset: Dataset) -> Sequence[str]:
    """Return what the reader of a data set tells besides counts."""
    return cast("Sequence[str]", dataset.facts.get("remarks", ()))


def _unused(name: str, root: Path) -> Iterator[Finding]:
    if left_out := tuple(datasets.left_out(name, root)):
        yield Finding("unused", False, f"{len(left_out)} pictures or lines are left out", left_out)


def _each_once(found: Iterable[Dataset]) -> list[ImageRecord]:
    """Return all records, one for a key; the splits of a data set share theirs."""
    every = (r for dataset in found for records in dataset.groups.values() for r in records)
    return list({record.key: record for record in every}.values())


def _look(records: Sequence[ImageRecord], full: bool) -> Iterator[Finding]:
    def look(record: ImageRecord) -> Look:
        return _look_at(record, full)

    doing = "decoding pictures" if full else "looking at headers"
    looks = list(in_threads(look, records, doing))
    faults = tuple(look.fault for look in looks if look.fault)
    if faults:
        yield Finding("unreadable", True, f"{len(faults)} pictures cannot be read", faults)
    same = defaultdict[str, list[ImageRecord]](list)
    for record, seen in zip(records, looks, strict=True):
        if not seen.fault:
            same[seen.content].append(record)
    yield from _repeated([together for together in same.values() if len(together) > 1])


def _look_at(record: ImageRecord, full: bool) -> Look:
    try:
        if full:
            picture_of(record)
        else:
            check_header(record.path, record.box)
        digest = hashlib.blake2b(record.path.read_bytes(), digest_size=16).hexdigest()
        return Look(f"{digest} {record.box}", None)
    except PictureError as error:
        return Look("", str(error))


def _repeated(groups: Sequence[Sequence[ImageRecord]]) -> Iterator[Finding]:
    """Yield findings about groups of pictures with the same bytes and the same box."""
    of_two = [group for group in groups if len({record.identity for record in group}) > 1]
    if of_two:
        what = f"{len(of_two)} pictures are there under two identities; unpack the data set again"
        yield Finding("people", True, what, tuple(map(_listed, of_two)))
    of_one = [group for group in groups if len({record.identity for record in group}) == 1]
    if of_one:
        what = f"{len(of_one)} pictures are there more than once"
        yield Finding("duplicates", False, what, tuple(map(_listed, of_one)))


def _listed(group: Iterable[ImageRecord]) -> str:
    return " = ".join(str(record.path) for record in group)


def _cell(found: int, published: int | None) -> Text:
    if published is None:
        return Text(str(found))
    if found == published:
        return Text(str(found), "green")
    return Text(f"{found}, not {published}", "bold red")


def _in_words(finding: Finding) -> Text:
    sign, style = ("✗", "red") if finding.changes_numbers else ("!", "yellow")
    lines = [*finding.where[:SHOWN]]
    if len(finding.where) > SHOWN:
        lines.append(f"and {len(finding.where) - SHOWN} more; --json lists them all")
    told = plain(finding.what, *(f"    {line}" for line in lines))
    return Text.assemble((f"{sign} ", style), told)
