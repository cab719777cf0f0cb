"""The Jenkins client starts one build, follows it to its end, stops it, and removes only what is ours."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.jenkins import JOB, Clock, pipeline, slow_down

from common.errors import ActionBy, Conflict, NotYet, Permanent, StepError, Transient
from harbour.config import HarbourConfig
from harbour.faults import Fault
from harbour.jenkins import properties, xml
from harbour.jenkins.app import Jenkins as StandIn
from harbour.jenkins.console import raw_log, without_notes
from harbour.jenkins.core import Role, User
from harbour.jenkins.xml import FOLDER
from worker.upstreams.http import Http
from worker.upstreams.jenkins.client import Build, BuildSearch, Console, Jenkins, QueueItem
from worker.upstreams.jenkins.config_xml import Parameter
from worker.upstreams.jenkins.console import piece_of
from worker.upstreams.replies import Reply

WHERE = ("dev", "shop_dev")
KEY, VALUE = "slipway_job_id", "job-1"
OURS = {"key": KEY, "value": VALUE}
GIVEN = {KEY: VALUE, "branch": "größer"}
QUEUE_S, BUILD_S = 2.0, 100.0
LEFT_S = QUEUE_S + 0.5
SHOWN_S = LEFT_S + 0.5
RUNNING_S = SHOWN_S + 0.5
OVER_S = RUNNING_S + BUILD_S + 0.5
MARKER = "slipway:app-1"
NOTHING = BuildSearch(queue_id=None, number=None, is_unclear=False)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(config: HarbourConfig, clock: Clock) -> Iterator[StandIn]:
    service = StandIn(replace(config, queue_s=QUEUE_S, build_s=BUILD_S), now=clock)
    slow_down(service)
    service.items[JOB] = pipeline(KEY, "branch", marker=MARKER)
    service.start()
    yield service
    service.stop()


@pytest.fixture
def jenkins(service: StandIn) -> Jenkins:
    config = service.config
    return Jenkins(Http("Jenkins", service.url, auth=(config.jenkins_user, config.jenkins_token)))


def never() -> None:
    raise AssertionError("nothing was to be started")


def nothing() -> None:
    """Declare no intent."""


def trigger(jenkins: Jenkins, *, value: str = VALUE, on_create: Callable[[], None] = nothing, **more: str) -> int:
    parameters = {**GIVEN, KEY: value, **more}
    return jenkins.builds.trigger(*WHERE, parameters=parameters, key=KEY, declare=nothing, on_create=on_create)


def triggers(service: StandIn) -> list[int | None]:
    return [call.status for call in service.writes() if "buildWithParameters" in call.path]


# -- triggering ---------------------------------------------------------------------------------------------------


def test_a_trigger_sends_its_parameters_without_a_quiet_period(jenkins: Jenkins, service: StandIn) -> None:
    queue_id = trigger(jenkins)

    item = service.queue[queue_id]
    assert {each["name"]: each["value"] for each in item.parameters} == GIVEN
    assert item.due_at == item.since_at


def test_the_intent_is_declared_just_before_the_request(jenkins: Jenkins, service: StandIn) -> None:
    seen: list[tuple[int, int]] = []

    trigger(jenkins, on_create=lambda: seen.append((len(service.calls), len(service.writes()))))

    assert seen == [(1, 0)]  # the look at what the pipeline declares was over


def test_an_identical_item_that_waits_is_the_same_build(jenkins: Jenkins, service: StandIn) -> None:
    first = trigger(jenkins)
    second = trigger(jenkins)

    assert first == second
    assert triggers(service) == [201, 303]


def test_what_the_pipeline_does_not_declare_is_named_and_nothing_is_sent(jenkins: Jenkins, service: StandIn) -> None:
    with pytest.raises(Permanent, match=r"does not declare image, tag$") as raised:
        trigger(jenkins, on_create=never, tag="1", image="shop")

    assert raised.value.action_by is ActionBy.OPERATOR
    assert service.writes() == []


def test_what_the_jenkinsfile_took_is_declared_before_the_trigger(jenkins: Jenkins, service: StandIn) -> None:
    theirs = [xml.Parameter(kind=xml.STRING, name="colour", default="red", description="")]
    service.items[JOB] = properties.set_by_step(service.items[JOB], theirs)
    ours = tuple(Parameter(name=name) for name in GIVEN)

    queue_id = jenkins.builds.trigger(
        *WHERE,
        parameters=GIVEN,
        key=KEY,
        declare=lambda: jenkins.pipelines.declare_parameters(*WHERE, parameters=ours, marker=MARKER),
        on_create=nothing,
    )

    given = {each["name"]: each["value"] for each in service.queue[queue_id].parameters}
    assert given == {**GIVEN, "colour": "red"}


def test_parameters_of_somebody_elses_pipeline_are_not_touched(jenkins: Jenkins, service: StandIn) -> None:
    service.items[JOB] = pipeline("colour", marker="by hand")

    with pytest.raises(Conflict):
        jenkins.pipelines.declare_parameters(*WHERE, parameters=(Parameter(name=KEY),), marker=MARKER)

    assert service.writes() == []


@pytest.mark.parametrize("kind", [xml.BOOLEAN, xml.CHOICE, xml.PASSWORD])
def test_a_parameter_that_takes_no_text_is_replaced_and_the_rest_kept(
    jenkins: Jenkins, service: StandIn, kind: str
) -> None:
    service.items[JOB] = pipeline("colour", extra=f"<{kind}><name>{KEY}</name></{kind}>")

    with pytest.raises(Permanent, match=f"does not declare .*{KEY}"):
        trigger(jenkins)
    jenkins.pipelines.declare_parameters(*WHERE, parameters=(Parameter(name=KEY),), marker=MARKER)

    kinds = {each.name: each.kind for each in xml.parameters(service.items[JOB])}
    assert kinds == {"colour": xml.STRING, KEY: xml.STRING}


@pytest.mark.parametrize("document", [pipeline(), pipeline("branch")], ids=["no parameters", "not the key"])
def test_without_the_key_nothing_is_started(jenkins: Jenkins, service: StandIn, document: str) -> None:
    service.items[JOB] = document

    with pytest.raises(Permanent, match=f"does not declare .*{KEY}"):
        trigger(jenkins, on_create=never)


def test_a_disabled_pipeline_is_the_operators_to_mend(jenkins: Jenkins, service: StandIn) -> None:
    service.items[JOB] = pipeline(KEY, "branch").replace("<disabled>false", "<disabled>true")

    with pytest.raises(Permanent, match="is disabled") as raised:
        trigger(jenkins, on_create=never)

    assert raised.value.action_by is ActionBy.OPERATOR


def test_a_pipeline_that_is_disabled_in_between_is_a_409(jenkins: Jenkins, service: StandIn) -> None:
    def disable() -> None:
        service.items[JOB] = pipeline(KEY, "branch").replace("<disabled>false", "<disabled>true")

    with pytest.raises(Permanent, match="is disabled"):
        trigger(jenkins, on_create=disable)

    assert triggers(service) == [409]


def test_a_missing_pipeline_is_the_operators_to_mend(jenkins: Jenkins) -> None:
    with pytest.raises(Permanent, match="has no pipeline dev/none"):
        jenkins.builds.trigger("dev", "none", parameters=GIVEN, key=KEY, declare=never, on_create=never)
    with pytest.raises(Permanent, match="has no pipeline dev/none"):
        jenkins.builds.find("dev", "none", **OURS)


def test_a_refusal_that_looks_like_a_redirect_is_no_success(jenkins: Jenkins, service: StandIn) -> None:
    service.vetoed.add(JOB)

    with pytest.raises(Permanent, match="refused to queue"):
        trigger(jenkins)

    assert service.queue == {}


@pytest.mark.parametrize(
    ("status", "headers", "error", "says"),
    [
        (403, {"X-Required-Permission": "hudson.model.Item.Build"}, Permanent, "lacks the permission"),
        (500, {}, Transient, "answered 500 while starting"),
        (503, {}, Transient, "answered 503"),
        (201, {}, Transient, "does not say where"),
        (201, {"Location": "/job/dev/job/shop_dev/"}, Transient, "does not say where"),
    ],
)
def test_another_answer_ends_as_declared(
    jenkins: Jenkins, service: StandIn, status: int, headers: dict[str, str], error: type[StepError], says: str
) -> None:
    service.inject(Fault(kind="status", path="buildWithParameters", status=status, headers=headers))

    with pytest.raises(error, match=says):
        trigger(jenkins)


@pytest.mark.parametrize("location", ["https://ci.example/jenkins/queue/item/7/", "/queue/item/7", "//x/queue/item/7/"])
def test_only_the_path_of_a_location_counts(jenkins: Jenkins, service: StandIn, location: str) -> None:
    headers = {"Location": location}
    service.inject(Fault(kind="status", path="buildWithParameters", status=201, headers=headers))

    assert trigger(jenkins) == 7


@pytest.mark.parametrize("kind", ["lost", "truncate"])
def test_a_lost_reply_is_unknown_and_the_build_is_found(jenkins: Jenkins, service: StandIn, kind: str) -> None:
    service.inject(Fault(kind=kind, path="buildWithParameters", times=1))

    with pytest.raises(Transient, match="the outcome is unknown"):
        trigger(jenkins)

    assert jenkins.builds.find(*WHERE, **OURS) == BuildSearch(queue_id=1, number=None, is_unclear=False)
    assert triggers(service) == [201]


def test_a_request_that_never_arrived_leaves_nothing_to_find(jenkins: Jenkins, service: StandIn) -> None:
    service.inject(Fault(kind="reset", path="buildWithParameters", times=1))

    with pytest.raises(Transient):
        trigger(jenkins)

    assert jenkins.builds.find(*WHERE, **OURS) == NOTHING


# -- finding ------------------------------------------------------------------------------------------------------


def test_a_build_is_found_wherever_it_is(jenkins: Jenkins, clock: Clock) -> None:
    before = jenkins.builds.find(*WHERE, **OURS)
    queue_id = trigger(jenkins)
    queued = jenkins.builds.find(*WHERE, **OURS)
    clock.pass_s(RUNNING_S)
    running = jenkins.builds.find(*WHERE, **OURS)
    clock.pass_s(3600)
    over = jenkins.builds.find(*WHERE, **OURS)

    assert before == NOTHING
    assert queued == BuildSearch(queue_id=queue_id, number=None, is_unclear=False)
    assert running == over == BuildSearch(queue_id=queue_id, number=1, is_unclear=False)


def test_a_build_that_does_not_show_its_parameters_yet_is_unclear(jenkins: Jenkins, clock: Clock) -> None:
    trigger(jenkins)
    clock.pass_s(SHOWN_S)

    assert jenkins.builds.find(*WHERE, **OURS) == BuildSearch(queue_id=None, number=None, is_unclear=True)


def test_an_item_between_queue_and_build_is_not_seen(jenkins: Jenkins, clock: Clock) -> None:
    trigger(jenkins)
    clock.pass_s(LEFT_S)

    assert jenkins.builds.find(*WHERE, **OURS) == NOTHING


def test_other_values_and_other_jobs_are_not_ours(jenkins: Jenkins, service: StandIn, clock: Clock) -> None:
    service.items["dev/more_shop_dev"] = service.items["ops/shop_dev"] = service.items[JOB]
    for place in (("dev", "more_shop_dev"), ("ops", "shop_dev")):
        jenkins.builds.trigger(*place, parameters=GIVEN, key=KEY, declare=never, on_create=nothing)
    trigger(jenkins, value="job-11")

    queued = jenkins.builds.find(*WHERE, **OURS)
    clock.pass_s(3600)

    assert queued == jenkins.builds.find(*WHERE, **OURS) == NOTHING
    assert jenkins.builds.find("ops", "shop_dev", **OURS).number == 1


def test_an_old_build_without_parameters_makes_nothing_unclear(
    jenkins: Jenkins, service: StandIn, clock: Clock
) -> None:
    trigger(jenkins)
    clock.pass_s(OVER_S)
    service.catch_up()
    service.builds[JOB][0].attached_at = clock.at + 3600

    assert jenkins.builds.find(*WHERE, **OURS) == NOTHING


def test_what_vanished_with_a_crash_is_not_found(jenkins: Jenkins, service: StandIn) -> None:
    queue_id = trigger(jenkins)
    service.forget_queue_items = True

    assert jenkins.builds.get_queue_item(queue_id).state == "gone"
    assert jenkins.builds.find(*WHERE, **OURS) == NOTHING


def test_the_hundred_and_first_build_is_out_of_sight(jenkins: Jenkins, service: StandIn, clock: Clock) -> None:
    service.executors = 200
    trigger(jenkins)
    for number in range(2, 102):
        trigger(jenkins, value=f"job-{number}")
    clock.pass_s(RUNNING_S)

    assert jenkins.builds.find(*WHERE, **OURS) == NOTHING
    assert jenkins.builds.find(*WHERE, key=KEY, value="job-2").number is not None


def test_of_two_builds_the_first_is_ours(jenkins: Jenkins, clock: Clock) -> None:
    """Nothing in Jenkins keeps a request between our look and our trigger from doubling: a step's claim does."""

    def somebody_is_faster() -> None:
        trigger(jenkins)
        clock.pass_s(RUNNING_S)

    seen = jenkins.builds.find(*WHERE, **OURS)
    trigger(jenkins, on_create=somebody_is_faster)
    clock.pass_s(3600)

    assert seen == NOTHING
    assert jenkins.builds.find_run(*WHERE, 2) is not None
    assert jenkins.builds.find(*WHERE, **OURS).number == 1


