"""The page before a real `agelens serve`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from agelens import AgeEstimator

Look = Callable[..., Page]


def rows_of(page: Page) -> list[dict[str, object]]:
    """What the page downloads."""
    with page.expect_download() as started:
        page.get_by_role("button", name="Download JSON").click()
    rows: list[dict[str, object]] = json.loads(Path(started.value.path()).read_text())
    return rows


def test_rows_are_those_of_the_command_and_a_gate_decides(
    chromium: Browser, look: Look, service_url: str, astronaut_png: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("no photo")
    page = look(chromium, service_url)
    page.get_by_label("gender").check()
    page.set_input_files("#choose", [astronaut_png, tmp_path / "text.jpg"])
    status = page.get_by_role("status")
    expect(status).to_have_text("2 photos, 1 face. 1 photo could not be used.")
    answered, refused = rows_of(page)
    wanted = AgeEstimator(gender=True).estimate(astronaut_png).to_json()
    assert answered == wanted | {"photo": "astronaut.png"}
    assert refused["status"] == "unreadable"
    page.get_by_label("Age gate").check()
    page.get_by_label("Legal age").fill("5")
    page.get_by_label("Challenge age").fill("10")
    expect(page.locator(".verdict")).to_have_text("Passes")
    expect(page.locator(".box.pass")).to_have_count(1)


def test_a_file_that_browsers_do_not_show_is_shown_as_drawn(
    chromium: Browser, look: Look, service_url: str, astronaut_png: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "scan.tif"
    Image.open(astronaut_png).save(photo)
    page = look(chromium, service_url)
    page.set_input_files("#choose", photo)
    expect(page.get_by_role("status")).to_have_text("1 photo, 1 face.")
    expect(page.locator(".photo img")).to_have_attribute("src", re.compile("^data:image/jpeg"))
    assert "drawn_jpeg" not in rows_of(page)[0]


def test_the_camera_is_answered(
    chromium_with_camera: Browser, look: Look, service_url: str, estimator: AgeEstimator
) -> None:
    page = look(chromium_with_camera, service_url)
    page.get_by_role("button", name="Start the camera").click()
    tag = page.locator("#camera .tag")
    expect(tag).to_have_text(re.compile(r"^\d+ \(\d+ to \d+\)$"))
    seen = int(tag.inner_text().split()[0])
    still = page.locator("#video")
    box = still.bounding_box()
    assert box
    assert box["width"] / box["height"] == pytest.approx(640 / 480, abs=0.02)
    page.get_by_role("button", name="Keep this picture").click()
    expect(page.get_by_role("status")).to_have_text("1 photo, 1 face.")
    (kept,) = rows_of(page)
    assert kept["model"] == estimator.card.name
    assert abs(kept["faces"][0]["estimate_years"] - seen) < 5  # type: ignore[index]
