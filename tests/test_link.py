"""A scenario survives its link exactly; a bad link is answered field by field, never by silence or a crash."""

from __future__ import annotations

import string
from urllib.parse import parse_qsl

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from sizing import link as links
from sizing.accuracy_view import AccuracyView
from sizing.catalog_view import CatalogView
from sizing.errors import InputError
from sizing.scenario import DeepLearningScenario, LlmScenario, StatisticalScenario, choices

VERSION = "2026-11-22.0a1b2c3d"
IDS = st.lists(st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12), max_size=4, unique=True).map(
    tuple
)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)


def _fields(model: type[BaseModel]) -> st.SearchStrategy[dict[str, object]]:
    """Values for every field of a scenario, within what the field accepts."""
    strategies: dict[str, st.SearchStrategy[object]] = {}
    for name, info in model.model_fields.items():
        annotation = str(info.annotation)
        if name == "kind":
            continue
        if name in ("name", "notes", "search"):
            strategies[name] = TEXT
        elif name in ("accelerators", "instances", "models", "hardware", "engines"):
            strategies[name] = IDS
        elif name == "hidden_layers":
            strategies[name] = st.lists(st.integers(1, 1000), max_size=4).map(tuple)
        elif name == "load_table":
            day = st.lists(st.floats(0.5, 100), min_size=24, max_size=24).map(tuple)
            strategies[name] = st.one_of(st.just(()), day)
        elif name in ("owned_years", "pue"):
            strategies[name] = st.floats(1.0, 2.9)
        elif name in ("requests_per_s", "concurrency"):
            continue
        elif picks := choices(model, name):
            one = st.sampled_from(picks)
            strategies[name] = st.lists(one, max_size=3, unique=True).map(tuple) if "tuple" in annotation else one
        elif "bool" in annotation:
            strategies[name] = st.booleans()
        elif "int" in annotation:
            low = 200 if name == "max_batched_tokens" else 2
            whole: st.SearchStrategy[object] = st.integers(low, 60)
            strategies[name] = st.one_of(st.none(), whole) if "None" in annotation else whole.map(lambda v: v)
        elif "float" in annotation:
            number: st.SearchStrategy[object] = st.floats(0.15, 0.95)
            strategies[name] = st.one_of(st.none(), number) if "None" in annotation else number
        else:
            strategies[name] = st.text(string.ascii_letters, min_size=1, max_size=20)
    if "engine_version" in strategies:
        strategies["engine_version"] = st.one_of(st.none(), st.sampled_from(["0.18", "1.2.0", "4921"]))
        strategies["custom_config"] = st.one_of(st.none(), st.text(min_size=1, max_size=200))
    if "measured_curve" in strategies:
        curves = ["t4~bert-base-uncased~512~tensorrt~fp16~fused~1=2.1,8.5=9.4", "a30~x~1~onnxruntime~int8~math~64=0.5"]
        strategies["measured_curve"] = st.one_of(st.none(), st.sampled_from(curves))
    if "measured_service" in strategies:
        services = ["aws-c6i-large~3f09ab12~request~1=1.9,64=4.2", "host-0.45~00ff00ff~model~8=0.031"]
        strategies["measured_service"] = st.one_of(st.none(), st.sampled_from(services))
    if "measured_serving" in strategies:
        runs = [
            "l4~gpt2~vllm-0.11~native~bf16~2.1.1e~c16x1000x250=120:14.2,r2.5x9x9=:7~-",
            "a30~x~sglang~fp8~fp8~1.1.1~-~m:5:0.9:::",
        ]
        strategies["measured_serving"] = st.one_of(st.none(), st.sampled_from(runs))
    if "custom_network" in strategies:
        strategies["custom_network"] = st.one_of(st.none(), st.text(min_size=1, max_size=200))
    if "custom_model" in strategies:
        strategies["custom_model"] = st.one_of(st.none(), st.text(min_size=1, max_size=200))
    if "max_batched_tokens" in strategies:
        strategies["max_batched_tokens"] = st.integers(128, 100_000)
    if "turns_per_conversation" in strategies:
        strategies["turns_per_conversation"] = st.floats(1.0, 50.0)
    if "cpu_limit_vcpus" in strategies:
        strategies["cpu_limit_vcpus"] = st.one_of(st.none(), st.floats(0.1, 64.0))
    if "spare_replicas" in strategies:
        strategies["spare_replicas"] = st.integers(0, 9)
    if "own_prices" in strategies:
        prices = ["aws-p5-48xlarge~40.5", "aws-t3-medium~spot~0.0000123", "x~committed_1y~3"]
        strategies["own_prices"] = st.lists(st.sampled_from(prices), max_size=3, unique=True).map(tuple)
    if "currency" in strategies:
        strategies["currency"] = st.from_regex(r"[A-Z]{3}", fullmatch=True)
    if "model_instances_per_gpu" in strategies:
        strategies["model_instances_per_gpu"] = st.integers(1, 4)
    traffic = st.one_of(
        st.floats(1e-6, 1e6).map(lambda v: {"requests_per_s": v, "concurrency": None}),
        st.integers(1, 100_000).map(lambda v: {"requests_per_s": None, "concurrency": v}),
    )
    fields = st.fixed_dictionaries(strategies)
    if "requests_per_s" not in model.model_fields:
        return fields
    return st.tuples(fields, traffic).map(lambda pair: {**pair[0], **pair[1]})


