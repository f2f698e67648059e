"""Submissions: how far each is, and behind a sign-in, sending one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from audiometry.benchmark.errors import UnknownNameError, UserError
from audiometry.leaderboard import markup, sign_in, submission_board, uploads
from audiometry.leaderboard.submissions.artefacts import ArtefactStore
from audiometry.leaderboard.submissions.queue import Queue
from audiometry.leaderboard.submissions.states import STATES
from audiometry.leaderboard.views import shared

if TYPE_CHECKING:
    from audiometry.benchmark.store import Store
    from audiometry.leaderboard.api.tokens import Actor

__all__ = ["show"]

LEAD = "Checkpoints that were sent in: a worker runs each on its suite, and its row on the board is then verified."

ANY = "any"
SIZE = 50
"""Submissions on a page."""

AGAIN = 3.0
"""Seconds after which the list is read again while something is still to come."""

TOKEN = "signed-in"  # noqa: S105  # where the session keeps it: in the server's memory, and nowhere else
OUTCOME = "outcome"
UPLOADS = "uploads"

KINDS = ["zip", "tar", "gz", "tgz"]

HOW = """
A submission is a folder with `audiometry.yaml` (name, adapter, settings, licence, training data, contact) and weights
in a safe format. It is checked before anything else: names, sizes, formats, links. Nothing in it is run but by the
adapter that it names, in a process of its own without a network. What is refused is not kept, but for its name and the
reason.

