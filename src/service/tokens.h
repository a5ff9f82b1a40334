/*
 * service/tokens.h: the tokens that clients show, and what each may do. The file holds digests
 * only, so that whoever reads it learns no token:
 *
 *   # name   scopes       digest of the token, without the end of its line
 *   grafana  read         sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
 *   backup   read,admin   sha256:486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7
 *
 * A name is 1 to TOKEN_NAME_BYTES - 1 of A-Z a-z 0-9 . _ - and is what the log calls the token by.
 * Blanks part the fields; a line that begins with # is a comment. A list never changes once it is
 * made, and is thread safe.
 */
#ifndef SERVICE_TOKENS_H
#define SERVICE_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include <varve/slice.h>

#include "base/status.h"

#define TOKEN_NAME_BYTES 64u
#define TOKEN_DIGEST_BYTES 32u /* SHA-256 */

enum token_scope {
    TOKEN_READ = 1 << 0,
    TOKEN_WRITE = 1 << 1,
    TOKEN_ADMIN = 1 << 2,
};
#define TOKEN_SCOPES_ALL (TOKEN_READ | TOKEN_WRITE | TOKEN_ADMIN)

struct token {
    char name[TOKEN_NAME_BYTES];
    unsigned scopes; /* enum token_scope, or-ed */
    uint8_t digest[TOKEN_DIGEST_BYTES];
};

struct token_list;

/* Takes at least one and at most LIMIT_TOKENS tokens, each name and digest once. VARVE_INVALID,
 * with the line in `ret_error`, or VARVE_NO_MEMORY. Caller frees with token_list_free. */
MUST_CHECK enum varve_status token_list_parse(struct varve_slice text, struct token_list **ret_list,
                                              struct varve_error *ret_error);

/* The same from a file, which nobody but its owner, this user or root, may have access to. As
 * secret_file_read fails, too. */
MUST_CHECK enum varve_status token_list_load(const char *path, struct token_list **ret_list,
                                             struct varve_error *ret_error);
void token_list_free(struct token_list *list); /* takes NULL */

size_t token_list_count(const struct token_list *list);

/* The token with that text; NULL if there is none. How long it takes says nothing about how much of
 * a digest was right. */
const struct token *token_list_find(const struct token_list *list, struct varve_slice text);

/* "read", "write", "admin", "read write" and so on; static text. */
const char *token_scopes_text(unsigned scopes);

#endif
