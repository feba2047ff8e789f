"""Sentences that are searched with: how long they may be."""

from vireid.errors import VireidError

SIGNS = 2
"""Signs that CLIP's tokenizer begins and ends a sentence with."""


def check_length(words: int, longest: int) -> None:
    """Refuse a sentence without words, and one that would have to be cut off.

    Args:
        words: Number of its words and parts of words.
        longest: Largest number that the model reads.

    Raises:
        VireidError: It is empty or too long.
    """
    if not words:
        raise VireidError("the sentence is empty; say what the person looks like")
    if words > longest:
        raise VireidError(
            f"the sentence is {words} words and parts of words long, and this CLIP reads "
            f"{longest} at most; say it shorter"
        )
