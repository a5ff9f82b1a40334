"""Reads what the tree says about the interface, and runs programs that judge it."""

import json
import os
import re
import shutil
import subprocess
import unittest
from typing import NamedTuple

import yaml

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
METHODS = ("get", "head", "put", "post", "delete", "patch", "options", "trace")
TOOL_TIMEOUT_S = 240
# They stay at home.
TOOL_ENV = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


def path_of(*parts):
    return os.path.join(ROOT, *parts)


def read_text(*parts):
    with open(path_of(*parts), encoding="utf-8") as file:
        return file.read()


def read_json(*parts):
    return json.loads(read_text(*parts))


def read_yaml(*parts):
    return yaml.safe_load(read_text(*parts))


def run_tool(name, *args, **options):
    """Its exit status and all that it said."""
    program = shutil.which(name)
    if not program:
        raise unittest.SkipTest("%s is not installed" % name)
    done = subprocess.run([program, *args], cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=TOOL_TIMEOUT_S, check=False,
                          env={**os.environ, **TOOL_ENV}, **options)
    return done.returncode, done.stdout.decode()


class ProblemKind(NamedTuple):
    status: int
    closes: bool
    retry_after_s: int
    title: str


def problem_kinds():
    """What the service's own table says of each code."""
    table = re.search(r"#define PROBLEM_MAP\(X\)(.*?)\nenum", read_text("src/service/problem.h"),
                      re.S)[1].replace("\\\n", "")
    rows = re.findall(r'X\(\w+,\s*"(\w+)",\s*(\d+),\s*(true|false),\s*(\d+),\s*"([^"]*)"\)', table)
    if len(rows) != table.count("X("):
        raise AssertionError("src/service/problem.h: cannot read PROBLEM_MAP")
    return {code: ProblemKind(int(status), closes == "true", int(retry), title)
            for code, status, closes, retry, title in rows}


class OpenApi:
    """api/openapi.yaml, with its references followed."""

    def __init__(self):
        self.document = read_yaml("api/openapi.yaml")

    def resolve(self, node):
        while "$ref" in node:
            target = self.document
            for name in node["$ref"].removeprefix("#/").split("/"):
                target = target[name.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def schema(self, node):
        """A schema that validates by itself: its references point into the document."""
        return {**node, "components": self.document["components"]}

    def operations(self):
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    yield Operation(self, path, method, item)


class Operation:
    def __init__(self, api, path, method, item):
        self.path, self.method = path, method.upper()
        self.node = item[method]
        self.id = self.node["operationId"]
        given = item.get("parameters", []) + self.node.get("parameters", [])
        self.parameters = [api.resolve(parameter) for parameter in given]
        self.responses = {int(status): api.resolve(response)
                          for status, response in self.node["responses"].items()}
        self.bodies = api.resolve(self.node.get("requestBody", {})).get("content", {})

    def parameter(self, name):
        return next(p for p in self.parameters if p["name"] == name)


def examples_of(media_type):
    """The examples of a media type, by name; an only one has the name None."""
    if "example" in media_type:
        return {None: media_type["example"]}
    return {name: entry["value"] for name, entry in media_type.get("examples", {}).items()}
