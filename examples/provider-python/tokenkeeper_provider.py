"""What every Tokenkeeper provider in Python needs, on top of tokenkeeper_plugin.

A provider is a subclass of Provider, which words the one request of an attempt and
reads its answer; serve() runs it. What lies between is here, so that no provider
can do it otherwise: the attempt is noted in the spool, ONE request is made, without
redirects, and the answer's bytes are on the disk before read() sees them. An
attempt that is called again, also after the death of the process, is answered from
the spool by the same read().
"""

import datetime
import email.utils
import http.client
import ipaddress
import json
import logging
import os
import re
import resource
import socket
import ssl
import struct
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import grpc
import tokenkeeper_plugin
from tokenkeeper_locks import Locks
from tokenkeeper_spool import Refused, Spool

CONTRACT = tokenkeeper_plugin.Contract("provider_v1.protoset", "tokenkeeper.provider.v1.Provider")
TOKEN = CONTRACT.message("tokenkeeper.provider.v1.Token")
FAILURE = CONTRACT.message("tokenkeeper.provider.v1.Failure")
STATUS = CONTRACT.message("google.rpc.Status")

log = logging.getLogger("plugin")

ANSWER_LIMIT = 1 << 20
ATTEMPT_SECONDS = 60  # of one for which the supervisor names no deadline
OVERDUE_SECONDS = 3  # after its deadline an attempt is not waited for any longer
LONGEST = 366 * 24 * 3600  # that a token is believed to live


class Failure(Exception):
    """A call failed. kind is one of those in provider.proto. The text is for people
    and logs: it must hold no secret, and of an answer at most the OAuth error code."""

    def __init__(self, kind, text, retry_after=0, http_status=0, oauth_error="", unread=False):
        super().__init__(text)
        self.kind, self.retry_after, self.http_status = kind, retry_after, http_status
        self.oauth_error, self.unread = oauth_error, unread


class Post:
    """The one request of an attempt: a form that is posted to url."""

    def __init__(self, url, form, headers=()):
        self.url, self.form, self.headers = url, form, dict(headers)


class Answer:
    """What the token endpoint sent, as it stands in the spool. incomplete says why the
    body is not whole; "": it is."""

    def __init__(self, status, received, date, retry_after, body, incomplete="", content_type=""):
        self.status, self.received, self.date = status, received, date
        self.retry_after, self.body, self.incomplete = retry_after, body, incomplete
        self.content_type = content_type

    def succeeds(self):
        return 200 <= self.status < 300

    def is_page(self):
        """Whether it calls itself HTML."""
        return self.content_type.partition(";")[0].strip().lower() == "text/html"

    def skew(self):
        """By how many seconds the server's clock is ahead of ours; 0: it does not say."""
        try:
            return int(email.utils.parsedate_to_datetime(self.date).timestamp()) - self.received[0]
        except (TypeError, ValueError, OverflowError):
            return 0

    def fields(self):
        """The members of the JSON object that it is; {} of anything else."""
        try:
            fields = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return fields if isinstance(fields, dict) else {}

    def may_hold_token(self):
        """Whether a refresh token may stand in it by another name, or in what is no
        JSON. A page is no token endpoint's answer."""
        try:
            value = json.loads(self.body)
            return _refresh_token_in(value, False) or isinstance(value, str) and _bare_token(value)
        except (ValueError, RecursionError):
            try:
                text = self.body.decode().strip()
            except UnicodeDecodeError:  # compressed, or in another way no text
                return True
            if re.search(r"[\x00-\x08\x0e-\x1f]", text):
                return True
            return not text.startswith("<") and ("refresh" in text.lower() or _bare_token(text))


