"""Tracking beside roboflow's `trackers`, on the same boxes.

    python benchmarks/tracking.py --peer /path/to/python --write

The peer's Python has `trackers` and `motmetrics` (pip install trackers motmetrics), which do not
come with vireid. Both follow the same boxes with the same thresholds (sure 0.6, first 0.7, one
second of patience, two frames to confirm); motmetrics scores both against the same truth.

The truth is simulated, since truth about real people may not lie here: people walk through a frame
of 1280 x 720 pixels at the speed of pedestrians, turn, hide one another (a hidden person has a box
of low score or none), boxes jitter by 3 % of their size, 8 % are missed, and false ones appear. The
same is asked of every third frame, as when a video is cut at 10 frames a second, where both are
told the times. With `--videos`, boxes of a real detector in real videos are followed by both;
without truth, the peer's tracks stand for it.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "tracking.md"
WIDTH, HEIGHT, RATE, FRAMES = 1280, 720, 30, 900
SURE, BEGIN, PATIENCE, CONFIRMED = 0.6, 0.7, 1.0, 2
SEEDS = range(5, 15)
"""Seeds 0 to 4 were looked at while the tracker was written."""

Frame = dict[str, Any]
"""Time, boxes and scores of a frame; and of the truth, boxes and people."""


def simulated(seed: int, people: int = 14) -> list[Frame]:
    """Return the boxes of people who walk, and the truth about them."""
    rng = np.random.default_rng(seed)
    height = rng.uniform(90, 260, people)
    place = np.stack([rng.uniform(0, WIDTH, people), rng.uniform(300, HEIGHT, people)], 1)
    angle, speed = rng.uniform(0, 2 * np.pi, people), rng.uniform(0.3, 0.9, people) * height
    frames = list[Frame]()
    for number in range(FRAMES):
        angle += rng.normal(0, 0.03, people)
        step = np.stack([np.cos(angle), 0.3 * np.sin(angle)], 1) * speed[:, None] / RATE
        place += step
        for axis, edge in ((0, WIDTH), (1, HEIGHT)):
            outside = (place[:, axis] < 0) | (place[:, axis] > edge)
            angle[outside] += np.pi
        half = height * 0.2
        sides = np.stack(
            [place[:, 0] - half, place[:, 1] - height, place[:, 0] + half, place[:, 1]], 1
        )
        hidden = _hidden(sides)
        seen = rng.random(people) > np.where(hidden > 0.75, 0.85, 0.08)
        jitter = rng.normal(0, 0.03, (people, 4)) * height[:, None] * [0.4, 1, 0.4, 1]
        scores = np.clip(0.88 - 0.6 * hidden + rng.normal(0, 0.07, people), 0.1, 0.99)
        false = rng.poisson(0.3)
        corner = np.stack([rng.uniform(0, WIDTH, false), rng.uniform(0, HEIGHT, false)], 1)
        boxes = np.concatenate(
            [(sides + jitter)[seen], np.hstack([corner, corner + np.array([50, 120])])]
        )
        frames.append(
            {
                "time": number / RATE,
                "boxes": boxes.tolist(),
                "scores": np.append(scores[seen], rng.uniform(0.1, 0.75, false)).tolist(),
                "truth": sides[hidden < 0.9].tolist(),
                "people": np.flatnonzero(hidden < 0.9).tolist(),
            }
        )
    return frames


def _hidden(sides: np.ndarray) -> np.ndarray:
    """Return the share of each person that those nearer to the camera hide."""
    hidden = np.zeros(len(sides))
    for nearer in sides:
        corner, opposite = (
            np.maximum(sides[:, :2], nearer[:2]),
            np.minimum(sides[:, 2:], nearer[2:]),
        )
        common = np.prod(np.clip(opposite - corner, 0, None), axis=1)
        share = common / np.prod(sides[:, 2:] - sides[:, :2], axis=1)
        hidden = np.where(nearer[3] > sides[:, 3], np.maximum(hidden, share), hidden)
    return hidden


def ours(frames: list[Frame]) -> dict[str, Any]:
    """Follow boxes by vireid."""
    from vireid.video.boxes import Detection
    from vireid.video.tracks import Settings, Tracker

    tracker = Tracker(Settings(SURE, 0.0, BEGIN, PATIENCE, CONFIRMED))
    listed = [
        [Detection(tuple(b), s) for b, s in zip(f["boxes"], f["scores"], strict=True)]
        for f in frames
    ]
    began = time.process_time()
    found = [tracker.update(p, f["time"]) for p, f in zip(listed, frames, strict=True)]
    seconds = time.process_time() - began
    return {
        "tracks": [[[e.track, *e.detection.sides] for e in of_frame] for of_frame in found],
        "seconds": seconds,
    }


def theirs(frames: list[Frame]) -> dict[str, Any]:
    """Follow boxes by the peer; runs in its Python."""
    import supervision as sv  # type: ignore[import-not-found]
    from trackers import ByteTrackTracker  # type: ignore[import-not-found]

    tracker = ByteTrackTracker(
        lost_track_buffer=round(PATIENCE * 30),
        frame_rate=RATE,
        track_activation_threshold=BEGIN,
        minimum_consecutive_frames=CONFIRMED,
        high_conf_det_threshold=SURE,
    )
    regular = frames[1]["time"] - frames[0]["time"] < 1.5 / RATE
    began, tracks = time.process_time(), []
    for frame in frames:
        detections = sv.Detections(
            np.array(frame["boxes"], float).reshape(-1, 4), confidence=np.array(frame["scores"])
        )
        found = tracker.update(detections, timestamp=None if regular else frame["time"])
        numbers = found.tracker_id if found.tracker_id is not None else []
        tracks.append(
            [
                [int(number), *map(float, box)]
                for number, box in zip(numbers, found.xyxy, strict=True)
                if number >= 0
            ]
        )
    return {"tracks": tracks, "seconds": time.process_time() - began}


def scored(frames: list[Frame], tracks: list[list[list[float]]]) -> dict[str, float]:
    """Score tracks against the truth by motmetrics; runs in the peer's Python."""
    import motmetrics  # type: ignore[import-not-found]

    found = motmetrics.MOTAccumulator(auto_id=True)
    for frame, here in zip(frames, tracks, strict=True):
        truth = np.array(frame["truth"], float).reshape(-1, 4)
        boxes = np.array([each[1:] for each in here], float).reshape(-1, 4)
        # motmetrics' own function needs NumPy 1.
        corner = np.maximum(truth[:, None, :2], boxes[None, :, :2])
        opposite = np.minimum(truth[:, None, 2:], boxes[None, :, 2:])
        common = np.prod(np.clip(opposite - corner, 0, None), axis=2)
        one, other = (np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (truth, boxes))
        distances = 1 - common / (one[:, None] + other[None] - common)
        distances[distances > 0.5] = np.nan
        found.update(frame["people"], [int(each[0]) for each in here], distances)
    names = ["mota", "idf1", "num_switches", "num_fragmentations"]
    summary = motmetrics.metrics.create().compute(found, metrics=names)
    return {name: float(summary[name].iloc[0]) for name in names}


