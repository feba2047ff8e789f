"""Frames: of folders, of videos of every kind, and of broken ones."""

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image
from tests.fuzz.mutations import mutate
from tests.video.clips import turned, write_video
from tests.video.rtsp_server import rtsp_camera

from vireid.datasets._times import TimePattern
from vireid.video import frames as frames_
from vireid.video.frames import Folder, Sampling, Video, VideoError, open_sources

ALL = Sampling()


def counted(count: int, width: int = 64, height: int = 48) -> Iterator[np.ndarray]:
    """Frames whose grey level says their number."""
    for number in range(count):
        yield np.full((height, width, 3), 20 + 5 * number, np.uint8)


def number_in(pixels: np.ndarray) -> int:
    return round((float(pixels.mean()) - 20) / 5)


def seen(
    place: Path | str, sampling: Sampling = ALL, **said: object
) -> list[tuple[int, float, int]]:
    """Number, seconds and what is seen of each frame."""
    (source,) = open_sources(str(place), **said)  # type: ignore[arg-type]
    return [(f.number, round(f.seconds, 3), number_in(f.pixels)) for f in source.frames(sampling)]


def folder_of(path: Path, names: list[str]) -> Path:
    path.mkdir()
    for number, (name, pixels) in enumerate(zip(names, counted(len(names)), strict=True)):
        Image.fromarray(pixels).save(path / name)
        assert number_in(pixels) == number
    return path


def test_every_frame_of_a_video_has_its_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", counted(20), rate=10)
    assert seen(path) == [(number, number / 10, number) for number in range(20)]
    assert open_sources(str(path))[0].expected() == 20
    assert open_sources(str(path))[0].name == "a"


