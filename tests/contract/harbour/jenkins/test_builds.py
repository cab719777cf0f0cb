"""Does the stand-in queue, run, show and stop builds with the traps that Jenkins has?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from support.jenkins import JOB, PATH, Clock, pipeline, slow_down

from harbour.config import HarbourConfig
from harbour.jenkins.app import Jenkins
from harbour.jenkins.core import User
from harbour.passwords import digest

QUEUE_S, BUILD_S = 2.0, 100.0
STARTED_S = QUEUE_S + 0.5  # of a trigger without a quiet period: the build's first moment, which nobody sees
RUNNING_S = STARTED_S + 1.0
ENDED_S = RUNNING_S + BUILD_S
OVER_S = ENDED_S + 0.5


class Client:
    """Speaks plain HTTP to the stand-in and follows no redirect."""

    def __init__(self, url: str, auth: tuple[str, str] | None) -> None:
        self.url = url
        self.auth = auth

    def get(self, path: str, **given: Any) -> requests.Response:
        return requests.get(self.url + path, auth=self.auth, allow_redirects=False, timeout=5, **given)

    def post(self, path: str, data: Any = None, **given: Any) -> requests.Response:
        return requests.post(self.url + path, data, auth=self.auth, allow_redirects=False, timeout=5, **given)

    def ask(self, delay: str | None = "0sec", **fields: Any) -> requests.Response:
        params = {"delay": delay} if delay else {}
        return self.post(f"{PATH}/buildWithParameters", fields, params=params)

    def start(self, **fields: str) -> int:
        """Trigger a build and return the id of its queue item."""
        return queue_id_of(self.ask(**fields))

    def item(self, number: int) -> Any:
        return self.get(f"/queue/item/{number}/api/json").json()

    def build(self, number: int = 1) -> Any:
        return self.get(f"{PATH}/{number}/api/json").json()

    def job(self, tree: str) -> Any:
        return self.get(f"{PATH}/api/json", params={"tree": tree}).json()

    def log(self, start: int = 0, number: int = 1) -> requests.Response:
        return self.get(f"{PATH}/{number}/logText/progressiveText", params={"start": start})


def queue_id_of(answer: requests.Response) -> int:
    assert answer.status_code in (201, 303)
    return int(urlsplit(answer.headers["Location"]).path.split("/")[3])


def parameters_of(shown: Any) -> dict[str, Any]:
    lists = [action["parameters"] for action in shown["actions"] if "parameters" in action]
    return {each["name"]: each.get("value") for each in lists[0]} if lists else {}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jenkins(config: HarbourConfig, clock: Clock) -> Iterator[Jenkins]:
    service = Jenkins(dataclasses.replace(config, queue_s=QUEUE_S, build_s=BUILD_S), now=clock)
    slow_down(service)
    service.items[JOB] = pipeline("ID", "BRANCH")
    service.start()
    yield service
    service.stop()


@pytest.fixture
def admin(jenkins: Jenkins) -> Client:
    return Client(jenkins.url, (jenkins.config.jenkins_user, jenkins.config.jenkins_token))


# -- triggering -------------------------------------------------------------------------------------------------------


def test_a_trigger_answers_where_the_item_is(jenkins: Jenkins, admin: Client) -> None:
    answer = admin.ask(ID="a")

    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["Location"] == f"{jenkins.url}/queue/item/1/"
    assert parameters_of(admin.item(1)) == {"ID": "a", "BRANCH": ""}


def test_what_the_job_does_not_declare_is_dropped_silently(admin: Client) -> None:
    number = admin.start(ID=" a ", NOBODY="knows me")

    assert parameters_of(admin.item(number)) == {"ID": "a", "BRANCH": ""}
    assert admin.item(number)["params"] == "\nID=a\nBRANCH="


def test_an_identical_item_that_waits_is_answered_with_a_303(admin: Client) -> None:
    first, same, other = (admin.ask(ID=name) for name in ("a", "a", "b"))

    assert [each.status_code for each in (first, same, other)] == [201, 303, 201]
    assert queue_id_of(first) == queue_id_of(same) != queue_id_of(other)


def test_merging_takes_the_earlier_time(admin: Client, clock: Clock) -> None:
    number = queue_id_of(admin.ask(delay=None, ID="a"))
    admin.ask(delay="0sec", ID="a")
    clock.pass_s(QUEUE_S + 0.5)

    assert admin.item(number)["_class"] == "hudson.model.Queue$LeftItem"


def test_an_item_that_is_handed_over_is_merged_with_nothing(admin: Client, clock: Clock) -> None:
    admin.start(ID="a")
    clock.pass_s(QUEUE_S)

    assert admin.ask(ID="a").status_code == 201
    assert [item["id"] for item in admin.get("/queue/api/json").json()["items"]] == [2, 1]


def test_without_an_id_of_their_own_two_requests_become_one(jenkins: Jenkins, admin: Client) -> None:
    jenkins.items[JOB] = pipeline("BRANCH")

    assert admin.start(ID="a", BRANCH="main") == admin.start(ID="b", BRANCH="main")


def test_a_disabled_job_is_a_409(admin: Client) -> None:
    admin.post(f"{PATH}/disable")

    answer = admin.ask(ID="a")

    assert answer.status_code == 409
    assert "dev/shop_dev is not buildable" in answer.text


def test_a_job_without_parameters_is_a_400(jenkins: Jenkins, admin: Client) -> None:
    jenkins.items[JOB] = pipeline()

    answer = admin.ask(ID="a")

    assert answer.status_code == 400
    assert "is not parameterized" in answer.text


def test_a_get_starts_nothing(admin: Client) -> None:
    answer = admin.get(f"{PATH}/buildWithParameters", params={"ID": "a"})

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/job/dev", "/job/dev/job/none"])
def test_only_jobs_are_built(admin: Client, path: str) -> None:
    assert admin.post(f"{path}/buildWithParameters").status_code == 404


def test_a_refusal_is_a_302_to_the_job_and_nothing_queued(jenkins: Jenkins, admin: Client) -> None:
    jenkins.vetoed.add(JOB)

    answer = admin.ask(ID="a")

    assert answer.status_code == 302
    assert urlsplit(answer.headers["Location"]).path == f"{PATH}/"
    assert admin.get("/queue/api/json").json()["items"] == []


def test_the_same_name_twice_is_a_500(admin: Client) -> None:
    answer = admin.post(f"{PATH}/buildWithParameters", {"ID": "a"}, params={"ID": "b"})

    assert answer.status_code == 500
    assert "Illegal number of parameter values" in answer.text


@pytest.mark.parametrize(("delay", "waits_s"), [("0sec", 0), ("3sec", 3), ("2secs", 2), ("1500", 1.5), (None, 4)])
def test_a_delay_without_a_unit_is_milliseconds(admin: Client, clock: Clock, delay: str | None, waits_s: float) -> None:
    number = queue_id_of(admin.ask(delay=delay, ID="a"))

    clock.pass_s(waits_s - 0.25)
    before = admin.item(number)["_class"] if waits_s else "hudson.model.Queue$WaitingItem"
    clock.pass_s(0.25)

    assert before == "hudson.model.Queue$WaitingItem"
    assert admin.item(number)["_class"] == "hudson.model.Queue$BuildableItem"


def test_a_bad_delay_is_a_500(admin: Client) -> None:
    assert admin.ask(delay="soon", ID="a").status_code == 500


def test_a_job_may_have_a_quiet_period_of_its_own(jenkins: Jenkins, admin: Client, clock: Clock) -> None:
    jenkins.items[JOB] = pipeline("ID").replace("<disabled>", "<quietPeriod>1</quietPeriod><disabled>")
    number = queue_id_of(admin.ask(delay=None, ID="a"))
    clock.pass_s(1)

    assert admin.item(number)["_class"] == "hudson.model.Queue$BuildableItem"


KINDS = """
<hudson.model.BooleanParameterDefinition><name>FAST</name><defaultValue>true</defaultValue></hudson.model.BooleanParameterDefinition>
<hudson.model.ChoiceParameterDefinition><name>SIZE</name>
  <choices class="java.util.Arrays$ArrayList"><a class="string-array"><string>s</string><string>m</string></a></choices>
