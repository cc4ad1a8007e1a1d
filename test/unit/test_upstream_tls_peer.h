/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A TLS server by hand, and certificates made for it: the test turns it between
 * turns of the loop, in one thread. Bytes go through memory, so that the test
 * can send them in any pieces. */

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "test/unit/test_upstream_rig.h"

enum { TLS_PEER_DAY_S = 86400 };

struct authority {
	EVP_PKEY *key;
	X509 *certificate;
	char path[64]; /* PEM file of the certificate */
};

struct tls_peer {
	SSL_CTX *context;
	SSL *ssl;
	BIO *in;
	BIO *out;
	struct server *server;
	bool is_dripping; /* one byte per segment */
	bool is_done; /* the handshake */
	uint8_t first_byte; /* of what the engine sent */
};

static inline void tls_add_extension(X509 *certificate, X509 *issuer, int nid,
				     const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX context;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	t_not_null(extension);
	t_eq(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

/* From `from` days on for `days`; issuer NULL: signed by itself. */
static inline X509 *tls_make_certificate(const struct authority *issuer,
					 EVP_PKEY *key, const char *common_name,
					 const char *alternative, int from,
					 int days)
{
	static long serial;
	X509 *certificate = X509_new();
	X509_NAME *name = X509_get_subject_name(certificate);

	t_eq(X509_set_version(certificate, X509_VERSION_3), 1);
	(void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
	t_not_null(X509_gmtime_adj(X509_getm_notBefore(certificate),
				   (long)from * TLS_PEER_DAY_S));
	t_not_null(X509_gmtime_adj(X509_getm_notAfter(certificate),
				   (long)(from + days) * TLS_PEER_DAY_S));
	t_eq(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					(const uint8_t *)common_name, -1, -1,
					0),
	     1);
	t_eq(X509_set_issuer_name(
		     certificate,
		     issuer ? X509_get_subject_name(issuer->certificate) :
			      name),
	     1);
	t_eq(X509_set_pubkey(certificate, key), 1);
	tls_add_extension(certificate,
			  issuer ? issuer->certificate : certificate,
			  NID_basic_constraints,
			  issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
	if (alternative)
		tls_add_extension(certificate, issuer->certificate,
				  NID_subject_alt_name, alternative);
	t_true(X509_sign(certificate, issuer ? issuer->key : key,
			 EVP_sha256()) > 0);
	return certificate;
}

static inline void authority_init(struct authority *authority)
{
	FILE *file;
	int fd;

	authority->key = EVP_EC_gen("P-256");
	t_not_null(authority->key);
	authority->certificate = tls_make_certificate(
		NULL, authority->key, "test authority", NULL, -1, 10);
	(void)strcpy(authority->path, "/tmp/sentinel-test-XXXXXX");
	fd = mkstemp(authority->path);
	t_true(fd >= 0);
	file = fdopen(fd, "w");
	t_not_null(file);
	t_eq(PEM_write_X509(file, authority->certificate), 1);
	t_eq(fclose(file), 0);
}

static inline void authority_done(struct authority *authority)
{
	(void)unlink(authority->path);
	X509_free(authority->certificate);
	EVP_PKEY_free(authority->key);
}

static inline void tls_peer_init(struct tls_peer *peer, struct server *server,
				 const struct authority *issuer,
				 const char *common_name,
				 const char *alternative, int from, int days)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = tls_make_certificate(issuer, key, common_name,
						 alternative, from, days);

	(void)memset(peer, 0, sizeof(*peer));
	peer->server = server;
	peer->context = SSL_CTX_new(TLS_server_method());
	t_not_null(peer->context);
	t_eq(SSL_CTX_use_certificate(peer->context, certificate), 1);
	t_eq(SSL_CTX_use_PrivateKey(peer->context, key), 1);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static inline void tls_peer_end(struct tls_peer *peer)
{
	SSL_free(peer->ssl);
	peer->ssl = NULL;
	sn_closep(&peer->server->stream);
}

static inline void tls_peer_done(struct tls_peer *peer)
{
	tls_peer_end(peer);
	SSL_CTX_free(peer->context);
}

static inline bool tls_peer_try_accept(struct tls_peer *peer)
{
	if (!server_try_accept(peer->server))
		return false;
	SSL_free(peer->ssl);
	peer->ssl = SSL_new(peer->context);
	peer->in = BIO_new(BIO_s_mem());
	peer->out = BIO_new(BIO_s_mem());
	SSL_set_bio(peer->ssl, peer->in, peer->out);
	(void)BIO_set_mem_eof_return(peer->in, -1);
	(void)BIO_set_mem_eof_return(peer->out, -1);
	SSL_set_accept_state(peer->ssl);
	peer->is_done = false;
	peer->first_byte = 0;
	return true;
}

/* Moves bytes both ways. Returns false once the stream has ended. */
static inline bool tls_peer_pump(struct tls_peer *peer)
{
	size_t most = peer->is_dripping ? 1 : 4096;
	uint8_t bytes[4096];
	ssize_t n;
	int m;

	n = recv(peer->server->stream, bytes, sizeof(bytes), 0);
	if (n > 0) {
		if (!peer->first_byte)
			peer->first_byte = bytes[0];
		t_eq(BIO_write(peer->in, bytes, (int)n), n);
	}
	ERR_clear_error();
	if (!peer->is_done)
		peer->is_done = SSL_do_handshake(peer->ssl) == 1;
	m = BIO_read(peer->out, bytes, (int)most);
	if (m > 0)
		(void)send(peer->server->stream, bytes, (size_t)m,
			   MSG_NOSIGNAL);
	return n > 0 || (n < 0 && errno == EAGAIN);
}

static inline bool tls_peer_is_done(struct tls_peer *peer)
{
	(void)tls_peer_pump(peer);
	return peer->is_done;
}

/* One framed message into the server's `in`. */
static inline bool tls_peer_try_read(struct tls_peer *peer)
{
	struct server *server = peer->server;
	uint8_t length[2];
	size_t n;

	(void)tls_peer_pump(peer);
	if (!peer->is_done ||
	    SSL_peek_ex(peer->ssl, length, sizeof(length), &n) != 1)
		return false;
	t_eq(SSL_read_ex(peer->ssl, length, sizeof(length), &n), 1);
	t_eq(n, 2);
	/* One write of the engine is one record. */
	server->size = cp_dns_wire_get16(length);
	t_eq(SSL_read_ex(peer->ssl, server->in, server->size, &n), 1);
	t_eq(n, server->size);
	return true;
}

static inline void tls_peer_reply(struct tls_peer *peer)
{
	uint8_t bytes[512];
	size_t size = server_frame(peer->server, 0, bytes);

	t_eq(SSL_write(peer->ssl, bytes, (int)size), size);
	(void)tls_peer_pump(peer);
}
