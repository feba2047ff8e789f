"""Sentences say what is true, and towers that learn from them see it."""

import dataclasses
import math
import os
import random
import re
import signal
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import open_clip
import pytest
import torch
from tests.learning.test_loop import assert_same, losses, saved
from tests.toy import HEIGHT, PEOPLE, WIDTH, ToyData, small, small_settings
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vireid import datasets
from vireid.backbones.clip_text import numbers_of
from vireid.errors import Interrupted, VireidError
from vireid.learning.loop import fit
from vireid.losses.image_text import contrast, matching
from vireid.methods._sentences import (
    HUES,
    PATTERNS,
    QUESTIONS,
    Appearance,
    Garment,
    Sentence,
    describe,
    draw_sentence,
)
from vireid.methods.clip4vi_reid import CLIP4VIReID
from vireid.methods.language_image import LanguageImage
from vireid.models import runs
from vireid.recipes import recipe as recipes
from vireid.records import Modality
from vireid.render import people as rendered
from vireid.render.materials import DYES, Cloth, Pattern
from vireid.render.people import Person, draw_person
from vireid.training_data.augmentation import Augmentation
from vireid.training_data.loading import PackedTrainingData
from vireid.training_data.settings import Data

VISIBLE, INFRARED = Modality


@cache
def crowd() -> list[Person]:
    return [draw_person(11, identity) for identity in range(1, 301)]


@cache
def looks() -> list[Appearance]:
    return [Appearance.of(person.attributes()) for person in crowd()]


def sentences(of: Appearance, count: int) -> Iterator[Sentence]:
    chance = random.Random(0)
    return (draw_sentence(of, chance) for _ in range(count))


def test_all_that_anybody_can_wear_has_a_name() -> None:
    """Not of the crowd alone, but all that NightWalk can draw."""
    nouns = {*get_args(rendered.Top), *get_args(rendered.Outer), *get_args(rendered.Bottom)}
    nouns |= {*get_args(rendered.Bag), "scarf", "shoes", "cap", "beanie"}
    own = {"none", "tunic", "tank", "wide trousers", "long skirt", "big backpack"}
    for noun in nouns - own:
        assert Garment.of(f"red {noun}") == Garment(noun, ("red",))
    plain = Cloth((0.5, 0.5, 0.5), 0.5, dye="red")
    for dye in DYES:
        for pattern in get_args(Pattern):
            cloth = dataclasses.replace(plain, dye=dye, second_dye="white", pattern=pattern)
            thing = Garment.of(f"{rendered.cloth_words(cloth)} long-sleeved shirt")
            assert (thing.noun, thing.cuts) == ("shirt", ("long-sleeved",))
            assert {*thing.colours} <= {*HUES}
            assert thing.colours[-1] == "white"
            assert thing.denim == ("indigo" in dye)
            assert (thing.pattern in PATTERNS) or pattern == "plain"


def test_what_a_crowd_wears_is_said_as_it_is() -> None:
    """Against the people themselves, not against the words that sentences are made from."""
    told = 0
    for person, seen in zip(crowd(), looks(), strict=True):
        things = {
            "top": (person.top, person.top_cloth),
            "outer": (person.outer, person.outer_cloth),
            "bottom": (person.bottom, person.bottom_cloth),
            "bag": (person.bag, person.bag_cloth),
        }
        for about, (what, cloth) in things.items():
            if about not in seen.things or what == "dress":
                continue
            thing = seen.things[about]
            assert set(thing.noun.split()) & set(what.split())
            dyes = (cloth.dye, cloth.second_dye)[: len(thing.colours)]
            blue = [dye.replace("indigo", "blue").removeprefix("dark ") for dye in dyes]
            assert [colour.removeprefix("dark ") for colour in thing.colours] == blue
            told += 1
        assert ("sex=woman" in seen.attributes) == (person.phenotype.gender < 0.5)
        assert ("headgear=none" in seen.attributes) == (person.headgear == "none")
        assert ("bag=backpack" in seen.attributes) == ("backpack" in person.bag)
        assert ("hair=bald" in seen.attributes) == (
            person.hair == "bald" and person.headgear == "none"
        )
    assert told > 2 * len(crowd())


