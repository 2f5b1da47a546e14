import pytest

from exam_rows import write_parquet
from rows import write_picture
from vantage.datasets import DataSpec, exams
from vantage.errors import ConfigError, DataError


def spec(path, **more):
    return DataSpec(name="mathvision", path=path, **more)


def test_a_file_is_the_split_that_it_is_named_after(tmp_path):
    splits = ("testmini", "test")
    for name, split in {"testmini_30.jsonl": "testmini", "test-0.parquet": "test", "mine.jsonl": "testmini"}.items():
        file = tmp_path / name
        file.touch()
        assert exams.split_of(spec(file), splits) == split
    with pytest.raises(ConfigError, match=r"testmini_30\.jsonl is the file of split 'testmini', not of 'test'"):
        exams.split_of(spec(tmp_path / "testmini_30.jsonl", split="test"), splits)
    with pytest.raises(ConfigError, match="no split 'train'; it has testmini, test"):
        exams.split_of(spec(tmp_path, split="train"), splits)


def test_a_folder_is_read_as_the_hub_or_a_repository_lays_it_out(tmp_path):
    def read(split):
        return [row for _, row in exams.split_rows(tmp_path, split)]

    with pytest.raises(ConfigError, match=r"no rows of split 'test'; looked for data/test-\*\.parquet, .*test\.json"):
        read("test")
    (tmp_path / "test.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    write_parquet(tmp_path / "data" / "testmini-00000-of-00001.parquet", {"n": 3})
    assert read("test") == [{"n": 1}, {"n": 2}]
    for part in (1, 0):
        write_parquet(tmp_path / "data" / f"test-0000{part}-of-00002.parquet", {"n": 4 + part})
    assert read("test") == [{"n": 4}, {"n": 5}]
    assert [row for _, row in exams.split_rows(tmp_path / "test.jsonl", "testmini")] == [{"n": 1}, {"n": 2}]


def test_options_are_listed_and_judged_by_letter():
    assert exams.multiple_choice("Q", ["one", "two"], "B") == ("Q\nA. one\nB. two", "B")


@pytest.mark.parametrize("options", [["A", "B", "C"], ["(A)", "(B)", "(C)"], ["a", "b", "c"]])
def test_options_that_only_say_their_letter_stand_in_one_line(options):
    assert exams.multiple_choice("Q", options, "C") == ("Q\nOptions: A, B, C", "C")


def test_an_option_that_reads_like_another_letter_makes_letters_unsafe():
    # The answer "A" would be a letter to one reader and an option's text to another.
    assert exams.multiple_choice("Q", ["B", "A"], "A") == ("Q\nOptions: B, A", "B")
    assert exams.multiple_choice("Q", ["AB", "A or B"], "A") == ("Q\nA. AB\nB. A or B", "A")


def test_an_option_that_stands_there_twice_has_two_letters():
    assert exams.multiple_choice("Q", ["5", "6", "5"], "C") == ("Q\nA. 5\nB. 6\nC. 5", ["A", "C"])


def test_options_are_texts_of_one_line_without_marks():
    assert exams.choices(["a\n b", "<image2>"], "w", "options") == ["a b", "picture 2"]
    assert exams.choices(None, "w", "options") == []
    for value in ("AB", [1], ["a", " "], ["x"] * 27):
        with pytest.raises(DataError, match=r"^w: key 'options'"):
            exams.choices(value, "w", "options")


def test_right_options_are_found_by_letter_or_text():
    assert exams.right_letter(["x", "y"], "(b)", "w") == "B"
    assert exams.letter_of(["x y", "z"], "x  y", "w") == "A"
    with pytest.raises(DataError, match=r"^w: the answer 'C' is none of the letters A, B"):
        exams.right_letter(["x", "y"], "C", "w")
    with pytest.raises(DataError, match=r"^w: the answer 'q' is none of the options 'x'"):
        exams.letter_of(["x"], "q", "w")


@pytest.mark.parametrize(
    ("folder", "place"),
    [
        ("a", ""),
        ("a", "images"),
        ("a", "data"),
        ("data", ""),
        ("data", ".."),
        ("data", "../images"),
        ("data", "images"),
    ],
)
def test_pictures_lie_beside_the_rows(tmp_path, folder, place):
    file = tmp_path / "release" / folder / "test.jsonl"
    file.parent.mkdir(parents=True)
    file.touch()
    made = write_picture(file.parent / place / "p" / "1.png")
    assert exams.picture("p/1.png", spec(file), "w", "r").image.samefile(made)
    assert exams.picture("p/1.png", spec(file.parent), "w", "r").image.samefile(made)


def test_a_manifest_stays_in_its_folder(tmp_path):
    """The folder around it is searched where releases have it so, and nowhere else."""
    write_picture(tmp_path / "1.png")
    (tmp_path / "mine").mkdir()
    file = tmp_path / "mine" / "test.jsonl"
    file.touch()
    with pytest.raises(DataError, match=r"^w: no such picture; looked for \S*mine/1\.png"):
        exams.picture("1.png", spec(file), "w", "r")
    assert exams.picture("1.png", spec(file, root=tmp_path), "w", "r").image == tmp_path / "1.png"
    with pytest.raises(DataError, match=r"^w: the path .* leaves its root"):
        exams.picture(str(tmp_path / "1.png"), spec(file), "w", "r")


def test_a_root_is_the_only_place_besides_what_it_holds(tmp_path):
    write_picture(tmp_path / "1.png")
    (tmp_path / "root").mkdir()
    with pytest.raises(DataError, match=r"^w: no such picture; looked for \S*root/1\.png, \S*root/images/1\.png, "):
        exams.picture("1.png", spec(tmp_path, root=tmp_path / "root"), "w", "r")
    with pytest.raises(DataError, match=r"^w: .{1,300}: File name too long$"):
        exams.picture("x" * 100_000, spec(tmp_path), "w", "r")
    for name in ("../1.png", "/etc/passwd"):
        with pytest.raises(DataError, match=r"^w: the path .* leaves its root"):
            exams.picture(name, spec(tmp_path, root=tmp_path / "root"), "w", "r")


@pytest.mark.parametrize("value", [None, "", 3, {}, {"bytes": None, "path": None}])
def test_what_is_no_picture_is_an_error(tmp_path, value):
    with pytest.raises(DataError, match=r"^w: a picture is a path or an object with bytes and path"):
        exams.picture(value, spec(tmp_path), "w", "r")


def test_several_pictures_are_numbered(tmp_path):
    several = exams.pictures([{"bytes": b"1", "path": "a.png"}, {"bytes": b"2"}], spec(tmp_path), "w", "picture")
    assert {name: (source.image, source.ref) for name, source in several.items()} == {
        "picture_1": (b"1", "a.png"),
        "picture_2": (b"2", "w, picture_2"),
    }
    assert list(exams.pictures([{"bytes": b"1"}], spec(tmp_path), "w", "picture")) == ["picture"]
    with pytest.raises(DataError, match=r"^w: a row needs a list of at least one picture"):
        exams.pictures([], spec(tmp_path), "w", "picture")


def test_tasks_keep_rows_and_an_unknown_one_is_an_error(tmp_path):
    bad = DataError("w3: not JSON")
    found = [("w1", {"kind": "Text Lite"}), ("w2", {"kind": "Vision Only"}), ("w3", bad)]

    def kept(*tasks):
        asked = spec(tmp_path, tasks=tasks) if tasks else spec(tmp_path)
        return [where for where, _ in exams.of_tasks(found, asked, lambda row: [row.get("kind")])]

    assert kept() == ["w1", "w2", "w3"]
    assert kept("vision-only") == ["w2", "w3"]
    assert kept("TEXT_LITE", "vision only") == ["w1", "w2", "w3"]
    with pytest.raises(ConfigError, match="no row is of kind 'nothing'; there are Text Lite, Vision Only"):
        kept("text-lite", "nothing")


def test_a_row_whose_kind_cannot_be_read_is_no_other_kind(tmp_path):
    found = [("w1", {"kind": "a"}), ("w2", {}), ("w3", {"kind": 3}), ("w4", {"kind": "b"})]
    kept = list(exams.of_tasks(found, spec(tmp_path, tasks=("a",)), lambda row: [row.get("kind")]))
    assert [where for where, _ in kept] == ["w1", "w2", "w3"]
    assert [str(row) for _, row in kept[1:]] == [
        f"{where}: tasks=a keeps kinds of question, and this row's cannot be read" for where in ("w2", "w3")
    ]
