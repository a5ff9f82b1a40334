"""Turns the API's YAML document into a C file that holds it as JSON: embed_openapi.py IN OUT."""

import json
import sys

import yaml

LINE_BYTES = 20


def main(source, target):
    with open(source, encoding='utf-8') as file:
        text = json.dumps(yaml.safe_load(file), separators=(',', ':')).encode()
    rows = (text[at:at + LINE_BYTES] for at in range(0, len(text), LINE_BYTES))
    with open(target, 'w', encoding='ascii') as file:
        file.write('#include "service/openapi.h"\n\nconst char openapi_json[] = {\n')
        for row in rows:
            file.write('    ' + ' '.join('%d,' % byte for byte in row) + '\n')
        file.write('    0};\nconst size_t openapi_json_size = sizeof openapi_json - 1;\n')


main(*sys.argv[1:])
