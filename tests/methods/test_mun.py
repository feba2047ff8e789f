"""MUN is what docs/methods/mun.md says: three modalities in training, AGW's cost afterwards."""

import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.learning.test_loop import ask_to_stop_before, assert_same, saved
from tests.toy import HEIGHT, PEOPLE, STEPS, WIDTH, ToyData, small_settings
from torch import Tensor, nn

from vireid import methods
from vireid.backbones.auxiliary import CrossModality, GateForm, LearntMixture, Mean, OneByOne
from vireid.errors import Interrupted, VireidError
from vireid.learning import initial_weights, training_history
from vireid.learning.loop import DivergedError, fit
from vireid.learning.training_history import Measured
from vireid.method import Method, Stage
from vireid.methods.agw import AGW
from vireid.methods.mun import MUN
from vireid.models import export
from vireid.models.opening import SHIPPED
from vireid.records import Modality
from vireid.training_data.batches import PairedBatch


def mun(**settings: Any) -> MUN:
    torch.manual_seed(0)
    return MUN(MUN.Config(**{**small_settings(MUN), **settings}), PEOPLE)


def agw(**settings: Any) -> AGW:
    return AGW(AGW.Config(**{**small_settings(AGW), **settings}), PEOPLE)


def stage_of(method: Method) -> Stage[Any]:
    (stage,) = method.stages(ToyData())
    stage.thaw(method)
    return stage


def batch(images_each: int = 2) -> PairedBatch:
    return next(iter(ToyData().paired(PEOPLE, images_each)(0)))


def losses_of(method: Method, epoch: int = 99) -> dict[str, Tensor]:
    return dict(stage_of(method).losses(batch(), epoch))


def step(stage: Stage[Any]) -> None:
    stage.optimizer.zero_grad()
    torch.stack(list(stage.losses(batch(), 0).values())).sum().backward()  # type: ignore[no-untyped-call]
    stage.optimizer.step()


@pytest.mark.parametrize("level", ["image", "stem"])
def test_the_auxiliary_modality_begins_as_the_mean(level: Any) -> None:
    method = mun(aux_level=level).eval()
    pair = batch()
    made = method.auxiliary(pair.visible, pair.infrared)
    maps = [pair.visible, pair.infrared]
    if level == "stem":
        maps = [method.trunk.stem(images, m) for images, m in zip(maps, Modality, strict=True)]
    assert made.shape == maps[0].shape
    torch.testing.assert_close(made, (maps[0] + maps[1]) / 2, rtol=0, atol=1e-6)


def test_without_the_mean_it_begins_at_random() -> None:
    pair = batch()
    made = mun(base_mix=False).eval().auxiliary(pair.visible, pair.infrared)
    assert (made - (pair.visible + pair.infrared) / 2).abs().mean() > 0.05


def test_parameters_of_the_generator_are_as_many_as_documented() -> None:
    def count(network: nn.Module) -> int:
        return sum(p.numel() for p in network.parameters())

    assert count(LearntMixture(3, 32)) == 25_539
    assert count(LearntMixture(64, 64)) == 99_712
    assert count(LearntMixture(3, 32, gate="narrow")) == 18_187
    assert count(LearntMixture(64, 64, gate="narrow")) == 70_672
    assert count(Mean()) == 0
    assert count(OneByOne(3)) == 22


def test_the_last_convolution_learns_first_and_all_of_the_generator_from_the_second_step() -> None:
    method = mun()
    stage = stage_of(method)
    step(stage)
    learning_now = [n for n, p in method.generator.named_parameters() if p.grad.any()]  # type: ignore[union-attr]
    assert learning_now == ["leave.weight", "leave.bias"]
    step(stage)
    gradients = {n: p.grad for n, p in method.generator.named_parameters()}  # type: ignore[union-attr]
    assert len(gradients) == 50
    assert [name for name, gradient in gradients.items() if not gradient.any()] == []  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"generator": "iml_only"}, {"visible.scales", "visible.join"}),
        ({"generator": "cml_only"}, {"across.gate", "across.shared"}),
        ({"generator_kernels": (1, 3)}, {"visible.scales", "across.gate"}),
    ],
)
def test_learners_can_be_left_out(settings: dict[str, Any], parts: set[str]) -> None:
    generator = mun(**settings).generator
    assert generator is not None
    names = {".".join(name.split(".")[:2]) for name, _ in generator.named_parameters()}
    assert parts <= names
    assert ("across.gate" in names) == (settings.get("generator") != "iml_only")
    assert ("visible.scales" in names) == (settings.get("generator") != "cml_only")


