/*
 * A token is looked for by its digest among all, without an early end. Digests of random tokens
 * could be compared in any way, for nobody can choose a token by its digest; but tokens may be
 * weaker than they should be.
 */
#include "service/tokens.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "base/buf.h"
#include "service/limits.h"
#include "service/secret_file.h"

#define DIGEST_PREFIX "sha256:"
#define FIELDS 3

struct token_list {
    size_t count;
    struct token tokens[LIMIT_TOKENS];
};

static const struct {
    const char *name;
    enum token_scope scope;
} scope_names[] = {
    {"read", TOKEN_READ},
    {"write", TOKEN_WRITE},
    {"admin", TOKEN_ADMIN},
};

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static struct varve_slice drop(struct varve_slice s, size_t size)
{
    return varve_slice(s.data + size, s.size - size);
}

/* Takes what stands before the next `separator`, which goes too. */
static struct varve_slice take_until(struct varve_slice *rest, uint8_t separator)
{
    const uint8_t *at = rest->size > 0 ? memchr(rest->data, separator, rest->size) : NULL;
    struct varve_slice part =
        varve_slice(rest->data, at != NULL ? (size_t)(at - rest->data) : rest->size);
    *rest = drop(*rest, at != NULL ? part.size + 1 : part.size);
    return part;
}

static struct varve_slice take_field(struct varve_slice *rest)
{
    while (rest->size > 0 && is_blank(rest->data[0]))
        *rest = drop(*rest, 1);
    size_t size = 0;
    while (size < rest->size && !is_blank(rest->data[size]))
        size++;
    struct varve_slice field = varve_slice(rest->data, size);
    *rest = drop(*rest, size);
    return field;
}

/* The fields of a line; more than FIELDS count as FIELDS + 1. */
static size_t split(struct varve_slice line, struct varve_slice fields[FIELDS])
{
    for (size_t count = 0;; count++) {
        struct varve_slice field = take_field(&line);
        if (field.size == 0 || count == FIELDS)
            return field.size == 0 ? count : FIELDS + 1;
        fields[count] = field;
    }
}

/* Each of the following gives NULL, or what is wrong. */

static const char *parse_name(struct varve_slice field, char ret_name[TOKEN_NAME_BYTES])
{
    if (field.size >= TOKEN_NAME_BYTES)
        return "the name is too long";
    for (size_t i = 0; i < field.size; i++) {
        uint8_t c = field.data[i];
        bool fits = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                    c == '.' || c == '_' || c == '-';
        if (!fits)
            return "a name is made of A-Z a-z 0-9 . _ -";
    }
    memcpy(ret_name, field.data, field.size);
    ret_name[field.size] = '\0';
    return NULL;
}

static unsigned scope_find(struct varve_slice name)
{
    for (size_t i = 0; i < sizeof scope_names / sizeof scope_names[0]; i++) {
        if (varve_slice_compare(name, varve_slice_str(scope_names[i].name)) == 0)
            return scope_names[i].scope;
    }
    return 0;
}

static const char *parse_scopes(struct varve_slice field, unsigned *ret_scopes)
{
    unsigned scopes = 0;
    bool more = true;
    while (more) {
        size_t size = field.size;
        struct varve_slice name = take_until(&field, ',');
        more = name.size < size;
        unsigned scope = scope_find(name);
        if (scope == 0 || (scopes & scope) != 0)
            return "scopes are read, write and admin, each once, with commas between them";
        scopes |= scope;
    }
    *ret_scopes = scopes;
    return NULL;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What stands in a file if the program that was to make the token failed. */
static bool is_digest_of_nothing(const uint8_t digest[TOKEN_DIGEST_BYTES])
{
    uint8_t nothing[TOKEN_DIGEST_BYTES];
    return gnutls_hash_fast(GNUTLS_DIG_SHA256, "", 0, nothing) == 0 &&
           memcmp(digest, nothing, sizeof nothing) == 0;
}

static const char *parse_digest(struct varve_slice field, uint8_t ret_digest[TOKEN_DIGEST_BYTES])
{
    static const char wrong[] = "a digest is sha256: and 64 hexadecimal digits";
    size_t prefix = strlen(DIGEST_PREFIX);
    if (field.size != prefix + 2 * (size_t)TOKEN_DIGEST_BYTES ||
        memcmp(field.data, DIGEST_PREFIX, prefix) != 0)
        return wrong;
    for (size_t i = 0; i < TOKEN_DIGEST_BYTES; i++) {
        int high = hex_digit(field.data[prefix + 2 * i]);
        int low = hex_digit(field.data[prefix + 2 * i + 1]);
        if (high < 0 || low < 0)
            return wrong;
        ret_digest[i] = (uint8_t)(high << 4 | low);
    }
    return is_digest_of_nothing(ret_digest) ? "the digest is that of an empty token" : NULL;
}

static const char *parse_token(const struct varve_slice fields[FIELDS], struct token *ret_token)
{
    struct token token = {0};
    const char *wrong = parse_name(fields[0], token.name);
    if (wrong == NULL)
        wrong = parse_scopes(fields[1], &token.scopes);
    if (wrong == NULL)
        wrong = parse_digest(fields[2], token.digest);
    if (wrong == NULL)
        *ret_token = token;
    return wrong;
}

static const char *add_token(struct token_list *list, const struct token *token)
{
    if (list->count == LIMIT_TOKENS)
        return "there are too many tokens";
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->tokens[i].name, token->name) == 0)
            return "an earlier token has the same name";
        if (memcmp(list->tokens[i].digest, token->digest, TOKEN_DIGEST_BYTES) == 0)
            return "an earlier token has the same digest";
    }
    list->tokens[list->count++] = *token;
    return NULL;
}

