"""The checker of histories is itself checked: what must be caught, and what must pass."""

import itertools
import random
import unittest

from linear import ABSENT, INFINITE, UNCHANGED, Checker, Op, Violation, check

KEYS = ["a", "b"]


def done(revision, *results):
    return "done", revision, list(results) or [None]


def read(value, revision):
    return done(0, ("value", value, revision))


def put(begin, end, key, value, outcome, condition=None):
    return Op([("put", key, value)], begin, end, outcome, condition)


def get(begin, end, key, outcome, condition=None):
    return Op([("get", key)], begin, end, outcome, condition)


def delete(begin, end, key, outcome, condition=None):
    return Op([("delete", key)], begin, end, outcome, condition)


def failed(revision):
    return "failed", {0: revision}


class Planted(unittest.TestCase):
    def caught(self, *history):
        with self.assertRaises(Violation):
            check(list(history), KEYS)

    def passes(self, *history):
        check(list(history), KEYS)

    def test_stale_read(self):
        writes = (put(0, 1, "a", "x", done(1)), put(2, 5, "a", "y", done(2)))
        self.caught(*writes, get(6, 7, "a", read("x", 1)))
        self.passes(*writes, get(4, 7, "a", read("x", 1)))
        self.passes(*writes, get(6, 7, "a", read("y", 2)))

    def test_read_of_what_was_deleted(self):
        writes = (put(0, 1, "a", "x", done(1)), delete(2, 3, "a", done(2)))
        self.caught(*writes, get(4, 5, "a", read("x", 1)))
        self.passes(*writes, get(4, 5, "a", done(0, ABSENT)))

    def test_absent_although_written(self):
        self.caught(put(0, 1, "a", "x", done(1)), get(2, 3, "a", done(0, ABSENT)))
        self.passes(put(0, 3, "a", "x", done(1)), get(2, 4, "a", done(0, ABSENT)))

    def test_two_readers_disagree_about_the_order(self):
        write = put(0, 10, "a", "x", done(1))
        self.caught(write, get(1, 2, "a", read("x", 1)), get(3, 4, "a", done(0, ABSENT)))
        self.passes(write, get(1, 2, "a", done(0, ABSENT)), get(3, 4, "a", read("x", 1)))

    def test_lost_update(self):
        start = put(0, 1, "a", "0", done(1))
        self.caught(start, put(2, 9, "a", "1", done(2), ("match", {1})),
                    put(3, 8, "a", "2", done(3), ("match", {1})))
        self.passes(start, put(2, 9, "a", "1", done(2), ("match", {1})),
                    put(3, 8, "a", "2", failed(2), ("match", {1})))

    def test_both_create(self):
        self.caught(put(0, 9, "a", "1", done(1), ("none_any",)),
                    put(1, 8, "a", "2", done(2), ("none_any",)))

    def test_acknowledged_write_is_overwritten_unseen(self):
        self.caught(put(0, 1, "a", "x", done(1)), put(2, 9, "a", "y", done(2)),
                    get(3, 4, "a", read("y", 2)), get(5, 6, "a", read("x", 1)))

    def test_half_a_batch(self):
        batch = Op([("put", "a", "x"), ("put", "b", "y")], 0, 9, done(1, None, None))
        self.caught(batch, get(1, 2, "a", read("x", 1)), get(3, 4, "b", done(0, ABSENT)))
        self.caught(batch, Op([("get", "a"), ("get", "b")], 3, 4,
                              done(1, ("value", "x", 1), ABSENT)))
        self.passes(batch, get(1, 2, "a", done(0, ABSENT)), get(3, 4, "b", read("y", 1)))

    def test_half_a_batch_without_an_answer(self):
        batch = Op([("put", "a", "x"), ("put", "b", "y")], 0, 9)
        self.caught(batch, get(10, 11, "a", read("x", 1)), get(12, 13, "b", done(0, ABSENT)))
        self.passes(batch, get(10, 11, "a", done(0, ABSENT)), get(12, 13, "b", done(0, ABSENT)))
        self.passes(batch, get(10, 11, "a", read("x", 1)), get(12, 13, "b", read("y", 1)))

    def test_one_value_tells_the_revision_of_its_whole_batch(self):
        batch = Op([("put", "a", "x"), ("put", "b", "y")], 0, 9)
        seen = get(10, 11, "a", read("x", 3))
        self.passes(batch, seen, put(12, 13, "b", "z", failed(3), ("none_any",)))
        self.caught(batch, seen, put(12, 13, "b", "z", failed(4), ("none_any",)))
        self.caught(batch, seen, get(12, 13, "b", read("y", 4)))

    def test_scan_that_is_no_snapshot(self):
        writes = (put(0, 1, "a", "x", done(1)), put(2, 3, "b", "y", done(2)))
        page = [("get", "a"), ("get", "b")]
        self.caught(*writes, Op(page, 0, 9, done(2, ABSENT, ("value", "y", 2))))
        self.passes(*writes, Op(page, 0, 9, done(1, ("value", "x", 1), ABSENT)))

    def test_scan_that_tells_another_revision(self):
        writes = (put(0, 1, "a", "x", done(1)), put(2, 3, "b", "y", done(2)))
        page = Op([("get", "a"), ("get", "b")], 4, 5, done(1, ("value", "x", 1), ("value", "y", 2)))
        self.caught(*writes, page)

    def test_412_that_should_have_been_200(self):
        start = put(0, 1, "a", "x", done(1))
        self.caught(start, put(2, 3, "a", "y", failed(1), ("match", {1})))
        self.caught(start, put(2, 3, "b", "y", failed(0), ("none_any",)))
        self.caught(start, delete(2, 3, "a", failed(1), ("match_any",)))
        self.caught(start, Op([("check", "a", 1), ("put", "b", "y")], 2, 3, failed(1)))

    def test_412_that_tells_another_revision(self):
        start = (put(0, 1, "a", "x", done(1)), put(2, 3, "a", "y", done(2)))
        self.caught(*start, put(4, 5, "a", "z", failed(1), ("none_any",)))
        self.caught(*start, put(4, 5, "a", "z", failed(3), ("match", {1})))
        self.caught(*start, put(4, 5, "a", "z", failed(0), ("match", {1})))
        self.passes(*start, put(4, 5, "a", "z", failed(2), ("match", {1})))

    def test_412_that_names_the_wrong_checks(self):
        start = put(0, 1, "a", "x", done(1))
        parts = [("check", "a", 1), ("check", "b", 5), ("put", "b", "y")]
        self.caught(start, Op(parts, 2, 3, ("failed", {0: 1, 1: 0})))
        self.caught(start, Op(parts, 2, 3, ("failed", {2: 0})))
        self.passes(start, Op(parts, 2, 3, ("failed", {1: 0})))

    def test_200_that_should_have_been_412(self):
        start = (put(0, 1, "a", "x", done(1)), put(2, 3, "a", "y", done(2)))
        self.caught(*start, put(4, 5, "a", "z", done(3), ("match", {1})))
        self.caught(*start, put(4, 5, "a", "z", done(3), ("none_any",)))
        self.caught(*start, put(4, 5, "b", "z", done(3), ("match_any",)))
        self.caught(*start, put(4, 5, "a", "z", done(3), ("none", {2})))
        self.caught(*start, Op([("check", "b", 1), ("put", "b", "z")], 4, 5, done(3, None, None)))

    def test_304_that_should_have_been_200(self):
        start = (put(0, 1, "a", "x", done(1)), put(2, 3, "a", "y", done(2)))
        self.caught(*start, get(4, 5, "a", done(0, UNCHANGED), ("none", {1})))
        self.caught(*start, get(4, 5, "a", read("y", 2), ("none", {1, 2})))
        self.passes(*start, get(4, 5, "a", done(0, UNCHANGED), ("none", {1, 2})))

    def test_failed_write_that_happened(self):
        self.caught(put(0, 1, "a", "x", done(1)), put(2, 3, "a", "y", failed(1), ("match", {7})),
                    get(4, 5, "a", read("y", 2)))

    def test_read_that_goes_back_after_a_restart(self):
        """The write has no answer; its process was gone at 5."""
        write = (put(0, 1, "a", "x", done(1)), put(2, 5, "a", "y", None))
        self.caught(*write, get(3, 4, "a", read("y", 2)), get(6, 7, "a", read("x", 1)))
        self.caught(*write, get(6, 7, "a", read("y", 2)), get(8, 9, "a", read("x", 1)))
        self.caught(*write, get(6, 7, "a", read("x", 1)), get(8, 9, "a", read("y", 2)))
        self.passes(*write, get(6, 7, "a", read("x", 1)), get(8, 9, "a", read("x", 1)))
        self.passes(*write, get(6, 7, "a", read("y", 2)), get(8, 9, "a", read("y", 2)))

    def test_acknowledged_write_that_a_restart_loses(self):
        self.caught(put(0, 1, "a", "x", done(1)), put(2, 5, "b", "y", None),
                    get(6, 7, "a", done(0, ABSENT)))

    def test_unknown_outcome_may_show_itself_late(self):
        write = put(0, INFINITE, "a", "y", None)
        self.passes(write, get(6, 7, "a", done(0, ABSENT)), get(8, 9, "a", read("y", 1)))
        self.caught(write, get(6, 7, "a", read("y", 1)), get(8, 9, "a", done(0, ABSENT)))

    def test_unanswered_delete(self):
        start = (put(0, 1, "a", "x", done(1)), delete(2, 9, "a", None))
        self.passes(*start, get(3, 4, "a", read("x", 1)), get(5, 6, "a", done(0, ABSENT)))
        self.passes(*start, get(10, 11, "a", read("x", 1)))
        self.caught(*start, get(3, 4, "a", done(0, ABSENT)), get(5, 6, "a", read("x", 1)))

    def test_unanswered_write_that_is_only_seen_by_its_effect(self):
        start = (put(0, 1, "a", "x", done(1)), put(2, 9, "a", "y", None))
        self.passes(*start, put(3, 12, "a", "z", failed(2), ("match", {1})))
        self.caught(*start, put(3, 12, "a", "z", failed(0), ("match", {1})))

    def test_revisions_that_go_back(self):
        self.caught(put(0, 1, "a", "x", done(2)), put(2, 3, "b", "y", done(1)))
        self.passes(put(0, 3, "a", "x", done(2)), put(2, 3, "b", "y", done(1)))

    def test_revision_of_two_commits(self):
        self.caught(put(0, 3, "a", "x", done(1)), put(2, 3, "b", "y", done(1)))

    def test_value_with_two_revisions(self):
        self.caught(put(0, 1, "a", "x", done(1)), get(2, 3, "a", read("x", 2)))
        self.caught(put(0, 1, "a", "x", None), get(2, 3, "a", read("x", 2)),
                    get(4, 5, "a", read("x", 3)))

    def test_invented_value(self):
        self.caught(put(0, 1, "a", "x", done(1)), get(2, 3, "a", read("z", 1)))

    def test_value_of_another_key(self):
        self.caught(put(0, 1, "a", "x", done(1)), get(2, 3, "b", read("x", 1)))

    def test_batch_reads_its_own_writes(self):
        start = put(0, 1, "a", "x", done(1))
        parts = [("get", "a"), ("put", "a", "y"), ("get", "a"), ("delete", "a"), ("get", "a")]
        own, old = ("value", "y", 2), ("value", "x", 1)
        self.passes(start, Op(parts, 2, 3, done(2, old, None, own, None, ABSENT)))
        self.caught(start, Op(parts, 2, 3, done(2, own, None, own, None, ABSENT)))
        self.caught(start, Op(parts, 2, 3, done(2, old, None, old, None, ABSENT)))
        self.caught(start, Op(parts, 2, 3, done(2, old, None, own, None, own)))

    def test_batch_whose_gets_are_older_than_its_commit(self):
        """A read and a write that did not happen at the same moment."""
        self.caught(put(0, 1, "a", "x", done(1)), put(2, 3, "a", "y", done(2)),
                    Op([("get", "a"), ("put", "b", "z")], 1, 9, done(3, ("value", "x", 1), None)))

    def test_tricky_history_that_is_right(self):
        """Everything overlaps, effects come in an order that is neither that of beginning nor of
        ending, one unanswered write happened and one did not."""
        self.passes(
            put(0, 20, "a", "1", done(3)), put(1, 30, "b", "2", done(2)),
            put(2, 28, "a", "3", None), put(3, 28, "b", "4", None),
            get(4, 5, "a", done(0, ABSENT)), get(6, 7, "b", read("2", 2)),
            get(8, 9, "a", read("1", 3)), get(10, 29, "a", read("3", 4)),
            put(11, 27, "b", "5", failed(2), ("none_any",)),
            Op([("check", "a", 4), ("get", "b"), ("put", "a", "6")], 12, 26,
               done(5, None, ("value", "2", 2), None)),
            get(13, 25, "a", read("1", 3)), delete(14, 24, "b", done(6), ("match", {2})),
            Op([("get", "a"), ("get", "b")], 15, 31, done(6, ("value", "6", 5), ABSENT)),
            Op([("get", "a"), ("get", "b")], 15, 31, done(5, ("value", "6", 5), ("value", "2", 2))))


