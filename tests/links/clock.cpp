// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/clock.hpp>

int main() {
    const asynchio::time_point before = asynchio::clock::now();
    return asynchio::clock::now() >= before ? 0 : 1;
}
