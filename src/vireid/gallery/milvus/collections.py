"""The collections of a gallery on Milvus: making, loading and dropping them."""

import time
from collections.abc import Iterable

from pymilvus import DataType, MilvusClient

from vireid.gallery.milvus.rows import MOST_LETTERS, MOST_WORDS
from vireid.gallery.milvus.server import MissingError, Server
from vireid.gallery.store import GalleryError
from vireid.records import Modality

PARTITIONS = tuple(modality.value for modality in Modality)
"""One partition for each spectrum, so that a search in one reads nothing of the other."""
DEFAULT = "_default"
"""The partition that every collection has; facts are there."""
LOADING = 120.0
"""Seconds for a collection to be ready to be searched."""
BUILDING = 24 * 3600.0
"""Seconds for an index to be built."""
NUMBERS = ("key", "camera", "person", "identity", "tracklet", "source", "content", "moment", "sum")


def pictures_name(prefix: str, generation: str) -> str:
    """Return the name of the collection of pictures."""
    return f"{prefix}__pictures__{generation}"


def facts_name(prefix: str, generation: str) -> str:
    """Return the name of the collection of facts: notes, counts, and documents of changes."""
    return f"{prefix}__facts__{generation}"


def create(server: Server, prefix: str, generation: str, dim: int) -> None:
    """Make the collections of pictures and facts, ready to be written to and searched."""
    pictures = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    pictures.add_field("id", DataType.INT64, is_primary=True)
    pictures.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
    for name in NUMBERS:
        pictures.add_field(name, DataType.INT64)
    pictures.add_field(
        "words", DataType.ARRAY, element_type=DataType.INT64, max_capacity=MOST_WORDS
    )
    pictures.add_field("entry", DataType.VARCHAR, max_length=MOST_LETTERS)
    facts = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    facts.add_field("id", DataType.INT64, is_primary=True)
    facts.add_field("vector", DataType.FLOAT_VECTOR, dim=2)  # every collection has to have one
    facts.add_field("kind", DataType.INT64)
    facts.add_field("key", DataType.INT64)
    facts.add_field("value", DataType.VARCHAR, max_length=MOST_LETTERS)
    names = (pictures_name(prefix, generation), facts_name(prefix, generation))
    for name, schema in zip(names, (pictures, facts), strict=True):
        server.call("create_collection", name, schema=schema)
    for partition in PARTITIONS:
        server.call("create_partition", names[0], partition)
    for name in names:
        build_index(server, name, "FLAT", {})
    load(server, names)


def create_state(server: Server, prefix: str, name: str) -> None:
    """Make the empty collection whose name is the gallery's state, and the alias it is found by."""
    schema = MilvusClient.create_schema(
        auto_id=False, enable_dynamic_field=False, description="a gallery of vireid; do not rename"
    )
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    server.call("create_collection", name, schema=schema)
    server.call("create_alias", name, prefix)


def build_index(server: Server, collection: str, kind: str, numbers: dict[str, int]) -> None:
    """Say which index a collection has; one that is not FLAT is built for what is there."""
    params = MilvusClient.prepare_index_params()
    params.add_index("vector", index_type=kind, metric_type="IP", params=numbers)
    server.call("create_index", collection, params, sync=False)


def change_index(server: Server, collection: str, kind: str, numbers: dict[str, int]) -> None:
    """Give a collection another index; nobody can search in it meanwhile."""
    server.call("flush", collection)  # what is still being filled has no index
    server.call("release_collection", collection)
    server.call("drop_index", collection, "vector")
    params = MilvusClient.prepare_index_params()
    params.add_index("vector", index_type=kind, metric_type="IP", params=numbers)
    server.ask(lambda client: client.create_index(collection, params, timeout=BUILDING))
    load(server, (collection,))


def load(server: Server, names: Iterable[str]) -> None:
    """Have collections ready to be searched, all at once.

    Raises:
        GalleryError: They are not ready in time.
    """
    waiting = list(names)
    for name in waiting:
        server.call("load_collection", name, _async=True)
    until = time.monotonic() + LOADING
    while waiting:
        states = {name: server.call("get_load_state", name) for name in waiting}
        waiting = [name for name, said in states.items() if str(said["state"]) != "Loaded"]
        if waiting and time.monotonic() > until:
            raise GalleryError(
                f"{server.address}: the server has not made {waiting[0]} ready in {LOADING:.0f} s; "
                "see whether its memory is enough"
            )
        if waiting:
            time.sleep(0.1)


def drop(server: Server, names: Iterable[str]) -> None:
    """Drop collections, those that are there."""
    for name in names:
        try:
            server.call("drop_collection", name)
        except MissingError:
            continue


def all_of(server: Server, prefix: str) -> list[str]:
    """Return the names of all collections of a gallery, also those that were left behind."""
    names = server.call("list_collections")
    kinds = tuple(f"{prefix}__{kind}__" for kind in ("state", "pictures", "facts"))
    return [name for name in names if name.startswith(kinds)]
