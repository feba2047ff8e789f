"""CLIP's text tower, and descriptions of people whose words are learnt.

A description is "A photo of a [X]1 [X]2 [X]3 [X]4 person."; each identity's [X] are free vectors in
the space of words: Li, Sun, Li, CLIP-ReID: Exploiting Vision-Language Model for Image
Re-Identification without Concrete Text Labels, AAAI 2023.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import chain

import open_clip
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vireid.backbones.clip_image import linear
from vireid.errors import VireidError
from vireid.types.sentences import SIGNS, check_length
from vireid.types.tensors import Embeddings, Identities

BEFORE, AFTER = "a photo of a", "person."
"""The words around those that are learnt."""
STRAIGHT = {"[‘’]": "'", "[“”]": '"'}  # noqa: RUF001  those are looked for
"""Quotation marks that phones write, and what CLIP's tokenizer makes of them."""
Words = Float[Tensor, "m length width"]
"""Sentences as vectors, one a word; the last one is the end sign."""
Texts = Float[Tensor, "k d"]


class TextTower(nn.Module):
    """Turns sentences, given as vectors of words, into vectors in the space of images."""

    def __init__(self, clip: open_clip.CLIP) -> None:
        super().__init__()
        self.words: nn.Embedding = clip.token_embedding
        self.positions = nn.Parameter(clip.positional_embedding.detach())
        self.blocks: nn.ModuleList = clip.transformer.resblocks
        self.norm: nn.Module = clip.ln_final
        projection = clip.text_projection
        assert projection is not None
        self.projection = projection if isinstance(projection, nn.Linear) else linear(projection)
        self.width, self.dim = self.projection.in_features, self.projection.out_features

    def forward(self, words: Words) -> Texts:
        """Return a vector for each sentence, read at its end.

        No word attends to words behind it, so the padding after the end is left out: it changes
        nothing and is 65 of 77 places. All descriptions begin with the same words, which are read
        with each of them. Reading them once would save a processor a third of the time, but cost an
        H100, which waits for many small tasks to be launched, half as much again.
        """
        length = words.shape[1]
        tokens = words + self.positions[:length]
        hidden = torch.full((length, length), -torch.inf, device=words.device).triu(1)
        for block in self.blocks:
            tokens = block(tokens, attn_mask=hidden)
        texts: Texts = self.projection(self.norm(tokens[:, -1]))
        return texts

    def say(self, sentences: Sequence[str]) -> Texts:
        """Return a vector for each sentence in plain words, tokenised as open_clip does.

        Raises:
            VireidError: A sentence is empty, or longer than the tower can read, which open_clip
                would cut off.
        """
        read = [numbers_of(sentence, len(self.positions)) for sentence in sentences]
        device = self.positions.device
        return torch.cat([self(self.words(torch.tensor([n], device=device))) for n in read])


