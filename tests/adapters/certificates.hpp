// SPDX-License-Identifier: BSL-1.0
#pragma once

// Certificates for tests, made by OpenSSL and written into a folder that goes away.

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

namespace asynchio_tests {

struct certificate_files {
    std::string certificate;
    std::string key;
};

/// An authority that issues certificates.
class authority {
public:
    authority() {
        std::string pattern = (std::filesystem::temp_directory_path() / "certificates.XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no folder for certificates");
        folder_ = pattern;
        key_.reset(EVP_EC_gen("P-256"));
        certificate_.reset(make("authority", "", key_.get(), -1, 100, nullptr, nullptr));
        write_certificate(file("authority.pem"), certificate_.get());
    }
    ~authority() {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    authority(const authority&) = delete;
    authority& operator=(const authority&) = delete;

    /// Its own certificate, for those who trust it.
    std::string trusted() const { return file("authority.pem"); }
    std::string file(const std::string& name) const { return folder_ + "/" + name; }

    /// @param names "DNS:localhost,IP:127.0.0.1". @param from in days from now. @param until likewise.
    certificate_files issue(const std::string& names, int from = -1, int until = 100) {
        return write(names, from, until, certificate_.get(), key_.get());
    }
    certificate_files self_signed(const std::string& names) { return write(names, -1, 100, nullptr, nullptr); }

private:
    template<auto Free>
    struct freed {
        template<class T>
        void operator()(T* p) const noexcept {
            Free(p);
        }
    };
    using owned_key = std::unique_ptr<EVP_PKEY, freed<EVP_PKEY_free>>;
    using owned_certificate = std::unique_ptr<X509, freed<X509_free>>;

    static X509* make(const std::string& subject, const std::string& names, EVP_PKEY* key, int from, int until,
                      X509* issuer, EVP_PKEY* issuer_key) {
        static long serial = 0;
        constexpr long day = 86'400;
        X509* const made = X509_new();
        X509_set_version(made, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(made), ++serial);
        X509_gmtime_adj(X509_getm_notBefore(made), from * day);
        X509_gmtime_adj(X509_getm_notAfter(made), until * day);
        X509_set_pubkey(made, key);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>(subject.c_str()), -1, -1, 0);
        X509_set_issuer_name(made, X509_get_subject_name(issuer != nullptr ? issuer : made));
        X509V3_CTX context;
        X509V3_set_ctx_nodb(&context);
        X509V3_set_ctx(&context, issuer != nullptr ? issuer : made, made, nullptr, nullptr, 0);
        const auto add = [&](int kind, const std::string& value) {
            X509_EXTENSION* const each = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
            if (each == nullptr) throw std::runtime_error("an extension: " + value);
            X509_add_ext(made, each, -1);
            X509_EXTENSION_free(each);
        };
        if (names.empty()) add(NID_basic_constraints, "critical,CA:TRUE");
        if (!names.empty()) add(NID_subject_alt_name, names);
        X509_sign(made, issuer_key != nullptr ? issuer_key : key, EVP_sha256());
        return made;
    }
    static void write_certificate(const std::string& name, X509* certificate) {
        std::FILE* const f = std::fopen(name.c_str(), "w");
        PEM_write_X509(f, certificate);
        std::fclose(f);
    }
    certificate_files write(const std::string& names, int from, int until, X509* issuer, EVP_PKEY* issuer_key) {
        const std::string number = std::to_string(++count_);
        const owned_key key(EVP_EC_gen("P-256"));
        const owned_certificate made(make("number " + number, names, key.get(), from, until, issuer, issuer_key));
        const certificate_files files{file(number + ".pem"), file(number + ".key")};
        write_certificate(files.certificate, made.get());
        std::FILE* const f = std::fopen(files.key.c_str(), "w");
        PEM_write_PrivateKey(f, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
        std::fclose(f);
        return files;
    }

    std::string folder_;
    owned_key key_;
    owned_certificate certificate_;
    int count_ = 0;
};

} // namespace asynchio_tests
