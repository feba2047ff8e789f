"""Visible attributes of a rendered person, and sentences that state some of them.

What NightWalk tells about a person (`vireid.datasets.nightwalk.people`) becomes attributes such as
`top colour=red`. A sentence keeps the attributes that it states, so that one can check of whom else
it is true: half of all people have two others who look the same in nearly everything.

Attributes leave out what clothes hide. They leave out what only a face shows (glasses, beard,
fringe, skin), as half of all pictures show a person's back, and the side on which a bag hangs, as
pictures are mirrored.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Person = Mapping[str, str | float]
"""The looks of a person, in the words of `people.jsonl`."""
Attributes = frozenset[str]
"""Attributes, each of the form `about=what`."""

HUES: Mapping[str, tuple[str, ...]] = {
    "black": (),
    "charcoal": ("dark grey", "grey"),
    "grey": (),
    "light grey": ("grey",),
    "white": (),
    "navy": ("dark blue", "blue"),
    "dark blue": ("blue",),
    "blue": (),
    "pale blue": ("light blue", "blue"),
    "light blue": ("blue",),
    "khaki": ("beige",),
    "beige": (),
    "brown": (),
    "olive": ("dark green", "green"),
    "green": (),
    "teal": ("green",),
    "red": (),
    "burgundy": ("dark red", "red"),
    "pink": (),
    "orange": (),
    "yellow": (),
    "purple": (),
    "blond": (),
}
"""Colours as NightWalk names them, each with other words that are right for it."""
PATTERNS = {
    "striped": "striped",
    "banded": "banded",
    "checked": "checked",
    "dotted": "dotted",
    "printed": "printed",
    "two-tone": "two-tone",
    "side-striped": "side-striped",
    "ribbed": "ribbed",
    "cable": "cable-knit",
    "quilted": "quilted",
    "reflective": "reflective",
    "camouflage": "camouflage",
    "worn": "faded",
}
"""NightWalk's name of each pattern, and the word for it in a sentence."""
CUTS = (
    *("long-sleeved", "short-sleeved", "knee-length", "short", "long", "wide", "big", "high"),
    *("open", "closed"),
)
NOUNS = (
    *("t-shirt", "tank top", "shirt", "sweater", "vest", "jacket", "coat"),
    *("trousers", "leggings", "shorts", "skirt", "dress", "trainers", "shoes", "boots"),
    *("cap", "beanie", "hat with a brim", "backpack", "shoulder bag", "handbag", "suitcase"),
    *("umbrella", "scarf"),
)
PLURAL = ("trousers", "jeans", "leggings", "shorts", "trainers", "shoes", "boots", "gloves")
WORN = ("outer", "top", "bottom", "shoes", "scarf", "headgear", "gloves")
"""Things worn, in the order in which a full description names them."""


@dataclass(frozen=True)
class Sentence:
    """A text with the attributes that it states."""

    text: str
    says: Attributes

    def is_true_of(self, attributes: Attributes) -> bool:
        """Whether the sentence describes a person of whom these attributes hold."""
        return self.says <= attributes


def _answers(about: str, *whats: str, words: str) -> tuple[Sentence, ...]:
    """Return one sentence for each `what`, which takes the place of {} in the words."""
    return tuple(Sentence(words.format(w), frozenset({f"{about}={w}"})) for w in whats)


