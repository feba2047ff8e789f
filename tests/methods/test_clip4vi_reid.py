"""CLIP4VI-ReID is what docs/methods/clip4vi_reid.md says: text is the bridge between spectra."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from tests import sysu_layout
from tests.learning.test_loop import assert_same, losses, saved
from tests.toy import HEIGHT, PEOPLE, STEPS, WIDTH, ToyData, small_settings
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vireid.backbones.clip import create_clip
from vireid.errors import Interrupted, VireidError
from vireid.learning.loop import fit
from vireid.method import Stage, TrainingData
from vireid.methods._optimizers import lr_factor
from vireid.methods.clip4vi_reid import CLIP4VIReID, _one_colour, _stepped, _tsg_factor
from vireid.models import export, runs
from vireid.records import ImageRecord, Modality
from vireid.training_data.augmentation import Augmentation
from vireid.training_data.loading import PackedTrainingData
from vireid.training_data.settings import Data

VISIBLE, INFRARED = Modality
TINY = small_settings(CLIP4VIReID)


def clip4vi(**settings: Any) -> CLIP4VIReID:
    torch.manual_seed(0)
    return CLIP4VIReID(CLIP4VIReID.Config(**{**TINY, **settings}), PEOPLE)


def stages_of(method: CLIP4VIReID, data: TrainingData | None = None) -> dict[str, Stage[Any]]:
    return {stage.name: stage for stage in method.stages(data or ToyData())}


def begun(method: CLIP4VIReID, name: str) -> tuple[Stage[Any], Any]:
    """A stage about to make its first step, and the batch of that step."""
    stage = stages_of(method)[name]
    assert stage.prepare is not None
    stage.prepare()
    stage.thaw(method)
    return stage, next(iter(stage.batches(0)))


def found(stage: Stage[Any], batch: Any) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return dict(stage.losses(batch, 0))


def learn(stage: Stage[Any], batch: Any) -> None:
    stage.optimizer.zero_grad()
    torch.stack(list(found(stage, batch).values())).sum().backward()  # type: ignore[no-untyped-call]
    stage.optimizer.step()


class NoInfrared(ToyData):
    def single(self, modality: Modality, size: int) -> Any:
        return lambda _epoch: pytest.fail("single pictures were asked for")

    def every(self, modality: Modality, size: int) -> Any:
        assert modality is VISIBLE
        return super().every(modality, size)

    def paired(self, people: int, images_each: int) -> Any:
        return lambda _epoch: pytest.fail("a pair was asked for")


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["TSG", "IFE", "HSA"]),
        ({"ife": False}, ["TSG", "HSA"]),
        ({"tsg_epochs": 0}, ["IFE", "HSA"]),
        ({"tokens": 0, "hsa_text": "frozen"}, ["HSA"]),
    ],
)
def test_stages_are_those_that_have_something_to_learn(
    settings: dict[str, Any], names: list[str]
) -> None:
    assert list(stages_of(clip4vi(**settings))) == names


def test_texts_are_learnt_from_every_visible_picture_once_an_epoch() -> None:
    method = clip4vi()
    stage = stages_of(method, NoInfrared())["TSG"]
    assert stage.prepare is not None
    stage.prepare()
    stage.thaw(method)
    epochs = [list(stage.batches(epoch)) for epoch in (0, 1, 0)]
    rows = [torch.cat([batch.features for batch in epoch]) for epoch in epochs]
    assert torch.equal(rows[0], rows[2])
    assert not torch.equal(rows[0], rows[1])
    assert len(epochs[0]) == len(stage.batches(0)) == STEPS
    assert len(torch.unique(rows[0], dim=0)) == len(rows[0]) == 8 * STEPS
    torch.testing.assert_close(rows[0].sort(dim=0)[0], rows[1].sort(dim=0)[0])
    learn(stage, epochs[0][0])
    learning = {name for name, p in method.named_parameters() if p.grad is not None}
    assert learning == {"prompts.tokens"}


def test_the_order_of_features_is_the_seeds_and_goes_on_where_it_was(tmp_path: Path) -> None:
    orders = set()
    for seed in (0, 1):
        method = clip4vi(tsg_epochs=1, ife=False, hsa_epochs=1)
        fit(method, ToyData(), tmp_path / str(seed), seed=seed)
        orders.add(int(method.order))
    assert len(orders) == 2


def test_infrared_pictures_find_their_texts_after_the_second_stage(tmp_path: Path) -> None:
    method = clip4vi(
        tsg_epochs=30,
        tsg_learning_rate=0.02,
        tsg_warm_up=1,
        ife_epochs=15,
        ife_learning_rate=3e-3,
        ife_warm_up=1,
        hsa_epochs=1,
    )
    fit(method, ToyData(), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "measures.jsonl").read_text().splitlines()]
    assert [(x["stage"], x["when"]) for x in lines] == [
        *(("TSG", "before"), ("TSG", "after"), ("IFE", "after"), ("HSA", "after")),
    ]
    assert set(lines[0]["figures"]) == {
        *("visible to text", "text to visible", "infrared to text", "text to infrared"),
        *(f"text of a person, cosine/to the {modality} mean" for modality in Modality),
    }
    at = [line["figures"] for line in lines]
    # To a tower that begins at random pictures are much alike; the second stage changes that.
    assert at[2]["infrared to text"] > at[1]["infrared to text"] + 0.3


def test_texts_and_tokens_stay_to_the_last_bit_while_infrared_learns() -> None:
    method = clip4vi()
    stage, batch = begun(method, "IFE")
    before = {k: v.clone() for k, v in method.state_dict().items()}
    learn(stage, batch)
    changed = {k for k, v in method.state_dict().items() if not torch.equal(v, before[k])}
    parts = ("images.stems.infrared.", "images.layers.", "images.attend.")
    assert {name for name in changed if not name.startswith(parts)} == set()
    assert all(any(name.startswith(part) for name in changed) for part in parts)
    torch.testing.assert_close(method.prompts.texts, method.prompts.read_all(method.text))


@pytest.mark.parametrize("spectrum", Modality)
def test_tokens_learn_from_either_spectrum_alone(spectrum: Modality) -> None:
    method = clip4vi()
    stage, batch = begun(method, "HSA")
    losses = found(stage, batch)
    losses[f"{spectrum} to text"].backward()  # type: ignore[no-untyped-call]
    gradient = method.prompts.tokens.grad
    assert gradient is not None
    assert gradient.flatten(2).norm(dim=2).min() > 0
    assert all(p.grad is None for p in method.text.parameters())


@pytest.mark.parametrize(
    "settings",
    [
        {"clip": "tiny ViT"},
        {"stems": "shared"},
        {"tsg_images": "visible and infrared"},
        {"ife_trains": "stem"},
        {"ife_loss": "bank"},
        {"ife_loss": "bank, identity, triplet"},
        {"ife_visible_replay": 0.5},
        {"visible_views": 1},
        {"hsa_text": "frozen"},
        {"hsa_text": "tokens, projection"},
        {"hsa_text": "tokens, projection, block"},
        {"hsa_reads": "batch"},
        {"hsa_detach": True},
        {"label_smoothing": 0.1, "enhancement_weight": 0.0, "text_image_weight": 0.0},
        {
            "tokens": 0,
            "hsa_text": "frozen",
            "visible_text_weight": 0.0,
            "infrared_text_weight": 0.0,
            "text_image_weight": 0.0,
        },
    ],
)
def test_every_alternative_learns_all_that_it_steps(settings: dict[str, Any]) -> None:
    method = clip4vi(**settings)
    for name in stages_of(method):
        stage, batch = begun(method, name)
        learn(stage, batch)
        stepped = [p for group in stage.optimizer.param_groups for p in group["params"]]
        assert all(p.grad is not None and p.grad.isfinite().all() for p in stepped), name
        learning = {id(p) for part in stage.trains for p in part.parameters()}
        assert {id(p) for p in stepped} == learning
    assert all(p.isfinite().all() for p in method.parameters())


def test_reading_the_batchs_descriptions_alone_gives_the_same_first_step() -> None:
    both = [clip4vi(hsa_reads=reads, people=3) for reads in ("all", "batch")]
    first, second = (found(*begun(method, "HSA")) for method in both)
    for name, loss in first.items():
        torch.testing.assert_close(second[name], loss)
    second["visible to text"].backward()  # type: ignore[no-untyped-call]
    gradient = both[1].prompts.tokens.grad
    assert gradient is not None
    assert [bool(g.any()) for g in gradient[0]] == [True, True, True, False]


def test_standing_still_keeps_images_and_texts_apart() -> None:
    method = clip4vi(hsa_detach=True)
    losses = found(*begun(method, "HSA"))
    losses["visible to text"].backward(retain_graph=True)  # type: ignore[no-untyped-call]
    assert method.prompts.tokens.grad is None
    stem = method.images.stem(VISIBLE)
    assert all(p.grad is not None for p in stem.parameters())
    method.zero_grad()
    losses["text to visible"].backward()  # type: ignore[no-untyped-call]
    assert method.prompts.tokens.grad is not None
    assert all(p.grad is None for p in stem.parameters())


def test_infrared_has_texts_of_its_own_where_it_is_asked_for() -> None:
    method = clip4vi(tsg_images="visible and infrared")
    stage, batch = begun(method, "TSG")
    assert len(stage.batches(0)) == 2 * STEPS
    assert set(batch.sets.tolist()) == {0, 1}
    learn(stage, batch)
    assert method.prompts.tokens.shape == (2, PEOPLE, 4, 32)
    gradient = method.prompts.tokens.grad
    assert gradient is not None
    assert gradient[0].any()
    assert gradient[1].any()


def test_one_colour_of_each_picture_takes_the_place_of_all() -> None:
    torch.manual_seed(0)
    images = torch.rand(30, 3, 4, 2)
    grey = _one_colour(images)
    assert torch.equal(grey[:, :1].expand_as(grey), grey)
    chosen = [int((image == grey[i, :1]).flatten(1).all(dim=1).nonzero()) for i, image in
              enumerate(images)]  # fmt: skip
    assert set(chosen) == {0, 1, 2}


@pytest.mark.parametrize("colours", ["pixels", "normalised"])
def test_second_views_have_one_colour_in_pixels_or_as_the_tower_sees_them(colours: str) -> None:
    method = clip4vi(view_colours=colours)
    shown: list[Tensor] = []
    method.images.stem(VISIBLE).register_forward_hook(lambda *told: shown.append(told[1][0]))
    stage, batch = begun(method, "HSA")
    stage.losses(batch, 0)
    second = shown[0][len(batch.visible) :]
    if colours == "pixels":
        second = second * method.images.std + method.images.mean
    torch.testing.assert_close(second, second[:, :1].expand_as(second), rtol=0, atol=1e-5)


def test_second_views_are_classified_and_texts_do_not_see_them() -> None:
    method = clip4vi()
    stage, batch = begun(method, "HSA")
    rows: dict[str, int] = {}
    method.classifiers[0].register_forward_hook(lambda *told: rows.update(known=len(told[2])))
    two = found(stage, batch)
    assert rows["known"] == 3 * len(batch.identities)
    method.config = CLIP4VIReID.Config(**{**TINY, "visible_views": 1})
    # In eval mode batch statistics, too, do not know of second views.
    method.eval()
    one = found(stage, batch)
    method.config = CLIP4VIReID.Config(**TINY)
    two = found(stage, batch)
    for name in ("visible to text", "infrared to text", "text to visible", "enhancement"):
        torch.testing.assert_close(one[name], two[name])
    assert one["identity, pooled"] != two["identity, pooled"]


def test_learning_rates_are_those_documented() -> None:
    config = CLIP4VIReID.Config()
    rates = [config.tsg_learning_rate * _tsg_factor(config, epoch) for epoch in range(61)]
    rising = 3.5e-4 * np.arange(1, 6) / 5
    # The cosine has gone on from the first epoch.
    falling = 1e-6 + (3.5e-4 - 1e-6) * (1 + np.cos(np.pi * np.arange(5, 61) / 60)) / 2
    np.testing.assert_allclose(rates, [*rising, *falling], rtol=1e-12)
    stepped = [3e-4 * _stepped(config, epoch, 10, (40, 70)) for epoch in (0, 9, 10, 40, 70)]
    assert stepped == pytest.approx([3e-5, 3e-4, 3e-4, 3e-5, 3e-6])


def test_former_warm_up_begins_at_the_floor_of_csdn() -> None:
    config = CLIP4VIReID.Config(warm_up_from="floor")
    rates = [config.tsg_learning_rate * _tsg_factor(config, epoch) for epoch in range(6)]
    np.testing.assert_allclose(rates[:5], np.linspace(1e-5, 3.5e-4, 6)[:5], rtol=1e-12)
    stepped = [3e-4 * _stepped(config, epoch, 10, (40, 70)) for epoch in (0, 10, 40, 70)]
    assert stepped == pytest.approx([3e-6, 3e-4, 3e-5, 3e-6])


def test_an_epoch_of_warm_up_is_a_whole_epoch_as_for_every_method() -> None:
    config = CLIP4VIReID.Config()
    assert (
        _stepped(config, 0, 1)
        == 1
        == lr_factor(0, schedule="steps", warm_up=1, milestones=(), epochs=5)
    )


def test_the_heads_learn_twice_as_fast_and_tokens_by_a_rate_of_their_own() -> None:
    method = clip4vi()
    stage, _ = begun(method, "HSA")
    part = {id(p): name.partition(".")[0] for name, p in method.named_parameters()}
    of = {
        part[id(p)]: group["initial_lr"]
        for group in stage.optimizer.param_groups
        for p in group["params"]
    }
    assert of == pytest.approx(
        {"images": 3e-4, "pool": 6e-4, "necks": 6e-4, "classifiers": 6e-4, "prompts": 3.5e-6}
    )


def test_necks_may_have_a_bias_that_learns() -> None:
    method = clip4vi(neck_bias=True)
    stage, batch = begun(method, "HSA")
    sum(stage.losses(batch, 0).values(), start=torch.zeros(())).backward()  # type: ignore[no-untyped-call]
    for neck in method.necks:
        assert isinstance(neck, nn.BatchNorm1d)
        assert neck.bias.grad is not None
        assert bool(neck.bias.grad.any())
        torch.testing.assert_close(neck.weight, torch.ones_like(neck.weight))
    assert all(neck.bias is None for neck in clip4vi().necks)


def test_an_embedding_is_a_neck_and_a_projection_and_reads_no_text() -> None:
    method = clip4vi().eval()

    def refuse(*_: object) -> None:
        raise AssertionError("a text was read")

    method.text.register_forward_hook(refuse)
    images = torch.rand(3, 3, HEIGHT, WIDTH)
    embeddings = method.embed(images, INFRARED)
    pooled, projected = method._features({INFRARED: images})
    parts = [F.normalize(method.necks[0](pooled)), F.normalize(projected)]
    assert embeddings.shape == (3, 256 + 32)
    torch.testing.assert_close(embeddings @ embeddings.T, sum(part @ part.T for part in parts) / 2)


@pytest.mark.parametrize("clip", ["tiny RN", "tiny ViT"])
def test_what_is_exported_knows_no_text(clip: str) -> None:
    needed = export._needed_to_embed(clip4vi(clip=clip), HEIGHT, WIDTH)
    assert {name.split(".")[0] for name in needed} <= {
        *("images", "pool", "necks", "order", "prompts")
    }
    assert {name for name in needed if name.startswith("prompts")} == {"prompts.texts"}


def test_an_export_of_a_vit_embeds_as_torch_does(tmp_path: Path) -> None:
    """A ResNet's is tested beside its reader of sentences."""
    method = clip4vi(clip="tiny ViT").eval()
    export.write_graphs(method, HEIGHT, WIDTH, tmp_path)
    pictures = np.random.default_rng(1).integers(0, 256, (5, HEIGHT, WIDTH, 3), dtype=np.uint8)
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255
    for modality in Modality:
        session = onnxruntime.InferenceSession(
            tmp_path / f"{modality}.onnx", providers=["CPUExecutionProvider"]
        )
        (found,) = session.run(["embeddings"], {"pictures": pictures})
        with torch.no_grad():
            expected = method.embed(images, modality)
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0, atol=1e-4)