def _bare_token(text):
    """Whether a text that is the whole answer may be a token, by the rule of the Go SDK
    (sdk/oauth/mayhold.go): one by its form (RFC 7519), a long word of letters and digits, or
    a shorter one in letters of both cases, unless its digits are all at its end, as in what
    a fault is called. The numbers of requests are as long, and in letters of one case."""
    if re.fullmatch(r"(?a)eyJ[\w-]{6,}\.[\w-]{8,}\.[\w-]*", text):
        return True
    if re.fullmatch(r"[A-Za-z0-9_~+-]{40,}=*", text):
        return re.search(r"[0-9]", text) is not None and re.search(r"[A-Za-z]", text) is not None
    return (re.fullmatch(r"[A-Za-z0-9_~+-]{24,39}=*", text) is not None and not re.fullmatch(r"[A-Za-z_-]*[0-9]*", text)
            and re.search(r"[A-Z]", text) is not None and re.search(r"[a-z]", text) is not None)


def _refresh_token_in(value, named):
    if isinstance(value, dict):
        return any(_refresh_token_in(v, named or "refresh" in name.lower() and "expir" not in name.lower()) for name, v in value.items())
    if isinstance(value, list):
        return any(_refresh_token_in(v, named) for v in value)
    return isinstance(value, str) and named and re.fullmatch(r"(?=.*[0-9])(?=.*[A-Za-z])[!-~]{16,}", value) is not None and "://" not in value


class Provider:
    """One broker. Each method gets a message of provider.proto, where the rules
    stand. Calls come at the same time, in threads of their own, and everything that
    they need comes with them: a provider keeps nothing. exchange and auth_code_url
    are for logging a person in, and optional together."""

    name = ""
    version = ""
    settings = ()  # dicts with name, description, default_value, required, one_of, secret, steers, server
    # How the broker treats tokens, see Policy in provider.proto; durations in seconds.
    policy = {}

    def refresh(self, request):
        """Returns the Post that spends request.token.refresh_token."""
        raise NotImplementedError

    exchange = auth_code_url = None

    def read(self, account, answer):
        """Makes a token of an answer, or raises Failure. It is given answers out of
        the spool too, and must come to the same each time. This one reads those of
        RFC 6749."""
        fields = answer.fields()
        if answer.succeeds():
            try:
                return self.token(account, answer, fields)
            except Failure:
                if not self.error(answer, fields):
                    raise
        raise self.refusal(account, answer, fields)

    def token(self, account, answer, fields):
        """A success. One in which no token is found, or can't be, is not known to
        have left the refresh token as it was."""
        access, refresh = _text(fields, "access_token"), _text(fields, "refresh_token")
        if not access and not refresh:
            raise Failure("ambiguous", "account %s: the answer has status %d and no token that can be read" % (account.name, answer.status),
                          http_status=answer.status, unread=answer.may_hold_token())
        token = TOKEN(access_token=access, refresh_token=refresh, token_type=_text(fields, "token_type"),
                      scope=_text(fields, "scope"), id_token=_text(fields, "id_token"))
        token.issued_at.seconds, token.issued_at.nanos = answer.received
        lifetime = _seconds(fields.get("expires_in"))
        token.skew.seconds = answer.skew()
        token.uncertain = lifetime == 0
        token.lifetime.seconds = lifetime or self.policy.get("access_lifetime", 0)
        token.refresh_lifetime.seconds = max(_seconds(fields.get("refresh_token_expires_in")), 0)
        return token

    # Error codes of RFC 6749, section 5.2, and what they say; of any other nothing
    # follows for the refresh token.
    kinds = {"invalid_grant": "invalid_grant", "invalid_client": "invalid_client", "unauthorized_client": "invalid_client"}
    # The statuses that errors have. Some servers send them under those of a success.
    error_statuses = (400, 401)

    def error(self, answer, fields):
        """The code of the error that an answer without a token is; "": it is none."""
        code = fields.get("error")
        if not isinstance(code, str) or answer.is_page() or not (answer.succeeds() or answer.status in self.error_statuses):
            return ""
        return code if code in self.kinds or re.fullmatch(r"[a-z_]{1,48}", code) else ""

    def refusal(self, account, answer, fields):
        """Anything else than a token. Only a parsed OAuth error, which no page and
        no proxy sends, says that a refresh token is dead."""
        code = self.error(answer, fields)
        kind = self.kinds.get(code)
        if kind is None:
            code, kind = "", "rate_limited" if answer.status == 429 or answer.retry_after else "transient"
        text = "account %s: the broker answers with status %d%s" % (account.name, answer.status, code and ", " + code)
        return Failure(kind, text, answer.retry_after if kind == "rate_limited" else 0, answer.status, code)


