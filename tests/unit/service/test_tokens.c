/* The token file, whoever wrote it, and what a token opens. */
#include "service/tokens.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/access.h"
#include "service/limits.h"
#include "support.h"
#include "tmpdir.h"

/* SHA-256 of "one" and of "two". */
#define ONE "sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
#define TWO "sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"
#define DIGEST_TEXT_BYTES (sizeof ONE - 1)

static struct token_list *ck_parse(struct varve_slice text)
{
    struct token_list *list = NULL;
    struct varve_error error = {0};
    struct varve_slice exact;
    uint8_t *copy = exact_copy(text, &exact);
    enum varve_status status = token_list_parse(exact, &list, &error);
    ck_assert_msg(status == VARVE_OK, "%s", error.text);
    free(copy);
    return list;
}

static void ck_refused(struct varve_slice text, const char *word)
{
    struct token_list *list = NULL;
    struct varve_error error = {0};
    struct varve_slice exact;
    uint8_t *copy = exact_copy(text, &exact);
    ck_status(token_list_parse(exact, &list, &error), VARVE_INVALID);
    ck_assert_msg(strstr(error.text, word) != NULL, "\"%s\" does not mention \"%s\"", error.text,
                  word);
    ck_assert_ptr_null(list);
    ck_status(token_list_parse(exact, &list, NULL), VARVE_INVALID);
    free(copy);
}

START_TEST(tokens_are_found_by_their_text)
{
    struct token_list *list =
        ck_parse(L("# a comment, " ONE "\n\n \t \n  a-1._Z \t read,write   " ONE " \r\n\t# more\n"
                   "b admin " TWO));
    ck_assert_uint_eq(token_list_count(list), 2);
    const struct token *one = token_list_find(list, L("one")),
                       *two = token_list_find(list, L("two"));
    ck_assert_ptr_nonnull(one);
    ck_assert_ptr_nonnull(two);
    ck_assert_str_eq(one->name, "a-1._Z");
    ck_assert_uint_eq(one->scopes, TOKEN_READ | TOKEN_WRITE);
    ck_assert_str_eq(two->name, "b");
    ck_assert_uint_eq(two->scopes, TOKEN_ADMIN);
    static const struct varve_slice unknown[] = {
        {(const uint8_t *)"", 0},
        {(const uint8_t *)"One", 3},
        {(const uint8_t *)"one ", 4},
        {(const uint8_t *)"one\n", 4},
        {(const uint8_t *)"one\0", 4},
        {(const uint8_t *)"on", 2},
        {(const uint8_t *)ONE, DIGEST_TEXT_BYTES},
    };
    for (size_t i = 0; i < COUNT(unknown); i++)
        ck_assert_ptr_null(token_list_find(list, unknown[i]));
    token_list_free(list);
}
END_TEST

START_TEST(digests_in_capitals)
{
    char line[] = "a read " ONE;
    for (char *at = line + strlen("a read sha256:"); *at != '\0'; at++)
        *at = (char)(*at >= 'a' ? *at - 'a' + 'A' : *at);
    struct token_list *list = ck_parse(varve_slice_str(line));
    ck_assert_ptr_nonnull(token_list_find(list, L("one")));
    token_list_free(list);
}
END_TEST

START_TEST(bad_lines_are_named)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"", "no token"},
        {"\n\n# none\n", "no token"},
        {"a", "line 1: a token is"},
        {"\n#\na read", "line 3: a token is"},
        {"a read " ONE " x", "line 1: a token is"},
        {"a read " ONE " # x", "line 1: a token is"},
        {"a read,write" ONE, "line 1: a token is"},
        {"a read one", "64 hexadecimal"},
        {"a read " ONE "0", "64 hexadecimal"},
        {"a read sha256:", "64 hexadecimal"},
        {"a read SHA256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
         "64 hexadecimal"},
        {"a read sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431e",
         "64 hexadecimal"},
        {"a read sha256:g692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
         "64 hexadecimal"},
        {"a read sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431e:",
         "64 hexadecimal"},
        {"a read sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
         "an empty token"},
        {"a Read " ONE, "scopes"},
        {"a read, " ONE, "scopes"},
        {"a ,read " ONE, "scopes"},
        {"a , " ONE, "scopes"},
        {"a read,,write " ONE, "scopes"},
        {"a read,read " ONE, "scopes"},
        {"a reader " ONE, "scopes"},
        {"a* read " ONE, "a name is"},
        {"\xc3\xa9 read " ONE, "a name is"},
        {"a read " ONE "\na write " TWO, "line 2: an earlier token has the same name"},
        {"a read " ONE "\nb write " ONE, "line 2: an earlier token has the same digest"},
        {"a read " ONE "\rb read " TWO, "line 1:"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        ck_refused(varve_slice_str(cases[i].text), cases[i].word);
    ck_refused(L("a\0 read " ONE), "a name is");
    ck_refused(L("a re\0ad " ONE), "scopes");
}
END_TEST

