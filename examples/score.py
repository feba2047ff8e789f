"""A whole scoring, with nothing hidden: SYSU-MM01's protocol on NightWalk mini.

    python examples/score.py
    python examples/score.py --model runs/agw_nightwalk_mini-1 --mode indoor

`vireid evaluate` does the same and keeps the scores. To score a model of your own, put it where
pictures are embedded: all that a protocol needs is one unit vector for each.
"""

import argparse
from statistics import fmean, stdev

import numpy as np

from vireid import Embedder, datasets
from vireid.scoring.metrics import score_ranking
from vireid.scoring.named_protocols import find


def main() -> None:
    """Score a model on people it has not seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="small", help="A run, an exported model, or small.")
    parser.add_argument("--mode", default="all", choices=["all", "indoor"])
    asked = parser.parse_args()

    dataset = datasets.read("nightwalk")
    protocol = find("sysu/official", mode=asked.mode, shot="single")
    trials = protocol.trials(dataset)  # ten draws of the gallery, as the authors published them

    # Every picture that any trial needs is embedded once.
    embedder = Embedder.open(asked.model)
    needed = list(dict.fromkeys(picture for trial in trials for picture in trial.pictures))
    embeddings = dict(zip(needed, embedder.embed_records(needed), strict=True))

    rank1, mean_ap = [], []
    for trial in trials:
        queries = np.stack([embeddings[record] for record in trial.queries])
        gallery = np.stack([embeddings[record] for record in trial.gallery])
        ranking = score_ranking(
            queries @ gallery.T,
            np.array([record.identity for record in trial.queries]),
            np.array([record.identity for record in trial.gallery]),
            protocol.hidden(trial),  # cameras in the query's own room
            protocol.cmc,  # whether ranks count people or pictures
        )
        rank1.append(100 * ranking.rank(1))
        mean_ap.append(100 * ranking.mean_ap)

    print(f"{protocol.title}, {embedder.name}, {len(trials)} trials")
    print(f"rank 1  {fmean(rank1):.1f} ± {stdev(rank1):.1f} %")
    print(f"mAP     {fmean(mean_ap):.1f} ± {stdev(mean_ap):.1f} %")


if __name__ == "__main__":
    main()
