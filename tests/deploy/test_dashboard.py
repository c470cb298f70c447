"""Grafana's dashboard: of metrics that exist, with labels that they have, on a grid that holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from daemon.metrics import GAUGES, METRICS
from tests.deploy.test_compose import SERVICES

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
PROVISIONING = GRAFANA / "provisioning"
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "retaind.json").read_text())
COLUMNS = 24
SERIES = re.compile(r"\bretaind_(\w+)(?:\{([^}]*)\})?")
SUFFIX = {"counter": ("",), "histogram": ("_bucket", "_sum", "_count")}


def series() -> dict[str, tuple[str, ...]]:
    """Every series of /metrics and its labels, without the prefix."""
    found = {name: labels for name, (_, labels) in GAUGES.items()}
    for name, declared in METRICS.items():
        for suffix in SUFFIX[declared.kind]:
            found[name + suffix] = (*declared.labels, *(("le",) if suffix == "_bucket" else ()))
    return found


def expressions() -> Iterator[tuple[str, str, str]]:
    """(title, expression, legend) of every query."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


def references(node: object) -> Iterator[Mapping[str, str]]:
    """Every mention of a data source, wherever it stands."""
    if isinstance(node, dict):
        if "datasource" in node:
            yield node["datasource"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_query_is_of_a_metric_that_exists_with_labels_that_it_has() -> None:
    known = series()
    for title, expression, legend in expressions():
        names = SERIES.findall(expression)
        assert names, f"{title}: {expression} names no metric of ours"
        labels = {label for name, _ in names for label in known[name]}
        used = {word.strip() for group in re.findall(r"\bby \(([^)]*)\)", expression) for word in group.split(",")}
        used |= {word for _, matchers in names for word in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)}
        used |= set(re.findall(r"\{\{(\w+)\}\}", legend))
        assert used <= labels, f"{title}: {used - labels} are no labels in {expression}"
        for opening, closing in ("()", "{}", "[]"):
            assert expression.count(opening) == expression.count(closing), f"{title}: {expression}"


def test_every_metric_is_shown() -> None:
    shown = {name for _, expression, _ in expressions() for name, _ in SERIES.findall(expression)}
    missing = [name for name in (*METRICS, *GAUGES) if not shown & {name, f"{name}_bucket"}]
    assert missing == [], "add a panel to deploy/grafana/dashboards/retaind.json"


def test_counters_are_shown_as_rates_and_histograms_as_quantiles() -> None:
    for title, expression, _ in expressions():
        for name, _ in SERIES.findall(expression):
            if name in METRICS:
                assert re.search(rf"\b(rate|increase)\(retaind_{name}\b[^[]*\[[^\]]+\]\)", expression), title
            elif name not in GAUGES:
                assert re.search(rf"histogram_quantile\([0-9.]+, sum by \(le\b.*rate\(retaind_{name}\b", expression), (
                    title
                )


def test_what_is_read_is_the_data_source_that_is_provisioned() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert "prometheus" in SERVICES
    assert source["url"] == "http://prometheus:9090"
    found = list(references(DASHBOARD))
    assert found
    assert all(each == {"type": source["type"], "uid": source["uid"]} for each in found)
    assert "__inputs" not in DASHBOARD
    assert "${DS_" not in json.dumps(DASHBOARD)


def test_grafana_finds_the_dashboard_where_it_is_mounted() -> None:
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "retaind.yaml").read_text())["providers"]
    mounts = dict(mount.split(":")[:2] for mount in SERVICES["grafana"]["volumes"])
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/retaind.json"


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert [panel["title"] for panel in panels if not panel["description"]] == []
    assert DASHBOARD["id"] is None
    cells = {panel["title"]: panel["gridPos"] for panel in panels}
    assert len(cells) == len(panels)
    for at in cells.values():
        assert at["x"] >= 0
        assert at["x"] + at["w"] <= COLUMNS
    for (one, a), (other, b) in combinations(cells.items(), 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart = apart or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart, f"{one} and {other} overlap"


def test_variables_that_are_used_are_declared() -> None:
    (variable,) = DASHBOARD["templating"]["list"]
    (name,) = SERIES.findall(variable["query"]["query"])
    assert variable["name"] in series()[name[0]]
    used = {word for _, expression, _ in expressions() for word in re.findall(r"\$(\w+)", expression)}
    assert used == {variable["name"], "__rate_interval"}
