"""The page in a browser, before a server that answers as it is told."""

from __future__ import annotations

import csv
import io
import json
import re
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from agelens.inference.result_files import write_csv

Look = Callable[..., Page]
Open = Callable[..., Page]


@pytest.fixture
def open_page(chromium: Browser, look: Look, stand_in: Any) -> Open:
    """Opens the page of the stand-in."""
    return partial(look, chromium, stand_in.url)


def downloaded(page: Page, button: str) -> str:
    with page.expect_download() as started:
        page.get_by_role("button", name=button).click()
    return Path(started.value.path()).read_text(encoding="utf-8")


def give(page: Page, *photos: Path) -> None:
    """Choose photos once the page knows its models, and wait until all are answered."""
    expect(page.locator("#model-words")).not_to_be_empty()
    page.set_input_files("#choose", photos)
    expect(page.get_by_role("status")).to_have_text(re.compile(r"^\d+ photos?, \d+ faces?\."))


def test_a_photo_gets_a_box_an_age_and_its_interval(
    open_page: Open, stand_in: Any, astronaut_png: Path
) -> None:
    page = open_page()
    give(page, astronaut_png)
    expect(page.locator(".box .tag")).to_have_text("30 (25 to 36)")
    expect(page.get_by_role("listitem").first).to_contain_text(
        "24.5 to 36.0 years, the 90 % interval; measured to hold for 91 % of people."
    )
    picture = page.locator(".photo img").bounding_box()
    box = page.locator(".box").bounding_box()
    assert picture
    assert box
    scale = picture["width"] / 512
    assert box["x"] - picture["x"] == pytest.approx(177.75 * scale, abs=1)
    assert box["height"] == pytest.approx((177.29 - 56.89) * scale, abs=1)
    assert stand_in.posts == [
        ("/v1/estimate", {"files": "astronaut.png", "gender": "false", "model": "stand-in"})
    ]


def test_photos_can_be_dropped_and_pasted(
    open_page: Open, stand_in: Any, astronaut_png: Path
) -> None:
    page = open_page()
    content = b64encode(astronaut_png.read_bytes()).decode()
    for event, field, kind in (
        ("drop", "dataTransfer", "DragEvent"),
        ("paste", "clipboardData", "ClipboardEvent"),
    ):
        page.evaluate(
            """([content, event, field, kind]) => {
                const held = new DataTransfer();
                const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
                const file = new File([bytes], `${event}.png`, {type: "image/png"});
                held.items.add(file);
                const how = {[field]: held, bubbles: true, cancelable: true};
                document.body.dispatchEvent(new window[kind](event, how));
            }""",
            [content, event, field, kind],
        )
    expect(page.get_by_role("status")).to_have_text("2 photos, 2 faces.")
    assert [fields["files"] for _, fields in stand_in.posts] == ["drop.png", "paste.png"]


def test_the_gate_asks_anew_and_says_who_passes(
    open_page: Open, stand_in: Any, astronaut_png: Path, made: Any
) -> None:
    page = open_page()
    give(page, astronaut_png)
    page.get_by_label("Age gate").check()
    expect(page.locator(".verdict")).to_have_text("Passes")
    assert stand_in.posts[-1][0] == "/v1/gate"
    assert stand_in.posts[-1][1]["challenge_age"] == "25"
    refused = made.face(decision="refer", refer="roll 40 degrees is above 30 degrees")
    stand_in.answers = [made.answer(200, {"results": [made.row("a", refused, decision="refer")]})]
    page.get_by_label("Challenge age").fill("31")
    expect(page.locator(".verdict")).to_have_text("Refer: ask for a document")
    expect(page.locator(".note")).to_have_text(
        "A person should look: roll 40 degrees is above 30 degrees."
    )
    (answered,) = json.loads(downloaded(page, "Download JSON"))
    assert (answered["legal_age"], answered["challenge_age"]) == (18, 31)
    before = len(stand_in.posts)
    page.get_by_label("Challenge age").fill("10")
    expect(page.get_by_role("alert")).to_contain_text("at least as high")
    assert len(stand_in.posts) == before


