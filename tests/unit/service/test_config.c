/* Settings: each kind of value, each source, which one wins, and what an error says. */
#include "service/config.h"

#include <stdio.h>

#include "service/config_table.h"
#include "support.h"
#include "tmpdir.h"

#define ARGS(...) ((char *const[]){"varved", __VA_ARGS__, NULL})
#define NO_ARGS ((char *const[]){"varved", NULL})
#define ENV(...) ((char *const[]){__VA_ARGS__, NULL})

static enum varve_status load(struct service_config *ret_config, char *const *arguments,
                              char *const *environment, enum config_action *ret_action,
                              struct varve_error *ret_error)
{
    int count = 0;
    while (arguments[count] != NULL)
        count++;
    return config_load(ret_config, count, arguments, environment, ret_action, ret_error);
}

static enum config_action ck_load(struct service_config *ret_config, char *const *arguments,
                                  char *const *environment)
{
    struct varve_error error = {0};
    enum config_action action = CONFIG_RUN;
    enum varve_status status = load(ret_config, arguments, environment, &action, &error);
    ck_assert_msg(status == VARVE_OK, "%s: %s", error.path, error.text);
    return action;
}

static void ck_refused(char *const *arguments, char *const *environment, const char *word)
{
    struct service_config config = {0};
    struct varve_error error = {0};
    enum config_action action = CONFIG_RUN;
    enum varve_status status = load(&config, arguments, environment, &action, &error);
    ck_assert_msg(status == VARVE_INVALID, "%s is taken", word);
    ck_assert_msg(strstr(error.text, word) != NULL, "\"%s\" does not mention \"%s\"", error.text,
                  word);
    ck_assert_uint_eq(config.http_threads + config.listen_port, 0);
    ck_status(load(&config, arguments, environment, &action, NULL), VARVE_INVALID);
}

