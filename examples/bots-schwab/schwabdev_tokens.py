#!/usr/bin/python3
"""Writes a token where Schwabdev looks for it: tokens.json of version 2, or the
SQLite database tokens.db of versions 3 and 4. It is the command of a sink of type exec:

    schwabdev_tokens.py FILE            takes a token in our JSON from standard input
    schwabdev_tokens.py --print FILE    prints what FILE holds, for "tokenkeeper import"

A file that ends in .json is version 2's, every other one that of 3 and 4. What Schwabdev
has put there is not written over if it is newer: a token that a bot has refreshed
stays, and so does a login that a bot has made. What was printed is not shown by the
sink, which can't know that it holds no token, but the exit code is:

    1   FILE can't be read or written, or is of another program
    3   FILE holds a newer login, which a bot has made
    4   FILE is encrypted

It needs Python's standard library alone.
"""

import contextlib
import datetime
import json
import os
import sqlite3
import sys
import tempfile

COLUMNS = ("access_token_issued", "refresh_token_issued", "access_token", "refresh_token",
           "id_token", "expires_in", "token_type", "scope")
# Schwabdev 3 and 4, schwabdev/tokens.py; they make the table only if there is none.
TABLE = """
CREATE TABLE IF NOT EXISTS schwabdev (
    access_token_issued TEXT NOT NULL,
    refresh_token_issued TEXT NOT NULL,
    access_token TEXT NOT NULL,
    refresh_token TEXT NOT NULL,
    id_token TEXT NOT NULL,
    expires_in INTEGER,
    token_type TEXT,
    scope TEXT
);
"""
BUSY_SECONDS = 7  # a bot locks the database while it refreshes; the sink has 10


class Refused(Exception):
    """What is printed, and the exit code."""


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--print":
        rows = [row for row in [place_of(arguments[1]).read()] if row]
        if not rows:
            raise Refused("%s holds no token" % arguments[1], 1)
        json.dump(rows, sys.stdout)
        return
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise Refused(__doc__, 2)
    message = json.load(sys.stdin)
    place = place_of(arguments[0])
    with place.locked():
        # A test brings no token that is to be stored.
        if os.environ.get("TOKENKEEPER_EVENT") != "test" and not message.get("test"):
            deliver(message, place)


def deliver(message, place):
    old, new = place.read() or {}, row_of(message)
    if any((old.get(name) or "").startswith("enc:") for name in ("access_token", "refresh_token")):
        raise Refused("%s is encrypted: stop the bot, remove the file, and start the bot without encryption" % place.path, 4)
    if not message.get("login_at"):  # nobody here knows when the login was made
        new["refresh_token_issued"] = old.get("refresh_token_issued") or new["access_token_issued"]
    elif made_by_a_bot(old, new):
        # It ends the login before, as Schwab does, so ours is of no use to anybody.
        raise Refused("%s holds a newer login, which a bot has made; take it: %s --print %s | tokenkeeper import %s - --force"
                      % (place.path, os.path.abspath(sys.argv[0]), place.path, message.get("account", "ACCOUNT")), 3)
    issued = moment(old.get("access_token_issued"))
    ahead = issued > datetime.datetime.now(UTC) + datetime.timedelta(minutes=1)  # of a clock that was wrong: it is not newer
    # A bot's own token, imported since, comes back without its refresh token, and with a time in whole seconds.
    if ahead or issued <= moment(new["access_token_issued"]) or old.get("access_token") == new["access_token"]:
        place.write(new)


def made_by_a_bot(old, new):
    """Whether old is a newer login than new. One without a refresh token, or with ours, is
    our own, whose time has been set right since."""
    later = moment(old.get("refresh_token_issued")) > moment(new["refresh_token_issued"]) + datetime.timedelta(minutes=1)
    return later and old.get("refresh_token") not in (None, "", new["refresh_token"])


