// SPDX-License-Identifier: BSL-1.0
#include <asynchio/testing/run_until_idle.hpp>

int main() {
    const auto dropped = asynchio::testing::run_until_idle();
    return dropped ? 0 : 1;
}
