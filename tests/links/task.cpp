// SPDX-License-Identifier: BSL-1.0
// A file of a library that only offers coroutines, and leaves the loop to who calls them.
#include <asynchio/task/task.hpp>

namespace {

template<class T>
asynchio::task<T> gives(T value) {
    co_return value;
}

asynchio::task<> awaits(int& sum) {
    int number = 1;
    sum += co_await gives(2);
    sum += co_await gives<int&>(number);
}

} // namespace

int main() {
    int sum = 0;
    const auto dropped = awaits(sum);
    return dropped && sum == 0 ? 0 : 1;
}
