// SPDX-License-Identifier: BSL-1.0
#pragma once

// The errors of PostgreSQL, made of what libpq tells.

#include <libpq-fe.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::libpq {

/// What the server says against a command, or a value that is not of the type that was asked for.
///
/// Threads: a plain exception.
class error : public std::runtime_error {
public:
    /// Makes an error that is not the server's. @param message what is wrong.
    explicit error(const std::string& message) : std::runtime_error("libpq: " + message), message_(message) {}
    /// Makes the error of a server. @param message what is wrong. @param sqlstate the code. @param more its detail.
    /// @param hint its hint.
    error(const std::string& message, std::string sqlstate, std::string more, std::string hint)
        : std::runtime_error("libpq: " + message + (sqlstate.empty() ? "" : " (SQLSTATE " + sqlstate + ")")),
          message_(message), sqlstate_(std::move(sqlstate)), detail_(std::move(more)), hint_(std::move(hint)) {}

    /// The server's code of five characters, such as "23505"; empty if the error is not the server's.
    const std::string& sqlstate() const noexcept { return sqlstate_; }
    /// The message alone.
    const std::string& message() const noexcept { return message_; }
    /// The server's detail, or an empty string.
    const std::string& detail() const noexcept { return detail_; }
    /// The server's hint, or an empty string.
    const std::string& hint() const noexcept { return hint_; }

private:
    std::string message_, sqlstate_, detail_, hint_;
};

/// No connection could be made, or it is lost and closed: open another one.
///
/// Threads: a plain exception.
class connection_error : public error {
public:
    using error::error;
};

namespace detail {

/// Returns a text of libpq as one line.
inline std::string one_line(std::string_view text) {
    std::string line;
    for (const char each : text) {
        if (each == '\n' || each == '\t') {
            if (!line.empty() && line.back() != ' ') line += ' ';
        } else {
            line += each;
        }
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    return line;
}

/// Makes an error of what a result tells.
template<class Error>
Error error_of(const PGresult* failed) {
    const auto field = [failed](int code) {
        const char* text = PQresultErrorField(failed, code);
        return std::string(text != nullptr ? text : "");
    };
    std::string message = field(PG_DIAG_MESSAGE_PRIMARY);
    if (message.empty()) message = one_line(PQresultErrorMessage(failed));
    return Error(message, field(PG_DIAG_SQLSTATE), field(PG_DIAG_MESSAGE_DETAIL), field(PG_DIAG_MESSAGE_HINT));
}

} // namespace detail

} // namespace asynchio::libpq

#pragma GCC visibility pop
