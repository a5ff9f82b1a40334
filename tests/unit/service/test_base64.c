/* base64 both ways, and all that must not be taken for it. */
#include "service/base64.h"

#include <limits.h>

#include <b64/cencode.h>

#include "support.h"

typedef enum varve_status decoder(struct varve_slice text, struct buf *out);

static enum varve_status decoded_size(decoder *decode, struct varve_slice text, size_t *ret_size)
{
    struct buf out = {0};
    enum varve_status status = decode(text, &out);
    if (status == VARVE_OK)
        *ret_size = out.size;
    buf_deinit(&out);
    return status;
}

static const struct {
    const char *bytes, *text, *url;
} rfc_vectors[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xbf\xfe", "+/+//g==", "-_-__g"},
};

START_TEST(vectors)
{
    for (size_t i = 0; i < COUNT(rfc_vectors); i++) {
        struct buf out = {0};
        ck_ok(base64_encode(varve_slice_str(rfc_vectors[i].bytes), &out));
        ck_text(buf_slice(&out), rfc_vectors[i].text);
        ck_assert_uint_eq(out.size, base64_encoded_size(strlen(rfc_vectors[i].bytes)));
        buf_clear(&out);
        ck_ok(base64url_encode(varve_slice_str(rfc_vectors[i].bytes), &out));
        ck_text(buf_slice(&out), rfc_vectors[i].url);
        buf_clear(&out);
        ck_ok(base64_decode(varve_slice_str(rfc_vectors[i].text), &out));
        ck_text(buf_slice(&out), rfc_vectors[i].bytes);
        buf_clear(&out);
        ck_ok(base64url_decode(varve_slice_str(rfc_vectors[i].url), &out));
        ck_text(buf_slice(&out), rfc_vectors[i].bytes);
        buf_deinit(&out);
    }
}
END_TEST

START_TEST(padding_of_the_url_form_is_optional)
{
    static const char *const texts[] = {"Zg", "Zg==", "Zm8", "Zm8=", "Zm9v", ""};
    for (size_t i = 0; i < COUNT(texts); i++) {
        size_t size = 99;
        ck_ok(decoded_size(base64url_decode, varve_slice_str(texts[i]), &size));
        ck_assert_uint_eq(size, (strcspn(texts[i], "=") * 3) / 4);
    }
}
END_TEST

static void encode_by_libb64(struct varve_slice bytes, struct buf *out)
{
    base64_encodestate state;
    base64_init_encodestate(&state);
    state.stepcount = INT_MIN; /* no line breaks in between */
    ck_ok(buf_reserve(out, base64_encoded_size(bytes.size) + 1));
    char *at = (char *)out->data;
    at += base64_encode_block((const char *)bytes.data, (int)bytes.size, at, &state);
    at += base64_encode_blockend(at, &state);
    out->size = (size_t)(at - (char *)out->data) - 1;
}

/* All of each group's characters occur: the bytes run through all values at each place. */
START_TEST(as_libb64_writes_it)
{
    uint8_t bytes[256 * 5];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 151 + i / 256 * 89);
    for (size_t size = 0; size <= sizeof bytes; size += size < 300 ? 1 : 49) {
        struct buf text = {0}, expected = {0};
        struct varve_slice all = varve_slice(bytes + sizeof bytes - size, size);
        encode_by_libb64(all, &expected);
        ck_ok(base64_encode(all, &text));
        ck_bytes(buf_slice(&text), buf_slice(&expected));
        buf_deinit(&text);
        buf_deinit(&expected);
    }
}
END_TEST

START_TEST(every_length_comes_back)
{
    uint8_t bytes[7000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 131 + (i >> 8));
    for (size_t size = 0; size <= sizeof bytes; size += size < 400 ? 1 : 371) {
        struct buf text = {0}, back = {0};
        struct varve_slice copy = {0};
        uint8_t *memory = exact_copy(varve_slice(bytes, size), &copy);
        ck_ok(base64_encode(copy, &text));
        ck_assert_uint_eq(text.size, base64_encoded_size(size));
        ck_assert(text.size == 0 || memchr(text.data, '\n', text.size) == NULL);
        ck_ok(buf_append(&back, "head", 4));
        ck_ok(base64_decode(buf_slice(&text), &back));
        ck_bytes(varve_slice(back.data + 4, back.size - 4), copy);
        buf_clear(&text);
        buf_clear(&back);
        ck_ok(base64url_encode(copy, &text));
        ck_ok(base64url_decode(buf_slice(&text), &back));
        ck_bytes(buf_slice(&back), copy);
        free(memory);
        buf_deinit(&text);
        buf_deinit(&back);
    }
}
END_TEST