_TOPS = ("black", "white", "grey", "blue", "red", "green", "yellow", "pink", "purple")
_BAGS = ("backpack", "shoulder bag", "handbag", "suitcase")
_NO_BAG = Sentence("a person without a bag", frozenset({"bag=none"}))
QUESTIONS: Mapping[str, tuple[Sentence, ...]] = {
    "sex": _answers("sex", "man", "woman", words="a photo of a {}"),
    "build": _answers("build", "slim", "heavy", words="a {} person"),
    "stature": _answers("stature", "short", "tall", words="a {} person"),
    "age": (
        *_answers("age", "young", words="a {} person"),
        *_answers("age", "old", words="an {} person"),
    ),
    "hair colour": _answers(
        "hair colour", "black", "brown", "blond", "grey", words="a person with {} hair"
    ),
    "outer": (
        *_answers("outer", "coat", "jacket", "vest", words="a person in a {}"),
        Sentence("a person without a jacket or coat", frozenset({"outer=none"})),
    ),
    "top colour": _answers("top colour", *_TOPS, words="a person in a {} top"),
    "bottom": (
        *_answers("bottom", "trousers", "shorts", words="a person in {}"),
        *_answers("bottom", "skirt", "dress", words="a person in a {}"),
    ),
    "trousers' colour": tuple(
        Sentence(f"a person in {c} trousers", frozenset({"bottom=trousers", f"bottom colour={c}"}))
        for c in ("black", "blue", "grey", "beige")
    ),
    "shoes' colour": _answers(
        "shoes colour", "black", "white", "brown", words="a person in {} shoes"
    ),
    "headgear": (
        *_answers("headgear", "cap", "beanie", words="a person with a {}"),
        Sentence("a person with the hood up", frozenset({"headgear=hood"})),
        Sentence("a person without a hat", frozenset({"headgear=none"})),
    ),
    "backpack": (*_answers("bag", "backpack", words="a person with a {}"), _NO_BAG),
    "bag": (*_answers("bag", *_BAGS, words="a person with a {}"), _NO_BAG),
}
"""Questions about a person, each with its possible answers."""


@dataclass(frozen=True)
class Garment:
    """The looks of one thing that a person wears or carries."""

    noun: str
    colours: tuple[str, ...] = ()
    """Names of no, one or two colours, the larger one first."""
    pattern: str = ""
    cuts: tuple[str, ...] = ()
    denim: bool = False

    @classmethod
    def of(cls, words: str) -> "Garment":
        """Parse NightWalk's words, e.g. "navy and white banded long-sleeved sweater"."""
        words = words.removesuffix(" on the left").removesuffix(" on the right")
        noun = next(n for n in sorted(NOUNS, key=len, reverse=True) if words.endswith(n))
        before = words.removesuffix(noun).split()
        cuts = tuple(w for w in CUTS if w in before)
        pattern = next((w for w in before if w in PATTERNS), "")
        colours = " ".join(w for w in before if w not in (*CUTS, pattern, "denim"))
        named = tuple(colours.split(" and ")) if colours else ()
        return cls(noun.removesuffix(" with a brim"), named, pattern, cuts, "denim" in before)

    @property
    def nouns(self) -> tuple[str, ...]:
        """Nouns for the garment, each as often as it is used."""
        if self.noun in ("t-shirt", "tank top", "shirt", "sweater"):
            return self.noun, self.noun, "top"
        return ("jeans", "trousers") if self.denim and self.noun == "trousers" else (self.noun,)

    def attributes(self, about: str) -> Iterator[str]:
        """Yield all attributes of the garment."""
        yield from (f"{about}={noun}" for noun in self.nouns)
        yield from (f"{about} cut={cut}" for cut in self.cuts)
        if self.pattern:
            yield f"{about} pattern={self.pattern}"
        for which, colour in zip(("colour", "second colour"), self.colours, strict=False):
            yield from (f"{about} {which}={name}" for name in (colour, *HUES[colour]))


@dataclass(frozen=True)
class Appearance:
    """The visible looks of a person."""

    things: Mapping[str, Garment]
    """Things worn or carried that nothing else hides."""
    attributes: Attributes
    """All attributes that a sentence could state."""

    @classmethod
    def of(cls, person: Person) -> "Appearance":
        """Find the visible looks of a person."""
        things = _things(person)
        found = {f"{about}={person[about]}" for about in ("sex", "age", "build", "stature")}
        found -= {"age=middle-aged", "build=medium", "stature=medium"}
        for about, thing in things.items():
            found |= set(thing.attributes(about))
        bare = ("outer", "bag", "headgear")
        found |= {f"{about}=none" for about in bare if person[about] == "none"}
        if person["headgear"] == "hood up":
            found.add("headgear=hood")
        return cls(things, frozenset(found | set(_hair_attributes(person))))


