import json
from pathlib import Path

import pytest

from vantage.datasets.reading import field, inside, read_json, read_rows, text_field
from vantage.errors import DataError


@pytest.mark.parametrize(
    ("root", "name", "expected"),
    [
        ("data", "a.png", "data/a.png"),
        ("data", "x/../a.png", "data/a.png"),
        ("data/", "./x//a.png", "data/x/a.png"),
        (".", "a.png", "a.png"),
        ("..", "a.png", "../a.png"),
        ("/data", "/data/a.png", "/data/a.png"),
        ("/", "/etc/a.png", "/etc/a.png"),
        ("data", "..png", "data/..png"),
    ],
)
def test_paths_inside(root, name, expected):
    assert inside(Path(root), name, "row 1") == Path(expected)


@pytest.mark.parametrize(
    ("root", "name"),
    [
        ("data", "../a.png"),
        ("data", "x/../../a.png"),
        ("data", "/etc/passwd"),
        ("/data", "/database/a.png"),
        ("/data", "../database/a.png"),
        ("data", ""),
        ("data", " "),
        ("data", "a\0.png"),
    ],
)
def test_paths_that_leave(root, name):
    with pytest.raises(DataError, match=r"row 1: the path .* leaves its root"):
        inside(Path(root), name, "row 1")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.json", '[{"x": 1}, 2]', [("a.json, row 0", {"x": 1}), ("a.json, row 1", 2)]),
        ("a.json", '{"rows": [3]}', [("a.json, row 0", 3)]),
        ("a.jsonl", '{"x": 1}\n\n"\u2028"\n', [("a.jsonl:1", {"x": 1}), ("a.jsonl:3", "\u2028")]),
        ("a.json", '{"x": 1}\n{"x": 2}', [("a.json:1", {"x": 1}), ("a.json:2", {"x": 2})]),
    ],
)
def test_rows_of_every_layout(name, text, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text, encoding="utf-8")
    key = "rows" if '"rows"' in text else None
    assert list(read_rows(Path(name), key)) == expected


