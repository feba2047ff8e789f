"""Detectors: decoders beside boxes that were encoded by hand, real ONNX files, wrong cards."""

import hashlib
import http.server
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.video.toy_detector import (
    COLOURS,
    GREYS,
    HEIGHT,
    WIDTH,
    frame_with,
    write_constant,
    write_detector,
)

from vireid.files.atomic import PARTIAL
from vireid.records import Modality
from vireid.video import detector_cards
from vireid.video.box_overlap import overlaps, without_repeats
from vireid.video.detector import Detector
from vireid.video.detector_cards import Card, DetectorError, Output
from vireid.video.detector_outputs import decode

Run = Callable[..., tuple[int, str, str]]


def card(name: str, **changes: object) -> Card:
    """A shipped card of a network that looks at 64 x 96 pixels."""
    shipped = detector_cards.shipped(name)
    small = replace(shipped.input, width=64, height=96)
    return replace(shipped, input=small, output=replace(shipped.output, **changes))  # type: ignore[arg-type]


# Decoders


def test_nanodet_reads_expected_distances_from_a_cells_centre() -> None:
    # The cell in row 2, column 1 of stride 32 has its centre at (48, 80): 40 to the left is 1.25
    # strides, which lies between the bins 1 and 2.
    of = card("nanodet_g_416")
    cells = [8 * 12, 4 * 6, 2 * 3]
    scores = [np.full((1, count, 80), 0.01, np.float32) for count in cells]
    bins = [np.zeros((1, count, 44), np.float32) for count in cells]
    scores[2][0, 5, 0] = 0.8
    bins[2][0, 5] = -50
    for side, distance in enumerate((1.25, 0.5, 0.0, 0.25)):
        low = int(distance)
        bins[2][0, 5, 11 * side + low] = np.log(1 - (distance - low))
        if distance > low:
            bins[2][0, 5, 11 * side + low + 1] = np.log(distance - low)
    names = (*of.output.scores, *of.output.boxes)
    outputs = dict(zip(names, [*scores, *bins], strict=True))
    boxes, found = decode(outputs, of)
    assert boxes[found.argmax()] == pytest.approx([48 - 40, 80 - 16, 48, 80 + 8], abs=1e-3)
    assert found.max() == pytest.approx(0.8)


def test_nanodet_plus_has_boxes_beside_scores_and_corners_for_centres() -> None:
    of = card("nanodet_plus_m_416")
    answer = np.zeros((1, 8 * 12 + 4 * 6 + 2 * 3 + 1 * 2, 80 + 32), np.float32)
    answer[0, 0, 80:] = -50
    for side in range(4):
        answer[0, 0, 80 + 8 * side + side] = 0  # bin number `side` alone
    answer[0, 0, 0] = 0.9
    boxes, scores = decode({"output": answer}, of)
    assert scores[0] == pytest.approx(0.9)
    assert boxes[0] == pytest.approx([0, -8, 16, 24])


def test_yolox_reads_logarithms_of_sizes() -> None:
    of = card("yolox_nano")
    answer = np.zeros((1, 8 * 12 + 4 * 6 + 2 * 3, 85), np.float32)
    place = 8 * 12 + 4 * 2 + 3  # row 2, column 3 of stride 16
    answer[0, place, :6] = [0.5, 0.25, np.log(2), np.log(3), 0.9, 0.8]
    boxes, scores = decode({"output": answer}, of)
    assert scores[place] == pytest.approx(0.72)
    assert boxes[place] == pytest.approx([56 - 16, 36 - 24, 56 + 16, 36 + 24])


def test_detr_reads_centres_as_shares_and_logits() -> None:
    boxes, scores = decode(
        {
            "dets": np.array([[[0.5, 0.25, 0.5, 0.5], [0.1, 0.1, 0.1, 0.1]]], np.float32),
            "labels": np.array([[[9.0, np.log(3), -9], [9, -9, 9]]], np.float32),
        },
        card("rf_detr_nano"),
    )
    assert scores == pytest.approx([0.75, 0.000123], abs=1e-5)
    assert boxes[0] == pytest.approx([16, 0, 48, 48])