def test_a_sentence_says_attributes_alone_and_in_plain_sight() -> None:
    said: set[str] = set()
    for seen in looks():
        for sentence in sentences(seen, 4):
            assert sentence.is_true_of(seen.attributes)
            said |= sentence.says
            for attribute in sentence.says:
                about, _, what = attribute.partition("=")
                missing = {"outer": "jacket or coat", "bag": "bag", "headgear": "hat"}
                word = missing[about] if what == "none" else PATTERNS.get(what, what)
                assert re.search(rf"\b{word}", sentence.text), (attribute, sentence.text)
            assert not re.search(
                r"glasses|beard|moustache|fringe|skin|left|right|none|\ba [aeio]|  ", sentence.text
            )
    true_of = Counter(attribute for seen in looks() for attribute in seen.attributes)
    assert {attribute for attribute, people in true_of.items() if people >= 12} <= said


def wearing(**words: str) -> Appearance:
    """Somebody with nothing on that is not asked for."""
    nothing = dict.fromkeys(("headgear", "outer", "bag", "umbrella", "gloves", "scarf"), "none")
    plain = {"build": "medium", "stature": "medium", "sex": "man", "age": "young"}
    clothes = {"top": "red t-shirt", "bottom": "black trousers", "shoes": "black shoes"}
    return Appearance.of({**nothing, **plain, **clothes, "hair": "short brown hair", **words})


def test_descriptions_read_like_english() -> None:
    assert describe(wearing()) == (
        "a young man with short brown hair in a red t-shirt, black trousers and black shoes"
    )
    told = describe(
        wearing(
            sex="woman",
            age="old",
            hair="grey hair in a bun with a fringe",
            top="none",
            outer="open orange and white checked knee-length coat",
            bottom="olive ribbed short dress",
            bag="black quilted shoulder bag on the left",
            umbrella="closed navy umbrella",
        )
    )
    assert told == (
        "an old woman with grey hair in a bun in a knee-length open orange and white checked coat, "
        "a short olive ribbed dress and black shoes, carrying a black quilted shoulder bag and a "
        "closed navy umbrella"
    )
    worn = wearing(bottom="dark blue denim worn wide trousers", hair="bald", gloves="gloves")
    assert "with a bald head" in describe(worn)
    assert "wide dark blue faded jeans, black shoes and gloves" in describe(worn)


@pytest.mark.parametrize(
    ("words", "hidden"),
    [
        ({"outer": "closed black jacket"}, "t-shirt"),
        ({"outer": "closed black short coat"}, "t-shirt"),
        ({"outer": "open black long coat"}, "trousers"),
        ({"headgear": "hood up"}, "hair"),
        ({"headgear": "red cap"}, "hair"),
        ({"headgear": "red beanie", "hair": "bald"}, "bald"),
    ],
)
def test_what_clothes_hide_is_not_said(words: dict[str, str], hidden: str) -> None:
    assert hidden not in describe(wearing(**words))
    assert not any(hidden in s.text for s in sentences(wearing(**words), 50))


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ({"outer": "closed black vest"}, "t-shirt"),
        ({"outer": "open black jacket"}, "t-shirt"),
        ({"outer": "closed black knee-length coat"}, "trousers"),
        ({"headgear": "red cap", "hair": "long brown hair"}, "hair"),
    ],
)
def test_what_they_leave_to_be_seen_is(words: dict[str, str], shown: str) -> None:
    assert shown in describe(wearing(**words))


def test_sentences_are_many_and_come_from_the_seed() -> None:
    somebody = looks()[0]
    drawn = [sentence.text for sentence in sentences(somebody, 200)]
    assert drawn == [sentence.text for sentence in sentences(somebody, 200)]
    assert len(set(drawn)) > 150
    assert all(numbers_of(describe(seen), 77) for seen in looks())