class Simulated(unittest.TestCase):
    """Histories of a map that does take one request at a time."""

    def setUp(self):
        self.source = random.Random(4)

    def history(self, count, width, spread):
        """Each request takes effect at a moment of its own, between its beginning and its end. A
        share of `width` has no answer."""
        self.state, self.revision, self.told = {key: (None, 0) for key in KEYS}, 0, {1}
        return [self.request(moment, width, spread) for moment in range(count)]

    def request(self, moment, width, spread):
        key, value = self.source.choice(KEYS), "v%d" % moment
        kind = self.source.choice(("get", "put", "put", "delete", "swap"))
        begin, end = (1000 * moment + sign * self.source.randrange(1, spread) for sign in (-1, 1))
        now, current = self.state[key]
        condition = None
        if kind == "get":
            self.told.add(current)
            return get(begin, end, key, done(0, ("value", now, current) if now else ABSENT))
        if kind == "swap":
            kind, named = "put", {current} & self.told - {0} or {1}
            condition = self.source.choice((("match", named), ("none_any",)))
            if (current != 0) if condition[0] == "none_any" else (current not in named):
                return put(begin, end, key, value, failed(current), condition)
        answered = self.source.random() >= width
        if answered or self.source.random() < 0.5:
            self.revision += 1
            self.state[key] = (value, self.revision) if kind == "put" else (None, 0)
        if answered:
            self.told.add(self.revision)
        part = ("put", key, value) if kind == "put" else ("delete", key)
        return Op([part], begin, end, done(self.revision) if answered else None, condition)

    def test_long_histories_pass(self):
        for width, spread in ((0, 500), (0, 4000), (0.05, 4000), (0.3, 2000)):
            check(self.history(2000, width, spread), KEYS)

    def test_search_agrees_with_trying_all_orders(self):
        """Small histories, half of them made wrong by exchanging the outcomes of two requests."""
        verdicts = {True: 0, False: 0}
        for _ in range(400):
            history = self.history(6, 0.3, 3000)
            if self.source.random() < 0.6:
                one, other = self.source.sample(history, 2)
                if [part[0] for part in one.parts] == [part[0] for part in other.parts]:
                    one.outcome, other.outcome = other.outcome, one.outcome
            expected = by_trying_all(history)
            verdicts[expected] += 1
            try:
                check(history, KEYS)
                found = True
            except Violation:
                found = False
            self.assertEqual(found, expected, "\n".join(map(str, history)))
        self.assertGreater(min(verdicts.values()), 40, verdicts)


def by_trying_all(history):
    try:
        checker = Checker(history, KEYS)
    except Violation:
        return False
    optional = [op for op in history if op.number in checker.optional]
    certain = [op for op in history if op.number not in checker.optional]
    for count in range(len(optional) + 1):
        for chosen in itertools.combinations(optional, count):
            for order in itertools.permutations([*certain, *chosen]):
                if explains(checker, order):
                    return True
    return False


def explains(checker, order):
    state = (tuple(None for _ in KEYS), 0)
    latest = -INFINITE
    for op in order:
        latest = max(latest, op.begin)
        if op.end < latest:
            return False
        state = checker.apply(state, op)
        if state is None:
            return False
    return True