def test_twenty_at_once_are_merged_while_the_first_waits(jenkins: Jenkins, service: StandIn, clock: Clock) -> None:
    together = threading.Barrier(20)

    def find_then_trigger(_: int) -> int:
        together.wait(10)
        seen = jenkins.builds.find(*WHERE, **OURS)
        return seen.queue_id or trigger(jenkins)

    with ThreadPoolExecutor(20) as threads:
        ids = set(threads.map(find_then_trigger, range(20)))
    clock.pass_s(3600)

    assert ids == {1}
    assert triggers(service).count(201) == 1
    assert jenkins.builds.find_run(*WHERE, 2) is None


@pytest.mark.parametrize(
    "body",
    [
        '{"items": [{"id": 1, "task": {}, "actions": [{}, null]}]}',
        '{"items": 1}',
        "<html>",
    ],
)
def test_a_queue_of_another_shape_is_not_believed(jenkins: Jenkins, service: StandIn, body: str) -> None:
    service.inject(Fault(kind="status", path="/queue/api/json", status=200, body=body))

    with pytest.raises(Transient):
        jenkins.builds.find(*WHERE, **OURS)


# -- the queue item -----------------------------------------------------------------------------------------------


def test_a_queue_item_passes_through_its_states(jenkins: Jenkins, service: StandIn, clock: Clock) -> None:
    queue_id = trigger(jenkins)
    service.queue[queue_id].due_at += 4
    states = []
    for pause_s in (0, 4, QUEUE_S, 0.5, 0.5, 299, 1):
        clock.pass_s(pause_s)
        item = jenkins.builds.get_queue_item(queue_id)
        states.append((item.state, item.number))

    assert states == [
        ("waiting", None),
        ("buildable", None),
        ("buildable", None),
        ("left", None),
        ("left", 1),
        ("left", 1),
        ("gone", None),
    ]