On the command line, and for larger folders: `audiometry submit DIR --server URL`.
"""

INSECURE = (
    "This page came by plain HTTP from another machine: a token that is typed here can be read on the way. Ask for the "
    "board's HTTPS address."
)

NONE = "There are no submissions in this state yet."


def show() -> None:
    """Draw the page."""
    st.html(markup.heading("Submissions", LEAD))
    with shared.open_store() as store:
        actor = _actor(store)
        with st.container(border=True):
            if actor is None:
                _sign_in(store)
            else:
                _upload(store, actor)
        left, middle, _ = st.columns([1, 1, 2], vertical_alignment="bottom")
        state = shared.choose("State", [ANY, *STATES], "state", place=left)
        wanted = None if state == ANY else state
        pages = [str(page) for page in range(1, -(-submission_board.count(store, wanted) // SIZE) + 1)] or ["1"]
        page = shared.choose("Page, newest first", pages, "page", place=middle, draw=len(pages) > 1)
        rows = _rows(store, wanted, page, signed_in=actor is not None)
        active = any(row["state"] in submission_board.ACTIVE for row in rows)
        st.fragment(_table, run_every=AGAIN if active else None)(wanted, page, actor is not None, again=active)
        chosen = _one(store, actor, rows)
    import pandas as pd

    with st.expander("How to submit"):
        st.markdown(HOW)
    link = {"state": state, "page": page} | ({"submission": chosen} if chosen else {})
    shared.share(pd.DataFrame(rows), link, "submissions", state)


@st.cache_resource(show_spinner=False)
def _door() -> sign_in.Door:
    """One for all sessions of the server."""
    return sign_in.Door()


def _actor(store: Store) -> Actor | None:
    """Who is signed in, asked anew: a token that was revoked or has expired signs out."""
    from audiometry.leaderboard.api import tokens

    held = st.session_state.get(TOKEN)
    if held is None:
        return None
    try:
        actor = tokens.verify(store, held)
    except tokens.TokenError as error:
        del st.session_state[TOKEN]
        uploads.leave()
        st.html(markup.callout(f"You were signed out: {error}"))
        return None
    if actor.may("submit"):
        uploads.admit()
    return actor


def _sign_in(store: Store) -> None:
    """A form for a token; the reason where it opens nothing."""
    st.html('<h2 class="am-label">Sign in to submit</h2>')
    if not sign_in.is_private(st.context.url or ""):
        st.html(markup.callout(INSECURE))
    with st.form("sign-in", clear_on_submit=True, border=False):
        typed = st.text_input(
            "Token", type="password", autocomplete="off", max_chars=400, placeholder="am_…",
            help="A maintainer makes one with: audiometry token create NAME --role submitter",
        )  # fmt: skip
        pressed = st.form_submit_button("Sign in", icon=":material/login:")
    if not pressed:
        return
    try:
        _door().enter(store, typed, st.context.ip_address or "this machine")
    except UserError as error:
        st.html(markup.callout(f"Not signed in: {error}", "am-error"))
        return
    st.session_state[TOKEN] = typed
    st.rerun()


def _upload(store: Store, actor: Actor) -> None:
    """Who is signed in, a way out, and what they may do."""
    said, out = st.columns([4, 1], vertical_alignment="center")
    said.html(f"<p>Signed in as <b>{markup.word(actor.name)}</b>, {markup.word(actor.role)}</p>")
    if out.button("Sign out", icon=":material/logout:", width="stretch"):
        del st.session_state[TOKEN]
        st.session_state.pop(OUTCOME, None)
        uploads.leave()
        st.rerun()
    if not actor.may("submit"):
        st.html(markup.callout(f"The role of this token, {actor.role}, may not submit; ask a maintainer.", "am-info"))
        return
    number = st.session_state.get(UPLOADS, 0)
    upload = st.file_uploader(
        "The folder as a zip, tar or tar.gz archive", type=KINDS, key=f"upload:{number}",
        max_upload_size=sign_in.UPLOAD_MEBIBYTES,
    )  # fmt: skip
    if st.button("Submit", type="primary", disabled=upload is None, icon=":material/upload:") and upload is not None:
        with st.spinner("Checking the files …"):
            try:
                sent = sign_in.send(upload, store=store, artefacts=ArtefactStore(), actor=actor, door=_door())
            except UserError as error:  # the store cannot be written
                sent = sign_in.Sent("", str(error))
        st.session_state[OUTCOME] = sent
        st.session_state[UPLOADS] = number + 1  # an empty box again
        uploads.leave(signed_in=True)
        st.rerun()
    _outcome(st.session_state.get(OUTCOME))


def _outcome(sent: sign_in.Sent | None) -> None:
    """What became of the last upload of this session."""
    if sent is None:
        return
    if sent.refused:
        st.html(markup.callout(f"Refused: {sent.refused}", "am-error"))
    else:
        st.html(markup.callout(f"Accepted as {sent.submission}: it waits for a worker.", "am-info"))


def _rows(store: Store, state: str | None, page: str, *, signed_in: bool) -> list[dict[str, Any]]:
    found = Queue(store).listing(state=state, limit=SIZE, offset=(int(page) - 1) * SIZE)
    return submission_board.rows_of(found, signed_in=signed_in)


def _table(state: str | None, page: str, signed_in: bool, *, again: bool) -> None:
    """The list, which reads itself anew while something is still to come."""
    with shared.open_store() as store:
        rows = _rows(store, state, page, signed_in=signed_in)
    if not rows:
        st.html(markup.callout(NONE, "am-info"))
        return
    st.html(submission_board.submissions_table(rows, signed_in=signed_in))
    if again and not any(row["state"] in submission_board.ACTIVE for row in rows):
        st.rerun()  # nothing is to come any more: draw the whole page a last time


def _one(store: Store, actor: Actor | None, rows: Sequence[dict[str, Any]]) -> str:
    """Every state that one submission came through; its id. A link's is offered wherever it stands in the list."""
    rows = [*rows, *_asked(store, rows, signed_in=actor is not None)]
    ids = [row["id"] for row in rows]
    if not ids:
        return ""
    submitters = {row["id"]: row["submitter"] for row in rows}
    chosen = shared.choose("What happened to", ids, "submission")
    whole = actor is not None and (actor.may("read everything") or actor.name == submitters[chosen])
    st.html(submission_board.events_table(Queue(store).events(chosen), whole=whole))
    return chosen


def _asked(store: Store, rows: Sequence[dict[str, Any]], *, signed_in: bool) -> list[dict[str, Any]]:
    """The submission that the address names, where it is none of `rows`."""
    asked = st.query_params.get("submission", "")
    if re.fullmatch(r"[\w-]{1,100}", asked, re.ASCII) is None or any(row["id"] == asked for row in rows):
        return []
    try:
        return submission_board.rows_of([Queue(store).get(asked)], signed_in=signed_in)
    except UnknownNameError:  # there is none: the box says so
        return []