def test_a_line_that_is_no_json_hides_no_other(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('1\n{\n[[[[\n"' + "9" * 5000 + '"\n' + "9" * 5000 + "\n2")
    rows = [row for _, row in read_rows(file)]
    assert [type(row) for row in rows] == [int, DataError, DataError, str, DataError, int]
    assert str(rows[1]).startswith(f"{file}:2: not JSON")


@pytest.mark.parametrize("text", ["", "\n \n", "[]", '{"rows": []}', '{"rows": 3}'])
def test_no_rows(text, tmp_path):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(DataError, match="no rows"):
        list(read_rows(file, "rows"))


def test_deep_json_is_no_crash(tmp_path):
    file = tmp_path / "a.json"
    file.write_text("[" * 200_000)
    with pytest.raises(DataError, match="not JSON"):
        read_json(file)


def test_fields_are_of_their_kind():
    row = {"text": " a ", "number": 3, "flag": True, "none": None, "blank": " "}
    assert field(row, "number", int, "w") == 3
    assert field(row, "number", float, "w") == 3.0
    assert field(row, "gone", str, "w", "given") == field(row, "none", str, "w", "given") == "given"
    assert text_field(row, "text", "w") == "a"
    for call, message in [
        (lambda: field(row, "gone", str, "w"), "w: key 'gone' is missing; the row has text, number"),
        (lambda: field(row, "none", str, "w"), "w: key 'none' is a text, not None"),
        (lambda: field(row, "flag", int, "w"), "w: key 'flag' is an integer, not True"),
        (lambda: field([1], "x", int, "w"), "w: a row is an object, not list"),
        (lambda: text_field(row, "blank", "w"), "w: key 'blank' is blank"),
        (lambda: field({"x": "y" * 500}, "x", list, "w"), "w: key 'x' is a list, not 'yyyy"),
    ]:
        with pytest.raises(DataError) as caught:
            call()
        assert str(caught.value).startswith(message)
        assert len(str(caught.value)) < 200


def test_a_file_that_is_not_utf8(tmp_path):
    (tmp_path / "a.json").write_bytes(json.dumps("café", ensure_ascii=False).encode("latin-1"))
    with pytest.raises(DataError, match="not a readable UTF-8 file"):
        read_json(tmp_path / "a.json")


def test_a_line_that_is_not_utf8_hides_no_other(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"\xef\xbb\xbf1\r\n" + "café".encode("latin-1") + b"\n\n" + '"café"\n'.encode())
    (first, bad, last) = read_rows(file)
    assert (first, last) == ((f"{file}:1", 1), (f"{file}:4", "café"))
    assert str(bad[1]).startswith(f"{file}:2: not UTF-8")


def test_a_list_after_a_byte_order_mark(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf\n\n [1, 2]")
    assert [row for _, row in read_rows(tmp_path / "a.json")] == [1, 2]


@pytest.mark.parametrize("name", ["a", "a.json", "a.jsonl", "a.parquet"])
def test_a_folder_is_no_file(name, tmp_path):
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=rf"{name}: this is a folder; name a file"):
        list(read_rows(tmp_path / name))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"x": NaN}', "NaN is no JSON"),
        ("[-Infinity]", "-Infinity is no JSON"),
        ("1e999", "the number '1e999' is too large"),
        ('{"x": 1, "y": {"a": 1, "b": 2, "a": 1}}', "key 'a' stands twice in one object"),
    ],
)
def test_what_pythons_reader_takes_and_json_is_not(text, reason, tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text(f'{{"x": -1.5e3}}\n{text}\n')
    first, (where, bad) = read_rows(file)
    assert first[1] == {"x": -1500.0}
    assert str(bad) == f"{where}: not JSON ({reason})" == f"{file}:2: not JSON ({reason})"
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=reason):
        read_json(tmp_path / "a.json")


@pytest.fixture
def linked(tmp_path):
    """A root beside a secret, with links of every kind."""
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    for file in (tmp_path / "secret" / "a.png", root / "real" / "a.png"):
        file.touch()
    (root / "inner").symlink_to(root / "real")
    (root / "inner.png").symlink_to("real/a.png")
    (root / "outer").symlink_to(tmp_path / "secret")
    (root / "outer.png").symlink_to("../secret/a.png")
    (tmp_path / "way").symlink_to(root)
    return tmp_path


@pytest.mark.parametrize("root", ["root", "way"])
def test_links_stay_inside_too(linked, root, monkeypatch):
    for name in ("real/a.png", "inner/a.png", "inner.png", "new.png", "real/new/a.png", "."):
        assert inside(linked / root, name, "row 1") == linked / root / name
    for name in ("outer/a.png", "outer.png", "outer", "outer/new/a.png"):
        with pytest.raises(DataError, match=r"^row 1: .*leaves its root .* by a link; VANTAGE_FOLLOW_LINKS=1 allows"):
            inside(linked / root, name, "row 1")
    monkeypatch.setenv("VANTAGE_FOLLOW_LINKS", "1")
    assert inside(linked / root, "outer/a.png", "row 1") == linked / root / "outer" / "a.png"
    with pytest.raises(DataError, match="leaves its root"):
        inside(linked / root, "../secret/a.png", "row 1")


def test_a_link_that_became_a_folder_is_one(linked):
    with pytest.raises(DataError, match="by a link"):
        inside(linked / "root", "outer/a.png", "row 1")
    (linked / "root" / "outer").unlink()
    (linked / "root" / "outer").mkdir()
    assert inside(linked / "root", "outer/a.png", "row 1").parent.name == "outer"


def test_a_name_that_no_file_system_takes():
    with pytest.raises(DataError, match=r"row 1: the path .* is no name of a file"):
        inside(Path("data"), "\ud800/a.png", "row 1")