def test_a_queue_item_says_why_it_waits(jenkins: Jenkins, service: StandIn, clock: Clock) -> None:
    service.executors = 0
    queue_id = trigger(jenkins)
    waiting = jenkins.builds.get_queue_item(queue_id)
    clock.pass_s(86400)

    assert waiting == QueueItem(
        state="buildable", why="Waiting for next available executor", number=None, is_stuck=False
    )
    assert jenkins.builds.get_queue_item(queue_id).is_stuck


def test_a_blocked_queue_item_names_the_build(jenkins: Jenkins, service: StandIn, clock: Clock) -> None:
    serial = "<org.jenkinsci.plugins.workflow.job.properties.DisableConcurrentBuildsJobProperty/>"
    service.items[JOB] = pipeline(KEY, "branch", properties=serial)
    trigger(jenkins)
    queue_id = trigger(jenkins, value="job-2")
    clock.pass_s(RUNNING_S)

    item = jenkins.builds.get_queue_item(queue_id)

    assert (item.state, item.why) == ("blocked", "Build #1 is already in progress")


def test_cancelling_twice_is_cancelled(jenkins: Jenkins) -> None:
    queue_id = trigger(jenkins)

    jenkins.builds.cancel_queue_item(queue_id)
    jenkins.builds.cancel_queue_item(queue_id)

    assert jenkins.builds.get_queue_item(queue_id).state == "cancelled"
    assert jenkins.builds.find(*WHERE, **OURS) == NOTHING