def test_words_are_numbered_as_open_clip_does() -> None:
    tokenizer = open_clip.SimpleTokenizer()
    for seen in looks()[:30]:
        for sentence in sentences(seen, 2):
            assert numbers_of(sentence.text, 77)[1:-1] == tokenizer.encode(sentence.text)


def test_every_question_has_an_answer_for_somebody_and_none_has_two() -> None:
    for answers in QUESTIONS.values():
        true = [[answer.is_true_of(seen.attributes) for answer in answers] for seen in looks()]
        assert all(any(of_answer) for of_answer in zip(*true, strict=True))
        assert max(map(sum, true)) == 1


def looped(logits: Tensor, right: Tensor) -> float:
    """The formula of `matching`, word for word."""
    total = 0.0
    for i in range(len(logits)):
        everything = sum(math.exp(x) for x in logits[i].tolist())
        wanted = [j for j in range(logits.shape[1]) if right[i, j]]
        shares = [math.log(math.exp(logits[i, j].item()) / everything) for j in wanted]
        total -= sum(shares) / len(wanted)
    return total / len(logits)


def test_matching_is_its_formula() -> None:
    chance = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 5, generator=chance)
    right = torch.rand(7, 5, generator=chance) < 0.4
    right[range(7), [i % 5 for i in range(7)]] = True
    assert matching(logits, right).item() == pytest.approx(looped(logits, right), rel=1e-5)