@pytest.mark.parametrize(
    ("sampling", "taken"),
    [
        (Sampling(every=7), [0, 7, 14]),
        (Sampling(rate=10), [0, 3, 5, 8, 10, 13, 15, 18]),
        (Sampling(rate=5), [0, 5, 10, 15]),
        (Sampling(rate=1000), list(range(20))),
        (Sampling(rate=0.1), [0]),
    ],
)
def test_frames_are_taken_by_number_or_by_time(
    sampling: Sampling, taken: list[int], tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.mp4", counted(20), rate=25)
    assert [number for number, _, _ in seen(path, sampling)] == taken


def test_a_variable_rate_is_taken_by_time(tmp_path: Path) -> None:
    times = [0, 40, 80, 500, 510, 520, 1000, 2000, 2040]
    path = write_video(tmp_path / "a.mkv", counted(9), times=times)
    assert [seconds for _, seconds, _ in seen(path)] == [each / 1000 for each in times]
    assert [number for number, _, _ in seen(path, Sampling(rate=2))] == [0, 3, 6, 7]


def test_samplings_that_take_nothing_are_refused() -> None:
    for wrong in ({"every": 0}, {"rate": 0.0}, {"rate": float("nan")}):
        with pytest.raises(VideoError):
            Sampling(**wrong)


def test_a_bare_stream_without_a_container_has_times_that_rise(tmp_path: Path) -> None:
    source = Video(str(write_video(tmp_path / "a.m4v", counted(10), rate=20)))
    found = list(source.frames(ALL))
    assert [number_in(frame.pixels) for frame in found] == list(range(10))
    steps = np.diff([frame.seconds for frame in found])
    assert steps.min() > 0.01
    assert np.ptp(steps) < 0.01


def test_a_rate_that_somebody_says_stands_above_the_file(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", counted(10), rate=20)
    source = Video(str(path), fps=5)
    assert [round(frame.seconds, 3) for frame in source.frames(ALL)] == [n / 5 for n in range(10)]
    assert source.notes == []


def test_time_never_stands_still() -> None:
    class Decoded:
        def __init__(self, time: float | None) -> None:
            self.time = time

    times = frames_._Times(None, 10, is_stream=False)
    told = [3.0, 3.1, 3.1, 2.0, None, 3.9]
    assert [round(times.of(Decoded(each)), 3) for each in told] == [0, 0.1, 0.2, 0.3, 0.4, 0.9]
    assert times.guessed == 3


def corners(width: int = 64, height: int = 48) -> np.ndarray:
    """A frame with a red corner at the top left, a green one at the top right."""
    frame = np.full((height, width, 3), 128, np.uint8)
    frame[:16, :16], frame[:16, -16:] = (250, 0, 0), (0, 250, 0)
    return frame


def test_a_turned_video_is_upright(tmp_path: Path) -> None:
    path = turned(write_video(tmp_path / "a.mp4", [corners()] * 3))
    frame = next(iter(Video(str(path)).frames(ALL))).pixels
    assert frame.shape == (64, 48, 3)
    # Turned clockwise, the left edge is on top: red goes to the right, green below it.
    assert frame[4, -4].argmax() == 0
    assert frame[-4, -4].argmax() == 1
    assert frame[4, -4].max() > 180


@pytest.mark.parametrize(
    ("codec", "pixels", "given", "most"),
    [
        ("ffv1", "gray", "gray", 255),
        ("ffv1", "gray10le", "gray16le", 1023),
        ("ffv1", "gray16le", "gray16le", 65535),
        ("ffv1", "yuv420p10le", "rgb24", 255),
        ("ffv1", "rgb48le", "rgb48le", 65535),
        ("mpeg4", "yuv420p", "rgb24", 255),
    ],
)
def test_pixels_of_any_depth_become_eight_bits(
    codec: str, pixels: str, given: str, most: int, tmp_path: Path
) -> None:
    wide = np.linspace(0, 1, 64)[None].repeat(48, axis=0)
    if given.startswith("gray"):
        full = 255 if given == "gray" else 65535
        frame = (wide * full).astype(np.uint8 if full == 255 else np.uint16)
    else:
        frame = (wide * most).astype(np.uint8 if most == 255 else np.uint16)[..., None].repeat(3, 2)
    path = write_video(tmp_path / "a.mkv", [frame] * 3, codec=codec, pixels=pixels, given=given)
    found = [each.pixels for each in Video(str(path)).frames(ALL)]
    assert len(found) == 3
    assert found[0].shape == (48, 64, 3)
    assert found[0].dtype == np.uint8
    assert np.abs(found[0].astype(int) - (wide * 255)[..., None]).max() < 12


def test_faint_thermal_frames_are_stretched(tmp_path: Path) -> None:
    faint = np.full((48, 64), 7000, np.uint16)
    faint[10:40, 20:30] = 7100
    path = write_video(
        tmp_path / "a.mkv", [faint], codec="ffv1", pixels="gray16le", given="gray16le"
    )
    frame = next(iter(Video(str(path)).frames(ALL))).pixels
    assert (frame[0, 0, 0], frame[20, 25, 0]) == (0, 255)


def test_a_video_that_was_cut_off_gives_what_it_has(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(40)]
    path = write_video(tmp_path / "a.avi", noise)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    source = Video(str(path))
    assert 10 < len(list(source.frames(ALL))) < 39
    assert source.unusable
    assert "of 40 frames" in source.unusable[-1].reason


def test_broken_pieces_are_passed_over_and_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", counted(40), codec="ffv1", pixels="yuv420p")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 60] = bytes(60)
    path.write_bytes(content)
    source = Video(str(path))
    assert 20 < len(list(source.frames(ALL))) <= 40


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "mpeg4"), ("a.mkv", "ffv1"), ("a.avi", "mjpeg"), ("a.ts", "mpeg4")],
)
def test_whatever_bytes_are_in_a_video_it_is_read_or_refused(
    name: str, codec: str, tmp_path: Path
) -> None:
    rng, random = np.random.default_rng(0), Random(0)
    noise = [rng.integers(0, 255, (24, 32, 3), np.uint8) for _ in range(3)]
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    sound = write_video(tmp_path / name, noise, codec=codec, pixels=pixels).read_bytes()
    read, refused = 0, list[VideoError]()
    for _ in range(200):
        (tmp_path / name).write_bytes(mutate(random, sound, [sound]))
        video = Video(str(tmp_path / name), start=datetime(2026, 11, 24))
        try:
            video.expected()
            read += sum(1 for _ in islice(video.frames(ALL), 500)) > 0
        except VideoError as error:
            refused.append(error)
    assert min(read, len(refused)) > 5
    assert all(name in str(error) for error in refused)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.mp4", b""), ("a.mp4", b"no video" * 99), ("a.avi", b"RIFF" + bytes(99))],
)
def test_what_is_no_video_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VideoError, match=r"cannot be opened|holds no") as told:
        list(Video(str(tmp_path / name)).frames(ALL))
    assert name in str(told.value)


