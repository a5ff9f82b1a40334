"""The resources about the service itself."""

import re
import shutil
import subprocess

from harness import Case, b64, percent, url64

METRIC_LINE = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^{}]*\})? [-+0-9.eEinfNa]+\Z')
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Service(Case):
    def test_health(self):
        for target in ("/health", "/health/ready"):
            answer = self.request("GET", target)
            self.assertEqual((answer.status, answer.json()), (200, {"status": "ok"}), answer)
            self.assertEqual(answer.header("Content-Type").split(";")[0], "application/json")
        self.assertEqual(self.request("GET", "/health/live").status, 200)

    def test_version(self):
        answer = self.request("GET", "/version")
        self.assertEqual(answer.status, 200)
        self.assertRegex(answer.body.decode(), r"[0-9]+\.[0-9]+\.[0-9]+")
        self.assertIsInstance(answer.json(), dict)

    def test_stats(self):
        answer = self.request("GET", "/stats")
        self.assertEqual(answer.status, 200)
        document = answer.json()
        for member in ("server", "config", "ops", "memtable", "wal", "levels"):
            self.assertIn(member, document)
        self.assertIsInstance(document["levels"], list)

    def test_stats_of_merging(self):
        for _ in range(2):
            self.put(self.key(), b"v")
            self.assertEqual(self.request("POST", "/admin/compact?wait=true").status, 200)
        document = self.request("GET", "/stats").json()
        merged = document["compaction"]["merged"]
        self.assertEqual(sum(one["count"] for one in merged),
                         document["compaction"]["compactions"])
        self.assertEqual(sum(one["bytes_written"] for one in merged),
                         document["compaction"]["bytes_written"])
        self.assertIn("asked", {one["reason"] for one in merged})
        for member in ("write", "write_with_wal", "read", "runs_per_get",
                       "blocks_per_get", "space"):
            self.assertGreaterEqual(document["amplification"][member], 0)
        self.assertGreater(document["amplification"]["write"], 0)
        self.assertGreater(document["amplification"]["live_bytes_estimate"], 0)
        self.assertIn("false_positive_rate", document["bloom"])
        self.assertEqual(document["stalls"]["state"], "none")
        self.assertEqual(document["stalls"]["cause"], "nothing")
        text = self.request("GET", "/metrics").body.decode()
        for one in merged:
            self.assertIn('varve_compactions_total{level="%d",reason="%s"} ' %
                          (one["level"], one["reason"]), text)
        self.assertIn('varve_writes_held{state="none"} 1\n', text)
        self.assertIn('varve_writes_held_by{cause="tiers"} 0\n', text)

    def test_stats_as_prometheus(self):
        for target, headers in (("/stats?format=prometheus", ()),
                                ("/stats", [("Accept", "text/plain")])):
            answer = self.request("GET", target, headers=headers)
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.header("Content-Type"), METRICS_TYPE)
            self.assertIn(b"# TYPE varve_", answer.body)

    def test_stats_with_bad_parameters(self):
        for query, name in (("format=xml", "format"), ("format=", "format"), ("colour=1", "colour"),
                            ("format=prometheus&format=prometheus", "format")):
            self.refused_and_kept("GET", "/stats?" + query, 400, names=name)

    def test_metrics_form(self):
        answer = self.request("GET", "/metrics")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.header("Content-Type"), METRICS_TYPE)
        text = answer.body.decode()
        self.assertTrue(text.endswith("\n"))
        names = []
        for line in text.splitlines():
            if line and not line.startswith("#"):
                self.assertRegex(line, METRIC_LINE)
                names.append(re.split(r"[ {]", line)[0])
        own = [name for name in names if name.startswith("varve_")]
        self.assertTrue(own)
        samples = [line.rpartition(" ")[0] for line in text.splitlines()
                   if not line.startswith("#")]
        self.assertEqual(len(samples), len(set(samples)), "a sample is there twice")

    def test_metrics_under_promtool(self):
        promtool = shutil.which("promtool")
        if not promtool:
            self.skipTest("promtool is not installed")
        result = subprocess.run([promtool, "check", "metrics"],
                                input=self.request("GET", "/metrics").body,
                                capture_output=True, check=False)
        output = (result.stdout + result.stderr).decode()
        self.assertEqual((result.returncode, output.strip()), (0, ""))

    def test_counters_grow(self):
        def total():
            text = self.request("GET", "/metrics").body.decode()
            return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
                    for line in text.splitlines()
                    if not line.startswith("#") and "_total" in line.split(" ")[0].split("{")[0]}
        before = total()
        for _ in range(10):
            self.put(self.key(), b"v")
            self.get(self.key())
        after = total()
        self.assertTrue(before)
        self.assertTrue(any(after[name] >= before[name] + 10 for name in before), (before, after))
        for name, value in before.items():
            self.assertGreaterEqual(after[name], value, name)

    def test_unknown_parameters_are_named(self):
        for target in ("/health", "/health/live", "/health/ready", "/metrics", "/version",
                       "/stats"):
            self.refused_and_kept("GET", target + "?colour=1", 400, names="colour")

    def test_flush(self):
        self.put(self.key(), b"v")
        answer = self.request("POST", "/admin/flush")
        self.assertEqual(answer.status, 202, answer)
        answer = self.request("POST", "/admin/flush?wait=true")
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(self.get(self.key()), b"v")

    def test_flush_with_an_empty_body(self):
        self.assertEqual(self.request("POST", "/admin/flush", b"").status, 202)
        self.assertEqual(self.request("POST", "/admin/flush?wait=false", b"").status, 202)

    def test_flush_with_bad_parameters(self):
        for query, name in (("wait=yes", "wait"), ("wait=", "wait"), ("colour=1", "colour"),
                            ("wait=true&wait=true", "wait")):
            self.refused("POST", "/admin/flush?" + query, 400, names=name)

    def test_compact(self):
        for n in range(20):
            self.put(self.key("%02d" % n), b"v%d" % n)
        self.assertEqual(self.request("POST", "/admin/compact").status, 202)
        start, end = percent(self.key("05")), percent(self.key("15"))
        for query in ("", "&start=" + start, "&end=" + end, "&start=%s&end=%s" % (start, end),
                      "&start64=" + url64(self.key("05")), "&end64=" + url64(self.key("15")),
                      "&start=&end=", "&start=%s&end64=%s" % (start, url64(self.key("15")))):
            answer = self.request("POST", "/admin/compact?wait=true" + query)
            self.assertEqual((answer.status, answer.json()), (200, {"status": "done"}), query)
        for n in range(20):
            self.assertEqual(self.get(self.key("%02d" % n)), b"v%d" % n)

    def test_compact_of_a_part_leaves_the_rest(self):
        """Two tables of level 0 that do not overlap: only the one that is asked for goes down."""
        def level0_runs():
            return self.daemon.request("GET", "/stats").json()["levels"][0]["runs"]
        self.assertEqual(self.request("POST", "/admin/compact?wait=true").status, 200)
        for name in ("a", "z"):
            self.put(self.key(name), b"v")
            self.assertEqual(self.request("POST", "/admin/flush?wait=true").status, 200)
        self.assertEqual(level0_runs(), 2)
        query = "wait=true&start=%s&end=%s" % (percent(self.key("a")), percent(self.key("b")))
        self.assertEqual(self.request("POST", "/admin/compact?" + query).status, 200)
        self.assertEqual(level0_runs(), 1)

    def test_compact_with_bad_parameters(self):
        for query, name in (("wait=yes", "wait"), ("start=b&end=a", "start"),
                            ("start=a&end=a", "start"), ("start=a&start64=YQ", "start"),
                            ("end64=*", "end64"), ("start=" + "k" * 4097, "start"),
                            ("end=" + "k" * 4097, "end"), ("prefix=a", "prefix"),
                            ("end=a&end=b", "end")):
            self.refused("POST", "/admin/compact?" + query, 400, names=name)
        for query in ("start=a", "end=a", "end64=YQ"):
            self.refused("POST", "/admin/flush?" + query, 400, names=query.split("=")[0])

    def test_reads_after_repeated_flushes(self):
        """New values, old values and deletions are right across memtable and tables."""
        for turn in range(6):
            self.batch([{"op": "put", "key": "%s%d" % (self.prefix, n), "value": b64(b"%d" % turn)}
                        for n in range(turn, 20)])
            self.delete(self.key("19"))
            if turn == 3:
                self.delete(self.key("0"))
            self.assertEqual(self.request("POST", "/admin/flush?wait=true").status, 200)
        for n in range(1, 19):
            self.assertEqual(self.get(self.key(str(n))), b"%d" % min(n, 5))
        self.assertIsNone(self.get(self.key("19")))
        self.assertIsNone(self.get(self.key("0")))
        items = self.scan("prefix=" + self.prefix)["items"]
        self.assertEqual(len(items), 18)

    def test_accept_of_json_resources(self):
        for target in ("/health", "/version"):
            self.assertEqual(self.request("GET", target, headers=[("Accept", "*/*")]).status, 200)
            self.assertEqual(
                self.request("GET", target, headers=[("Accept", "application/json")]).status, 200)

    def test_metrics_for_a_scraper(self):
        accept = ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
                  "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
        answer = self.request("GET", "/metrics", headers=[("Accept", accept)])
        self.assertEqual((answer.status, answer.header("Content-Type")), (200, METRICS_TYPE))