def test_matching_has_its_limits() -> None:
    logits = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    alone = torch.eye(6, dtype=torch.bool)
    torch.testing.assert_close(matching(logits, alone), F.cross_entropy(logits, torch.arange(6)))
    assert matching(torch.zeros(6, 6), alone).item() == pytest.approx(math.log(6))
    twins = torch.arange(6)[:, None] // 2 == torch.arange(6)[None] // 2
    assert matching(100.0 * twins, twins).item() == pytest.approx(math.log(2))
    rows = F.normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(
        matching(rows @ rows.T, twins), contrast(rows, rows, torch.arange(6) // 2)
    )


def learner(**settings: Any) -> LanguageImage:
    torch.manual_seed(0)
    usual = small_settings(LanguageImage)
    return LanguageImage(LanguageImage.Config(**{**usual, **settings}), PEOPLE)


def test_pictures_of_whom_a_sentence_is_true_are_all_right() -> None:
    """Of four people who look the same: nothing is wrong, and log n the least there is."""

    class Alike(ToyData):
        def described(self) -> list[dict[str, str]]:
            return [super().described()[0]] * PEOPLE

    method = learner(length_weight=0.0)
    stage = method.stages(Alike())[0]
    batch = next(iter(stage.batches(0)))
    found = stage.losses(batch, 0)
    learnt = int((batch.identities < method.learnt_from).sum())
    assert found["text to image"].item() >= math.log(learnt) / 2 - 1e-5


def test_nobody_held_out_is_learnt_from() -> None:
    method = learner(held_out=2)
    data = ToyData()
    stage = method.stages(data)[0]
    batch = next(iter(stage.batches(0)))
    assert (batch.identities >= 2).any()
    black = dataclasses.replace(
        batch, images=batch.images * (batch.identities < 2)[:, None, None, None]
    )
    torch.manual_seed(0)
    one = stage.losses(batch, 0)
    torch.manual_seed(0)
    assert_same(dict(one), dict(stage.losses(black, 0)))


@pytest.mark.parametrize("name", ["tiny RN", "tiny ViT"])
@torch.no_grad()
def test_its_weights_are_a_start_for_clip4vi_reid(name: str, tmp_path: Path) -> None:
    table = {
        "method": "language_image",
        "data": {"dataset": "nightwalk", "height": HEIGHT, "width": WIDTH},
        "settings": {"clip": name, "picture": [HEIGHT, WIDTH], "held_out": 1, "batch": 8},
    }
    recipe = recipes.from_dict(table)
    runs.start(tmp_path / "run", recipe, runs.Details(dataset="toy", num_identities=PEOPLE))
    method = learner(clip=name)
    with torch.enable_grad():
        stage = method.stages(ToyData())[0]
        stage.thaw(method)
        for batch in stage.batches(0):
            stage.optimizer.zero_grad()
            torch.stack([*stage.losses(batch, 0).values()]).sum().backward()  # type: ignore[no-untyped-call]
            stage.optimizer.step()
    runs.finish(tmp_path / "run", method.eval(), recipe)
    config = CLIP4VIReID.Config(
        clip=name, weights=str(tmp_path / "run/model.safetensors"), picture=(HEIGHT, WIDTH)
    )
    other = CLIP4VIReID(config, 3).eval()
    images = torch.rand(4, 3, HEIGHT, WIDTH)
    for modality in Modality:
        torch.testing.assert_close(other.images({modality: images})[1], method._see(images))
    told = [describe(seen) for seen in looks()[:3]]
    torch.testing.assert_close(other.text.say(told), method._say(told))
    again, _ = runs.load_method(tmp_path / "run")
    torch.testing.assert_close(again.embed(images, VISIBLE), method.embed(images, VISIBLE))


def test_a_resumed_run_is_the_unbroken_one_to_the_last_bit(tmp_path: Path) -> None:
    def stop(steps_begun: int) -> None:
        if steps_begun == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    fit(learner(), ToyData(), tmp_path / "unbroken")
    with pytest.raises(Interrupted):
        fit(learner(), ToyData(before_step=stop), tmp_path / "broken")
    fit(learner(), ToyData(), tmp_path / "broken", resume=True)
    assert_same(saved(tmp_path / "unbroken"), saved(tmp_path / "broken"))
    assert losses(tmp_path / "unbroken") == losses(tmp_path / "broken")


def test_a_few_steps_give_words_a_meaning(tmp_path: Path) -> None:
    """Three people in a black, a grey and a red top, in pictures of three shades."""
    method = learner(batch=16, epochs=24, learning_rate=2e-3)
    fit(method, ToyData(), tmp_path)
    told = [line["losses"] for line in losses(tmp_path)]
    assert sum(told[-1].values()) < sum(told[0].values()) - 0.3
    batch = next(iter(ToyData().every(VISIBLE, 32)))
    known = batch.identities < method.learnt_from
    with torch.no_grad():
        seen = method.eval().embed(batch.images[known], VISIBLE)
        tops = method.embed_text([f"a person in a {c} top" for c in ("black", "grey", "red")])
    right = ((seen @ tops.T).argmax(dim=1) == batch.identities[known]).float().mean()
    assert right > 0.8


def test_it_asks_for_people_who_are_known() -> None:
    mini = datasets.read("nightwalk")
    data = PackedTrainingData(
        mini.validation, Data("nightwalk", height=64, width=32), Augmentation(), seed=0
    )
    with pytest.raises(VireidError, match="nothing is known about the looks of 20 of the people"):
        small(LanguageImage).stages(data)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"held_out": 3}, r"held_out is 3, which leaves 1 of 4 people"),
        ({"batch": 1}, r"settings\.batch is 1; it has to be 2 or more"),
        ({"learning_rate": 0.0}, "has to be more than 0"),
        ({"length_weight": -1.0}, "0 or more"),
        ({"picture": (30, 16)}, r"settings\.picture is 30 x 16"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(VireidError, match=told):
        learner(**settings)


@pytest.mark.parametrize(
    ("sentence", "told"), [("", "is empty"), ("red " * 80, "is 80 words .* 75 at most")]
)
def test_sentences_that_cannot_be_read_are_refused(sentence: str, told: str) -> None:
    with pytest.raises(VireidError, match=told):
        learner().embed_text([sentence])
