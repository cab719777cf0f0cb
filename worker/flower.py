"""Flower: how it is started safely, and what workers report to it.

`celery -A worker flower` needs no option: it requires a password or does not start, listens on this machine only, and
is read-only. Flower's own options and variables (`FLOWER_…`) win over what is set here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from threading import local
from typing import Any, NoReturn

from celery import Celery, current_task
from celery.events.state import State, Task
from celery.signals import import_modules, worker_ready
from celery.states import PENDING
from celery.utils.sysinfo import load_average
from celery.worker import state as worker_state
from celery.worker.control import control_command
from celery.worker.request import Request

from common.broker_errors import BROKER_ERRORS, TroubleReport
from common.config.settings import LOGIN, FlowerSettings
from common.config.weak_secrets import is_weak_login
from worker.context import StepContext
from worker.periodic import PeriodicThread
from worker.registry import StepFunction
from worker.upstreams import Upstreams

log = logging.getLogger(__name__)

COLUMNS = "received,name,state,exception,kwargs,args,runtime,worker,uuid"  # the reason in sight on a narrow screen
WHERE_TO = ("queue", "exchange", "routing_key")  # what only the sender of a task reports
FORGET_WORKERS_S = 3600  # that have ended, such as each container that was replaced
ABOUT = ("app", "login", "team")  # of a job's input: what people know it by
ASK_EVERY_S, ALIVE_FOR_S = 5.0, 20.0
HEARTBEAT_COMMAND = "give_sign_of_life"  # workers and Flower of other versions know it by this name

Refuse = Callable[[Exception], NoReturn]


class UnguardedError(Exception):
    """Flower shows every job and worker and has no password: set FLOWER_BASIC_AUTH=USER:PASSWORD, or FLOWER_AUTH."""

    def __str__(self) -> str:
        return str(self.__doc__)


class WeakPasswordError(Exception):
    """A password of Flower is easy to guess: take 12 characters or more, without the user's name."""

    def __str__(self) -> str:
        return str(self.__doc__)


# -- in Flower's process ------------------------------------------------------------------------------------------


def prepare(app: Celery, config: FlowerSettings | None, *, refuse: Refuse) -> None:
    """Set how Flower runs unless its own options say otherwise. Any command may call this; only `flower` uses it.

    Without a `config` it has the password of its own options, or none. `refuse` is called with what is wrong once
    those options are read.
    """
    from flower.options import options

    options.address = "127.0.0.1"
    if config:
        options.address, options.port = config.flower_address, config.flower_port
    if config and config.flower_basic_auth:
        options.basic_auth = config.flower_basic_auth.get_secret_value().split(",")
    options.read_only = True  # its users may not run, revoke or shut down anything
    options.tasks_columns = COLUMNS
    options.purge_offline_workers = FORGET_WORKERS_S
    begin = partial(_begin, app, options, refuse)
    # Flower loads our modules after it has read all of its options and before it listens.
    options.add_parse_callback(lambda: import_modules.connect(begin, weak=False, dispatch_uid="flower"))


def _begin(app: Celery, options: Any, refuse: Refuse, **_: Any) -> None:
    from flower.views.monitor import Metrics
    from tornado.web import authenticated

    if not options.auth and not all(LOGIN.fullmatch(each) for each in options.basic_auth or [""]):
        refuse(UnguardedError())
    if any(map(is_weak_login, options.basic_auth or ())):  # of Flower's own option, too, which settings do not see
        refuse(WeakPasswordError())
    # Flower shows these figures to everybody, with the names of tasks and workers. `/healthcheck` says no more than OK.
    Metrics.get = authenticated(Metrics.get)
    State.Task = DescribedTask
    # Workers send no heartbeat by themselves: towards a dead broker it would block everything else they do.
    PeriodicThread("flower", HeartbeatRequest(app).send, every_s=ASK_EVERY_S).start()


class HeartbeatRequest:
    """Asks all workers to report that they are alive. The log has one line for each cause while the broker is away."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._report = TroubleReport(log, away="broker_unreachable", back="broker_reachable")

    def send(self) -> None:
        try:
            self._app.control.broadcast(HEARTBEAT_COMMAND)
        except BROKER_ERRORS as error:
            self._report.failed(error)
        else:
            self._report.works()


class DescribedTask(Task):  # type: ignore[misc] # Celery ships no types
    """Celery's own, except that a sender's event, which often comes after the start, overwrites no worker's event."""

    def event(self, type_: str, timestamp: Any, local_received: Any, fields: dict[str, Any], **options: Any) -> None:
        if type_ == "sent" and self.state != PENDING:
            self.sent = timestamp
            self.__dict__.update({name: fields.get(name) for name in WHERE_TO})
        else:
            super().event(type_, timestamp, local_received, fields, **options)


