/*
 * The sources are applied one after the other, the weaker first: defaults, file, environment,
 * flags. Only where the file is must be known before. libinih splits the file into names and
 * values; the lines are read for it here, so that an overlong line is an error instead of two
 * lines, and an indented one is a line of its own instead of a continuation.
 */
#include "service/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <ini.h>

#include "service/config_table.h"

#define NAME_BYTES 64u /* of a setting with its NUL; no name is as long */
#define ENVIRONMENT_PREFIX "VARVE_"

struct loader {
    struct service_config config;
    const char *path; /* of the file; NULL: none */
    enum config_action action;
    struct varve_error *error; /* may be NULL */
};

/* A file on its way through libinih. */
struct file_reader {
    struct loader *loader;
    FILE *file;
    int line;
    enum varve_status status; /* the first error, which has been reported */
    bool seen[CONFIG_FIELD_COUNT];
};

/* --log-level as log_level; cut if too long, then it is no setting's name. */
static void flag_setting_name(const char *text, size_t size, char *ret_name)
{
    if (size >= NAME_BYTES)
        size = NAME_BYTES - 1;
    for (size_t i = 0; i < size; i++)
        ret_name[i] = (char)(text[i] == '-' ? '_' : text[i]);
    ret_name[size] = '\0';
}

/* VARVE_LOG_LEVEL as log_level; anything but upper case is no setting's name. */
static void variable_setting_name(const char *text, size_t size, char *ret_name)
{
    if (size >= NAME_BYTES)
        size = NAME_BYTES - 1;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool fits = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        ret_name[i] = (char)(!fits ? '?' : c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    ret_name[size] = '\0';
}

static enum varve_status refuse(struct loader *loader, const char *source, const char *name,
                                size_t name_size, const char *reason)
{
    int shown = name_size < NAME_BYTES ? (int)name_size : (int)NAME_BYTES;
    return error_set(loader->error, VARVE_INVALID, NULL, STATUS_NO_OFFSET, "%s%.*s: %s", source,
                     shown, name, reason);
}

/* ---- file ---- */

static char *read_line(char *line, int size, void *context)
{
    struct file_reader *reader = context;
    if (reader->status != VARVE_OK || fgets(line, size, reader->file) == NULL)
        return NULL;
    reader->line++;
    if (strchr(line, '\n') == NULL && !feof(reader->file)) {
        reader->status =
            error_set(reader->loader->error, VARVE_INVALID, reader->loader->path, STATUS_NO_OFFSET,
                      "line %d: longer than %d characters, or with a NUL", reader->line, size - 2);
        return NULL;
    }
    size_t blanks = strspn(line, " \t");
    memmove(line, line + blanks, strlen(line + blanks) + 1);
    return line;
}

static const char *set_from_file(struct file_reader *reader, const char *section, const char *name,
                                 const char *value, char *reason)
{
    const struct config_field *field = config_field_find(name);
    if (section[0] != '\0')
        return "sections are not used here";
    if (field == NULL)
        return "there is no such setting";
    if (reader->seen[field - config_fields])
        return "it is set twice";
    reader->seen[field - config_fields] = true;
    return config_field_set(field, &reader->loader->config, value, reason) ? NULL : reason;
}

static int handle_setting(void *context, const char *section, const char *name, const char *value)
{
    struct file_reader *reader = context;
    char reason[CONFIG_REASON_BYTES];
    if (reader->status != VARVE_OK)
        return 0;
    const char *error = set_from_file(reader, section, name, value, reason);
    if (error != NULL)
        reader->status =
            error_set(reader->loader->error, VARVE_INVALID, reader->loader->path, STATUS_NO_OFFSET,
                      "line %d: %.64s: %s", reader->line, name, error);
    return error == NULL;
}

static enum varve_status load_file(struct loader *loader)
{
    struct file_reader reader = {.loader = loader, .file = fopen(loader->path, "re")};
    if (reader.file == NULL)
        return error_set(loader->error, errno == ENOENT ? VARVE_NOT_FOUND : VARVE_IO, loader->path,
                         STATUS_NO_OFFSET, "the configuration cannot be read: %s", strerror(errno));
    int bad_line = ini_parse_stream(read_line, &reader, handle_setting, &reader);
    if (ferror(reader.file))
        reader.status = error_set(loader->error, VARVE_IO, loader->path, STATUS_NO_OFFSET,
                                  "the configuration cannot be read");
    else if (bad_line > 0 && (reader.status == VARVE_OK || bad_line < reader.line))
        reader.status = error_set(loader->error, VARVE_INVALID, loader->path, STATUS_NO_OFFSET,
                                  "line %d: not \"name = value\"", bad_line);
    else if (bad_line < 0)
        reader.status = error_set(loader->error, VARVE_NO_MEMORY, loader->path, STATUS_NO_OFFSET,
                                  "the configuration cannot be read");
    fclose(reader.file);
    return reader.status;
}

/* ---- environment ---- */

static enum varve_status load_variable(struct loader *loader, const char *variable)
{
    char name[NAME_BYTES], reason[CONFIG_REASON_BYTES];
    size_t size = strcspn(variable, "="), prefix = strlen(ENVIRONMENT_PREFIX);
    variable_setting_name(variable + prefix, size - prefix, name);
    if (strcmp(name, "config") == 0)
        return VARVE_OK;
    const struct config_field *field = config_field_find(name);
    const char *value = variable[size] == '=' ? variable + size + 1 : "";
    if (field == NULL)
        return refuse(loader, "environment: ", variable, size, "there is no such setting");
    if (!config_field_set(field, &loader->config, value, reason))
        return refuse(loader, "environment: ", variable, size, reason);
    return VARVE_OK;
}

static enum varve_status load_environment(struct loader *loader, char *const *environment)
{
    enum varve_status status = VARVE_OK;
    for (; environment != NULL && *environment != NULL && status == VARVE_OK; environment++) {
        if (strncmp(*environment, ENVIRONMENT_PREFIX, strlen(ENVIRONMENT_PREFIX)) == 0)
            status = load_variable(loader, *environment);
    }
    return status;
}

/* ---- flags ---- */

struct flag {
    const char *text; /* as it was given */
    size_t text_size; /* without its value */
    char name[NAME_BYTES];
    const char *value; /* NULL: none */
};

static const struct {
    const char *name;
    enum config_action action;
} action_flags[] = {
    {"print_config", CONFIG_PRINT},
    {"check_config", CONFIG_CHECK},
    {"version", CONFIG_VERSION},
    {"help", CONFIG_HELP},
};

static bool find_action(const char *name, enum config_action *ret_action)
{
    for (size_t i = 0; i < sizeof action_flags / sizeof action_flags[0]; i++) {
        if (strcmp(name, action_flags[i].name) == 0) {
            *ret_action = action_flags[i].action;
            return true;
        }
    }
    return false;
}

/* The flag at `*at`, which is left on the last argument that it takes. */
static enum varve_status read_flag(struct loader *loader, int count, char *const *arguments,
                                   int *at, struct flag *ret_flag)
{
    const char *text = arguments[*at];
    struct flag flag = {.text = text, .text_size = strcspn(text, "=")};
    if (strncmp(text, "--", 2) != 0)
        return refuse(loader, "", text, strlen(text), "an argument that is no flag");
    flag_setting_name(text + 2, flag.text_size - 2, flag.name);
    if (text[flag.text_size] == '=')
        flag.value = text + flag.text_size + 1;

    enum config_action action;
    const struct config_field *field = config_field_find(flag.name);
    if (find_action(flag.name, &action)) {
        if (flag.value != NULL)
            return refuse(loader, "", text, flag.text_size, "it takes no value");
    } else if (field == NULL && strcmp(flag.name, "config") != 0) {
        return refuse(loader, "", text, flag.text_size, "there is no such flag");
    } else if (flag.value == NULL && field != NULL && field->kind == CONFIG_BOOL) {
        flag.value = "true";
    } else if (flag.value == NULL) {
        if (*at + 1 >= count)
            return refuse(loader, "", text, flag.text_size, "it needs a value");
        flag.value = arguments[++*at];
    }
    *ret_flag = flag;
    return VARVE_OK;
}

/* The flags that are no settings: what to do, and which file. */
static enum varve_status scan_flags(struct loader *loader, int count, char *const *arguments)
{
    for (int at = 1; at < count; at++) {
        struct flag flag = {0};
        enum varve_status status = read_flag(loader, count, arguments, &at, &flag);
        if (status != VARVE_OK)
            return status;
        if (strcmp(flag.name, "config") == 0)
            loader->path = flag.value;
        (void)find_action(flag.name, &loader->action);
    }
    return VARVE_OK;
}

static enum varve_status load_flags(struct loader *loader, int count, char *const *arguments)
{
    for (int at = 1; at < count; at++) {
        struct flag flag = {0};
        char reason[CONFIG_REASON_BYTES];
        enum varve_status status = read_flag(loader, count, arguments, &at, &flag);
        if (status != VARVE_OK)
            return status;
        const struct config_field *field = config_field_find(flag.name);
        if (field != NULL && !config_field_set(field, &loader->config, flag.value, reason))
            return refuse(loader, "", flag.text, flag.text_size, reason);
    }
    return VARVE_OK;
}

/* ---- all together ---- */

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static enum varve_status check_together(const struct service_config *config,
                                        struct varve_error *ret_error)
{
    if ((config->tls_cert_file[0] != '\0') != (config->tls_key_file[0] != '\0'))
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "tls_cert_file and tls_key_file: there is only one of them");
    if (!config_allows_others(config) && !is_loopback(config->listen_host))
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "listen: %s is not a loopback address; that takes a token_file and TLS "
                         "(tls_cert_file, tls_key_file), or insecure to do without",
                         config->listen_host);
    if (config->bodies_in_flight_bytes < config->max_body_bytes)
        return error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET,
                         "bodies_in_flight_bytes: it is less than max_body_bytes");
    return varve_options_check(&config->engine, ret_error);
}

