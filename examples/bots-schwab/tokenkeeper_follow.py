"""For bots that use schwab-py or Schwabdev 2: the client takes its tokens from the file
that Tokenkeeper writes, and refreshes and logs in no more.

    from tokenkeeper_follow import follow_schwab_py, follow_schwabdev2

    client = schwab.auth.client_from_token_file("/var/lib/bots/schwab_py.json", key, secret)
    follow_schwab_py(client, "/var/lib/bots/schwab_py.json")

    client = schwabdev.Client(key, secret, tokens_file="/var/lib/bots/tokens.json")
    follow_schwabdev2(client, "/var/lib/bots/tokens.json")

Schwabdev 3 needs nothing of the kind: it reads its database before it refreshes.
"""

import datetime
import inspect
import json
import os


def follow_schwab_py(client, path):
    """schwab-py, its asyncio client too. Before each request its session asks
    ensure_active_token, which would refresh with what is in memory."""
    session, news = client.session, _news(path)

    def look(*_args, **_kwargs):
        document = news()
        if document is not None:
            session.token = type(session.token)(document["token"])
        return True

    async def look_async(*_args, **_kwargs):
        return look()

    session.ensure_active_token = look_async if inspect.iscoroutinefunction(session.ensure_active_token) else look
    look()


def follow_schwabdev2(client, path):
    """Schwabdev 2. Its thread calls update_tokens every 30 seconds, which would refresh
    with what is in memory, or ask for a login."""
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


def _news(path):
    """A function that reads the file if it is another one than the last time, which
    Tokenkeeper replaces as a whole; else it returns None."""
    known = None

    def news():
        nonlocal known
        with open(path, encoding="utf-8") as f:
            stat = os.fstat(f.fileno())
            now = (stat.st_ino, stat.st_mtime_ns)
            if now == known:
                return None
            document = json.load(f)
        known = now
        return document

    return news
