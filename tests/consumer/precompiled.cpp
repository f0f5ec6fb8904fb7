// SPDX-License-Identifier: BSL-1.0

// Includes nothing: the target asynchio::pch has put the headers in front.

asynchio::task<int> answer() {
    co_await asynchio::yield();
    co_return 42;
}

int main() { return asynchio::run(answer()) == 42 ? 0 : 1; }
