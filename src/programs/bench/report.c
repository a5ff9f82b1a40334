/* In JSON a figure that makes no sense for a workload is null, for people it is a dash. */
#include "programs/bench/report.h"

#define BYTES_PER_MB 1e6
#define US_PER_S 1e6
#define NS_PER_US 1e3

#define HUNDRED 100.0

#define RATIO_TEXT_BYTES 32
#define HISTOGRAM_LINE_BUCKETS 8 /* buckets of a line for people: four lines a power of two */

/* "a / b", or `none` where there is no b. */
static const char *ratio(double a, double b, int decimals, const char *none,
                         char text[RATIO_TEXT_BYTES])
{
    if (b == 0)
        return none;
    snprintf(text, RATIO_TEXT_BYTES, "%.*f", decimals, a / b);
    return text;
}

static double percentile_us(const struct report *report, double percent)
{
    return (double)histogram_percentile(report->times_ns, percent) / NS_PER_US;
}

static double max_us(const struct report *report)
{
    return (double)atomic_load_explicit(&report->times_ns->max, memory_order_relaxed) / NS_PER_US;
}

/* Not empty buckets, each with the greatest value that falls into it. */
static void print_json_histogram(FILE *out, const struct histogram *times_ns)
{
    const char *separator = "";
    fprintf(out, ",\"histogram\":[");
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = histogram_bucket_count(times_ns, i);
        if (count == 0)
            continue;
        fprintf(out, "%s[%.3f,%lu]", separator, (double)histogram_bucket_top(i) / NS_PER_US, count);
        separator = ",";
    }
    fprintf(out, "]");
}

static void print_histogram(FILE *out, const struct histogram *times_ns)
{
    uint64_t all = 0, seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        all += histogram_bucket_count(times_ns, i);
    fprintf(out, "%16s %12s %9s %9s\n", "us, up to", "operations", "%", "% so far");
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i += HISTOGRAM_LINE_BUCKETS) {
        uint64_t count = 0;
        for (size_t k = i; k < i + HISTOGRAM_LINE_BUCKETS; k++)
            count += histogram_bucket_count(times_ns, k);
        seen += count;
        if (count != 0)
            fprintf(out, "%16.3f %12lu %9.4f %9.4f\n",
                    (double)histogram_bucket_top(i + HISTOGRAM_LINE_BUCKETS - 1) / NS_PER_US, count,
                    (double)count / (double)all * HUNDRED, (double)seen / (double)all * HUNDRED);
    }
}

static void print_json_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            fprintf(out, "\\%c", byte);
        else if (byte < 0x20 || byte > 0x7e)
            fprintf(out, "\\u%04x", byte);
        else
            fputc(byte, out);
    }
    fputc('"', out);
}

