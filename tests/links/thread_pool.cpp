// SPDX-License-Identifier: BSL-1.0
#include <asynchio/thread/thread_pool.hpp>

namespace {

asynchio::task<> ends(asynchio::thread_pool& pool) { co_await pool.aclose(); }

} // namespace

int main() {
    asynchio::thread_pool pool(1);
    const auto dropped = ends(pool);
    return dropped && pool.started() == 0 ? 0 : 1;
}
