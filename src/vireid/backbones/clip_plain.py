"""CLIP as it was published, not trained further: pictures and sentences in one space."""

from collections.abc import Sequence
from typing import Literal

import open_clip
from torch import nn
from torch.nn import functional as F  # noqa: N812

from vireid.backbones.clip_image import Normalisation, Size, image_tower
from vireid.backbones.clip_text import TextTower
from vireid.records import Modality
from vireid.types.tensors import Embeddings, Images


class PlainCLIP(nn.Module):
    """Both towers of CLIP, for pictures of one size; infrared ones go through the same stem."""

    def __init__(
        self, clip: open_clip.CLIP, size: Size, pixels: Normalisation, last_stride: Literal[1, 2]
    ) -> None:
        super().__init__()
        self.images = image_tower(
            clip.visual, size, stems="shared", pixels=pixels, last_stride=last_stride
        )
        self.text = TextTower(clip)
        self.embedding_dim = self.images.projected_dim

    def embed(self, images: Images, modality: Modality) -> Embeddings:
        """Return unit vectors of pictures, in the space of texts."""
        return F.normalize(self.images({modality: images})[1], dim=1)

    def embed_text(self, sentences: Sequence[str]) -> Embeddings:
        """Return unit vectors of sentences, in the same space.

        Raises:
            VireidError: A sentence is empty or too long.
        """
        return F.normalize(self.text.say(sentences), dim=1)
