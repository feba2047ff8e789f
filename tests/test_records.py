"""A record's fields are what they say, whoever made it.

The other tests check the types of every call. Users' programs do not, so what is given to a record
there is tried in a process of its own.
"""

import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from vireid.records import ImageRecord, Modality, RecordError, TextQuery, spelling_key

VISIBLE, INFRARED = Modality

SCRIPT = """
import json, sys
from decimal import Decimal
from pathlib import Path
import numpy as np
from vireid.errors import VireidError
from vireid.records import ImageRecord, Modality, TextQuery
told = []
for line in json.load(sys.stdin):
    try:
        told.append(repr(eval(line)))
    except TypeError as error:
        assert isinstance(error, VireidError), line
        told.append(str(error))
print(json.dumps(told))
"""


def tried(*expressions: str) -> list[str]:
    """What each expression gives, or what its error says."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(expressions),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert isinstance(found, list)
    return found


def test_what_equals_a_value_is_taken_for_it() -> None:
    given = {
        "np.int64(37)": 37,
        "np.uint8(37)": 37,
        "np.array(37)": 37,
        "37.0": 37,
        "np.float32(37)": 37,
        "2**63 - 1": 2**63 - 1,
        "np.int32(-1)": None,
        "'0037'": 37,
        "' 37 '": 37,
        "'-1'": None,
        "'anna'": None,
        "-7": None,
        "None": None,
    }
    identities = [f"ImageRecord('a.jpg', 'visible', {value}).identity" for value in given]
    assert tried(*identities) == [repr(identity) for identity in given.values()]
    words = ["'visible'", "'infrared'", "np.str_('infrared')", "Modality.VISIBLE"]
    spectra = [f"ImageRecord('a.jpg', {word}).modality" for word in words]
    assert tried(*spectra) == [repr(m) for m in (VISIBLE, INFRARED, INFRARED, VISIBLE)]
    assert tried(
        "type(ImageRecord('a.jpg', 'visible', camera=np.str_('gate')).camera)",
        "ImageRecord('a.jpg', 'visible').path",
        "TextQuery('a coat', np.int64(3)).identity",
        "ImageRecord('a.jpg', 'visible', 'anna').person",
        "ImageRecord('a.jpg', 'visible', 'anna').who",
        "ImageRecord('a.jpg', 'visible', 37).who",
    ) == ["<class 'str'>", repr(Path("a.jpg")), "3", "'anna'", "'anna'", "37"]


def test_anything_else_is_an_error_that_names_the_field() -> None:
    wrong = {
        "identity": [
            "''",
            "' '",
            "True",
            "np.True_",
            "37.5",
            "float('nan')",
            "np.array([1, 2])",
            "'9' * 30",
        ],
        "modality": ["'Visible'", "'rgb'", "0", "None", "b'visible'"],
        "path": ["3", "None", "b'a.jpg'", r"'a\0.jpg'", r"Path('a\0.jpg')"],
        "camera": ["3", "np.int64(3)", "float('nan')", r"'\udcff'"],
        "tracklet": ["3"],
        "time": ["'2026-11-22'", "np.datetime64('2026-11-22')"],
    }
    for field, values in wrong.items():
        right = {"path": "'a.jpg'", "modality": "'visible'"}
        calls = [
            f"ImageRecord({', '.join(f'{k}={v}' for k, v in (right | {field: value}).items())})"
            for value in values
        ]
        for value, told in zip(values, tried(*calls), strict=True):
            assert told.startswith(f"{field} of a record has to be "), (value, told)


@pytest.mark.parametrize("identity", [2**63, 10**5000], ids=["64 bits", "5,000 digits"])
def test_an_identity_beyond_64_bits_is_refused_whatever_its_length(identity: int) -> None:
    with pytest.raises(RecordError, match="identity of a record has to be at most"):
        ImageRecord(Path("a.jpg"), VISIBLE, identity)
    with pytest.raises(RecordError, match="identity of a record has to be at most"):
        TextQuery("a coat", identity)


def test_identity_minus_one_is_nobody_known() -> None:
    assert ImageRecord(Path("a.jpg"), VISIBLE, -1).identity is None
    assert TextQuery("a coat", -1).identity is None


def test_names_are_kept_in_composed_form_and_compared_whatever_their_letter_case() -> None:
    composed, apart = (unicodedata.normalize(form, "camera süd") for form in ("NFC", "NFD"))
    assert composed != apart
    assert ImageRecord(Path("a.jpg"), VISIBLE, camera=apart).camera == composed
    assert spelling_key(apart.upper()) == spelling_key(composed)
    assert spelling_key("cam1") != spelling_key("cam2")
