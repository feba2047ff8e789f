"""Scores as tables for people, in percent."""

from collections.abc import Collection, Mapping, Sequence

from rich import box
from rich.table import Table

from vireid.console import plain
from vireid.scoring import METRICS
from vireid.scoring.baselines import WITHOUT_PERSON
from vireid.scoring.scores import ScoredModel, Scores

WITH_INTERVAL = ("R1", "mAP")
"""Metrics that are shown with their interval over people."""


def tables(scores: Sequence[Scores]) -> list[Table]:
    """Return a table for each way of using embeddings at test time, the plain one first."""
    ways = sorted(
        {each.protocol.test_time for each in scores}, key=lambda way: (way != "plain", way)
    )
    return [table([each for each in scores if each.protocol.test_time == way]) for way in ways]


def table(scores: Sequence[Scores]) -> Table:
    """Return a table with a row per model and protocol; what all rows share is in the title."""
    heads = [_head(each) for each in scores]
    names = list(dict.fromkeys(name for head in heads for name in head))
    common = [name for name in names if len({head.get(name) for head in heads}) == 1]
    shown = Table(
        title=plain(", ".join(heads[0][name] for name in common), style="table.title"),
        caption=plain(*_caption(scores), style="table.caption"),
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    differing = [name for name in names if name not in common]
    for name in differing:
        shown.add_column(name)
    for name in METRICS:
        shown.add_column(name, justify="right", no_wrap=True)
    for each, head in zip(scores, heads, strict=True):
        shown.add_row(*(plain(head.get(name, "")) for name in differing), *_cells(each))
    return shown


def beside_controls(scores: Sequence[Scores], controls: Sequence[Scores]) -> Table:
    """Return a table of what learns nothing beside the plain scores of models, in percent.

    Args:
        scores: Scores of models.
        controls: Scores of baselines under the same protocols.
    """
    plain_ones = [*controls, *(each for each in scores if each.protocol.test_time == "plain")]
    variants = list(dict.fromkeys(each.protocol.variant for each in plain_ones))
    rows: dict[str, dict[str, Scores]] = {
        name: {} for name in dict.fromkeys(each.model.name for each in plain_ones)
    }
    for each in plain_ones:
        rows[each.model.name][each.protocol.variant] = each
    shown = Table(
        title=plain("Beside what learns nothing: rank 1 / mAP", style="table.title"),
        caption=plain(*_not_above(rows, {each.model.name for each in controls})),
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    shown.add_column("")
    for variant in variants:
        shown.add_column(variant, justify="right", no_wrap=True)
    for name, of_variants in rows.items():
        cells = (_two_metrics(of_variants.get(variant)) for variant in variants)
        shown.add_row(plain(name), *cells)
    return shown


def _two_metrics(scores: Scores | None) -> str:
    return f"{100 * scores.mean['R1']:.1f} / {100 * scores.mean['mAP']:.1f}" if scores else ""


def _not_above(rows: Mapping[str, Mapping[str, Scores]], controls: Collection[str]) -> list[str]:
    """Say which models are not above everything that learns nothing."""
    told = []
    for blind in (name for name in rows if name.endswith(WITHOUT_PERSON)):
        ring = rows.get("edges of background", {})
        for variant, scores in rows[blind].items():
            if variant in ring and scores.mean["R1"] > ring[variant].mean["R1"]:
                told.append(
                    f"{variant}: {blind}, finds more than edges of background: part of what it "
                    "finds is the place"
                )
    for name in (name for name in rows if name not in controls):
        for variant, scores in rows[name].items():
            others = ((rows[c][variant].mean["R1"], c) for c in controls if variant in rows[c])
            best, control = max(others, default=(-1.0, ""))
            if scores.mean["R1"] <= best:
                told.append(f"{variant}: {name} is not above {control}: it finds no people")
    return told


def _head(scores: Scores) -> dict[str, str]:
    """Return the fields that tell one row of a table from another."""
    protocol = scores.protocol
    group = "" if scores.dataset.group == "test" else ", validation people"
    return {
        "model": scores.model.name,
        "data set": scores.dataset.name + group,
        "protocol": protocol.id,
        "variant": protocol.variant,
        **({} if protocol.test_time == "plain" else {"test time": protocol.test_time}),
    }


def _cells(scores: Scores) -> list[str]:
    sd = scores.sd
    return [
        f"{100 * scores.mean[name]:.1f}"
        + (f"±{100 * sd[name]:.1f}" if sd else "")
        + (_interval(scores, name) if name in WITH_INTERVAL else "")
        for name in METRICS
    ]


def _interval(scores: Scores, metric: str) -> str:
    found = scores.interval(metric)
    return f"\n[{100 * found[0]:.1f}, {100 * found[1]:.1f}]" if found else ""


def _learnt(scores: Sequence[Scores]) -> set[str]:
    """Return remarks on models that have learnt from fewer people than they could have."""
    return {
        f"{each.model.name} has learnt from {each.model.training} only"
        for each in scores
        if each.model.training and each.model.training.learnt_from == "train"
    }


def matched(scores: Scores) -> str | None:
    """Say how many queries have a match, if some have none: these count in no mean."""
    valid = sorted({(each.valid_queries, each.queries) for each in scores.trials})
    if all(with_match == queries for with_match, queries in valid):
        return None
    least, most = (f"{with_match} of {queries}" for with_match, queries in (valid[0], valid[-1]))
    return f"{least if least == most else f'{least} to {most}'} queries have a match"


def _matched(scores: Sequence[Scores]) -> list[str]:
    """Return a line for every variant that has queries without a match."""
    told = {each.protocol.variant: of for each in scores if (of := matched(each))}
    return [f"{variant}: {of}" if variant else of for variant, of in told.items()]


def precisions(models: Mapping[str, ScoredModel]) -> str:
    """Say in which precision models were learnt and embedded, with names where they differ.

    Args:
        models: Models by the name that a table gives them.
    """
    learnt = {
        name: model.learnt_in or "unknown precision"
        for name, model in models.items()
        if model.learnt_on != "nothing"
    }
    embedded = {name: model.precision for name, model in models.items()}
    return "; ".join([*_done_in("learnt", learnt), *_done_in("embedded", embedded)])


def _done_in(done: str, precision_of: Mapping[str, str]) -> list[str]:
    """Return the remark on one kind of precision; none if there is no model."""
    names = {p: [n for n, of in precision_of.items() if of == p] for p in precision_of.values()}
    if len(names) < 2:
        return [f"{done} in {precision}" for precision in names]
    return [f"{done} in " + ", in ".join(f"{p} ({', '.join(of)})" for p, of in names.items())]


def _people(scores: Sequence[Scores]) -> list[str]:
    known = {
        len(set(each.queries.identities().tolist())) for each in scores if each.queries is not None
    }
    people = " or ".join(map(str, sorted(known)))
    return [f"in brackets: 95 % interval over people like these {people}"] if known else []


def _caption(scores: Sequence[Scores]) -> list[str]:
    trials = sorted({len(each.trials) for each in scores})
    of_several = f"mean ± standard deviation over {' or '.join(map(str, trials))} trials"
    checkpoints = ", ".join(sorted({each.model.checkpoint for each in scores}))
    differences = sorted({line for each in scores for line in each.dataset.differences})
    notes = sorted({note for each in scores for note in each.protocol.notes} | _learnt(scores))
    return [
        f"percent, {'one trial' if trials == [1] else of_several}; {checkpoints}",
        *_people(scores),
        precisions({each.model.name: each.model for each in scores}),
        *_matched(scores),
        *notes,
        *differences,
    ]
