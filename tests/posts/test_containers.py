"""Archives are opened by an allow-list, and what is dangerous in them is refused as a whole."""

from __future__ import annotations

import builtins
import gzip
import io
import os
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest
import zstandard
from archive_files import (
    PACKED,
    actor,
    folder_of,
    outbox,
    posts,
    read,
    read_bytes,
    status,
    streamed_zip_of,
    tar_of,
    tweet,
    x_files,
    zip_of,
    zst_of,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madang.posts.readers import UnreadableFile, containers, open_reader, streams
from madang.posts.readers.containers import open_container, safe_name
from madang.posts.readers.streams import ReadState, gunzip, unzstd

X = x_files([tweet(1), tweet(2)])
MASTODON = {"actor.json": actor(), "outbox.json": outbox([status(1), status(2)])}
TRAPS = {
    "data/direct-messages.js": b"window.YTD.direct_messages.part0 = [TRAP",
    "data/direct-messages-group.js": b"TRAP",
    "data/like.js": b"TRAP",
    "data/ip-audit.js": b"TRAP",
    "data/email-address-change.js": b"TRAP",
    "data/contact.js": b"TRAP",
    "data/manifest.js": b"TRAP",
    "data/twitter-circle-tweet.js": b"TRAP",
    "data/deleted-tweet-headers.js": b"TRAP",
    "data/tweets_media/tweets.jpg": b"TRAP",
    "likes.json": b"TRAP",
    "bookmarks.json": b"TRAP",
}


@pytest.mark.parametrize("files", [X, MASTODON], ids=["x", "mastodon"])
@pytest.mark.parametrize(
    "pack",
    [
        zip_of,
        streamed_zip_of,
        tar_of,
        lambda files: tar_of(files, tarfile.GNU_FORMAT),
        lambda files: tar_of(files, tarfile.USTAR_FORMAT),
        lambda files: gzip.compress(tar_of(files)),
        lambda files: zstandard.compress(tar_of(files)),
    ],
    ids=["zip", "streamed-zip", "tar", "gnu-tar", "ustar", "tar.gz", "tar.zst"],
)
def test_every_container_gives_the_same_posts(tmp_path, files, pack):
    in_folder = posts(read(folder_of(tmp_path / "folder", files)))
    assert len(in_folder) == 2
    reader_path = tmp_path / "a name that says nothing"
    assert posts(read_bytes(reader_path, pack(files))) == in_folder
    nested = {f"twitter-2024/{name}": data for name, data in files.items()}
    assert posts(read_bytes(reader_path, pack(nested))) == in_folder


@pytest.mark.parametrize("pack", [zip_of, tar_of], ids=["zip", "tar"])
def test_only_listed_files_of_an_archive_are_opened(tmp_path, monkeypatch, pack):
    path = tmp_path / "a"
    path.write_bytes(pack(TRAPS | X))
    opened: list[str] = []
    for kind in (containers.Zip, containers.Tar):
        original = kind.open

        def spy(self, name="", original=original):
            opened.append(name)
            return original(self, name)

        monkeypatch.setattr(kind, "open", spy)
    zip_open = zipfile.ZipFile.open

    def spy_zip(self, name, *args, **kwargs):
        opened.append(name if isinstance(name, str) else name.filename)
        return zip_open(self, name, *args, **kwargs)

    monkeypatch.setattr(zipfile.ZipFile, "open", spy_zip)
    assert len(posts(read(path))) == 2
    assert set(opened) == {"data/account.js", "data/tweets.js"}


def test_only_listed_files_of_a_folder_are_opened(tmp_path, monkeypatch):
    folder = folder_of(tmp_path, TRAPS | X)
    opened: list[str] = []
    path_open = Path.open

    def spy(self, *args, **kwargs):
        opened.append(self.relative_to(folder).as_posix())
        return path_open(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", spy)
    builtin_open = builtins.open
    monkeypatch.setattr(
        builtins,
        "open",
        lambda path, *a, **k: opened.append(str(path)) or builtin_open(path, *a, **k),
    )
    assert len(posts(read(folder))) == 2
    assert set(opened) == {"data/account.js", "data/tweets.js"}


def test_a_trap_cannot_be_opened_even_when_it_is_asked_for(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(zip_of(TRAPS | X))
    container = open_container(path, lambda name: name == "data/tweets.js")
    assert container.names == ("data/tweets.js",)
    with pytest.raises(KeyError):
        container.open("data/direct-messages.js")


@pytest.mark.parametrize(
    "name",
    [
        "../outbox.json",
        "a/../../outbox.json",
        "/etc/outbox.json",
        "C:/outbox.json",
        "C:\\outbox.json",
        "..\\outbox.json",
        "a\\..\\..\\tweets.js",
    ],
)
@pytest.mark.parametrize("pack", [zip_of, tar_of], ids=["zip", "tar"])
def test_paths_that_leave_the_archive_are_refused(tmp_path, name, pack):
    with pytest.raises(UnreadableFile, match="leaves the archive"):
        read_bytes(tmp_path / "a", pack(MASTODON | {name: b"{}"}))
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


@given(st.text(max_size=40))
def test_a_safe_name_stays_inside(name):
    try:
        safe = safe_name(name, "archive")
    except UnreadableFile:
        return
    assert not Path(safe).is_absolute()
    assert ".." not in safe.split("/")


def _tar_with(member: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in MASTODON.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        archive.addfile(member)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "link"),
        (tarfile.LNKTYPE, "link"),
        (tarfile.CHRTYPE, "no ordinary file"),
        (tarfile.BLKTYPE, "no ordinary file"),
        (tarfile.FIFOTYPE, "no ordinary file"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind, what):
    member = tarfile.TarInfo("avatar.png")
    member.type = kind
    member.linkname = "/etc/passwd"
    with pytest.raises(UnreadableFile, match=what):
        read_bytes(tmp_path / "a.tar.gz", gzip.compress(_tar_with(member)))


def test_a_link_in_a_zip_is_refused(tmp_path):
    buffer = io.BytesIO(zip_of(X))
    with zipfile.ZipFile(buffer, "a") as archive:
        link = zipfile.ZipInfo("data/link.js")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UnreadableFile, match="a link"):
        read_bytes(tmp_path / "a.zip", buffer.getvalue())


def test_a_link_in_a_folder_is_refused(tmp_path):
    outside = tmp_path / "secret.json"
    outside.write_bytes(outbox([status(1)]))
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "outbox.json").symlink_to(outside)
    with pytest.raises(UnreadableFile, match="is a link"):
        read(folder)


def test_a_linked_folder_in_a_folder_is_not_followed(tmp_path):
    real = folder_of(tmp_path / "real", X)
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "data").symlink_to(real / "data")
    with pytest.raises(UnreadableFile, match="links are not followed"):
        read(folder)


