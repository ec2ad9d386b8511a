"""The load test on the statistical page: what to run, and the result taken into the scenario."""

from __future__ import annotations

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from test_pages_fuzz import ROOT, headline, marks

from sizing import catalog as catalogs
from sizing.planner import plan
from sizing.scenario import StatisticalScenario
from sizing.statistical.measured import fingerprint, parse_measured

HEADER = (
    "Load,Offered Requests/s,Seconds,Sent,Answered,Failed,Unanswered,Mean (ms),50% (ms),90% (ms),95% (ms),99% (ms),99.9% (ms),"
    "Max (ms),Late 50% (ms),Late 99% (ms),Rows,Instance,Instances,Workers\n"
)
CSV = HEADER + "1,50,120,6000,6000,0,0,10.0,7.4,20,26,41,60,80,0.02,0.1,1,aws-c7i-large,1,1\n"
"""50/s at a mean of 10 ms on one worker."""
JOB = {
    "InferenceRecommendations": [
        {
            "Metrics": {"CostPerHour": 0.2, "CostPerInference": 9e-7, "MaxInvocations": 3600, "ModelLatency": 50},
            "EndpointConfiguration": {"InstanceType": name, "InitialInstanceCount": 1},
        }
        for name in ("ml.c5.xlarge", "ml.c7i.xlarge")
    ]
}


def page(section: str = "load_test", **params: str) -> AppTest:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.switch_page("pages/statistical.py")
    at.session_state[section] = True
    for name, value in params.items():
        at.query_params[name] = value
    return at.run()


def upload(at: AppTest, text: str | bytes) -> AppTest:
    content = text.encode() if isinstance(text, str) else text
    at.file_uploader(key="load:file").set_value(("result.csv", content, "text/csv"))
    return at.run()


def param(at: AppTest, name: str) -> str:
    value = at.query_params[name]
    return value if isinstance(value, str) else value[0]


def html(at: AppTest) -> str:
    return " ".join(element.proto.body for element in at.get("html"))


def text(at: AppTest) -> str:
    return " ".join(m.value for m in (*at.markdown, *at.caption)).replace("\\", "")


def expected(**fields: Any) -> str:
    return plan(StatisticalScenario(**fields), catalogs.load()).headline


def test_the_take_away_has_both_files_their_commands_and_the_reason_for_the_length() -> None:
    at = page()
    assert not at.exception
    names = {button.proto.label for button in at.get("download_button")}
    assert {"locust_load_test.py", "k6_load_test.js"} <= names
    code = [block.value for block in at.code]
    assert any("locust -f locust_load_test.py --headless" in c for c in code)
    assert any(c.startswith("k6 run") for c in code)
    assert "requests at 200/s take" in text(at)
    at.toggle(key="load:staged").set_value(True).run()
    assert "knee" in text(at)
    assert not at.exception


def test_an_upload_recalibrates_the_answer_and_travels_in_the_link() -> None:
    at = upload(page(), CSV)
    assert not at.exception
    measured = parse_measured(param(at, "measured_service"))
    assert (measured.where, measured.timed, measured.rows) == ("aws-c7i-large", "request", (1,))
    assert measured.fingerprint == fingerprint(StatisticalScenario())
    # M/G/1 at 50/s: between all of the mean and that less the wait at CV 1, 10 / (1 + 0.5).
    assert 10.0 / 1.5 <= measured.times_ms[0] <= 10.0
    cv = float(param(at, "service_cv"))
    assert expected(measured_service=measured.text(), service_cv=cv) in headline(at)
    assert expected() not in headline(at)
    assert "recalibrated" in html(at)
    assert "Without it the answer would be" in text(at)
    there = page("closed", **{key: param(at, key) for key in at.query_params})
    assert not there.warning
    assert headline(there) == headline(at)


def test_removing_the_measurement_gives_the_prediction_back() -> None:
    at = upload(page(), CSV)
    next(b for b in at.button if b.key == "load:remove").click().run()
    assert not at.exception
    assert (param(at, "measured_service"), param(at, "service_cv")) == ("", "")
    assert expected() in headline(at)


