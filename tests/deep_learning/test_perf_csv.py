"""Files of perf_analyzer and Model Analyzer: batches by Little's law, by hand; hostile files answered in one sentence."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.deep_learning.perf_csv import MAX_BYTES, MAX_ROWS, Measured, read_measured
from sizing.errors import InputError

PERF = (
    "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,"
    "Server Compute Infer,Server Compute Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency\n"
)
ANALYZER = (
    "Model,Batch,Concurrency,Model Config Path,Instance Group,Max Batch Size,Satisfies Constraints,"
    "Throughput (infer/sec),p99 Latency (ms)\n"
)
GPU = (
    "Model,GPU UUID,Batch,Concurrency,Model Config Path,Instance Group,Satisfies Constraints,GPU Memory Usage (MB),"
    "GPU Utilization (%),GPU Power Usage (W)\n"
)


def read(text: str, **options: int) -> Measured:
    return read_measured(text.encode(), **options)


def points(text: str, **options: int) -> list[tuple[float, float]]:
    return [(p.batch, p.time_ms) for p in read(text, **options).points]


def test_batch_in_compute_is_throughput_times_compute_time() -> None:
    row = "16,2000,10,50,3000,100,3700,200,0,7900,8200,8300,8400\n"  # 100 + 3700 + 200 us: 2000/s x 4 ms = 8 samples
    assert points(PERF + row, largest_batch=8) == [(8.0, 4.0)]
    assert points(PERF + row, largest_batch=32) == [(8.0, 4.0)]
    assert points(PERF + row, largest_batch=4) == [(4.0, 4.0)]  # no more than the server forms
    assert points(PERF + row) == [(1.0, 4.0)]
    assert points(PERF + row, request_batch=16) == [(16.0, 4.0)]  # at least the batch of a request


def test_no_more_than_the_clients_have_in_flight() -> None:
    assert points(PERF + "2,5000,0,0,0,0,4000,0,0,1,1,1,1\n", largest_batch=64) == [(2.0, 4.0)]


def test_without_compute_times_half_of_the_clients_run_while_half_wait() -> None:
    row = "resnet,1,16,resnet_config_3,1:GPU,32,Yes,2000.0,9.5\n"
    assert points(ANALYZER + row) == [(8.0, 4.0)]  # 16 / 2 samples in 8 / 2000 s
    assert points(ANALYZER + row.replace(",32,Yes", ",4,No")) == [(4.0, 2.0)]
    assert points(ANALYZER + row.replace("resnet,1,16", "resnet,8,1")) == [(8.0, 4.0)]  # one client: its own batch
    assert {p.rule for p in read(ANALYZER + row).points} == {"batch / throughput"}


def test_model_analyzer_compute_times_are_milliseconds() -> None:
    header = ANALYZER.rstrip("\n") + ",Server Compute Input time (ms),Server Compute Infer time (ms)\n"
    assert points(header + "r,1,16,p,1:GPU,32,Yes,2000,9.5,0.5,3.5\n") == [(8.0, 4.0)]


def test_rows_that_need_another_assumption_are_left_out_with_the_reason() -> None:
    rows = "r,1,16,a,1:GPU,32,Yes,2000,9\nr,1,16,b,2:GPU,32,Yes,3000,9\nr,1,16,c,1:GPU,32,Yes,0,9\n"
    found = read(ANALYZER + rows)
    assert len(found.points) == 1
    assert [line for line, _ in found.left_out] == [3, 4]
    assert "2 instances" in found.left_out[0][1]
    assert "nothing was served" in found.left_out[1][1]


def test_request_rates_count_only_where_the_batch_is_known() -> None:
    text = PERF.replace("Concurrency", "Request Rate") + "500,500,0,0,0,0,4000,0,0,1,1,1,1\n"
    assert points(text, request_batch=4) == [(4.0, 4.0)]
    with pytest.raises(InputError, match=r"line 2.*request rate"):
        read(text, largest_batch=8)
    both = PERF.replace("Concurrency", "Concurrency,Request Rate") + "0,500,500,0,0,0,0,4000,0,0,1,1,1,1\n"
    assert points(both) == [(1.0, 4.0)]


def test_gpu_metrics_are_memory_by_the_largest_batch_possible() -> None:
    found = read(GPU + "r,GPU-1,1,16,p,1:GPU,Yes,1592.8,60.0,120.1\n", largest_batch=8)
    assert found.kind == "model_analyzer_gpu"
    assert [(g.batch, g.used_bytes) for g in found.gpu] == [(8.0, 1592.8e6)]
    assert found.points == ()


def test_bom_crlf_quotes_blank_lines_and_more_columns_do_not_matter() -> None:
    plain = PERF + "16,2000,10,50,3000,100,3700,200,0,7900,8200,8300,8400\n"
    header, row = plain.splitlines()
    other = "\ufeff" + f'\r\n"Extra, with comma",{header}\r\n\r\n"x, ""y""",{row}\r\n\r\n'
    assert points(other, largest_batch=8) == points(plain, largest_batch=8)
    batch = f"Batch,{header}\n16,{row}\n"
    assert points(batch) == [(16.0, 4.0)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no row"),
        (PERF, "at least one row"),
        ("a,b\n1,2\n", "header: 'a,b'"),
        (PERF + "many,1,1,1,1,1,1,1,1,1,1,1,1\n", "line 2, Concurrency: 'many'"),
        (PERF + "1,-5,1,1,1,1,1,1,1,1,1,1,1\n", "line 2, Inferences/Second: '-5'"),
        (PERF + "1,nan,1,1,1,1,1,1,1,1,1,1,1\n", "line 2, Inferences/Second: 'nan'"),
        (PERF + "1,1e999,1,1,1,1,1,1,1,1,1,1,1\n", "Inferences/Second: '1e999'"),
        (PERF + "1,5,1,1,1,1,inf,1,1,1,1,1,1\n", "line 2, Server Compute Infer: 'inf'"),
        (PERF + "1\n", "line 2, Inferences/Second: empty"),
        (PERF.replace("Client Send", "Concurrency") + "1,1,1,1,1,1,1,1,1,1,1,1,1\n", "each column once"),
        (PERF + '1,"5\n', "line"),
        (PERF + "1,0,1,1,1,1,1,1,1,1,1,1,1\n", "nothing was served"),
        (ANALYZER + "a,1,1,p,1:GPU,8,Yes,9,9\nb,1,1,p,1:GPU,8,Yes,9,9\n", "Model: 'a, b'"),
        (PERF + "1,5,1,1,1,1,1e12,1,1,1,1,1,1\n", "Server Compute Infer"),
        ("x" * 100_000 + "\n1\n", "header"),
        (PERF + "1," + "9" * 140_000 + "\n", "line 2"),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        read(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")
    assert len(str(error.value)) < 500


def test_sizes_are_capped_and_bytes_that_are_no_text_are_said() -> None:
    with pytest.raises(InputError, match="at most 1,000,000 bytes"):
        read_measured(b"x" * (MAX_BYTES + 1))
    with pytest.raises(InputError, match=f"at most {MAX_ROWS:,} rows"):
        read(PERF + "1,5,,,,,9,,,,,,\n" * (MAX_ROWS + 1))
    for content in (b"\xff\xfe\x00\x01", b"PK\x03\x04\x80\x81"):
        with pytest.raises(InputError, match="UTF-8"):
            read_measured(content)
    for wrong in (0, -1, 10**9):
        with pytest.raises(InputError, match="request_batch"):
            read_measured(PERF.encode(), request_batch=wrong)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", PERF.encode(), ANALYZER.encode(), GPU.encode()]))
def test_any_bytes_are_read_or_refused_in_words(noise: bytes, start: bytes) -> None:
    said = ""
    try:
        found = read_measured(start + noise)
    except InputError as error:
        said = str(error)
    else:
        assert all(p.batch >= 1 and p.time_ms > 0 for p in found.points)
    assert said == "" or said.endswith(".")
