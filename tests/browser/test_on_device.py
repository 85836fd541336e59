"""The page that estimates in the browser, beside the package."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from agelens import AgeEstimator, data
from agelens.ages import AgeScale
from agelens.imaging.align import FILLS, warp
from agelens.inference.age_gates import AgeGate
from agelens.inference.answers import OutputSpec, point_and_interval, read_answers
from agelens.inference.calibration import Calibration
from agelens.inference.cards import DEFAULT_MODEL
from agelens.records import RGB

Look = Callable[..., Page]
PIXELS, YEARS = 2, 0.5
# The default reckons in 8 bits: a grey level more or less in a few pixels of a chip, and what both
# round differently adds up over its layers.
YEARS_IN_8_BITS, MEAN_YEARS_IN_8_BITS = 1.5, 0.5


@pytest.fixture
def page(chromium: Browser, look: Look, on_device_url: str) -> Page:
    """The page, once it has loaded its networks."""
    opened = look(chromium, on_device_url)
    expect(opened.get_by_role("status")).to_have_text("Ready.")
    return opened


@pytest.fixture
def modules(chromium: Browser, look: Look, on_device_url: str) -> Page:
    """The page, for what its modules reckon without a network."""
    return look(chromium, on_device_url)


def rows_of(page: Page, photos: list[Path]) -> list[dict[str, Any]]:
    """What the page makes of photos."""
    page.set_input_files("#choose", photos)
    expect(page.get_by_role("status")).to_have_text(re.compile(rf"^{len(photos)} photos?, "))
    with page.expect_download() as started:
        page.get_by_role("button", name="Download JSON").click()
    rows: list[dict[str, Any]] = json.loads(Path(started.value.path()).read_text())
    return rows


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, astronaut: RGB) -> list[Path]:
    """Twenty: the pictures of scikit-image, faces hard to get at, and faces drawn."""
    folder = tmp_path_factory.mktemp("photos")
    face = Image.fromarray(astronaut)
    clear = face.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(face.size))
    pictures = {
        "astronaut.png": face,
        "cat.png": Image.fromarray(skimage.data.cat()),
        "coffee.png": Image.fromarray(skimage.data.coffee()),
        "cameraman.png": Image.fromarray(skimage.data.camera()),
        "turned.png": face.rotate(25, resample=Image.Resampling.BICUBIC),
        "at the rim.png": face.crop((190, 60, 400, 300)),
        "tight.png": face.crop((175, 50, 275, 180)),
        "large.png": face.resize((1500, 1500), Image.Resampling.BICUBIC),
        "small.png": face.resize((170, 170), Image.Resampling.LANCZOS),
        "grey.png": face.convert("L"),
        "palette.png": face.quantize(64),
        "clear.png": clear,
        "dark.png": face.point(lambda level: level // 4),
        "mirrored.webp": face.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    }
    for name, picture in pictures.items():
        picture.save(folder / name, lossless=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    face.rotate(90).save(folder / "on its side.jpg", quality=95, exif=exif)
    data.draw_sample(folder / "drawn", 5, seed=3)
    found = sorted(folder.rglob("*.*g*")) + sorted(folder.rglob("*.webp"))
    return [path for path in found if path.suffix in (".png", ".jpg", ".webp")]


def check_alike(
    page: Page, photos: list[Path], model: str = DEFAULT_MODEL, *, years: float = YEARS_IN_8_BITS
) -> list[float]:
    """Compare the page with the package on each face; how far their ages are apart, in years."""
    page.get_by_label("gender").check()
    wanted = [one.to_json() for one in AgeEstimator(model, gender=True).estimate(photos)]
    apart = []
    for ours, theirs in zip(rows_of(page, photos), wanted, strict=True):
        name = theirs["photo"]
        assert ours["status"] == theirs["status"], name
        assert ours.keys() == theirs.keys()
        for face, same in zip(ours["faces"], theirs["faces"], strict=True):
            assert face.keys() == same.keys()
            for what in ("box_xyxy", "landmarks"):
                assert np.abs(np.subtract(face[what], same[what])).max() < PIXELS, name
            for what in ("estimate_years", "median_years"):
                apart.append(abs(face[what] - same[what]))
                assert apart[-1] < years, name
            for what in ("low_years", "high_years"):
                assert abs(face[what] - same[what]) < 3 * years, name
            for what in ("interval", "coverage"):
                assert face[what] == same[what], name
            women = [
                one["gender_score"] if one["gender"] == "female" else 1 - one["gender_score"]
                for one in (face, same)
            ]
            assert abs(women[0] - women[1]) < years / 15, name
            assert (face["refer"] is None) == (same["refer"] is None), name
            assert face["quality"].keys() == same["quality"].keys()
            for what, value in face["quality"].items():
                # A median of whole numbers, few on a smooth face: one of them is a sixth.
                rel = 0.2 if what == "mouth_edges" else None
                wanted_value = pytest.approx(same["quality"][what], abs=0.03, rel=rel)
                assert value == wanted_value, (name, what)
            if same["gender_score"] > 0.5 + years / 15:
                assert face["gender"] == same["gender"], name
    return apart


def test_browser_and_package_agree(page: Page, photos: list[Path]) -> None:
    assert len(photos) == 20
    apart = check_alike(page, photos)
    assert len(apart) >= 2 * 15
    assert np.mean(apart) < MEAN_YEARS_IN_8_BITS


def test_covered_eyes_and_mouths_are_referred(page: Page, tmp_path: Path, astronaut: RGB) -> None:
    (face,) = AgeEstimator().estimate(astronaut).faces
    landmarks = face.face.landmarks
    eyes, mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
    reach = np.ceil(face.face.inter_eye_px * np.array([1.2, 0.4])).astype(int)
    for name, place, colour in (("bar", eyes, (0, 0, 0)), ("mask", mouth, (170, 200, 215))):
        covered = astronaut.copy()
        corners = (tuple(map(int, place + sign * reach)) for sign in (-1, 1))
        cv2.rectangle(covered, *corners, colour, cv2.FILLED)
        Image.fromarray(covered).save(tmp_path / f"{name}.png")
    files = sorted(tmp_path.glob("*.png"))
    (bar,), (mask,) = (row["faces"] for row in rows_of(page, files))
    assert "the eyes may be covered" in bar["refer"]
    assert "the mouth may be covered" in mask["refer"]
    package = [one.faces[0].refer for one in AgeEstimator().estimate(files)]
    assert [bar["refer"].split(":")[0], mask["refer"].split(":")[0]] == [
        reasons.split(":")[0] for reasons in package
    ]


def test_a_model_with_a_gender_network_beside_it_agrees_too(
    chromium: Browser, look: Look, on_device_url: str, photos: list[Path]
) -> None:
    page = look(chromium, f"{on_device_url}cc0/")
    assert len(check_alike(page, photos, "cc0-resnet10", years=YEARS)) >= 2 * 15


def test_models_that_tell_ethnicity_too_agree(
    chromium: Browser, look: Look, on_device_folder: Path, on_device_url: str, photos: list[Path]
) -> None:
    models = sorted((on_device_folder / "models").iterdir())
    assert len(models) == 2
    for model in models:
        page = look(chromium, f"{on_device_url}{model.name}/")
        assert len(check_alike(page, photos[::4], str(model))) >= 2 * 3


@pytest.mark.real_data
def test_browser_and_package_agree_on_real_faces(page: Page, real_data: Path) -> None:
    everybody = [
        *sorted((real_data / "fgnet" / "images").glob("*.JPG")),
        *sorted((real_data / "lfw").rglob("*.jpg")),
        *sorted((real_data / "utkface").rglob("*.jpg")),
    ]
    chosen = [everybody[i] for i in np.linspace(0, len(everybody) - 1, 20).astype(int)]
    apart = check_alike(page, chosen)
    assert len(apart) >= 2 * 18
    assert np.mean(apart) < MEAN_YEARS_IN_8_BITS


def test_chips_are_those_of_the_package(modules: Page, astronaut: RGB) -> None:
    photo = np.ascontiguousarray(astronaut[:256, 100:356])
    chance = np.random.default_rng(0)
    cases = []
    for _ in range(12):
        scale, turn = float(chance.uniform(0.2, 2)), float(chance.uniform(-60, 60))
        matrix = cv2.getRotationMatrix2D((125.0, 115.0), turn, scale)
        matrix[:, 2] += 32 - np.array([125, 115]) + chance.uniform(-40, 40, 2)
        cases += [(matrix, fill) for fill in FILLS]
    rgba = np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)])
    got = modules.evaluate(
        """async ([pixels, cases]) => {
            const {warp} = await import("./device/pixels.js");
            const data = Uint8ClampedArray.from(atob(pixels), (one) => one.charCodeAt(0));
            const picture = {data, width: 256, height: 256};
            return cases.map(([matrix, fill]) =>
                btoa(String.fromCharCode(...warp(picture, matrix, 64, fill).data)));
        }""",
        [b64encode(rgba).decode(), [(matrix.ravel().tolist(), fill) for matrix, fill in cases]],
    )
    for (matrix, fill), text in zip(cases, got, strict=True):
        chip = np.frombuffer(b64decode(text), np.uint8).reshape(64, 64, 4)[..., :3].astype(int)
        wrong = np.abs(chip - warp(photo, matrix, 64, fill))
        assert wrong.mean() < 0.05
        # Where a chip pixel is just within the rim, rounding decides what fills it.
        assert np.quantile(wrong, 0.999) <= 2


def described(spec: OutputSpec, calibration: Calibration | None) -> dict[str, Any]:
    """The parts of a card that make an age of an answer."""
    output = {
        "kind": spec.kind,
        "ages_years": list(spec.scale.years),
        "point": spec.point,
        "link": spec.link,
        "threshold": spec.threshold,
    }
    return {"output": output, "calibration": calibration and dict(calibration.document)}


def calibrations() -> Iterator[dict[str, Any] | None]:
    """One of each kind."""
    yield None
    bias = {"estimate_years": [5, 30, 70], "corrected_years": [7, 30, 66]}
    for score in ("absolute", "normalised", "quantile"):
        for bins_of in ("estimate", "age"):
            part = {
                "level": 0.9,
                "coverage": 0.88,
                "score": score,
                "bins_of": bins_of,
                "edges_years": [18.0, 40.0],
                "corrections": {"": [1.5, 2.0, 0.8], "female": [0.5, 1.0, 3.0]},
                "column": "gender",
                "coverage_of_strangers": 0.85,
            }
            yield {"intervals": [part], "bias": bias if bins_of == "age" else None}
    yield {"intervals": [part | {"level": 0.8}], "bias": None}


SPECS = [
    OutputSpec(AgeScale.yearly(0, 100), point=point)  # type: ignore[arg-type]
    for point in ("expected", "median", "argmax", "rank")
] + [
    OutputSpec(AgeScale.parse("0.25,1-80")),
    OutputSpec(AgeScale.yearly(16, 70), kind="mean-spread"),
    OutputSpec(AgeScale.yearly(16, 70), kind="ordinal-logits", point="rank"),
    OutputSpec(AgeScale.yearly(16, 70), kind="ordinal-logits", link="conditional"),
]


def test_ages_are_read_as_the_package_reads_them(modules: Page) -> None:
    chance = np.random.default_rng(1)
    cases, wanted = [], []
    for spec in SPECS:
        for section in calibrations():
            calibration = Calibration.from_json(section)
            for gender in (None, "female", "male"):
                row = chance.normal(0, 3, spec.width)
                if spec.kind == "posterior":
                    row = np.exp(row) / np.exp(row).sum()
                elif spec.kind == "mean-spread":
                    row = np.array([chance.uniform(10, 80), chance.uniform(0, 9)])
                read = read_answers(row[None], spec)
                stated = point_and_interval(read, 0.9, calibration, gender and [gender])
                names = ("estimate_years", "median_years", "low_years", "high_years")
                numbers = [float(getattr(stated, name)[0]) for name in names]
                wanted.append([*numbers, stated.coverage])
                cases.append([row.tolist(), described(spec, calibration), gender])
    got = modules.evaluate(
        """async (cases) => {
            const {statedAge} = await import("./device/ages.js");
            return cases.map(([row, card, gender]) => {
                const how = {level: 0.9, normalReach: 1.6448536269514722, gender};
                const {age, median, low, high, coverage} = statedAge(row, card, how);
                return [age, median, low, high, coverage];
            });
        }""",
        cases,
    )
    for ours, theirs, case in zip(got, wanted, cases, strict=True):
        assert ours[4] == theirs[4], case[1:]
        np.testing.assert_allclose(ours[:4], theirs[:4], atol=1e-9, err_msg=str(case[1:]))


def test_the_gate_decides_as_the_package_does(modules: Page) -> None:
    gate = AgeGate(18, 25)
    ages = [3, 17.9, 18, 24.9, 25, 60]
    got = modules.evaluate(
        """async (ages) => {
            const {decide} = await import("./device/ages.js");
            const gate = {legal: 18, challenge: 25};
            return ages.map((age) => decide({refer: null, estimate_years: age}, gate));
        }""",
        ages,
    )
    assert got == [gate.decide_age(age) for age in ages]


def test_gate_and_broken_files_on_the_device(
    page: Page, astronaut_png: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("no photo")
    page.get_by_label("Age gate").check()
    answered, broken = rows_of(page, [astronaut_png, tmp_path / "text.jpg"])
    decided = AgeGate(18, 25).decide_age(answered["faces"][0]["estimate_years"])
    assert answered["decision"] == answered["faces"][0]["decision"] == decided
    assert (broken["status"], broken["faces"]) == ("unreadable", [])
    expect(page.locator("#model-words")).to_contain_text("non-commercial")


def test_no_photo_leaves_the_device(
    chromium: Browser, look: Look, on_device_url: str, astronaut_png: Path
) -> None:
    page = look(chromium, on_device_url)
    asked: list[str] = []
    page.context.on("request", lambda request: asked.append(request.method))
    rows_of(page, [astronaut_png])
    assert set(asked) <= {"GET"}


def test_the_camera_on_the_device(
    chromium_with_camera: Browser, look: Look, on_device_url: str
) -> None:
    page = look(chromium_with_camera, on_device_url)
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#camera .tag")).to_have_text(re.compile(r"^\d+ \(\d+ to \d+\)$"))


def test_as_a_file_the_page_says_how_to_serve_it(chromium: Browser, on_device_folder: Path) -> None:
    page = chromium.new_page()
    page.goto((on_device_folder / "index.html").as_uri())
    expect(page.get_by_text("This page has not started.")).to_be_visible()
    expect(page.locator("pre")).to_have_text("python -m http.server")
    page.close()