def test_what_is_changed_while_a_photo_is_answered_counts(
    open_page: Open, stand_in: Any, astronaut_png: Path
) -> None:
    page = open_page()
    stand_in.seconds = 2
    page.set_input_files("#choose", astronaut_png)
    expect(page.get_by_role("status")).to_contain_text("Estimating")
    page.get_by_label("Age gate").check()
    expect(page.locator(".verdict")).to_have_text("Passes")
    assert stand_in.posts[-1][0] == "/v1/gate"


def test_json_is_what_the_server_said(
    open_page: Open, stand_in: Any, astronaut_png: Path, made: Any
) -> None:
    page = open_page()
    give(page, astronaut_png)
    assert json.loads(downloaded(page, "Download JSON")) == [made.row("astronaut.png", made.face())]


def test_csv_is_that_of_the_command_and_no_formula(
    open_page: Open, stand_in: Any, astronaut_png: Path, made: Any, tmp_path: Path
) -> None:
    rows = [
        made.row(
            '=HYPERLINK("http://evil","x").png',
            made.face(gender="female", gender_score=0.75),
            made.face(),
        ),
        made.row("nobody, here.png", status="no_face", message="no face found"),
        made.row("'=1.png", status="no_face", message="-"),
    ]
    stand_in.answers = [made.answer(200, {"results": [one]}) for one in rows]
    page = open_page()
    give(page, *[astronaut_png] * len(rows))
    write_csv(rows, tmp_path / "wanted.csv")
    got, wanted = (
        list(csv.reader(io.StringIO(text, newline="")))
        for text in (downloaded(page, "Download CSV"), (tmp_path / "wanted.csv").read_text())
    )
    assert got[0] == wanted[0]
    assert got[1][0] == '\'=HYPERLINK("http://evil","x").png'
    for ours, theirs in zip(got[1:], wanted[1:], strict=True):
        assert [_number(cell) for cell in ours] == [_number(cell) for cell in theirs]


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def test_a_busy_server_is_asked_again(
    open_page: Open, stand_in: Any, astronaut_png: Path, made: Any
) -> None:
    busy = {"error": {"code": "busy", "message": "the queue is full", "request_id": "3"}}
    stand_in.answers = [made.answer(503, busy, **{"Retry-After": "1"})]
    page = open_page()
    give(page, astronaut_png)
    assert len(stand_in.posts) == 2


@pytest.mark.parametrize(
    "refusal",
    [
        (
            415,
            b'{"error": {"code": "not_pictures", "message": "no picture", "request_id": "r-8"}}',
            "No picture. (Request r-8.)",
        ),
        (502, b"<html>Bad gateway</html>", "The server answered 502 without saying why."),
    ],
)
def test_errors_are_said_in_words_and_the_next_photo_is_answered(
    open_page: Open,
    stand_in: Any,
    astronaut_png: Path,
    refusal: tuple[int, bytes, str],
) -> None:
    status, body, words = refusal
    stand_in.answers = [(status, {"Content-Type": "application/json"}, body)]
    page = open_page()
    give(page, astronaut_png, astronaut_png)
    expect(page.get_by_role("status")).to_have_text("2 photos, 1 face. 1 photo could not be used.")
    expect(page.locator(".problem")).to_have_text(words)
    rows = json.loads(downloaded(page, "Download JSON"))
    assert [one["status"] for one in rows] == ["unreadable" if status == 415 else "refused", "ok"]


def test_a_server_that_is_gone_is_said_in_words(
    open_page: Open, stand_in: Any, astronaut_png: Path, astronaut_jpeg: Path
) -> None:
    stand_in.dies_of = {"astronaut.png"}
    page = open_page()
    give(page, astronaut_png, astronaut_jpeg)
    expect(page.locator(".problem")).to_have_text(
        "The server cannot be reached. Is it still running, and are you online?"
    )
    expect(page.locator(".box")).to_have_count(1)


def test_a_photo_beyond_the_limit_is_not_sent(
    open_page: Open, stand_in: Any, tmp_path: Path
) -> None:
    page = open_page()
    expect(page.locator("#model-words")).to_contain_text("made up")
    (tmp_path / "large.jpg").write_bytes(bytes(1_500_000))
    give(page, tmp_path / "large.jpg")
    expect(page.locator(".problem")).to_have_text(
        "This photo has 1.5 MB, and the server takes 1 MB: make it smaller."
    )
    assert stand_in.posts == []