def serve(provider):
    """Runs the provider until the supervisor ends the process."""
    tokenkeeper_plugin.hosted("provider", 'Name it in "command:" of a provider')
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold tokens
    ending = threading.Event()
    locks = Locks()
    attempts = Attempts(provider, locks)
    calls = {
        "Describe": lambda _, response: _describe(provider, response),
        "Ping": lambda *_: None,
        "Refresh": lambda request, response: attempts.make("refresh", request, response, provider.refresh),
        "Unsettled": lambda _, response: attempts.unsettled(response),
        "Settle": attempts.settle,
    }
    if provider.exchange is not None:
        calls["Exchange"] = lambda request, response: attempts.make("exchange", request, response, provider.exchange)
        calls["AuthCodeURL"] = lambda request, response: setattr(response, "url", provider.auth_code_url(request))
    server = tokenkeeper_plugin.serve(CONTRACT, {name: _answer(call) for name, call in calls.items()}, ending)
    try:
        with locks.offered(os.environ.get("TOKENKEEPER_SPOOL_DIR", "")):
            ended = attempts.drain()
    except Exception as fault:  # locks that can't be handed over cost no answer that is on its way
        tokenkeeper_plugin.tell_fault("provider", fault)
        ended = attempts.drain()
    if not ended:
        log.error("the process ends although an attempt has not, after its deadline")
    server.stop(1).wait()  # the answers of the last calls are on their way
    os._exit(0)  # whatever still waits for anything


def _describe(provider, response):
    response.name, response.version = provider.name, provider.version
    for setting in provider.settings:
        response.settings.add(**setting)
    for key, value in provider.policy.items():
        if key in ("rotates", "sliding", "pkce", "old_access_dies", "old_access_lives", "client_first"):
            setattr(response.policy, key, value)
        else:
            getattr(response.policy, key).seconds = value
    response.authorizer = response.exchange_beside = provider.exchange is not None


# The status code is for those who do not read the Failure.
CODES = {
    "invalid_grant": grpc.StatusCode.UNAUTHENTICATED,
    "invalid_client": grpc.StatusCode.PERMISSION_DENIED,
    "rate_limited": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "ambiguous": grpc.StatusCode.DATA_LOSS,
}


def fail(context, failure):
    """Ends a call with a failure: as a google.rpc.Status, with the Failure as its
    detail, in the trailing metadata grpc-status-details-bin."""
    code = CODES.get(failure.kind, grpc.StatusCode.UNAVAILABLE)
    detail = FAILURE(
        kind=failure.kind, message=str(failure), http_status=failure.http_status,
        oauth_error=failure.oauth_error, unread=failure.unread,
    )
    if failure.retry_after:
        detail.retry_after.seconds = failure.retry_after
    status = STATUS(code=code.value[0], message=str(failure))
    status.details.add(
        type_url="type.googleapis.com/tokenkeeper.provider.v1.Failure", value=detail.SerializeToString(),
    )
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.set_code(code)
    context.set_details(str(failure))


def _answer(call):
    def answer(request, response, context):
        try:
            call(request, response)
        except Failure as failure:
            fail(context, failure)
        except Exception as fault:
            fail(context, Failure("transient", tokenkeeper_plugin.tell_fault("provider", fault)))

    return answer


class Attempt:
    """One attempt of this process. What came of it stays until it is settled, so
    that the same call gets the same answer also where the disk did not keep it."""

    def __init__(self):
        self.over = threading.Event()
        self.response = self.failure = None


