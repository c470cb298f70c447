"""Precedence, defaults, kinds, and one line for each mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from daemon.config.head import NoHead
from daemon.config.load import Loaded, load
from daemon.config.tune import FullTune, LastLayersTune, LoraTune
from daemon.errors import ConfigError

TASK = "tasks: {support: {}}\n"


def given(
    directory: Path, text: str = TASK, sets: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> Loaded:
    file = directory / "config.yaml"
    file.write_text(text)
    return load(file, sets, environ or {})


def refused(
    directory: Path, text: str = TASK, sets: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        given(directory, text, sets, environ)
    assert caught.value.exit_status == 2
    return str(caught.value).splitlines()


def test_each_layer_wins_over_the_one_below_it_and_says_so(tmp_path: Path) -> None:
    # Given a port in the file, in the environment and on the command line
    text = TASK + "http:\n  port: 1\n"
    environ = {"RETAIND_HTTP__PORT": "2"}
    # When one layer after the other is added
    rounds = [
        given(tmp_path),
        given(tmp_path, text),
        given(tmp_path, text, environ=environ),
        given(tmp_path, text, ["http.port=3", "http.port=4"], environ),
    ]
    # Then each wins over what is below it, and the last --set over the others
    assert [loaded.config.http.port for loaded in rounds] == [8090, 1, 2, 4]
    origins = [loaded.provenance["http.port"] for loaded in rounds]
    assert origins == ["default", "config.yaml:3", "RETAIND_HTTP__PORT", "--set"]


def test_defaults_hold_for_every_task_that_does_not_say_otherwise(tmp_path: Path) -> None:
    # Given defaults, and a task that overrides one key of them
    loaded = given(
        tmp_path,
        "defaults:\n  gate: {min_rows: 7, margin: 0.5}\ntasks:\n  a:\n  b:\n    gate: {min_rows: 9}\n",
        ["defaults.gate.margin=0.25"],
    )
    # Then the task keeps the other key, and each knows where its value stands
    a, b = loaded.config.tasks["a"], loaded.config.tasks["b"]
    assert (a.gate.min_rows, b.gate.min_rows, a.gate.margin, b.gate.margin) == (7, 9, 0.25, 0.25)
    assert loaded.provenance["tasks.a.gate.min_rows"] == "config.yaml:2 (defaults)"
    assert loaded.provenance["tasks.b.gate.min_rows"] == "config.yaml:6"
    assert loaded.provenance["tasks.b.gate.margin"] == "--set (defaults)"


def test_another_kind_replaces_the_section_that_it_chooses(tmp_path: Path) -> None:
    # Given lora with a rank in defaults
    text = (
        "defaults: {tune: {kind: lora, rank: 4}, head: {kind: ncm, layers: 1}}\n"
        "tasks: {a: {tune: {rank: 2}, head: {kind: none}}, b: {tune: {kind: last_layers, layers: 3}}, c: }\n"
    )
    # When tasks choose the same kind, another kind, and --set another still
    loaded = given(tmp_path, text, ["tasks.c.tune.kind=full"])
    tasks = loaded.config.tasks
    # Then only the same kind keeps the rank
    assert tasks["a"].tune == LoraTune(rank=2)
    assert tasks["a"].head == NoHead()
    assert tasks["b"].tune == LastLayersTune(layers=3)
    assert tasks["c"].tune == FullTune()


def test_another_kind_of_stream_keeps_what_the_file_says_of_it(tmp_path: Path) -> None:
    # Given a stream with settings for both of its kinds
    text = TASK + "stream: {kind: kafka, kafka: {group_id: g}, embedded: {partitions: 3}}\n"
    # When the environment switches the kind
    loaded = given(tmp_path, text, environ={"RETAIND_STREAM__KIND": "embedded"})
    # Then both are still there: no section is chosen by it
    assert (loaded.config.stream.kafka.group_id, loaded.config.stream.embedded.partitions) == ("g", 3)


def test_an_entry_of_a_list_can_be_set(tmp_path: Path) -> None:
    text = TASK + "stream: {inputs: [{topic: a}, {topic: b}]}\n"
    loaded = given(tmp_path, text, ["stream.inputs.1.topic=c"])
    assert [entry.topic for entry in loaded.config.stream.inputs] == ["a", "c"]
    assert refused(tmp_path, text, ["stream.inputs.2.topic=c"]) == [
        "stream.inputs.2: no such entry; stream.inputs has 0 to 1"
    ]


def test_a_list_is_replaced_and_never_merged(tmp_path: Path) -> None:
    loaded = given(tmp_path, "defaults: {strategies: [{name: replay, share: 2}]}\ntasks: {a: {strategies: []}, b: }\n")
    assert loaded.config.tasks["a"].strategies == []
    assert loaded.config.tasks["b"].strategies[0].options == {"share": 2}


def test_a_strategy_stands_once_in_a_list(tmp_path: Path) -> None:
    # Given two of one name, whose states would be one file, Then the second is refused
    text = "tasks: {a: {strategies: [{name: replay}, {name: ewc}, {name: replay, ratio: 2}]}}\n"
    (line,) = refused(tmp_path, text)
    assert line.startswith("tasks.a.strategies.2.name = 'replay'")
    assert line.endswith("stands at strategies.0 already; each strategy once")


def test_variables_find_tasks_whose_names_they_cannot_spell(tmp_path: Path) -> None:
    loaded = given(
        tmp_path,
        "tasks: {Support-EN: {gate: {min_rows: 3}}}\n",
        environ={"RETAIND_TASKS__SUPPORT_EN__SPLIT__SEED": "5"},
    )
    assert list(loaded.config.tasks) == ["Support-EN"]
    assert loaded.config.tasks["Support-EN"].split.seed == 5


def test_what_kubernetes_sets_beside_a_service_of_our_name_is_no_key(tmp_path: Path) -> None:
    environ = {
        "RETAIND_SERVICE_HOST": "10.0.0.1",
        "RETAIND_SERVICE_PORT_HTTP": "8090",
        "RETAIND_PORT": "tcp://10.0.0.1:8090",
        "RETAIND_PORT_8090_TCP_ADDR": "10.0.0.1",
        "RETAIND_CONFIG": "elsewhere.yaml",
        "HOME": "x",
    }
    given(tmp_path, environ=environ)
    assert refused(tmp_path, environ={"RETAIND_STATEDIR": "x"}) == [
        "statedir (RETAIND_STATEDIR): unknown key; did you mean state_dir?"
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("buffer: {max_byte: 1}", "buffer.max_byte (config.yaml:2): unknown key; did you mean max_bytes?"),
        ("shutdown: {zzz: 1}", "shutdown.zzz (config.yaml:2): unknown key; known keys: timeout_s"),
        ("http: {port: abc}", "http.port = 'abc' (config.yaml:2): must be a whole number"),
        ("http: {port: 70000}", "http.port = 70000 (config.yaml:2): must be at most 65535"),
        ("learn: {snapshot_s: 0}", "learn.snapshot_s = 0 (config.yaml:2): must be more than 0"),
        ("stream: {kind: rabbit}", "stream.kind = 'rabbit' (config.yaml:2): allowed: embedded, kafka"),
        ("stream: {inputs: []}", "stream.inputs = [] (config.yaml:2): needs at least 1 entry"),
        ("stream: {embedded: {fsync: 7}}", "stream.embedded.fsync = 7 (config.yaml:2): must be true or false"),
        ("buffer: 3", "buffer = 3 (config.yaml:2): must be a mapping of keys"),
        ("predict: {device: gpu}", "predict.device = 'gpu' (config.yaml:2): must match ^(auto|cpu|cuda(:\\d+)?)$"),
        (
            "defaults: {tune: {kind: lor}}",
            "defaults.tune = {'kind': 'lor'} (config.yaml:2): kind must be one of: head, last_layers, lora, full",
        ),
        ("defaults: {tune: {kind: lora, rank: 0}}", "defaults.tune.rank = 0 (config.yaml:2): must be at least 1"),
        (
            "defaults: {tune: {kind: full, rank: 1}}",
            "defaults.tune.rank (config.yaml:2): unknown key; known keys: kind",
        ),
        ("defaults: {labels: {known: [3]}}", "defaults.labels.known.0 = 3 (config.yaml:2): must be text (put it in"),
        ("defaults: 3", "defaults = 3 (config.yaml:2): must be a mapping of keys"),
        ("stream: {inputs: [{predict: true}]}", "stream.inputs.0.topic: is required"),
    ],
)
def test_a_mistake_is_one_line_with_key_value_place_and_what_is_allowed(tmp_path: Path, text: str, line: str) -> None:
    lines = refused(tmp_path, TASK + text + "\n")
    assert len(lines) == 1
    assert lines[0].startswith(line)


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    assert len(refused(tmp_path, TASK + "http: {port: -1, prot: 1}\nbuffer: {max_bytes: 1}\n")) == 3


@pytest.mark.parametrize("text", ["", "tasks:\n", "tasks: {}\n", "# nothing\n"])
def test_without_a_task_there_is_nothing_to_do(tmp_path: Path, text: str) -> None:
    assert refused(tmp_path, text)[0].startswith("tasks: none is configured")


def test_a_task_whose_name_cannot_be_a_name_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, "tasks: {'a b': {}}\n") == ["tasks.a b = {}: must match ^[A-Za-z][A-Za-z0-9_-]{0,63}$"]


def test_set_without_a_value_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, sets=["http.port"])[0].startswith("--set http.port: must be KEY=VALUE")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        load(tmp_path / "none.yaml", (), {})