def test_what_is_said_beside_the_file_is_applied_to_it() -> None:
    at = upload(page(), CSV)
    alone = parse_measured(param(at, "measured_service")).times_ms[0]
    at.number_input(key="load:count").set_value(50).run()
    spread = parse_measured(param(at, "measured_service")).times_ms[0]
    assert spread > alone  # one instance in fifty has next to no queue, so nearly all of the mean is service
    at.selectbox(key="load:machine").set_value("aws-m7i-large").run()
    assert parse_measured(param(at, "measured_service")).where == "aws-m7i-large"
    at.selectbox(key="load:machine").set_value("own").run()
    at.number_input(key="load:factor").set_value(0.5).run()
    assert parse_measured(param(at, "measured_service")).where == "host-0.5"
    at.number_input(key="load:outside").set_value(5.0).run()
    assert parse_measured(param(at, "measured_service")).times_ms[0] == pytest.approx(spread - 5.0, rel=0.1)
    assert not at.exception


def test_users_who_wait_are_inverted_as_a_closed_loop() -> None:
    """4 users on one worker without a pause, 50/s: 4 / 50 s = 80 ms in all; a worker takes 20 ms."""
    at = upload(page(), CSV.replace("6000,6000", "6000,6000").replace(",10.0,", ",80.0,"))
    at.selectbox(key="load:loop").set_value("closed").run()
    at.number_input(key="load:users").set_value(4).run()
    assert parse_measured(param(at, "measured_service")).times_ms[0] == pytest.approx(20.0, rel=0.02)
    assert not at.exception


def test_a_recommender_job_shows_each_instance_and_takes_the_one_chosen() -> None:
    at = upload(page(), json.dumps(JOB))
    assert not at.exception
    assert parse_measured(param(at, "measured_service")).where == "sagemaker-ml-c5-xlarge"
    assert "$0.20" in html(at) or "$0.2" in html(at)
    at.selectbox(key="load:machine").set_value("sagemaker-ml-c7i-xlarge").run()
    assert parse_measured(param(at, "measured_service")).where == "sagemaker-ml-c7i-xlarge"
    assert not at.exception


def test_another_model_leaves_the_measurement_aside_and_says_so() -> None:
    at = upload(page(), CSV)
    cv = float(param(at, "service_cv"))
    at.number_input(key="statistical:trees").set_value(300).run()
    assert expected(trees=300, service_cv=cv) in headline(at)
    assert "do not count" in text(at)
    assert not at.exception


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"a,b\n1,2\n", CSV.replace(",10.0,", ",<b>no</b>,").encode(), CSV.replace(",10.0,", ",nan,").encode(),
     CSV.replace(",10.0,", ",-1,").encode(), b"[" * 50_000, b'{"metrics": {}}', CSV.replace("6000,6000", "6000,0").replace(
         "10.0,7.4,20,26,41,60,80", "N/A,N/A,N/A,N/A,N/A,N/A,N/A").encode()],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_said_and_changes_nothing(content: bytes) -> None:
    at = page()
    good = headline(at)
    upload(at, content)
    assert not at.exception
    assert headline(at) == good
    assert param(at, "measured_service") == ""
    assert len(marks(at)) == 1


@pytest.mark.parametrize("measured", ["nonsense", "aws-none~3f09ab12~request~1=4", "host-0~3f09ab12~request~1=4"])
def test_a_link_with_a_measurement_that_cannot_be_opens_with_the_prediction(measured: str) -> None:
    at = page(measured_service=measured)
    assert not at.exception
    assert expected() in headline(at)
    assert any("measured_service" in w.value.replace("\\", "") for w in at.warning)


def test_the_closed_section_draws_nothing() -> None:
    at = page("closed")
    assert not any(upload.key == "load:file" for upload in at.file_uploader)
    assert not any(b.proto.label == "k6_load_test.js" for b in at.get("download_button"))
