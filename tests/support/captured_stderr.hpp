// SPDX-License-Identifier: BSL-1.0
#pragma once

// What is written to stderr, for tests of reports.

#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>
#include <unistd.h>

namespace asynchio_tests {

/// While it lives, standard error goes to a file.
class captured_stderr {
public:
    captured_stderr() : before_(::dup(STDERR_FILENO)), file_(std::tmpfile()) {
        if (before_ < 0 || file_ == nullptr) throw std::system_error(errno, std::generic_category(), "captured_stderr");
        std::fflush(stderr);
        ::dup2(::fileno(file_), STDERR_FILENO);
    }
    captured_stderr(const captured_stderr&) = delete;
    captured_stderr& operator=(const captured_stderr&) = delete;
    ~captured_stderr() {
        std::fflush(stderr);
        ::dup2(before_, STDERR_FILENO);
        ::close(before_);
        std::fclose(file_);
    }

    /// What was written so far.
    std::string text() const {
        std::fflush(stderr);
        std::string found;
        char buffer[4096];
        for (::off_t at = 0;;) {
            const ::ssize_t got = ::pread(::fileno(file_), buffer, sizeof buffer, at);
            if (got <= 0) return found;
            found.append(buffer, static_cast<std::size_t>(got));
            at += got;
        }
    }

private:
    int before_;
    std::FILE* file_;
};

} // namespace asynchio_tests
