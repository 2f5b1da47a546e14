import base64
import hashlib
import io

import pytest
from PIL import Image

from endpoints.server import Server
from vantage.endpoints import EndpointSettings, open_endpoint
from vantage.endpoints.messages import identity, most_tokens, prepare
from vantage.errors import PictureError
from vantage.pictures import Source


def encoded(kind, size=(6, 4), mode="RGB", **options):
    buffer = io.BytesIO()
    Image.new(mode, size, 200).save(buffer, kind, **options)
    return buffer.getvalue()


def shown(image):
    part = prepare([{"role": "user", "content": [{"type": "image", "image": image}]}])[0]["content"][0]
    head, _, content = part["image_url"]["url"].partition(";base64,")
    return head, base64.b64decode(content)


@pytest.mark.parametrize(("kind", "mime"), [("JPEG", "data:image/jpeg"), ("PNG", "data:image/png")])
def test_jpeg_and_png_are_sent_as_they_are(kind, mime, tmp_path):
    content = encoded(kind)
    path = tmp_path / "picture"
    path.write_bytes(content)
    for image in (content, path, str(path), Source(path)):
        assert shown(image) == (mime, content)


def test_other_pictures_are_sent_as_png_and_upright():
    turned = Image.Exif()
    turned[0x0112] = 6
    for image in (encoded("BMP"), Image.new("RGB", (6, 4)), encoded("PNG", mode="P")):
        head, content = shown(image)
        assert head == "data:image/png" and Image.open(io.BytesIO(content)).size == (6, 4)
    head, content = shown(encoded("JPEG", exif=turned))
    assert head == "data:image/png" and Image.open(io.BytesIO(content)).size == (4, 6)


def test_what_is_no_picture_is_an_error(tmp_path):
    for image in (b"text", tmp_path / "missing.png", encoded("PNG")[:20]):
        with pytest.raises(PictureError):
            shown(image)


def test_a_key_holds_the_hash_of_a_picture_and_not_the_picture():
    first, second = encoded("PNG"), encoded("PNG", size=(7, 4))

    def key(content):
        return identity(prepare([{"role": "user", "content": [{"type": "image", "image": content}]}]))

    assert key(first) == key(first) != key(second)
    digest = hashlib.sha256(base64.b64encode(first)).hexdigest()
    assert key(first)[0]["content"] == [{"type": "image", "mime": "data:image/png", "sha256": digest}]


def test_half_a_surrogate_pair_is_replaced_and_other_text_is_sent_as_it_is():
    text = "a\ud800b \x00 \u202e 😀 ä"
    sent = prepare([{"role": "user", "content": text}])[0]["content"]
    assert sent == "a\ufffdb \x00 \u202e 😀 ä"
    with Server() as server, open_endpoint(f"{server.url}#echo") as endpoint:
        assert endpoint.ask_sync([{"role": "user", "content": text}]).text == sent.upper()


def test_no_text_has_more_tokens_than_bytes():
    messages = prepare([{"role": "system", "content": "ä" * 100}, {"role": "user", "content": "x" * 50}])
    assert 250 <= most_tokens(messages) <= 400


def test_pictures_are_paid_once_and_kept_by_content(tmp_path):
    """The same picture as a file, as bytes, and again in a later run."""
    path = tmp_path / "a.png"
    path.write_bytes(encoded("PNG"))
    settings = {"model": "echo", "cache": tmp_path / "cache"}
    with Server() as server:
        for image in (path, path.read_bytes()):
            with open_endpoint(EndpointSettings(url=server.url, **settings)) as endpoint:
                question = [{"type": "text", "text": "what?"}, {"type": "image", "image": image}]
                assert endpoint.ask_sync([{"role": "user", "content": question}]).text == "PARTS"
        assert len(server.requests) == 1
        url = server.requests[0]["messages"][0]["content"][1]["image_url"]["url"]
        assert base64.b64decode(url.partition(",")[2]) == path.read_bytes()