/* Makes a file of that content; the path is borrowed from `dir`. */
static char *make_file(const struct tmpdir *dir, const void *content, size_t size)
{
    char *path = (char *)tmpdir_path(dir, "varved.conf");
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(content, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

static void ck_file_refused(struct varve_slice content, const char *word)
{
    struct tmpdir dir = {0};
    struct service_config config = {0};
    struct varve_error error = {0};
    enum config_action action = CONFIG_RUN;
    tmpdir_make(&dir);
    char *path = make_file(&dir, content.data, content.size);
    enum varve_status status = load(&config, ARGS("--config", path), NULL, &action, &error);
    ck_assert_msg(status == VARVE_INVALID, "%.*s is taken", (int)content.size,
                  (const char *)content.data);
    ck_assert_msg(strstr(error.text, word) != NULL, "\"%s\" does not mention \"%s\"", error.text,
                  word);
    ck_assert_str_eq(error.path, path);
    tmpdir_remove(&dir);
}

START_TEST(defaults)
{
    struct service_config config = {0};
    struct varve_options engine;
    memset(&engine, 0, sizeof engine); /* its padding too, for the comparison */
    varve_options_init(&engine);
    ck_assert_int_eq(ck_load(&config, NO_ARGS, NULL), CONFIG_RUN);
    ck_assert_str_eq(config.listen, "127.0.0.1:7070");
    ck_assert_str_eq(config.listen_host, "127.0.0.1");
    ck_assert_uint_eq(config.listen_port, 7070);
    ck_assert_str_eq(config.data_dir, "data");
    ck_assert(!config.insecure);
    ck_assert_uint_eq(config.http_threads, 0);
    ck_assert_int_eq(config.log_level, VARVE_LOG_INFO);
    ck_assert_int_eq(config.log_format, CONFIG_LOG_TEXT);
    ck_assert_uint_eq(config.max_connections, 4096);
    ck_assert_uint_eq(config.max_body_bytes, 32 << 20);
    ck_assert_uint_eq(config.bodies_in_flight_bytes, 256 << 20);
    ck_assert_uint_eq(config.answers_in_flight_bytes, 256 << 20);
    ck_assert_uint_eq(config.header_timeout_ms, 10000);
    ck_assert_uint_eq(config.body_min_rate, 1024);
    ck_assert_uint_eq(config.answer_min_rate, 64 << 10);
    ck_assert_uint_eq(config.idle_timeout_ms, 60000);
    ck_assert_uint_eq(config.request_timeout_ms, 60000);
    ck_assert_uint_eq(config.drain_delay_ms, 1000);
    ck_assert_uint_eq(config.drain_timeout_ms, 10000);
    /* Each option of the store has the same default here and there. */
    ck_assert(memcmp(&config.engine, &engine, sizeof engine) == 0);
}
END_TEST

/* Default texts are in the form in which values are printed, and bounds hold their defaults. */
START_TEST(table)
{
    struct service_config config;
    config_init(&config);
    for (size_t i = 0; i < CONFIG_FIELD_COUNT; i++) {
        struct config_setting setting;
        ck_assert(config_setting_at(&config, i, &setting));
        ck_assert_str_eq(setting.text, setting.default_text);
        ck_assert_ptr_eq(config_field_find(setting.name), &config_fields[i]);
        for (size_t other = 0; other < i; other++)
            ck_assert_str_ne(setting.name, config_fields[other].name);
        ck_assert_ptr_nonnull(strpbrk(setting.help, "abcdefghijklmnopqrstuvwxyz"));
    }
    struct config_setting beyond;
    ck_assert(!config_setting_at(&config, CONFIG_FIELD_COUNT, &beyond));
    ck_assert_ptr_null(config_field_find("colour"));
}
END_TEST

/* Every number is taken at its bounds and refused one beyond them, and no option of the store has
 * narrower bounds of its own. */
START_TEST(number_bounds)
{
    for (size_t i = 0; i < CONFIG_FIELD_COUNT; i++) {
        const struct config_field *field = &config_fields[i];
        struct service_config config;
        char text[64], reason[CONFIG_REASON_BYTES], shown[CONFIG_TEXT_BYTES];
        if (field->most == 0)
            continue;
        const uint64_t good[] = {field->least, field->most};
        for (size_t g = 0; g < COUNT(good); g++) {
            struct varve_error error = {0};
            config_init(&config);
            snprintf(text, sizeof text, "%llu", (unsigned long long)good[g]);
            ck_assert_msg(config_field_set(field, &config, text, reason), "%s: %s", field->name,
                          reason);
            if (strncmp(field->name, "level0_", 7) == 0) { /* they depend on each other */
                config.engine.level0_trigger = 2;
                config.engine.level0_stop = 1024;
                ck_assert(config_field_set(field, &config, text, reason));
            }
            if (strcmp(field->name, "memory_budget") == 0) { /* others have to fit into it */
                config.engine.memtable_bytes = 64 << 10;
                config.engine.block_cache_bytes = 1 << 20;
            }
            if (strcmp(field->name, "level0_trigger") == 0 ||
                strcmp(field->name, "level0_stop") == 0 ||
                field->offset >= offsetof(struct service_config, engine))
                ck_assert_msg(varve_options_check(&config.engine, &error) == VARVE_OK, "%s",
                              error.text);
            /* What is printed is read back as the same. */
            config_field_format(field, &config, shown);
            struct service_config back;
            config_init(&back);
            ck_assert_msg(config_field_set(field, &back, shown, reason), "%s = %s: %s", field->name,
                          shown, reason);
            ck_assert(memcmp((char *)&config + field->offset, (char *)&back + field->offset,
                             sizeof(size_t)) == 0);
        }
        snprintf(text, sizeof text, "%llu", (unsigned long long)field->most + 1);
        ck_assert_msg(!config_field_set(field, &config, text, reason), "%s", field->name);
        if (field->least > 0) {
            snprintf(text, sizeof text, "%llu", (unsigned long long)field->least - 1);
            ck_assert_msg(!config_field_set(field, &config, text, reason), "%s", field->name);
        }
    }
}
END_TEST

START_TEST(sizes_and_durations)
{
    static const struct {
        char *text;
        size_t value;
    } sizes[] = {
        {"1024", 1024},     {"2K", 2048},     {"2KiB", 2048},     {"3M", 3u << 20},
        {"3MiB", 3u << 20}, {"1G", 1u << 30}, {"1GiB", 1u << 30}, {"1025", 1025},
    };
    struct service_config config;
    char reason[CONFIG_REASON_BYTES];
    config_init(&config);
    const struct config_field *size = config_field_find("max_body_bytes");
    for (size_t i = 0; i < COUNT(sizes); i++) {
        ck_assert_msg(config_field_set(size, &config, sizes[i].text, reason), "%s", reason);
        ck_assert_uint_eq(config.max_body_bytes, sizes[i].value);
    }
    static const char *const bad_sizes[] = {"",
                                            "K",
                                            "1 K",
                                            "1k",
                                            "1KB",
                                            "1T",
                                            "-1K",
                                            "+1024",
                                            "1.5M",
                                            "0x400",
                                            "1024 ",
                                            " 1024",
                                            "1Kx",
                                            "1KiBB",
                                            "18446744073709551616",
                                            "17179869184G",
                                            "18014398509481984K"};
    for (size_t i = 0; i < COUNT(bad_sizes); i++)
        ck_assert_msg(!config_field_set(size, &config, bad_sizes[i], reason), "%s", bad_sizes[i]);

    static const struct {
        char *text;
        size_t value;
    } durations[] = {{"100", 100}, {"100ms", 100}, {"2s", 2000}, {"3m", 180000}, {"1500", 1500}};
    const struct config_field *duration = config_field_find("idle_timeout_ms");
    for (size_t i = 0; i < COUNT(durations); i++) {
        ck_assert_msg(config_field_set(duration, &config, durations[i].text, reason), "%s", reason);
        ck_assert_uint_eq(config.idle_timeout_ms, durations[i].value);
    }
    static const char *const bad_durations[] = {"",    "s",    "1h",  "1S", "1 s",
                                                "-1s", "1.5s", "1sm", "99"};
    for (size_t i = 0; i < COUNT(bad_durations); i++)
        ck_assert_msg(!config_field_set(duration, &config, bad_durations[i], reason), "%s",
                      bad_durations[i]);
}
END_TEST

START_TEST(other_values)
{
    struct service_config config;
    ck_load(&config,
            ARGS("--http-threads=3", "--log-format=json", "--recovery-mode=strict", "--sync=false",
                 "--data-dir=/x y"),
            NULL);
    ck_assert_uint_eq(config.http_threads, 3);
    ck_assert_int_eq(config.log_format, CONFIG_LOG_JSON);
    ck_assert_int_eq(config.engine.recovery_mode, VARVE_RECOVERY_STRICT);
    ck_assert(!config.engine.sync_writes);
    ck_assert_str_eq(config.data_dir, "/x y");
    static const struct {
        char *flag, *word;
    } cases[] = {
        {"--http-threads=0", "auto"},
        {"--memory-budget=0", "auto"},
        {"--memory-budget=400", "size"},
        {"--memory-budget=100M", "memory_budget_bytes"},
        {"--http-threads=-1", "--http-threads"},
        {"--http-threads=2x", "--http-threads"},
        {"--http-threads=99999999999999999999", "--http-threads"},
        {"--max-connections=4K", "--max-connections"},
        {"--log-level=loud", "error|warning|info|debug"},
        {"--log-level=", "--log-level"},
        {"--log-level=err", "--log-level"},
        {"--log-level=error|warning", "--log-level"},
        {"--recovery-mode=salvage", "--recovery-mode"},
        {"--sync=yes", "true or false"},
        {"--sync=", "true or false"},
        {"--data-dir=", "empty"},
        {"--data-dir=a;b", "--data-dir"},
        {"--data-dir=a\nb", "control"},
        {"--data-dir= a", "blank"},
        {"--data-dir=a ", "blank"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        ck_refused(ARGS(cases[i].flag), NULL, cases[i].word);
    char text[CONFIG_TEXT_BYTES + 16];
    snprintf(text, sizeof text, "--data-dir=%0*d", (int)CONFIG_TEXT_BYTES - 1, 0);
    ck_load(&config, ARGS(text), NULL);
    snprintf(text, sizeof text, "--data-dir=%0*d", (int)CONFIG_TEXT_BYTES, 0);
    ck_refused(ARGS(text), NULL, "longer");
}
END_TEST

START_TEST(addresses)
{
    static const struct {
        char *text, *host;
        uint16_t port;
    } good[] = {
        {"127.0.0.1:1", "127.0.0.1", 1},
        {"127.9.9.9:65535", "127.9.9.9", 65535},
        {"[::1]:7070", "::1", 7070},
        {"localhost:80", "127.0.0.1", 80},
        {"[0:0:0:0:0:0:0:1]:7070", "0:0:0:0:0:0:0:1", 7070},
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        struct service_config config;
        ck_load(&config, ARGS("--listen", good[i].text), NULL);
        ck_assert_str_eq(config.listen, good[i].text);
        ck_assert_str_eq(config.listen_host, good[i].host);
        ck_assert_uint_eq(config.listen_port, good[i].port);
    }
    static char *const bad[] = {"",
                                "x",
                                ":",
                                ":80",
                                "127.0.0.1",
                                "127.0.0.1:",
                                "127.0.0.1:0",
                                "127.0.0.1:65536",
                                "127.0.0.1:99999999999999999999",
                                "127.0.0.1:0x50",
                                "127.0.0.1:80x",
                                "127.0.0.1: 80",
                                "127.0.0.1:-1",
                                "127.0.0:80",
                                "127.0.0.256:80",
                                "::1:80",
                                "[::1]",
                                "[::1]80",
                                "[::1:80",
                                "[]:80",
                                "[127.0.0.1]:80",
                                "example.com:80",
                                "nowhere"};
    for (size_t i = 0; i < COUNT(bad); i++)
        ck_refused(ARGS("--insecure", "--listen", bad[i]), NULL, "--listen");
}
END_TEST

START_TEST(addresses_that_others_reach)
{
    static char *const texts[] = {"0.0.0.0:80", "10.0.0.1:80", "128.0.0.1:80",
                                  "[::]:80",    "[::2]:80",    "[::ffff:10.0.0.1]:80"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct service_config config;
        ck_refused(ARGS("--listen", texts[i]), NULL, "insecure");
        ck_refused(ARGS("--listen", texts[i], "--insecure=false"), NULL, "insecure");
        ck_refused(ARGS("--listen", texts[i], "--token-file=t"), NULL, "insecure");
        ck_refused(ARGS("--listen", texts[i], "--tls-cert-file=c", "--tls-key-file=k"), NULL,
                   "insecure");
        ck_load(&config, ARGS("--listen", texts[i], "--insecure"), NULL);
        ck_assert_str_eq(config.listen, texts[i]);
        ck_load(
            &config,
            ARGS("--listen", texts[i], "--token-file=t", "--tls-cert-file=c", "--tls-key-file=k"),
            NULL);
        ck_assert_str_eq(config.token_file, "t");
    }
}
END_TEST

START_TEST(settings_that_do_not_fit_together)
{
    ck_refused(ARGS("--level0-stop=4"), NULL, "level0_stop");
    ck_refused(ARGS("--tls-cert-file=c"), NULL, "tls_key_file");
    ck_refused(ARGS("--tls-key-file=k"), NULL, "tls_cert_file");
    ck_refused(ARGS("--tls-cert-file=c", "--tls-key-file=none"), NULL, "tls_key_file");
    ck_refused(ARGS("--bodies-in-flight-bytes=16M"), NULL, "bodies_in_flight_bytes");
}
END_TEST

START_TEST(flags)
{
    struct service_config config;
    ck_load(&config,
            ARGS("--data-dir", "a", "--log-level=debug", "--insecure", "--max_connections=7"),
            NULL);
    ck_assert_str_eq(config.data_dir, "a");
    ck_assert_int_eq(config.log_level, VARVE_LOG_DEBUG);
    ck_assert(config.insecure);
    ck_assert_uint_eq(config.max_connections, 7);
    ck_load(&config, ARGS("--data-dir=a", "--data-dir=b=c", "--insecure=false"), NULL);
    ck_assert_str_eq(config.data_dir, "b=c"); /* the last one counts */
    ck_assert(!config.insecure);

    ck_refused(ARGS("--colour"), NULL, "--colour");
    ck_refused(ARGS("--colour=blue"), NULL, "--colour");
    ck_refused(ARGS("--listen"), NULL, "--listen: it needs a value");
    ck_refused(ARGS("--config"), NULL, "--config: it needs a value");
    ck_refused(ARGS("--check-config=yes"), NULL, "--check-config: it takes no value");
    ck_refused(ARGS("stray"), NULL, "stray");
    ck_refused(ARGS("--insecure", "false"), NULL, "false");
    ck_refused(ARGS("-h"), NULL, "-h");
    ck_refused(ARGS("--"), NULL, "--");
    ck_refused(ARGS(""), NULL, "no flag");
    ck_refused(ARGS("--Listen=127.0.0.1:1"), NULL, "--Listen");
    ck_refused(ARGS("--log-level-that-is-longer-than-any-name-of-a-setting-can-ever-be-at-all=1"),
               NULL, "--log-level-that");
}
END_TEST

START_TEST(actions)
{
    struct service_config config;
    ck_assert_int_eq(ck_load(&config, ARGS("--print-config"), NULL), CONFIG_PRINT);
    ck_assert_int_eq(ck_load(&config, ARGS("--check-config", "--sync"), NULL), CONFIG_CHECK);
    ck_assert_int_eq(ck_load(&config, ARGS("--version"), NULL), CONFIG_VERSION);
    ck_assert_int_eq(ck_load(&config, ARGS("--colour", "--help"), ENV("VARVE_X=1")), CONFIG_HELP);
}
END_TEST

START_TEST(variables)
{
    struct service_config config;
    ck_load(&config, NO_ARGS,
            ENV("PATH=/bin", "VARVE=1", "VARVED=2", "varve_colour=3", "VARVE_LOG_LEVEL=error",
                "VARVE_MAX_CONNECTIONS=8", "VARVE_DATA_DIR=a=b"));
    ck_assert_int_eq(config.log_level, VARVE_LOG_ERROR);
    ck_assert_uint_eq(config.max_connections, 8);
    ck_assert_str_eq(config.data_dir, "a=b");
    ck_refused(NO_ARGS, ENV("VARVE_COLOUR=1"), "VARVE_COLOUR");
    ck_refused(NO_ARGS, ENV("VARVE_log_level=debug"), "VARVE_log_level");
    ck_refused(NO_ARGS, ENV("VARVE_LOG-LEVEL=info"), "VARVE_LOG-LEVEL");
    ck_refused(NO_ARGS, ENV("VARVE_=1"), "VARVE_");
    ck_refused(NO_ARGS, ENV("VARVE_LISTEN=nowhere"), "VARVE_LISTEN");
    ck_refused(NO_ARGS, ENV("VARVE_LISTEN="), "VARVE_LISTEN");
}
END_TEST

START_TEST(precedence)
{
    struct tmpdir dir = {0};
    struct service_config config;
    static const char text[] = "max_connections = 1\nlog_level = error\ndata_dir = file\n";
    tmpdir_make(&dir);
    char *path = make_file(&dir, text, strlen(text));
    char *const environment[] = {"VARVE_MAX_CONNECTIONS=2", "VARVE_LOG_LEVEL=warning", NULL};
    ck_load(&config, ARGS("--max-connections=3", "--config", path), environment);
    ck_assert_uint_eq(config.max_connections, 3);
    ck_assert_int_eq(config.log_level, VARVE_LOG_WARNING);
    ck_assert_str_eq(config.data_dir, "file");
    ck_assert_uint_eq(config.max_body_bytes, 32 << 20);

    /* VARVE_CONFIG names a file too, and --config beats it. */
    char variable[TMPDIR_PATH_BYTES + 32];
    snprintf(variable, sizeof variable, "VARVE_CONFIG=%s", path);
    ck_load(&config, NO_ARGS, ENV(variable));
    ck_assert_str_eq(config.data_dir, "file");
    ck_load(&config, ARGS("--config", "/dev/null"), ENV(variable));
    ck_assert_str_eq(config.data_dir, "data");
    tmpdir_remove(&dir);
}
END_TEST

START_TEST(files)
{
    struct tmpdir dir = {0};
    struct service_config config;
    static const char text[] = "# comment = 1\n; comment = 2\n\n  \t\n"
                               "   data_dir   =   a b   \r\n"
                               "\tlog_level=debug ; behind\n"
                               "listen = [::1]:7070\n"
                               "max_connections: 5\n"
                               "sync = false";
    tmpdir_make(&dir);
    char *path = make_file(&dir, text, strlen(text));
    ck_load(&config, ARGS("--config", path), NULL);
    ck_assert_str_eq(config.data_dir, "a b");
    ck_assert_int_eq(config.log_level, VARVE_LOG_DEBUG);
    ck_assert_str_eq(config.listen_host, "::1");
    ck_assert_uint_eq(config.max_connections, 5);
    ck_assert(!config.engine.sync_writes);
    tmpdir_remove(&dir);
}
END_TEST

START_TEST(refused_files)
{
    ck_file_refused(L("log_level = info\ncolour = blue\n"), "line 2: colour: there is no such");
    ck_file_refused(L("\n\nlog_level = loud\n"), "line 3: log_level: \"loud\"");
    ck_file_refused(L("log_level = info\n\nlog_level = info\n"), "line 3: log_level: it is set");
    ck_file_refused(L("log_level = info\n  log_level = debug\n"), "line 2: log_level: it is set");
    ck_file_refused(L("[http]\nlog_level = info\n"), "line 2: log_level: sections");
    ck_file_refused(L("log_level = info\nthis is no setting\n"), "line 2: not \"name = value\"");
    ck_file_refused(L("no setting\nlog_level = loud\n"), "line 1: not \"name = value\"");
    ck_file_refused(L("log_level = loud\nno setting\n"), "line 1: log_level");
    ck_file_refused(L("[http\n"), "line 1");
    ck_file_refused(L("log_level =\n"), "line 1: log_level");
    ck_file_refused(L("= info\n"), "line 1");
    ck_file_refused(L("Log_Level = info\n"), "line 1: Log_Level");
    ck_file_refused(L("log-level = info\n"), "line 1: log-level");
    ck_file_refused(L("config = x\n"), "line 1: config");
    ck_file_refused(L("log_level = in\0fo\n"), "line 1");
    struct buf text = {0};
    ck_ok(buf_append_format(&text, "log_level = info\ndata_dir = %0*d\n", 1000, 0));
    ck_file_refused(buf_slice(&text), "line 2: longer");
    buf_deinit(&text);
}
END_TEST

START_TEST(unreadable_files)
{
    struct tmpdir dir = {0};
    struct service_config config;
    struct varve_error error = {0};
    enum config_action action = CONFIG_RUN;
    tmpdir_make(&dir);
    char *path = (char *)tmpdir_path(&dir, "absent");
    ck_status(load(&config, ARGS("--config", path), NULL, &action, &error), VARVE_NOT_FOUND);
    ck_assert_str_eq(error.path, path);
    ck_status(load(&config, ARGS("--config", dir.path), NULL, &action, &error), VARVE_IO);
    ck_assert_str_eq(error.path, dir.path);
    tmpdir_remove(&dir);
}
END_TEST

/* The printed form, with no setting at its default, read back. */
START_TEST(printed_form)
{
    struct tmpdir dir = {0};
    struct service_config config, back;
    struct buf out = {0}, again = {0};
    tmpdir_make(&dir);
    ck_load(&config,
            ARGS("--listen=[::1]:1", "--insecure", "--data-dir=x y", "--http-threads=2",
                 "--log-level=error", "--log-format=json", "--max-connections=9",
                 "--max-body-bytes=1025", "--idle-timeout-ms=1500", "--body-min-rate=0",
                 "--sync=false", "--recovery-mode=strict", "--table-bytes=1G"),
            NULL);
    ck_ok(config_print(&config, &out));
    char *path = make_file(&dir, out.data, out.size);
    ck_load(&back, ARGS("--config", path), NULL);
    ck_ok(config_print(&back, &again));
    ck_bytes(buf_slice(&again), buf_slice(&out));
    ck_ok(buf_append_byte(&out, 0));
    ck_assert_ptr_nonnull(strstr((char *)out.data, "\nmax_body_bytes = 1025\n"));
    ck_assert_ptr_nonnull(strstr((char *)out.data, "\nidle_timeout_ms = 1500ms\n"));
    ck_assert_ptr_nonnull(strstr((char *)out.data, "\ntable_bytes = 1GiB\n"));
    ck_assert_ptr_nonnull(strstr((char *)out.data, "\nbody_min_rate = 0\n"));
    tmpdir_remove(&dir);
    buf_deinit(&out);
    buf_deinit(&again);
}
END_TEST

struct changes {
    unsigned taken, left;
    char text[1024];
};

static void count_change(void *context, const struct config_change *change)
{
    struct changes *changes = context;
    size_t size = strlen(changes->text);
    changes->taken += !change->needs_restart;
    changes->left += change->needs_restart;
    snprintf(changes->text + size, sizeof changes->text - size, "%s:%s>%s ", change->name,
             change->from, change->to);
}

/* What can change goes over, all else stays, and both are told. */
START_TEST(taking_over)
{
    struct service_config running, fresh;
    struct changes changes = {0};
    ck_load(&running, ARGS("--max-connections=5", "--http-threads=2"), NULL);
    ck_load(&fresh,
            ARGS("--max-connections=6", "--http-threads=3", "--log-level=error",
                 "--listen=127.0.0.1:1", "--token-file=t", "--sync=false"),
            NULL);
    config_take_over(&running, &fresh, count_change, &changes);
    ck_assert_uint_eq(running.max_connections, 6);
    ck_assert_int_eq(running.log_level, VARVE_LOG_ERROR);
    ck_assert_uint_eq(running.http_threads, 2);
    ck_assert_uint_eq(running.listen_port, 7070);
    ck_assert_str_eq(running.token_file, "");
    ck_assert(running.engine.sync_writes);
    ck_assert_uint_eq(changes.taken, 2);
    ck_assert_uint_eq(changes.left, 4);
    ck_assert_ptr_nonnull(strstr(changes.text, "max_connections:5>6 "));
    ck_assert_ptr_nonnull(strstr(changes.text, "token_file:none>t "));
    struct changes again = {0};
    config_take_over(&running, &fresh, count_change, &again);
    ck_assert_uint_eq(again.taken, 0);
    ck_assert_uint_eq(again.left, 4);
    struct service_config same = fresh;
    config_take_over(&fresh, &same, NULL, NULL);
    ck_assert(memcmp(&fresh, &same, sizeof same) == 0);
}
END_TEST

START_TEST(help)
{
    struct buf out = {0};
    ck_ok(config_help(&out));
    ck_ok(buf_append_byte(&out, 0));
    static const char *const words[] = {"--config",
                                        "--listen=127.0.0.1:7070",
                                        "--data-dir",
                                        "--log-level",
                                        "--version",
                                        "--help",
                                        "--print-config",
                                        "--check-config",
                                        "--compaction-workers=1"};
    for (size_t i = 0; i < COUNT(words); i++)
        ck_assert_msg(strstr((char *)out.data, words[i]) != NULL, "no %s", words[i]);
    buf_deinit(&out);
}
END_TEST

/* The annotated file has each setting exactly once, commented out, at its default, and no other. */
START_TEST(shipped_file)
{
    struct service_config config;
    bool seen[CONFIG_FIELD_COUNT] = {0};
    char line[256], name[64], value[128];
    FILE *file = fopen(VARVED_CONF, "r");
    ck_assert_msg(file != NULL, "%s", VARVED_CONF);
    while (fgets(line, sizeof line, file) != NULL) {
        ck_assert_msg(line[0] == '#' || line[0] == '\n', "%s", line);
        if (sscanf(line, "#%63[a-z0-9_] = %127[^\n]", name, value) != 2)
            continue;
        const struct config_field *field = config_field_find(name);
        ck_assert_msg(field != NULL, "%s", line);
        ck_assert_msg(strcmp(field->default_text, value) == 0, "%s", line);
        ck_assert_msg(!seen[field - config_fields], "%s", line);
        seen[field - config_fields] = true;
    }
    fclose(file);
    for (size_t i = 0; i < CONFIG_FIELD_COUNT; i++)
        ck_assert_msg(seen[i], "%s is not in the file", config_fields[i].name);
    ck_load(&config, ARGS("--config=" VARVED_CONF), NULL);
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"defaults", defaults},
        {"table", table},
        {"number_bounds", number_bounds},
        {"sizes_and_durations", sizes_and_durations},
        {"other_values", other_values},
        {"addresses", addresses},
        {"addresses_that_others_reach", addresses_that_others_reach},
        {"settings_that_do_not_fit_together", settings_that_do_not_fit_together},
        {"flags", flags},
        {"actions", actions},
        {"variables", variables},
        {"precedence", precedence},
        {"files", files},
        {"refused_files", refused_files},
        {"unreadable_files", unreadable_files},
        {"printed_form", printed_form},
        {"taking_over", taking_over},
        {"help", help},
        {"shipped_file", shipped_file},
    };
    return SUPPORT_RUN("config", tests);
}
