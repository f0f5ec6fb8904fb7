// SPDX-License-Identifier: BSL-1.0

// Subprocess: communicate (standard input to standard output), separate standard error, return codes, kill, wait from two
// tasks, reading lines.

#include <asynchio.hpp>

#include "support/python.hpp"

#include <string>
#include <system_error>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

std::string stripped(std::string line) {
    while (!line.empty() && line.back() == '\n') line.pop_back();
    return line;
}

aio::task<> amain() {
    aio::process_options both;
    both.in = both.out = aio::subprocess::pipe;
    aio::process p = co_await aio::create_subprocess("cat", both);
    aio::process_output all = co_await p.communicate("hello\n");
    print(stripped(all.out), all.err.empty() ? "None" : "", *p.returncode());
    aio::process_options out_err;
    out_err.out = out_err.err = aio::subprocess::pipe;
    p = co_await aio::create_subprocess_shell("echo out; echo err >&2; exit 3", out_err);
    all = co_await p.communicate();
    print(stripped(all.out), stripped(all.err), *p.returncode());
    p = co_await aio::create_subprocess("sleep", "60");
    print("running:", p.returncode() ? "ended" : "None");
    std::vector<aio::task_handle<int>> waiting;
    for (int i = 0; i < 2; ++i) waiting.push_back(aio::create_task(p.wait()));
    co_await aio::sleep(20ms);
    p.kill();
    const std::vector<int> codes = co_await aio::gather(waiting);
    print("killed: [" + std::to_string(codes[0]) + ", " + std::to_string(codes[1]) + "]", *p.returncode());
    aio::process_options out;
    out.out = aio::subprocess::pipe;
    p = co_await aio::create_subprocess_shell("echo a; echo b", out);
    for (std::string line = co_await p.out().read_line(); !line.empty(); line = co_await p.out().read_line())
        print("line", stripped(line));
    const int code = co_await p.wait();
    print("exit", code);
    try {
        co_await aio::create_subprocess("/nonexistent/program");
    } catch (const std::system_error& e) {
        if (e.code() == std::errc::no_such_file_or_directory) print("FileNotFoundError");
    }
}

int main() { aio::run(amain()); }