def test_the_gate_weighs_both_modalities_by_what_it_sees() -> None:
    torch.manual_seed(0)
    cross = CrossModality(8)
    visible, infrared = torch.rand(2, 3, 8, 4, 2)
    gate = cross.weigh(visible, infrared)
    torch.testing.assert_close(gate.sum(dim=1), torch.ones(3, 8))
    assert not torch.allclose(gate, cross.weigh(infrared, visible))
    # One and the same for all places of a picture.
    torch.testing.assert_close(gate, cross.weigh(visible.flip(2), infrared.flip(3)))


@pytest.mark.parametrize("seed", range(10))
def test_a_wide_gate_tells_pairs_apart_that_differ_little(seed: int) -> None:
    """Maps after a ReLU are alike for all pairs, but for a tenth or so."""
    torch.manual_seed(seed)
    usual, change = torch.rand(2, 1, 16, 1, 1), torch.randn(2, 32, 16, 1, 1)
    visible, infrared = (usual * (1 + change / 10)).expand(-1, -1, -1, 4, 2)

    def spread(form: GateForm) -> float:
        gate = CrossModality(16, form).weigh(visible, infrared).detach()
        return float(gate[:, 0].std(dim=0).mean())

    assert spread("wide") > 0.04
    assert spread("narrow") < 0.01


def test_a_gate_held_at_its_mean_weighs_all_pairs_alike() -> None:
    torch.manual_seed(0)
    cross, visible, infrared = CrossModality(8), *torch.rand(2, 3, 8, 4, 2)
    free = cross(visible, infrared)
    mean = cross.weigh(visible, infrared).mean(dim=0)[..., None, None]
    shared = cross.shared(torch.cat([visible, infrared], dim=1))
    cross.hold_gate = True
    held = cross(visible, infrared)
    torch.testing.assert_close(held, mean[0] * visible + mean[1] * infrared + shared)
    assert not torch.allclose(held, free)
    assert mun(hold_gate=True).generator.across.hold_gate  # type: ignore[union-attr]


def test_one_by_one_convolutions_see_one_pixel_and_begin_alike() -> None:
    generator = OneByOne(3).eval()
    visible, infrared = torch.rand(2, 2, 3, 4, 2)
    made = generator(visible, infrared)
    changed = visible.clone()
    changed[..., 0, 0] += 1
    moved = (generator(changed, infrared) != made).any(dim=1)
    assert moved[:, 0, 0].all()
    assert int(moved.sum()) == 2
    expected = (visible.mean(1) + infrared.mean(1)) / 2 / 3 / math.sqrt(1 + 1e-5) / 3
    torch.testing.assert_close(made, expected[:, None].expand_as(made))


def through_one_by_one(picture: np.ndarray, way: nn.Module) -> np.ndarray:
    """1x1 convolution, ReLU, twice, then batch normalisation with statistics of the batch."""
    row, shift, factor, more, weight, bias = (p.detach().numpy().ravel() for p in way.parameters())
    shade = np.maximum(np.einsum("c,ncyx->nyx", row, picture) + shift, 0)
    shade = np.maximum(shade * factor + more, 0)
    normal = (shade - shade.mean()) / np.sqrt(shade.var() + 1e-5)
    return np.asarray(normal * weight + bias)


