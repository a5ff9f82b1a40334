/*
 * What a setting is, is said once, in the table; here is how each kind is read and written. A
 * default is text like any other value and goes the same way, so a table entry that makes no sense
 * fails at the first config_init.
 */
#include "service/config.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "service/config_table.h"

#define PORT_MAX 65535u
#define NO_TEXT "none"

const struct config_field config_fields[CONFIG_FIELD_COUNT] = {
#define CONFIG_FIELD(kind, name, member, standard, least, most, choices, help)                     \
    {#name,   CONFIG_##kind, offsetof(struct service_config, member), standard, least, most,       \
     choices, help},
    CONFIG_MAP(CONFIG_FIELD)
#undef CONFIG_FIELD
};

struct unit {
    const char *text;
    uint64_t factor;
};
/* The long form of each size comes first: it is the one that is written. */
static const struct unit size_units[] = {
    {"GiB", 1u << 30}, {"G", 1u << 30}, {"MiB", 1u << 20}, {"M", 1u << 20},
    {"KiB", 1u << 10}, {"K", 1u << 10}, {"", 1},           {NULL, 0},
};
static const struct unit time_units[] = {
    {"m", 60000}, {"s", 1000}, {"ms", 1}, {"", 1}, {NULL, 0},
};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

const struct config_field *config_field_find(const char *name)
{
    for (size_t i = 0; i < CONFIG_FIELD_COUNT; i++) {
        if (strcmp(config_fields[i].name, name) == 0)
            return &config_fields[i];
    }
    return NULL;
}

bool config_field_reloads(const struct config_field *field)
{
    static const bool reloads[CONFIG_FIELD_COUNT] = {
#define CONFIG_RELOADS(name) [CONFIG_AT_##name] = true,
        CONFIG_RELOAD_MAP(CONFIG_RELOADS)
#undef CONFIG_RELOADS
    };
    return reloads[field - config_fields];
}

static bool refuse(char *ret_reason, const char *format, ...) PRINTF_LIKE(2, 3);
static bool refuse(char *ret_reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ret_reason, CONFIG_REASON_BYTES, format, args);
    va_end(args);
    return false;
}

static const struct unit *units_of(enum config_kind kind)
{
    switch (kind) {
    case CONFIG_SIZE:
    case CONFIG_BUDGET:
        return size_units;
    case CONFIG_MILLISECONDS:
        return time_units;
    default:
        return no_units;
    }
}

/* Whether "auto" is a value, which is 0. */
static bool may_be_auto(enum config_kind kind)
{
    return kind == CONFIG_THREADS || kind == CONFIG_BUDGET;
}

/* The digits at the front of `text`; gives what stands behind them, NULL if there are none or they
 * are too many. */
static const char *parse_digits(const char *text, uint64_t *ret_number)
{
    uint64_t number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
            return NULL;
    }
    *ret_number = number;
    return at > text ? at : NULL;
}

static bool parse_number(const char *text, const struct unit *units, uint64_t *ret_number)
{
    const char *unit = parse_digits(text, ret_number);
    while (unit != NULL && units->text != NULL && strcmp(unit, units->text) != 0)
        units++;
    return unit != NULL && units->text != NULL &&
           !__builtin_mul_overflow(*ret_number, units->factor, ret_number);
}

static void format_number(uint64_t number, const struct unit *units, char *ret_text)
{
    while (units->factor > 1 && (number == 0 || number % units->factor != 0))
        units++;
    const char *unit = number == 0 ? "" : units->text;
    snprintf(ret_text, CONFIG_TEXT_BYTES, "%" PRIu64 "%s", number / units->factor, unit);
}

static bool set_number(const struct config_field *field, size_t *ret_value, const char *text,
                       char *ret_reason)
{
    uint64_t number = 0;
    char least[CONFIG_TEXT_BYTES], most[CONFIG_TEXT_BYTES];
    if (may_be_auto(field->kind) && strcmp(text, "auto") == 0) {
        *ret_value = 0;
        return true;
    }
    if (parse_number(text, units_of(field->kind), &number) && number >= field->least &&
        number <= field->most) {
        *ret_value = (size_t)number;
        return true;
    }
    format_number(field->least, units_of(field->kind), least);
    format_number(field->most, units_of(field->kind), most);
    return refuse(ret_reason, "\"%.64s\" is not a %s from %.20s to %.20s%s", text,
                  units_of(field->kind) == size_units   ? "size"
                  : units_of(field->kind) == time_units ? "duration"
                                                        : "number",
                  least, most, may_be_auto(field->kind) ? ", nor auto" : "");
}

