"""JSON lines and CSV: columns by a map, ids unique in the world, broken rows one by one."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from archive_files import PACKED, posts, read, read_bytes, reasons
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madang.posts import Media
from madang.posts.readers import UnreadableFile, open_reader
from madang.posts.readers.lines import MAX_LINE_BYTES, line_blocks
from madang.posts.reading import Removed, Skipped, Written

SAME_PATH = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


def jsonl(*rows: object) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


def table(*rows: list[object], delimiter: str = ",", end: str = "\n") -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, lineterminator=end).writerows(rows)
    return buffer.getvalue().encode()


FULL = {
    "id": "7",
    "source": "Forum",
    "author": "하늘",
    "author_name": "  김  하늘 ",
    "created_at": "2024-11-09T21:14:18+09:00",
    "edited_at": "2024-11-10",
    "title": "  배 시간\n변경 ",
    "text": "내일은 여덟 시에 떠납니다.\r\n꼭 확인하세요.",
    "lang": "ko",
    "reply_to": 3.0,
    "thread": "t1",
    "quote_of": "https://village.example/1",
    "tags": ["#배", "시간표", "배", 5],
    "visibility": "unlisted",
    "sensitive": True,
    "url": "https://forum.example/7",
    "media": [{"kind": "image", "url": "https://forum.example/7.png", "alt": "시간표"}, "x", {}],
    "metrics": {"likes": 3, "score": 1.5, "seen": True},
    "consent": {"train": False, "search": True, "export": "perhaps", "other": True},
    "unknown": {"ignored": [1]},
}


def test_every_field_of_a_row(tmp_path):
    (record,) = read_bytes(tmp_path / "a.jsonl", jsonl(FULL))
    assert isinstance(record, Written)
    post = record.post
    assert post.id == "forum:7"
    assert post.source == "Forum"
    assert post.author == "하늘"
    assert post.author_name == "김 하늘"
    assert post.created_at == datetime(2024, 11, 9, 12, 14, 18, tzinfo=UTC)
    assert post.edited_at == datetime(2024, 11, 10, tzinfo=UTC)
    assert post.text == "배 시간 변경\n내일은 여덟 시에 떠납니다.\n꼭 확인하세요."
    assert post.lang == "ko"
    assert post.reply_to == "forum:3"
    assert post.thread == "forum:t1"
    assert post.quote_of == "https://village.example/1"
    assert post.tags == ("배", "시간표")
    assert post.visibility == "unlisted"
    assert post.sensitive
    assert post.url == "https://forum.example/7"
    assert post.media == (Media("image", "https://forum.example/7.png", "시간표"),)
    assert post.metrics == {"likes": 3}
    assert record.signals == {"search": True, "train": False, "export": False}
    assert not record.own
    assert (record.file, record.row) == (str(tmp_path / "a.jsonl"), 1)


def test_the_same_row_as_csv_gives_the_same_post(tmp_path):
    cells = [
        json.dumps(value) if isinstance(value, (list, dict)) else str(value)
        for value in FULL.values()
    ]
    (as_json,) = read_bytes(tmp_path / "a", jsonl(FULL))
    (as_csv,) = read_bytes(tmp_path / "a", table(list(FULL), cells))
    assert as_csv == as_json


def test_an_array_gives_the_same_posts_as_lines(tmp_path):
    rows = [{"id": number, "text": f"글 {number}"} for number in range(50)]
    lines = read_bytes(tmp_path / "a", jsonl(*rows))
    for indent in (None, 2):
        array = read_bytes(tmp_path / "a", json.dumps(rows, indent=indent).encode())
        assert array == lines
    assert len(posts(lines)) == 50


@pytest.mark.parametrize("how", list(PACKED))
@pytest.mark.parametrize("name", ["a.csv", "b.jsonl", "c", "d.zip"])
def test_formats_are_told_by_content(tmp_path, how, name):
    for data, kind in (
        (jsonl({"id": 1, "text": "글"}), "jsonl"),
        (b'[{"id": 1, "text": "\xea\xb8\x80"}]', "jsonl"),
        (table(["id", "text"], [1, "글"]), "csv"),
    ):
        path = tmp_path / name
        path.write_bytes(PACKED[how](data))
        reader = open_reader(path, source="s")
        assert reader.format == kind
        assert [(post.id, post.text) for post in posts(reader)] == [("s:1", "글")]


def test_columns_are_mapped(tmp_path):
    columns = {"text": "review", "id": "review_id", "author": "who"}
    rows = [{"review_id": 5, "review": "좋아요", "who": 12, "text": "not this", "id": 9}]
    expected = ("naver:5", "좋아요", "12", "naver")
    for data in (jsonl(*rows), table(list(rows[0]), list(rows[0].values()))):
        (post,) = posts(read_bytes(tmp_path / "a", data, source="naver", columns=columns))
        assert (post.id, post.text, post.author, post.source) == expected


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": "nothing"}, r"no column 'nothing' for text; its columns are 'id', 'body'"),
        ({"words": "body"}, r"'words' is not a field of posts; the fields are id, source"),
        (None, r"no column for the text; name it with --map text=COLUMN.*'id', 'body'"),
    ],
)
def test_a_wrong_map_names_the_columns_that_there_are(tmp_path, columns, message):
    for data in (jsonl({"id": 1, "body": "글"}), table(["id", "body"], [1, "글"])):
        with pytest.raises(UnreadableFile, match=message):
            read_bytes(tmp_path / "a", data, columns=columns)


def test_sources_make_ids_unique(tmp_path):
    rows = jsonl(
        {"id": 1, "text": "a", "source": "My Forum"},
        {"id": "x:1", "text": "a"},
        {"id": 1, "text": "a", "reply_to": "x:9"},
        {"id": 2, "text": "a", "reply_to": 1, "source": "other"},
    )
    path = tmp_path / "2024 reviews.jsonl.gz"
    assert [(post.id, post.source, post.reply_to) for post in posts(read_bytes(path, rows))] == [
        ("my-forum:1", "My Forum", None),
        ("x:1", "file-2024-reviews", None),
        ("file-2024-reviews:1", "file-2024-reviews", "x:9"),
        ("other:2", "other", "other:1"),
    ]
    named = posts(read_bytes(path, rows, source="Naver"))
    assert [(post.id, post.source, post.reply_to) for post in named] == [
        ("naver:1", "My Forum", None),
        ("x:1", "naver", None),
        ("naver:1", "naver", "x:9"),
        ("naver:2", "other", "naver:1"),
    ]


@pytest.mark.parametrize("source", ["", "1a", "a b", "a:b", "-a", "a/b"])
def test_a_source_that_cannot_stand_in_an_id_is_refused(tmp_path, source):
    with pytest.raises(UnreadableFile, match="must begin with a letter"):
        read_bytes(tmp_path / "a", jsonl({"text": "a"}), source=source)


def test_a_korean_source_is_a_source(tmp_path):
    (post,) = posts(read_bytes(tmp_path / "a", jsonl({"id": 1, "text": "글"}), source="리뷰"))
    assert (post.id, post.source) == ("리뷰:1", "리뷰")


def test_ids_that_a_spreadsheet_damaged_are_rejected_and_never_merged(tmp_path):
    rows = [["id", "text"], *([f"5.7030{n}E+17", f"글 {n}"] for n in range(5)), ["570306", "글"]]
    for delimiter in ",;\t|":
        records = read_bytes(tmp_path / "a", table(*rows, delimiter=delimiter), source="s")
        assert reasons(records) == {"invalid_id": 5}
        assert [post.id for post in posts(records)] == ["s:570306"]
        assert [record.row for record in records] == [1, 2, 3, 4, 5, 6]
        assert "spreadsheet" in records[0].detail


def test_a_damaged_link_is_dropped_and_the_post_kept(tmp_path):
    rows = table(["id", "text", "reply_to"], [1, "a", "5.7E+17"], [2, "b", "3.0"], [3, "c", ""])
    found = posts(read_bytes(tmp_path / "a", rows, source="s"))
    assert [post.reply_to for post in found] == [None, "s:3", None]


def test_rows_without_ids_get_the_same_id_each_time(tmp_path):
    rows = [{"text": "같은 글", "author": "가"}, {"text": "같은 글", "author": "나"}, {"text": "b"}]
    first = posts(read_bytes(tmp_path / "a", jsonl(*rows)))
    again = posts(read_bytes(tmp_path / "a", jsonl(*reversed(rows))))
    assert {post.id for post in first} == {post.id for post in again}
    assert len({post.id for post in first}) == 3
    assert all(post.id.startswith("a:row-") and len(post.id) == 22 for post in first)


def test_an_id_that_is_missing_where_others_have_one_is_rejected(tmp_path):
    records = read_bytes(
        tmp_path / "a", jsonl({"id": 1, "text": "a"}, {"text": "b"}, {"id": "", "text": "c"})
    )
    assert reasons(records) == {"invalid_id": 2}
    records = read_bytes(tmp_path / "a", table(["id", "text"], [1, "a"], ["", "b"]))
    assert reasons(records) == {"invalid_id": 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"visibility": "private"}, "private"),
        ({"visibility": "direct"}, "private"),
        ({"visibility": "followers"}, "private"),
        ({"visibility": 0}, "private"),
        ({"visibility": "direct", "id": None, "text": None}, "private"),
        ({"id": 1.5}, "invalid_id"),
        ({"created_at": "soon"}, "invalid_time"),
        ({"created_at": "1869-01-01"}, "invalid_time"),
        ({"created_at": {}}, "invalid_time"),
        ({"text": None}, "no_text"),
        ({"text": " \n\x00 "}, "no_text"),
        ({"text": 5}, "malformed"),
        ({"text": ["a"]}, "malformed"),
        ({"text": "가" * 100_001}, "malformed"),
        ({"author": {"name": "a"}}, "malformed"),
        ({"author": "a" * 501}, "malformed"),
        ({"deleted": "perhaps"}, "malformed"),
        ({"consent": [1]}, "malformed"),
        ({"consent": "yes"}, "malformed"),
    ],
)
def test_rows_that_are_not_stored(tmp_path, row, reason):
    secret = "비밀 이야기"
    data = jsonl({"id": 1, "text": "a"}, {"id": 2, "text": secret} | row, {"id": 3, "text": "c"})
    records = read_bytes(tmp_path / "a", data)
    assert [type(record) for record in records] == [Written, Skipped, Written]
    assert records[1].reason == reason
    assert records[1].row == 2
    assert records[1].detail
    assert secret not in records[1].detail


@pytest.mark.parametrize(
    "row",
    [
        {"created_at": None},
        {"edited_at": "soon"},
        {"visibility": ""},
        {"visibility": " Public "},
        {"reply_to": {}},
        {"tags": 5},
        {"media": "no"},
        {"metrics": "no"},
        {"url": "javascript:alert(1)"},
        {"url": 5},
        {"lang": 5},
        {"consent": ""},
        {"sensitive": ""},
        {"author": 1.5},
        {"source": 5},
    ],
)
def test_what_is_odd_beside_the_text_does_not_lose_the_post(tmp_path, row):
    (post,) = posts(read_bytes(tmp_path / "a", jsonl({"id": 1, "text": "글"} | row)))
    assert (post.id, post.text, post.visibility) == ("a:1", "글", "public")
    assert post.url is None
    post.canonical()


def test_deletions_are_reported(tmp_path):
    rows = [
        {"id": 1, "deleted": True},
        {"id": 2, "text": "b", "deleted": "0"},
        {"id": 3, "deleted": "yes"},
    ]
    records = read_bytes(tmp_path / "a", jsonl({"id": 0, "text": "a"}, *rows))
    file = str(tmp_path / "a")
    assert records[1] == Removed("a:1", file, 2)
    assert isinstance(records[2], Written)
    assert records[3] == Removed("a:3", file, 4)
    records = read_bytes(tmp_path / "a", jsonl({"text": "a"}, {"text": "b", "deleted": True}))
    assert reasons(records) == {"invalid_id": 1}


def test_nan_and_half_characters_are_tolerated(tmp_path):
    data = b'{"id": 1, "text": "a\\ud83d", "reply_to": NaN, "created_at": NaN}\n'
    data += (
        b'{"id": 2, "text": "\\ud83d\\ude00", "author": "\\udc00b", "metrics": {"\\ud800": 1}}\n'
    )
    one, two = posts(read_bytes(tmp_path / "a", data))
    assert (one.text, one.reply_to, one.created_at) == ("a", None, None)
    assert (two.text, two.author) == ("😀", "b")
    two.canonical()


def test_broken_lines_are_skipped_one_by_one(tmp_path):
    lines = [
        b'{"id": 1, "text": "a"}',
        b'{"id": 2, "text": "b"',
        b"",
        b"   ",
        b'["a list"]',
        b"null",
        b'{"id": 6, "text": "\xff"}',
        b"[" * 5000,
        b'{"id": 8, "text": ' + b'"x" ' * 2 + b"}",
        b'{"id": 9, "text": "i"}',
    ]
    records = read_bytes(tmp_path / "a", b"\n".join(lines) + b"\n")
    assert reasons(records) == {"malformed": 6}
    assert [post.id for post in posts(records)] == ["a:1", "a:9"]
    assert [record.row for record in records] == [1, 2, 5, 6, 7, 8, 9, 10]
    assert "UTF-8" in records[4].detail


def test_a_line_without_end_is_one_row(tmp_path):
    long = b'{"id": 2, "text": "' + b"a" * (MAX_LINE_BYTES + 10) + b'"}'
    data = b'{"id": 1, "text": "a"}\n' + long + b'\n{"id": 3, "text": "c"}\n' + long
    records = read_bytes(tmp_path / "a", data)
    assert [record.row for record in records] == [1, 2, 3, 4]
    assert reasons(records) == {"malformed": 2}


@given(
    st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=30),
    st.integers(1, 7),
)
def test_lines_come_out_as_they_went_in(lines, size):
    data = b"\n".join(lines)
    chunks = (data[at : at + size] for at in range(0, len(data), size))
    found = [line for block, _ in line_blocks(chunks) for line in block]
    assert found == (lines[:-1] if lines and not lines[-1] else lines)


def test_rows_cut_by_the_end_of_the_file(tmp_path):
    rows = [{"id": number, "text": f"글 {number}"} for number in range(1, 8)]
    for data in (jsonl(*rows), json.dumps(rows, indent=1).encode()):
        for cut in range(40, len(data)):
            path = tmp_path / "a"
            path.write_bytes(data[:cut])
            reader = open_reader(path)
            records = list(reader)
            whole = posts(records)
            assert [post.id for post in whole] == [f"a:{n}" for n in range(1, len(whole) + 1)]
            assert len(records) - len(whole) <= 1
            if len(records) > len(whole):
                assert reader.truncated == "a ends early; imported what is whole"
                assert records[-1].reason == "malformed"


# Tables.


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_delimiters_line_ends_and_marks(tmp_path, delimiter, end, mark):
    text = 'a, b; c | d\tand "quoted"\nsecond line'
    rows = [["id", "text", "author"], ["1", text, "가"], ["2", "나, 다", ""], ["3", "x", "y"]]
    data = mark + table(*rows, delimiter=delimiter, end=end)
    found = posts(read_bytes(tmp_path / "a", data))
    assert [(post.id, post.text, post.author) for post in found] == [
        ("a:1", text, "가"),
        ("a:2", "나, 다", None),
        ("a:3", "x", "y"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_with_a_mark(tmp_path, encoding):
    rows = "id,text\n1,안녕하세요\n2,\U0001f600\n"
    found = posts(read_bytes(tmp_path / "a", rows.encode(encoding)))
    assert [post.text for post in found] == ["안녕하세요", "\U0001f600"]
    lines = '{"id": 1, "text": "안녕"}\n'.encode(encoding)
    assert posts(read_bytes(tmp_path / "a", lines))[0].text == "안녕"


def test_other_encodings_are_named(tmp_path):
    with pytest.raises(UnreadableFile, match=r"CP949.*iconv -f cp949 -t utf-8"):
        read_bytes(tmp_path / "a", "id,text\n1,안녕하세요 여러분\n".encode("cp949"))
    with pytest.raises(UnreadableFile, match="iconv -f latin1"):
        read_bytes(tmp_path / "a", "id,text\n1,café und Übung\n".encode("latin1"))


def test_one_broken_character_costs_one_row(tmp_path):
    data = "id,text\n1,안녕\n2,나쁜XX글\n3,좋은 글\n".encode().replace(b"XX", b"\xff")
    records = read_bytes(tmp_path / "a", data)
    assert [type(record) for record in records] == [Written, Skipped, Written]
    assert records[1].detail == "the row is not UTF-8"


def test_ragged_rows_are_skipped_one_by_one(tmp_path):
    records = read_bytes(tmp_path / "a", b"id,text\n1,a\n2\n\n3,c,d\n4,d\n")
    assert [record.row for record in records] == [1, 2, 3, 4]
    assert reasons(records) == {"malformed": 2}
    assert records[1].detail == "the row has 1 cells where the header has 2"


def test_a_lost_quote_costs_its_own_row(tmp_path):
    rows = [b"id,text\n", b'1,"lost quote\n', *(b"%d,text %d\n" % (n, n) for n in range(2, 60))]
    records = read_bytes(tmp_path / "a", b"".join(rows))
    assert reasons(records) == {"malformed": 1}
    assert [post.id for post in posts(records)] == [f"a:{n}" for n in range(2, 60)]


def test_a_lost_quote_in_a_long_table_costs_its_own_row(tmp_path):
    rows = [
        b"id,text\n",
        b'1,"lost quote\n',
        *(b"%d,%s\n" % (n, b"x" * 90) for n in range(2, 15000)),
    ]
    records = read_bytes(tmp_path / "a", b"".join(rows))
    assert reasons(records) == {"malformed": 1}
    assert len(posts(records)) == 14998


def test_a_post_cut_by_the_end_is_one_row(tmp_path):
    data = b'id,text\n1,whole\n2,"cut\nin the middle\nof three li'
    path = tmp_path / "a"
    path.write_bytes(data)
    reader = open_reader(path)
    records = list(reader)
    assert [type(record) for record in records] == [Written, Skipped]
    assert reader.truncated == "a ends early; imported what is whole"


@pytest.mark.parametrize("how", ["plain", "gz"])
def test_a_table_cut_anywhere_gives_what_is_whole(tmp_path, how):
    rows = [[n, f"글 {n}, {'가나다 ' * n}", "하늘"] for n in range(1, 12)]
    data = table(["id", "text", "author"], *rows)
    whole = posts(read_bytes(tmp_path / "a", data))
    packed = PACKED[how](data)
    for cut in range(len(packed) // 2, len(packed) - 12, 3):
        path = tmp_path / "a"
        path.write_bytes(packed[:cut])
        reader = open_reader(path)
        records = list(reader)
        found = posts(records)
        assert len(records) - len(found) <= 1
        if how == "gz":
            assert reader.truncated == "a ends early; imported what is whole"
            assert found == whole[: len(found)]
        elif len(records) > len(found):
            assert reader.truncated == "a ends early; imported what is whole"


def test_a_lost_quote_before_strange_lines_costs_its_own_row(tmp_path):
    records = read_bytes(tmp_path / "a", b'id,text\n1,a\n2,"lost\n3,x\ry\n4,d\n5,f\n')
    assert [post.id for post in posts(records)] == ["a:1", "a:3", "a:4", "a:5"]
    assert [record.row for record in records] == [1, 2, 3, 4, 5]


def test_a_carriage_return_inside_a_cell_is_a_line_break_of_the_text(tmp_path):
    records = read_bytes(tmp_path / "a", b'id,text\n1,one\r\rtwo\n2,"three\rfour"\n3,five\n')
    assert [post.text for post in posts(records)] == ["one\n\ntwo", "three\nfour", "five"]


def test_nul_bytes_are_dropped_from_texts(tmp_path):
    data = b"id,text\n" + b"1,a plain row with enough words\n" * 3 + b"2,a\x00b\n"
    records = read_bytes(tmp_path / "a", data)
    assert posts(records)[-1].text == "ab"


def test_a_huge_cell_is_one_row(tmp_path):
    data = b'id,text\n1,"' + b"x" * 300_000 + b'"\n2,b\n3,"' + b"y" * 3_000_000 + b'"\n4,d\n'
    records = read_bytes(tmp_path / "a", data)
    assert [post.id for post in posts(records)] == ["a:2", "a:4"]
    assert reasons(records)["malformed"] >= 2


def test_one_column_is_a_table_too(tmp_path):
    found = posts(read_bytes(tmp_path / "a", 'text\n안녕, 여러분; 반가워요\n"둘, 셋"\n'.encode()))
    assert [post.text for post in found] == ["안녕, 여러분; 반가워요", "둘, 셋"]


def test_headers_that_cannot_be_used(tmp_path):
    with pytest.raises(UnreadableFile, match="two columns 'text'"):
        read_bytes(tmp_path / "a", b"text,text\na,b\n")
    with pytest.raises(UnreadableFile, match="no header"):
        read_bytes(tmp_path / "a", b"\n\n  \n")
    with pytest.raises(UnreadableFile, match="no column for the text"):
        read_bytes(tmp_path / "a", "그냥 글입니다\n두 번째 줄\n".encode())


def test_what_is_no_text_is_no_table(tmp_path):
    with pytest.raises(UnreadableFile, match="none of the formats"):
        read_bytes(tmp_path / "a", bytes(range(256)) * 20)


def test_json_that_is_no_rows_says_what_is_expected(tmp_path):
    for data in (b'{\n "posts": []\n}', b"[]", b"[1, 2]", b"{not json}\n"):
        with pytest.raises(UnreadableFile, match="one object on each line, or one array"):
            read_bytes(tmp_path / "a", data)


def test_a_folder_of_files(tmp_path):
    folder = tmp_path / "posts"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(jsonl({"id": 1, "text": "a"}))
    (folder / "b.csv").write_bytes(table(["id", "text"], [1, "b"]))
    (folder / ".hidden").write_bytes(b"\x00")
    reader = open_reader(folder)
    assert reader.format == "folder"
    assert [post.id for post in posts(reader)] == ["a:1", "b:1"]
    read_so_far, total = reader.progress
    assert read_so_far == total
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(32)) * 10)
    with pytest.raises(UnreadableFile, match=r"picture\.png is none of the formats"):
        read(folder)


# Whatever the bytes: no exception but UnreadableFile, and one record for each row.

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
ROWS = st.dictionaries(
    st.sampled_from([*FULL, "deleted", "other"]),
    VALUES | st.sampled_from(list(FULL.values())),
    max_size=8,
)


@given(st.lists(ROWS, min_size=1, max_size=10))
@SAME_PATH
def test_every_json_row_is_accounted_for(tmp_path, rows):
    rows = [{"text": "a", "id": 1}, *rows]
    path = tmp_path / "a"
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    for data in (lines, json.dumps(rows).encode()):
        records = read_bytes(path, data)
        assert [record.row for record in records] == list(range(1, len(rows) + 1))
        for post in posts(records):
            post.canonical()
            assert post.normalized() is post or post.normalized() == post
            assert post.text
            assert type(post).from_dict(post.to_dict()).to_dict() == post.to_dict()


CELLS = st.text(st.characters(exclude_characters="\x1e", exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=15), st.sampled_from(",;\t|"))
@SAME_PATH
def test_every_record_of_a_table_is_accounted_for(tmp_path, rows, delimiter):
    data = table(["id", "text", "other"], *map(list, rows), delimiter=delimiter)
    try:
        records = read_bytes(tmp_path / "a", data, source="s")
    except UnreadableFile as error:
        assert "none of the formats" in str(error) or "column" in str(error)  # too many controls
        return
    assert [record.row for record in records] == list(range(1, len(rows) + 1))
    for post in posts(records):
        post.canonical()


@given(st.binary(max_size=400))
@SAME_PATH
def test_any_bytes_are_read_or_refused(tmp_path, data):
    for beginning in (
        b"",
        b"{",
        b'[{"id": 1, "text": "a"},',
        b'{"id": 1, "text": "a"}\n',
        b"id,text\n1,a\n",
    ):
        try:
            records = read_bytes(tmp_path / "a", beginning + data)
        except UnreadableFile as error:
            assert "\n" not in str(error)
            continue
        assert len({record.row for record in records}) == len(records)


def test_memory_stays_flat(tmp_path: Path):
    import tracemalloc

    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        for number in range(2_000):
            file.write(jsonl({"id": number, "text": "ferry " * 1_000, "lang": "en"}))
    reader = open_reader(path)
    tracemalloc.start()
    try:
        count = sum(1 for _ in reader)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 2_000
    assert path.stat().st_size > 8 << 20
    assert peak < 6 << 20