def test_one_by_one_convolutions_are_mmns_formula() -> None:
    torch.manual_seed(0)
    generator = OneByOne(3).double()
    for weight in generator.parameters():
        nn.init.uniform_(weight, -0.5, 1.0)
    pictures = torch.rand(2, 4, 3, 5, 2, dtype=torch.float64)
    ways = (generator.visible, generator.infrared)
    shades = [through_one_by_one(p.numpy(), w) for p, w in zip(pictures, ways, strict=True)]
    row, shift = (v.detach().numpy().ravel() for v in generator.back[0].parameters())
    back = np.einsum("nyx,c->ncyx", sum(shades) / 2, row) + shift[:, None, None]
    made = generator(*pictures).detach().numpy()
    np.testing.assert_allclose(made, np.maximum(back, 0), atol=1e-12)
    assert 0.2 < (made > 0).mean() < 1


@pytest.mark.parametrize("stride", [2, 4])
def test_a_coarse_generator_makes_pictures_of_any_size(stride: int) -> None:
    torch.manual_seed(0)
    generator = LearntMixture(3, 4, stride=stride, base_mix=False)
    assert generator(torch.rand(2, 3, 33, 17), torch.rand(2, 3, 33, 17)).shape == (2, 3, 33, 17)


@pytest.mark.parametrize("share_from", ["layer1", "layer2", "layer3"])
def test_layers_before_the_shared_ones_are_each_modalitys_own(share_from: Any) -> None:
    method = mun(share_from=share_from)
    stems = {name: len(stem) for name, stem in method.trunk.stems.items()}  # type: ignore[arg-type]
    own = int(share_from[-1]) - 1
    assert stems == dict.fromkeys(["visible", "infrared", "auxiliary"], 4 + own)
    assert all(torch.isfinite(loss) for loss in losses_of(method).values())
    usual = mun(aux_level="stem", share_from=share_from)
    assert list(usual.trunk.stems) == ["visible", "infrared"]
    assert usual.generator.leave.out_channels == usual.trunk.stem_channels  # type: ignore[union-attr]
    assert all(torch.isfinite(loss) for loss in losses_of(usual).values())


def test_without_auxiliary_modality_and_alignments_it_is_agw() -> None:
    plain = {"identity_alignment_weight": 0.0, "modality_alignment_weight": 0.0}
    method = mun(generator="none", non_local=True, images_each=1, **plain)
    baseline = agw(non_local=True)
    baseline.load_state_dict(method.state_dict(), strict=False)
    assert losses_of(method) == losses_of(baseline)


def test_all_three_modalities_are_classified_and_two_form_triplets() -> None:
    method = mun()
    seen: dict[str, Tensor] = {}
    method.classifier.register_forward_hook(lambda *told: seen.update(rows=told[2]))
    plain, with_auxiliary = losses_of(method), losses_of(mun(triplet_auxiliary=True))
    assert len(seen["rows"]) == 3 * len(batch().identities)
    assert plain["triplet"] != with_auxiliary["triplet"]
    assert set(plain) == {"identity", "triplet", "identity alignment", "modality alignment"}


def test_alignments_are_weighted_and_grow_over_the_ramp() -> None:
    once = losses_of(mun())
    for epoch, share in [(0, 0.1), (4, 0.5), (9, 1.0), (50, 1.0)]:
        grown = losses_of(mun(), epoch)
        for name in ("identity alignment", "modality alignment"):
            torch.testing.assert_close(grown[name], share * once[name])
        assert grown["identity"] == once["identity"]
    assert losses_of(mun(ramp=0), 0) == once
    thrice = losses_of(mun(identity_alignment_weight=9.0, modality_alignment_weight=0.25))
    torch.testing.assert_close(thrice["identity alignment"], 3 * once["identity alignment"])
    torch.testing.assert_close(thrice["modality alignment"], once["modality alignment"] / 2)