@pytest.mark.parametrize(
    ("corners", "unit", "given"),
    [
        ("xyxy", "pixels", [8, 24, 32, 96]),
        ("yxyx", "shares", [0.25, 0.125, 1, 0.5]),
    ],
)
def test_ssd_takes_finished_lists(corners: str, unit: str, given: list[float]) -> None:
    outputs: dict[str, np.ndarray] = {
        "boxes": np.array([[given, given]], np.float32),
        "scores": np.array([[0.9, 0.8]], np.float32),
        "labels": np.array([[0, 17]]),
    }
    boxes, scores = decode(outputs, card("d_fine_n", corners=corners, unit=unit))
    assert boxes.tolist() == [pytest.approx([8, 24, 32, 96])]
    assert scores.tolist() == pytest.approx([0.9])


def test_boxes_that_are_no_numbers_are_left_out() -> None:
    outputs: dict[str, np.ndarray] = {
        "boxes": np.array([[[np.nan, 0, 1, 1], [0, 0, 9, 9]]], np.float32),
        "scores": np.array([[0.9, 0.8]], np.float32),
        "labels": np.zeros((1, 2)),
    }
    boxes, scores = decode(outputs, card("d_fine_n"))
    assert (boxes.tolist(), scores.tolist()) == ([[0, 0, 9, 9]], [pytest.approx(0.8)])


# Overlap


def test_overlap_is_intersection_over_union() -> None:
    one = np.array([[0.0, 0, 10, 10], [0, 0, 0, 0]])
    other = np.array([[5.0, 0, 15, 10], [20, 20, 30, 30], [0, 0, 10, 10]])
    assert overlaps(one, other)[0] == pytest.approx([1 / 3, 0, 1])
    assert overlaps(one, other)[1].tolist() == [0, 0, 0]


def test_repeats_go_and_neighbours_stay() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [5, 0, 15, 10]])
    assert without_repeats(boxes, np.array([0.5, 0.9, 0.8]), 0.5).tolist() == [1, 2]
    assert without_repeats(boxes, np.array([0.5, 0.9, 0.8]), 1.0).tolist() == [1, 2, 0]
    assert without_repeats(boxes[:0], np.array([]), 0.5).tolist() == []


# Whole detectors

PEOPLE = {0: (10, 20, 30, 90), 1: (100, 30, 130, 110)}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return Detector.open(write_detector(tmp_path_factory.mktemp("toy")))


@pytest.mark.parametrize(("modality", "colours"), [("visible", COLOURS), ("infrared", GREYS)])
def test_people_are_found_in_either_spectrum(
    toy: Detector, modality: Modality, colours: tuple[tuple[int, int, int], ...]
) -> None:
    found = toy(frame_with(PEOPLE, colours=colours), Modality(modality))
    assert sorted(each.sides for each in found) == [PEOPLE[0], PEOPLE[1]]
    assert [each.score for each in found] == pytest.approx([0.9, 0.9])
    assert toy(frame_with({}), Modality.VISIBLE) == []


def test_boxes_are_in_pixels_of_frames_of_any_size(toy: Detector) -> None:
    twice = {who: tuple(2 * side for side in box) for who, box in PEOPLE.items()}
    frame = frame_with(twice, 2 * WIDTH, 2 * HEIGHT)  # type: ignore[arg-type]
    found = sorted(each.sides for each in toy(frame, Modality.VISIBLE))
    assert np.abs(np.array(found) - np.array([twice[0], twice[1]])).max() <= 2