class _Teller:
    """Chooses what is said of a person, and remembers the attributes that this states."""

    def __init__(self, chance: random.Random | None) -> None:
        self.chance = chance
        self.said: set[str] = set()

    def says(self, share: float) -> bool:
        """Whether to say something, by this probability; always, where nothing is random."""
        return self.chance is None or self.chance.random() < share

    def one_of(self, words: tuple[str, ...]) -> str:
        return words[0] if self.chance is None else self.chance.choice(words)

    def stating(self, attribute: str) -> str:
        """Return the words behind the equals sign, and remember the attribute as said."""
        self.said.add(attribute)
        return attribute.partition("=")[2]

    def garment(self, about: str, garment: Garment) -> str:
        """Return a garment with its article, e.g. "a long-sleeved red and white checked shirt"."""
        cuts = [self.stating(f"{about} cut={c}") for c in garment.cuts if self.says(0.6)]
        pattern = []
        if garment.pattern and self.says(0.7):
            pattern = [PATTERNS[self.stating(f"{about} pattern={garment.pattern}")]]
        colours = [self._colours(about, garment)] if garment.colours and self.says(0.85) else []
        noun = self.stating(f"{about}={self.one_of(garment.nouns)}")
        fabric = ["denim"] if garment.denim and noun != "jeans" and self.says(0.5) else []
        return with_article(" ".join([*cuts, *colours, *pattern, *fabric, noun]))

    def _colours(self, about: str, garment: Garment) -> str:
        names = []
        for which, colour in zip(("colour", "second colour"), garment.colours, strict=False):
            if which == "colour" or self.says(0.6):
                name = self.one_of((colour, *HUES[colour]))
                names.append(self.stating(f"{about} {which}={name}"))
        return " and ".join(names)

    def subject(self, attributes: Attributes) -> str:
        """Return who it is, e.g. "a tall slim young man"."""
        words = [
            self.stating(f"{about}={word}")
            for about, share in (("stature", 0.3), ("build", 0.3), ("age", 0.3))
            for word in _values(attributes, about)
            if self.says(share)
        ]
        (sex,) = _values(attributes, "sex")
        return with_article(" ".join([*words, self._noun(sex)]))

    def _noun(self, sex: str) -> str:
        return self.stating(f"sex={sex}") if self.says(0.75) else "person"

    def hair(self, attributes: Attributes) -> str:
        """Return the hair in words, e.g. "brown hair in a bun", "a bald head"; empty if unsaid."""
        cuts, colours = _values(attributes, "hair"), _values(attributes, "hair colour")
        if not cuts or not self.says(0.5):
            return ""
        (cut,) = cuts
        if cut == "bald":
            return f"a {self.stating('hair=bald')} head"
        colour = [self.stating(f"hair colour={c}") for c in colours if self.says(0.8)]
        if colour and not self.says(0.7):
            return f"{colour[0]} hair"
        shape = self.stating(f"hair={cut}")
        if shape in ("bun", "ponytail", "braid"):
            return " ".join([*colour, f"hair in a {shape}"])
        length = "medium-length" if shape == "medium" else shape
        return " ".join([length, *colour, "hair"])


def describe(somebody: Appearance) -> str:
    """Return one sentence with all attributes, always the same."""
    return _told(somebody, _Teller(None))


def draw_sentence(somebody: Appearance, chance: random.Random) -> Sentence:
    """Draw one of the many sentences that describe a person.

    Args:
        somebody: Looks of the person.
        chance: Source of the random numbers that decide what is said and how.
    """
    teller = _Teller(chance)
    return Sentence(_told(somebody, teller), frozenset(teller.said))


def with_article(words: str) -> str:
    """Put the article before a thing: "an open coat", "blue jeans"."""
    if words.endswith(PLURAL):
        return words
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"