def test_alignments_compare_pooled_features_or_what_people_are_searched_by() -> None:
    method = mun()
    losses_of(method)
    assert method.modality_alignment.prototypes.min() < 0  # the neck centres what it is given
    pooled = mun(modality_alignment_on="pooled")
    losses_of(pooled)
    assert pooled.modality_alignment.prototypes.min() >= 0
    # One person's embeddings of length one are at most 2 apart, another's at least 0.
    far = losses_of(mun(identity_alignment_weight=1.0))["identity alignment"]
    assert 0 < far <= 2.3
    assert (
        far
        != losses_of(mun(identity_alignment_on="pooled", identity_alignment_weight=1.0))[
            "identity alignment"
        ]
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"identity_alignment_form": "pull"},
        {"identity_alignment_form": "aux_anchor"},
        {"modality_alignment_auxiliary": False},
        {"confusion_weight": 0.1},
        {"triplet_form": "hard"},
        {"gate": "narrow"},
        {"hold_gate": True},
        {"identity_alignment_on": "pooled"},
        {"modality_alignment_on": "pooled"},
        {"generator": "mean"},
        {"generator": "mmn"},
        {"generator": "none"},
    ],
)
def test_every_alternative_learns_and_differs_from_the_default(settings: dict[str, Any]) -> None:
    method, usual = mun(**settings), mun()
    for each in (method, usual):
        # Twice: it begins as the mean, whatever the generator.
        stage = stage_of(each)
        step(stage)
        step(stage)
    assert all(torch.isfinite(p).all() for p in method.parameters())
    assert losses_of(method) != losses_of(usual)


@pytest.mark.parametrize("settings", [{}, {"generator_kernels": (3,)}, {"non_local": True}])
def test_embedding_is_agws_and_calls_no_generator(settings: dict[str, Any]) -> None:
    method = mun(**settings).eval()
    baseline = agw(non_local=settings.get("non_local", False)).eval()
    fitting = {n: v for n, v in method.state_dict().items() if n in baseline.state_dict()}
    baseline.load_state_dict(fitting)
    assert method.generator is not None

    def refuse(*_: object) -> None:
        raise AssertionError("the generator was called")

    method.generator.register_forward_hook(refuse)
    images = torch.rand(3, 3, HEIGHT, WIDTH)
    for modality in Modality:
        assert torch.equal(method.embed(images, modality), baseline.embed(images, modality))


def test_what_is_exported_is_what_agw_exports() -> None:
    pair = mun(), agw(non_local=False)
    of_mun, of_agw = (export._needed_to_embed(m, HEIGHT, WIDTH) for m in pair)
    prototypes = {"modality_alignment.prototypes", "modality_alignment.steps"}
    assert of_mun.keys() - prototypes == of_agw.keys()