def as_peer() -> None:
    """Answer as the peer: boxes come in, its tracks and the scores of both go out."""
    asked = json.load(sys.stdin)
    frames = asked["frames"]
    peer = theirs(frames)
    if asked["peer_is_truth"]:
        for frame, here in zip(frames, peer["tracks"], strict=True):
            frame["truth"] = [each[1:] for each in here]
            frame["people"] = [each[0] for each in here]
    answer = {
        "ours": scored(frames, asked["tracks"]),
        "theirs": scored(frames, peer["tracks"]),
        "seconds": peer["seconds"],
        "count": len({each[0] for here in peer["tracks"] for each in here}),
    }
    json.dump(answer, sys.stdout)


def compared(frames: list[Frame], peer: str, *, peer_is_truth: bool = False) -> dict[str, Any]:
    """Return the scores of both on the same boxes."""
    found = ours(frames)
    asked = {"frames": frames, "tracks": found["tracks"], "peer_is_truth": peer_is_truth}
    done = subprocess.run(
        [peer, __file__, "--as-peer"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout)
    count = len({each[0] for here in found["tracks"] for each in here})
    return {**answer, "our_seconds": found["seconds"], "our_count": count}


def boxes_of(video: Path, detector: str) -> list[Frame]:
    """Return the boxes that a detector finds in a video, unsure ones too."""
    import av

    from vireid.records import Modality
    from vireid.video.detector import Detector

    finder = Detector.open(detector)
    modality = Modality.INFRARED if "infrared" in video.stem else Modality.VISIBLE
    frames = list[Frame]()
    with av.open(str(video)) as opened:
        for number, frame in enumerate(opened.decode(video=0)):
            people = finder(frame.to_ndarray(format="rgb24"), modality, least=0.1)
            frames.append(
                {
                    "time": number / RATE,
                    "boxes": [list(each.sides) for each in people],
                    # As sure as the detector's own threshold is as sure as the peer's.
                    "scores": [min(1.0, each.score + 0.2) for each in people],
                    "truth": [],
                    "people": [],
                }
            )
    return frames


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer", help="Python that has trackers and motmetrics")
    parser.add_argument("--as-peer", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--videos", type=Path, nargs="*", default=[], help="real videos")
    parser.add_argument("--detector", help="ONNX file that finds people in them")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    asked = parser.parse_args()
    if asked.as_peer:
        as_peer()
        return
    lines = table(asked.peer, asked.videos, asked.detector)
    print("\n".join(lines))
    if asked.write:
        RESULTS.write_text("\n".join(lines) + "\n")


def table(peer: str, videos: list[Path], detector: str | None) -> list[str]:
    """Return the results as Markdown."""
    lines = ["# Tracking beside trackers", "", *__doc__.split("\n\n")[2:], ""]
    lines += [
        f"Simulated, {len(SEEDS)} seeds of {FRAMES} frames; means in percent, ms of the processor.",
        "",
        "| frames | by | MOTA | IDF1 | switches | ms a frame |",
        "|---|---|---|---|---|---|",
    ]
    for step in (1, 3):
        found = [compared(simulated(seed)[::step], peer) for seed in SEEDS]
        count = len(range(0, FRAMES, step))
        for who, seconds in (("ours", "our_seconds"), ("theirs", "seconds")):
            mota, idf1, switches = (
                np.mean([each[who][name] for each in found])
                for name in ("mota", "idf1", "num_switches")
            )
            took = 1000 * np.mean([each[seconds] for each in found]) / count
            name = "vireid" if who == "ours" else "trackers"
            every = "all" if step == 1 else f"every {step}rd"
            lines.append(
                f"| {every} | {name} | {100 * mota:.1f} | {100 * idf1:.1f} | {switches:.0f} | "
                f"{took:.2f} |"
            )
    if videos and detector:
        lines += ["", "Real videos, our tracks measured by theirs:", ""]
        lines += [
            "| video | frames | our tracks | theirs | MOTA | IDF1 |",
            "|---|---|---|---|---|---|",
        ]
        for video in videos:
            frames = boxes_of(video, detector)
            one = compared(frames, peer, peer_is_truth=True)
            lines.append(
                f"| {video.stem} | {len(frames)} | {one['our_count']} | {one['count']} | "
                f"{100 * one['ours']['mota']:.1f} | {100 * one['ours']['idf1']:.1f} |"
            )
    return lines


if __name__ == "__main__":
    main()
