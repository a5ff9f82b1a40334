#!/usr/bin/env python3
"""Seeded bugs: each of them must be caught by a test of its own.

A bug is one edit of one source file. The file is compiled with the edit by the build's own command,
the test program is linked with it in front of the engine's library, and the test must fail (or not
end).

    seeded_bugs.py BUILD_ROOT [--all | --some N] [NAME ...]

Without --all, N of them (default 5) in turn, by VARVE_SEED or the day. VARVE_BUDGET=long means
--all.
"""

import argparse
import datetime
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

TEST_SECONDS_MAX = 240

# name, file, what stands there (once), what stands there instead, test program
BUGS = [
    ("segment-name-not-synced", "engine/wal.c",
     "        status = env_sync_dir(db->env, db->dir);", "        status = VARVE_OK;",
     "crash/test_power_cut"),
    ("switch-without-sync", "engine/wal.c",
     "    if (writer->synced_offset == writer->offset)", "    if (writer != NULL)",
     "crash/test_power_cut"),
    ("acknowledged-before-sync", "engine/commit_group.c",
     "status == VARVE_OK && group->sync",
     "status == VARVE_OK && group->sync && db->wal.last_sequence % 7 != 0",
     "crash/test_power_cut"),
    ("table-not-synced", "format/sstable_writer.c",
     "env_file_sync(writer->file)", "VARVE_OK", "crash/test_power_cut"),
    ("table-name-not-synced", "engine/merge.c",
     "        status = env_sync_dir(job->db->env, job->db->dir);", "        status = VARVE_OK;",
     "crash/test_power_cut"),
    ("manifest-edit-not-synced", "engine/manifest.c",
     "manifest_writer_append(&manifest->mu.writer, edit, true)",
     "manifest_writer_append(&manifest->mu.writer, edit, false)", "crash/test_power_cut"),
    ("segment-given-up-too-early", "engine/flush.c",
     "edit.first_live_segment = segment_id + 1;", "edit.first_live_segment = segment_id + 2;",
     "crash/test_power_cut"),
    ("tombstone-dropped-too-early", "engine/compaction_plan.c",
     "            if (table != NULL && !plan_has(plan, table))",
     "            if (table == NULL && plan_has(plan, table))",
     "engine/test_engine_orders"),
    ("snapshot-not-kept", "engine/snapshot.c",
     "        oldest != NULL ? oldest->sequence "
     ": atomic_load_explicit(visible, memory_order_acquire);",
     "        atomic_load_explicit(visible, memory_order_acquire);", "engine/test_engine_snapshot"),
    ("block-crc-ignored", "format/sstable_reader.c",
     "    if (crc != crc32c_unmask(fixed32_decode(stored + size + 1)))",
     "    if (crc + 1 == crc)", "engine/test_engine_bytes"),
    ("failed-sync-forgiven", "engine/commit_group.c",
     '        db_read_only(db, status, "syncing the log");', "", "engine/test_engine_faults"),
    ("revisions-given-twice", "engine/recovery.c",
     "state->last_sequence += RECOVERY_SEQUENCE_GAP;",
     "state->last_sequence += 0;", "engine/test_engine_recovery"),
    ("linked-segment-reused", "engine/wal.c",
     "status == VARVE_OK && info.link_count == 1 && spare_put", "status == VARVE_OK && spare_put",
     "engine/test_engine_checkpoint"),
    ("clock-believed", "engine/db.c",
     "    return atomic_load_explicit(&db->time_floor_ms, memory_order_relaxed);",
     "    return env_wall_ms(db->env);",
     "engine/test_engine_expiry"),
    ("conflict-overlooked", "engine/conditions.c",
     "        if (slot->key.data != NULL) {",
     "        if (slot->key.data != NULL && overlay->used == 0) {",
     "engine/test_engine_conditions"),
    ("filter-of-another-key", "format/sstable_writer.c",
     "uint64_t hash = hash_slice(user_key);",
     "uint64_t hash = hash_slice(user_key) + (user_key.size == 9);",
     "engine/test_engine_db"),
    ("cut-tail-not-saved", "engine/recovery_replay.c",
     "    status = tail_save(db, reader, &tail);",
     "    status = reader != NULL ? VARVE_OK : tail_save(db, reader, &tail);",
     "engine/test_engine_recovery"),
    ("segment-beyond-overlooked", "engine/recovery.c",
     "    if (!has_frame)", "    if (!has_frame || id > last + 1)",
     "engine/test_engine_recovery"),
    ("torn-beginning-overlooked", "engine/recovery.c",
     "segment_has_frame(db, id, follows, &has_frame);",
     "segment_has_frame(db, id, false, &has_frame);", "engine/test_engine_recovery_switch"),
    ("durable-before-the-seal", "engine/commit_group.c",
     "        if (group->sync || db->wal.must_seal)", "        if (db->wal.must_seal)",
     "crash/test_power_cut"),
    ("flushed-before-the-seal", "engine/flush.c",
     "    enum varve_status status = wal_seal(db);", "    enum varve_status status = VARVE_OK;",
     "crash/test_power_cut"),
    ("written-behind-a-torn-frame", "engine/wal.c",
     "    wal->must_seal = wal->writer.damaged;", "    wal->must_seal = false;",
     "engine/test_engine_recovery_switch"),
    ("lost-end-overlooked", "engine/recovery_replay.c",
     "            goes_on = frame.first_sequence == replay->next_sequence;",
     "            replay->next_sequence = frame.first_sequence;",
     "crash/test_power_cut"),
    ("retries-need-silence", "engine/commit.c",
     "    (void)background_retry(db);", "    (void)db;", "engine/test_engine_recovers"),
    ("failed-manifest-left-behind", "engine/manifest.c",
     "if (status != VARVE_EXISTS) {", "if (status == VARVE_EXISTS) {",
     "engine/test_engine_recovers"),
    ("older-value-shown", "engine/read.c",
     "for (size_t r = 0; r < version->levels[l].run_count; r++)",
     "for (size_t r = version->levels[l].run_count; r-- > 0;)", "engine/test_engine_db"),
]


