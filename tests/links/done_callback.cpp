// SPDX-License-Identifier: BSL-1.0
#include <asynchio/task/detail/done_callback.hpp>

namespace {

struct called final : asynchio::detail::done_callback {
    void call(asynchio::detail::shared_state&) override {}
};

} // namespace

int main() {
    called never;
    return asynchio::detail::done_callback::from(never) == &never ? 0 : 1;
}