def test_it_goes_on_from_weights_that_know_two_spectra(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = {"trunk": "resnet10t", "width": 0.5}
    method = mun(**settings)
    with caplog.at_level("INFO", "vireid"):
        initial_weights.start_from(method, "small")
    known = load_file(SHIPPED / "small" / "model.safetensors")
    stems = method.trunk.stems
    for name in ("visible", "infrared", "auxiliary"):
        source = "visible" if name == "auxiliary" else name
        for key, value in stems[name].state_dict().items():
            assert torch.equal(value, known[f"trunk.stems.{source}.{key}"])
    assert caplog.messages[-1] == "left fresh: classifier, generator, modality_alignment"


def test_prototypes_survive_a_checkpoint(tmp_path: Path) -> None:
    method = mun()
    fit(method, ToyData(), tmp_path)
    kept = saved(tmp_path)["method"]
    assert torch.equal(kept["modality_alignment.prototypes"], method.modality_alignment.prototypes)
    assert int(kept["modality_alignment.steps"]) == 2 * STEPS
    assert kept["modality_alignment.prototypes"].norm(dim=1).min() > 0.1
    other = mun()
    fit(other, ToyData(), tmp_path, resume=True)
    assert torch.equal(other.modality_alignment.prototypes, method.modality_alignment.prototypes)


def figures(folder: Path) -> list[Measured]:
    return training_history.read_measures(folder / training_history.MEASURES)


def test_distances_and_the_gate_are_measured_after_every_epoch(tmp_path: Path) -> None:
    method = mun(epochs=3)
    fit(method, ToyData(), tmp_path)
    lines = figures(tmp_path)
    where = [(line.when, line.epoch) for line in lines]
    assert where == [("before", 0), ("during", 1), ("during", 2), ("after", 3)]
    first, last = lines[0].figures, lines[-1].figures
    assert {name.partition("/")[0] for name in last} == {
        "told apart by one direction",
        "gap between the spectra",
        "pictures of a person",
        "centres of a person",
        "prototypes",
        "gate",
    }
    assert last.keys() - first.keys() == {name for name in last if name.startswith("prototypes/")}
    apart = method.modality_alignment.prototypes.diff(dim=0).square().sum(dim=1)
    named = [last["prototypes/visible to infrared"], last["prototypes/infrared to auxiliary"]]
    assert named == pytest.approx(apart.tolist())
    # It begins as the mean: what the gate does cannot be seen yet.
    assert first["gate/change if held"] == 0
    assert last["gate/change if held"] > 0  # type: ignore[operator]


def test_a_run_that_measures_and_was_stopped_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    settings = {"epochs": 3, "people": PEOPLE}
    fit(mun(**settings), ToyData(), tmp_path / "unbroken")
    # Each time it measures it draws all batches of the toy: in the second epoch, and while it
    # measures the first.
    for step in (3 * STEPS + 1, 2 * STEPS + 1):
        folder = tmp_path / str(step)
        with pytest.raises(Interrupted):
            fit(mun(**settings), ToyData(ask_to_stop_before(step, signal.SIGINT)), folder)
        assert saved(folder)["position"]["epoch"] == 1
        fit(mun(**settings), ToyData(), folder, resume=True)
        assert_same(saved(tmp_path / "unbroken"), saved(folder))
        assert figures(folder) == figures(tmp_path / "unbroken")


@pytest.mark.parametrize("settings", [{"generator": "mean"}, {"generator": "none"}])
def test_where_there_is_no_gate_the_rest_is_measured(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    fit(mun(**settings, modality_alignment_weight=0.0), ToyData(), tmp_path)
    names = {name.partition("/")[0] for name in figures(tmp_path)[-1].figures}
    assert "centres of a person" in names
    assert not names & {"gate", "prototypes"}


def test_nothing_is_measured_on_no_batches(tmp_path: Path) -> None:
    fit(mun(measured_batches=0), ToyData(), tmp_path)
    assert not (tmp_path / training_history.MEASURES).exists()


def test_a_held_gate_changes_what_is_measured_of_it() -> None:
    """By hand: the correction of every pair with its own gate, and with the mean of all."""
    torch.manual_seed(0)
    generator = LearntMixture(3, 8, stride=2, base_mix=False).eval()
    visible, infrared = torch.rand(2, 5, 3, 8, 4)
    found = generator.gate_figures(visible, infrared)
    free = generator(visible, infrared)
    generator.across.hold_gate = True
    held = generator(visible, infrared)
    assert generator.base is None
    # The correction is enlarged to the picture; lengths of both grow about alike.
    expected = ((free - held).norm() / free.norm()).item()
    assert found["change if held"] == pytest.approx(expected, rel=0.2)
    assert found["change if held"] > 0
    assert 0 < found["deviation over pairs"] < 0.5


def test_what_overflows_stops_the_run_and_is_not_saved(tmp_path: Path) -> None:
    method = mun()
    fit(method, ToyData(), tmp_path)
    before = saved(tmp_path)
    torch.nn.init.constant_(method.trunk.stems["infrared"][1].weight, 1e38)  # type: ignore[index]
    with pytest.raises(DivergedError, match=r"'identity alignment' is (nan|inf).*step 1"):
        fit(method, ToyData(), tmp_path)
    assert torch.equal(
        saved(tmp_path)["method"]["modality_alignment.prototypes"],
        before["method"]["modality_alignment.prototypes"],
    )


def test_losses_are_float32_in_bfloat16_passes() -> None:
    method = mun(confusion_weight=0.1)
    stage = stage_of(method)
    with torch.autocast("cpu", torch.bfloat16):
        assert {loss.dtype for loss in stage.losses(batch(), 0).values()} == {torch.float32}
    assert method.modality_alignment.prototypes.dtype == torch.float32


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"people": 1}, "settings.people is 1"),
        ({"images_each": 1}, "settings.images_each is 1.*centre of an identity"),
        ({"prototype_momentum": 1.0}, "settings.prototype_momentum is 1.0.*below 1"),
        ({"prototype_momentum": -0.1}, "settings.prototype_momentum is -0.1"),
        ({"prototype_momentum": math.nan}, "settings.prototype_momentum is nan"),
        ({"generator_kernels": (2,)}, "settings.generator_kernels.*odd"),
        ({"generator_kernels": ()}, "settings.generator_kernels"),
        ({"generator_channels": 0}, "settings.generator_channels is 0"),
        ({"generator_stride": -1}, "settings.generator_stride is -1"),
        ({"margin": -0.3}, "settings.margin"),
        ({"modality_alignment_weight": -1.0}, "settings.modality_alignment_weight"),
        ({"confusion_temperature": 0.0}, "settings.confusion_temperature"),
        ({"generator": "none", "identity_alignment_form": "aux_anchor"}, "no auxiliary modality"),
        ({"milestones": (50, 20)}, "settings.milestones"),
        ({"pretrained": True}, "settings.pretrained to false"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(VireidError, match=told):
        mun(**settings)


def test_weights_that_cannot_be_had_are_an_error_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(VireidError, match=r"settings.pretrained to false"):
        mun(trunk="resnet10t", width=1.0, pretrained=True)


def test_one_identity_in_a_batch_is_refused() -> None:
    whole = batch()
    alone = PairedBatch(whole.visible, whole.infrared, torch.zeros_like(whole.identities))
    with pytest.raises(VireidError, match=r"two identities.*settings\.people"):
        stage_of(mun()).losses(alone, 0)


def test_there_is_no_auxiliary_picture_without_a_generator() -> None:
    pair = batch()
    for ask in (mun(generator="none").auxiliary, mun(generator="none").embed_auxiliary):
        with pytest.raises(VireidError, match=r"settings\.generator is 'none'"):
            ask(pair.visible, pair.infrared)


@pytest.mark.parametrize("level", ["image", "stem"])
def test_embeddings_of_the_auxiliary_modality_are_those_of_training(level: Any) -> None:
    method = mun(aux_level=level).eval()
    pair = batch()
    stacked = method._embedded(torch.cat(method._stems(pair.visible, pair.infrared)))
    found = method.embed_auxiliary(pair.visible, pair.infrared)
    torch.testing.assert_close(found, stacked[-len(found) :])
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(found)))


