// SPDX-License-Identifier: BSL-1.0
#pragma once

// An exception that carries several others.

#include <asynchio/loop/exception_context.hpp>

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// The exception that a task_group throws. It carries the exceptions of the children in the order in which they came,
/// and the body's last. A group may hold groups; `contains` and `split` look into them.
///
/// Threads: as std::runtime_error: any thread may read it.
/// Cost: what() is put together when the group is made.
/// Differs from Python: there is no `except*`; see contains and split.
/// Example: `catch (const aio::exception_group& g) { if (g.contains<aio::timeout_error>()) ... }`
/// See also: task_group.
class exception_group : public std::runtime_error {
public:
    /// Makes a group.
    /// @param message what message() returns. @param exceptions none of them null.
    exception_group(std::string message, std::vector<std::exception_ptr> exceptions)
        : std::runtime_error(text(message, exceptions)), message_(std::move(message)),
          exceptions_(std::move(exceptions)) {}

    /// Returns the message without the list of exceptions that what() adds.
    const std::string& message() const noexcept { return message_; }
    /// Returns the exceptions.
    const std::vector<std::exception_ptr>& exceptions() const noexcept { return exceptions_; }

    /// Whether an exception in the group, or in a group in it, can be caught as `E`.
    template<class E>
    bool contains() const {
        for (const std::exception_ptr& each : exceptions_) {
            if (is<E>(each)) return true;
            const exception_group* const inner = nested(each);
            if (inner != nullptr && inner->contains<E>()) return true;
        }
        return false;
    }

    /// Splits the group.
    /// @return the exceptions that can be caught as `E`, and the others; each is a group of the shape of this one, or
    /// nothing.
    template<class E, class Part = exception_group> // a parameter, so that only files that call it compile it
    std::pair<std::optional<Part>, std::optional<Part>> split() const {
        std::vector<std::exception_ptr> matching;
        std::vector<std::exception_ptr> rest;
        for (const std::exception_ptr& each : exceptions_) {
            if (is<E>(each)) {
                matching.push_back(each);
            } else if (const exception_group* const inner = nested(each)) {
                auto parts = inner->split<E>();
                if (parts.first) matching.push_back(std::make_exception_ptr(*std::move(parts.first)));
                if (parts.second) rest.push_back(std::make_exception_ptr(*std::move(parts.second)));
            } else {
                rest.push_back(each);
            }
        }
        const auto group_of = [this](std::vector<std::exception_ptr>& some) {
            return some.empty() ? std::optional<Part>() : Part(message_, std::move(some));
        };
        return {group_of(matching), group_of(rest)};
    }

private:
    template<class E>
    static bool is(const std::exception_ptr& error) {
        try {
            std::rethrow_exception(error);
        } catch (const E&) {
            return true;
        } catch (...) {
            return false;
        }
    }
    /// Returns the group that `error` holds, which lives as long as `error`; null for another exception.
    static const exception_group* nested(const std::exception_ptr& error) {
        try {
            std::rethrow_exception(error);
        } catch (const exception_group& group) {
            return &group;
        } catch (...) {
            return nullptr;
        }
    }
    static std::string text(const std::string& message, const std::vector<std::exception_ptr>& exceptions) {
        std::string all = message + " (" + std::to_string(exceptions.size()) +
                          (exceptions.size() == 1 ? " exception" : " exceptions") + "): ";
        for (std::size_t i = 0; i < exceptions.size(); ++i)
            all += (i == 0 ? "" : "; ") + detail::describe(exceptions[i]);
        return all;
    }

    std::string message_;
    std::vector<std::exception_ptr> exceptions_;
};

} // namespace asynchio

#pragma GCC visibility pop
