"""Whose uploads the board's server takes, told by a real one."""

from __future__ import annotations

import http.client
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from browsing import served
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from websockets.sync.client import ClientConnection, connect

from audiometry.benchmark.store import Store
from audiometry.leaderboard.api import tokens
from audiometry.leaderboard.uploads import Desk, RefusedError

MEBIBYTE = 2**20
BOUNDARY = "frontier"


class Visitor:
    """One open page, as its browser talks to the server."""

    def __init__(self, address: str, wire: ClientConnection) -> None:
        self.host, self.wire, self.session = urlsplit(address).netloc, wire, ""
        self.widgets: dict[str, str] = {}
        self.texts: list[str] = []
        connection = http.client.HTTPConnection(self.host, timeout=30)
        connection.request("GET", "/_stcore/health")
        answer = connection.getresponse()
        cookie = (answer.getheader("Set-Cookie") or "").partition(";")[0]
        connection.close()
        self.headers = {"Cookie": cookie, "X-Xsrftoken": cookie.partition("=")[2]}

    def draw(self, states: WidgetStates | None = None) -> None:
        """Have the page of submissions drawn, and note its widgets by their labels."""
        asked = BackMsg()
        asked.rerun_script.page_name = "submissions"
        if states is not None:
            asked.rerun_script.widget_states.CopyFrom(states)
        self.wire.send(asked.SerializeToString())
        self.widgets, self.texts = {}, []
        while True:
            said = ForwardMsg()
            content = self.wire.recv(timeout=60)
            assert isinstance(content, bytes)
            said.ParseFromString(content)
            kind = said.WhichOneof("type")
            if kind == "new_session":
                self.session = said.new_session.initialize.session_id
            elif kind == "delta":
                element = said.delta.new_element
                if element.WhichOneof("type") in ("text_input", "button"):
                    widget = getattr(element, element.WhichOneof("type"))
                    self.widgets[widget.label] = widget.id
                self.texts.append(element.html.body)
            elif kind == "script_finished" and said.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                return

    def sign_in(self, token: str) -> None:
        states = WidgetStates()
        states.widgets.add(id=self.widgets["Token"], string_value=token)
        states.widgets.add(id=self.widgets["Sign in"], trigger_value=True)
        self.draw(states)
        if "Sign out" not in self.widgets:
            self.draw()
        assert "Sign out" in self.widgets

    def sign_out(self) -> None:
        states = WidgetStates()
        states.widgets.add(id=self.widgets["Sign out"], trigger_value=True)
        self.draw(states)

    def put(self, name: str, content: bytes) -> int:
        """The status of the answer to an upload."""
        body = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f"; filename="f.zip"\r\n\r\n'.encode()
            + content
            + f"\r\n--{BOUNDARY}--\r\n".encode()
        )
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request("PUT", self.path(name), body, self.headers | self.kind)
            return connection.getresponse().status
        finally:
            connection.close()

    @property
    def kind(self) -> dict[str, str]:
        return {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}

    def path(self, name: str) -> str:
        return f"/_stcore/upload_file/{self.session}/{name}"

    def announce(self, name: str, size: int) -> socket.socket:
        """An upload that goes no further than its header."""
        host, port = self.host.split(":")
        opened = socket.create_connection((host, int(port)), timeout=60)
        lines = {"Host": self.host, "Content-Length": str(size)} | self.headers | self.kind
        head = "".join(f"{key}: {value}\r\n" for key, value in lines.items())
        opened.sendall(f"PUT {self.path(name)} HTTP/1.1\r\n{head}\r\n".encode())
        return opened

    def keeps(self) -> bool:
        """Whether the server says that it holds any upload, once what it said before is forgotten."""
        time.sleep(6)
        connection = http.client.HTTPConnection(self.host, timeout=60)
        connection.request("GET", "/_stcore/metrics")
        said = connection.getresponse().read().decode()
        connection.close()
        return "UploadedFileManager" in said


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of ``audiometry serve``, and its store."""
    root = tmp_path_factory.mktemp("uploads")
    store = f"sqlite:///{root / 'store.db'}"
    environment = os.environ | {"AUDIOMETRY_HOME": str(root / "home"), "AUDIOMETRY_STORE": store}
    command = [sys.executable, "-m", "audiometry.benchmark.cli", "serve", "--port"]
    with served(lambda port: [*command, str(port)], environment) as address:
        yield address, store


@pytest.fixture
def visitor(place: tuple[str, str]) -> Iterator[Visitor]:
    address, _ = place
    with connect(f"ws://{urlsplit(address).netloc}/_stcore/stream", subprotocols=["streamlit"]) as wire:
        found = Visitor(address, wire)
        found.draw()
        yield found


@pytest.mark.slow
def test_nobody_who_is_not_signed_in_fills_the_memory(place: tuple[str, str], visitor: Visitor) -> None:
    assert visitor.put("one", b"x" * MEBIBYTE) == 403
    assert not visitor.keeps()
    with Store.open(place[1]) as store:
        visitor.sign_in(tokens.create(store, "Eve", "viewer"))
    assert visitor.put("two", b"x") == 403


@pytest.mark.slow
def test_a_session_that_is_signed_in_uploads_so_much_and_no_more(place: tuple[str, str], visitor: Visitor) -> None:
    with Store.open(place[1]) as store:
        visitor.sign_in(tokens.create(store, "Ada", "submitter"))
    assert visitor.put("one", b"x" * 1000) == 204
    assert visitor.keeps()
    with ExitStack() as stack:
        coming = [stack.enter_context(visitor.announce(f"big-{i}", 199 * MEBIBYTE)) for i in range(3)]
        for opened in coming:
            opened.settimeout(3)
        answers = []
        for opened in coming:
            try:
                answers.append(opened.recv(64).split()[1])
            except TimeoutError:
                answers.append(b"waits")
    assert sorted(answers) == [b"413", b"waits", b"waits"]
    visitor.sign_out()
    assert not visitor.keeps()
    assert visitor.put("two", b"x") == 403


def test_what_is_held_and_coming_counts_together() -> None:
    desk = Desk(session_bytes=10, total_bytes=15)
    for name in ("a", "b"):
        desk.admit(name)
    with desk.taking("a", "6", {}), pytest.raises(RefusedError, match="this session's") as refused:
        desk.taking("a", "5", {}).__enter__()
    assert refused.value.status == 413
    with desk.taking("a", "4", {"a": 6}), pytest.raises(RefusedError, match="as many uploads") as refused:
        desk.taking("b", "6", {"a": 6}).__enter__()
    assert refused.value.status == 429
    with desk.taking("b", "10", {}):
        pass
    assert not desk.coming


@pytest.mark.parametrize("announced", [None, "", "-1", "1e3", "²"])
def test_an_upload_must_tell_its_length(announced: str | None) -> None:
    desk = Desk()
    desk.admit("a")
    with pytest.raises(RefusedError, match="announce"), desk.taking("a", announced, {}):
        raise AssertionError
