/*
 * A scheme other than Bearer counts as no token at all, as RFC 6750 has it. Nothing of a token gets
 * into a problem or into the log.
 */
#include "service/access.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SCHEME "Bearer"
#define CHALLENGE SCHEME " realm=\"varve\""

static const char *insufficient_challenge(unsigned scopes)
{
#define INSUFFICIENT(scope) CHALLENGE ", error=\"insufficient_scope\", scope=\"" scope "\""
    switch (scopes) {
    case TOKEN_READ:
        return INSUFFICIENT("read");
    case TOKEN_WRITE:
        return INSUFFICIENT("write");
    case TOKEN_ADMIN:
        return INSUFFICIENT("admin");
    default:
        return CHALLENGE ", error=\"insufficient_scope\"";
    }
#undef INSUFFICIENT
}

static enum varve_status refuse(struct problem *ret_problem, enum problem_code code,
                                const char *challenge, const char *detail)
{
    enum varve_status status = problem_set(ret_problem, code, "%s", detail);
    ret_problem->challenge = challenge;
    return status;
}

/* False if another scheme is used, or no token stands behind it. */
static bool find_token(struct varve_slice value, struct varve_slice *ret_token)
{
    size_t size = strlen(SCHEME);
    if (value.size < size || strncasecmp((const char *)value.data, SCHEME, size) != 0 ||
        (value.size > size && value.data[size] != ' '))
        return false;
    while (size < value.size && value.data[size] == ' ')
        size++;
    *ret_token = varve_slice(value.data + size, value.size - size);
    return ret_token->size > 0;
}

enum varve_status access_identify(const struct token_list *tokens, const struct header *headers,
                                  size_t count, struct access *ret_access,
                                  struct problem *ret_problem)
{
    if (tokens == NULL) {
        *ret_access = (struct access){.scopes = TOKEN_SCOPES_ALL};
        return VARVE_OK;
    }
    const struct header *field = header_find(headers, count, "Authorization");
    struct varve_slice text = {0};
    if (field == NULL || !find_token(field->value, &text))
        return refuse(ret_problem, PROBLEM_UNAUTHORIZED, CHALLENGE,
                      "send Authorization: Bearer with a token");
    const struct token *token = token_list_find(tokens, text);
    if (token == NULL)
        return refuse(ret_problem, PROBLEM_INVALID_TOKEN, CHALLENGE ", error=\"invalid_token\"",
                      "the token is not one that this server knows");
    ret_access->scopes = token->scopes;
    memcpy(ret_access->name, token->name, sizeof ret_access->name);
    return VARVE_OK;
}

enum varve_status access_require(const struct access *access, unsigned scopes,
                                 struct problem *ret_problem)
{
    if ((access->scopes & scopes) != 0)
        return VARVE_OK;
    char detail[96];
    snprintf(detail, sizeof detail, "this takes a token with the scope %s",
             scopes == (TOKEN_READ | TOKEN_WRITE) ? "read or write" : token_scopes_text(scopes));
    return refuse(ret_problem, PROBLEM_INSUFFICIENT_SCOPE, insufficient_challenge(scopes), detail);
}