def test_a_pipe_in_a_folder_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "outbox.json")
    with pytest.raises(UnreadableFile, match="no ordinary file"):
        read(tmp_path)


@pytest.mark.parametrize("pack", [zip_of, tar_of], ids=["zip", "tar"])
def test_two_members_of_one_name_are_refused(tmp_path, pack):
    # Packed under another name of the same length, so that no packer objects.
    data = pack(MASTODON | {"outbox.jsoN": b"{}"}).replace(b"outbox.jsoN", b"outbox.json")
    if pack is tar_of:
        at = data.rindex(b"outbox.json")
        header = bytearray(data[at : at + 512])
        header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:]))
        data = data[:at] + header + data[at + 512 :]
    with pytest.raises(UnreadableFile, match="twice"):
        read_bytes(tmp_path / "a", data)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress], ids=["gz", "zst"])
def test_a_file_cut_in_its_first_bytes_says_so(tmp_path, compress):
    with pytest.raises(UnreadableFile, match="cut or damaged at its beginning"):
        read_bytes(tmp_path / "a", compress(b'{"id": 1, "text": "a"}\n')[:8])


def test_an_encrypted_zip_is_refused_with_the_remedy(tmp_path):
    data = bytearray(zip_of(MASTODON))
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := data.find(magic, at + 1)) >= 0:
            data[at + offset] |= 1
    with pytest.raises(UnreadableFile, match="password"):
        read_bytes(tmp_path / "a.zip", bytes(data))


