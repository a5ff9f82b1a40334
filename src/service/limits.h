/*
 * service/limits.h: the limits of the HTTP interface that no setting changes. What can be set
 * stands in service/config.h, what belongs to the store in varve/options.h.
 */
#ifndef SERVICE_LIMITS_H
#define SERVICE_LIMITS_H

#define LIMIT_TARGET_BYTES (15u << 10) /* path and query of a request; beyond: 414 */
#define LIMIT_HEADER_BYTES (16u << 10) /* a request's header but for its target; beyond: 431 */
#define LIMIT_QUERY_PARAMS 16u         /* query parameters of a request */
#define LIMIT_REQUEST_ID_BYTES 128u    /* a client's own X-Request-Id */
#define LIMIT_TOKENS 128u              /* in the token file */
#define LIMIT_TOKEN_FILE_BYTES (64u << 10)
#define LIMIT_CERTIFICATE_FILE_BYTES (256u << 10) /* with its chain, or its key */
#define LIMIT_JSON_DEPTH 64u                      /* nested arrays and objects of a body */
#define LIMIT_JSON_VALUES 200000u                 /* brackets and commas of a body; beyond: 413 */
#define LIMIT_BATCH_OPS 10000u                    /* operations of a batch; beyond: 413 */
#define LIMIT_INLINE_JSON_BYTES (64u << 10)       /* larger JSON is read or made by a worker */
#define LIMIT_BATCH_ATTEMPTS 20u             /* at reading keys that change meanwhile; then 503 */
#define LIMIT_TTL_S 315360000u               /* ten years */
#define LIMIT_FREE_BODY_BYTES (64u << 10)    /* larger bodies are charged to their budget */
#define LIMIT_BODY_STEP_BYTES (64u << 10)    /* in which they are, as they come */
#define LIMIT_FREE_ANSWER_BYTES (64u << 10)  /* larger answers are charged to their budget */
#define LIMIT_BATCH_ANSWER_BYTES (32u << 20) /* a batch's answer; beyond: 413 */
#define LIMIT_RANGE_ITEMS_DEFAULT 100u       /* items of a page when `limit` is not given */
#define LIMIT_RANGE_ITEMS_MAX 1000u
#define LIMIT_RANGE_PAGE_BYTES (4u << 20) /* encoded items of a page; one item always fits */
#define LIMIT_SCAN_STEP_ITEMS 16384u      /* that a count passes before others have their turn */
#define LIMIT_SCAN_STEP_HIDDEN 4096u /* deleted keys and the like that any scan passes before */
#define LIMIT_SCAN_CHUNK_BYTES (128u << 10) /* of a stream's lines; two of them are in memory */
#define LIMIT_DROPPED_BODY_BYTES                                                                   \
    (1u << 20)                   /* read and dropped behind a body limit, then closed              \
                                  */
#define LIMIT_PROBLEM_ERRORS 20u /* entries of a problem's "errors" */

#endif
