// SPDX-License-Identifier: BSL-1.0
#pragma once

// The base of awaiters that are told how they are called in reports.

#include <asynchio/task/suspension.hpp>

#pragma GCC visibility push(default)

namespace asynchio::detail {

struct inspection_table;

/// A suspension that keeps the name of the wait, at a place where a debugger finds it, too.
class named_suspension : public suspension {
public:
    const char* waiting_for() const noexcept override { return what_; }

protected:
    /// @param what the name of the wait in reports: a text that is never freed.
    explicit named_suspension(const char* what) noexcept : what_(what) {}
    ~named_suspension() override = default;

    const char* const what_;

private:
    friend inspection_table;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