def test_a_token_is_asked_for_and_sent(open_page: Open, stand_in: Any, astronaut_png: Path) -> None:
    stand_in.token = "right"
    page = open_page()
    field = page.get_by_label("Access token")
    expect(field).to_be_focused()
    page.set_input_files("#choose", astronaut_png)
    field.fill("wrong")
    field.press("Enter")
    expect(page.get_by_role("status")).to_have_text("The server does not know this token.")
    field.fill("right")
    field.press("Enter")
    expect(page.get_by_role("status")).to_have_text("1 photo, 1 face.")
    expect(field).to_be_hidden()
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [
        0,
        0,
        "",
    ]


def test_names_and_words_of_others_are_no_markup(
    open_page: Open, stand_in: Any, astronaut_png: Path, made: Any
) -> None:
    evil = "<img src=x onerror=alert(1)>"
    rows = made.row(evil, made.face(refer=evil, gender=evil, gender_score=1))
    stand_in.answers = [made.answer(200, {"results": [rows]})]
    page = open_page()
    give(page, astronaut_png)
    expect(page.locator(".note")).to_contain_text(evil)
    assert page.locator(".photo img").count() == 1


def test_everything_works_by_keyboard(open_page: Open, stand_in: Any, astronaut_png: Path) -> None:
    page = open_page()
    page.on("filechooser", lambda chooser: chooser.set_files(astronaut_png))
    expect(page.locator("#model-words")).to_contain_text("made up")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the photos")).to_be_in_viewport()
    page.keyboard.press("Tab")
    choose = page.get_by_role("button", name="Choose photos")
    expect(choose).to_be_focused()
    assert choose.evaluate("one => getComputedStyle(one.parentElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("1 photo, 1 face.")
    reached = [_name(page) for _ in range(3) if page.keyboard.press("Tab") is None]
    assert reached == ["camera-start", "gender", "gate"]
    page.keyboard.press("Space")
    expect(page.locator(".verdict")).to_have_text("Passes")
    reached = [_name(page) for _ in range(5) if page.keyboard.press("Tab") is None]
    assert reached == ["legal_age", "challenge_age", "save-json", "save-csv", "clear"]
    page.keyboard.press("Enter")
    expect(page.locator(".photo")).to_have_count(0)
    expect(choose).to_be_focused()


def _name(page: Page) -> str:
    name: str = page.evaluate("document.activeElement.name || document.activeElement.id")
    return name


def test_a_screen_reader_hears_what_it_needs(
    open_page: Open, stand_in: Any, astronaut_png: Path
) -> None:
    page = open_page()
    page.get_by_label("Age gate").check()
    give(page, astronaut_png)
    expect(page.locator("main")).to_match_aria_snapshot("""
        - main:
          - heading "How old does a face look?" [level=1]
          - region "Photos to estimate":
            - paragraph:
              - button "Choose photos"
              - button "Start the camera"
            - form "Options":
              - checkbox "Say the gender a face looks like"
              - checkbox "Age gate" [checked] [expanded]
              - group "Who passes without being asked?":
                - paragraph:
                  - spinbutton "Legal age"
                  - spinbutton "Challenge age"
          - status: 1 photo, 1 face.
          - region "Photos":
            - heading "Photos" [level=2]
            - paragraph:
              - button "Download JSON"
              - button "Download CSV"
              - button "Clear"
            - list:
              - listitem:
                - img "astronaut.png, 1 face marked"
                - heading "astronaut.png" [level=3]
                - list:
                  - listitem:
                    - paragraph: 30 years
                    - paragraph: /24.5 to 36.0 years/
                    - paragraph: Passes
          - region "What an estimate is not"
    """)
    assert page.locator("html").get_attribute("lang") == "en"
    nameless = "[...document.querySelectorAll('input:not([hidden]), select, button')]" + (
        ".filter((one) => !one.labels?.length && !one.textContent.trim())"
    )
    assert page.evaluate(f"{nameless}.length") == 0


@pytest.mark.parametrize("screen", list(product((320, 400, 1400), ("light", "dark"))))
def test_it_fits_every_width_and_can_be_read(
    open_page: Open,
    stand_in: Any,
    astronaut_png: Path,
    made: Any,
    screen: tuple[int, str],
) -> None:
    width, scheme = screen
    faces = [made.face(decision=word, refer="dark") for word in ("pass", "refer", "fail")]
    wide = "a name that is long and has no space ".replace(" ", "_") * 4
    stand_in.answers = [made.answer(200, {"results": [made.row(wide, *faces)]})]
    page = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.get_by_label("Age gate").check()
    give(page, astronaut_png)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for text in page.locator("h1, p:not(:empty), button, label, .verdict, .age, legend").all():
        if text.is_visible():
            assert _contrast(text) >= 4.5, text.inner_text()


def _contrast(text: Locator) -> float:
    """The contrast of a text with what is behind it, as WCAG 2 defines it."""
    ink, paper = text.evaluate("""one => {
        const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
        const paper = (part) => numbers(getComputedStyle(part).backgroundColor);
        let behind = one;
        while (paper(behind)[3] === 0) behind = behind.parentElement;
        return [numbers(getComputedStyle(one).color), paper(behind)];
    }""")

    def luminance(colour: list[float]) -> float:
        shares = [channel / 255 for channel in colour[:3]]
        linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(ink), luminance(paper)))
    return (light + 0.05) / (dark + 0.05)


