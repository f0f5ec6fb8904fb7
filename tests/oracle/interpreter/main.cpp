// SPDX-License-Identifier: BSL-1.0
//
// Runs programs of the oracle's language on asynchio, in virtual time, and prints their traces:
//
//   asynchio_oracle FILE [--from NUMBER] [--shuffle SEED] [--quiet]
//
// A trace begins with `#` and the program's number. `--shuffle` runs what is ready in a random order and `--quiet` prints
// nothing but what the audit finds: both are for sanitizers. Ends with 77 after a program that is given up: the next run
// begins behind it; with 3 when something was left alive.
#include "run_program.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

int main(int count, char** arguments) {
    oracle::run_settings settings;
    std::string file;
    long first = 0;
    for (int i = 1; i < count; ++i) {
        const std::string word = arguments[i];
        if (word == "--quiet")
            settings.quiet = true;
        else if (word == "--from" && i + 1 < count)
            first = std::atol(arguments[++i]);
        else if (word == "--shuffle" && i + 1 < count)
            settings.shuffle = std::strtoull(arguments[++i], nullptr, 10);
        else
            file = word;
    }
    std::ifstream input(file);
    if (!input) {
        std::fprintf(stderr, "cannot read '%s'\n", file.c_str());
        return 2;
    }
    std::size_t unclean = 0;
    std::string line;
    for (long number = 0; std::getline(input, line); ++number)
        if (number >= first && !oracle::run_line(line, number, settings)) ++unclean;
    if (settings.quiet) std::printf("unclean %zu\n", unclean);
    return unclean == 0 ? 0 : 3;
}
