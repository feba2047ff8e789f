"""The layers between pooled features and the losses: a neck and a classifier."""

from torch import nn


def batch_norm_neck(channels: int, *, bias: bool = False) -> nn.BatchNorm1d:
    """Return a batch normalisation; its output is embedded and classified.

    Source: Luo et al., Bag of Tricks and a Strong Baseline for Deep Person Re-identification,
    CVPRW 2019; first weights as in the code of AGW.

    Args:
        channels: Numbers in a feature.
        bias: Whether it has a bias that learns, as in CSDN; first weights are then exactly 1.
    """
    neck = nn.BatchNorm1d(channels)
    if bias:
        return neck
    # A bias that stays at zero, as the paper has it, is no bias.
    neck.register_parameter("bias", None)
    nn.init.normal_(neck.weight, mean=1.0, std=0.01)
    return neck


def identity_classifier(channels: int, num_identities: int) -> nn.Linear:
    """Return a linear layer without bias, with small first weights, as in the code of AGW."""
    classifier = nn.Linear(channels, num_identities, bias=False)
    nn.init.normal_(classifier.weight, std=0.001)
    return classifier