def test_a_codec_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", counted(5), codec="ffv1", pixels="yuv420p")
    content = path.read_bytes()
    assert b"V_FFV1" in content
    path.write_bytes(content.replace(b"V_FFV1", b"V_HOLO"))
    with pytest.raises(VideoError, match=r"a\.mkv is coded in a way that is not known"):
        list(Video(str(path)).frames(ALL))


def test_an_mp4_without_its_end_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", counted(20))
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(VideoError, match=r"cannot be opened|holds no video"):
        list(Video(str(path)).frames(ALL))


def test_what_holds_sound_alone_is_refused(tmp_path: Path) -> None:
    import av

    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(VideoError, match="holds no video"):
        list(Video(str(path)).frames(ALL))


def test_a_file_opens_no_address_and_no_other_file(tmp_path: Path) -> None:
    asked = list[str]()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://localhost:{server.server_port}"
    begin = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n"
    (tmp_path / "a.m3u8").write_text(f"{begin}{address}/a.ts\n#EXT-X-ENDLIST\n")
    (tmp_path / "b.mp4").write_text(f"ffconcat version 1.0\nfile {address}/b.mp4\n")
    try:
        for name in ("a.m3u8", "b.mp4"):
            with pytest.raises(VideoError):
                list(Video(str(tmp_path / name)).frames(ALL))
        assert asked == []
        with pytest.raises(VideoError):
            list(Video(f"{address}/c.mp4").frames(ALL))
        assert asked == ["/c.mp4"]  # what a person typed is opened
    finally:
        server.shutdown()
        server.server_close()