def _told(somebody: Appearance, teller: _Teller) -> str:
    who, hair = teller.subject(somebody.attributes), teller.hair(somebody.attributes)
    worn, carried = _worn(somebody, teller), _carried(somebody, teller)
    if teller.chance is None:
        return _as_clause(who, hair, worn, carried)
    form = teller.chance.choice((_as_clause, _as_clause, _as_sentences, _as_list))
    opening = teller.chance.choice(("", "", "a photo of ", "a picture of ", "a street picture of "))
    return opening + form(who, hair, worn, carried)


def _as_clause(who: str, hair: str, worn: list[str], carried: str) -> str:
    """Say it as: a man with short hair in a red shirt and jeans, carrying a backpack."""
    clause = f"{who} with {hair}" if hair else who
    clause += f" in {_enumerated(worn)}" if worn else ""
    return f"{clause}, {carried}" if worn and carried else f"{clause} {carried}".rstrip()


def _as_sentences(who: str, hair: str, worn: list[str], carried: str) -> str:
    """Say it as: a man wearing a red shirt. this person has short hair and is carrying a bag."""
    first = f"{who} wearing {_enumerated(worn)}" if worn else who
    more = [f"has {hair}"] * bool(hair) + [f"is {carried}"] * bool(carried)
    return f"{first}. this person {' and '.join(more)}" if more else first


def _as_list(who: str, hair: str, worn: list[str], carried: str) -> str:
    """Say it as: a man, short hair, a red shirt, jeans, carrying a backpack."""
    return ", ".join(part for part in (who, hair, *worn, carried) if part)


def _enumerated(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _worn(somebody: Appearance, teller: _Teller) -> list[str]:
    shares = {"outer": 0.85, "top": 0.75, "bottom": 0.75, "shoes": 0.4}
    worn = [
        teller.garment(about, somebody.things[about])
        for about in WORN
        if about in somebody.things and teller.says(shares.get(about, 0.6))
    ]
    if "headgear=hood" in somebody.attributes and teller.says(0.6):
        teller.said.add("headgear=hood")
        worn.append("the hood up")
    return worn


def _carried(somebody: Appearance, teller: _Teller) -> str:
    """Return what a person carries, or, sometimes, what they are without."""
    held = [
        teller.garment(about, somebody.things[about])
        for about in ("bag", "umbrella")
        if about in somebody.things and teller.says(0.75)
    ]
    if held:
        return f"carrying {_enumerated(held)}"
    lacks = {"bag=none": "a bag", "headgear=none": "a hat", "outer=none": "a jacket or coat"}
    missing = [a for a in lacks if a in somebody.attributes and teller.chance and teller.says(0.2)]
    teller.said |= set(missing)
    return f"without {' or '.join(map(lacks.__getitem__, missing))}" if missing else ""


def _things(person: Person) -> dict[str, Garment]:
    """Return all things that a person wears or carries and that nothing else hides."""
    hidden = _hidden(person)
    told = {
        about: str(person[about]) for about in (*WORN, "bag", "umbrella") if about not in hidden
    }
    return {
        about: Garment("gloves") if about == "gloves" else Garment.of(words)
        for about, words in told.items()
        if words not in ("none", "hood up")
    }


def _hidden(person: Person) -> set[str]:
    """Return which of a person's clothes others cover."""
    outer = str(person["outer"])
    hidden = set()
    if outer.startswith("closed") and not outer.endswith("vest"):
        hidden.add("top")
    if outer.endswith("long coat"):
        hidden.add("bottom")
    return hidden


def _hair_attributes(person: Person) -> Iterator[str]:
    """Yield attributes of the hair; none where a hood or hat hides too much of it."""
    words = str(person["hair"]).removesuffix(" with a fringe")
    covered = person["headgear"] != "none" and words.startswith(("short", "bald"))
    if person["headgear"] == "hood up" or covered:
        return
    if words == "bald":
        yield "hair=bald"
        return
    shapes = ("short", "medium", "long", "curly", "bun", "ponytail", "braid")
    yield f"hair={next(s for s in shapes if s in words.split())}"
    yield f"hair colour={next(c for c in words.split() if c in HUES)}"


def _values(attributes: Attributes, about: str) -> list[str]:
    return sorted(each.partition("=")[2] for each in attributes if each.startswith(f"{about}="))
