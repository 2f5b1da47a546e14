"""A model at a server is asked as one of this process is; its failures are told and never counted as wrong."""

import base64
import io
import json

import pytest
from PIL import Image

from endpoints.server import Server as Loopback
from rows import write_picture
from scripted import sample, say
from vantage.endpoints import EndpointSettings
from vantage.errors import EndpointError
from vantage.evaluation.measuring import Plan, measure
from vantage.evaluation.server import Server
from vantage.samples import PromptStyle, Sample

STYLE = PromptStyle(system="Look.", label_sources=True)
NAMES = ("a", "bb", "ccc", "dddd")  # of different lengths, which the pictures have as their shade
SAMPLES = [sample(name, "rgb", "infrared", truth="yes" if len(name) < 3 else "no") for name in NAMES]


class Model(Loopback):
    """Says yes at temperature 0; drawn, no, where the picture that comes first is the second one."""

    @staticmethod
    def text(body):
        return say("yes" if body["temperature"] == 0 else "no")


def at(server, **more) -> Server:
    where = EndpointSettings(url=server.url, model="echo", timeout=5, backoff=0.01, retries=1)
    return Server(where, style=STYLE, max_new_tokens=32, **more)


def pictures(body) -> list[bytes]:
    parts = [part for part in body["messages"][-1]["content"] if part["type"] == "image_url"]
    return [base64.b64decode(part["image_url"]["url"].partition(",")[2]) for part in parts]


def test_everything_is_asked_with_its_pictures():
    with Model() as server, at(server, temperature=0.7, top_p=0.9, top_k=20, seed=3) as speaker:
        speaker.check()
        found, rows = measure(speaker, SAMPLES, Plan(STYLE, k=2), batch_size=10)
    known = {name: figure.value for name, figure in found.figures.items()}
    assert (known["fused"], known["alone/rgb"], known["pass@1"], known["majority@2"]) == (0.5, 0.5, 0.5, 0.5)
    assert len(rows) == len(server.requests) == 4 * 5 and found.unanswered == 0
    greedy = [body for body in server.requests if body["temperature"] == 0]
    drawn = [body for body in server.requests if body["temperature"] != 0]
    assert (len(greedy), len(drawn)) == (12, 8)
    assert {(body["temperature"], body["top_p"], body["top_k"], body["max_tokens"]) for body in drawn} == {
        (0.7, 0.9, 20, 32)
    }
    assert len({body["seed"] for body in drawn}) == 8 and not any("top_k" in body for body in greedy)
    first = greedy[0]["messages"]
    assert first[0]["role"] == "system"
    assert [part.get("text") for part in first[1]["content"]] == ["rgb", None, "infrared", None, SAMPLES[0].question]
    shown = [
        tuple(Image.open(io.BytesIO(content)).getpixel((0, 0))[0] for content in pictures(body)) for body in greedy
    ]
    own = {one.id: tuple(one.picture(name).getpixel((0, 0))[0] for name in one.sources) for one in SAMPLES}
    rgb, infrared = own["a"]
    assert {(rgb, infrared), (rgb, rgb), (infrared, infrared)} <= set(shown)


def test_files_are_sent_as_they_are(tmp_path):
    file = write_picture(tmp_path / "a.png")
    with Model() as server, at(server) as speaker:
        measure(speaker, [Sample("a", "What?", {"page": file}, "yes", "answer")], Plan(STYLE))
        assert pictures(server.requests[0]) == [file.read_bytes()]


def test_what_fails_is_told_and_never_wrong(tmp_path):
    def once(number, body):
        return ("status", 400, [], "too long") if number == 0 else "answer"

    with Model(once) as server, at(server) as speaker:
        found, rows = measure(speaker, SAMPLES, Plan(STYLE), batch_size=99, keep=tmp_path / "a.jsonl")
        assert found.unanswered == 1 and sum("failed" in row for row in rows) == 1
        (failed,) = [row for row in rows if "failed" in row]
        assert "too long" in failed["failed"]
        asked = len(server.requests)
        again, _ = measure(speaker, SAMPLES, Plan(STYLE), keep=tmp_path / "a.jsonl")
        assert again.unanswered == 0 and len(server.requests) == asked + 1


@pytest.mark.parametrize("batch", [10, 80])  # of 80, the first 20 come in the very batch in which the server goes
def test_a_server_that_is_gone_ends_it_and_what_came_stays(tmp_path, batch):
    pictures = [Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(90)]
    many = [Sample(f"q{i}", "What?", {"page": each}, "yes", "answer") for i, each in enumerate(pictures)]

    def down(number, body):
        return "answer" if number < 20 else ("status", 400, [], "down")

    told = pytest.raises(EndpointError, match=r"32 questions one after the other.*down")
    with Model(down) as server, at(server) as speaker, told:
        measure(speaker, many, Plan(STYLE), batch_size=batch, keep=tmp_path / "a.jsonl")
    kept = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert sum("id" in line for line in kept) == 20


@pytest.mark.parametrize("text", ["", "</answer>" * 5000, "\ud800", "\x1b[2J" + "<answer>yes" * 9, "[" * 100_000])
def test_hostile_answers_are_wrong_and_nothing_else(text):
    class Hostile(Loopback):
        @staticmethod
        def text(body):
            return text

    with Hostile() as server, at(server) as speaker:
        found, _ = measure(speaker, SAMPLES[:2], Plan(STYLE, k=2))
    assert found.figures["fused"].value == 0.0 and found.figures["format"].value == 0.0 and found.unanswered == 0
