// SPDX-License-Identifier: BSL-1.0
#pragma once

// Throwing the library's exceptions with a text. Texts are put together in here alone, since the operators of
// std::string are compiled anew in every file that uses them.

#include <cstdarg>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <system_error>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Returns the text that printf would print.
[[gnu::format(printf, 1, 2), gnu::noinline, gnu::cold]] inline std::string formatted(const char* format, ...) {
    std::va_list counted, printed;
    va_start(counted, format);
    va_copy(printed, counted);
    const int size = std::vsnprintf(nullptr, 0, format, counted);
    va_end(counted);
    std::string text(static_cast<std::size_t>(size < 0 ? 0 : size), '\0');
    std::vsnprintf(text.data(), text.size() + 1, format, printed);
    va_end(printed);
    return text;
}

/// Reports misuse. @throws Error with the name of the function that refuses something, and the reason.
template<class Error = std::logic_error>
[[noreturn, gnu::noinline, gnu::cold]] void refuse(const char* who, const char* why) {
    char text[256];
    std::snprintf(text, sizeof text, "%s: %s", who, why);
    throw Error(text);
}

/// A std::system_error with a text of its own in front of the system's.
class system_failure final : public std::system_error {
public:
    system_failure(int error, const char* what) : std::system_error(error, std::generic_category()) {
        std::snprintf(text_, sizeof text_, "%s: %s", what, std::system_error::what());
    }
    const char* what() const noexcept override { return text_; }

private:
    char text_[256];
};

/// Reports an error of the system. @throws std::system_error for an errno, with the text that printf would print in
/// front of the system's.
[[noreturn, gnu::format(printf, 2, 3), gnu::noinline, gnu::cold]] inline void system_refuses(int error,
                                                                                             const char* format, ...) {
    char text[128];
    std::va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    throw system_failure(error, text);
}

} // namespace asynchio::detail

#pragma GCC visibility pop
