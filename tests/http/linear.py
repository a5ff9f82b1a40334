"""Judges whether a history of concurrent requests is linearizable.

A history is a list of Op. Each has the time before it was sent and the time after its answer came
(`end`; for one without an answer, the latest time at which it can have taken effect) and what was
answered. check() looks for one order of all operations that respects these times and in which each
answer is what a single map, changed by one request at a time, would have given. It raises Violation
if there is none.

The search is just-in-time linearization: it walks through the history and keeps every
configuration that explains it so far, which is a state of the map with the set of running
operations that have already taken effect. Where an operation ends, each configuration that lacks it
is carried on by every sequence of running operations that ends with it. No configuration is
followed twice, nor one that can do no more than another.

A state has the value of each key, or None, and the highest revision that was told so far. Every
value is written once in a history. So a value names its write, and a write without an answer whose
value was read is known to have happened, at the revision that the reader was told. Revisions are
part of what is judged: a write must be above all revisions before it, and whoever reads a value
must be told the revision of its write.
"""

import collections
import dataclasses

CONFIGURATIONS_MAX = 200000  # of one step; a history that needs more cannot be judged
INFINITE = 1 << 62

ABSENT = ("absent",)
UNCHANGED = ("unchanged",)  # 304


class Violation(Exception):
    """No order of the operations explains the answers."""


@dataclasses.dataclass
class Op:
    """One request. `parts` are tuples: ("get", key), ("put", key, value), ("delete", key) and
    ("check", key, revision); a batch has several, a scan a get of each key. `condition` is of a
    single get, put or delete: ("match", {revision, …}), ("match_any",), ("none", {revision, …}) or
    ("none_any",).

    `outcome` is None where no answer came; ("done", revision, results) with a result a part, that
    of a get being ABSENT, UNCHANGED or ("value", value, revision), of others None, and revision 0
    where the answer has none; or ("failed", {index of a part: its current revision})."""

    parts: list
    begin: int
    end: int
    outcome: tuple = None
    condition: tuple = None
    client: int = 0
    number: int = 0

    def writes(self):
        return [part for part in self.parts if part[0] in ("put", "delete")]

    def __str__(self):
        text = "; ".join(" ".join(str(word) for word in part) for part in self.parts)
        if self.condition:
            text += " if " + " ".join(str(word) for word in self.condition)
        return "#%d client %d [%d, %d] %s -> %s" % (self.number, self.client, self.begin, self.end,
                                                    text, self.outcome)


class Revisions:
    """What all answers together tell about the revision of each value."""

    def __init__(self, history):
        self.of = {}          # value: revision
        self.writer = {}      # value: its Op
        self.taken = {}       # revision: the Op that was acknowledged with it
        for op in history:
            for part in op.parts:
                if part[0] == "put":
                    if part[2] in self.writer:
                        raise ValueError("%r is written twice" % (part[2],))
                    self.writer[part[2]] = op
        for op in history:
            if op.outcome and op.outcome[0] == "done":
                self._learn(op)
        for op in history:
            self._spread(op)
        self.known = {*self.taken, *self.of.values()}

    def _learn(self, op):
        _, revision, results = op.outcome
        if op.writes():
            if revision <= 0 or self.taken.setdefault(revision, op) is not op:
                raise Violation("two commits of revision %d: %s; %s"
                                % (revision, op, self.taken.get(revision)))
            for part in op.writes():
                if part[0] == "put":
                    self._bind(part[2], revision, op)
        for result in results:
            if result and result[0] == "value":
                self._bind(result[1], result[2], op)

    def _spread(self, op):
        """All values of one commit have its revision: one of them tells that of the others."""
        values = [part[2] for part in op.parts if part[0] == "put"]
        for revision in {self.of[value] for value in values if value in self.of}:
            for value in values:
                self._bind(value, revision, op)

    def _bind(self, value, revision, op):
        if value not in self.writer:
            raise Violation("%r was never written: %s" % (value, op))
        if self.of.setdefault(value, revision) != revision:
            raise Violation("%r has revision %d and another: %s" % (value, self.of[value], op))

    def current(self, value):
        """The revision of a key with this value; None if no answer told it."""
        return 0 if value is None else self.of.get(value)

    def of_op(self, op):
        """The revision at which a write took effect, None if no answer told it."""
        if op.outcome:
            return op.outcome[1] if op.outcome[0] == "done" and op.writes() else None
        return next((self.of[part[2]] for part in op.parts
                     if part[0] == "put" and part[2] in self.of), None)


def holds(condition, current):
    """`current` is the key's revision, 0 where it is absent and None where it is not known; what is
    not known was never told to anybody, so that no condition can name it."""
    kind = condition[0]
    if kind == "match_any":
        return current != 0
    if kind == "none_any":
        return current == 0
    named = current is not None and current != 0 and current in condition[1]
    return named if kind == "match" else not named


class Antichain:
    """Configurations none of which can do all that another one can: of two that differ only in
    operations that may be left out, the one in which fewer of them have taken effect."""

    def __init__(self, optional):
        self.optional = optional
        self.sets = {}
        self.count = 0

    def add(self, state, done):
        """False if it is there, or one that is as good."""
        chosen = done & self.optional
        others = self.sets.setdefault((state, done - chosen), [])
        if any(other <= chosen for other in others):
            return False
        self.count += 1
        others[:] = [other for other in others if not chosen <= other]
        others.append(chosen)
        return True

    def all(self):
        return [(state, rest | chosen) for (state, rest), sets in self.sets.items()
                for chosen in sets]