static void print_json(FILE *out, const struct report *report)
{
    char text[RATIO_TEXT_BYTES];
    double puts = (double)report->put_bytes;
    fprintf(out, "{\"engine\":\"%s\",\"workload\":\"%s\",\"threads\":%lu,\"ops\":%lu",
            report->engine, report->workload, report->threads, report->ops);
    fprintf(out, ",\"seconds\":%.6f", report->seconds);
    fprintf(out, ",\"us_per_op\":%s",
            ratio(report->seconds * US_PER_S, (double)report->ops, 4, "null", text));
    fprintf(out, ",\"mb_per_s\":%s",
            ratio((double)report->user_bytes / BYTES_PER_MB, report->seconds, 3, "null", text));
    fprintf(out, ",\"p50_us\":%.3f,\"p99_us\":%.3f,\"p999_us\":%.3f,\"max_us\":%.3f",
            percentile_us(report, 50), percentile_us(report, 99), percentile_us(report, 99.9),
            max_us(report));
    fprintf(out, ",\"puts\":%lu", report->puts);
    fprintf(out, ",\"write_amplification\":%s",
            ratio((double)report->table_bytes, puts, 3, "null", text));
    fprintf(out, ",\"write_amplification_with_log\":%s",
            ratio((double)report->all_bytes, puts, 3, "null", text));
    fprintf(out, ",\"write_amplification_device\":%s",
            ratio((double)report->device_bytes, puts, 3, "null", text));
    fprintf(out, ",\"user_bytes\":%lu,\"put_bytes\":%lu,\"written_table_bytes\":%lu",
            report->user_bytes, report->put_bytes, report->table_bytes);
    fprintf(out, ",\"written_bytes\":%lu,\"written_device_bytes\":%lu", report->all_bytes,
            report->device_bytes);
    fprintf(out, ",\"space_bytes\":%lu,\"rss_bytes\":%lu", report->space_bytes, report->rss_bytes);
    fprintf(out, ",\"rss_most_bytes\":%lu", report->rss_most_bytes);
    fprintf(out, ",\"table_space_bytes\":%lu", report->table_space_bytes);
    fprintf(out, ",\"rate\":%s", ratio((double)report->rate, report->rate != 0, 0, "null", text));
    fprintf(out, ",\"longest_pause_us\":%s",
            ratio((double)report->longest_pause_ns, report->has_pauses ? NS_PER_US : 0, 3, "null",
                  text));
    fprintf(out, ",\"silent_seconds\":%s",
            ratio((double)report->silent_seconds, report->has_pauses, 0, "null", text));
    if (report->table_space_most_bytes != 0)
        fprintf(out, ",\"table_space_most_bytes\":%lu", report->table_space_most_bytes);
    if (report->stats != NULL) {
        fprintf(out, ",\"stats\":");
        print_json_text(out, report->stats);
    }
    if (report->with_histogram)
        print_json_histogram(out, report->times_ns);
    fprintf(out, "}\n");
}

static void print_line(FILE *out, const struct report *report)
{
    char text[RATIO_TEXT_BYTES];
    double puts = (double)report->put_bytes;
    fprintf(out, "%-8s %-16s %3lu %11lu %9.2f", report->engine, report->workload, report->threads,
            report->ops, report->seconds);
    fprintf(out, " %10s", ratio(report->seconds * US_PER_S, (double)report->ops, 3, "-", text));
    fprintf(out, " %8s",
            ratio((double)report->user_bytes / BYTES_PER_MB, report->seconds, 1, "-", text));
    fprintf(out, " %9.2f %9.2f %9.2f %11.1f", percentile_us(report, 50), percentile_us(report, 99),
            percentile_us(report, 99.9), max_us(report));
    fprintf(
        out, " %11s",
        ratio((double)report->longest_pause_ns, report->has_pauses ? NS_PER_US : 0, 1, "-", text));
    fprintf(out, " %6s", ratio((double)report->silent_seconds, report->has_pauses, 0, "-", text));
    fprintf(out, " %6s", ratio((double)report->table_bytes, puts, 2, "-", text));
    fprintf(out, " %6s", ratio((double)report->all_bytes, puts, 2, "-", text));
    fprintf(out, " %6s", ratio((double)report->device_bytes, puts, 2, "-", text));
    fprintf(out, " %9.1f %8.1f\n", (double)report->space_bytes / BYTES_PER_MB,
            (double)report->rss_bytes / BYTES_PER_MB);
    if (report->stats != NULL)
        fprintf(out, "%s", report->stats);
    if (report->with_histogram)
        print_histogram(out, report->times_ns);
}

void report_print_head(FILE *out, bool json)
{
    if (!json)
        fprintf(out,
                "%-8s %-16s %3s %11s %9s %10s %8s %9s %9s %9s %11s %11s %6s %6s %6s %6s %9s %8s\n",
                "engine", "workload", "thr", "ops", "seconds", "us/op", "MB/s", "p50 us", "p99 us",
                "p99.9 us", "max us", "pause us", "silent", "w-amp", "log", "device", "space MB",
                "rss MB");
    fflush(out);
}

void report_print(FILE *out, bool json, const struct report *report)
{
    if (json)
        print_json(out, report);
    else
        print_line(out, report);
    fflush(out);
}
