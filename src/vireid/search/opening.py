"""Opening a gallery together with its model, or making one."""

from collections.abc import Set as AbstractSet

from vireid.gallery import Gallery, GalleryError
from vireid.gallery.addresses import exists
from vireid.gallery.store import Address
from vireid.models import trusted
from vireid.models.card import ModelError
from vireid.models.embedder import Embedder
from vireid.models.engines import AS_USUAL, Running
from vireid.records import Modality

DEFAULT_MODEL = "duo"
"""Model of a new gallery: the one that finds most people on photographs."""


def open_or_create(
    path: Address,
    model: str | None = None,
    trust_code: bool = False,
    spectra: AbstractSet[Modality] = frozenset(Modality),
    running: Running = AS_USUAL,
) -> tuple[Embedder, Gallery]:
    """Open a gallery and its model, or make one.

    Args:
        path: Address of the gallery.
        model: Name of a model; by default the one that filled the gallery, or `duo`.
        trust_code: See `Embedder.open`.
        spectra: Spectra that a new gallery's model has to embed.
        running: How to run the model.

    Raises:
        VireidError: The gallery is another model's, or the disk is full.
    """
    if not exists(path):
        embedder = _opened(model or DEFAULT_MODEL, running, trust_code)
        # No empty gallery is left behind by a model that cannot embed.
        embedder.check(spectra)
        try:
            return embedder, Gallery.create(path, embedder)
        except GalleryError:
            if not exists(path):
                raise  # otherwise another process was faster: what it made is opened
    gallery = Gallery.open(path)
    return embedder_of(gallery, model, trust_code, running), gallery


def _opened(model: str, running: Running, trust_code: bool) -> Embedder:
    engine, threads, batch = running.engine, running.threads, running.batch
    return Embedder.open(model, threads, engine=engine, batch=batch, trust_code=trust_code)


def embedder_of(
    gallery: Gallery, model: str | None, trust_code: bool, running: Running = AS_USUAL
) -> Embedder:
    """Return the model that was asked for, or else the one that filled the gallery."""
    source = gallery.model.source
    if not model and not trusted.is_known(source):
        raise ModelError(
            f"{gallery.address} names {source} as its model, which nobody has opened here before; "
            f"if you trust it, say --model {source}"
        )
    try:
        return _opened(model or source, running, trust_code)
    except ModelError as error:
        if model:
            raise
        name = f"{gallery.model.name} (fingerprint {gallery.model.fingerprint})"
        raise ModelError(
            f"{gallery.address} was filled by model {name}, which cannot be opened ({error}); "
            "say by --model where it is now"
        ) from error