static const char *find_variable(char *const *environment, const char *name)
{
    size_t size = strlen(name);
    for (; environment != NULL && *environment != NULL; environment++) {
        if (strncmp(*environment, name, size) == 0 && (*environment)[size] == '=')
            return *environment + size + 1;
    }
    return NULL;
}

/* True, with the action, if there is a flag beside which nothing else counts. */
static bool find_information_flag(int count, char *const *arguments, enum config_action *ret_action)
{
    for (int at = 1; at < count; at++) {
        bool help = strcmp(arguments[at], "--help") == 0;
        if (help || strcmp(arguments[at], "--version") == 0) {
            *ret_action = help ? CONFIG_HELP : CONFIG_VERSION;
            return true;
        }
    }
    return false;
}

enum varve_status config_load(struct service_config *ret_config, int count, char *const *arguments,
                              char *const *environment, enum config_action *ret_action,
                              struct varve_error *ret_error)
{
    struct loader loader = {.action = CONFIG_RUN, .error = ret_error};
    config_init(&loader.config);
    if (!find_information_flag(count, arguments, &loader.action)) {
        loader.path = find_variable(environment, ENVIRONMENT_PREFIX "CONFIG");
        enum varve_status status = scan_flags(&loader, count, arguments);
        if (status == VARVE_OK && loader.path != NULL)
            status = load_file(&loader);
        if (status == VARVE_OK)
            status = load_environment(&loader, environment);
        if (status == VARVE_OK)
            status = load_flags(&loader, count, arguments);
        if (status == VARVE_OK)
            status = check_together(&loader.config, ret_error);
        if (status != VARVE_OK)
            return status;
    }
    *ret_config = loader.config;
    *ret_action = loader.action;
    return VARVE_OK;
}