def test_a_method_is_found_by_its_files_name() -> None:
    assert methods.find("mun") is MUN


@pytest.mark.parametrize("level", ["image", "stem"])
def test_measuring_passes_pictures_through_the_stems_once(level: str) -> None:
    method = mun(aux_level=level, measured_batches=2).eval()
    passes = dict.fromkeys(method.trunk.stems, 0)
    for name, stem in method.trunk.stems.items():

        def count(*_: Any, name: str = name) -> None:
            passes[name] += 1

        stem.register_forward_hook(count)
    measure = stage_of(method).measure
    assert measure is not None
    method.eval()
    with torch.no_grad():
        measure()
    assert set(passes.values()) == {2}


def test_the_gate_is_measured_on_the_pairs_of_all_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    method = mun(measured_batches=1).eval()
    others = batch(3)

    def with_another_process(rows: Tensor) -> Tensor:
        # The other process has pictures of its own.
        if rows.ndim < 4:
            return rows
        return torch.cat([rows, method.trunk.normalised(others.visible)])

    measure = stage_of(method).measure
    assert measure is not None
    method.eval()
    with torch.no_grad():
        alone = measure()
        monkeypatch.setattr("vireid.methods.mun.gather", with_another_process)
        together = measure()
    name = "gate/deviation over pairs"
    assert alone[name] != together[name]
    assert {k: v for k, v in alone.items() if not k.startswith("gate")} == {
        k: v for k, v in together.items() if not k.startswith("gate")
    }