@pytest.mark.parametrize(
    ("fit", "size", "frame"),
    [("corner", (200, 100), (100, 100)), ("centre", (100, 200), (100, 100))],
)
def test_letterboxes_lead_back_to_the_frame(
    fit: str, size: tuple[int, int], frame: tuple[int, int], tmp_path: Path
) -> None:
    # The network says: somebody at 10 .. 40, 20 .. 80 of the frame, in pixels of its input.
    top = (size[1] - 100) // 2 if fit == "centre" else 0
    outputs = {
        "boxes": np.array([[[10, 20 + top, 40, 80 + top]]]),
        "scores": np.array([[0.9]]),
        "labels": np.zeros((1, 1)),
    }
    path = write_constant(tmp_path / "a.onnx", outputs, (1, 3, size[1], size[0]))
    text = write_detector(tmp_path).with_suffix(".toml").read_text()
    text = text.replace("stretched", fit).replace("width = 160", f"width = {size[0]}")
    path.with_suffix(".toml").write_text(text.replace("height = 120", f"height = {size[1]}"))
    (person,) = Detector.open(path)(np.zeros((*frame, 3), np.uint8), Modality.VISIBLE)
    assert person.sides == pytest.approx((10, 20, 40, 80))


def test_tiles_find_people_where_the_whole_frame_shows_two_of_one_colour(toy: Detector) -> None:
    # The toy sees one person of a colour: in the whole frame a single box around both, which is too
    # wide; in each tile one of them.
    frame = frame_with({0: (5, 10, 25, 60)}, 400, 300)
    frame[200:280, 350:380] = COLOURS[0]
    assert toy(frame, Modality.VISIBLE)[0].sides[2] > 300
    found = [each.sides for each in toy(frame, Modality.VISIBLE, tiles=(2, 2))]
    small = [box for box in found if box[2] - box[0] < 100]
    wanted = [(5, 10, 25, 60), (350, 200, 380, 280)]
    assert np.abs(np.array(sorted(small)) - np.array(wanted)).max() <= 3


def test_people_whom_a_tile_cuts_are_left_to_the_next_one(toy: Detector) -> None:
    frame = frame_with({0: (150, 100, 200, 200)}, 400, 300)
    found = toy(frame, Modality.VISIBLE, tiles=(2, 2))
    assert [np.round(each.sides, -1).tolist() for each in found] == [[150, 100, 200, 200]]


def test_what_is_wider_than_people_or_fills_the_frame_is_nobody(toy: Detector) -> None:
    wide = frame_with({0: (10, 10, 150, 30), 1: (60, 40, 80, 100)})
    assert [each.sides for each in toy(wide, Modality.VISIBLE)] == [(60, 40, 80, 100)]
    assert toy(frame_with({0: (0, 0, WIDTH, HEIGHT)}), Modality.VISIBLE) == []


def test_a_threshold_for_each_spectrum(tmp_path: Path) -> None:
    path = write_detector(tmp_path)
    text = path.with_suffix(".toml").read_text()
    path.with_suffix(".toml").write_text(text.replace("largest", "visible = 0.95\nlargest"))
    strict = Detector.open(path)
    assert strict(frame_with(PEOPLE), Modality.VISIBLE) == []
    assert len(strict(frame_with(PEOPLE), Modality.INFRARED)) == 2


# Cards


def test_every_card_that_is_shipped_is_complete_and_fits_a_file_like_its_own(
    tmp_path: Path,
) -> None:
    assert len(detector_cards.available()) >= 8
    for name in detector_cards.available():
        of = detector_cards.shipped(name)
        path = write_constant(
            tmp_path / f"{name}.onnx",
            blank_outputs(of),
            (1, 3, of.input.height, of.input.width),
            [each for each in (of.input.name or "in", of.input.size_name) if each],
        )
        assert Detector.open(path).card == of, name
        assert (of.origin.url is None) == (of.origin.sha256 is None)
        assert of.origin.url is None or of.origin.url.startswith("https://")


