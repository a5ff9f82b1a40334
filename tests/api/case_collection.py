"""The Postman collection: what it holds, and a run of it by newman."""

import re
import unittest
from urllib.parse import urlsplit

from documents import OpenApi, path_of, read_json, run_tool
from harness import Daemon

COLLECTION = "api/varve.postman_collection.json"
ENVIRONMENT = "api/varve.postman_environment.json"


def requests_of(item, trail=()):
    """(path of names, item) of each request below."""
    for child in item["item"]:
        name = trail + (child["name"],)
        if "item" in child:
            yield from requests_of(child, name)
        else:
            yield " / ".join(name), child


def script_of(item, listen):
    return "\n".join(line for event in item.get("event", []) if event["listen"] == listen
                     for line in event["script"]["exec"])


def path_asked(item):
    url = item["request"]["url"]
    return urlsplit((url if isinstance(url, str) else url["raw"]).replace("{{baseUrl}}", "")).path


class Collection(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.collection = read_json(COLLECTION)
        cls.requests = list(requests_of(cls.collection))

    def test_form(self):
        self.assertIn("/collection/v2.1.0/", self.collection["info"]["schema"])
        names = [name for name, _ in self.requests]
        self.assertEqual(len(names), len(set(names)), "a name is there twice")

    def test_each_request_asserts_its_answer(self):
        for name, item in self.requests:
            with self.subTest(request=name):
                script = script_of(item, "test")
                self.assertIn("pm.test(", script)
                self.assertRegex(script, r"pm\.response\.to\.have\.status\(\d{3}\)")
                checks = re.findall(r"pm\.test\(", script)
                self.assertGreaterEqual(script.count("pm.expect(") + script.count(".to.have."),
                                        len(checks), "a test without an assertion")

    def test_each_variable_is_in_the_environment(self):
        known = {value["key"] for value in read_json(ENVIRONMENT)["values"]}
        text = str(self.collection)
        used = set(re.findall(r"\{\{(\w+)\}\}", text))
        used |= set(re.findall(r"environment\.(?:get|set)\('(\w+)'", text))
        self.assertEqual(used, known)

    def test_each_operation_is_there(self):
        def operation_of(method, path):
            if path.startswith("/kv/") and (method, path) not in documented:
                path = "/kv/{key}"
            return method, path
        documented = {(operation.method, operation.path) for operation in OpenApi().operations()}
        asked = {operation_of(item["request"]["method"], path_asked(item))
                 for _, item in self.requests}
        self.assertEqual(documented - asked, set())


class Newman(unittest.TestCase):
    def test_runs_on_a_fresh_store_and_on_a_used_one(self):
        daemon = Daemon()
        try:
            daemon.start()
            for turn in ("fresh", "used"):
                with self.subTest(store=turn):
                    status, output = run_tool(
                        "newman", "run", path_of(COLLECTION), "--environment",
                        path_of(ENVIRONMENT), "--env-var",
                        "baseUrl=http://127.0.0.1:%d" % daemon.port, "--color", "off",
                        "--timeout-request", "30000")
                    self.assertEqual(status, 0, output)
            daemon.stop()
        finally:
            daemon.remove()