def test_more_people_than_descriptions_are_refused() -> None:
    data = ToyData(num_identities=PEOPLE + 3)
    with pytest.raises(VireidError, match=r"there are 7 people .* descriptions of 4; build"):
        clip4vi().stages(data)


def stopping_at(method: CLIP4VIReID, step: int) -> CLIP4VIReID:
    """Asks its run to stop in one of the steps, of whichever stage."""
    done = 0

    def counting(losses: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*told: Any) -> Any:
            nonlocal done
            if done == step:
                os.kill(os.getpid(), signal.SIGTERM)
            done += 1
            return losses(*told)

        return counted

    for name in ("_tsg_losses", "_ife_losses", "_hsa_losses"):
        setattr(method, name, counting(getattr(method, name)))
    return method


def test_a_run_stopped_in_or_after_any_stage_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    fit(clip4vi(), ToyData(), tmp_path / "unbroken")
    each = 2 * STEPS
    for step in (1, each - 1, each + 1, 2 * each - 1, 2 * each + 1):
        folder = tmp_path / str(step)
        with pytest.raises(Interrupted):
            fit(stopping_at(clip4vi(), step), ToyData(), folder)
        assert saved(folder)["position"]["stage"] == step // each
        fit(clip4vi(), ToyData(), folder, resume=True)
        assert_same(saved(tmp_path / "unbroken"), saved(folder))
        assert losses(tmp_path / "unbroken") == losses(folder)
        measured = [(f / "measures.jsonl").read_text() for f in (tmp_path / "unbroken", folder)]
        assert measured[0] == measured[1]