BOMB = 80 << 20


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress], ids=["gz", "zst"])
def test_a_packed_bomb_is_refused_while_it_is_read(tmp_path, compress):
    path = tmp_path / "posts.jsonl"
    line = b'{"id": 1, "text": "a"}\n'
    path.write_bytes(compress(line + b" " * BOMB))
    with pytest.raises(UnreadableFile, match="compression bomb"):
        read(path)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress], ids=["gz", "zst"])
def test_a_bomb_in_a_tar_is_refused_even_where_it_would_be_skipped(tmp_path, compress):
    with pytest.raises(UnreadableFile, match="compression bomb"):
        read_bytes(tmp_path / "a", compress(tar_of({"media.png": bytes(BOMB)} | MASTODON)))


def test_a_bomb_in_a_zip_is_refused_where_it_would_be_read(tmp_path):
    bomb = b"window.YTD.tweets.part0 = [" + b" " * BOMB
    with pytest.raises(UnreadableFile, match="compression bomb"):
        read_bytes(tmp_path / "a", zip_of(X | {"data/tweets.js": bomb}))


def test_a_bomb_in_a_zip_costs_nothing_where_it_is_not_read(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(zip_of({"data/tweets_media/1.jpg": bytes(BOMB)} | X))
    assert len(posts(read(path))) == 2


def test_a_bomb_in_a_zip_without_directory_is_refused(tmp_path):
    data = streamed_zip_of({"data/tweets_media/1.jpg": bytes(BOMB)} | X)
    with pytest.raises(UnreadableFile, match="compression bomb"):
        read_bytes(tmp_path / "a.zip", data[: data.index(b"PK\x01\x02")])


def test_the_total_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "MAX_UNPACKED_BYTES", 1000)
    rows = b"".join(b'{"id": %d, "text": "a"}\n' % number for number in range(100))
    with pytest.raises(UnreadableFile, match="unpacks to more than"):
        read_bytes(tmp_path / "a", gzip.compress(rows))


def test_a_liar_about_sizes_in_a_zip_gains_nothing(tmp_path):
    data = bytearray(zip_of(X | {"data/tweets.js": b"[" + b" " * BOMB}))
    # The directory claims that the member is 10 bytes long.
    at = data.rindex(b"data/tweets.js") - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    reader = open_reader(path)
    assert list(reader) == []
    assert reader.truncated is not None


def test_a_zip_inside_a_gzip_is_not_opened(tmp_path):
    with pytest.raises(UnreadableFile, match="packed twice"):
        read_bytes(tmp_path / "a", gzip.compress(zip_of(X)))


def test_an_archive_without_posts_says_what_to_do(tmp_path):
    for pack in (zip_of, tar_of):
        with pytest.raises(UnreadableFile, match=r"neither .* nor .*; unpack it"):
            read_bytes(tmp_path / "a", pack({"posts.csv": b"id,text\n1,a\n"}))


def test_two_archives_in_one_are_refused(tmp_path):
    with pytest.raises(UnreadableFile, match="side by side"):
        read_bytes(tmp_path / "a", zip_of(X | MASTODON))
    twice = {f"{who}/{name}": data for who in ("a", "b") for name, data in X.items()}
    with pytest.raises(UnreadableFile, match="more than one X archive"):
        read_bytes(tmp_path / "a", zip_of(twice))