</hudson.model.ChoiceParameterDefinition>
<hudson.model.PasswordParameterDefinition><name>PIN</name></hudson.model.PasswordParameterDefinition>"""


def test_parameters_have_kinds_and_defaults(jenkins: Jenkins, admin: Client) -> None:
    jenkins.items[JOB] = pipeline(extra=KINDS)

    shown = admin.item(admin.start(PIN="1234"))

    assert parameters_of(shown) == {"FAST": True, "SIZE": "s", "PIN": None}
    assert "1234" not in str(shown) + str(jenkins.snapshot())


def test_an_illegal_choice_is_a_500(jenkins: Jenkins, admin: Client) -> None:
    jenkins.items[JOB] = pipeline(extra=KINDS)

    assert admin.ask(SIZE="xl").status_code == 500


# -- the queue --------------------------------------------------------------------------------------------------------


def test_an_item_passes_through_its_stages(admin: Client, clock: Clock) -> None:
    number = queue_id_of(admin.ask(delay=None, ID="a"))
    quiet = admin.item(number)
    clock.pass_s(4)
    buildable = admin.item(number)
    clock.pass_s(QUEUE_S)
    pending = admin.item(number)
    clock.pass_s(0.5)
    starting = admin.item(number)
    clock.pass_s(0.5)
    left = admin.item(number)

    assert quiet["why"] == "In the quiet period. Expires in 4.0 sec"
    assert [quiet["_class"], buildable["_class"], left["_class"]] == [
        f"hudson.model.Queue${kind}" for kind in ("WaitingItem", "BuildableItem", "LeftItem")
    ]
    assert (buildable["pending"], pending["pending"]) == (False, True)
    assert not {"cancelled", "executable"} & {*quiet, *buildable, *pending}
    assert (starting["cancelled"], starting["executable"]) == (False, None)
    assert (left["executable"]["number"], left["why"]) == (1, None)


def test_items_that_have_left_are_not_listed_and_are_forgotten_after_five_minutes(admin: Client, clock: Clock) -> None:
    number = admin.start(ID="a")
    listed = admin.get("/queue/api/json").json()["items"]
    clock.pass_s(STARTED_S)
    after = admin.get("/queue/api/json").json()["items"]
    clock.pass_s(299)
    still_there = admin.get(f"/queue/item/{number}/api/json").status_code
    clock.pass_s(1)

    assert ([item["id"] for item in listed], after) == ([number], [])
    assert still_there == 200
    assert admin.get(f"/queue/item/{number}/api/json").status_code == 404


def test_executors_are_counted(admin: Client, clock: Clock) -> None:
    for name in "abc":
        admin.start(ID=name)
    clock.pass_s(RUNNING_S)

    waiting = admin.item(3)
    clock.pass_s(BUILD_S + 0.5)
    clock.pass_s(RUNNING_S - QUEUE_S)

    assert waiting["why"] == "Waiting for next available executor"
    assert [build["number"] for build in admin.job("builds[number]")["builds"]] == [3, 2, 1]
    assert admin.build(3)["timestamp"] == admin.build(1)["timestamp"] + round((OVER_S - QUEUE_S) * 1000)


def test_hours_are_made_up_for_in_their_order(admin: Client, clock: Clock) -> None:
    for name in "abcdef":
        admin.start(ID=name)
    clock.pass_s(3600)

    began = [admin.build(number)["timestamp"] for number in range(1, 7)]

    assert began == sorted(began)
    assert began[4] - began[0] == 2 * (began[2] - began[0])


def test_without_an_executor_an_item_gets_stuck(jenkins: Jenkins, admin: Client, clock: Clock) -> None:
    jenkins.executors = 0
    number = admin.start(ID="a")
    early = admin.item(number)["stuck"]
    clock.pass_s(86400)
    late = admin.item(number)["stuck"]
    jenkins.executors = 1
    clock.pass_s(RUNNING_S)

    assert (early, late) == (False, True)
    assert admin.build()["timestamp"] == round((clock.at - RUNNING_S + 0.5) * 1000)


SERIAL = "<org.jenkinsci.plugins.workflow.job.properties.DisableConcurrentBuildsJobProperty/>"


def test_builds_of_a_job_that_wants_it_run_one_after_the_other(jenkins: Jenkins, admin: Client, clock: Clock) -> None:
    jenkins.items[JOB] = pipeline("ID", properties=SERIAL)
    admin.start(ID="a")
    blocked = admin.start(ID="b")
    clock.pass_s(RUNNING_S)

    shown = admin.item(blocked)

    assert (shown["_class"], shown["blocked"]) == ("hudson.model.Queue$BlockedItem", True)
    assert shown["why"] == "Build #1 is already in progress"


def test_cancelling_is_a_204_once(admin: Client) -> None:
    number = admin.start(ID="a")

    first, second = (admin.post("/queue/cancelItem", params={"id": number}) for _ in range(2))

    assert (first.status_code, second.status_code) == (204, 500)
    assert (admin.item(number)["cancelled"], admin.item(number)["executable"]) == (True, None)


def test_cancelling_what_has_left_is_a_500_and_what_is_unknown_a_404(admin: Client, clock: Clock) -> None:
    number = admin.start(ID="a")
    clock.pass_s(STARTED_S)

    started = admin.post("/queue/cancelItem", params={"id": number})

    assert started.status_code == 500
    assert "Could not cancel run" in started.text
    assert admin.post("/queue/cancelItem", params={"id": 99}).status_code == 404
    assert admin.get("/queue/cancelItem", params={"id": number}).status_code == 405


def test_cancelling_needs_the_permission(jenkins: Jenkins, admin: Client) -> None:
    number = admin.start(ID="a")
    jenkins.roles["globalRoles"]["admin"].permissions = ["hudson.model.Hudson.Read", "hudson.model.Item.Read"]

    assert admin.post("/queue/cancelItem", params={"id": number}).status_code == 422


def test_a_crash_may_lose_what_waits(jenkins: Jenkins, admin: Client, clock: Clock) -> None:
    number = admin.start(ID="a")
    jenkins.forget_queue_items = True

    gone = admin.get(f"/queue/item/{number}/api/json").status_code
    clock.pass_s(3600)

    assert gone == 404
    assert admin.job("builds[number]")["builds"] == []


# -- a build ----------------------------------------------------------------------------------------------------------


def test_a_build_shows_its_queue_id_first_and_its_parameters_later(admin: Client, clock: Clock) -> None:
    number = admin.start(ID="a")
    clock.pass_s(STARTED_S)
    unseen = admin.get(f"{PATH}/1/api/json").status_code
    clock.pass_s(0.5)
    bare = admin.build()
    clock.pass_s(0.5)

    assert unseen == 404
    assert (bare["queueId"], bare["actions"], bare["building"]) == (number, [{}], True)
    assert parameters_of(admin.build()) == {"ID": "a", "BRANCH": ""}


def test_building_ends_before_progress_does(admin: Client, clock: Clock) -> None:
    admin.start(ID="a")
    clock.pass_s(ENDED_S - 0.25)
    running = admin.build()
    clock.pass_s(0.25)
    finishing = admin.build()
    clock.pass_s(0.5)
    over = admin.build()

    fields = ("building", "inProgress", "result", "duration")
    assert [running[name] for name in fields] == [True, True, None, 0]
    assert [finishing[name] for name in fields] == [False, True, "SUCCESS", 0]
    assert [over[name] for name in fields] == [False, False, "SUCCESS", round((BUILD_S + 1) * 1000)]


@pytest.mark.parametrize("outcome", ["UNSTABLE", "FAILURE"])
def test_a_result_may_be_there_long_before_the_end(jenkins: Jenkins, admin: Client, clock: Clock, outcome: str) -> None:
    jenkins.outcomes[JOB] = [outcome]
    admin.start(ID="a")
    clock.pass_s(RUNNING_S + BUILD_S * 0.75)

    early = admin.build()

    assert (early["building"], early["result"]) == (True, outcome)


def test_outcomes_are_for_one_build_each(jenkins: Jenkins, admin: Client, clock: Clock) -> None:
    jenkins.outcomes[JOB] = ["ABORTED", "UNSTABLE"]
    for name in "abc":
        admin.start(ID=name)
    clock.pass_s(3600)

    shown = admin.job("builds[number,result],color,lastCompletedBuild[number],nextBuildNumber")

    assert [build["result"] for build in shown["builds"]] == ["SUCCESS", "UNSTABLE", "ABORTED"]
    assert (shown["color"], shown["lastCompletedBuild"]["number"], shown["nextBuildNumber"]) == ("blue", 3, 4)


def test_a_job_tells_that_it_is_queued_and_that_it_runs(admin: Client, clock: Clock) -> None:
    admin.start(ID="a")
    queued = admin.job("inQueue,queueItem[id],color")
    clock.pass_s(RUNNING_S)
    running = admin.job("inQueue,queueItem[id],color")

    assert (queued["inQueue"], queued["queueItem"]["id"], queued["color"]) == (True, 1, "notbuilt")
    assert (running["inQueue"], running["queueItem"], running["color"]) == (False, None, "notbuilt_anime")


def test_builds_are_the_newest_hundred(jenkins: Jenkins, admin: Client, clock: Clock) -> None:
    jenkins.executors = 200
    for number in range(101):
        admin.start(ID=str(number))
    clock.pass_s(3600)

    listed = admin.job("builds[number]")["builds"]
    window = admin.job("builds[number]{0,3}")["builds"]

    assert [listed[0]["number"], listed[-1]["number"], len(listed)] == [101, 2, 100]
    assert [build["number"] for build in window] == [101, 100, 99]


ROTATOR = """<jenkins.model.BuildDiscarderProperty><strategy class="hudson.tasks.LogRotator">
<daysToKeep>{days}</daysToKeep><numToKeep>{builds}</numToKeep></strategy></jenkins.model.BuildDiscarderProperty>"""


@pytest.mark.parametrize(("days", "builds", "kept"), [(-1, 2, [4, 3, 2]), (1, -1, [4, 2]), (-1, -1, [4, 3, 2, 1])])
def test_log_rotation_keeps_the_last_and_the_last_good_build(
    jenkins: Jenkins, admin: Client, clock: Clock, days: int, builds: int, kept: list[int]
) -> None:
    jenkins.items[JOB] = pipeline("ID", properties=ROTATOR.format(days=days, builds=builds))
    jenkins.outcomes[JOB] = ["SUCCESS", "SUCCESS", "FAILURE", "FAILURE"]
    for name in "abcd":
        admin.start(ID=name)
        clock.pass_s(3600)
    clock.pass_s(86400)

    assert [build["number"] for build in admin.job("builds[number]")["builds"]] == kept
    assert admin.get(f"{PATH}/1/api/json").status_code == (200 if 1 in kept else 404)


# -- the console ------------------------------------------------------------------------------------------------------


def test_a_console_grows_to_its_end(admin: Client, clock: Clock) -> None:
    admin.start(ID="a", BRANCH="main")
    clock.pass_s(RUNNING_S + BUILD_S / 2)
    half = admin.log()
    clock.pass_s(BUILD_S)
    whole = admin.log()

    assert half.headers["X-More-Data"] == "true"
    assert "X-More-Data" not in whole.headers
    assert whole.text.startswith(half.text)
    assert "nothing to check out" in half.text
    assert whole.text.endswith("Finished: SUCCESS\n")
    assert admin.get(f"{PATH}/1/consoleText").content == whole.content


def test_a_console_that_is_not_there_yet_is_empty_and_has_more(admin: Client, clock: Clock) -> None:
    admin.start(ID="a")
    clock.pass_s(STARTED_S + 0.5)

    answer = admin.log()

    assert (answer.content, answer.headers["X-Text-Size"], answer.headers["X-More-Data"]) == (b"", "0", "true")


def test_the_size_counts_notes_that_are_not_sent(admin: Client, clock: Clock) -> None:
    admin.start(ID="a")
    clock.pass_s(OVER_S)

    answer = admin.log()

    assert int(answer.headers["X-Text-Size"]) > len(answer.content)
    assert b"\x1b[8m" not in answer.content


def test_an_offset_counts_bytes_and_beyond_the_end_restarts(admin: Client, clock: Clock) -> None:
    admin.start(ID="a")
    clock.pass_s(OVER_S)
    whole = admin.log()
    size = int(whole.headers["X-Text-Size"])
    tail = b"Finished: SUCCESS\n"

    assert admin.log(size - len(tail)).content == tail
    assert admin.log(size).content == b""
    assert admin.log(size + 1).content == whole.content
    assert "✔".encode() in whole.content


def test_pieces_of_a_console_make_the_whole(admin: Client, clock: Clock) -> None:
    admin.start(ID="a")
    clock.pass_s(STARTED_S + 0.5)
    pieces, start, has_more = b"", 0, True
    while has_more:
        answer = admin.log(start)
        pieces, start = pieces + answer.content, int(answer.headers["X-Text-Size"])
        has_more = "X-More-Data" in answer.headers
        clock.pass_s(5)

    assert pieces == admin.get(f"{PATH}/1/consoleText").content


def test_a_head_tells_the_size_alone(jenkins: Jenkins, admin: Client, clock: Clock) -> None:
    admin.start(ID="a")
    clock.pass_s(OVER_S)

    head = requests.head(f"{jenkins.url}{PATH}/1/logText/progressiveText", auth=admin.auth, timeout=5)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["X-Text-Size"] == admin.log().headers["X-Text-Size"]


def test_a_failed_stage_has_the_rest_skipped(jenkins: Jenkins, admin: Client, clock: Clock) -> None:
    jenkins.outcomes[JOB] = ["FAILURE"]
    admin.start(ID="a")
    clock.pass_s(OVER_S)

    text = admin.log().content.decode()

    assert 'Stage "Image" skipped due to earlier failure(s)' in text
    assert text.endswith("ERROR: script returned exit code 1\n[Pipeline] End of Pipeline\nFinished: FAILURE\n")


# -- stopping, deleting -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["stop", "term", "kill"])
def test_a_stopped_build_takes_a_moment_to_end(admin: Client, clock: Clock, verb: str) -> None:
    admin.start(ID="a")
    clock.pass_s(RUNNING_S + 10)

    answer = admin.post(f"{PATH}/1/{verb}")
    at_once = admin.build()
    clock.pass_s(1)
    later = admin.build()

    assert (answer.status_code, answer.content) == (302, b"")
    assert (at_once["building"], at_once["result"]) == (True, None)
    assert (later["inProgress"], later["result"], later["duration"]) == (False, "ABORTED", 11500)
    assert admin.log().text.endswith("Finished: ABORTED\n")
    assert "Aborted by automation" in admin.log().text


def test_a_build_that_has_ended_is_not_stopped(admin: Client, clock: Clock) -> None:
    admin.start(ID="a")
    clock.pass_s(OVER_S)

    assert admin.post(f"{PATH}/1/stop").status_code == 302
    assert admin.build()["result"] == "SUCCESS"
    assert admin.post(f"{PATH}/2/stop").status_code == 404
    assert admin.get(f"{PATH}/1/stop").status_code == 405


def test_a_deaf_build_is_only_killed(jenkins: Jenkins, admin: Client, clock: Clock) -> None:
    jenkins.unstoppable.add(JOB)
    admin.start(ID="a")
    clock.pass_s(RUNNING_S)
    for verb in ("stop", "term"):
        admin.post(f"{PATH}/1/{verb}")
    clock.pass_s(10)
    still_building = admin.build()["building"]
    admin.post(f"{PATH}/1/kill")
    clock.pass_s(1)

    assert still_building
    assert admin.build()["result"] == "ABORTED"


def test_stopping_frees_the_executor(jenkins: Jenkins, admin: Client, clock: Clock) -> None:
    jenkins.executors = 1
    admin.start(ID="a")
    waiting = admin.start(ID="b")
    clock.pass_s(RUNNING_S)
    admin.post(f"{PATH}/1/stop")
    clock.pass_s(3)

    assert admin.item(waiting)["executable"]["number"] == 2


def test_a_deleted_job_takes_its_builds_with_it(jenkins: Jenkins, admin: Client, clock: Clock) -> None:
    before = jenkins.snapshot()
    admin.start(ID="a")
    clock.pass_s(RUNNING_S)
    admin.start(ID="b")
    document = jenkins.items[JOB]

    assert admin.post(f"{PATH}/doDelete").status_code == 302
    jenkins.items[JOB] = document
    clock.pass_s(3600)

    assert jenkins.snapshot() == before
    assert admin.job("nextBuildNumber")["nextBuildNumber"] == 1


@pytest.mark.parametrize("path", [PATH, "/job/dev"])
def test_a_build_that_does_not_stop_is_a_400_for_the_deletion(
    jenkins: Jenkins, admin: Client, clock: Clock, path: str
) -> None:
    jenkins.unstoppable.add(JOB)
    admin.start(ID="a")
    clock.pass_s(RUNNING_S)

    answer = admin.post(f"{path}/doDelete")

    assert answer.status_code == 400
    assert "Failed to interrupt and stop" in answer.headers["X-Error"]
    assert JOB in jenkins.items


def test_a_deletion_under_way_is_a_400(jenkins: Jenkins, admin: Client) -> None:
    jenkins.in_deletion.add(JOB)

    answer = admin.post(f"{PATH}/doDelete")

    assert answer.status_code == 400
    assert "currently being deleted" in answer.headers["X-Error"]


# -- who may, who looks, what survives --------------------------------------------------------------------------------


def test_strangers_see_neither_items_nor_builds(jenkins: Jenkins, admin: Client, clock: Clock) -> None:
    number = admin.start(ID="a")
    jenkins.users["eve"] = User(id="eve", full_name="Eve", digest=digest("pw", owner="eve"))
    stranger, nobody = Client(jenkins.url, ("eve", "pw")), Client(jenkins.url, None)

    hidden = stranger.get(f"/queue/item/{number}/api/json").status_code
    clock.pass_s(RUNNING_S)

    assert hidden == 404
    assert stranger.get(f"{PATH}/1/api/json").status_code == 404
    assert stranger.get("/queue/api/json").json()["items"] == []
    assert nobody.get(f"{PATH}/1/api/json").status_code == 403


@pytest.mark.parametrize("path", [f"{PATH}/1/", f"{PATH}/1/console", PATH])
def test_a_link_shows_a_person_the_build(jenkins: Jenkins, admin: Client, clock: Clock, path: str) -> None:
    admin.start(ID="<b>")
    clock.pass_s(OVER_S)

    answer = requests.get(jenkins.url + path, headers={"Accept": "text/html"}, timeout=5)

    assert answer.status_code == 200
    assert "SUCCESS" in answer.text
    assert "<b>" not in answer.text


def test_an_unknown_build_is_a_404(admin: Client) -> None:
    for tail in ("", "/api/json", "/console", "/consoleText", "/logText/progressiveText"):
        assert admin.get(f"{PATH}/1{tail}").status_code == 404


def test_queue_and_builds_survive_a_restart(jenkins: Jenkins, admin: Client, clock: Clock) -> None:
    admin.start(ID="a")
    clock.pass_s(RUNNING_S)
    admin.start(ID="b")
    again = Jenkins(jenkins.config, now=clock)
    again.load(jenkins.dump())

    assert again.snapshot() == jenkins.snapshot()
    assert again.last_queue_id == 2
    clock.pass_s(3600)
    again.catch_up()
    assert [build.result(clock.at) for build in again.builds[JOB]] == ["SUCCESS", "SUCCESS"]
