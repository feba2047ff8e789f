"""How long `vireid --help` takes, beside an empty Python and beside `import torch`.

Run: python benchmarks/startup.py
"""

import statistics
import subprocess
import sys
import time

REPEATS = 10
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "vireid --help": ["-m", "vireid", "--help"],
    "vireid search --help": ["-m", "vireid", "search", "--help"],
    "import vireid.gallery": ["-c", "import vireid.gallery"],
    "import vireid.scoring.metrics, vireid.scoring.protocols": [
        "-c",
        "import vireid.scoring.metrics, vireid.scoring.protocols",
    ],
    "import torch": ["-c", "import torch"],
}


def seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    print(f"{'median of ' + str(REPEATS):<42}{'s':>6}")
    for name, arguments in COMMANDS.items():
        seconds(arguments)  # files come from the disk only once
        print(f"{name:<42}{statistics.median(seconds(arguments) for _ in range(REPEATS)):6.2f}")


if __name__ == "__main__":
    main()