def row_of(message):
    """Our JSON as Schwabdev keeps it: times in UTC."""
    issued, expires = moment(message.get("issued_at")), moment(message.get("expires"))
    if issued == NEVER:
        issued = expires - datetime.timedelta(minutes=30) if expires != NEVER else datetime.datetime.now(UTC)
    return {
        "access_token_issued": issued.isoformat(),
        "refresh_token_issued": moment(message["login_at"]).isoformat() if message.get("login_at") else issued.isoformat(),
        "access_token": message["access_token"],
        # Empty where the sink has no include_refresh_token: a bot can then spend nothing.
        "refresh_token": message.get("refresh_token", ""),
        "id_token": message.get("id_token", ""),
        "expires_in": int((expires - issued).total_seconds()) if expires != NEVER else 1800,
        "token_type": message.get("token_type", "Bearer"),
        "scope": message.get("scope", "api"),
    }


UTC = datetime.timezone.utc
NEVER = datetime.datetime.min.replace(tzinfo=UTC)


def moment(text):
    if not text:
        return NEVER
    parsed = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)  # as Schwabdev reads it


def place_of(path):
    return TokensFile(path) if path.endswith(".json") else Database(path)


class Database:
    """tokens.db of Schwabdev 3 and 4, which lock it for as long as they refresh."""

    def __init__(self, path):
        self.path = path

    def locked(self):
        if not os.path.exists(self.path):
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
        self.connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        self.connection.execute("BEGIN EXCLUSIVE")
        self.connection.execute(TABLE)
        return self

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.connection.execute("COMMIT" if kind is None else "ROLLBACK")
        self.connection.close()

    def read(self):
        connection = getattr(self, "connection", None)
        if connection is None:
            if not os.path.exists(self.path):
                return None
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS)
        row = connection.execute("SELECT %s FROM schwabdev LIMIT 1" % ", ".join(COLUMNS)).fetchone()
        return dict(zip(COLUMNS, row)) if row else None

    def write(self, row):
        self.connection.execute("DELETE FROM schwabdev")
        self.connection.execute("INSERT INTO schwabdev (%s) VALUES (?, ?, ?, ?, ?, ?, ?, ?)" % ", ".join(COLUMNS),
                                [row[column] for column in COLUMNS])


class TokensFile:
    """tokens.json of Schwabdev 2, which writes it in place and locks nothing."""

    def __init__(self, path):
        self.path = path

    def locked(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def read(self):
        try:
            with open(self.path, encoding="utf-8", errors="replace") as f:
                text = f.read()
        except FileNotFoundError:
            return None
        try:
            document = json.loads(text)
            return {**document["token_dictionary"], "access_token_issued": document["access_token_issued"],
                    "refresh_token_issued": document["refresh_token_issued"]}
        except (ValueError, KeyError, TypeError) as fault:
            if isinstance(fault, ValueError) and text[:1] in ("", "{"):
                return None  # a bot that died has left a part of it
            raise Refused("%s is not the layout of Schwabdev 2, and stays as it is; name another file, or move this one away" % self.path, 1)

    def write(self, row):
        times = ("access_token_issued", "refresh_token_issued")
        document = {name: row[name] for name in times}
        document["token_dictionary"] = {name: value for name, value in row.items() if name not in times}
        folder = os.path.dirname(os.path.abspath(self.path))
        fd, fresh = tempfile.mkstemp(dir=folder, prefix=".tokens.")  # mode 0600
        try:
            with open(fd, "w", encoding="utf-8") as f:
                json.dump(document, f, ensure_ascii=False, indent=4)
                f.flush()
                os.fsync(f.fileno())
            if os.path.exists(self.path):
                kept, made = os.stat(self.path), os.stat(fresh)  # whose folder may give a group of its own
                os.chmod(fresh, kept.st_mode & 0o7777)
                if (kept.st_uid, kept.st_gid) != (made.st_uid, made.st_gid):
                    self.give(fresh, kept)
            os.rename(fresh, self.path)
        except BaseException:
            os.unlink(fresh)
            raise
        with contextlib.suppress(PermissionError):  # a folder that can't be read can't be synced
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def give(self, fresh, kept):
        try:
            os.chown(fresh, kept.st_uid, kept.st_gid)
        except PermissionError:
            raise Refused("%s belongs to user %d and group %d, and a new one can't be given to them; let the sink run as that user, or give the file to it"
                          % (self.path, kept.st_uid, kept.st_gid), 1)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Refused as refused:
        text, code = refused.args
        print(text, file=sys.stderr)
        sys.exit(code)
    except (OSError, sqlite3.Error) as fault:
        sys.exit("%s can't be read or written: %s" % (sys.argv[-1], fault))