class Attempts:
    """Everything that uses the spool."""

    def __init__(self, provider, locks):
        self.provider, self.locks = provider, locks
        self.changed = threading.Condition()
        self.known, self.in_flight, self.last, self.closed = {}, 0, 0.0, False
        self.opened = threading.Event()
        self._spool = self._fault = None
        threading.Thread(target=self._open, daemon=True).start()  # it may have to wait

    def _open(self):
        try:
            directory = os.environ.get("TOKENKEEPER_SPOOL_DIR")
            if not directory:
                raise OSError("TOKENKEEPER_SPOOL_DIR is not set: no refresh token is spent without a spool")
            slots = os.environ.get("TOKENKEEPER_SPOOL_SLOTS", "")
            self._spool = Spool(directory, max(int(slots) if slots.isdigit() else 1, 1))
        except OSError as error:
            self._fault = "the spool can't be opened: " + str(error)
        finally:
            self.opened.set()

    def spool(self, kind):
        self.opened.wait()
        if self._spool is None:
            raise Failure(kind, self._fault or "the spool can't be read")
        return self._spool

    def make(self, kind, request, response, word):
        """Makes an attempt, or gives its outcome once more. It runs in the thread of
        the call that came first, which no end of that call ends."""
        attempt, account = request.attempt, request.account
        if not attempt.id or not account.name:
            raise Failure("not_sent", "the request names no attempt or no account")
        self.locks.claim(attempt.id)
        with self.changed:
            mine = self.known.get(attempt.id)
            first = mine is None
            if first:
                if self.closed:
                    self.locks.give_back(attempt.id)
                    raise Failure("not_sent", "the provider's process is ending")
                mine = self.known[attempt.id] = Attempt()
                self.in_flight += 1
                left = attempt.deadline.seconds + attempt.deadline.nanos / 1e9 - time.time() if attempt.HasField("deadline") else ATTEMPT_SECONDS
                deadline = time.monotonic() + left
                self.last = max(self.last, deadline)
        if first:
            self._run(mine, kind, request, type(response)(), word, deadline)
        mine.over.wait()
        if mine.failure is not None:
            self.locks.give_back(attempt.id)
            raise mine.failure
        response.CopyFrom(mine.response)

    def _run(self, mine, kind, request, response, word, deadline):
        sent = []  # what a fault may have left open
        try:
            self._once(kind, request, response, word, deadline, sent)
            mine.response = response
        except Failure as failure:
            mine.failure = failure
        except Exception as fault:
            mine.failure = Failure("ambiguous" if sent else "not_sent", tokenkeeper_plugin.tell_fault("provider", fault))
        finally:
            mine.over.set()
            with self.changed:
                self.in_flight -= 1
                self.changed.notify_all()

    def _once(self, kind, request, response, word, deadline, sent):
        attempt, account = request.attempt, request.account
        spool = self.spool("not_sent")
        header = {"attempt": attempt.id, "account": account.name, "kind": kind,
                  "version": attempt.version, "fingerprint": attempt.fingerprint}
        try:
            slot, known = spool.begin(attempt.spool, header)
        except Refused as refused:
            raise Failure("not_sent", "account %s: %s" % (account.name, refused))
        if slot.answer is not None:
            sent.append(True)
            response.recovered = True
        elif known and slot.header["progress"] != "ready":
            raise Failure("ambiguous", "an earlier process died during this attempt, begun %s, before an answer came" % slot.header["begun_at"])
        else:
            post = word(request)

            def leaves():
                slot.advance("sent")
                sent.append(True)

            answer = _send(account.name, post, deadline, leaves, sent)
            try:
                spool.record(slot, answer)
            except OSError as error:
                response.spool_fault = "the spool can't be written: " + (error.strerror or "unknown fault")
                log.error("account %s: the broker's answer is held in memory alone", account.name)
        answer = _decode(slot.answer)
        if answer.incomplete:
            raise Failure("ambiguous", "account %s: the answer has status %d and is not whole: %s" % (account.name, answer.status, answer.incomplete),
                          http_status=answer.status, unread=200 <= answer.status < 300 and answer.may_hold_token())
        response.token.CopyFrom(self.provider.read(account, answer))

    def unsettled(self, response):
        spool = self.spool("transient")
        response.spool = spool.id
        for header in spool.unsettled():
            entry = response.entries.add(
                attempt=header["attempt"], account=header["account"], kind=header["kind"], version=header["version"],
                fingerprint=header.get("fingerprint", ""), progress=header["progress"],
            )
            entry.begun_at.seconds, entry.begun_at.nanos = _moment(header["begun_at"])

    def settle(self, request, response):
        spool = self.spool("transient")
        with self.changed:
            mine = self.known.get(request.attempt)
        if mine is not None and not mine.over.is_set():
            raise Failure("transient", "attempt %s is still under way and can't be settled" % request.attempt)
        failure = mine.failure if mine is not None else None
        # One that comes from reading an answer has the answer's status; any other, as a
        # fault of ours, says nothing of what the answer holds.
        keep = failure is not None and (failure.unread or not failure.http_status)
        response.kept = spool.settle(request.attempt, keep)
        with self.changed:
            self.known.pop(request.attempt, None)
        self.locks.give_back(request.attempt)
        if response.kept:
            log.error("an answer of the broker that nobody could read was put aside: %s", response.kept)

    def drain(self):
        """Lets nothing begin any more and waits for what is in flight, as far as that
        minds its deadline. It returns whether all has ended."""
        with self.changed:
            self.closed = True
            while self.in_flight:
                left = self.last + OVERDUE_SECONDS - time.monotonic()
                if left <= 0:
                    return False
                self.changed.wait(left)
        return True