def test_a_video_from_an_address_is_read(tmp_path: Path) -> None:
    write_video(tmp_path / "a.avi", counted(10), rate=10)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given: object) -> None:
            super().__init__(*given, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        place = f"http://localhost:{server.server_port}/a.avi"
        assert [number for number, _, _ in seen(place)] == list(range(10))
        (source,) = open_sources(place)
        assert (source.name, source.expected()) == (f"localhost_{server.server_port}", None)
    finally:
        server.shutdown()
        server.server_close()


def test_a_stream_that_stalls_or_dies_gives_what_came(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(frames_, "PATIENCE", (5.0, 1.0))
    rng = np.random.default_rng(0)
    noise = (rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(200))
    content = write_video(tmp_path / "a.ts", noise).read_bytes()
    over = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            if self.path == "/stalls.ts":
                over.wait(60)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for name in ("dies", "stalls"):
            source = Video(f"http://localhost:{server.server_port}/{name}.ts")
            assert 50 < len(list(source.frames(ALL))) < 150, name
        assert source.unusable
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def test_a_camera_with_rtsp_is_followed_until_it_hangs_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(frames_, "PATIENCE", (20.0, 3.0))
    content = write_video(tmp_path / "a.ts", counted(40), rate=25).read_bytes()
    with rtsp_camera(content) as (address, server):
        source = Video(address)
        found = list(source.frames(ALL))
        assert server.plays == 1
    # FFmpeg looks at the first frames to learn what they are, and the last may be cut off.
    assert 20 < len(found) <= 40
    numbers = [number_in(frame.pixels) for frame in found]
    assert numbers == sorted(numbers)
    assert np.diff([frame.seconds for frame in found]).min() > 0
    assert source.name.startswith("127.0.0.1_")


def test_a_password_in_an_address_is_shown_and_kept_nowhere() -> None:
    source = Video("rtsp://anna:secret@localhost:1/gate")
    assert (source.place, source.address) == ("rtsp://localhost:1/gate",) * 2
    assert source.name == "localhost_1"
    with pytest.raises(VideoError) as told:
        list(source.frames(ALL))
    assert "secret" not in str(told.value)


def test_a_stream_that_nobody_answers_for_is_an_error() -> None:
    with pytest.raises(VideoError, match="cannot be opened"):
        list(Video("rtsp://localhost:1/gate").frames(ALL))


# Folders


def test_a_folder_is_read_in_the_order_of_numbers(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", ["f1.png", "f2.png", "f10.png", "f11.png"])
    (source,) = open_sources(str(folder))
    assert seen(folder) == [(n, n / 25, n) for n in range(4)]
    list(source.frames(ALL))
    assert "taken for 25 a second" in source.notes[0]
    assert [seconds for _, seconds, _ in seen(folder, fps=2)] == [0, 0.5, 1, 1.5]
    assert [number for number, _, _ in seen(folder, Sampling(every=3))] == [0, 3]


def test_missing_frames_leave_a_gap(tmp_path: Path) -> None:
    names = ["000001.png", "000002.png", "000005.png"]
    assert [n for n, _, _ in seen(folder_of(tmp_path / "a", names), fps=1)] == [0, 1, 4]
    names = ["0040.png", "0042.png"]
    assert [n for n, _, _ in seen(folder_of(tmp_path / "b", names), fps=1)] == [0, 1]


def test_names_may_tell_times(tmp_path: Path) -> None:
    names = [f"gate_20261124_18300{second}.png" for second in (0, 1, 5)]
    folder = folder_of(tmp_path / "a", names)
    (source,) = open_sources(str(folder), pattern=TimePattern("%Y%m%d_%H%M%S"))
    found = list(source.frames(ALL))
    assert [frame.seconds for frame in found] == [0, 1, 5]
    assert found[2].time == datetime(2026, 11, 24, 18, 30, 5)
    assert source.notes == []


def test_frames_may_tell_their_own_times(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for second, pixels in zip((0, 1, 4), counted(3), strict=True):
        exif = Image.Exif()
        exif[0x0132] = f"2026:11:24 18:30:0{second}"
        Image.fromarray(pixels).save(tmp_path / "a" / f"{second}.jpg", exif=exif)
    (source,) = open_sources(str(tmp_path / "a"))
    found = list(source.frames(ALL))
    assert [frame.seconds for frame in found] == [0, 1, 4]
    assert found[2].time == datetime(2026, 11, 24, 18, 30, 4)


def test_a_start_gives_every_frame_its_time(tmp_path: Path) -> None:
    noon = datetime(2026, 11, 24, 12)
    folder = folder_of(tmp_path / "a", ["0.png", "1.png"])
    video = write_video(tmp_path / "a.mp4", counted(2), rate=2)
    for place in (folder, video):
        (source,) = open_sources(str(place), fps=2, start=noon)
        times = [frame.time for frame in source.frames(ALL)]
        assert times == [noon, datetime(2026, 11, 24, 12, 0, 0, 500_000)]


def test_each_folder_of_frames_is_a_source(tmp_path: Path) -> None:
    for name in ("cam1", "cam2"):
        (tmp_path / name).mkdir()
        folder_of(tmp_path / name / "day", ["1.png", "2.png"])
    found = open_sources(str(tmp_path))
    assert [source.place for source in found] == [
        str(tmp_path / name / "day") for name in ("cam1", "cam2")
    ]


def test_frames_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", ["1.png", "2.png", "3.png"])
    (folder / "2.png").write_bytes(b"no picture")
    (source,) = open_sources(str(folder))
    assert [frame.number for frame in source.frames(ALL)] == [0, 2]
    assert [each.where for each in source.unusable] == [str(folder / "2.png")]
    for name in ("1.png", "3.png"):
        (folder / name).write_bytes(b"")
    with pytest.raises(VideoError, match=r"no frame of .* can be read"):
        list(source.frames(ALL))


def test_places_that_hold_nothing_are_refused(tmp_path: Path) -> None:
    picture = folder_of(tmp_path / "a", ["1.png"]) / "1.png"
    (tmp_path / "empty").mkdir()
    for place, reason in (
        (tmp_path / "nothing", "is not there"),
        (tmp_path / "empty", "holds no frame"),
        (picture, "is a picture"),
    ):
        with pytest.raises(VideoError, match=reason):
            open_sources(str(place))


def test_folders_need_no_pyav(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", ["1.png", "2.png"])
    program = f"""
import sys
sys.modules["av"] = None
from vireid.video.frames import Sampling, open_sources, Video
(source,) = open_sources({str(folder)!r})
assert len(list(source.frames(Sampling()))) == 2
try:
    list(Video({str(folder)!r}).frames(Sampling()))
except Exception as error:
    assert "pip install 'vireid[video]'" in str(error), error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_sources_say_the_same_of_themselves() -> None:
    for kind in (Folder(Path("a"), ()), Video("a.mp4")):
        assert isinstance(kind.name, str)
        assert kind.unusable == []


def test_what_is_broken_is_counted_and_not_kept() -> None:
    broken = frames_._Broken()
    for number in range(10_000):
        broken.note(ValueError(f"piece {number}"))
    assert (broken.count, broken.first) == (10_000, "piece 0")
    assert vars(broken).keys() == {"count", "first"}
