"""Keys and addressing: every byte, every way of writing it, the reserved names."""

from harness import Case, b64, key_member, make_request, percent, url64

KEY_BYTES_MAX = 4096
TARGET_BYTES_MAX = 15 * 1024
RAW = [("Content-Type", "application/octet-stream")]


class Keys(Case):
    def assert_addresses(self, target, key, value):
        """GET of `target` finds what was stored under `key`."""
        answer = self.request("GET", target)
        self.assertEqual(answer.status, 200, (target, answer))
        document = answer.json()
        self.assertEqual(document["value"], b64(value), target)
        for member, text in key_member(key).items():
            self.assertEqual(document[member], text, target)

    def test_each_byte_value_inside_a_key_by_path(self):
        for byte in range(256):
            key = self.key() + bytes([byte]) + b"z"
            self.put(key, b"v%d" % byte)
        for byte in range(256):
            key = self.key() + bytes([byte]) + b"z"
            self.assert_addresses("/kv/" + percent(key), key, b"v%d" % byte)
            self.assert_addresses("/kv/" + percent(key, upper=False), key, b"v%d" % byte)

    def test_each_byte_value_by_key_parameter(self):
        for byte in range(256):
            key = self.key() + bytes([byte])
            answer = self.request("PUT", "/kv?key=" + percent(key), b"v%d" % byte, RAW)
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(self.get(key), b"v%d" % byte)
            self.assert_addresses("/kv?key=" + percent(key), key, b"v%d" % byte)

    def test_each_byte_value_by_key64_parameter(self):
        for byte in range(256):
            key = self.key() + bytes([byte, byte ^ 0x5A])
            answer = self.request("PUT", "/kv?key64=" + url64(key), b"v%d" % byte, RAW)
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(self.get(key), b"v%d" % byte)
            self.assert_addresses("/kv?key64=" + url64(key), key, b"v%d" % byte)

    def test_each_byte_value_as_a_whole_key(self):
        for byte in range(256):
            key = bytes([byte])
            self.put(key, b"single %d" % byte)
        for byte in range(256):
            key = bytes([byte])
            self.assertEqual(self.get(key), b"single %d" % byte)
            self.assert_addresses("/kv?key64=" + url64(key), key, b"single %d" % byte)
            self.delete(key)
            self.assertIsNone(self.get(key))

    def test_path_characters_are_literal_without_encoding(self):
        text = "aZ09-._~!$&'()*+,;=:@/"
        key = self.key() + text.encode()
        self.put(key, b"literal")
        self.assert_addresses("/kv/" + self.prefix + text, key, b"literal")

    def test_encoded_and_plain_forms_name_the_same_key(self):
        key = self.key("abc")
        self.put(key, b"same")
        for form in ("%61bc", "a%62c", "ab%63", "%61%62%63", "abc"):
            self.assert_addresses("/kv/" + self.prefix + form, key, b"same")

    def test_hexadecimal_digits_of_either_case(self):
        key = self.key() + b"\xab\xcd\xef"
        self.put(key, b"hex")
        for form in ("%AB%CD%EF", "%ab%cd%ef", "%aB%Cd%eF"):
            self.assert_addresses("/kv/" + self.prefix + form, key, b"hex")

    def test_path_is_decoded_once_only(self):
        for form, name in (("%2561", b"%61"), ("%252F", b"%2F"), ("%2500", b"%00"),
                           ("%25", b"%"), ("%25%34%31", b"%41"), ("%253f", b"%3f")):
            key = self.key() + name
            self.put(key, name)
            self.assert_addresses("/kv/" + self.prefix + form, key, name)

    def test_query_is_decoded_once_only(self):
        key = self.key() + b"%61"
        self.put(key, b"once")
        self.assert_addresses("/kv?key=" + self.prefix + "%2561", key, b"once")

    def test_nul_byte_does_not_cut_the_key(self):
        self.put(self.key() + b"a\0b", b"with nul")
        self.put(self.key() + b"a", b"short")
        self.assertEqual(self.get(self.key() + b"a\0b"), b"with nul")
        self.assertEqual(self.get(self.key() + b"a"), b"short")
        self.assertIsNone(self.get(self.key() + b"a\0c"))
        self.assertIsNone(self.get(self.key() + b"a\0"))

    def test_nul_byte_first_and_last(self):
        for key in (b"\0" + self.key(), self.key() + b"\0", b"\0\0\0\0"):
            self.put(key, b"nul")
            self.assert_addresses("/kv/" + percent(key), key, b"nul")
            self.delete(key)

    def test_encoded_slash_is_a_slash(self):
        key = self.key("a/b")
        self.put(key, b"slash")
        for form in ("a/b", "a%2Fb", "a%2fb"):
            self.assert_addresses("/kv/" + self.prefix + form, key, b"slash")

    def test_double_slashes_are_kept(self):
        names = ["a/b", "a//b", "a///b", "/a/b", "a/b/", "a/b//"]
        for name in names:
            self.put(self.key(name), name.encode())
        for name in names:
            self.assert_addresses("/kv/" + self.prefix + name, self.key(name), name.encode())

    def test_key_of_slashes_only(self):
        for key in (b"/", b"//", b"///"):
            answer = self.request("PUT", b"/kv/" + key, key, RAW)
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(answer.json()["key"], key.decode())
            self.assert_addresses(b"/kv/" + key, key, key)
            self.delete(key)

    def test_trailing_slash_is_part_of_the_key(self):
        self.put(self.key("dir/"), b"with")
        self.assertIsNone(self.get(self.key("dir")))
        self.assert_addresses("/kv/" + self.prefix + "dir/", self.key("dir/"), b"with")

    def test_dot_segments_are_literal(self):
        names = [".", "..", "a/.", "a/..", "a/../b", "./a", "../a", "../../health", "..."]
        for name in names:
            self.put(self.key(name), name.encode())
        for name in names:
            self.assert_addresses("/kv/" + self.prefix + name, self.key(name), name.encode())

    def test_dot_segments_at_the_root(self):
        for name in (b".", b"..", b"../health", b"../kv/a", b"./"):
            answer = self.request("PUT", b"/kv/" + name, name, RAW)
            self.assertEqual(answer.status, 200, answer)
            self.assert_addresses("/kv/" + percent(name), name, name)
            self.delete(name)

    def test_encoded_dots_are_dots(self):
        for form, name in (("%2e", b"."), ("%2E%2e", b".."), ("a/%2e%2e/b", b"a/../b"),
                           ("%2e./", b"../")):
            key = self.key() + name
            self.put(key, form.encode())
            self.assert_addresses("/kv/" + self.prefix + form, key, form.encode())

    def test_plus_is_literal_in_the_path(self):
        self.put(self.key("a+b"), b"plus")
        self.put(self.key("a b"), b"space")
        self.assert_addresses("/kv/" + self.prefix + "a+b", self.key("a+b"), b"plus")
        self.assert_addresses("/kv/" + self.prefix + "a%2Bb", self.key("a+b"), b"plus")
        self.assert_addresses("/kv/" + self.prefix + "a%20b", self.key("a b"), b"space")

    def test_plus_is_a_space_in_the_key_parameter(self):
        self.put(self.key("a+b"), b"plus")
        self.put(self.key("a b"), b"space")
        self.assert_addresses("/kv?key=" + self.prefix + "a+b", self.key("a b"), b"space")
        self.assert_addresses("/kv?key=" + self.prefix + "a%20b", self.key("a b"), b"space")
        self.assert_addresses("/kv?key=" + self.prefix + "a%2Bb", self.key("a+b"), b"plus")

    def test_encoded_question_mark_ampersand_and_hash(self):
        for name in ("a?b", "a&b=c", "a#b", "?", "a?raw"):
            self.put(self.key(name), name.encode())
            form = percent(name.encode())
            self.assert_addresses("/kv/" + self.prefix + form, self.key(name), name.encode())
            self.assert_addresses("/kv?key=" + self.prefix + form, self.key(name), name.encode())

    def test_equals_sign_in_the_key_parameter(self):
        self.put(self.key("a=b=c"), b"equals")
        self.assert_addresses("/kv?key=" + self.prefix + "a=b=c", self.key("a=b=c"), b"equals")

    def test_bad_percent_escapes_in_the_path(self):
        for form in ("%", "%4", "a%", "a%4", "%zz", "%4g", "%g4", "%%41", "%u0041", "%-1", "%+1",
                     "%0x"):
            self.refused_and_kept("GET", "/kv/" + self.prefix + form, 400)

    def test_bad_percent_escapes_in_the_query(self):
        for form in ("%", "%4", "%zz", "a%4g", "%%41"):
            self.refused_and_kept("GET", "/kv?key=" + self.prefix + form, 400)
            self.refused_and_kept("GET", "/kv/range?start=" + form, 400)

    def test_bad_percent_escape_changes_nothing(self):
        self.refused("PUT", "/kv/" + self.prefix + "x%4", 400, b"v", RAW)
        self.assertEqual(self.scan("prefix=" + self.prefix)["items"], [])

    def test_empty_key(self):
        for target in ("/kv/", "/kv", "/kv?key=", "/kv?key64=", "/kv?", "/kv/?raw"):
            self.refused_and_kept("GET", target, 400)
            self.refused_and_kept("DELETE", target.replace("?raw", ""), 400)
            self.refused("PUT", target.replace("?raw", ""), 400, b"v", RAW)

    def test_key_and_key64_together(self):
        self.refused_and_kept("GET", "/kv?key=a&key64=YQ", 400)
        self.refused_and_kept("GET", "/kv?key64=YQ&key=a", 400)

    def test_key_parameter_beside_a_path_key(self):
        self.refused_and_kept("GET", "/kv/a?key=b", 400)
        self.refused_and_kept("GET", "/kv/a?key64=YQ", 400)

    def test_longest_key_by_path(self):
        key = self.key() + b"x" * (KEY_BYTES_MAX - len(self.key()))
        self.put(key, b"long")  # 12,288 characters of percent escapes
        self.assert_addresses(b"/kv/" + key, key, b"long")
        self.delete(key)
        self.assertIsNone(self.get(key))

    def test_longest_binary_key_in_every_form(self):
        key = bytes(range(256)) * (KEY_BYTES_MAX // 256)
        self.put(key, b"binary")
        for target in ("/kv/" + percent(key), "/kv?key=" + percent(key), "/kv?key64=" + url64(key)):
            self.assert_addresses(target, key, b"binary")
        self.delete(key)

    def test_key_one_byte_too_long(self):
        key = b"x" * (KEY_BYTES_MAX + 1)
        for target in (b"/kv/" + key, b"/kv?key=" + key, "/kv?key64=" + url64(key)):
            self.refused_and_kept("GET", target, 400)
            self.refused("PUT", target, 400, b"v", RAW)
            self.refused_and_kept("DELETE", target, 400)

    def test_target_at_its_limit_is_not_too_long(self):
        target = "/kv/" + "x" * (TARGET_BYTES_MAX - 4)
        self.assertEqual(len(target), TARGET_BYTES_MAX)
        self.refused_and_kept("GET", target, 400)

    def test_target_over_its_limit(self):
        for length in (TARGET_BYTES_MAX + 1, 16 * 1024, 20 * 1024, 70 * 1024):
            with self.connect() as conn:
                conn.send(make_request("GET", "/kv/" + "x" * (length - 4)))
                answer = conn.response()
                self.assertEqual(answer.status, 414, (length, answer))
                self.assertTrue(answer.says_close(), answer)
                self.assertTrue(conn.closed())

    def test_target_over_its_limit_is_a_problem(self):
        answer = self.request("GET", "/kv/" + "x" * (TARGET_BYTES_MAX - 3))
        self.assert_problem(answer, 414)

    def test_key64_with_and_without_padding(self):
        for name in (b"p", b"pq", b"pqr"):
            key = self.key() + name
            self.put(key, name)
            text = url64(key)
            padded = text + "=" * (-len(text) % 4)
            for form in (text, padded, padded.replace("=", "%3D")):
                self.assert_addresses("/kv?key64=" + form, key, name)

    def test_key64_uses_the_url_alphabet(self):
        key = b"\xfb\xff\xbf\xfe"
        self.assertEqual(url64(key), "-_-__g")
        self.put(key, b"url")
        self.assert_addresses("/kv?key64=-_-__g", key, b"url")
        for form in ("%2B/%2B//g", "%2B%2F%2B%2F%2Fg", "-_-_/g"):
            self.refused_and_kept("GET", "/kv?key64=" + form, 400)
        self.delete(key)

    def test_key64_that_is_not_canonical(self):
        for form in ("Y", "YQ=", "YQ===", "YR", "YR==", "YWJ", "YW=I", "=", "==", "Y+Q", "YQ%0A",
                     "YWJj=", "YWJj==", "YQ==YQ=="):
            self.refused_and_kept("GET", "/kv?key64=" + form, 400)

    def test_get_of_range_always_scans(self):
        for target in ("/kv/range", "/kv/%72ange", "/kv/%72%61%6e%67%65", "/kv/range?limit=1"):
            answer = self.request("GET", target)
            self.assertEqual(answer.status, 200, answer)
            self.assertIn("items", answer.json())

    def test_reserved_names_are_keys_for_put_and_delete(self):
        for name in ("range", "batch"):
            answer = self.request("PUT", "/kv/" + name, {"value": b64(b"reserved")})
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(answer.json()["key"], name)
            self.assert_addresses("/kv?key=" + name, name.encode(), b"reserved")
            self.assert_addresses("/kv?key64=" + url64(name.encode()), name.encode(), b"reserved")
            self.assertEqual(self.request("DELETE", "/kv/" + name).status, 204)
            self.assertEqual(self.request("GET", "/kv?key=" + name).status, 404)

    def test_batch_name_is_a_key_for_get(self):
        self.assert_problem(self.request("GET", "/kv/batch"), 404)
        self.put(b"batch", b"a key")
        self.assert_addresses("/kv/batch", b"batch", b"a key")
        self.assert_addresses("/kv/%62atch", b"batch", b"a key")
        self.delete(b"batch")

    def test_encoded_batch_name_is_the_batch(self):
        key = self.key().decode()
        answer = self.request("POST", "/kv/%62atc%68",
                              {"ops": [{"op": "put", "key": key, "value": ""}]})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(self.get(self.key()), b"")

    def test_names_beside_the_reserved_ones_are_keys(self):
        for name in ("range/", "/range", "ranges", "Range", "rang", "batch/", "BATCH", "range%00"):
            answer = self.request("PUT", "/kv/" + name, b"near", RAW)
            self.assertEqual(answer.status, 200, answer)
            answer = self.request("GET", "/kv/" + name)
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(answer.json()["value"], b64(b"near"))
            self.assertEqual(self.request("DELETE", "/kv/" + name).status, 204)

    def test_valid_utf8_keys_come_back_as_text(self):
        for text in ("é", "日本", "😀", "\x7f", "\x01\x1f", '"\\', "\ufffe", "\U0010ffff"):
            key = self.key() + text.encode()
            self.put(key, b"text")
            document = self.request("GET", "/kv/" + percent(key)).json()
            self.assertEqual(document["key"], key.decode())
            self.assertNotIn("key64", document)

    def test_other_keys_come_back_as_key64(self):
        for name in (b"\0", b"\xff", b"\xc0\x80", b"\xe0\x80\xaf", b"\xed\xa0\x80",
                     b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xe2\x82", b"a\x80",
                     b"\xc1\xbf"):
            key = self.key() + name
            self.put(key, b"binary")
            document = self.request("GET", "/kv/" + percent(key)).json()
            self.assertEqual(document["key64"], url64(key))
            self.assertNotIn("key", document)

    def test_paths_beside_the_tree_are_not_found(self):
        for target in ("/", "/kvx", "/KV/a", "/kv.", "//kv/a", "/healthx", "/health/",
                       "/health/other", "/stats/", "/admin", "/admin/", "/admin/none"):
            answer = self.request("GET", target)
            self.assert_problem(answer, 404)

    def test_no_redirect_is_ever_answered(self):
        for target in ("/kv", "/kv/", "/kv//", "/kv/.", "/kv/..", "/kv/a/../b", "/health/", "//",
                       "/stats/", "/kv/range/"):
            status = self.request("GET", target).status
            self.assertFalse(300 <= status < 400, (target, status))

    def test_absolute_form_of_the_target(self):
        self.put(self.key("a"), b"absolute")
        target = "http://localhost/kv/" + self.prefix + "a"
        self.assert_addresses(target, self.key("a"), b"absolute")
