"""What CLIP4VI-ReID measures of its bridge, and the controls that a text has to beat."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.methods.test_clip4vi_reid import begun, clip4vi, stages_of
from tests.toy import PEOPLE, ToyData
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vireid.backbones.clip import create_clip
from vireid.errors import VireidError
from vireid.methods._questions import answered, appearance_of, found_by, mean_rank
from vireid.methods._sentences import QUESTIONS
from vireid.records import Modality

CONTROL: dict[str, Any] = {"hsa_text": "frozen"}


class WithUnseen(ToyData):
    def unseen(self) -> ToyData | None:
        return ToyData()


def test_pictures_are_found_as_counted_by_hand() -> None:
    gallery = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]), torch.tensor([0, 1, 0])
    queries = torch.tensor([[2.0, 0.1], [0.9, 0.8]]), torch.tensor([0, 0])
    # The first finds its own first and last; the second finds another before both of its own.
    first, precision = found_by(queries, gallery)
    assert first == 0.5
    assert precision == pytest.approx(((1 + 2 / 3) / 2 + (1 / 2 + 2 / 3) / 2) / 2)


def test_ranks_are_counted_from_one_and_shared_by_equals() -> None:
    rows = torch.eye(3)
    assert mean_rank(rows, rows) == 1
    assert mean_rank(rows, torch.ones(3, 3)) == 2
    assert mean_rank(rows, torch.eye(3)[[1, 0, 2]]) == pytest.approx((2.5 + 2.5 + 1) / 3)


def test_questions_are_right_where_pictures_lie_at_their_answers() -> None:
    people = [appearance_of(somebody) for somebody in ToyData().described()]
    places: dict[str, Tensor] = {}

    def says(sentences: Any) -> Tensor:
        for sentence in sentences:
            places.setdefault(sentence, F.one_hot(torch.tensor(len(places)), 200).float())
        return torch.stack([places[sentence] for sentence in sentences])

    # A picture lies at the sum of all answers that are true of its person.
    seen = torch.stack(
        [
            sum(
                (
                    says([answer.text])[0]
                    for answers in QUESTIONS.values()
                    for answer in answers
                    if answer.is_true_of(somebody.attributes)
                ),
                start=torch.zeros(200),
            )
            for somebody in people
        ]
    )
    told = answered(says, seen, people)
    assert told.keys() == QUESTIONS.keys()
    asked = {
        name
        for name, answers in QUESTIONS.items()
        if any(a.is_true_of(somebody.attributes) for a in answers for somebody in people)
    }
    assert asked
    assert all(told[name] == 1 for name in asked)
    assert answered(says, -seen, people)["top colour"] == 0


def test_validation_people_are_measured_where_some_are_left_out() -> None:
    method = clip4vi()
    alone = method.measured(ToyData())
    with_others = method.measured(WithUnseen())
    assert not any("unseen" in name for name in alone)
    for metric in ("rank 1", "mAP"):
        for there in ("visible to infrared", "infrared to visible"):
            assert 0 <= with_others[f"unseen people, {metric}/{there}"] <= 1
    assert alone.items() <= with_others.items()


def test_words_are_asked_for_only_where_they_mean_something() -> None:
    method = clip4vi()
    assert not any(
        "question" in name or "rank of" in name for name in method.measured(WithUnseen())
    )
    # As if the towers had been read from a file.
    method.config = replace(method.config, pretrained=True)
    found = method.measured(WithUnseen())
    asked = {name.partition("/")[2] for name in found if "questions, unseen people, inf" in name}
    assert asked == QUESTIONS.keys()
    assert found["rank of the true description/by chance"] == (PEOPLE + 1) / 2
    assert 1 <= found["rank of the true description/mean"] <= PEOPLE


def test_the_cosine_of_a_text_to_the_pictures_it_stands_for_is_one() -> None:
    method = clip4vi(descriptions="class means", **CONTROL)
    found = method.measured(ToyData())
    assert found["text of a person, cosine/to the visible mean"] == pytest.approx(1, abs=1e-5)
    assert found["text of a person, cosine/to the infrared mean"] < 1 - 1e-6


def test_class_means_stand_where_visible_pictures_are_and_stay_there() -> None:
    method = clip4vi(descriptions="class means", **CONTROL)
    assert list(stages_of(method)) == ["IFE", "HSA"]
    method.eval()  # as the loop does before a stage
    begun(method, "IFE")
    batches = list(ToyData().every(Modality.VISIBLE, method.config.tsg_batch))
    images = torch.cat([batch.images for batch in batches])
    people = torch.cat([batch.identities for batch in batches])
    with torch.no_grad():
        seen = method.eval().images({Modality.VISIBLE: images})[1]
    means = torch.stack([seen[people == person].mean(dim=0) for person in range(PEOPLE)])
    bank = method.prompts.texts[0].clone()
    torch.testing.assert_close(F.normalize(bank, dim=1), F.normalize(means, dim=1))
    torch.testing.assert_close(bank.norm(dim=1), seen.norm(dim=1).mean().expand(PEOPLE))
    with torch.no_grad():
        next(method.images.parameters()).mul_(1.5)
    begun(method, "HSA")
    assert torch.equal(method.prompts.texts[0], bank)


def test_random_words_are_words_that_tell_nothing() -> None:
    method = clip4vi(descriptions="random words", **CONTROL)
    assert list(stages_of(method)) == ["IFE", "HSA"]
    torch.manual_seed(1)
    begun(method, "IFE")
    vocabulary = method.text.words.weight
    said = method.prompts.tokens.flatten(0, 2)
    assert torch.cdist(said, vocabulary).min(dim=1).values.max() < 1e-3
    tokens = method.prompts.tokens.clone()
    begun(method, "HSA")
    assert torch.equal(method.prompts.tokens, tokens)
    torch.testing.assert_close(method.prompts.texts, method.prompts.read_all(method.text))


@pytest.mark.parametrize("descriptions", ["class means", "random words"])
def test_a_control_is_refined_by_nothing(descriptions: str) -> None:
    with pytest.raises(VireidError, match="a control that nothing refines"):
        clip4vi(descriptions=descriptions)


def test_texts_move_far_more_slowly_than_images_by_default() -> None:
    config = clip4vi().config
    assert config.hsa_token_learning_rate <= config.hsa_learning_rate / 50


@pytest.mark.parametrize("name", ["wide RN", "wide ViT"])
def test_wide_towers_share_more_numbers_than_tiny_ones(name: str) -> None:
    wide, tiny = create_clip(name, None), create_clip(name.replace("wide", "tiny"), None)
    assert wide.visual.output_dim == 128
    assert tiny.visual.output_dim == 32
    assert wide.text_projection.shape == (128, 128)
