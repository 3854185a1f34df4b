"""Clients of schwab-py and Schwabdev 2, 3 and 4, as far as a bot meets them: what each has
in memory, what makes it look elsewhere, and what goes wrong then. None can refresh or log
in: a bot beside Tokenkeeper has no refresh token and no person.
"""

import datetime
import json
import queue
import sqlite3
import threading
import urllib.error
import urllib.request

UTC = datetime.timezone.utc
API = ""  # of the broker
AHEAD = datetime.timedelta()  # what their clocks show beyond the time


class Alone(Exception):
    """A library wants to refresh or to log in by itself."""


def now():
    return datetime.datetime.now(UTC) + AHEAD


def call(access_token):
    """A request to the broker's API: its status, and the token that was sent."""
    request = urllib.request.Request(API, headers={"Authorization": "Bearer " + access_token})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return answer.status, access_token
    except urllib.error.HTTPError as refused:
        return refused.code, access_token


class PyToken(dict):
    pass


class PySession:
    def __init__(self, token):
        self.token = PyToken(token)

    def ensure_active_token(self, token=None):
        raise Alone("schwab-py refreshes")


class PyAsyncSession(PySession):
    async def ensure_active_token(self, token=None):
        raise Alone("schwab-py refreshes")


class PyMetadata:
    """What a streamer sends, and the age of the login: set when the client is made, and
    whenever its session refreshes by itself."""

    def __init__(self, token, creation_timestamp):
        self.token, self.creation_timestamp = token, creation_timestamp


class Py:
    session_type = PySession

    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            document = json.load(f)
        self.session = self.session_type(document["token"])
        self.token_metadata = PyMetadata(document["token"], document["creation_timestamp"])

    def request(self):
        self.session.ensure_active_token(self.session.token)
        return call(self.session.token["access_token"])

    def stream(self):
        """Asks where the stream is, and logs in there."""
        self.request()
        return call(self.token_metadata.token["access_token"])


class PyAsync(Py):
    session_type = PyAsyncSession

    async def request(self):
        await self.session.ensure_active_token(self.session.token)
        return call(self.session.token["access_token"])

    async def stream(self):
        await self.request()
        return call(self.token_metadata.token["access_token"])


class Dev2Tokens:
    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            document = json.load(f)
        self.access_token, self.refresh_token = (document["token_dictionary"][name] for name in ("access_token", "refresh_token"))

    def update_tokens(self, force_access_token=False, force_refresh_token=False):
        raise Alone("Schwabdev 2 refreshes")

    update_access_token = update_refresh_token = update_tokens


class Dev2:
    """Its requests ask nobody. A thread looks after the tokens, every 30 seconds, in which
    nothing is caught: with the first exception it is gone."""

    def __init__(self, path):
        self.tokens = Dev2Tokens(path)
        self.turns, self.outcomes = queue.Queue(), queue.Queue()
        self.checks = True
        threading.Thread(target=self.checker, daemon=True).start()

    def checker(self):
        try:
            while self.turns.get():
                self.tokens.update_tokens()
                self.outcomes.put(True)
        finally:
            self.outcomes.put(False)

    def half_a_minute_passes(self):
        if self.checks:
            self.turns.put(True)
            self.checks = self.outcomes.get()

    def request(self):
        return call(self.tokens.access_token)


class Dev3Tokens:
    """The row of the database is read again only when the token in memory is about to end,
    or the login is in its last hour; then the database is locked while something is done.
    Version 3 forgets the lock if call_on_auth raises."""

    forgets_the_lock = True
    access_lives, login_lives = datetime.timedelta(minutes=30), datetime.timedelta(days=7)

    def __init__(self, path, call_on_auth):
        self._update_lock = threading.RLock()
        self._call_for_auth = call_on_auth
        self._conn = sqlite3.connect(path, check_same_thread=False)
        self._conn.execute("PRAGMA busy_timeout = 30000")
        self._load_tokens_from_db()
        self.update_tokens()

    def __del__(self):
        self._conn.close()  # so what could not be made leaves no lock

    def _load_tokens_from_db(self):
        row = self._conn.execute("SELECT access_token_issued, refresh_token_issued, access_token, refresh_token FROM schwabdev").fetchone()
        if row is None:
            return False
        self._access_token_issued, self._refresh_token_issued = (datetime.datetime.fromisoformat(text) for text in row[:2])
        self.access_token, self.refresh_token = row[2:]
        return True

    def update_tokens(self, force_access_token=False, force_refresh_token=False):
        if force_refresh_token or now() > self._refresh_token_issued + self.login_lives - datetime.timedelta(minutes=60.5):
            self.under_lock(lambda: self._refresh_token_issued, lambda: self._call_for_auth("https://broker"))
        elif force_access_token or now() > self._access_token_issued + self.access_lives - datetime.timedelta(seconds=61):
            self.under_lock(lambda: self._access_token_issued, lambda: None)  # what it sends is refused
        else:
            return False
        return True

    def under_lock(self, issued, otherwise):
        with self._update_lock:
            before = issued()
            try:
                self._conn.execute("BEGIN EXCLUSIVE")
            except sqlite3.Error:
                return  # it logs that, and goes on with what it has
            try:
                self._load_tokens_from_db()
                if issued() <= before:
                    otherwise()
            except Exception:
                if self.forgets_the_lock:
                    raise
            self._conn.rollback()


class Dev4Tokens(Dev3Tokens):
    forgets_the_lock = False


class Session:
    def __init__(self, access_token):
        self.headers = {"Authorization": "Bearer " + access_token}


class Dev3:
    """The header of its requests is set when the client is made, and by its own
    update_tokens alone, not by that of its tokens."""

    tokens_type = Dev3Tokens

    def __init__(self, path, call_on_auth):
        self.tokens = self.tokens_type(path, call_on_auth)
        self._session = Session(self.tokens.access_token)

    def update_tokens(self, force_access_token=False, force_refresh_token=False):
        changed = self.tokens.update_tokens(force_access_token, force_refresh_token)
        if changed:
            self._session.headers["Authorization"] = "Bearer " + self.tokens.access_token
        return changed

    def request(self):
        self.update_tokens()
        return call(self._session.headers["Authorization"][len("Bearer "):])

    def stream(self):
        self.tokens.update_tokens()
        return call(self.tokens.access_token)


class Dev4(Dev3):
    tokens_type = Dev4Tokens
