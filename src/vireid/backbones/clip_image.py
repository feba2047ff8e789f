"""CLIP's image towers with a stem for each spectrum; all deeper layers are shared.

Each tower gives two features of an image: one before the projection to the space of texts, and one
after it. Stems are copies of CLIP's own; in those of CSDN (https://github.com/nengdong96/CSDN at
2224959) two of three ReLUs are missing, see docs/deviations.md.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Literal

import torch
from jaxtyping import Float
from open_clip.modified_resnet import AttentionPool2d, ModifiedResNet
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vireid.errors import VireidError
from vireid.records import Modality
from vireid.types.tensors import FeatureMaps, Images

Size = tuple[int, int]
"""Rows and columns of pictures or of places."""
Seen = Float[Tensor, "stacked ..."]
"""Features before the projection: feature maps of a ResNet, class tokens of a ViT."""
Projected = Float[Tensor, "stacked d"]
"""Features in the space of texts."""
Stems = Literal["dual", "shared"]
Relus = Literal[1, 3]
NORMALISATIONS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
"""Mean and deviation by which pixels are normalised."""
Normalisation = Literal["imagenet", "half", "clip"]


def image_tower(
    visual: nn.Module,
    size: Size,
    *,
    stems: Stems = "dual",
    pixels: Normalisation = "imagenet",
    last_stride: Literal[1, 2] = 1,
    relus: Relus = 3,
) -> "ImageTower":
    """Return CLIP's image tower for pictures of one size.

    Args:
        visual: open_clip's `ModifiedResNet` or `VisionTransformer`, whose layers are taken over.
        size: Size of the pictures; the position embeddings are interpolated to its grid of places.
        stems: A stem for each spectrum, or one for both.
        pixels: Name of the normalisation of pixels.
        last_stride: Stride of a ResNet's last layer.
        relus: Number of ReLUs in a ResNet's stem: one after each convolution, as in CLIP, or only
            the last of them, as in CSDN.

    Raises:
        VireidError: The size does not fit strides or patches.
    """
    if isinstance(visual, ModifiedResNet):
        return ResNetTower(visual, size, stems, pixels, last_stride, relus)
    assert isinstance(visual, VisionTransformer)
    return VisionTower(visual, size, stems, pixels)


class ImageTower(nn.Module, ABC):
    """Turns images of both spectra into features before and in the space of texts."""

    mean: Tensor
    std: Tensor
    seen_dim: int
    projected_dim: int
    shared: tuple[nn.Module, ...]
    """All layers behind the stems."""

    def __init__(self, stem: nn.Module, size: Size, stems: Stems, pixels: Normalisation) -> None:
        super().__init__()
        names = list(Modality) if stems == "dual" else ["both"]
        self.stems = nn.ModuleDict({str(name): deepcopy(stem) for name in names})
        self.size = size
        for name, values in zip(("mean", "std"), NORMALISATIONS[pixels], strict=True):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, images: Mapping[Modality, Images]) -> tuple[Seen, Projected]:
        """Return both features, stacked in the order in which the spectra were given.

        Raises:
            VireidError: Pictures are of another size.
        """
        stems = [self.stem(modality)(self._normalised(i)) for modality, i in images.items()]
        return self._features(torch.cat(stems))

    def stem(self, modality: Modality) -> nn.Module:
        """Return the first layers for images of a spectrum."""
        return self.stems[str(modality) if len(self.stems) > 1 else "both"]

    @abstractmethod
    def _features(self, maps: FeatureMaps) -> tuple[Seen, Projected]:
        """Return features before and in the space of texts, from the output of the stems."""

    def _normalised(self, images: Images) -> Images:
        if tuple(images.shape[2:]) != self.size:
            found, wanted = ("{} x {}".format(*size) for size in (images.shape[2:], self.size))
            raise VireidError(
                f"pictures are {found}, but positions were laid out for {wanted}; set "
                "settings.picture to the same as data.height and data.width"
            )
        normal = (images - self.mean) / self.std
        return normal.contiguous(memory_format=torch.channels_last)


class ResNetTower(ImageTower):
    """CLIP's ResNet: three convolutions, four layers, attention pooling."""

    def __init__(
        self,
        visual: ModifiedResNet,
        size: Size,
        stems: Stems,
        pixels: Normalisation,
        last_stride: Literal[1, 2],
        relus: Relus,
    ) -> None:
        names = [f"{kind}{i}" for i in (1, 2, 3) for kind in ("conv", "bn", "act")]
        parts: dict[str, nn.Module] = dict(visual.named_children())
        if relus == 1:
            # In their place, so that weights keep their names.
            parts |= {"act1": nn.Identity(), "act2": nn.Identity()}
        stem = nn.Sequential(*(parts[name] for name in (*names, "avgpool")))
        super().__init__(stem, size, stems, pixels)
        self.layers = nn.Sequential(*(parts[f"layer{i}"] for i in (1, 2, 3, 4)))
        if last_stride == 1:
            keep_size(self.layers[-1])
        self.attend = AttentionPool(visual.attnpool, grid_of(size, 16 * last_stride))
        self.shared = (self.layers, self.attend)
        self.seen_dim = self.attend.query.in_features
        self.projected_dim = self.attend.leave.out_features

    def _features(self, maps: FeatureMaps) -> tuple[Seen, Projected]:
        maps = self.layers(maps)
        return maps, self.attend(maps)


