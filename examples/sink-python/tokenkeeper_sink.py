"""What every Tokenkeeper sink in Python needs, on top of tokenkeeper_plugin.

A sink is a subclass of Sink; serve() runs it.
"""

import threading

import grpc
import tokenkeeper_plugin

CONTRACT = tokenkeeper_plugin.Contract("sink_v1.protoset", "tokenkeeper.sink.v1.Sink")

log = tokenkeeper_plugin.log


class Failure(Exception):
    """A call failed, and trying again may help. The text is for people and logs
    and must hold no secret."""

    code = grpc.StatusCode.INTERNAL


class Absent(Failure):
    """The consumer is not running, which is no failure."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Refused(Failure):
    """This version can't be delivered, and trying again would not help."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NothingStored(Failure):
    """Of restore: the destination holds nothing of the account."""

    code = grpc.StatusCode.NOT_FOUND


class Sink:
    """One kind of destination. Each method gets a message of sink.proto, where
    the rules stand, and fills the response in. Calls for different accounts come
    at the same time, in threads of their own. restore, test and notify are
    optional: what a subclass has is found out."""

    name = ""
    version = ""
    settings = ()  # dicts with name, description, default_value, required, one_of, secret, steers

    def deliver(self, request, response):
        raise NotImplementedError

    restore = test = notify = None


def serve(sink):
    """Runs the sink until the supervisor ends the process."""
    tokenkeeper_plugin.hosted("sink", 'Name it in "command:" of a sink')
    calls = {
        "Describe": lambda _, response: _describe(sink, response),
        "Ping": lambda *_: None,
        "Deliver": sink.deliver,
        "Restore": sink.restore,
        "Test": sink.test,
        "Notify": sink.notify,
    }
    answers = {name: _answer(call) for name, call in calls.items() if call is not None}
    server = tokenkeeper_plugin.serve(CONTRACT, answers, threading.Event())
    server.stop(tokenkeeper_plugin.GRACE_SECONDS).wait()


def _describe(sink, response):
    response.name, response.version = sink.name, sink.version
    for setting in sink.settings:
        response.settings.add(**setting)
    response.restorer = sink.restore is not None
    response.tester = sink.test is not None
    response.notifier = sink.notify is not None


def _answer(call):
    """The answer to a call, whose failure travels as the status alone."""

    def answer(request, response, context):
        try:
            call(request, response)
        except Failure as failure:
            context.set_code(failure.code)
            context.set_details(str(failure))
        except Exception as fault:
            context.set_code(grpc.StatusCode.INTERNAL)
            context.set_details(tokenkeeper_plugin.tell_fault("sink", fault))

    return answer