# -- in a worker --------------------------------------------------------------------------------------------------


@control_command(name=HEARTBEAT_COMMAND)  # type: ignore[untyped-decorator] # Celery ships no types
def send_heartbeat(state: Any) -> None:
    """Report to Flower that this worker is alive, and how much it has to do."""
    state.consumer.event_dispatcher.send(
        "worker-heartbeat",
        freq=ALIVE_FOR_S / 2,  # Celery regards a worker as offline after two of these
        active=len(worker_state.active_requests),
        processed=worker_state.all_total_count[0],
        loadavg=load_average(),
        **worker_state.SOFTWARE_INFO,
    )


@dataclass(frozen=True, kw_only=True)
class _Following:
    """A step that runs without a message of its own, as the task that it is in the chain. `head`: of the message."""

    head: str
    id: str
    began_s: float


class TaskEvents:
    """Sends to Flower what Celery's own events leave out, in order among them: they are sent in batches.

    Each step of a lane is a task of its own, with its id in the chain, though one message brought them all: each is
    received, started and succeeded. What Celery reports at the end of the message is about the last of them.
    """

    def __init__(self) -> None:
        self._consumer: Any = None
        self._thread = local()  # a message is run, and its end reported, by one thread
        worker_ready.connect(self._connect, weak=False)

    def _connect(self, sender: Any, **_: Any) -> None:
        self._consumer = sender

    def reporting(self, step: StepFunction) -> StepFunction:
        """Return the step, made to show in Flower what its job is about: the message has the job's id only."""

        def run(job: StepContext, upstreams: Upstreams) -> Mapping[str, object]:
            self.describe({name: job.option(name) for name in ABOUT})
            return step(job, upstreams)

        return run

    def describe(self, inputs: Mapping[str, object]) -> None:
        """Show what the job of the present task is about, as far as its input says so."""
        about = {name: value for name in ABOUT if (value := inputs.get(name)) is not None}
        # An event that Celery does not know sets the state that it is named after, which is the present one.
        # Were it `task-started`, Flower would count the task twice.
        self._send("task-STARTED", kwargs=repr(about))

    def request_class(self) -> type[Request]:
        """Return Celery's class of a message that runs here, made to report its end as that of the last step."""
        events = self

        class LaneRequest(Request):  # type: ignore[misc] # Celery ships no types
            def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's name
                following = events._following(self.id)
                if following is None:
                    super().send_event(type, **fields)
                elif self._eventer and self._eventer.enabled:
                    if "runtime" in fields:
                        fields["runtime"] = time.monotonic() - following.began_s
                    self._eventer.send(type, uuid=following.id, **fields)

        return LaneRequest

    def go_on(self, task: str, task_id: str, job_id: str, *, began_s: float) -> None:
        """Show that the running step has succeeded, and that the next one of its lane has begun."""
        request = current_task.request
        former = self._following(request.id)
        runtime_s = time.monotonic() - (former.began_s if former else began_s)
        self._send("task-succeeded", result=repr(None), runtime=runtime_s)
        parent_id = former.id if former else request.id
        self._thread.following = _Following(head=request.id, id=task_id, began_s=time.monotonic())
        worker_state.all_total_count[0] += 1
        origin = {"root_id": request.root_id, "parent_id": parent_id}
        self._send("task-received", name=task, args=repr((job_id,)), kwargs="{}", retries=0, **origin)
        self._send("task-started")

    def _following(self, head: str) -> _Following | None:
        following: _Following | None = getattr(self._thread, "following", None)
        return following if following and following.head == head else None

    def refused(self, reason: str) -> None:
        """Show that the task was not run, and why. After `task-rejected` it would stay started for ever."""
        self._send("task-refused", exception=reason)

    def _send(self, event: str, **fields: Any) -> None:
        dispatcher = self._consumer and self._consumer.event_dispatcher  # none while the broker is away
        if dispatcher and current_task:  # no task: a step that runs without a message, of which Flower learns nothing
            following = self._following(current_task.request.id)
            dispatcher.send(event, uuid=following.id if following else current_task.request.id, **fields)