START_TEST(a_long_one_comes_back)
{
    size_t size = (12u << 20) + 1;
    struct buf bytes = {0}, text = {0}, back = {0};
    ck_ok(buf_append_zeros(&bytes, size));
    for (size_t i = 0; i < size; i++)
        bytes.data[i] = (uint8_t)(i % 251);
    ck_ok(base64_encode(buf_slice(&bytes), &text));
    ck_assert_ptr_null(memchr(text.data, '\n', text.size));
    ck_ok(base64_decode(buf_slice(&text), &back));
    ck_assert(varve_slice_compare(buf_slice(&back), buf_slice(&bytes)) == 0);
    buf_deinit(&bytes);
    buf_deinit(&text);
    buf_deinit(&back);
}
END_TEST

static const char *const never_legal[] = {
    "A",        "=",       "==",     "===",   "====", "A=",       "A==",    "A===",
    "AAA==",    "AAAA=",   "AAAA==", "AAAAA", "AA=A", "A=AA",     "=AAA",   "AAAA====",
    "AA= =",    "AAAA\n",  "AA\nA",  " AAA",  "AAA ", "AA==AA",   "AA==\n", "AAA=AAA=",
    "AAAA*AAA", "AAA\x80", "AR==",   "AAB=",  "A/==", "AA%3D%3D",
};

START_TEST(refused_texts)
{
    for (size_t i = 0; i < COUNT(never_legal); i++) {
        struct buf out = {0};
        struct varve_slice text = varve_slice_str(never_legal[i]);
        ck_ok(buf_append(&out, "head", 4));
        ck_assert_msg(base64_decode(text, &out) == VARVE_INVALID, "%s", never_legal[i]);
        ck_assert_msg(base64url_decode(text, &out) == VARVE_INVALID, "%s", never_legal[i]);
        ck_text(buf_slice(&out), "head");
        buf_deinit(&out);
    }
}
END_TEST

START_TEST(alphabets_are_apart)
{
    size_t size;
    ck_ok(decoded_size(base64_decode, L("+/+/"), &size));
    ck_status(decoded_size(base64_decode, L("-_-_"), &size), VARVE_INVALID);
    ck_ok(decoded_size(base64url_decode, L("-_-_"), &size));
    ck_status(decoded_size(base64url_decode, L("+/+/"), &size), VARVE_INVALID);
    ck_status(decoded_size(base64url_decode, L("-_+/"), &size), VARVE_INVALID);
    ck_status(decoded_size(base64_decode, L("Zg"), &size), VARVE_INVALID);
    ck_status(decoded_size(base64_decode, L("Zm8"), &size), VARVE_INVALID);
}
END_TEST

START_TEST(every_character)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    for (int c = 0; c < 256; c++) {
        uint8_t text[4] = {'A', (uint8_t)c, 'A', 'A'};
        bool letter = c != 0 && strchr(letters, c) != NULL;
        size_t size;
        ck_assert_int_eq(decoded_size(base64_decode, varve_slice(text, 4), &size) == VARVE_OK,
                         letter || c == '+' || c == '/');
        ck_assert_int_eq(decoded_size(base64url_decode, varve_slice(text, 4), &size) == VARVE_OK,
                         letter || c == '-' || c == '_');
    }
}
END_TEST

/* Of all two- and three-character endings exactly one in 16 and one in 4 is canonical. */
START_TEST(canonical_endings)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < 64; i++) {
        char two[] = {'Q', alphabet[i], '=', '='}, three[] = {'Q', 'Q', alphabet[i], '='};
        size_t size;
        ck_assert_int_eq(decoded_size(base64_decode, varve_slice(two, 4), &size) == VARVE_OK,
                         i % 16 == 0);
        ck_assert_int_eq(decoded_size(base64_decode, varve_slice(three, 4), &size) == VARVE_OK,
                         i % 4 == 0);
    }
}
END_TEST

int main(void)
{
    const struct test_entry tests[] = {
        {"vectors", vectors},
        {"padding_of_the_url_form_is_optional", padding_of_the_url_form_is_optional},
        {"as_libb64_writes_it", as_libb64_writes_it},
        {"every_length_comes_back", every_length_comes_back},
        {"a_long_one_comes_back", a_long_one_comes_back},
        {"refused_texts", refused_texts},
        {"alphabets_are_apart", alphabets_are_apart},
        {"every_character", every_character},
        {"canonical_endings", canonical_endings},
    };
    return SUPPORT_RUN("base64", tests);
}
