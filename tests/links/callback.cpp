// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/callback.hpp>

int main() {
    asynchio::timer_handle handle;
    handle.cancel();
    return handle.cancelled() || handle ? 1 : 0;
}
