"""The pages of reports in a real browser: on a phone, by their contents, in the dark, on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from agelens.evaluation import evaluate, gate, nist
from agelens.evaluation.reports.stress_page import StressReport
from agelens.evaluation.sensitivity.conditions import conditions
from agelens.evaluation.sensitivity.estimates import StressEstimates
from agelens.evaluation.sensitivity.stress import stress
from agelens.tables import SampleTable

LONG = "people_of_a_dataset_whose_name_is_one_word_of_sixty_characters_"
REPORTS = ("evaluation", "gate", "nist", "stress")


def predicted() -> pd.DataFrame:
    random = np.random.default_rng(0)
    ages = random.integers(5, 80, 400).astype(float)
    return pd.DataFrame(
        {
            "sample_id": [f"s{n}" for n in range(400)],
            "dataset": LONG,
            "age_years": ages,
            "age_kind": "real",
            "estimate_years": ages + random.normal(0, 4, 400),
            "gender": random.choice(["female", "male"], 400),
            "model": "a model",
        }
    )


def stressed() -> StressReport:
    random = np.random.default_rng(0)
    asked = conditions(["blur", "margin"])
    ages = random.integers(5, 70, 40).astype(float)
    labels = SampleTable.from_columns(
        {
            "sample_id": [f"s{n}" for n in range(40)],
            "dataset": LONG,
            "path": "a.png",
            "age_years": ages,
            "age_kind": "real",
        }
    ).frame
    years = ages[:, np.newaxis] + random.normal(0, 3, (40, len(asked)))
    statuses = np.full(years.shape, "ok", dtype=object)
    estimates = StressEstimates("a model", labels, asked, years, statuses)
    return StressReport(stress(estimates, draws=0), estimates)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    table = predicted()
    made = {
        "evaluation": evaluate(table, draws=0, by=["gender", "dataset", "age_band"]),
        "gate": gate(table, legal=18, max_false_accept=0.2),
        "nist": nist(table, draws=0),
        "stress": stressed(),
    }
    return {name: report.save(folder / name) for name, report in made.items()}


@pytest.fixture(params=REPORTS)
def phone(
    request: pytest.FixtureRequest, chromium: Browser, pages: dict[str, Path]
) -> Iterator[Page]:
    """A report at the width of a phone, in the dark."""
    page = chromium.new_page(viewport={"width": 400, "height": 800}, color_scheme="dark")
    page.goto(pages[request.param].as_uri())
    yield page
    page.close()


def test_nothing_is_wider_than_a_phone_and_no_word_is_broken(phone: Page) -> None:
    assert phone.evaluate("document.documentElement.scrollWidth") == 400
    broken = phone.evaluate(
        """() => {
            const found = [];
            for (const cell of document.querySelectorAll('th, td')) {
                const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
                for (let node = walker.nextNode(); node; node = walker.nextNode()) {
                    for (const match of node.textContent.matchAll(/\\S+/g)) {
                        const range = document.createRange();
                        range.setStart(node, match.index);
                        range.setEnd(node, match.index + match[0].length);
                        const lines = new Set([...range.getClientRects()].map(r => r.top));
                        if (lines.size > 1) found.push(match[0]);
                    }
                }
            }
            return found;
        }"""
    )
    assert broken == []


def test_the_page_has_one_main_part_and_few_samples_stay_readable(phone: Page) -> None:
    assert phone.get_by_role("main").locator("h1").count() == 1
    faded = "cells => cells.filter(cell => getComputedStyle(cell).opacity !== '1').length"
    assert phone.locator("tr.few td").evaluate_all(faded) == 0


def test_links_within_the_page_lead_to_what_they_name(phone: Page) -> None:
    assert phone.locator("nav a").count() in (0, phone.locator("h2").count())
    lost = phone.evaluate(
        "() => [...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.hash.slice(1))"
        ".filter(id => document.getElementById(id) === null)"
    )
    assert lost == []
    contents = phone.locator("nav a")
    if contents.count():
        contents.last.click()
        heading = phone.locator(f"[id='{phone.url.partition('#')[2]}']")
        assert heading.inner_text() == contents.last.inner_text()
        phone.wait_for_function(
            "id => document.getElementById(id).getBoundingClientRect().top < innerHeight",
            arg=phone.url.partition("#")[2],
        )


def test_it_is_dark_where_the_reader_is_and_light_on_paper(phone: Page) -> None:
    ground = "() => getComputedStyle(document.body).backgroundColor"
    assert phone.evaluate(ground) == "rgb(20, 25, 31)"
    phone.emulate_media(media="print")
    assert phone.evaluate(ground) == "rgb(255, 255, 255)"
    assert phone.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_on_paper_no_table_is_cut(phone: Page) -> None:
    phone.emulate_media(media="print")
    phone.set_viewport_size({"width": 680, "height": 1000})  # A4 between its margins
    cut = phone.evaluate(
        "() => [...document.querySelectorAll('table')].filter(t => t.getBoundingClientRect().right"
        " > 680).map(t => t.innerText.slice(0, 200))"
    )
    assert cut == []
