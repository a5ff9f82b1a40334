"""api/openapi.yaml against linters, and against the tables in the service's source."""

import json
import re
import unittest

import jsonschema

from documents import OpenApi, examples_of, path_of, problem_kinds, read_text, run_tool

PROBLEM = "application/problem+json"
# Told in the introduction, for they belong to no operation.
CODES_OF_NO_OPERATION = {"no_such_path", "method_not_allowed"}


class Linters(unittest.TestCase):
    def test_spectral(self):
        status, output = run_tool("spectral", "lint", "--fail-severity", "hint", "--ruleset",
                                  path_of("tests/api/spectral.yaml"), "api/openapi.yaml")
        self.assertEqual(status, 0, output)

    def test_redocly(self):
        _, output = run_tool("redocly", "lint", "--config", path_of("tests/api/redocly.yaml"),
                             "--format", "json", "api/openapi.yaml")
        report = json.loads(output[output.index("{"):output.rindex("}") + 1])
        self.assertEqual((report["totals"]["errors"], report["totals"]["warnings"]), (0, 0), output)


class Document(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.api = OpenApi()
        cls.operations = list(cls.api.operations())
        cls.kinds = problem_kinds()

    def problem_examples(self):
        """(operation, status, response, code, example) of each problem that is shown."""
        for operation in self.operations:
            for status, response in operation.responses.items():
                media_type = response.get("content", {}).get(PROBLEM, {})
                for code, example in examples_of(media_type).items():
                    yield operation, status, response, code, example

    def test_codes_are_those_of_the_service(self):
        documented = self.api.document["components"]["schemas"]["Problem"]["properties"]["code"]
        self.assertEqual(sorted(documented["enum"]), sorted(self.kinds))

    def test_each_code_is_shown(self):
        shown = {code for *_, code, _ in self.problem_examples()}
        self.assertEqual(shown | CODES_OF_NO_OPERATION, set(self.kinds))
        for code in CODES_OF_NO_OPERATION:
            self.assertIn("`%s`" % code, self.api.document["info"]["description"])

    def test_examples_of_problems_are_what_the_service_says(self):
        for operation, status, response, code, example in self.problem_examples():
            with self.subTest(operation=operation.id, status=status, code=code):
                kind = self.kinds[code]
                self.assertEqual((example["code"], example["status"], example["title"]),
                                 (code, status, kind.title))
                self.assertEqual((kind.status, example["type"]),
                                 (status, "/errors/" + code.replace("_", "-")))
                if kind.retry_after_s > 0:
                    self.assertIn("Retry-After", response["headers"])

    def test_each_body_has_an_example_that_its_schema_takes(self):
        for operation in self.operations:
            bodies = [("request", operation.bodies)]
            bodies += [(status, response.get("content", {}))
                       for status, response in operation.responses.items()]
            for where, content in bodies:
                for name, media_type in content.items():
                    with self.subTest(operation=operation.id, where=where, media_type=name):
                        examples = examples_of(media_type)
                        self.assertTrue(examples)
                        for example in examples.values():
                            jsonschema.validate(example, self.api.schema(media_type["schema"]),
                                                jsonschema.Draft202012Validator)

    def test_each_answer_has_a_request_id(self):
        for operation in self.operations:
            for status, response in operation.responses.items():
                with self.subTest(operation=operation.id, status=status):
                    self.assertIn("X-Request-Id", response["headers"])

    def test_paths_are_those_of_the_router(self):
        routed = set(re.findall(r'\{"(/[^"]*)", (?:true|false),',
                                read_text("src/service/router.c")))
        self.assertTrue(routed)
        documented = {path for path in self.api.document["paths"] if not path.startswith("/kv")}
        self.assertEqual(documented, routed)
