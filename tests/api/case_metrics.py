"""/metrics and what reads it: promtool, Prometheus, the rules and the dashboard in config/."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from urllib.parse import quote

import yaml

from documents import OpenApi, path_of, read_json, read_text, read_yaml, run_tool
from generate import Generator
from harness import Case, free_port

RULES = "config/varve.rules.yml"
DASHBOARD = "config/grafana-dashboard.json"
SCRAPE_CONFIG = "config/prometheus.yml"
PROMETHEUS_TIMEOUT_S = 120

METRIC = re.compile(r"\b(?:varve|process)_\w+")
# Not on every server, but in the source.
ON_SOME_SERVERS = {"varve_tls_certificate_expiry_timestamp_seconds"}

# What operators were promised, by subject.
PROMISED = """
varve_http_requests_total varve_http_request_duration_seconds
varve_puts_total varve_deletes_total varve_gets_total varve_seeks_total
varve_memtable_bytes varve_memtable_entries varve_memtables
varve_wal_bytes_total varve_wal_syncs_total varve_wal_sync_duration_seconds varve_wal_group_batches
varve_level_tables varve_level_bytes varve_flushes_total varve_flush_bytes_total
varve_compactions_total varve_compaction_read_bytes_total varve_compaction_written_bytes_total
varve_stalls_total varve_stall_seconds_total varve_slowdown_seconds_total varve_debt_ratio
varve_bloom_checks_total varve_bloom_useful_total varve_bloom_false_positives_total
varve_cache_lookups_total varve_cache_hits_total varve_cache_bytes
varve_get_runs_total varve_get_blocks_total
varve_table_bytes varve_disk_size_bytes varve_disk_free_bytes varve_build_info varve_state
process_cpu_seconds_total process_resident_memory_bytes process_virtual_memory_bytes
process_open_fds process_max_fds process_start_time_seconds
""".split()


class MetricsCase(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.api = OpenApi()
        for _ in range(2):
            cls.send_some_of_all()

    @classmethod
    def send_some_of_all(cls):
        generator = Generator(cls.api)
        for operation in cls.api.operations():
            for request in [*generator.valid(operation), *generator.bent_parameters(operation)]:
                cls.daemon.request(operation.method, request.target(operation.path), request.body,
                                   request.all_headers())
        for target in ("/admin/flush?wait=true", "/admin/compact?wait=true"):
            cls.daemon.request("POST", target)

    def metrics(self):
        return self.request("GET", "/metrics").body.decode()

    def types(self):
        return dict(re.findall(r"^# TYPE (\w+) (\w+)$", self.metrics(), re.M))


class Metrics(MetricsCase):
    def test_promtool_after_traffic_of_every_kind(self):
        status, output = run_tool("promtool", "check", "metrics", input=self.metrics().encode())
        self.assertEqual((status, output), (0, ""))

    def test_promised_metrics_are_there(self):
        self.assertEqual(set(PROMISED) - set(self.types()), set())

    def test_types_are_those_of_the_names(self):
        for name, kind in self.types().items():
            with self.subTest(metric=name):
                self.assertEqual(kind == "counter", name.endswith("_total"))

    def test_histograms_begin_at_50_us(self):
        text = self.metrics()
        for name, kind in self.types().items():
            if kind == "histogram" and name.endswith("_seconds"):
                with self.subTest(metric=name):
                    self.assertRegex(text, r'%s_bucket\{[^}]*le="5e-05"\}' % name)

    def test_requests_and_their_times_have_the_same_labels(self):
        text = self.metrics()
        counted = set(re.findall(r"^varve_http_requests_total(\{.*\}) \d+$", text, re.M))
        timed = set(re.findall(r"^varve_http_request_duration_seconds_count(\{.*\}) \d+$", text,
                               re.M))
        self.assertTrue(counted)
        self.assertEqual(counted, timed)
        for labels in counted:
            self.assertRegex(labels, r'^\{method="\w+",route="[^"]+",code="\d{3}"\}$')

    def test_times_of_requests_add_up(self):
        """The sum lies between what the buckets make of it at least and at most."""
        text = self.metrics()
        name = "varve_http_request_duration_seconds"
        for labels, total in re.findall(r"^%s_sum\{(.*)\} (\S+)$" % name, text, re.M):
            steps = [(float(bound), int(count)) for bound, count in re.findall(
                r'^%s_bucket\{%s,le="([^"]+)"\} (\d+)$' % (name, re.escape(labels)), text, re.M)]
            least = most = below = before = 0
            for bound, count in steps:
                least += (count - before) * below
                most += (count - before) * bound if count > before else 0
                below, before = bound, count
            with self.subTest(labels=labels):
                self.assertEqual([count for _, count in steps], sorted(n for _, n in steps))
                self.assertIn("%s_count{%s} %d\n" % (name, labels, steps[-1][1]), text)
                self.assertGreaterEqual(float(total) + 1e-6, least)
                self.assertLessEqual(float(total), most)

    def test_group_sizes_add_up(self):
        def figure(name):
            return int(re.search(r"^%s (\d+)$" % name, self.metrics(), re.M)[1])
        self.assertGreater(figure("varve_wal_group_batches_count"), 0)
        self.assertEqual(figure("varve_wal_group_batches_count"), figure("varve_wal_groups_total"))
        self.assertEqual(figure("varve_wal_group_batches_sum"), figure("varve_batches_total"))

    def check_names(self, text):
        """Each metric that `text` names exists."""
        types = self.types()
        named = set(METRIC.findall(text))
        self.assertTrue(named)
        for name in named:
            base = re.sub(r"_(?:bucket|sum|count)$", "", name)
            if types.get(base) == "histogram" and base != name:
                continue
            if name in ON_SOME_SERVERS:
                self.assertIn('"%s"' % name, read_text("src/service/metrics_text.c"))
                continue
            self.assertIn(name, types)

    def test_rules_use_metrics_that_exist(self):
        rules = [rule for group in read_yaml(RULES)["groups"] for rule in group["rules"]]
        self.check_names("\n".join(rule["expr"] for rule in rules))

    def test_dashboard_uses_metrics_that_exist(self):
        targets = [target for panel in read_json(DASHBOARD)["panels"]
                   for target in panel.get("targets", [])]
        self.check_names("\n".join(target["expr"] for target in targets))


class Config(unittest.TestCase):
    def test_rules_are_sound(self):
        status, output = run_tool("promtool", "check", "rules", RULES)
        self.assertEqual(status, 0, output)

    def test_scrape_config_is_sound(self):
        status, output = run_tool("promtool", "check", "config", SCRAPE_CONFIG)
        self.assertEqual(status, 0, output)

    def test_rules_fire_when_they_should(self):
        status, output = run_tool("promtool", "test", "rules", path_of("tests/api/rules_test.yml"))
        self.assertEqual(status, 0, output)

    def test_each_alert_is_tested(self):
        alerts = {rule["alert"] for group in read_yaml(RULES)["groups"] for rule in group["rules"]}
        tests = read_yaml("tests/api/rules_test.yml")["tests"]
        quiet = {entry["alertname"] for test in tests for entry in test.get("alert_rule_test", [])}
        fired = {name for test in tests for check in test.get("promql_expr_test", [])
                 for sample in check["exp_samples"]
                 for name in re.findall(r'alertname="(\w+)"', sample["labels"])}
        self.assertEqual((quiet, fired), (alerts, alerts))

    def test_dashboard_has_whole_panels(self):
        dashboard = read_json(DASHBOARD)
        panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
        ids = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        for panel in panels:
            with self.subTest(panel=panel["title"]):
                self.assertTrue(panel["targets"])
                self.assertTrue(panel["fieldConfig"]["defaults"]["unit"])


class Prometheus(MetricsCase):
    """A real one scrapes the daemon, by the configuration in config/."""

    def setUp(self):
        super().setUp()
        program = shutil.which("prometheus")
        if not program:
            self.skipTest("prometheus is not installed")
        self.dir = tempfile.mkdtemp(prefix="varve-prometheus-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.port = free_port()
        self.write_config()
        with open(os.path.join(self.dir, "log"), "wb") as log:
            self.process = subprocess.Popen(
                [program, "--config.file", os.path.join(self.dir, "prometheus.yml"),
                 "--storage.tsdb.path", os.path.join(self.dir, "data"),
                 "--web.listen-address", "127.0.0.1:%d" % self.port],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(self.end)

    def write_config(self):
        config = read_yaml(SCRAPE_CONFIG)
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        job, = config["scrape_configs"]
        job["static_configs"] = [{"targets": ["127.0.0.1:%d" % self.daemon.port]}]
        shutil.copy(path_of(RULES), self.dir)
        with open(os.path.join(self.dir, "prometheus.yml"), "w", encoding="utf-8") as file:
            yaml.safe_dump(config, file)

    def end(self):
        self.process.terminate()
        self.process.wait()

    def ask(self, path):
        with urllib.request.urlopen("http://127.0.0.1:%d%s" % (self.port, path),
                                    timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expression):
        return self.ask("/api/v1/query?query=" + quote(expression, safe=""))["result"]

    def wait_for(self, expression):
        """The result once there is one; Prometheus starts, and scrapes, in its own time."""
        deadline = time.monotonic() + PROMETHEUS_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                result = self.query(expression)
                if result:
                    return result
            except (urllib.error.URLError, ConnectionError):
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        with open(os.path.join(self.dir, "log"), encoding="utf-8") as log:
            self.fail("nothing for %s\n%s" % (expression, log.read()[-4000:]))

    def test_scrape(self):
        up, = self.wait_for('up{job="varve"} == 1')
        self.assertEqual(up["metric"]["instance"], "127.0.0.1:%d" % self.daemon.port)
        for expression in (
                'varve_build_info{version!=""}', 'varve_state{state="ok"} == 1',
                'varve_puts_total > 0', 'varve_level_bytes{level="6"}',
                'varve_http_requests_total{method="PUT",route="/kv/:key",code="200"} > 0',
                'histogram_quantile(0.5, varve_wal_sync_duration_seconds_bucket) > 0',
                'histogram_quantile(0.5, varve_http_request_duration_seconds_bucket'
                '{method="GET",code="200"}) > 0',
                'sum(varve_compactions_total) > 0', 'process_resident_memory_bytes > 0'):
            with self.subTest(expression=expression):
                self.assertTrue(self.query(expression))
        self.assertEqual(self.query("scrape_samples_scraped")[0]["value"][1],
                         self.query("scrape_samples_post_metric_relabeling")[0]["value"][1])

    def test_rules(self):
        self.wait_for('up{job="varve"} == 1')
        groups = self.ask("/api/v1/rules")["groups"]
        loaded = {rule["name"] for group in groups for rule in group["rules"]}
        self.assertEqual(loaded, {rule["alert"] for group in read_yaml(RULES)["groups"]
                                  for rule in group["rules"]})

    def test_expressions_of_the_dashboard(self):
        """Prometheus takes each of them, with the variables filled in."""
        self.wait_for('up{job="varve"} == 1')
        for panel in read_json(DASHBOARD)["panels"]:
            for target in panel.get("targets", []):
                with self.subTest(panel=panel["title"], expression=target["expr"]):
                    self.query(target["expr"].replace("$instance", ".*")
                               .replace("$__rate_interval", "1m"))
