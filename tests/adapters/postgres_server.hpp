// SPDX-License-Identifier: BSL-1.0
#pragma once

// A server of PostgreSQL for tests, in a temporary folder, with a Unix socket and a port of 127.0.0.1 that asks for a
// password.

#include "support/server_program.hpp"

#include <libpq-fe.h>

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace asynchio_tests {

/// Returns the folder of initdb and postgres, or an empty path.
inline std::filesystem::path postgres_programs() {
    std::vector<std::filesystem::path> found;
    std::error_code ignored;
    for (const auto& each : std::filesystem::directory_iterator("/usr/lib/postgresql", ignored))
        if (std::filesystem::exists(each.path() / "bin/postgres")) found.push_back(each.path() / "bin");
    std::sort(found.begin(), found.end());
    return found.empty() ? std::filesystem::path() : found.back();
}

class postgres_server {
public:
    postgres_server() : programs_(postgres_programs()), program_("postgres", SIGQUIT, user()), port_(unused_port()) {
        const std::string data = program_.folder() / "data";
        program_.run_to_end(
            {programs_ / "initdb", "-D", data, "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"});
        std::ofstream(data + "/pg_hba.conf") << "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
        run();
    }

    /// Ends the server at once, and its connections with it.
    void stop() { program_.stop(); }
    /// Starts the server, and waits until it answers.
    void run() {
        const std::string port = std::to_string(port_), folder = program_.folder();
        program_.run({programs_ / "postgres", "-D", folder + "/data", "-k", folder, "-p", port, "-c",
                      "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=50"},
                     [this] { return PQping(address().c_str()) == PQPING_OK; });
    }
    /// A connection string for the Unix socket.
    std::string address() const {
        return "host=" + program_.folder().string() + " port=" + std::to_string(port_) + " user=tester dbname=postgres";
    }
    int port() const { return port_; }

private:
    /// Returns a user without privileges, if this one has them: PostgreSQL insists.
    static const passwd* user() {
        if (::geteuid() != 0) return nullptr;
        const passwd* const found = ::getpwnam("postgres");
        if (found == nullptr) throw std::runtime_error("there is no user postgres, and root may not run a server");
        return found;
    }

    std::filesystem::path programs_;
    server_program program_;
    int port_;
};

} // namespace asynchio_tests
