"""Where a broker's answer is durable before anybody reads it.

A directory of slots, one for each attempt in flight, which belongs to one process
at a time. The layout is that of the Go SDK's package spool, so that "tokenkeeper
spool" shows what was put aside here, and a provider in Go could take over:

    slot  = header frame, padded with zeros to 4096 bytes | answer frame | zeros
    frame = magic (4 bytes) | length (4, big endian) | CRC-32C (4) | payload

A slot's room on the disk is taken before anything is sent. To free a slot is to
fill it with zeros. The file "index" has the spool's name and then each slot's file, on
a line of its own: one that is named there and is gone was removed by somebody, and may
have told of an attempt.
"""

import datetime
import errno
import fcntl
import json
import logging
import os
import secrets
import stat
import struct
import threading
import urllib.parse

HEADER, ANSWER = b"TKH1", b"TKA1"
ANSWER_AT = 4096
SLOT_SIZE = 64 << 10
LARGEST = 4 << 20  # of a payload
KEPT = 3  # unread answers of an account

log = logging.getLogger("plugin")

LOGINS = ("exchange", "login")  # kinds of attempts that begin a grant, and spend nothing of the one before


class Refused(Exception):
    """No slot can be had: nothing was sent, and nothing may be."""


class Spool:
    """The slots of a directory. It is safe for use by several threads."""

    def __init__(self, directory, slots):
        """Waits for a process before this one that still has the directory: it may
        be hearing an answer out."""
        self.directory = directory
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self._own = os.open(os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._own, fcntl.LOCK_EX)
        self.id = self._identify()
        self._lock = threading.Lock()
        self._used, self._free, self._next = {}, [], 0
        names = sorted(name for name in os.listdir(directory) if name.startswith("slot-"))
        self._names = set(names)  # of the slots that there are
        self._noted = self._read_index()  # as the index has them; None: there is none
        if not names or not self._names.issuperset(self._noted or ()):
            self.id = self._rename()  # somebody has removed one, or them all, or none was made yet
        for name in names:
            self._load(name)
        try:
            while len(self._free) < slots:
                self._free.append(self._make())
        except OSError:
            pass  # what stands here can be read all the same; begin tells what is wrong
        self._note_or_shed()
        for path in (directory, os.path.dirname(directory), os.path.dirname(os.path.dirname(directory))):
            _sync(path)

    def begin(self, spool, header):
        """The slot of an attempt, and whether it was there already. spool is the
        name of the spool that the attempt was announced for; "": any."""
        with self._lock:
            slot = self._used.get(header["attempt"])
            if slot is not None:
                return slot, True
            for other in self._used.values():
                beside = header["kind"] in LOGINS and other.header["kind"] not in LOGINS
                if other.header["account"] == header["account"] and not beside:
                    raise Refused("attempt %s of the account is not settled yet" % other.header["attempt"])
            if not self._here():
                raise Refused("the folder of the spool, %s, was removed or replaced" % self.directory)
            if spool and spool != self.id:
                raise Refused("the attempt was announced for another spool")
            try:
                slot = self._free.pop() if self._free else self._make()
                if not self._is_noted(slot):
                    self._note_with(slot)
                slot.put(dict(header, progress="ready", begun_at=_now()))
            except OSError as error:
                raise Refused("the spool can't be written: " + os.strerror(error.errno or errno.EIO))
            self._used[header["attempt"]] = slot
            return slot, False

    def unsettled(self):
        """The headers of the slots in use, the oldest first."""
        with self._lock:
            return sorted((s.header for s in self._used.values()), key=lambda header: header["begun_at"])

    def settle(self, attempt, keep):
        """Frees the slot of an attempt. With keep, an answer in it is put aside for
        a person instead; its path is returned then."""
        with self._lock:
            slot = self._used.get(attempt)
            if slot is None:
                return ""
            if keep and slot.answer is not None:
                return self._put_aside(slot)
            del self._used[attempt]
            try:
                slot.clear()
                self._free.append(slot)
            except OSError:
                self._discard(slot)  # it is found, and settled once more, at the next start otherwise
            self._note_or_shed()
            return ""

    def record(self, slot, answer):
        """Makes an answer durable, in a fresh file if the slot's own fails. After an
        error it is in memory alone."""
        slot.answer = answer
        slot.header = dict(slot.header, progress="answered")
        try:
            slot.write()
        except OSError:
            with self._lock:
                fresh = self._make()
                fresh.header, fresh.answer = slot.header, answer
                try:
                    fresh.write()
                except OSError:
                    self._discard(fresh)
                    raise
                self._used[slot.header["attempt"]] = fresh
                self._discard(slot)

    def _here(self):
        """Whether the directory is still where its path leads."""
        try:
            return os.path.samestat(os.stat(os.path.join(self.directory, "lock")), os.fstat(self._own))
        except OSError:
            return False

    def _identify(self):
        """The name of this spool, which a copy of the directory does not share: two
        numbers of the file system stand beside it, which no copy has."""
        path = os.path.join(self.directory, "id")
        try:
            with open(path, encoding="ascii") as f:
                name, mark = f.read(256).split()
                if mark == self._mark(f.fileno()):
                    return name
        except (OSError, ValueError):
            pass
        return self._rename()

    def _rename(self):
        """A name that this spool never had: what an attempt has come to can't be told
        any more from what stands here, or was never told."""
        path = os.path.join(self.directory, "id")
        name = secrets.token_hex(16)
        self._noted = None  # the index is of the name before
        try:
            self._replace(path, lambda fd: "%s %s\n" % (name, self._mark(fd)))
        except OSError:
            try:
                os.unlink(path)  # where the disk is full, the old one must not be found again
            except OSError:
                pass
            return ""  # nobody can name it
        return name

    def _replace(self, path, text):
        fresh = path + ".new"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8", errors="surrogateescape") as f:
            f.write(text(f.fileno()))
            f.flush()
            os.fsync(f.fileno())
        os.rename(fresh, path)

    def _read_index(self):
        """The slots that the index names; None: it can't be read, is not whole or is of
        another spool."""
        try:
            with open(os.path.join(self.directory, "index"), encoding="utf-8", errors="surrogateescape") as f:
                text = f.read(1 << 20)
        except (OSError, ValueError):
            return None
        lines = text.split("\n")
        if not self.id or lines[0] != self.id or lines[-1]:
            return None
        return set(lines[1:-1])

    def _note(self):
        """Brings the index up to date, durably."""
        if self.id and self._noted != self._names:
            text = "\n".join([self.id] + sorted(self._names)) + "\n"
            self._replace(os.path.join(self.directory, "index"), lambda _: text)
            _sync(self.directory)
            self._noted = set(self._names)

    def _is_noted(self, slot):
        """Whether the next process will miss its file if somebody removes it. Where there
        is no index, as before there were any, it misses none."""
        return self._noted is None or os.path.basename(slot.path) in self._noted

    def _note_with(self, slot):
        try:
            self._note()
        except OSError:
            self._discard(slot)
            raise

    def _note_or_shed(self):
        """Brings the index up to date. If that can't be done, no free slot stays that it
        does not name."""
        try:
            self._note()
        except OSError:
            for slot in [slot for slot in self._free if not self._is_noted(slot)]:
                self._free.remove(slot)
                self._discard(slot)

    def _discard(self, slot):
        slot.discard()
        self._names.discard(os.path.basename(slot.path))

    def _mark(self, fd):
        return "%d-%d" % (os.stat(self.directory).st_ino, os.fstat(fd).st_ino)

    def _make(self):
        path = os.path.join(self.directory, "slot-%03d" % self._next)
        self._next += 1
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        slot = Slot(path, fd)
        try:
            os.pwrite(fd, bytes(SLOT_SIZE), 0)
            os.fsync(fd)
            _sync(self.directory)
        except OSError:
            slot.discard()
            raise
        self._names.add(os.path.basename(path))
        return slot

    def _load(self, name):
        number = name[len("slot-"):]
        if number.isdigit():
            self._next = max(self._next, int(number) + 1)
        path = os.path.join(self.directory, name)
        if not stat.S_ISREG(os.lstat(path).st_mode):
            log.error("%s is no file, and so no slot of the spool; remove it", path)
            return
        # One that can't be read stops the spool: it may hold an answer, which the next
        # start may read, and without it the supervisor would take it that nothing was sent.
        slot = Slot(path, os.open(path, os.O_RDWR))
        try:
            content = os.pread(slot.fd, ANSWER_AT + 12 + LARGEST, 0)
        except OSError as error:
            os.close(slot.fd)
            raise OSError(error.errno, error.strerror, path)
        slot.header = _header(content)
        if slot.header is not None:
            attempt = slot.header["attempt"]
            slot.answer = _unframe(ANSWER, attempt.encode(), content[ANSWER_AT:])
            if slot.answer is not None:
                slot.header["progress"] = "answered"
            twin = self._used.get(attempt)  # of a death while a fresh file was made
            if twin is not None and slot.answer is None:
                self._discard(slot)
                return
            if twin is not None:
                self._discard(twin)
            self._used[attempt] = slot
        elif content.strip(b"\0"):  # damaged: it may hold an answer all the same, and is kept for a person
            log.error("%s is damaged, and is put aside; whose attempt it was of nobody knows", path)
            self.id = self._rename()
            os.close(slot.fd)
            os.rename(path, os.path.join(self.directory, "unread-%s-%d" % (name, secrets.randbits(32))))
            self._names.discard(name)
        elif len(content) < SLOT_SIZE:
            self._discard(slot)
        else:
            self._free.append(slot)

    def _put_aside(self, slot):
        attempt, account = slot.header["attempt"], slot.header["account"]
        path = os.path.join(self.directory, "unread-" + urllib.parse.quote(attempt, safe=""))
        os.rename(slot.path, path)
        self._names.discard(os.path.basename(slot.path))
        os.close(slot.fd)
        del self._used[attempt]
        self._note_or_shed()
        self._thin_out(account)
        return path

    def _thin_out(self, account):
        """Removes all but the newest unread answers of an account."""
        ours = []
        for name in os.listdir(self.directory):
            if name.startswith("unread-"):
                path = os.path.join(self.directory, name)
                with open(path, "rb") as f:
                    header = _header(f.read(ANSWER_AT)) or {}
                if header.get("account") == account:
                    ours.append((header["begun_at"], path))
        for _, path in sorted(ours)[:-KEPT]:
            os.unlink(path)