def test_what_cannot_be_cancelled_any_more_is_left_alone(jenkins: Jenkins, clock: Clock) -> None:
    queue_id = trigger(jenkins)
    clock.pass_s(RUNNING_S)

    jenkins.builds.cancel_queue_item(queue_id)
    jenkins.builds.cancel_queue_item(4711)

    assert jenkins.builds.find(*WHERE, **OURS).number == 1


def test_a_cancellation_that_is_not_permitted_is_the_operators_to_mend(jenkins: Jenkins, service: StandIn) -> None:
    queue_id = trigger(jenkins)
    read_only = ["hudson.model.Hudson.Read", "hudson.model.Item.Read"]
    service.roles["globalRoles"]["admin"] = Role(permissions=read_only, sids={("USER", "automation")})

    with pytest.raises(Permanent):
        jenkins.builds.cancel_queue_item(queue_id)


# -- the build ----------------------------------------------------------------------------------------------------


def test_a_build_runs_until_nothing_of_it_does(jenkins: Jenkins, service: StandIn, clock: Clock) -> None:
    queue_id = trigger(jenkins)
    clock.pass_s(LEFT_S)
    unseen = jenkins.builds.find_run(*WHERE, 1)
    clock.pass_s(OVER_S - LEFT_S - 0.25)
    finishing = jenkins.builds.find_run(*WHERE, 1)
    clock.pass_s(0.25)
    over = jenkins.builds.find_run(*WHERE, 1)

    url = f"{service.url}/job/dev/job/shop_dev/1/"
    known = Build(number=1, url=url, is_running=True, result=None, duration_s=0.0, queue_id=queue_id)
    assert unseen is None
    assert finishing == known
    assert over == replace(known, is_running=False, result="SUCCESS", duration_s=BUILD_S + 1)


