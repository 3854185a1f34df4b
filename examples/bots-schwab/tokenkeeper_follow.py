"""For bots that use schwab-py or Schwabdev: the client takes its tokens from where
Tokenkeeper writes them, and refreshes and logs in no more.

    from tokenkeeper_follow import follow_schwab_py, follow_schwabdev2, follow_schwabdev3

    client = schwab.auth.client_from_token_file("/var/lib/bots/schwab_py.json", key, secret)
    follow_schwab_py(client, "/var/lib/bots/schwab_py.json")

    client = schwabdev.Client(key, secret, tokens_file="/var/lib/bots/tokens.json")  # 2
    follow_schwabdev2(client, "/var/lib/bots/tokens.json")

    client = schwabdev.Client(key, secret, tokens_db="/var/lib/bots/tokens.db")  # 3 and 4
    follow_schwabdev3(client)

Where a file or the database can't be read, a client keeps what it has, and the log says so.
"""

import datetime
import inspect
import json
import logging
import os
import sqlite3

log = logging.getLogger(__name__)


def follow_schwab_py(client, path):
    """schwab-py, its asyncio client too. Before each request its session asks
    ensure_active_token, which would refresh with what is in memory."""
    session, news = client.session, _news(path)

    def look(*_args, **_kwargs):
        document = news()
        if document is not None:
            session.token = type(session.token)(document["token"])
            client.token_metadata.token = session.token  # which a streamer sends
            client.token_metadata.creation_timestamp = document["creation_timestamp"]
        return True

    async def look_async(*_args, **_kwargs):
        return look()

    session.ensure_active_token = look_async if inspect.iscoroutinefunction(session.ensure_active_token) else look
    look()


def follow_schwabdev2(client, path):
    """Schwabdev 2. Its thread calls update_tokens every 30 seconds, which would refresh
    with what is in memory, or ask for a login; and it ends with the first exception."""
    tokens, news = client.tokens, _news(path)

    def look(*_args, **_kwargs):
        document = news()
        if document is None:
            return False
        token = document["token_dictionary"]
        tokens.access_token = token["access_token"]
        tokens.refresh_token, tokens.id_token = token.get("refresh_token"), token.get("id_token")
        tokens._access_token_issued = datetime.datetime.fromisoformat(document["access_token_issued"])
        tokens._refresh_token_issued = datetime.datetime.fromisoformat(document["refresh_token_issued"])
        return True

    tokens.update_tokens = tokens.update_access_token = tokens.update_refresh_token = look
    look()


def follow_schwabdev3(client):
    """Schwabdev 3 and 4, their asyncio client too. Before each request they call
    update_tokens, which would look into the database only when the token in memory is
    about to end, and ask for a login in the last hour of one: version 3 forgets to unlock
    the database if there is none."""
    tokens, session = client.tokens, client._session

    def look(*_args, **_kwargs):
        try:
            with tokens._update_lock:
                tokens._load_tokens_from_db()
        except sqlite3.Error as fault:
            log.warning("the database can't be read, so the token of before stays: %s", fault)
        bearer = "Bearer " + tokens.access_token
        changed = session.headers.get("Authorization") != bearer
        session.headers["Authorization"] = bearer
        return changed

    tokens.update_tokens = look
    look()


def _news(path):
    """A function that reads the file if it is another one than the last time, which
    Tokenkeeper replaces as a whole; else it returns None. The first time it must be there."""
    known = None

    def news():
        nonlocal known
        try:
            with open(path, encoding="utf-8") as f:
                stat = os.fstat(f.fileno())
                now = (stat.st_ino, stat.st_mtime_ns)
                if now == known:
                    return None
                document = json.load(f)
        except (OSError, ValueError) as fault:
            if known is None:
                raise
            log.warning("%s can't be read, so the token of before stays: %s", path, fault)
            return None
        known = now
        return document

    return news
