"""What the service answers, from a real one."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agelens.inference.estimator import AgeEstimator
from agelens.service.app import PAGE

ROOT = Path(__file__).parents[3]
Files = list[tuple[str, tuple[str, bytes]]]


def test_rows_are_those_of_the_library_in_order_and_broken_ones_too(
    service: Any, files: Files, estimator: AgeEstimator, astronaut_png: Path
) -> None:
    content = astronaut_png.read_bytes()
    sent = [*files, ("files", ("half.png", content[: len(content) // 2])), *files]
    sent.insert(1, ("files", ("letter.txt", b"no picture")))
    answer = service.client.post("/v1/estimate", files=sent)
    assert answer.status_code == 200
    rows = answer.json()["results"]
    named = [row["photo"] for row in rows]
    assert named == ["astronaut.png", "letter.txt", "half.png", "astronaut.png"]
    assert [row["status"] for row in rows] == ["ok", "unreadable", "unreadable", "ok"]
    expected = estimator.estimate(astronaut_png).to_json() | {"photo": "astronaut.png"}
    assert rows[0] == rows[3] == expected
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


def test_options_add_what_they_name(service: Any, files: Files, astronaut_png: Path) -> None:
    data = {"gender": "true", "distribution": "1", "draw": "yes", "model": "agelens-1"}
    row = service.client.post("/v1/estimate", files=files, data=data).json()["results"][0]
    with_gender = AgeEstimator(gender=True).estimate(astronaut_png)
    expected = with_gender.to_json(distribution=True) | {"photo": "astronaut.png"}
    drawn = Image.open(io.BytesIO(base64.b64decode(row.pop("drawn_jpeg"))))
    assert row == expected
    assert (drawn.format, drawn.size) == ("JPEG", (512, 512))


@pytest.mark.parametrize(
    ("ages", "decision"), [((18, 23), "pass"), ((18, 30), "refer"), ((30, 32), "fail")]
)
def test_a_gate_decides_by_both_ages(
    service: Any, files: Files, ages: tuple[int, int], decision: str
) -> None:
    data = {"legal_age": ages[0], "challenge_age": ages[1]}
    answer = service.client.post("/v1/gate", files=files, data=data).json()
    (row,) = answer["results"]
    assert 23 < row["faces"][0]["estimate_years"] < 30
    assert row["decision"] == row["faces"][0]["decision"] == decision
    assert (answer["legal_age"], answer["challenge_age"]) == ages


def test_a_gate_refers_a_photo_without_one_face(service: Any) -> None:
    grey = io.BytesIO()
    Image.new("RGB", (200, 200), "grey").save(grey, "PNG")
    sent = [("files", ("grey.png", grey.getvalue()))]
    (row,) = service.client.post("/v1/gate", files=sent).json()["results"]
    assert (row["status"], row["faces"], row["decision"]) == ("no_face", [], "refer")


def test_what_there_is_is_listed(service: Any) -> None:
    get = service.client.get
    (model,) = get("/v1/models").json()["models"]
    assert (model["name"], model["default"], model["calibrated"]) == ("agelens-1", True, True)
    detectors = {row["name"]: row["in_use"] for row in get("/v1/detectors").json()["detectors"]}
    assert detectors == {"retinaface": True, "mtcnn": False, "dlib": False}
    info = get("/v1/info").json()
    assert (info["model"], info["limits"]["files"], info["verifies"]) == ("agelens-1", 16, False)
    assert get("/v2/health/live").json() == {"live": True}
    assert get("/v2/health/ready").json() == {"ready": True}


def test_the_page_is_served_with_its_own_policy_and_nothing_beside_it(service: Any) -> None:
    page = service.client.get("/")
    assert page.text == (PAGE / "index.html").read_text(encoding="utf-8")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    again = service.client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for path in ("/%2e%2e/settings.py", "/page/app.js", "/docs", "/..%2fapp.js"):
        assert service.client.get(path).status_code == 404, path


def test_every_answer_has_the_usual_headers(service: Any, files: Files) -> None:
    answers = [
        service.client.post("/v1/estimate", files=files),
        service.client.get("/nowhere"),
        service.client.delete("/v1/estimate"),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 405]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers
    for answer in answers[1:]:
        error = answer.json()["error"]
        assert sorted(error) == ["code", "message", "request_id"]
        assert error["request_id"] == answer.headers["x-request-id"]


def test_verify_tells_one_person_from_another(start: Any, files: Files, astronaut: Any) -> None:
    mirrored = io.BytesIO()
    Image.fromarray(astronaut[:, ::-1]).save(mirrored, "JPEG", quality=90)
    content = files[0][1][1]
    with start("--verify") as service:
        two = {"first": ("a.png", content), "second": ("b.jpg", mirrored.getvalue())}
        verdict = service.client.post("/v1/verify", files=two).json()
        assert verdict["same_person"] is True
        assert (verdict["first"]["photo"], verdict["second"]["photo"]) == ("a.png", "b.jpg")
        two["second"] = ("grey.png", grey_png())
        refused = service.client.post("/v1/verify", files=two)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "no_face")
        del two["second"]
        assert service.client.post("/v1/verify", files=two).status_code == 422


def grey_png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(file, "PNG")
    return file.getvalue()


def test_verify_is_off_unless_it_is_asked_for(service: Any, files: Files) -> None:
    two = {"first": files[0][1], "second": files[0][1]}
    refused = service.client.post("/v1/verify", files=two)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_verifying")


def test_the_openapi_document_is_the_one_in_docs(agelens: Callable[..., Any], service: Any) -> None:
    printed = agelens("serve", "--print-openapi").out
    kept = (ROOT / "docs" / "openapi.json").read_text(encoding="utf-8")
    assert printed == kept, "agelens serve --print-openapi > docs/openapi.json"
    assert service.client.get("/openapi.json").json() == json.loads(kept)