static const char *take_line(struct token_list *list, struct varve_slice line)
{
    struct varve_slice fields[FIELDS];
    struct token token = {0};
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    size_t count = split(line, fields);
    if (count == 0 || fields[0].data[0] == '#')
        return NULL;
    if (count != FIELDS)
        return "a token is a name, its scopes and a digest";
    const char *wrong = parse_token(fields, &token);
    return wrong != NULL ? wrong : add_token(list, &token);
}

enum varve_status token_list_parse(struct varve_slice text, struct token_list **ret_list,
                                   struct varve_error *ret_error)
{
    struct token_list *list = calloc(1, sizeof *list);
    if (list == NULL)
        return error_set(ret_error, VARVE_NO_MEMORY, NULL, STATUS_NO_OFFSET, "out of memory");
    enum varve_status status = VARVE_OK;
    for (unsigned number = 1; status == VARVE_OK && text.size > 0; number++) {
        const char *wrong = take_line(list, take_until(&text, '\n'));
        if (wrong != NULL)
            status = error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET, "line %u: %s",
                               number, wrong);
    }
    if (status == VARVE_OK && list->count == 0)
        status = error_set(ret_error, VARVE_INVALID, NULL, STATUS_NO_OFFSET, "holds no token");
    if (status != VARVE_OK) {
        token_list_free(list);
        return status;
    }
    *ret_list = list;
    return VARVE_OK;
}

enum varve_status token_list_load(const char *path, struct token_list **ret_list,
                                  struct varve_error *ret_error)
{
    struct buf text = {0};
    struct varve_error error = {0};
    enum varve_status status =
        secret_file_read(path, SECRET_FILE_PRIVATE, LIMIT_TOKEN_FILE_BYTES, &text, ret_error);
    if (status == VARVE_OK) {
        status = token_list_parse(buf_slice(&text), ret_list, &error);
        if (status != VARVE_OK)
            (void)error_set(ret_error, status, path, STATUS_NO_OFFSET, "%s", error.text);
    }
    buf_deinit(&text);
    return status;
}

void token_list_free(struct token_list *list)
{
    free(list);
}

size_t token_list_count(const struct token_list *list)
{
    return list->count;
}

const struct token *token_list_find(const struct token_list *list, struct varve_slice text)
{
    uint8_t digest[TOKEN_DIGEST_BYTES];
    const struct token *found = NULL;
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, text.data, text.size, digest) != 0)
        return NULL;
    for (size_t i = 0; i < list->count; i++) {
        if (gnutls_memcmp(list->tokens[i].digest, digest, sizeof digest) == 0)
            found = &list->tokens[i];
    }
    return found;
}

const char *token_scopes_text(unsigned scopes)
{
    static const char *const texts[TOKEN_SCOPES_ALL + 1] = {
        [TOKEN_READ] = "read",
        [TOKEN_WRITE] = "write",
        [TOKEN_ADMIN] = "admin",
        [TOKEN_READ | TOKEN_WRITE] = "read write",
        [TOKEN_READ | TOKEN_ADMIN] = "read admin",
        [TOKEN_WRITE | TOKEN_ADMIN] = "write admin",
        [TOKEN_SCOPES_ALL] = "read write admin",
    };
    const char *text = texts[scopes & TOKEN_SCOPES_ALL];
    return text != NULL ? text : "";
}