class Checker:
    def __init__(self, history, keys):
        self.history = history
        for number, op in enumerate(history):
            op.number = number
        self.place = {key: at for at, key in enumerate(keys)}
        self.revisions = Revisions(history)
        self.revision = {op.number: self.revisions.of_op(op) for op in history}
        # What may have happened or not.
        self.optional = {op.number for op in history
                         if op.outcome is None and self.revision[op.number] is None}

    # What an operation does to a state: a new state, or None if it cannot be next.

    def apply(self, state, op):
        if op.outcome and op.outcome[0] == "failed":
            return state if self._failures(state, op) == op.outcome[1] else None
        if self._failures(state, op):
            return None
        return self._commit(state, op)

    def _failures(self, state, op):
        """{index: current revision} of what does not hold; None stands for "not known" only if the
        answer does not tell a number that could be meant."""
        found = {}
        told = op.outcome[1] if op.outcome and op.outcome[0] == "failed" else {}
        is_read = op.parts[0][0] == "get"
        for index, part in enumerate(op.parts):
            current = self.revisions.current(state[0][self.place[part[1]]])
            if part[0] == "check":
                failed = current != part[2]
            elif op.condition and not is_read:
                failed = not holds(op.condition, current)
            else:
                failed = False
            if failed:
                if current is None and told.get(index, 0) not in self.revisions.known:
                    current = told.get(index, 0) or None
                found[index] = current
        return found

    def _commit(self, state, op):
        values, highest = list(state[0]), state[1]
        results = op.outcome[2] if op.outcome else None
        own = self.revision[op.number]
        for index, part in enumerate(op.parts):
            place = self.place[part[1]]
            if part[0] == "put":
                values[place] = part[2]
            elif part[0] == "delete":
                values[place] = None
            elif part[0] == "get" and results is not None:
                if not self._is_result(values[place], op, results[index]):
                    return None
        told = own if op.writes() else op.outcome[1] if op.outcome else 0
        if told:
            if told < highest or (op.writes() and told == highest):
                return None
            highest = told
        return tuple(values), highest

    def _is_result(self, value, op, result):
        if result == UNCHANGED:
            return not holds(op.condition, self.revisions.current(value))
        if op.condition and not holds(op.condition, self.revisions.current(value)):
            return False
        if result == ABSENT:
            return value is None
        return value == result[1]

    # The search.

    def check(self):
        """Returns the number of configurations that were kept at most."""
        events = []
        for op in self.history:
            if op.end < op.begin:
                raise ValueError("ends before it begins: %s" % op)
            events.append((op.begin, 0, op.number))  # what meets in time may overlap
            if op.end < INFINITE:
                events.append((op.end, 1, op.number))
        running, most = {}, 1
        configurations = [(((None,) * len(self.place), 0), frozenset())]
        for _, ends, number in sorted(events):
            op = self.history[number]
            if not ends:
                running[number] = op
                continue
            next_ones = self._step(configurations, running, op)
            if not next_ones:
                raise Violation(self._explain(configurations, running, op))
            configurations = next_ones
            most = max(most, len(configurations))
            del running[number]
        return most

    def _step(self, configurations, running, target):
        """All configurations in which `target` has taken effect, without it."""
        found, seen = Antichain(self.optional), Antichain(self.optional)
        queue = collections.deque(sorted(configurations, key=lambda c: len(c[1])))
        if target.number in self.optional:
            for state, done in configurations:
                if target.number not in done:
                    found.add(state, done)
        while queue:
            state, done = self._take_reads(queue.popleft(), running)
            if not seen.add(state, done):
                continue
            if seen.count > CONFIGURATIONS_MAX:
                raise RuntimeError("more than %d configurations at %s" % (seen.count, target))
            if target.number in done:
                found.add(state, done - {target.number})
                continue
            lowest = self._lowest_open(running, done)
            for number, op in running.items():
                if number in done or (self.revision[number] or 0) > lowest:
                    continue
                after = self.apply(state, op)
                if after is not None:
                    queue.append((after, done | {number}))
        return found.all()

    def _take_reads(self, configuration, running):
        """Whatever changes nothing and fits here may as well take effect here."""
        state, done = configuration
        taken = {number for number, op in running.items()
                 if number not in done and op.outcome and self.apply(state, op) == state}
        return state, done | taken

    def _lowest_open(self, running, done):
        """A write that is known to have happened comes before all of higher revisions."""
        return min((self.revision[number] for number in running
                    if number not in done and self.revision[number]), default=INFINITE)

    def _explain(self, configurations, running, op):
        lines = ["no order explains %s" % op, "running:"]
        lines += ["  %s" % other for other in running.values() if other is not op]
        lines.append("ended before:")
        ended = sorted((o for o in self.history if o.end < op.end), key=lambda o: o.end)
        lines += ["  %s" % other for other in ended[-12:]]
        lines.append("states up to here (values, highest revision; took effect):")
        lines += ["  %s %s" % (state, sorted(done)) for state, done in configurations[:12]]
        return "\n".join(lines)


def check(history, keys):
    return Checker(history, keys).check()