@pytest.mark.parametrize("outcome", ["FAILURE", "UNSTABLE", "ABORTED"])
def test_a_result_that_comes_early_is_not_believed(
    jenkins: Jenkins, service: StandIn, clock: Clock, outcome: str
) -> None:
    service.outcomes[JOB] = [outcome]
    trigger(jenkins)
    clock.pass_s(RUNNING_S + BUILD_S * 0.75)
    early = jenkins.builds.find_run(*WHERE, 1)
    clock.pass_s(BUILD_S)
    late = jenkins.builds.find_run(*WHERE, 1)

    assert early is not None
    assert late is not None
    assert (early.is_running, early.result) == (True, None)
    assert (late.is_running, late.result) == (False, outcome)


def test_a_build_of_a_jenkins_before_2_369_has_no_in_progress(jenkins: Jenkins, service: StandIn) -> None:
    body = '{"number":1,"url":"http://ci/1/","queueId":4,"building":false,"result":"SUCCESS","duration":1500}'
    service.inject(Fault(kind="status", path="/1/api/json", status=200, body=body))

    assert jenkins.builds.find_run(*WHERE, 1) == Build(
        number=1,
        url=f"{service.url}/job/dev/job/shop_dev/1/",
        is_running=False,
        result="SUCCESS",
        duration_s=1.5,
        queue_id=4,
    )


def test_a_build_says_which_commits_it_checked_out_and_its_description(jenkins: Jenkins, service: StandIn) -> None:
    revision = '{"lastBuiltRevision":{"SHA1":"c0ffee"},"remoteUrls":["https://git.example/dev/shop.git"]}'
    body = (
        '{"number":1,"url":"http://ci/1/","queueId":4,"building":false,"result":"SUCCESS","duration":1500,'
        f'"description":"pushed shop:1","actions":[{{}},{revision},{{"parameters":[]}}]}}'
    )
    service.inject(Fault(kind="status", path="/1/api/json", status=200, body=body))

    build = jenkins.builds.find_run(*WHERE, 1)

    assert build is not None
    assert build.commits == {"https://git.example/dev/shop.git": "c0ffee"}
    assert build.description == "pushed shop:1"


def test_a_build_is_stopped_once_and_stays_so(jenkins: Jenkins, clock: Clock) -> None:
    trigger(jenkins)
    clock.pass_s(RUNNING_S)

    jenkins.builds.stop(*WHERE, 1)
    jenkins.builds.stop(*WHERE, 1)
    clock.pass_s(1)
    jenkins.builds.stop(*WHERE, 1)

    stopped = jenkins.builds.find_run(*WHERE, 1)
    assert stopped is not None
    assert (stopped.is_running, stopped.result) == (False, "ABORTED")