/* The place of `text` among "a|b|c". */
static bool find_choice(const char *choices, const char *text, int *ret_place)
{
    size_t size = strlen(text);
    for (int place = 0;; place++) {
        size_t end = strcspn(choices, "|");
        if (end == size && strncmp(choices, text, size) == 0) {
            *ret_place = place;
            return true;
        }
        if (choices[end] == '\0')
            return false;
        choices += end + 1;
    }
}

static void format_choice(const char *choices, int place, char *ret_text)
{
    for (; place > 0; place--)
        choices += strcspn(choices, "|") + 1;
    snprintf(ret_text, CONFIG_TEXT_BYTES, "%.*s", (int)strcspn(choices, "|"), choices);
}

/* Only what a file can say too, so that the printed form reads back the same. */
static bool set_text(char *ret_value, const char *text, char *ret_reason)
{
    size_t size = strlen(text);
    if (size == 0)
        return refuse(ret_reason, "it is empty");
    if (size >= CONFIG_TEXT_BYTES)
        return refuse(ret_reason, "it is longer than %u bytes", CONFIG_TEXT_BYTES - 1);
    for (size_t i = 0; i < size; i++) {
        if ((uint8_t)text[i] < ' ' || text[i] == 0x7f || text[i] == ';')
            return refuse(ret_reason, "it holds a control character or a ';'");
    }
    if (text[0] == ' ' || text[size - 1] == ' ')
        return refuse(ret_reason, "it begins or ends with a blank");
    memcpy(ret_value, text, size + 1);
    return true;
}

static bool is_numeric_host(const char *host, bool bracketed)
{
    struct in_addr v4;
    struct in6_addr v6;
    return bracketed ? inet_pton(AF_INET6, host, &v6) == 1 : inet_pton(AF_INET, host, &v4) == 1;
}

static bool set_address(struct service_config *config, char *ret_value, const char *text,
                        char *ret_reason)
{
    char host[CONFIG_TEXT_BYTES];
    uint64_t port = 0;
    const char *colon = strrchr(text, ':');
    size_t size = colon != NULL ? (size_t)(colon - text) : 0;
    const char *end = colon != NULL ? parse_digits(colon + 1, &port) : NULL;
    if (end == NULL || *end != '\0' || port == 0 || port > PORT_MAX || size >= sizeof host)
        return refuse(ret_reason, "\"%.64s\" is not address:port with a port from 1 to %u", text,
                      PORT_MAX);
    bool bracketed = size > 2 && text[0] == '[' && text[size - 1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(bracketed ? size - 2 : size),
             bracketed ? text + 1 : text);
    if (strcmp(host, "localhost") == 0)
        snprintf(host, sizeof host, "127.0.0.1");
    if (!is_numeric_host(host, bracketed))
        return refuse(ret_reason, "\"%.64s\" is not an IPv4 address, nor an IPv6 one in brackets",
                      host);
    if (!set_text(ret_value, text, ret_reason))
        return false;
    memcpy(config->listen_host, host, sizeof host);
    config->listen_port = (uint16_t)port;
    return true;
}

static bool set_bool(bool *ret_value, const char *text, char *ret_reason)
{
    bool is_true = strcmp(text, "true") == 0;
    if (!is_true && strcmp(text, "false") != 0)
        return refuse(ret_reason, "\"%.64s\" is not true or false", text);
    *ret_value = is_true;
    return true;
}

bool config_field_set(const struct config_field *field, struct service_config *config,
                      const char *text, char *ret_reason)
{
    void *member = (char *)config + field->offset;
    int place = 0;
    switch (field->kind) {
    case CONFIG_ADDRESS:
        return set_address(config, member, text, ret_reason);
    case CONFIG_OPTIONAL_TEXT:
        if (!set_text(member, text, ret_reason))
            return false;
        if (strcmp(text, NO_TEXT) == 0)
            *(char *)member = '\0';
        return true;
    case CONFIG_TEXT:
        return set_text(member, text, ret_reason);
    case CONFIG_BOOL:
        return set_bool(member, text, ret_reason);
    case CONFIG_COUNT:
    case CONFIG_THREADS:
    case CONFIG_SIZE:
    case CONFIG_BUDGET:
    case CONFIG_MILLISECONDS:
        return set_number(field, member, text, ret_reason);
    case CONFIG_CHOICE:
        if (!find_choice(field->choices, text, &place))
            return refuse(ret_reason, "\"%.64s\" is not one of %s", text, field->choices);
        memcpy(member, &place, sizeof place);
        return true;
    }
    return refuse(ret_reason, "its kind is unknown");
}

