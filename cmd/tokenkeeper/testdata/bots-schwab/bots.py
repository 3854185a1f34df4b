"""Bots on the clients of libraries.py, which do what a line from standard input says and
answer it with a line of JSON.

    bots.py FOLDER_OF_TOKENKEEPER_FOLLOW API SCHWAB_PY_FILE TOKENS_JSON TOKENS_DB
"""

import asyncio
import datetime
import json
import sqlite3
import sys

sys.path.insert(0, sys.argv[1])
import libraries
from libraries import Dev2, Dev3, Dev4, Py, PyAsync
from tokenkeeper_follow import follow_schwab_py, follow_schwabdev2, follow_schwabdev3

libraries.API, py_file, tokens_file, database = sys.argv[2:]


def nobody(_address):
    raise libraries.Alone("Schwabdev asks for a login")


py, py_async, dev2 = Py(py_file), PyAsync(py_file), Dev2(tokens_file)
dev3, dev4, left_alone = Dev3(database, nobody), Dev4(database, nobody), Dev3(database, nobody)
follow_schwab_py(py, py_file)
follow_schwab_py(py_async, py_file)
follow_schwabdev2(dev2, tokens_file)
follow_schwabdev3(dev3)
follow_schwabdev3(dev4)


def tried(request):
    try:
        return ["%d %s" % request()]
    except Exception as fault:
        return [repr(fault)]


def request():
    """What each bot that follows is answered, with which token."""
    dev2.half_a_minute_passes()
    said = {
        "schwab-py, stream": tried(py.stream), "schwab-py": tried(py.request),
        "schwab-py, asyncio, stream": tried(lambda: asyncio.run(py_async.stream())),
        "schwab-py, asyncio": tried(lambda: asyncio.run(py_async.request())),
        "Schwabdev 2": tried(dev2.request) if dev2.checks else ["its thread is gone"],
        "Schwabdev 3, stream": tried(dev3.stream), "Schwabdev 3": tried(dev3.request), "Schwabdev 4": tried(dev4.request),
    }
    for client in (py, py_async):
        assert type(client.session.token).__name__ == "PyToken" and "refresh_token" not in client.session.token
    assert py.token_metadata.creation_timestamp == py_async.token_metadata.creation_timestamp
    said["login"] = [str(py.token_metadata.creation_timestamp)]
    for tokens in (dev2.tokens, dev3.tokens, dev4.tokens):
        assert tokens._access_token_issued.tzinfo and tokens._refresh_token_issued.tzinfo and not tokens.refresh_token
    return said


def force():
    """A bot on Schwabdev 3 that does not follow, after a login."""
    said = tried(left_alone.request)
    left_alone.tokens.update_tokens(force_access_token=True)
    said += tried(left_alone.request)
    left_alone.update_tokens(force_access_token=True)
    return {"force": said + tried(left_alone.request)}


def last_hour():
    """The login is in its last hour: what becomes of the bots, and of the database's lock."""
    libraries.AHEAD = datetime.timedelta(days=6, hours=23, minutes=10)
    try:
        said = {"Schwabdev 3": tried(dev3.request), "Schwabdev 4": tried(dev4.request), "the database": locked()}
        said["Schwabdev 3 that does not follow"] = tried(left_alone.request) + locked()
        left_alone.tokens._conn.rollback()
        said["the database after a rollback"] = locked()
        said["Schwabdev 4 that does not follow"] = tried(lambda: Dev4(database, nobody).request()) + locked()
        said["Schwabdev 3 that is started"] = tried(lambda: Dev3(database, nobody).request()) + locked()
        return said
    finally:
        libraries.AHEAD = datetime.timedelta()


def locked():
    connection = sqlite3.connect(database, timeout=0, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        return []
    except sqlite3.OperationalError as fault:
        return [str(fault)]
    finally:
        connection.close()


for line in sys.stdin:
    print(json.dumps({"request": request, "force": force, "last hour": last_hour}[line.strip()]()), flush=True)