def test_pictures_a_second_count_replayed_ones_and_no_features(tmp_path: Path) -> None:
    fit(clip4vi(ife_visible_replay=0.25), ToyData(), tmp_path)
    lines = map(json.loads, (tmp_path / "losses.jsonl").read_text().splitlines())
    seen = {line["stage"]: line["pictures_per_second"] * line["seconds"] for line in lines}
    assert seen["TSG"] == 0
    assert seen["IFE"] == pytest.approx(STEPS * 8, rel=0.2)


def test_every_picture_comes_once_and_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    records = []
    for i in range(7):
        modality = VISIBLE if i < 5 else INFRARED
        path = tmp_path / f"{i}.png"
        Image.fromarray(np.full((32, 16, 3), i, dtype=np.uint8)).save(path)
        records.append(ImageRecord(path, modality, 10 + i % 2))
    data = PackedTrainingData(
        records, Data("x", height=32, width=16, workers=0), Augmentation(pad=2), seed=0
    )
    batches = list(data.every(VISIBLE, 2))
    assert [len(batch.images) for batch in batches] == [2, 2, 1]
    images = torch.cat([batch.images for batch in batches])
    assert len(data.every(VISIBLE, 2)) == 3
    flat = images.flatten(1)
    assert torch.equal(flat, flat[:, :1].expand_as(flat))
    torch.testing.assert_close(flat[:, 0].sort()[0], torch.arange(5) / 255)
    people = torch.cat([batch.identities for batch in batches])
    assert torch.equal(people, (flat[:, 0] * 255).round().long() % 2)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"tokens": 70}, r"tokens is 70, .* longer than the 77 words"),
        ({"picture": (30, 16)}, r"settings\.picture is 30 x 16, .* multiples of 16"),
        ({"people": 1}, r"settings\.people is 1; it has to be 2 or more"),
        ({"images_each": 1}, r"settings\.images_each is 1; .* or enhancement_weight 0"),
        ({"hsa_milestones": (3, 2)}, "has to be rising"),
        ({"tokens": 0}, "there are no tokens, or all weights of text are 0; set it to 'frozen'"),
        ({"tsg_learning_rate": 0.0}, "has to be more than 0"),
        ({"ife_visible_replay": 1.0}, "has to be below 1"),
        ({"ife_loss": "bank, identity, triplet", "ife_visible_replay": 0.5}, "set one of them"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(VireidError, match=told):
        clip4vi(**settings)


def test_a_checkpoint_of_another_clip_is_refused(tmp_path: Path) -> None:
    short = {"tsg_epochs": 1, "ife": False, "hsa_epochs": 1}
    fit(clip4vi(**short), ToyData(), tmp_path)
    with pytest.raises(VireidError, match=r"checkpoint does not fit the method .*images\."):
        fit(clip4vi(clip="tiny ViT", **short), ToyData(), tmp_path, resume=True)


RECIPE = """
method = "clip4vi_reid"
[data]
dataset = "sysu_mm01"
height = 32
width = 16
steps_per_epoch = 1
workers = 0
[augmentation]
pad = 2
[settings]
clip = "tiny RN"
picture = [32, 16]
pretrained = false
people = 2
images_each = 2
tsg_epochs = 0
ife = false
hsa_epochs = 1
"""


@pytest.mark.usefixtures("own_cache")
def test_a_run_begins_with_the_weights_of_a_file(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    torch.manual_seed(7)
    clip = create_clip("tiny RN", None)
    torch.save(clip.state_dict(), file := tmp_path / "tiny.pt")
    (recipe := tmp_path / "tiny.toml").write_text(RECIPE)
    data, folder = sysu_layout.write(tmp_path / "sysu"), tmp_path / "run"
    answer = run("train", recipe, f"data.root={data}", "--out", folder, "--weights", file)
    assert answer[0] == 0, answer
    method, learnt = runs.load_method(folder)
    assert (learnt.settings.weights, learnt.settings.pretrained) == (str(file), True)
    # The text tower stands still, so that it still is what it was.
    assert isinstance(method, CLIP4VIReID)
    assert torch.equal(method.text.words.weight, clip.token_embedding.weight)