def _send(account, post, deadline, leaves, sent):
    """Makes the one request and returns the answer as it is spooled. leaves is called
    when the connection stands, right before anything of the request is sent."""
    address = urllib.parse.urlsplit(post.url)
    host, here = address.netloc.rpartition("@")[2], _stays_here(address.hostname)
    # TLS (RFC 6749, section 3.2), or what does not leave this machine.
    if not address.hostname or address.scheme != "https" and not (address.scheme == "http" and here):
        raise Failure("not_sent", "account %s: nothing was sent: the address of the token endpoint must begin with https:// "
                      "(http:// is allowed to this machine alone); correct the configuration" % account)
    left = deadline - time.monotonic()
    cut = None

    def connected(connection):
        nonlocal cut
        if time.monotonic() >= deadline:  # addresses that do not answer, and looking them up, know no deadline
            raise TimeoutError
        leaves()
        # At the deadline nobody waits any more, however slowly the answer drips.
        cut = threading.Timer(max(deadline - time.monotonic(), 0), _shut, [connection.sock])
        cut.daemon = True
        cut.start()

    try:
        if left <= 0:
            raise TimeoutError
        request = urllib.request.Request(post.url, urllib.parse.urlencode(post.form).encode(), {
            "Accept": "application/json", "Accept-Encoding": "identity", **post.headers,
        }, method="POST")
        try:
            response = _opener(connected, deadline, here).open(request, timeout=left)
        except urllib.error.HTTPError as refusal:  # an answer like any other
            response = refusal
        with response:
            return _encode(response, *_body(response))
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = _worded(getattr(error, "reason", error))
        if sent:
            raise Failure("ambiguous", "account %s: the request was sent to %s and no whole answer came: %s" % (account, host, why))
        raise Failure("not_sent", "account %s: nothing was sent to %s: %s" % (account, host, why))
    finally:
        if cut is not None:
            cut.cancel()


