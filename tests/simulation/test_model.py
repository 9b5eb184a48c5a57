"""The model: what it says of small histories by hand."""

from tests.simulation.evidence import Fact
from tests.simulation.model import same, stand
from tests.simulation.ordinary import child, plan, wait, work

SECOND = 1_000_000


class History:
    """One generation, event by event, a second between two."""

    def __init__(self, generation=0):
        self.generation = generation
        self.facts = []

    def add(self, event, /, **fields):
        seq = len(self.facts) + 1
        place = {"run": "0.0.0", "generation": self.generation, "seq": seq, "at_us": seq * SECOND}
        self.facts.append(Fact(0, seq, seq * SECOND, "i", event, place | fields, b"", "one"))
        return self

    def started(self):
        return self.add("WorkflowStarted", start_at_us=0)

    def activity(self, value, cause, task_id, name="work"):
        text = f'{{"value":{value},"seconds":0.2,"failures":0,"fatal":false}}'
        return self.add(
            "ActivityScheduled", cause=cause, task_id=task_id, name=name, input=text, queue="", timeout_us=0, retry=None
        )

    def completed(self, task_id, output):
        return self.add("ActivityCompleted", task_id=task_id, attempt=1, output=output)

    def raised(self, name, data='"x"'):
        return self.add("EventRaised", name=name, data=data, command_id="", requested_by="", carried=False)

    def timer(self, cause, task_id, after_s, event_name=""):
        fire_at_us = self.facts[cause - 1].fields["at_us"] + after_s * SECOND
        fields = {"task_id": task_id, "fire_at_us": fire_at_us, "event_name": event_name}
        return self.add("TimerCreated", cause=cause, **fields)


def one_activity():
    return History().started().activity(1, cause=1, task_id=1)


def test_what_is_asked_for_must_be_what_the_plan_has_next():
    given = plan("p", work(1), wait("go"))

    assert stand(given, one_activity().facts).complaint == ""
    assert stand(given, one_activity().facts).matched == 1
    for wrong in (
        History().started(),
        History().started().activity(1, 1, 1, "work_b"),
        History().started().activity(2, 1, 1),
        History().started().activity(1, 1, 2),
        one_activity().activity(1, 1, 2),
    ):
        assert stand(given, wrong.facts).complaint


def test_a_cause_is_the_fact_that_code_was_told():
    given = plan("p", wait("go"), work(1))

    assert stand(given, History().started().raised("go").activity(1, cause=2, task_id=1).facts).complaint == ""
    assert stand(given, History().started().raised("go").activity(1, cause=1, task_id=1).facts).complaint


def test_an_output_follows_from_results():
    given = plan("p", work(1))
    ended = one_activity().completed(1, "3")

    right = '{"label":"p","results":[["ok",3]]}'
    assert stand(given, ended.add("WorkflowCompleted", output=right).facts).done
    wrong = one_activity().completed(1, "3").add("WorkflowCompleted", output='{"label":"p","results":[["ok",4]]}')
    assert "output" in stand(given, wrong.facts).complaint


def test_an_end_must_come_at_once():
    assert "is over" in stand(plan("p", work(1)), one_activity().completed(1, "3").raised("go").facts).complaint


def test_events_go_to_the_first_wait_of_their_name_whatever_its_case():
    given = plan("p", wait("Go"), wait("go"), wait("other"))
    standing = stand(given, History().started().raised("GO").raised("other").raised("gO").facts)

    assert standing.complaint.startswith("after event 4 the plan is over")
    assert stand(given, History().started().raised("GO").raised("other").facts).waits == ["go"]


def test_an_event_that_came_before_makes_no_timer():
    given = plan("p", work(1), wait("go", 5.0), wait("news", 5.0))
    history = one_activity().raised("go").completed(1, "3").timer(cause=4, task_id=2, after_s=5, event_name="news")

    standing = stand(given, history.facts)

    assert (standing.complaint, standing.waits, standing.matched) == ("", ["news"], 2)


def test_a_wait_that_lost_its_race_still_takes_its_event():
    race = {"do": "race", "branches": [wait("only"), work(1)]}
    history = one_activity().completed(1, "3").raised("only").raised("only")

    assert [fact.fields["seq"] for fact in stand(plan("p", race, wait("go")), history.facts).kept] == [5]