def test_a_build_that_is_over_or_unknown_is_not_stopped(jenkins: Jenkins, clock: Clock) -> None:
    trigger(jenkins)
    clock.pass_s(OVER_S)

    jenkins.builds.stop(*WHERE, 1)
    jenkins.builds.stop(*WHERE, 2)

    over = jenkins.builds.find_run(*WHERE, 1)
    assert over is not None
    assert over.result == "SUCCESS"


@pytest.mark.parametrize("passed_s", [RUNNING_S, OVER_S])
def test_a_failing_stop_matters_only_while_the_build_runs(
    jenkins: Jenkins, service: StandIn, clock: Clock, passed_s: float
) -> None:
    trigger(jenkins)
    clock.pass_s(passed_s)
    service.inject(Fault(kind="status", path="/stop", status=500))

    if passed_s == OVER_S:
        jenkins.builds.stop(*WHERE, 1)
    else:
        with pytest.raises(Transient, match="while stopping"):
            jenkins.builds.stop(*WHERE, 1)


# -- the console --------------------------------------------------------------------------------------------------


def read(jenkins: Jenkins, start: int = 0, at_most_bytes: int = 100_000) -> Console:
    return jenkins.builds.read_console(*WHERE, 1, start=start, at_most_bytes=at_most_bytes)


def whole_log(service: StandIn) -> str:
    return without_notes(raw_log(service.builds[JOB][0], service.now())).decode()


def test_a_console_is_read_piece_by_piece(jenkins: Jenkins, service: StandIn, clock: Clock) -> None:
    trigger(jenkins)
    clock.pass_s(SHOWN_S)
    piece = read(jenkins)
    text = piece.text
    empty = piece
    while piece.has_more:
        clock.pass_s(5)
        piece = read(jenkins, piece.next_start)
        text += piece.text

    assert empty == Console(text="", start=0, next_start=0, has_more=True)
    assert "+ make test" in text
    assert "✔" in text
    assert text == whole_log(service)


def test_a_console_that_has_not_grown_costs_no_text(jenkins: Jenkins, clock: Clock) -> None:
    trigger(jenkins)
    clock.pass_s(OVER_S)
    end = read(jenkins).next_start

    assert read(jenkins, end) == Console(text="", start=end, next_start=end, has_more=False)


def test_too_much_is_cut_to_its_last_lines(jenkins: Jenkins, service: StandIn, clock: Clock) -> None:
    trigger(jenkins)
    clock.pass_s(OVER_S)
    whole = read(jenkins)

    tail = read(jenkins, at_most_bytes=200)

    lines = tail.text.splitlines(keepends=True)
    assert whole_log(service).endswith(tail.text)
    assert lines[-1] == "Finished: SUCCESS\n"
    assert 0 < len(tail.text.encode()) <= 200
    assert (tail.start, tail.next_start) == (whole.next_start - 200, whole.next_start)
    assert whole_log(service).splitlines(keepends=True)[-len(lines) :] == lines


def test_more_than_one_answer_may_hold_is_not_asked_for(jenkins: Jenkins, service: StandIn, clock: Clock) -> None:
    trigger(jenkins)
    clock.pass_s(OVER_S)
    service.catch_up()
    service.builds[JOB][0].repository = "x" * (3 * 1024 * 1024)

    assert read(jenkins, at_most_bytes=1000).text.endswith("Finished: SUCCESS\n")


def test_a_log_that_is_shorter_than_the_offset_is_read_from_its_beginning(jenkins: Jenkins, clock: Clock) -> None:
    trigger(jenkins)
    clock.pass_s(OVER_S)

    again = read(jenkins, 1_000_000)

    assert again == read(jenkins)


def answer(body: bytes, *, size: int | None = None, has_more: bool = False) -> Reply:
    more = {"X-More-Data": "true"} if has_more else {}
    sizes = {} if size is None else {"X-Text-Size": str(size)}
    return Reply(upstream="Jenkins", method="GET", path="/", status=200, headers={**more, **sizes}, body=body)


@pytest.mark.parametrize("cut", range(1, 5))
def test_half_a_character_is_read_with_its_other_half(cut: int) -> None:
    body = "ä🚢".encode()
    first = piece_of(answer(body[:cut], size=100 + cut, has_more=True), start=100, is_cut=False, at_most_bytes=99)
    rest = answer(body[first.next_start - 100 :], size=106)

    second = piece_of(rest, start=first.next_start, is_cut=False, at_most_bytes=99)

    assert first.text + second.text == "ä🚢"
    assert second.next_start == 106