START_TEST(limits)
{
    static char text[LIMIT_TOKENS * 100 + 200];
    char name[TOKEN_NAME_BYTES + 8];
    snprintf(name, sizeof name, "%0*d", (int)TOKEN_NAME_BYTES - 1, 0);
    snprintf(text, sizeof text, "%s read " ONE, name);
    token_list_free(ck_parse(varve_slice_str(text)));
    snprintf(text, sizeof text, "0%s read " ONE, name);
    ck_refused(varve_slice_str(text), "too long");

    size_t size = 0;
    for (unsigned i = 0; i < LIMIT_TOKENS; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "t%u read sha256:%064x\n", i, i);
    struct token_list *list = ck_parse(varve_slice(text, size));
    ck_assert_uint_eq(token_list_count(list), LIMIT_TOKENS);
    token_list_free(list);
    snprintf(text + size, sizeof text - size, "more read " ONE);
    ck_refused(varve_slice_str(text), "too many");
}
END_TEST

/* Any byte in the place of any other one: never a crash, never a token that is not there. */
START_TEST(altered_files)
{
    static const char good[] = "a read,write " ONE "\nb admin " TWO "\n";
    for (size_t at = 0; at < sizeof good - 1; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            char text[sizeof good];
            memcpy(text, good, sizeof good);
            text[at] = (char)byte;
            struct varve_slice exact;
            uint8_t *copy = exact_copy(varve_slice(text, sizeof good - 1), &exact);
            struct token_list *list = NULL;
            if (token_list_parse(exact, &list, NULL) == VARVE_OK) {
                const struct token *two = token_list_find(list, L("two"));
                const struct token *one = token_list_find(list, L("one"));
                ck_assert(two == NULL || two->scopes == TOKEN_ADMIN);
                ck_assert(one == NULL || one->scopes == (TOKEN_READ | TOKEN_WRITE));
                ck_assert(one != NULL || two != NULL);
                token_list_free(list);
            }
            free(copy);
        }
    }
    for (size_t size = 0; size < sizeof good - 1; size++) {
        struct token_list *list = NULL;
        if (token_list_parse(varve_slice(good, size), &list, NULL) == VARVE_OK)
            ck_assert_ptr_nonnull(token_list_find(list, L("one")));
        token_list_free(list);
    }
}
END_TEST

static enum varve_status load(const char *path, struct varve_error *ret_error)
{
    struct token_list *list = NULL;
    *ret_error = (struct varve_error){0};
    enum varve_status status = token_list_load(path, &list, ret_error);
    token_list_free(list);
    return status;
}

static void write_file(const char *path, struct varve_slice content)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(content.data, 1, content.size, file), content.size);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(files)
{
    static const struct {
        unsigned mode;
        bool is_good;
    } modes[] = {{0600, true},  {0400, true},  {0640, false}, {0604, false},
                 {0620, false}, {0601, false}, {0644, false}, {0666, false}};
    struct tmpdir dir = {0};
    struct varve_error error = {0};
    tmpdir_make(&dir);
    char path[TMPDIR_PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s", tmpdir_path(&dir, "tokens"));
    ck_status(load(path, &error), VARVE_NOT_FOUND);
    ck_assert_str_eq(error.path, path);
    write_file(path, L("a read " ONE "\n"));
    for (size_t i = 0; i < COUNT(modes); i++) {
        ck_assert_int_eq(chmod(path, modes[i].mode), 0);
        ck_status(load(path, &error), modes[i].is_good ? VARVE_OK : VARVE_INVALID);
        ck_assert(modes[i].is_good || strstr(error.text, "0600") != NULL);
    }
    ck_assert_int_eq(chmod(path, 0600), 0);
    write_file(path, L("a read nothing\n"));
    ck_status(load(path, &error), VARVE_INVALID);
    ck_assert_str_eq(error.path, path);
    ck_assert_ptr_nonnull(strstr(error.text, "line 1"));
    ck_status(load(dir.path, &error), VARVE_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "regular"));

    const char *pipe_path = tmpdir_path(&dir, "pipe");
    ck_assert_int_eq(mkfifo(pipe_path, 0600), 0);
    ck_status(load(pipe_path, &error), VARVE_INVALID);

    ck_assert_int_eq(truncate(path, LIMIT_TOKEN_FILE_BYTES + 1), 0);
    ck_status(load(path, &error), VARVE_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "larger"));
    tmpdir_remove(&dir);
}
END_TEST

