/*
 * service/access.h: whether a request may have what it asks for, by its Authorization field
 * (RFC 6750). On any status but VARVE_OK `ret_problem` says all. Thread safe.
 */
#ifndef SERVICE_ACCESS_H
#define SERVICE_ACCESS_H

#include "base/status.h"
#include "service/headers.h"
#include "service/problem.h"
#include "service/tokens.h"

/* Who asks. A zeroed one may do nothing. */
struct access {
    unsigned scopes;             /* enum token_scope, or-ed */
    char name[TOKEN_NAME_BYTES]; /* of the token; empty where there are no tokens */
};

/* `tokens` NULL: everybody may do everything. Else the token that the request shows; 401 where it
 * shows none (unauthorized) or one that is not in the list (invalid_token). */
MUST_CHECK enum varve_status access_identify(const struct token_list *tokens,
                                             const struct header *headers, size_t count,
                                             struct access *ret_access,
                                             struct problem *ret_problem);

/* 403 insufficient_scope unless it has one of `scopes`. */
MUST_CHECK enum varve_status access_require(const struct access *access, unsigned scopes,
                                            struct problem *ret_problem);

#endif
