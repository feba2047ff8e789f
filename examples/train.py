"""A whole training, with nothing hidden: AGW learns NightWalk mini, batch by batch.

    python examples/train.py --epochs 8 --out agw.safetensors

`vireid train` does the same and more: it can be stopped and resumed, runs on several GPUs, and
leaves a run folder. This loop is what is inside, for reading and for trying things.
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file

from vireid import datasets
from vireid.learning.initial_weights import start_from
from vireid.methods.agw import AGW
from vireid.training_data.augmentation import Augmentation
from vireid.training_data.loading import PackedTrainingData
from vireid.training_data.settings import Data

SETTINGS = AGW.Config(
    # The trunk of the shipped model: narrow, for a processor.
    trunk="resnet10t",
    width=0.5,
    pretrained=False,
    non_local=False,
    people=16,
    images_each=4,
    optimizer="adamw",
    learning_rate=1e-3,
    trunk_lr_factor=0.3,
    weight_decay=2e-2,
    schedule="cosine",
    warm_up=1,
)


def main() -> None:
    """Learn, and save the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--steps", type=int, default=12, help="Batches in an epoch.")
    parser.add_argument("--out", type=Path, default=Path("agw.safetensors"))
    asked = parser.parse_args()

    # Who is learnt from: pictures of people under six cameras, in two spectra.
    people = datasets.read("nightwalk")
    data = PackedTrainingData(
        people.train + people.validation,
        Data("nightwalk", height=128, width=64, steps_per_epoch=asked.steps),
        Augmentation(pad=5, random_erasing=0.3),
        seed=0,
    )

    # A method embeds pictures, and knows the stages of its own training.
    torch.manual_seed(0)
    settings = vars(SETTINGS) | {"epochs": asked.epochs}
    method = AGW(AGW.Config(**settings), data.num_identities)
    start_from(method, "small")

    for stage in method.stages(data):
        stage.thaw(method)  # what this stage does not train keeps its weights and statistics
        for epoch in range(stage.epochs):
            for batch in stage.batches(epoch):
                losses = stage.losses(batch, epoch)  # named, and already weighted
                stage.optimizer.zero_grad()
                torch.autograd.backward(list(losses.values()))  # minimises their sum
                stage.optimizer.step()
            if stage.schedule:
                stage.schedule.step()
            shown = "  ".join(f"{name} {loss.item():.3f}" for name, loss in losses.items())
            print(f"{stage.name}, epoch {epoch + 1} of {stage.epochs}:  {shown}")

    save_file(method.state_dict(), asked.out)
    print(f"{asked.out}: {data.num_identities} people learnt from {len(data.records)} pictures")


if __name__ == "__main__":
    main()
