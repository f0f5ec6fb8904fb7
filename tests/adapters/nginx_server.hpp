// SPDX-License-Identifier: BSL-1.0
#pragma once

// A server of HTTP for tests, in a temporary folder, with a port of 127.0.0.1 for plain HTTP and one for TLS.

#include "support/server_program.hpp"

#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace asynchio_tests {

/// Returns the path of nginx, or an empty one.
inline std::filesystem::path nginx_program() {
    for (const char* each : {"/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"})
        if (std::filesystem::exists(each)) return each;
    return {};
}

class nginx_server {
public:
    /// @param http lines for the block of that name, @param server lines for both servers, @param tls lines for the one
    /// with TLS: its certificate and key.
    nginx_server(std::string_view http, std::string_view server, std::string_view tls) {
        ::chmod(program_.folder().c_str(), 0755); // the workers may be another user
        std::filesystem::create_directory(program_.folder() / "put");
        ::chmod((program_.folder() / "put").c_str(), 0777);
        for (int left = 5;; --left) {
            configure(http, server, tls);
            try {
                run();
                break;
            } catch (const std::runtime_error&) { // another process may have taken a port meanwhile
                if (left == 0) throw;
            }
        }
    }

    /// Ends the server at once, and its connections with it.
    void stop() { program_.stop(); }
    /// Starts the server, and waits until it listens.
    void run() {
        const std::string folder = program_.folder();
        program_.run({nginx_program(), "-c", folder + "/conf", "-p", folder},
                     [&folder] { return std::filesystem::exists(folder + "/pid"); }); // written when it listens
    }

    void write(const std::string& name, std::string_view content) const {
        std::ofstream(program_.folder() / name) << content;
    }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
    std::string tls_url(const std::string& host = "localhost") const {
        return "https://" + host + ":" + std::to_string(tls_port_);
    }

private:
    void configure(std::string_view http, std::string_view server, std::string_view tls) {
        const std::string folder = program_.folder();
        port_ = unused_port();
        do tls_port_ = unused_port();
        while (tls_port_ == port_);
        std::ofstream conf(folder + "/conf");
        conf << "daemon off; worker_processes 1; pid " << folder << "/pid; error_log " << folder << "/log;\n"
             << "events { worker_connections 1000; }\nhttp {\naccess_log off; keepalive_requests 1000000;\n";
        for (const char* each : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
            conf << each << "_temp_path " << folder << "/" << each << ";\n";
        conf << http << "\nserver { listen 127.0.0.1:" << port_ << "; root " << folder << "; " << server << " }\n"
             << "server { listen 127.0.0.1:" << tls_port_ << " ssl http2; root " << folder << "; " << tls << server
             << " }\n}\n";
    }

    server_program program_{"nginx", SIGTERM};
    int port_ = 0;
    int tls_port_ = 0;
};

} // namespace asynchio_tests
