/* varve-bench: measures varve beside its peers, in one harness and with equal settings. */
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "os/heap.h"
#include "programs/bench/bench.h"
#include "programs/bench/compare.h"
#include "programs/bench/options.h"

#define EXIT_USAGE 2

static int print_help(void)
{
    struct buf text = {0};
    enum varve_status status = bench_options_help(&text);
    bool printed = status == VARVE_OK && fwrite(text.data, 1, text.size, stdout) == text.size &&
                   fflush(stdout) == 0;
    buf_deinit(&text);
    return printed ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int tell(const struct varve_error *error, int result)
{
    fprintf(stderr, "varve-bench: %s%s%s\n", error->path, error->path[0] != '\0' ? ": " : "",
            error->text);
    return result;
}

int main(int count, char **arguments)
{
    struct bench_options options = {0};
    struct varve_error error = {0};
    if (bench_options_parse((size_t)count - 1, arguments + 1, &options, &error) != VARVE_OK)
        return tell(&error, EXIT_USAGE);
    if (options.help)
        return print_help();
    if (options.compared_count == 0 &&
        options.engine == &engine_varve) /* as varved does; the others keep what is theirs */
        heap_set_up();
    if (options.software_crc)
        crc32c_use_software();
    enum varve_status status =
        options.compared_count != 0
            ? compare_run(&options, (size_t)count - 1, arguments + 1, stdout, &error)
            : bench_run(&options, stdout, &error);
    if (status != VARVE_OK)
        return tell(&error, EXIT_FAILURE);
    if (ferror(stdout) != 0 || fclose(stdout) != 0) {
        fprintf(stderr, "varve-bench: cannot write the output\n");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
