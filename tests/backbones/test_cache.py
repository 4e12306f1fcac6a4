"""The folder of weights: what comes in is checked, what is in is checked again, and errors say how to get what is missing."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flawsight.backbones import BackboneCard, cache, cards, get_card, open_backbone
from flawsight.errors import DataError, ModelFileError, UsageError

CONTENT = bytes(range(256)) * 12_000  # 3 MB: more than one chunk
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("FLAWSIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server on this machine that gives CONTENT as tiny-<hash>.pth, and other bytes as tiny-00000000.pth."""
    files = tmp_path_factory.mktemp("served")
    (files / f"tiny-{SHA256[:8]}.pth").write_bytes(CONTENT)
    (files / "tiny-00000000.pth").write_bytes(CONTENT)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, request: object, client: object, host: object) -> None:
            super().__init__(request, client, host, directory=str(files))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            if not self.path.startswith("/short/"):
                return super().do_GET()
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:100_000])  # and no more comes
            return None

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def tiny(url: str = "", digits: str = SHA256[:8]) -> BackboneCard:
    """The row of a network that nobody builds."""
    file = f"tiny-{digits}.pth"
    return BackboneCard(
        "tiny",
        {"layer1": (1, 4)},
        ("layer1",),
        (0, 0, 0),
        (1, 1, 1),
        digits,
        "",
        "",
        library="torchvision",
        file=file,
        url=f"{url}/{file}",
    )


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_pulled_weights_are_checked_and_recorded(server: str, folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = cache.pull(tiny(server), lambda what, done, total: seen.append((done, total)))
    assert path == folder / "weights" / f"tiny-{SHA256[:8]}.pth"
    assert path.read_bytes() == CONTENT
    assert path.with_name(f"{path.name}.sha256").read_text() == f"{SHA256}  {path.name}\n"
    assert cache.weights(tiny()) == (path, SHA256)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert {total for _, total in seen} == {len(CONTENT) >> 20}
    assert cache.state(tiny()) == "here"
    assert cache.verify(tiny()) == f"whole, sha256 {SHA256[:12]}…"


def test_weights_of_another_hash_are_refused_and_nothing_is_left(server: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=rf"tiny-00000000\.pth: the file .* sha256 00000000… was needed; this one has {SHA256[:12]}"
    ):
        cache.pull(tiny(server, "00000000"))
    (tmp_path / "some.pth").write_bytes(CONTENT)
    with pytest.raises(
        DataError, match=rf"some\.pth: the file tiny-00000000\.pth .* this one has {SHA256[:12]}… and {len(CONTENT)} bytes"
    ):
        cache.take_in(tiny("", "00000000"), tmp_path / "some.pth")
    assert left(folder) == []


@pytest.mark.parametrize("path", ["/short", "/nothing"])
def test_a_file_that_does_not_come_is_told_with_the_way_by_hand(path: str, server: str, folder: Path) -> None:
    card = tiny(server + path)
    with pytest.raises(DataError, match=r"tiny-") as message:
        cache.pull(card)
    if path == "/nothing":
        for needed in ("cannot be fetched (HTTP Error 404", card.url, SHA256[:8], f"flawsight backbones import tiny {card.file}"):
            assert needed in str(message.value)
    assert left(folder) == []


def test_without_a_network_the_way_by_hand_is_told(folder: Path) -> None:
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:9/tiny-.* cannot be fetched .*flawsight backbones import tiny tiny-"):
        cache.pull(tiny("http://127.0.0.1:9"))
    assert left(folder) == []


def test_imported_weights_are_a_copy(tmp_path: Path) -> None:
    source = tmp_path / "renamed by the browser.pth"
    source.write_bytes(CONTENT)
    path = cache.take_in(tiny(), source)
    source.unlink()
    assert cache.weights(tiny()) == (path, SHA256)


@pytest.mark.parametrize(("name", "came"), [("missing.pth", "there is none"), ("", "this is a folder")])
def test_an_import_of_no_file_is_refused(name: str, came: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"the file tiny-.* was needed; {came}"):
        cache.take_in(tiny(), tmp_path / name)


@pytest.mark.parametrize("card", [card for card in cards.BACKBONES.values() if not card.embedded], ids=lambda card: card.name)
def test_missing_weights_are_named_with_hash_place_and_command(card: BackboneCard) -> None:
    with pytest.raises(ModelFileError) as message:
        open_backbone(card.name)
    for needed in (
        card.file,
        card.url,
        f"sha256 {card.sha256}…",
        f"backbones pull {card.name}",
        f"backbones import {card.name} {card.file}",
    ):
        assert needed in str(message.value)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "some.pth").write_bytes(CONTENT)
    path = cache.take_in(tiny(), tmp_path / "some.pth")
    path.write_bytes(CONTENT[:-1])
    for check in (cache.weights, cache.verify):
        with pytest.raises(
            ModelFileError, match=rf"has sha256 .* not {SHA256[:12]}…\. Fetch it again: flawsight backbones pull tiny"
        ):
            check(tiny())


