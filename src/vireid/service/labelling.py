"""Labelling: what people say of pictures and of hits by the page or the API."""

from dataclasses import replace
from datetime import UTC, datetime

from vireid.files.atomic import write_whole
from vireid.gallery.judgements import Judgement
from vireid.gallery.labelling import named
from vireid.service import messages
from vireid.service.galleries import Served
from vireid.service.service import Service
from vireid.service.uploads import kept_at


def labelled(served: Served, id_: str, labels: messages.Labels) -> messages.Picture:
    """Change what is said of a picture.

    Person and tags stay when its folder is indexed again; the camera is then what its folder says.

    Raises:
        Problem: There is no such picture.
        VireidError: A name cannot be kept, or another process is writing.
    """
    entry = served.entry(id_)
    now = named(entry, labels.person)
    record = now.record
    if labels.camera is not None:
        record = replace(record, camera=labels.camera.strip() or None)
    if labels.tags is not None:
        tags = (tag.strip() for tag in labels.tags)
        record = replace(record, tags=frozenset(filter(None, tags)))
    served.searcher.gallery.change({entry.record.key: replace(now, record=record)})
    return served.picture(served.entry(id_).record)


def judged(service: Service, served: Served, judgement: messages.JudgementRequest, who: str) -> int:
    """Keep what is said of a hit; return the number of all judgements.

    The picture of a search that was sent is kept from then on, to learn from.

    Raises:
        Problem: There is no such picture, or the search is too long ago.
        VireidError: Another process is writing, or the disk is full.
    """
    hit = served.entry(judgement.picture)
    gallery = served.searcher.gallery
    search = service.searches.get(judgement.query, served.name, who)
    if search and search.upload:
        query = kept_at(search.upload, served)
        if not query.exists():
            write_whole(query, search.upload.content)
    else:
        picture = search.picture if search and search.picture else judgement.query
        query = served.entry(picture).record.path
    gallery.judge(Judgement(query, hit.record.key, judgement.same, datetime.now(UTC)))
    return len(gallery.judgements())
