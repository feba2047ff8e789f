"""Fuzz the parsers for minutes: `make fuzz MINUTES=5`. What fails is kept in the corpus.

Each parser runs in a process of its own, one after the other, with another seed each time. An
example that ends or holds up its process is found in the file that it was written to before.
"""

import argparse
import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from random import Random

from tests.fuzz import bounds
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
SLICE = 20.0
"""Seconds that a parser runs before it is another's turn."""
PATIENCE = 60.0
"""Seconds beyond these after which a process is held up."""


def corpus_of(name: str) -> list[bytes]:
    """Return the files that are kept for a parser."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5, help="how long, over all parsers")
    parser.add_argument("--seeds", action="store_true", help="write the sound files anew, and end")
    parser.add_argument("--slice", nargs=3, metavar=("PARSER", "SEED", "SECONDS"))
    parser.add_argument("parsers", nargs="*", help="parsers to fuzz  [default: all]")
    asked = parser.parse_args()
    if asked.seeds:
        write_seeds()
    elif asked.slice:
        name, seed, seconds = asked.slice
        run_slice(name, int(seed), float(seconds))
    else:
        sys.exit(fuzz(asked.parsers or list(TARGETS), 60 * asked.minutes))


def write_seeds() -> None:
    """Write the sound files of each parser to the corpus; what was found stays there."""
    for name, target in TARGETS.items():
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("sound-*"):
            old.unlink()
        with tempfile.TemporaryDirectory() as place:
            for number, content in enumerate(target.seeds(Path(place))):
                (folder / f"sound-{number:02d}").write_bytes(content)


def fuzz(names: list[str], seconds: float) -> int:
    """Fuzz parsers in turn; return 1 if an example failed."""
    end, failed, tried = time.monotonic() + seconds, 0, dict.fromkeys(names, 0)
    while (left := end - time.monotonic()) > 0:
        name = min(tried, key=lambda each: tried[each])
        tried[name] += 1
        failed += _slice_failed(name, min(SLICE, max(2.0, left)))
    return int(failed > 0)


def _slice_failed(name: str, seconds: float) -> bool:
    seed = secrets.randbits(32)
    with tempfile.TemporaryDirectory() as place:
        current = Path(place) / "current"
        command = [sys.executable, "-m", "tests.fuzz", "--slice", name, str(seed), str(seconds)]
        environment = {**os.environ, "VIREID_FUZZ_CURRENT": str(current), "VIREID_CACHE": place}
        try:
            done = subprocess.run(
                command, env=environment, timeout=seconds + PATIENCE, capture_output=True, text=True
            )
            why = done.stderr.strip() if done.returncode else ""
        except subprocess.TimeoutExpired:
            why = "it was held up"
        if not why:
            print(f"{name:14} {done.stdout.strip()}")
            return False
        content = current.read_bytes() if current.exists() else b""
        kept = CORPUS / name / f"found-{hashlib.sha256(content).hexdigest()[:12]}"
        kept.write_bytes(content)
        print(f"{name:14} FAILED, kept as {kept}\n{why}\n")
        return True


def run_slice(name: str, seed: int, seconds: float) -> None:
    """Try mutations on one parser until the time is over or one fails."""
    random, current, count = Random(seed), Path(os.environ["VIREID_FUZZ_CURRENT"]), 0
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as other:
        # Some hold what another version of torch makes otherwise, so they are made anew.
        corpus = [*TARGETS[name].seeds(Path(other)), *corpus_of(name)]
        read = TARGETS[name].prepare(Path(place))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            content = mutate(random, random.choice(corpus), corpus)
            current.write_bytes(content)
            count += 1
            try:
                bounds.check(read, content)
            except BaseException:
                traceback.print_exc(limit=-6)
                os._exit(1)
    print(f"{count} examples, seed {seed}")


if __name__ == "__main__":
    main()