def test_the_whole_hash_counts_not_only_its_published_digits(tmp_path: Path) -> None:
    (tmp_path / "some.pth").write_bytes(CONTENT)
    path = cache.take_in(tiny(), tmp_path / "some.pth")
    path.with_name(f"{path.name}.sha256").write_text(f"{SHA256[:-1]}x  {path.name}\n")
    with pytest.raises(ModelFileError, match="has sha256"):
        cache.weights(tiny())


def test_trunks_are_kept_by_name_levels_and_weights() -> None:
    cache.keep_trunk(tiny(), ("a", "b"), SHA256, b"trunk")
    assert cache.find_trunk(tiny(), ("a", "b")) == (b"trunk", SHA256)
    assert cache.find_trunk(tiny(), ("a", "b"), SHA256) == (b"trunk", SHA256)
    assert cache.find_trunk(tiny(), ("b",)) is None
    assert cache.find_trunk(tiny(), ("a", "b"), 64 * "0") is None
    assert cache.find_trunk(tiny("", "00000000"), ("a", "b")) is None
    assert cache.state(tiny()) == "ONNX files alone are here"
    assert cache.verify(tiny()) == "1 ONNX files made of such weights, whole; its weights themselves are not here"


def test_a_damaged_trunk_is_named() -> None:
    path = cache.keep_trunk(tiny(), ("a",), SHA256, b"trunk")
    path.write_bytes(b"Trunk")
    for check in (lambda: cache.find_trunk(tiny(), ("a",)), lambda: cache.verify(tiny())):
        with pytest.raises(ModelFileError, match=r"tiny-.*-a\.onnx is damaged\. Remove it"):
            check()


def test_embedded_weights_need_no_fetching(tmp_path: Path) -> None:
    card = get_card("efficientnet_lite0")
    assert (cache.state(card), cache.verify(card)) == ("embedded", f"embedded, whole, sha256 {card.sha256[:12]}…")
    for fetch in (lambda: cache.pull(card), lambda: cache.take_in(card, tmp_path / "some.onnx")):
        with pytest.raises(UsageError, match="come with flawsight"):
            fetch()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("FLAWSIGHT_CACHE", str(tmp_path / "file"))
    with pytest.raises(UsageError, match=r"a cache folder was needed; .* Set FLAWSIGHT_CACHE"):
        cache.keep_trunk(tiny(), ("a",), SHA256, b"trunk")


@pytest.mark.parametrize(
    ("platform", "variables", "ends"),
    [
        ("linux", {}, ".cache/flawsight"),
        ("linux", {"XDG_CACHE_HOME": "/elsewhere"}, "/elsewhere/flawsight"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, ".cache/flawsight"),
        ("darwin", {"XDG_CACHE_HOME": "/elsewhere"}, "Library/Caches/flawsight"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/flawsight/Cache"),
        ("win32", {}, "AppData/Local/flawsight/Cache"),
        ("linux", {"FLAWSIGHT_CACHE": "/chosen", "XDG_CACHE_HOME": "/elsewhere"}, "/chosen"),
    ],
)
def test_the_folder_is_where_the_system_keeps_caches(
    platform: str, variables: dict[str, str], ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FLAWSIGHT_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cache.sys, "platform", platform)
    assert cache.folder().as_posix().endswith(ends)