def run(command, cwd, **extra):
    return subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", **extra)


def compile_entry(build, source):
    """The build's own command for a source of a static library."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        if file == source.resolve() and "libvarve-" in entry["output"]:
            return entry
    raise SystemExit(f"{source}: the build does not compile it")


def link_command(build, program):
    text = run(["ninja", "-t", "commands", f"tests/{program}"], build).stdout.strip().splitlines()
    if not text:
        raise SystemExit(f"tests/{program}: the build does not know it")
    return shlex.split(text[-1])


def mutant_object(build, source_root, bug, folder):
    name, file, old, new, _ = bug
    source = source_root / "src" / file
    text = source.read_text()
    mutant = folder / pathlib.Path(file).name
    mutant.write_text(text.replace(old, new))
    entry = compile_entry(build, source)
    command = shlex.split(entry["command"])
    output = folder / (mutant.stem + ".o")
    for index, word in enumerate(command):
        if word == "-o":
            command[index + 1] = str(output)
        elif word in ("-MF", "-MQ"):
            command[index + 1] = str(folder / "depend")
        elif (pathlib.Path(entry["directory"]) / word).resolve() == source.resolve():
            command[index] = str(mutant)
    done = run(command + ["-Wno-error"], entry["directory"])
    if done.returncode != 0:
        raise SystemExit(f"{name}: does not compile\n{done.stdout}")
    return output


def check_up_to_date(source_root):
    """Of all bugs, whichever are tried: a change of the source shows on its own day."""
    for name, file, old, _, _ in BUGS:
        count = (source_root / "src" / file).read_text().count(old)
        if count != 1:
            raise SystemExit(f"{name}: {file} has the line {count} times; bring the bug up to date")


def is_caught(build, source_root, bug):
    name, program = bug[0], bug[4]
    with tempfile.TemporaryDirectory(prefix="varve-bug-") as temporary:
        folder = pathlib.Path(temporary)
        object_file = mutant_object(build, source_root, bug, folder)
        command = link_command(build, program)
        executable = folder / "test"
        at = command.index("-o")
        command[at + 1] = str(executable)
        # In front of the libraries: their member with the same symbols is then left out.
        command.insert(at + 2, str(object_file))
        linked = run(command, build)
        if linked.returncode != 0:
            raise SystemExit(f"{name}: does not link\n{linked.stdout}")
        environment = dict(os.environ, CK_FORK="no", TMPDIR=temporary)
        # The bugs are known to be caught without.
        for name_to_drop in ("VARVE_BUDGET", "VARVE_SEED"):
            environment.pop(name_to_drop, None)
        try:
            done = run([str(executable)], folder, env=environment, timeout=TEST_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            return True
        return done.returncode != 0


def choose(arguments):
    if arguments.names:
        return [bug for bug in BUGS if bug[0] in arguments.names]
    if arguments.all or os.environ.get("VARVE_BUDGET") == "long":
        return BUGS
    seed = os.environ.get("VARVE_SEED")
    turn = int(seed) if seed else datetime.date.today().toordinal()
    first = turn * arguments.some % len(BUGS)
    return (BUGS + BUGS)[first:first + arguments.some]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--some", type=int, default=5)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    source_root = pathlib.Path(__file__).resolve().parents[2]
    check_up_to_date(source_root)
    passed = failed = 0
    for bug in choose(arguments):
        caught = is_caught(build, source_root, bug)
        print(f"{'caught' if caught else 'NOT CAUGHT'}: {bug[0]} by {bug[4]}", flush=True)
        passed += caught
        failed += not caught
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