class Prompts(nn.Module):
    """Descriptions of every identity, one or one for each spectrum, and their text vectors."""

    before: Tensor
    after: Tensor
    texts: Tensor
    """Text vectors of the descriptions when they were last read: descriptions x identities x
    numbers."""

    def __init__(self, tower: TextTower, identities: int, tokens: int, sets: int = 1) -> None:
        """Begin with random tokens, N(0, 0.02) as in CLIP-ReID.

        Args:
            tower: Text tower that will read the descriptions.
            identities: Number of people.
            tokens: Number of learnt words in each description; with none, all descriptions are the
                same.
            sets: Number of descriptions of each person.

        Raises:
            VireidError: Sentences would be longer than the tower can read.
        """
        super().__init__()
        tokenizer = _tokenizer()
        before = [tokenizer.sot_token_id, *tokenizer.encode(BEFORE)]
        after = [*tokenizer.encode(AFTER), tokenizer.eot_token_id]
        longest = len(tower.positions)
        if len(before) + tokens + len(after) > longest:
            raise VireidError(
                f"settings.tokens is {tokens}, which makes prompts longer than the {longest} words "
                f"that this CLIP reads; it can be {longest - len(before) - len(after)} at most"
            )
        self.register_buffer("before", torch.tensor(before), persistent=False)
        self.register_buffer("after", torch.tensor(after), persistent=False)
        self.tokens = nn.Parameter(torch.empty(sets, identities, tokens, tower.width))
        nn.init.normal_(self.tokens, std=0.02)
        self.register_buffer("texts", torch.zeros(sets, identities, tower.dim))

    def read(self, tower: TextTower, identities: Identities, sets: Identities) -> Embeddings:
        """Return the text vectors of the descriptions of some identities.

        Args:
            tower: Reads the descriptions; the tokens get their gradient through it.
            identities: Identity of each description.
            sets: Number of each description among those of its identity.
        """
        learnt = self.tokens[sets, identities]
        around = (tower.words(ids).expand(len(learnt), -1, -1) for ids in (self.before, self.after))
        before, after = around
        texts: Embeddings = tower(torch.cat([before, learnt, after], dim=1))
        return texts

    def read_all(self, tower: TextTower) -> Float[Tensor, "s k d"]:
        """Return the text vectors of all descriptions as they are now."""
        sets, people = self.tokens.shape[:2]
        device = self.tokens.device
        numbers = torch.arange(sets * people, device=device)
        read = self.read(tower, numbers % people, numbers // people)
        return read.reshape(sets, people, -1)

    def read_some(self, tower: TextTower, people: Identities) -> Float[Tensor, "s k d"]:
        """Return all text vectors: those of some people read now, the others as last read.

        Remembers the vectors that it has read. A description that is not read hardly changes: its
        tokens get no gradient, and move only by Adam's momentum.
        """
        sets = len(self.tokens)
        numbers = torch.arange(sets, device=people.device).repeat_interleave(len(people))
        read = self.read(tower, people.repeat(sets), numbers).reshape(sets, len(people), -1)
        texts = self.texts.to(read.dtype).index_copy(1, people, read)
        self.texts.copy_(texts.detach())
        return texts

    @torch.no_grad()
    def remember(self, tower: TextTower) -> None:
        """Store the text vectors of all descriptions as they are now."""
        self.texts.copy_(self.read_all(tower))


def numbers_of(sentence: str, longest: int) -> list[int]:
    """Return the numbers of a sentence's words and word parts, between its start and end signs.

    Raises:
        VireidError: It is empty, or longer than this with both signs.
    """
    words = list(chain.from_iterable(map(_numbers_of_word, sentence.split())))
    check_length(len(words), longest - SIGNS)
    return [_tokenizer().sot_token_id, *words, _tokenizer().eot_token_id]


@lru_cache(maxsize=10_000)
def _numbers_of_word(word: str) -> tuple[int, ...]:
    """Return the numbers of one word; cached, as the tokenizer takes half a millisecond."""
    numbers: list[int] = _tokenizer().encode(word)
    return tuple(numbers)


def portable_tokenizer() -> str:
    """Return CLIP's tokenizer as the library tokenizers reads it, both signs included, as JSON.

    Of what ftfy does for open_clip it keeps the straight quotation marks; text in a wrong encoding
    is not mended.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    clip = _tokenizer()
    pairs = sorted(clip.bpe_ranks, key=clip.bpe_ranks.__getitem__)
    tokenizer = Tokenizer(
        models.BPE(vocab=clip.encoder, merges=pairs, end_of_word_suffix="</w>", fuse_unk=False)
    )
    straight = (normalizers.Replace(Regex(curly), plain) for curly, plain in STRAIGHT.items())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), *straight, normalizers.Lowercase()]
    )
    word = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(word, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    begin, end = (clip.decoder[sign] for sign in (clip.sot_token_id, clip.eot_token_id))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        special_tokens=[(begin, clip.sot_token_id), (end, clip.eot_token_id)],
    )
    return tokenizer.to_str()


@cache
def _tokenizer() -> open_clip.SimpleTokenizer:
    """Return CLIP's tokenizer; cached, as unpacking its vocabulary takes a tenth of a second."""
    return open_clip.SimpleTokenizer()