def blank_outputs(of: Card) -> dict[str, np.ndarray]:
    """Outputs in the shape that a card says, in which nobody is found."""
    cells = [
        -(-of.input.width // stride) * -(-of.input.height // stride) for stride in of.output.strides
    ]
    match of.output:
        case Output(decoder="yolox"):
            return {"output": np.zeros((1, sum(cells), 85))}
        case Output(decoder="nanodet", boxes=()):
            return {"output": np.zeros((1, sum(cells), 112))}
        case Output(decoder="nanodet"):
            names = zip(of.output.scores, of.output.boxes, cells, strict=True)
            return {
                name: np.zeros((1, count, columns))
                for scores, boxes, count in names
                for name, columns in ((scores, 80), (boxes, 44))
            }
        case Output(decoder="detr"):
            return {"dets": np.zeros((1, 300, 4)), "labels": np.full((1, 300, 91), -9.0)}
        case _:
            lists = {"labels": np.zeros((1, 9)), "scores": np.zeros((1, 9))}
            return {**lists, "boxes": np.zeros((1, 9, 4))}


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("width = 160", "width = 320", r"shape \[1, 3, 120, 160\], the card says \[1, 3, 120, 320"),
        ('colours = "rgb"', 'colours = "rgb"\nlayout = "nhwc"', "the card says"),
        ('colours = "rgb"', 'colours = "rgb"\nname = "input"', "no input 'input', but 'images'"),
        ('labels = "labels"', 'labels = "classes"', "no output 'classes', but"),
        ('boxes = ["boxes"]', 'boxes = ["scores"]', r"shape \(1, 6\)"),
        ('decoder = "ssd"', 'decoder = "yolox"\nstrides = [8]', "shape"),
        ('scores = ["scores"]', 'scores = ["boxes"]', "boxes have the shape"),
    ],
)
def test_a_card_that_does_not_fit_its_file_is_refused(
    old: str, new: str, reason: str, tmp_path: Path
) -> None:
    path = write_detector(tmp_path)
    text = path.with_suffix(".toml").read_text()
    assert old in text
    path.with_suffix(".toml").write_text(text.replace(old, new))
    with pytest.raises(DetectorError, match=reason) as told:
        Detector.open(path)
    assert str(path) in str(told.value)


def test_the_wrong_decoder_is_noticed_by_its_scores(tmp_path: Path) -> None:
    of = detector_cards.shipped("nanodet_plus_m_416")
    logits = {"output": np.full((1, 3598, 112), -4.6)}
    path = write_constant(tmp_path / "nanodet_plus_m_416.onnx", logits, (1, 3, 416, 416), ["data"])
    with pytest.raises(DetectorError, match="not from 0 to 1, so the decoder 'nanodet' is the"):
        Detector.open(path)
    assert of.output.decoder == "nanodet"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("format = 2", "damaged or something else"),
        ("= 3", "is not TOML"),
        ("", "damaged or something else"),
    ],
)
def test_a_card_that_is_none_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    path = write_detector(tmp_path)
    path.with_suffix(".toml").write_text(text)
    with pytest.raises(DetectorError, match=reason):
        Detector.open(path)


def test_a_file_without_card_says_what_to_do(tmp_path: Path) -> None:
    path = write_detector(tmp_path, "strange")
    own = path.with_suffix(".toml").rename(tmp_path / "own.toml")
    with pytest.raises(DetectorError, match=r"write a card .*strange\.toml"):
        Detector.open(path)
    assert Detector.open(path, str(own)).card.title == "coloured rectangles"


def test_what_is_no_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"not an ONNX file")
    for name, reason in (("a.onnx", "not an ONNX file"), ("b.onnx", "is missing")):
        with pytest.raises(DetectorError, match=reason):
            Detector.open(tmp_path / name)


# The commands