@pytest.mark.parametrize("model", [LlmScenario, DeepLearningScenario, StatisticalScenario, CatalogView, AccuracyView])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_field_survives_the_link(model: type[BaseModel], data: st.DataObject) -> None:
    scenario = model.model_validate(data.draw(_fields(model)))
    query = links.to_query(scenario, catalog_version=VERSION)
    decoded = links.from_query(query)
    assert decoded.scenario == scenario
    assert decoded.catalog == VERSION
    assert decoded.messages == ()
    assert links.to_query(decoded.scenario, catalog_version=VERSION) == query


@pytest.mark.parametrize("model", [LlmScenario, DeepLearningScenario, StatisticalScenario])
def test_a_link_holds_all_fields_defaults_included_and_stays_short(model: type[BaseModel]) -> None:
    scenario = model()
    names = {name for name, _ in parse_qsl(links.to_query(scenario, catalog_version=VERSION), keep_blank_values=True)}
    assert names == {"v", "catalog", *model.model_fields}
    assert len(links.to_link(scenario, catalog_version=VERSION)) < 2000


def test_the_page_names_the_kind_when_the_query_does_not() -> None:
    decoded = links.from_link("http://localhost:8501/llm?model=gpt2")
    assert decoded.scenario == LlmScenario(model="gpt2")
    assert decoded.messages == ()


def test_a_truncated_link_says_what_it_lacks() -> None:
    whole = links.to_query(LlmScenario(), catalog_version=VERSION)
    cut = whole[: whole.index("&runtime=")]
    assert "runtime" in " ".join(links.from_query(cut).messages)


@pytest.mark.parametrize("model", [LlmScenario, DeepLearningScenario, StatisticalScenario])
def test_a_link_from_before_some_fields_says_so_and_asks_the_same(model: type[BaseModel]) -> None:
    pairs = parse_qsl(links.to_query(model(), catalog_version=VERSION), keep_blank_values=True)
    older = links.from_params([(name, value) for name, value in pairs if name not in links.LATER_FIELDS])
    assert older.scenario == model()
    assert len(older.messages) == 1
    assert older.messages[0].startswith("The link is older than ")
    cut = links.from_params(pairs[: len(pairs) // 2], kind=model.model_fields["kind"].default)
    assert cut.messages[0].startswith("The link lacks ")


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ("kind=llm&v=1&prompt_tokens=-5", "prompt_tokens", "-5"),
        ("kind=llm&prompt_tokens=many", "prompt_tokens", "a whole number"),
        ("kind=llm&requests_per_s=nan", "requests_per_s", "finite"),
        ("kind=llm&requests_per_s=1e99", "requests_per_s", "10000000"),
        ("kind=llm&kv_format=int2", "kv_format", "one of"),
        ("kind=llm&providers=aws,mars", "providers", "one of"),
        ("kind=llm&colour=red", "colour", "red"),
        ("kind=llm&prompt_tokens=5&prompt_tokens=6", "prompt_tokens", "one value only"),
        ("kind=llm&requests_per_s=5&concurrency=6", "requests_per_s", "exactly one"),
        ("kind=llm&model=../../etc/passwd", "model", "catalog id"),
    ],
)
def test_a_field_that_cannot_be_used_is_named_and_the_rest_is_kept(query: str, field: str, says: str) -> None:
    decoded = links.from_query(query + "&output_tokens=77")
    assert [problem.field for problem in decoded.ignored] == [field]
    assert says in str(decoded.ignored[0])
    assert decoded.scenario.output_tokens == 77
    assert "\n" not in str(decoded.ignored[0])


