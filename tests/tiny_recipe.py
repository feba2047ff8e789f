"""A recipe that learns in less than a second what nobody needs."""

from pathlib import Path


def tiny_recipe(
    dataset: str = "sysu_mm01",
    root: Path | None = None,
    method: str = "agw",
    *,
    steps: int = 1,
    epochs: int = 1,
    precision: str = "float32",
    start_from: Path | None = None,
) -> str:
    """The TOML of it; without `root` that is to be said elsewhere."""
    return f"""
method = "{method}"
precision = "{precision}"
{f'start_from = "{start_from}"' if start_from else ""}
[data]
dataset = "{dataset}"
{f'root = "{root}"' if root else ""}
height = 32
width = 16
steps_per_epoch = {steps}
workers = 0
[augmentation]
pad = 2
[settings]
trunk = "resnet18"
width = 0.125
pretrained = false
{"non_local = false" if method == "agw" else ""}
people = 2
images_each = 2
epochs = {epochs}
"""
