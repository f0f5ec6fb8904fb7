// SPDX-License-Identifier: BSL-1.0
#pragma once

// A tool that looks at one loop: it ends when its owner ends it, or with the loop.

#include <asynchio/loop/detail/services.hpp>

#include <memory>

#pragma GCC visibility push(default)

namespace asynchio::debug::detail {

/// The place of a `Tool` in a loop. The tool's owner shares it, so that both may go first; both are on the thread of the
/// loop.
template<class Tool>
class tool_of_loop final : public asynchio::detail::service {
public:
    using place = std::shared_ptr<std::unique_ptr<Tool>>;

    ~tool_of_loop() override { shared->reset(); }
    void close() noexcept override {}
    bool closed() const noexcept override { return true; }

    const place shared = std::make_shared<std::unique_ptr<Tool>>();
};

} // namespace asynchio::debug::detail

#pragma GCC visibility pop
