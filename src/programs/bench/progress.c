/* A carriage return and the sequence that erases the rest of a line: every terminal knows both. */
#include "programs/bench/progress.h"

#define NS_PER_S 1e9
#define HUNDRED 100.0
#define ERASE_LINE "\r\033[K"
#define LINE_BYTES 80

void progress_begin(struct progress *progress, uint64_t now_ns)
{
    progress->begin_ns = now_ns;
    progress->last_ns = now_ns;
    progress->last_ops = 0;
}

void progress_format(const struct progress *progress, uint64_t now_ns, uint64_t ops, char *text,
                     size_t size)
{
    double whole = (double)(progress->duration_ns != 0 ? progress->duration_ns : progress->ops);
    double part = (double)(progress->duration_ns != 0 ? now_ns - progress->begin_ns : ops);
    double passed_s = (double)(now_ns - progress->last_ns) / NS_PER_S;
    double rate = passed_s > 0 ? (double)(ops - progress->last_ops) / passed_s : 0;
    if (whole > 0)
        snprintf(text, size, "%s: %lu operations, %.0f %%, %.0f a second", progress->workload, ops,
                 part < whole ? part / whole * HUNDRED : HUNDRED, rate);
    else
        snprintf(text, size, "%s: %.0f s", progress->workload,
                 (double)(now_ns - progress->begin_ns) / NS_PER_S);
}

void progress_show(struct progress *progress, uint64_t now_ns)
{
    char text[LINE_BYTES];
    uint64_t ops = flow_ops(progress->flow);
    progress_format(progress, now_ns, ops, text, sizeof text);
    fprintf(progress->out, ERASE_LINE "%s", text);
    fflush(progress->out);
    progress->last_ns = now_ns;
    progress->last_ops = ops;
}

void progress_clear(struct progress *progress)
{
    fprintf(progress->out, ERASE_LINE);
    fflush(progress->out);
}