@pytest.mark.parametrize(
    ("link", "field"),
    [
        ("kind=llm&v=2", "v"),
        ("kind=llm&v=", "v"),
        ("kind=dream", "kind"),
        ("model=gpt2", "kind"),
        ("http://[bad/llm?x=1", "link"),
        ("kind=llm&notes=" + "x" * 10_000_000, "link"),
        ("kind=llm" + "&a=1" * 300, "link"),
    ],
)
def test_a_link_that_cannot_be_read_as_a_whole_is_refused_in_one_sentence(link: str, field: str) -> None:
    with pytest.raises(InputError) as error:
        links.from_link(link)
    assert error.value.field == field
    assert len(str(error.value)) < 400
    assert "\n" not in str(error.value)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_never_crash_the_reader(noise: bytes) -> None:
    link = "http://localhost:8501/llm?" + noise.decode("latin-1")
    try:
        decoded = links.from_link(link)
    except InputError:
        with pytest.raises(InputError, match=r"^[^\n]+$"):
            links.from_link(link)
    else:
        assert isinstance(decoded.scenario, LlmScenario)


def test_what_the_frame_owns_is_not_a_field() -> None:
    assert links.from_query("kind=llm&embed=true&embed_options=dark_theme").messages == ()


def test_too_much_for_a_link_is_said_not_cut() -> None:
    scenario = LlmScenario(instances=tuple(f"instance-number-{i}" for i in range(400)))
    with pytest.raises(InputError, match="link"):
        links.to_query(scenario, catalog_version=VERSION)


def test_scenarios_do_not_change_once_made() -> None:
    with pytest.raises(ValidationError):
        LlmScenario().prompt_tokens = 5  # type: ignore[misc]


def test_a_pasted_config_travels_compressed_and_a_spoiled_one_is_named() -> None:
    config = '{"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32}'
    scenario = LlmScenario(model="custom", custom_config=config)
    query = links.to_query(scenario, catalog_version=VERSION)
    packed = dict(parse_qsl(query, keep_blank_values=True))["custom_config"]
    assert len(packed) < len(config)
    assert links.from_query(query).scenario == scenario
    spoiled = links.from_query(query.replace(packed, packed[:-4] + "!!"))
    assert spoiled.scenario.custom_config is None
    assert "custom_config" in " ".join(spoiled.messages)


def test_a_compressed_text_cannot_unpack_to_more_than_a_scenario_holds() -> None:
    assert links.decompressed(links.compressed("a" * links.MAX_COMPRESSED_TEXT)) is not None
    assert links.decompressed(links.compressed("a" * (links.MAX_COMPRESSED_TEXT + 1))) is None
    assert links.decompressed(links.compressed("a" * 10_000_000)) is None


def test_the_summary_is_the_same_scenario_in_another_view() -> None:
    scenario = LlmScenario(prompt_tokens=77)
    whole = links.to_link(scenario, catalog_version=VERSION)
    summary = links.to_link(scenario, catalog_version=VERSION, view=links.SUMMARY)
    assert summary == f"{whole}&view=summary"
    assert links.from_link(summary) == links.from_link(whole)


@pytest.mark.parametrize(
    ("query", "allowed"), [("kind=llm&view=poster", "summary"), ("kind=catalogs&view=summary", "no view")]
)
def test_an_unknown_view_is_named_and_the_scenario_kept(query: str, allowed: str) -> None:
    decoded = links.from_query(query)
    assert [problem.field for problem in decoded.ignored] == ["view"]
    assert allowed in decoded.messages[0]


def test_a_link_too_long_with_its_view_is_said() -> None:
    room = links.MAX_LINK_CHARACTERS - len(links.to_query(LlmScenario(), catalog_version=VERSION))
    scenario = LlmScenario(model="custom", instances=("x" * 99,) * (room // 100))
    assert len(links.to_query(scenario, catalog_version=VERSION)) <= links.MAX_LINK_CHARACTERS
    rest = links.MAX_LINK_CHARACTERS - len(links.to_query(scenario, catalog_version=VERSION))
    scenario = scenario.model_copy(update={"name": "n" * min(rest, 120)})
    with pytest.raises(InputError, match="link"):
        links.to_query(scenario, catalog_version=VERSION, view=links.SUMMARY)