def _header(content):
    """What a slot says of its attempt; None: nothing that can be read."""
    payload = _unframe(HEADER, b"", content)
    try:
        header = json.loads(payload) if payload is not None else None
    except ValueError:
        return None
    return header if isinstance(header, dict) and isinstance(header.get("attempt"), str) else None


class Slot:
    """The place of one attempt."""

    def __init__(self, path, fd):
        self.path, self.fd = path, fd
        self.header, self.answer = None, None

    def advance(self, progress):
        """Notes how far the attempt came. It matters after the death of a process,
        which the page cache survives, and so is not synced."""
        self.put(dict(self.header, progress=progress))

    def put(self, header):
        _write(self.fd, _padded(header))
        self.header = header

    def write(self):
        """Puts header and answer onto the disk with one sync."""
        frame = _frame(ANSWER, self.header["attempt"].encode(), self.answer)
        _write(self.fd, _padded(self.header) + frame)
        os.fdatasync(self.fd)

    def clear(self):
        used = ANSWER_AT + (12 + len(self.answer) if self.answer is not None else 0)
        _write(self.fd, bytes(used))
        self.header, self.answer = None, None

    def discard(self):
        os.close(self.fd)
        try:
            os.unlink(self.path)
        except OSError:
            pass


def _write(fd, content):
    if os.pwrite(fd, content, 0) != len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _padded(header):
    frame = _frame(HEADER, b"", json.dumps(header).encode())
    if len(frame) > ANSWER_AT:
        raise Refused("the attempt's description is longer than a slot's header")
    return frame.ljust(ANSWER_AT, b"\0")


def _frame(magic, bind, payload):
    return magic + struct.pack(">II", len(payload), _crc32c(bind + payload)) + payload


def _unframe(magic, bind, content):
    """The payload of a whole frame, or None. The answer's checksum covers the
    attempt's id (bind), so that an old answer under a new header is none."""
    if len(content) < 12 or content[:4] != magic:
        return None
    length, checksum = struct.unpack(">II", content[4:12])
    payload = content[12:12 + length]
    if length > LARGEST or len(payload) != length or _crc32c(bind + payload) != checksum:
        return None
    return payload


def _castagnoli():
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


_TABLE = _castagnoli()


def _crc32c(content):
    crc = 0xFFFFFFFF
    for byte in content:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _sync(directory):
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return  # what we may not read is not of our making
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