/* Only root can give a file away. */
START_TEST(file_of_somebody_else)
{
    struct tmpdir dir = {0};
    struct varve_error error = {0};
    if (geteuid() != 0)
        return;
    tmpdir_make(&dir);
    const char *path = tmpdir_path(&dir, "tokens");
    write_file(path, L("a read " ONE "\n"));
    ck_assert_int_eq(chmod(path, 0600), 0);
    ck_assert_int_eq(chown(path, 1, 0), 0);
    ck_status(load(path, &error), VARVE_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "belongs to user 1"));
    tmpdir_remove(&dir);
}
END_TEST

static enum varve_status identify(const struct token_list *tokens, const char *authorization,
                                  struct access *ret_access, struct problem *ret_problem)
{
    struct header headers[] = {
        {L("Host"), L("a")},
        {L("aUTHORIZATION"), varve_slice_str(authorization != NULL ? authorization : "")},
    };
    return access_identify(tokens, headers, authorization != NULL ? 2 : 1, ret_access, ret_problem);
}

START_TEST(authorization)
{
    struct token_list *list = ck_parse(L("a read " ONE "\nb write,admin " TWO));
    static const char *const good[] = {"Bearer one", "bearer one", "BEARER   one"};
    static const char *const missing[] = {NULL,        "",    "Basic b25l",        "Bearerone",
                                          "Beare one", "one", "Digest Bearer one", "Bearer",
                                          "Bearer "};
    static const char *const invalid[] = {"Bearer One", "Bearer one ", "Bearer one two",
                                          "Bearer \"one\"", ("Bearer\x20" ONE)};
    struct problem problem = {0};
    for (size_t i = 0; i < COUNT(good); i++) {
        struct access access = {0};
        ck_ok(identify(list, good[i], &access, &problem));
        ck_assert_str_eq(access.name, "a");
        ck_assert_uint_eq(access.scopes, TOKEN_READ);
    }
    for (size_t i = 0; i < COUNT(missing); i++) {
        struct access access = {0};
        ck_status(identify(list, missing[i], &access, &problem), VARVE_INVALID);
        ck_assert_str_eq(problem.challenge, "Bearer realm=\"varve\"");
        ck_assert_uint_eq(access.scopes, 0);
        ck_problem(&problem, PROBLEM_UNAUTHORIZED, "Bearer");
    }
    for (size_t i = 0; i < COUNT(invalid); i++) {
        struct access access = {0};
        ck_status(identify(list, invalid[i], &access, &problem), VARVE_INVALID);
        ck_assert_str_eq(problem.challenge, "Bearer realm=\"varve\", error=\"invalid_token\"");
        ck_assert_uint_eq(access.scopes, 0);
        ck_problem(&problem, PROBLEM_INVALID_TOKEN, NULL);
    }
    token_list_free(list);
}
END_TEST

START_TEST(scopes)
{
    struct problem problem = {0};
    struct access all = {0};
    ck_ok(identify(NULL, NULL, &all, &problem));
    ck_assert_str_eq(all.name, "");
    for (unsigned has = 0; has <= TOKEN_SCOPES_ALL; has++) {
        struct access access = {.scopes = has};
        for (unsigned wanted = 1; wanted <= TOKEN_SCOPES_ALL; wanted++) {
            ck_ok(access_require(&all, wanted, &problem));
            enum varve_status status = access_require(&access, wanted, &problem);
            ck_status(status, (has & wanted) != 0 ? VARVE_OK : VARVE_INVALID);
            if (status != VARVE_OK) {
                ck_assert_ptr_nonnull(strstr(problem.challenge, "error=\"insufficient_scope\""));
                ck_problem(&problem, PROBLEM_INSUFFICIENT_SCOPE, "scope");
            }
        }
    }
    struct access none = {0};
    ck_status(access_require(&none, TOKEN_ADMIN, &problem), VARVE_INVALID);
    ck_assert_ptr_nonnull(strstr(problem.challenge, "scope=\"admin\""));
    ck_problem(&problem, PROBLEM_INSUFFICIENT_SCOPE, "admin");
    ck_status(access_require(&none, TOKEN_READ | TOKEN_WRITE, &problem), VARVE_INVALID);
    ck_problem(&problem, PROBLEM_INSUFFICIENT_SCOPE, "read or write");
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"tokens_are_found_by_their_text", tokens_are_found_by_their_text},
        {"digests_in_capitals", digests_in_capitals},
        {"bad_lines_are_named", bad_lines_are_named},
        {"limits", limits},
        {"altered_files", altered_files},
        {"files", files},
        {"file_of_somebody_else", file_of_somebody_else},
        {"authorization", authorization},
        {"scopes", scopes},
    };
    return SUPPORT_RUN("tokens", tests);
}
