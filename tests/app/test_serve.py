"""What a page gives away and whom it answers, asked by programs instead of browsers."""

import json
import os
import secrets
import socket
import stat
from pathlib import Path

import pytest

from rows import write_picture
from spoken import way
from vantage.app import build, page, serve
from vantage.errors import ConfigError

gradio = pytest.importorskip("gradio", reason="gradio is not installed")
import httpx  # noqa: E402 - comes with gradio

WAY = way({"fused": "yes"}, worlds=("night",))


@pytest.fixture(scope="module")
def url(site) -> str:
    return site([WAY]).rstrip("/")


@pytest.fixture
def ask(url):
    """Ask as the page's own script does, with a value for the first picture; returns the last message."""
    settings = httpx.get(f"{url}/config").json()
    (number,) = [one["id"] for one in settings["dependencies"] if one["api_name"] == "ask"]

    def asked(picture, mapping="", session=None):
        session = session or secrets.token_hex(5)
        data = ["spoken", "Who?", False, "", picture, None, None, None, *"abcd", mapping, "", "", ""]
        body = {"data": data, "fn_index": number, "session_hash": session}
        assert httpx.post(f"{url}/gradio_api/queue/join", json=body).status_code == 200
        with httpx.stream("GET", f"{url}/gradio_api/queue/data?session_hash={session}", timeout=20) as stream:
            lines = [json.loads(line[5:]) for line in stream.iter_lines() if line.startswith("data:")]
        return next(line for line in lines if line["msg"] == "process_completed")

    return asked


def upload(url: str, name: str, content: bytes) -> httpx.Response:
    return httpx.post(f"{url}/gradio_api/upload", files={"files": (name, content)}, timeout=60)


def test_an_uploaded_picture_is_answered_about(url, ask, tmp_path):
    (path,) = upload(url, "a.png", write_picture(tmp_path / "a.png").read_bytes()).json()
    done = ask({"path": path, "meta": {"_type": "gradio.FileData"}})
    assert done["success"]


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}, {"meta": {}}], ids=str)
@pytest.mark.parametrize("kind", ["outside", "dots", "link"])
def test_a_path_that_was_not_uploaded_is_refused(url, ask, tmp_path, kind, meta):
    secret = write_picture(tmp_path / "secret.png")
    (mine,) = upload(url, "a.png", secret.read_bytes()).json()
    folder = Path(mine).parent
    path = str(secret)
    if kind == "dots":
        path = f"{folder}/{os.path.relpath(secret, folder)}"
    elif kind == "link":
        path = str(folder / f"{secrets.token_hex(4)}.png")
        Path(path).symlink_to(secret)
    done = ask({"path": path, **meta})
    assert not done["success"] and "v-card" not in json.dumps(done)


@pytest.mark.parametrize(
    "value", ["/etc/hostname", 7, {"url": "file:///etc/hostname"}, {"path": "\0"}, ["x"]], ids=repr
)
def test_a_picture_of_another_form_is_refused(ask, value):
    assert "v-card" not in json.dumps(ask(value))


def test_a_server_of_this_machine_is_not_asked_for_pictures(url, ask):
    done = ask({"path": f"{url}/config", "meta": {"_type": "gradio.FileData"}})
    assert not done["success"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../../../etc/passwd", "pyproject.toml", str(Path(page.__file__))])
def test_files_of_the_machine_are_not_served(url, path):
    for route in ("/gradio_api/file=", "/file=", "/gradio_api/static/", "/static/"):
        answer = httpx.get(f"{url}{route}{path}")
        assert answer.status_code in (403, 404), route


def test_uploads_lie_in_a_folder_of_this_user_alone_under_names_that_nobody_guesses(url, tmp_path):
    (path,) = upload(url, "a.png", write_picture(tmp_path / "a.png").read_bytes()).json()
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    assert Path(path).is_relative_to(folder)
    assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0
    assert httpx.get(f"{url}/gradio_api/file={path}").status_code == 200
    assert len(Path(path).parent.name) >= 32
    for guess in (folder, folder / "a.png", f"{folder}/{'0' * 64}/a.png", f"{folder}/*/a.png"):
        assert httpx.get(f"{url}/gradio_api/file={guess}").status_code in (403, 404)


def test_more_than_64_megabytes_are_refused(url):
    answer = upload(url, "a.png", bytes(65 * 2**20))
    assert answer.status_code == 413 and "exceeded" in answer.text


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}], ids=str)
@pytest.mark.parametrize("route", ["/", "/config", "/gradio_api/queue/join", "/gradio_api/upload"])
def test_another_page_gets_nothing(url, route, headers):
    for method in ("GET", "POST"):
        answer = httpx.request(method, f"{url}{route}", headers=headers)
        assert answer.status_code == 403 and "Refused" in answer.text


def test_no_function_of_the_page_is_offered_to_programs(url):
    offered = httpx.get(f"{url}/gradio_api/info").json()
    assert offered == {"named_endpoints": {}, "unnamed_endpoints": {}}


def test_a_taken_port_is_one_clear_message():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127.0.0.1:{port} cannot be listened on: another program may"):
            serve([WAY], port=port, block=False)


@pytest.mark.parametrize("ways", [[], [WAY, WAY]], ids=len)
def test_ways_are_told_apart_by_their_names(ways):
    with pytest.raises(ConfigError, match="ways of different names"):
        build(ways)


def test_what_was_dropped_is_deleted_with_the_page(tmp_path):
    opened, where = serve([WAY], block=False)
    try:
        (path,) = upload(where.rstrip("/"), "a.png", write_picture(tmp_path / "a.png", (31, 17)).read_bytes()).json()
        assert Path(path).is_file()
    finally:
        opened.close(verbose=False)
    assert not Path(path).exists()
