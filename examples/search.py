"""A whole search: index what the colour cameras saw, then ask with an infrared picture.

    python examples/search.py --out night.gallery --sheet hits.png

`vireid index` and `vireid search` do the same with your own folders.
"""

import argparse
from pathlib import Path

from vireid import Embedder, Gallery, Modality, datasets
from vireid.reports import contact_sheet
from vireid.search.indexing import index


def main() -> None:
    """Fill a gallery, search it, show the hits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("night.gallery"))
    parser.add_argument("--sheet", type=Path, default=Path("hits.png"))
    asked = parser.parse_args()

    people = datasets.read("nightwalk").test
    seen_by_day = [record for record in people if record.modality is Modality.VISIBLE]
    seen_by_night = [record for record in people if record.modality is Modality.INFRARED]

    # A gallery belongs to one model: it refuses vectors of another.
    embedder = Embedder.open("small")
    if asked.out.exists():
        gallery = Gallery.open(asked.out, embedder)
    else:
        gallery = Gallery.create(asked.out, embedder)

    with gallery:
        # What has not changed since the last time is not embedded again.
        indexed = index(seen_by_day, embedder, gallery)
        print(f"{asked.out}: {indexed.added} pictures added, {indexed.unchanged} unchanged")

        query = seen_by_night[0]
        vector = embedder.embed_records([query])
        hits = gallery.search(vector, top=8, modality=query.modality.other)[0]

    print(f"query: person {query.identity}, {query.camera}")
    for hit in hits:
        found = hit.record
        print(f"{hit.rank}. {hit.similarity:.3f}  person {found.identity}, {found.camera}")
    contact_sheet.save(contact_sheet.compose(query, hits, "infrared among visible"), asked.sheet)
    print(asked.sheet)


if __name__ == "__main__":
    main()
