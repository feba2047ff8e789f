"""The projection of stripes; what holds for every method is tested in test_every_method."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.toy import HEIGHT, PEOPLE, WIDTH, ToyData, small_settings
from torch.nn import functional as F  # noqa: N812

from vireid.errors import VireidError
from vireid.methods.stripes import Stripes
from vireid.models.export import _needed_to_embed, write_graphs
from vireid.records import Modality


def stripes(**settings: Any) -> Stripes:
    given = {**small_settings(Stripes), "rows": 2, "columns": 1, **settings}
    torch.manual_seed(0)
    return Stripes(Stripes.Config(**given), PEOPLE).eval()


def pictures(count: int = 6) -> torch.Tensor:
    return torch.rand(count, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


def similarities(method: Stripes) -> torch.Tensor:
    with torch.no_grad():
        embeddings = method.embed(pictures(), Modality.INFRARED)
    return embeddings @ embeddings.T


def test_a_similarity_is_shared_between_averages_and_projection() -> None:
    plain, projected = (
        similarities(stripes()),
        similarities(stripes(projection=8, projection_share=1)),
    )
    both = similarities(stripes(projection=8, projection_share=0.3))
    torch.testing.assert_close(both, 0.7 * plain + 0.3 * projected)
    assert not torch.allclose(plain, projected, atol=0.01)


@pytest.mark.parametrize("hidden", [0, 6])
def test_a_projection_that_decides_all_stands_alone(hidden: int) -> None:
    alone = stripes(projection=8, projection_share=1, hidden=hidden)
    both = stripes(projection=8, projection_share=0.3, hidden=hidden)
    both.load_state_dict(alone.state_dict())
    with torch.no_grad():
        found, of_both = (m.embed(pictures(), Modality.VISIBLE) for m in (alone, both))
    assert found.shape[1] == alone.embedding_dim == 8
    torch.testing.assert_close(found, F.normalize(of_both[:, -8:], dim=1))


def test_a_projection_that_stands_alone_is_exported(tmp_path: Path) -> None:
    write_graphs(stripes(projection=8, projection_share=1), HEIGHT, WIDTH, tmp_path)
    assert "weight" not in load_file(tmp_path / "model.safetensors")


def test_a_projection_stands_behind_the_averages() -> None:
    plain, both = stripes(), stripes(projection=8, projection_share=0.3)
    assert both.embedding_dim == plain.embedding_dim + 8
    with torch.no_grad():
        found = both.embed(pictures(), Modality.VISIBLE)[:, : plain.embedding_dim]
        torch.testing.assert_close(
            F.normalize(found, dim=1), plain.embed(pictures(), Modality.VISIBLE)
        )


@pytest.mark.parametrize("hidden", [0, 16])
def test_learning_a_projection_finds_people_and_leaves_the_network_alone(hidden: int) -> None:
    method = stripes(projection=8, hidden=hidden, epochs=20, learning_rate=0.01, dropout=0.0)
    assert method.projection is not None
    layers = [m for m in method.projection.layer.modules() if isinstance(m, torch.nn.Linear)]
    assert [layer.out_features for layer in layers] == ([hidden, 8] if hidden else [8])
    (stage,) = method.stages(ToyData())
    trunk = {name: value.clone() for name, value in method.trunk.state_dict().items()}
    stage.thaw(method)
    losses = []
    for epoch in range(20):
        for batch in stage.batches(epoch):
            stage.optimizer.zero_grad()
            told = stage.losses(batch, epoch)
            assert set(told) == {"identity", "triplet"}
            loss = torch.stack(list(told.values())).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            stage.optimizer.step()
            losses.append(loss.item())
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])
    assert all(torch.equal(value, trunk[name]) for name, value in method.trunk.state_dict().items())


def test_later_epochs_repeat_the_averages_of_fresh_ones() -> None:
    method = stripes(projection=8, epochs=4, fresh_epochs=2)
    (stage,) = method.stages(ToyData())
    stage.thaw(method)
    seen = []
    for epoch in (0, 1):
        for batch in stage.batches(epoch):
            stage.losses(batch, epoch)
            seen.append(method._of_both(batch))
    repeated = [batch.averages for batch in stage.batches(2)]
    assert len(repeated) == len(stage.batches(2)) == len(seen) // 2
    where = [next(i for i, s in enumerate(seen) if torch.equal(s, r)) for r in repeated]
    assert len(set(where)) == len(where)
    assert where != sorted(where) or where[0] > 0
    # A run that goes on has kept nothing: it gets pictures, which give the same averages.
    (other,) = method.stages(ToyData())
    for batch, known in zip(other.batches(2).after(1), repeated[1:], strict=True):
        torch.testing.assert_close(method._of_both(batch), known)


def test_the_rate_of_a_projection_rises_and_falls_to_nothing() -> None:
    method = stripes(projection=8, epochs=10, learning_rate=0.5, warm_up=2)
    (stage,) = method.stages(ToyData())
    assert stage.schedule is not None
    rates = []
    for _ in range(10):
        rates.append(stage.optimizer.param_groups[0]["lr"])
        stage.optimizer.step()
        stage.schedule.step()
    assert rates[:3] == [0.25, 0.5, 0.5]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] < 0.05


def test_an_exported_projection_holds_no_people() -> None:
    kept = _needed_to_embed(stripes(projection=8), HEIGHT, WIDTH)
    assert "projection.layer.weight" in kept
    assert "projection.scale.running_mean" in kept
    assert not any("classifier" in name for name in kept)
    assert not any(value.shape[0] == PEOPLE for value in kept.values() if value.ndim == 2)


def test_a_share_beyond_one_is_refused_by_its_name() -> None:
    with pytest.raises(VireidError, match=r"projection_share.*at most 1"):
        stripes(projection_share=1.5)