void config_field_format(const struct config_field *field, const struct service_config *config,
                         char *ret_text)
{
    const void *member = (const char *)config + field->offset;
    size_t number = 0;
    int place = 0;
    switch (field->kind) {
    case CONFIG_ADDRESS:
    case CONFIG_TEXT:
        snprintf(ret_text, CONFIG_TEXT_BYTES, "%s", (const char *)member);
        return;
    case CONFIG_OPTIONAL_TEXT:
        snprintf(ret_text, CONFIG_TEXT_BYTES, "%s",
                 *(const char *)member != '\0' ? (const char *)member : NO_TEXT);
        return;
    case CONFIG_BOOL:
        snprintf(ret_text, CONFIG_TEXT_BYTES, "%s", *(const bool *)member ? "true" : "false");
        return;
    case CONFIG_COUNT:
    case CONFIG_THREADS:
    case CONFIG_SIZE:
    case CONFIG_BUDGET:
    case CONFIG_MILLISECONDS:
        memcpy(&number, member, sizeof number);
        if (may_be_auto(field->kind) && number == 0)
            snprintf(ret_text, CONFIG_TEXT_BYTES, "auto");
        else
            format_number(number, units_of(field->kind), ret_text);
        return;
    case CONFIG_CHOICE:
        memcpy(&place, member, sizeof place);
        format_choice(field->choices, place, ret_text);
        return;
    }
}

void config_init(struct service_config *config)
{
    *config = (struct service_config){0};
    varve_options_init(&config->engine);
    for (size_t i = 0; i < CONFIG_FIELD_COUNT; i++) {
        char reason[CONFIG_REASON_BYTES];
        bool set =
            config_field_set(&config_fields[i], config, config_fields[i].default_text, reason);
        assert(set);
        (void)set;
    }
}

/* Values go over as texts: what is printed reads back the same. */
void config_take_over(struct service_config *running, const struct service_config *fresh,
                      config_change_fn each, void *context)
{
    for (size_t i = 0; i < CONFIG_FIELD_COUNT; i++) {
        const struct config_field *field = &config_fields[i];
        struct config_change change = {
            .name = field->name,
            .needs_restart = !config_field_reloads(field),
        };
        config_field_format(field, running, change.from);
        config_field_format(field, fresh, change.to);
        if (strcmp(change.from, change.to) == 0)
            continue;
        if (!change.needs_restart) {
            char reason[CONFIG_REASON_BYTES];
            bool set = config_field_set(field, running, change.to, reason);
            assert(set);
            (void)set;
        }
        if (each != NULL)
            each(context, &change);
    }
}

enum varve_status config_print(const struct service_config *config, struct buf *out)
{
    enum varve_status status = VARVE_OK;
    for (size_t i = 0; status == VARVE_OK && i < CONFIG_FIELD_COUNT; i++) {
        char text[CONFIG_TEXT_BYTES];
        config_field_format(&config_fields[i], config, text);
        status = buf_append_format(out, "%s = %s\n", config_fields[i].name, text);
    }
    return status;
}

enum varve_status config_help(struct buf *out)
{
    enum varve_status status =
        buf_append_format(out, "  --config=FILE\n        read settings from FILE\n"
                               "  --check-config\n        check the settings and exit\n"
                               "  --print-config\n        print all settings as a file and exit\n"
                               "  --version\n        print the version and exit\n"
                               "  --help\n        print this and exit\n\n");
    for (size_t i = 0; status == VARVE_OK && i < CONFIG_FIELD_COUNT; i++) {
        const struct config_field *field = &config_fields[i];
        char flag[64];
        snprintf(flag, sizeof flag, "%s", field->name);
        for (char *at = flag; *at != '\0'; at++)
            *at = *at == '_' ? '-' : *at;
        status = buf_append_format(out, "  --%s=%s\n        %s%s%s%s\n", flag, field->default_text,
                                   field->help, field->choices != NULL ? " (" : "",
                                   field->choices != NULL ? field->choices : "",
                                   field->choices != NULL ? ")" : "");
    }
    return status;
}

bool config_setting_at(const struct service_config *config, size_t index,
                       struct config_setting *ret_setting)
{
    if (index >= CONFIG_FIELD_COUNT)
        return false;
    const struct config_field *field = &config_fields[index];
    ret_setting->name = field->name;
    ret_setting->help = field->help;
    ret_setting->default_text = field->default_text;
    config_field_format(field, config, ret_setting->text);
    return true;
}