@pytest.fixture
def own_cards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of cards, and an empty cache."""
    folder = tmp_path / "cards"
    folder.mkdir()
    monkeypatch.setattr(detector_cards, "FOLDER", folder)
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder that is served by https, and its address."""
    if not shutil.which("openssl"):
        pytest.skip("nothing here makes certificates")
    certificate, folder = tmp_path / "certificate.pem", tmp_path / "served"
    folder.mkdir()
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", certificate, "-out", tmp_path / "only.pem"),
        ],
        check=True,
        capture_output=True,
    )
    certificate.write_bytes(certificate.read_bytes() + (tmp_path / "only.pem").read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given: object) -> None:
            super().__init__(*given, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path == "/away":
                self.send_response(302)
                self.send_header("Location", "http://localhost/else")
                self.end_headers()
                return
            super().do_GET()

    server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"https://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def fetched_card(folder: Path, own_cards: Path, url: str, sha256: str | None = None) -> bytes:
    """Serve the toy and write its card; gives the file's content."""
    path = write_detector(folder)
    text, content = path.with_suffix(".toml").read_text(), path.read_bytes()
    where = f'url = "{url}"\nsha256 = "{sha256 or hashlib.sha256(content).hexdigest()}"'
    (own_cards / "toy.toml").write_text(f"{text}{where}\n")
    return content


def test_get_fetches_compares_and_does_not_fetch_again(
    run: Run, own_cards: Path, served: tuple[Path, str]
) -> None:
    folder, address = served
    content = fetched_card(folder, own_cards, f"{address}/toy.onnx")
    status, out, _ = run("detector", "get", "toy")
    assert status == 0
    assert detector_cards.place_of("toy").read_bytes() == content
    assert str(detector_cards.place_of("toy")) in out
    (folder / "toy.onnx").unlink()
    assert run("detector", "get", "toy")[0] == 0
    status, out, _ = run("detector", "check", "toy")
    assert (status, "toy fits its card" in out) == (0, True)


@pytest.mark.parametrize(
    ("place", "sha256", "reason"),
    [
        ("/toy.onnx", "0" * 64, "it is another file"),
        ("/gone.onnx", None, "could not be fetched (File not found)"),
        ("/away", None, "which is not encrypted"),
    ],
)
def test_get_keeps_nothing_that_is_not_the_file(
    run: Run,
    own_cards: Path,
    served: tuple[Path, str],
    place: str,
    sha256: str | None,
    reason: str,
) -> None:
    folder, address = served
    fetched_card(folder, own_cards, f"{address}{place}", sha256)
    status, _, err = run("detector", "get", "toy")
    assert (status, reason in err) == (1, True), err
    assert not list(detector_cards.place_of("toy").parent.glob(f"*{PARTIAL}"))
    assert not detector_cards.place_of("toy").exists()


def test_get_without_a_network_says_which_file_to_put_where(run: Run, own_cards: Path) -> None:
    fetched_card(own_cards.parent, own_cards, "https://localhost:1/toy.onnx")
    status, _, err = run("detector", "get", "toy")
    assert status == 1
    assert f"on another computer and put it at {detector_cards.place_of('toy')}" in err


def test_get_says_how_a_file_is_made_that_cannot_be_fetched(run: Run) -> None:
    status, _, err = run("detector", "get", "rf_detr_nano")
    assert (status, "RFDETRNano().export()" in err) == (1, True)
    status, _, err = run("detector", "get", "yolox_tinny")
    assert (status, "did you mean 'yolox_tiny'?" in err) == (1, True)


def test_list_and_check_answer_people_and_programs(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("detector", "list")
    assert (status, all(name in out for name in detector_cards.available())) == (0, True)
    status, out, _ = run("detector", "list", "--json")
    assert json.loads(out)["yolox_s"]["input"]["width"] == 640
    path, picture, sheet = write_detector(tmp_path), tmp_path / "a.png", tmp_path / "sheet.png"
    Image.fromarray(frame_with(PEOPLE)).save(picture)
    status, out, _ = run("detector", "check", path, "--picture", picture, "--sheet", sheet)
    assert (status, "2 people" in out, "box 10,20,30,90, 70 pixels high" in out) == (0, True, True)
    drawn = np.asarray(Image.open(sheet))
    assert (drawn[60, 10] == [60, 220, 60]).all()
    status, out, _ = run("detector", "check", path, "--picture", picture, "--json")
    assert [10, 20, 30, 90] in [each["box"] for each in json.loads(out)["people"]]
    assert run("detector", "check", path, "--sheet", sheet)[0] == 2
    for tiles in ("2", "0x2", "9x9", "axb"):
        assert run("detector", "check", path, "--tiles", tiles)[0] == 1