def _opener(connected, deadline, here):
    """One that makes one request: it follows no redirect, which would take the
    refresh token elsewhere, and keeps no connection. Proxies come from the
    environment; what stays here goes by none."""

    def telling(connection):
        class Telling(connection):
            def connect(self):
                # It holds for each of the host's addresses: the next ones get their turn.
                self.timeout = max((deadline - time.monotonic()) / 4, 0.1)
                super().connect()
                self.sock.settimeout(max(deadline - time.monotonic(), 0.1))
                connected(self)

        return Telling

    class Plain(urllib.request.HTTPHandler):
        def http_open(self, request):
            return self.do_open(telling(http.client.HTTPConnection), request)

    class Secure(urllib.request.HTTPSHandler):
        def https_open(self, request):
            return self.do_open(telling(http.client.HTTPSConnection), request, context=ssl.create_default_context())

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    return urllib.request.build_opener(Plain, Secure, Stay, urllib.request.ProxyHandler({} if here else None))


def _stays_here(name):
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or str(name).endswith(".localhost")  # RFC 6761 keeps them off the network


def _worded(fault):
    """Why a request failed, in words that no server chooses."""
    proxy = re.match(r"Tunnel connection failed: (\d{3})", str(fault))
    if proxy:
        return "the proxy answers with status " + proxy.group(1)
    if isinstance(fault, http.client.IncompleteRead):
        return "the connection was closed"
    if isinstance(fault, TimeoutError):
        return "its time was over"
    return getattr(fault, "strerror", None) or type(fault).__name__


def _shut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def _body(response):
    """As much of the body as came and may be read, and why it is not whole; "": it is."""
    body, length = b"", getattr(response, "length", None)  # None: it ends with the connection, or says its end itself
    try:
        while len(body) <= ANSWER_LIMIT and len(body) != length:
            part = response.read1(ANSWER_LIMIT + 1 - len(body))
            if not part:
                break
            body += part
    except (OSError, http.client.HTTPException) as error:
        return body, _worded(error)
    if len(body) > ANSWER_LIMIT:
        # An error page of any length is an error page.
        return body[:ANSWER_LIMIT], "it is longer than 1 MiB" if 200 <= response.status < 300 else ""
    return body, "the connection was closed" if length is not None and len(body) < length else ""


def _encode(response, body, incomplete):
    """The answer in the layout of the Go SDK's package oauth:
    'H' | length of meta (4 bytes, big endian) | meta as JSON | body"""
    now = datetime.datetime.now(datetime.timezone.utc)
    meta = json.dumps({
        "status": response.status, "received": now.isoformat().replace("+00:00", "Z"),
        "date": response.headers.get("Date", ""), "content_type": response.headers.get("Content-Type", ""),
        "content_encoding": response.headers.get("Content-Encoding", ""),
        "retry_after": response.headers.get("Retry-After", ""), "incomplete": incomplete,
    }).encode()
    return b"H" + struct.pack(">I", len(meta)) + meta + body


def _decode(spooled):
    try:
        if spooled[:1] != b"H":
            raise ValueError
        end = 5 + struct.unpack(">I", spooled[1:5])[0]
        meta = json.loads(spooled[5:end])
        retry = meta.get("retry_after", "")
        return Answer(meta["status"], _moment(meta["received"]), meta.get("date", ""),
                      int(retry) if retry.isdigit() else 0, spooled[end:], meta.get("incomplete", ""), meta.get("content_type", ""))
    except (ValueError, KeyError, struct.error):
        raise Failure("ambiguous", "an answer is in the spool, but not in a layout that this provider reads", unread=True)


def _moment(text):
    """Seconds and nanoseconds since 1970 of a time in RFC 3339, in UTC."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    parsed = datetime.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
    return int(parsed.timestamp()), int(fraction.ljust(9, "0")[:9])


def _text(fields, name):
    """A member that is a text, or a number, as some servers write tokens."""
    value = fields.get(name)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return str(value) if number else value if isinstance(value, str) else ""


def _seconds(value):
    """A lifetime as servers word it, a number or a text with one; 0: none is known.
    A negative one says that the token was dead before it came."""
    try:
        return 0 if isinstance(value, bool) else max(min(int(float(value)), LONGEST), -LONGEST)
    except (TypeError, ValueError, OverflowError):
        return 0
