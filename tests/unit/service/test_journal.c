/* What the log writes is read back, and what it was given may try to forge lines. */
#include "support.h"

#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "service/journal.h"

struct scene {
    struct journal journal;
    int read_fd;
    char text[2 * JOURNAL_LINE_BYTES];
};

static void scene_init(struct scene *scene, enum config_log_format format)
{
    int fds[2];
    memset(scene, 0, sizeof *scene);
    ck_assert_int_eq(pipe(fds), 0);
    scene->read_fd = fds[0];
    scene->journal = (struct journal){fds[1], VARVE_LOG_DEBUG, format};
}

/* What was written; the scene is then closed. */
static const char *scene_end(struct scene *scene)
{
    close(scene->journal.fd);
    ssize_t size = read(scene->read_fd, scene->text, sizeof scene->text - 1);
    ck_assert_int_ge(size, 0);
    close(scene->read_fd);
    return scene->text;
}

START_TEST(test_text_line)
{
    struct scene scene;
    scene_init(&scene, CONFIG_LOG_TEXT);
    journal_log(&scene.journal, VARVE_LOG_WARNING, "a\nforged \x1b[31m\\ \xff line \xc3\xa9");
    const char *text = scene_end(&scene);
    ck_assert_ptr_nonnull(
        strstr(text, "Z warning a\\x0aforged \\x1b[31m\\x5c \\xff line \xc3\xa9\n"));
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
}
END_TEST

START_TEST(test_json_line)
{
    struct scene scene;
    scene_init(&scene, CONFIG_LOG_JSON);
    journal_log(&scene.journal, VARVE_LOG_ERROR, "a\n\"b\" \\ \x01");
    json_t *line = json_loads(scene_end(&scene), 0, NULL);
    ck_assert_ptr_nonnull(line);
    ck_assert_str_eq(json_string_value(json_object_get(line, "level")), "error");
    ck_assert_str_eq(json_string_value(json_object_get(line, "message")), "a\n\"b\" \\ \x01");
    json_decref(line);
}
END_TEST

START_TEST(test_level)
{
    struct scene scene;
    scene_init(&scene, CONFIG_LOG_TEXT);
    scene.journal.level = VARVE_LOG_WARNING;
    journal_log(&scene.journal, VARVE_LOG_INFO, "left out");
    journal_print(&scene.journal, VARVE_LOG_INFO, "left %s", "out");
    journal_request(&scene.journal, &(struct journal_request){.method = "GET"});
    journal_print(&scene.journal, VARVE_LOG_WARNING, "number %d", 7);
    const char *text = scene_end(&scene);
    ck_assert_ptr_null(strstr(text, "left"));
    ck_assert_ptr_nonnull(strstr(text, "warning number 7\n"));
}
END_TEST

START_TEST(test_long_line_is_cut)
{
    char message[3 * JOURNAL_LINE_BYTES];
    memset(message, '\x01', sizeof message - 1);
    message[sizeof message - 1] = '\0';
    struct scene scene;
    scene_init(&scene, CONFIG_LOG_JSON);
    journal_log(&scene.journal, VARVE_LOG_INFO, message);
    const char *text = scene_end(&scene);
    ck_assert_uint_le(strlen(text), JOURNAL_LINE_BYTES);
    json_t *line = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(line);
    json_decref(line);
}
END_TEST

START_TEST(test_request_line)
{
    char target[1000];
    memset(target, '\n', sizeof target);
    struct scene scene;
    scene_init(&scene, CONFIG_LOG_JSON);
    journal_request(&scene.journal, &(struct journal_request){
                                        .id = L("id-\"1\""),
                                        .target = varve_slice(target, sizeof target),
                                        .method = "GET",
                                        .status = 404,
                                        .bytes_in = 1,
                                        .bytes_out = 2,
                                        .duration_us = 3,
                                    });
    json_t *line = json_loads(scene_end(&scene), 0, NULL);
    ck_assert_ptr_nonnull(line);
    ck_assert_str_eq(json_string_value(json_object_get(line, "request_id")), "id-\"1\"");
    ck_assert_int_eq(json_integer_value(json_object_get(line, "status")), 404);
    ck_assert_int_eq(json_integer_value(json_object_get(line, "duration_us")), 3);
    ck_assert_int_eq(json_string_value(json_object_get(line, "target"))[0], '\n');
    json_decref(line);
}
END_TEST

static const struct journal_audit refused_audit = {
    .id = {(const uint8_t *)"id \"1\"", 6},
    .target = {(const uint8_t *)"/admin/\nflush", 13},
    .method = "POST",
    .token = "ops",
    .peer = "[::1]:99",
    .outcome = "insufficient_scope",
    .status = 403,
    .is_refusal = true,
};

START_TEST(test_audit_line)
{
    struct scene scene;
    scene_init(&scene, CONFIG_LOG_TEXT);
    scene.journal.level = VARVE_LOG_ERROR; /* it is written all the same */
    struct journal_audit audit = refused_audit;
    audit.id = L("id \"1\" status=200"); /* would look like another field */
    journal_audit(&scene.journal, &audit);
    ck_assert_ptr_nonnull(strstr(scene_end(&scene),
                                 "Z warning audit method=POST target=/admin/\\x0aflush token=ops "
                                 "peer=[::1]:99 outcome=insufficient_scope status=403 "
                                 "request_id=id\\x20\"1\"\\x20status=200\n"));
}
END_TEST

START_TEST(test_json_audit_line)
{
    struct scene scene;
    static char long_method[4096];
    memset(long_method, '"', sizeof long_method - 1);
    struct journal_audit audit = refused_audit;
    audit.method = long_method;
    scene_init(&scene, CONFIG_LOG_JSON);
    journal_audit(&scene.journal, &audit);
    json_t *line = json_loads(scene_end(&scene), 0, NULL);
    ck_assert_ptr_nonnull(line);
    ck_assert_str_eq(json_string_value(json_object_get(line, "message")), "audit");
    ck_assert_str_eq(json_string_value(json_object_get(line, "request_id")), "id \"1\"");
    ck_assert_int_eq(json_integer_value(json_object_get(line, "status")), 403);
    json_decref(line);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"text_line", test_text_line},
        {"json_line", test_json_line},
        {"level", test_level},
        {"long_line_is_cut", test_long_line_is_cut},
        {"request_line", test_request_line},
        {"audit_line", test_audit_line},
        {"json_audit_line", test_json_audit_line},
    };
    return SUPPORT_RUN("journal", tests);
}
