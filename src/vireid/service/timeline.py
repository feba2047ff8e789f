"""Timeline: how many pictures each camera took in each hour."""

from collections import Counter

from vireid.service import messages
from vireid.service.galleries import Served


def timeline_of(served: Served, words: list[str]) -> messages.Timeline:
    """Count the pictures that filters let pass by camera and hour, once for each change.

    Raises:
        VireidError: A filter names what is not there.
    """
    filters = served.filters(words)

    def count() -> messages.Timeline:
        bins: Counter[tuple[str, str]] = Counter()
        for entry in served.searcher.gallery.entries(filters):
            record = entry.record
            hour = f"{record.time:%Y-%m-%dT%H}" if record.time else ""
            bins[record.camera or "", hour] += 1
        return messages.Timeline(
            bins=[
                messages.Bin(camera=camera or None, hour=hour or None, pictures=pictures)
                for (camera, hour), pictures in sorted(bins.items())
            ]
        )

    return served.once_a_change(("timeline", filters), count)
