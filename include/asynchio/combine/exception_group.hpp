// SPDX-License-Identifier: BSL-1.0
#pragma once

// Several exceptions as one.

#include <asynchio/loop/exception_context.hpp>

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// What a task_group throws: the exceptions of its children in the order in which they came, the body's last.
/// A group may hold groups; `contains` and `split` look into them.
class exception_group : public std::runtime_error {
public:
    exception_group(std::string message, std::vector<std::exception_ptr> exceptions)
        : std::runtime_error(text(message, exceptions)), message_(std::move(message)),
          exceptions_(std::move(exceptions)) {}

    /// Without the list of exceptions that what() adds.
    const std::string& message() const noexcept { return message_; }
    const std::vector<std::exception_ptr>& exceptions() const noexcept { return exceptions_; }

    /// Whether an exception in it can be caught as `E`.
    template<class E>
    bool contains() const {
        for (const std::exception_ptr& each : exceptions_) {
            if (is<E>(each)) return true;
            const exception_group* const inner = nested(each);
            if (inner != nullptr && inner->contains<E>()) return true;
        }
        return false;
    }

    /// Those that can be caught as `E`, and the rest; each a group of the same shape, or nothing.
    template<class E, class Part = exception_group> // always that; a parameter, so that who does not split pays nothing
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
    /// Null for another exception; lives as long as `error`.
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