def test_a_log_that_ends_in_half_a_character_ends() -> None:
    piece = piece_of(answer("aä".encode()[:2], size=2), start=0, is_cut=False, at_most_bytes=99)

    assert piece == Console(text="a\ufffd", start=0, next_start=2, has_more=False)


@pytest.mark.parametrize(
    ("body", "is_cut", "text"),
    [
        (b"alf a note\x1b[0mnode\nnext\n", True, "next\n"),
        (b"a line without an end", True, "a line without an end"),
        (b"0123456789\n" * 10, False, "0123456789\n" * 3),
    ],
)
def test_what_is_cut_begins_with_a_line(body: bytes, is_cut: bool, text: str) -> None:
    assert piece_of(answer(body, size=500), start=7, is_cut=is_cut, at_most_bytes=40).text == text


def test_without_the_size_the_length_has_to_do() -> None:
    piece = piece_of(answer("äb".encode(), has_more=True), start=10, is_cut=False, at_most_bytes=99)

    assert piece == Console(text="äb", start=10, next_start=13, has_more=True)


def test_a_proxy_without_head_is_asked_directly(jenkins: Jenkins, service: StandIn, clock: Clock) -> None:
    trigger(jenkins)
    clock.pass_s(OVER_S)
    service.inject(Fault(kind="status", method="HEAD", status=405))

    assert read(jenkins).text == whole_log(service)


def test_a_console_of_a_build_that_is_gone_is_permanent(jenkins: Jenkins) -> None:
    with pytest.raises(Permanent, match="has no build 1 of dev/shop_dev"):
        read(jenkins)


def test_a_console_read_during_an_outage_is_transient(jenkins: Jenkins, service: StandIn) -> None:
    service.inject(Fault(kind="status", path="progressiveText", status=503, body="Please wait while … getting ready"))

    with pytest.raises(Transient, match="starting"):
        read(jenkins)


# -- removing -----------------------------------------------------------------------------------------------------


def test_our_pipeline_is_removed_once(jenkins: Jenkins, service: StandIn, clock: Clock) -> None:
    trigger(jenkins)
    clock.pass_s(RUNNING_S)
    writes = len(service.writes())

    first = jenkins.pipelines.remove(*WHERE, marker=MARKER)
    second = jenkins.pipelines.remove(*WHERE, marker=MARKER)

    assert first is second is True
    assert JOB not in service.items
    assert len(service.writes()) == writes + 1


@pytest.mark.parametrize(
    "held",
    [
        pipeline(KEY, marker="slipway:app-10"),
        pipeline(KEY, marker="by hand"),
        f"<{FOLDER}><description>slipway:app-1</description></{FOLDER}>",
    ],
    ids=["another app's", "by hand", "a folder"],
)
def test_somebody_elses_item_is_not_removed(jenkins: Jenkins, service: StandIn, held: str) -> None:
    service.items[JOB] = held

    with pytest.raises(Conflict):
        jenkins.pipelines.remove(*WHERE, marker=MARKER)

    assert service.items[JOB] == held
    assert service.writes() == []


@pytest.mark.parametrize("kind", ["lost", "truncate", "reset"])
def test_a_removal_whose_reply_is_lost_converges(jenkins: Jenkins, service: StandIn, kind: str) -> None:
    service.inject(Fault(kind=kind, path="doDelete", times=1))

    with pytest.raises(Transient):
        jenkins.pipelines.remove(*WHERE, marker=MARKER)

    assert jenkins.pipelines.remove(*WHERE, marker=MARKER)
    assert JOB not in service.items


def test_a_build_that_does_not_stop_delays_the_removal(jenkins: Jenkins, service: StandIn, clock: Clock) -> None:
    service.unstoppable.add(JOB)
    trigger(jenkins)
    clock.pass_s(RUNNING_S)

    with pytest.raises(NotYet, match="Failed to interrupt and stop"):
        jenkins.pipelines.remove(*WHERE, marker=MARKER)
    clock.pass_s(5)  # much less than the build would take: it was killed

    assert jenkins.pipelines.remove(*WHERE, marker=MARKER)


def test_somebody_elses_removal_is_waited_for(jenkins: Jenkins, service: StandIn) -> None:
    service.in_deletion.add(JOB)

    with pytest.raises(NotYet, match="currently being deleted"):
        jenkins.pipelines.remove(*WHERE, marker=MARKER)