def test_facts_are_not_told_while_the_instance_is_suspended():
    given = plan("p", work(1), work(2))
    paused = one_activity().add("WorkflowSuspended", handled_to=1).completed(1, "3")

    assert stand(given, paused.facts).untold == [4]
    assert stand(given, paused.add("WorkflowResumed").activity(2, cause=4, task_id=2).facts).complaint == ""
    told = one_activity().add("WorkflowSuspended", handled_to=1).completed(1, "3").activity(2, cause=4, task_id=2)
    assert "nothing asked for it" in stand(given, told.facts).complaint


def test_what_a_stall_says_of_telling_is_held_against_what_was_told():
    given = plan("p", work(1), work(2))
    stalled = one_activity().completed(1, "3").add("WorkflowStalled", handled_to=1, reason="diverged")

    assert stand(given, stalled.facts).complaint == ""
    assert stand(given, stalled.add("WorkflowRecovered").activity(2, cause=3, task_id=2).facts).complaint == ""
    wrong = one_activity().completed(1, "3").add("WorkflowStalled", handled_to=3, reason="diverged")
    assert "asks for" in stand(given, wrong.facts).complaint


def test_an_instance_that_recovers_is_told_what_waits():
    given = plan("p", work(1), work(2))
    stalled = one_activity().completed(1, "3").add("WorkflowStalled", handled_to=1, reason="diverged")

    assert stand(given, stalled.add("WorkflowRecovered").facts).complaint, "and not left with it"


def test_by_the_way_of_a_command_it_is_told_after_what_the_command_brings():
    given = plan("p", work(1), wait("go"), work(2))
    stalled = one_activity().completed(1, "3").add("WorkflowStalled", handled_to=1, reason="diverged")
    recovered = stalled.add("WorkflowRecovered").raised("go").activity(2, cause=6, task_id=2)

    assert stand(given, recovered.facts).complaint == ""


def test_what_goes_along_is_what_nobody_has_taken_and_what_nobody_was_told_of():
    def ended(save_events):
        again = {"do": "again", "save_events": save_events, "plan": plan("q")}
        history = History().started().raised("other").add("WorkflowSuspended", handled_to=2)
        history.raised("go").raised("late").add("WorkflowResumed")
        history.add("WorkflowContinuedAsNew", input='{"label":"q","steps":[]}', save_events=save_events)
        return stand(plan("p", wait("go"), again), history.facts)

    assert [fact.fields["name"] for fact in ended(True).carried] == ["other", "late"]
    assert [fact.fields["name"] for fact in ended(False).carried] == ["late"]


def test_what_is_asked_for_beside_the_end_is_dropped_but_the_status():
    race = {"do": "race", "branches": [wait("go"), work(1)]}
    status = {"do": "status", "value": "over"}
    history = History().add("WorkflowStarted", start_at_us=9 * SECOND).raised("go").add("WorkflowBegun")
    history.add("CustomStatusSet", cause=3, value='"over"')
    history.add("WorkflowCompleted", output='{"label":"p","results":[[0,["event","x"]],null]}')

    standing = stand(plan("p", race, status), history.facts)

    assert (standing.complaint, standing.done, standing.custom_status) == ("", True, '"over"')


def test_a_childs_own_id_tells_of_its_generation():
    given = plan("p", child(plan("q")))

    def scheduled(generation, child_id):
        history = History(generation).add("WorkflowStarted", start_at_us=0).add("WorkflowBegun")
        return history.add(
            "ChildScheduled", cause=2, task_id=1, name="plan_b", child_id=child_id, input='{"label":"q","steps":[]}',
            retry=None,
        )  # fmt: skip

    assert stand(given, scheduled(2, "i:2:0001").facts).complaint == ""
    assert stand(given, scheduled(2, "i:0001").facts).complaint


def test_numbers_and_truth_are_told_apart():
    assert same("1", 1)
    assert not same("1", True)
    assert not same("1.0", 1)
    assert same("", None)
    assert not same("{", {})