def test_the_camera_starts_by_a_click_and_sends_as_fast_as_it_is_answered(
    chromium_with_camera: Browser, look: Look, stand_in: Any
) -> None:
    page = look(chromium_with_camera, stand_in.url)
    stand_in.seconds = 0.1
    expect(page.locator("#model-words")).to_contain_text("made up")
    assert not page.locator("#video").is_visible()
    assert stand_in.posts == []
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#camera .box .tag")).to_have_text("30 (25 to 36)")
    expect(page.locator("#camera-words")).to_have_text("1 face, about 30 years")
    for _ in range(200):  # frames, on a machine that may be busy
        if len(stand_in.posts) > 5:
            break
        page.wait_for_timeout(100)
    assert len(stand_in.posts) > 5
    assert stand_in.most_at_once == 1
    page.get_by_role("button", name="Keep this picture").click()
    expect(page.locator(".photo h3")).to_have_text(re.compile("camera .*jpg"))
    expect(page.locator(".photo .age")).to_have_text("30 years")
    page.get_by_role("button", name="Stop the camera").click()
    expect(page.locator("#video")).to_be_hidden()
    expect(page.get_by_role("button", name="Start the camera")).to_be_focused()
    assert page.evaluate("document.getElementById('video').srcObject") is None
    page.wait_for_timeout(1000)  # for what was under way
    sent = len(stand_in.posts)
    page.wait_for_timeout(1000)
    assert len(stand_in.posts) == sent


def test_one_of_several_cameras_can_be_chosen(
    chromium_with_two_cameras: Browser, look: Look, stand_in: Any
) -> None:
    page = look(chromium_with_two_cameras, stand_in.url)
    page.get_by_role("button", name="Start the camera").click()
    choice = page.get_by_role("combobox", name="Camera")
    expect(choice.get_by_role("option")).to_have_count(2)
    ids = [one.get_attribute("value") for one in choice.get_by_role("option").all()]
    used = "document.getElementById('video').srcObject.getVideoTracks()[0].getSettings().deviceId"
    assert (choice.input_value(), page.evaluate(used)) == (ids[0], ids[0])
    choice.select_option(ids[1])
    expect(choice).to_be_focused()
    assert (choice.input_value(), page.evaluate(used)) == (ids[1], ids[1])
    expect(page.locator("#camera-words")).to_have_text("1 face, about 30 years")


def test_a_camera_that_is_refused_is_said_in_words(open_page: Open, stand_in: Any) -> None:
    page = open_page()
    page.get_by_role("button", name="Start the camera").click()
    expect(page.get_by_role("status")).to_have_text(
        re.compile("The browser may not use the camera|No camera was found")
    )
    expect(page.get_by_role("button", name="Start the camera")).to_be_enabled()