def test_a_user_is_removed_once(jenkins: Jenkins, service: StandIn) -> None:
    service.users["anna"] = User(id="anna", full_name="Anna", digest="x")

    first, second = jenkins.accounts.remove_user("Anna", marker=None), jenkins.accounts.remove_user("anna", marker=None)

    assert first is second is True
    assert "anna" not in service.users
    assert len(service.writes()) == 1


def test_a_user_is_never_found_by_a_full_name(jenkins: Jenkins, service: StandIn) -> None:
    service.users["eve"] = User(id="eve", full_name="anna", digest="x")

    assert jenkins.accounts.remove_user("anna", marker=None)

    assert "eve" in service.users
    assert service.writes() == []


def test_a_commit_author_is_no_account(jenkins: Jenkins, service: StandIn) -> None:
    service.remember_author("anna", "Anna")

    assert jenkins.accounts.remove_user("anna", marker=None)

    assert service.writes() == []


@pytest.mark.parametrize("kind", ["lost", "reset"])
def test_a_users_removal_whose_reply_is_lost_converges(jenkins: Jenkins, service: StandIn, kind: str) -> None:
    service.users["anna"] = User(id="anna", full_name="Anna", digest="x")
    service.inject(Fault(kind=kind, path="doDelete", times=1))

    with pytest.raises(Transient):
        jenkins.accounts.remove_user("anna", marker=None)

    assert jenkins.accounts.remove_user("anna", marker=None)
    assert "anna" not in service.users


def test_our_own_account_stays(jenkins: Jenkins) -> None:
    with pytest.raises(Permanent, match="Cannot delete self"):
        jenkins.accounts.remove_user("automation", marker=None)


def test_a_removal_that_did_nothing_is_not_believed(jenkins: Jenkins, service: StandIn) -> None:
    service.users["anna"] = User(id="anna", full_name="Anna", digest="x")
    service.inject(Fault(kind="status", path="doDelete", status=302))
    service.inject(Fault(kind="status", path="unassign", status=200))
    service.roles["projectRoles"]["dev"].sids = {("USER", "anna")}

    with pytest.raises(Transient, match="still shows"):
        jenkins.accounts.remove_user("anna", marker=None)
    with pytest.raises(Transient, match="still shows"):
        jenkins.roles.unassign("anna", role="dev")


def test_a_role_is_taken_back_once(jenkins: Jenkins, service: StandIn) -> None:
    service.roles["projectRoles"]["dev"].sids = {("USER", "anna"), ("USER", "Anna"), ("USER", "bob"), ("GROUP", "anna")}

    first, second = (jenkins.roles.unassign("anna", role="dev") for _ in range(2))

    assert first is second is True
    assert service.roles["projectRoles"]["dev"].sids == {("USER", "Anna"), ("USER", "bob"), ("GROUP", "anna")}
    assert len(service.writes()) == 1


@pytest.mark.parametrize("is_old", [False, True])
def test_an_ambiguous_entry_is_taken_back_as_well(jenkins: Jenkins, service: StandIn, is_old: bool) -> None:
    service.old_role_strategy = is_old
    service.roles["projectRoles"]["dev"].sids = {("EITHER", "anna")} | (set() if is_old else {("USER", "anna")})

    assert jenkins.roles.unassign("anna", role="dev")

    assert service.roles["projectRoles"]["dev"].sids == set()


def test_a_role_that_is_gone_is_had_by_nobody(jenkins: Jenkins, service: StandIn) -> None:
    assert jenkins.roles.unassign("anna", role="none")

    assert service.writes() == []


@pytest.mark.parametrize("kind", ["lost", "reset"])
def test_a_role_whose_reply_is_lost_converges(jenkins: Jenkins, service: StandIn, kind: str) -> None:
    service.roles["projectRoles"]["dev"].sids = {("USER", "anna")}
    service.inject(Fault(kind=kind, path="unassignUserRole", times=1))

    with pytest.raises(Transient):
        jenkins.roles.unassign("anna", role="dev")

    assert jenkins.roles.unassign("anna", role="dev")
    assert service.roles["projectRoles"]["dev"].sids == set()


def test_without_role_strategy_nothing_is_taken_back(jenkins: Jenkins, service: StandIn) -> None:
    service.inject(Fault(kind="status", path="getRole", status=404))

    with pytest.raises(Permanent, match="role-strategy"):
        jenkins.roles.unassign("anna", role="dev")