def test_missing_empty_and_strange_paths(tmp_path):
    with pytest.raises(UnreadableFile, match="No such file"):
        read(tmp_path / "nothing")
    with pytest.raises(UnreadableFile, match="null"):
        read(Path("a\0b"))
    (tmp_path / "empty").touch()
    with pytest.raises(UnreadableFile, match="is empty"):
        read(tmp_path / "empty")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableFile, match="neither a file nor a folder"):
        read(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("pack", "how"),
    [(zip_of, "plain"), (streamed_zip_of, "plain")] + [(tar_of, how) for how in PACKED],
)
def test_an_archive_cut_anywhere_gives_what_is_whole(tmp_path, pack, how):
    files = x_files([tweet(number, "가나다 " * number) for number in range(1, 30)])
    files["data/tweets_media/1.jpg"] = os.urandom(3000)
    data = PACKED[how](pack(files))
    path = tmp_path / "a"
    whole = posts(read_bytes(path, data))
    assert len(whole) == 29
    seen = set()
    for cut in range(1, len(data), max(1, len(data) // 150)):
        path.write_bytes(data[:cut])
        try:
            reader = open_reader(path)
            some = posts(reader)
        except UnreadableFile:
            continue
        assert some == whole[: len(some)]
        if len(some) < len(whole):
            assert reader.truncated is not None
            assert reader.truncated.endswith("imported what is whole")
        seen.add(len(some))
    assert len(seen) > 2


CHUNKS = st.lists(st.binary(max_size=300), max_size=6)


@given(CHUNKS, st.integers(1, 50))
@settings(max_examples=50)
def test_several_gzip_members_and_zstd_frames_are_one_stream(parts, size):
    whole = b"".join(parts)
    for compress, unpack in ((gzip.compress, gunzip), (zstandard.compress, unzstd)):
        packed = b"".join(compress(part) for part in parts)
        chunks = [packed[at : at + size] for at in range(0, len(packed), size)]
        state = ReadState("a")
        assert b"".join(unpack(iter(chunks), "a", state)) == whole
        assert state.ended_early is None


@given(st.binary(min_size=1, max_size=2000), st.data())
@settings(max_examples=50)
def test_a_cut_stream_gives_a_beginning_and_says_so(content, data):
    for compress, unpack in ((zlib_gzip, gunzip), (zstandard.compress, unzstd)):
        packed = compress(content)
        cut = data.draw(st.integers(1, len(packed) - 1))
        state = ReadState("a")
        assert content.startswith(b"".join(unpack(iter([packed[:cut]]), "a", state)))
        assert state.ended_early is not None


def zlib_gzip(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(content) + packer.flush()


@given(st.binary(max_size=3000))
@settings(max_examples=60)
def test_damaged_streams_never_raise(content):
    for unpack in (gunzip, unzstd):
        b"".join(unpack(iter([content]), "a", ReadState("a")))


def test_a_long_zstd_window_is_read(tmp_path):
    parameters = zstandard.ZstdCompressionParameters(window_log=31, compression_level=1)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = packer.compress(b'{"id": "a:1", "text": "long window"}\n') + packer.flush()
    assert posts(read_bytes(tmp_path / "RC_2024.zst", data))[0].text == "long window"


def test_progress_reaches_the_whole(tmp_path):
    for data in (zip_of(X), tar_of(X), gzip.compress(tar_of(X)), X["data/tweets.js"]):
        path = tmp_path / "a"
        path.write_bytes(data)
        reader = open_reader(path)
        assert reader.progress[0] == 0
        list(reader)
        read_so_far, total = reader.progress
        assert total is not None
        assert 0 < read_so_far <= total


SEEDS = [
    *(pack(files) for files in (X, MASTODON) for pack in (zip_of, streamed_zip_of, tar_of)),
    *(pack(tar_of(files)) for files in (X, MASTODON) for pack in (gzip.compress, zst_of)),
]


@given(
    st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0), st.binary(max_size=4)), max_size=6)
)
@settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_a_damaged_archive_is_read_or_refused(tmp_path, seed, damages):
    data = bytearray(seed)
    for place, put in damages:
        at = place % len(data)
        data[at : at + max(1, len(put))] = put
    path = tmp_path / "a"
    path.write_bytes(data)
    try:
        records = read(path)
    except UnreadableFile as error:
        assert str(error).isprintable()
        return
    for post in posts(records):
        post.canonical()