class AttentionPool(nn.Module):
    """CLIP's attention pooling: the mean of a map attends to all its places and to itself."""

    def __init__(self, pool: AttentionPool2d, grid: Size) -> None:
        super().__init__()
        self.positions = nn.Parameter(resized(pool.positional_embedding.detach(), grid))
        self.query, self.key, self.value = pool.q_proj, pool.k_proj, pool.v_proj
        self.leave = pool.c_proj
        self.heads = pool.num_heads

    def forward(self, maps: FeatureMaps) -> Projected:
        """Return one feature vector for each map."""
        places = maps.flatten(2).transpose(1, 2)
        tokens = torch.cat([places.mean(dim=1, keepdim=True), places], dim=1) + self.positions
        query = self._by_head(self.query(tokens[:, :1]))
        key, value = self._by_head(self.key(tokens)), self._by_head(self.value(tokens))
        found = F.scaled_dot_product_attention(query, key, value)
        projected: Projected = self.leave(found.transpose(1, 2).flatten(1))
        return projected

    def _by_head(self, tokens: Float[Tensor, "n t d"]) -> Float[Tensor, "n heads t each"]:
        return tokens.reshape(*tokens.shape[:2], self.heads, -1).transpose(1, 2)


class VisionTower(ImageTower):
    """CLIP's vision transformer; its stem is the patch embedding."""

    def __init__(
        self, visual: VisionTransformer, size: Size, stems: Stems, pixels: Normalisation
    ) -> None:
        patch: Size = visual.patch_size
        if patch[0] != patch[1]:
            raise VireidError(f"patches of {patch[0]} x {patch[1]} pixels are not supported")
        super().__init__(visual.conv1, size, stems, pixels)
        self.body = _VisionBody(visual, grid_of(size, patch[0]))
        self.shared = (self.body,)
        self.seen_dim, self.projected_dim = visual.proj.shape

    def _features(self, maps: FeatureMaps) -> tuple[Seen, Projected]:
        features: tuple[Seen, Projected] = self.body(maps)
        return features


class _VisionBody(nn.Module):
    def __init__(self, visual: VisionTransformer, grid: Size) -> None:
        super().__init__()
        self.class_token = visual.class_embedding
        self.positions = nn.Parameter(resized(visual.positional_embedding.detach(), grid))
        self.before, self.after = visual.ln_pre, visual.ln_post
        self.blocks = visual.transformer.resblocks
        self.projection = linear(visual.proj)

    def forward(self, maps: FeatureMaps) -> tuple[Seen, Projected]:
        patches = maps.flatten(2).transpose(1, 2)
        # Not len(), which an export takes for a constant.
        first = self.class_token.to(patches.dtype).expand(patches.shape[0], 1, -1)
        tokens = self.before(torch.cat([first, patches], dim=1) + self.positions)
        for block in self.blocks:
            tokens = block(tokens)
        seen = self.after(tokens[:, 0])
        return seen, self.projection(seen)


def linear(matrix: Float[Tensor, "before after"]) -> nn.Linear:
    """Return a layer that multiplies by a matrix, which can then be trained."""
    before, after = matrix.shape
    layer = nn.Linear(before, after, bias=False)
    layer.weight = nn.Parameter(matrix.detach().T.contiguous())
    return layer


def resized(positions: Float[Tensor, "before d"], grid: Size) -> Float[Tensor, "after d"]:
    """Return position embeddings for another grid; the first row, that of the class, stays.

    Args:
        positions: One row for the class, and one for each place of a square grid, row by row.
        grid: Rows and columns of the new grid; bilinear interpolation.
    """
    own, places = positions[:1], positions[1:]
    side = round(len(places) ** 0.5)
    if (side, side) == grid:
        return positions.clone()
    square = places.T.reshape(1, -1, side, side)
    stretched = F.interpolate(square, size=grid, mode="bilinear", align_corners=False)
    return torch.cat([own, stretched[0].flatten(1).T])


def grid_of(size: Size, stride: int) -> Size:
    """Return the rows and columns of places into which pictures of a size are cut.

    Raises:
        VireidError: They cannot be cut evenly.
    """
    rows, columns = size
    if min(size) < stride or rows % stride or columns % stride:
        raise VireidError(
            f"settings.picture is {rows} x {columns}, which is not cut evenly into places of "
            f"{stride} x {stride} pixels; both have to be multiples of {stride}"
        )
    return rows // stride, columns // stride


def keep_size(layer: Any) -> None:
    """Take the average pooling out of a layer's first block; this is how CLIP strides."""
    for module in list(layer[0].modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.AvgPool2d):
                setattr(module, name, nn.Identity())
