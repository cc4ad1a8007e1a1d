/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/upstream/tls.h"

#include <assert.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/* A session that is taken up again stands for a certificate that was verified
 * at its very beginning; after that time it is verified anew. */
enum { SESSION_S = 3600 };

struct cp_upstream_tls_session {
	SSL_SESSION *ssl;
	uint64_t verified_ms;
};

struct cp_upstream_tls_context {
	SSL_CTX *ssl;
};

struct cp_upstream_tls {
	SSL *ssl;
	BIO *in; /* both owned by ssl */
	BIO *out;
	struct cp_upstream_tls_session **session;
	uint64_t verified_ms; /* of the session that this one goes back to */
};

struct cp_upstream_tls_session *
cp_upstream_tls_session_free(struct cp_upstream_tls_session *session)
{
	if (!session)
		return NULL;
	SSL_SESSION_free(session->ssl);
	free(session);
	return NULL;
}

/* Returns 1 if it keeps the reference. */
static int keep_session(SSL *ssl, SSL_SESSION *taken)
{
	struct cp_upstream_tls *tls = SSL_get_app_data(ssl);
	struct cp_upstream_tls_session *session;

	if (!tls->session || !SSL_SESSION_is_resumable(taken))
		return 0;
	session = calloc(1, sizeof(*session));
	if (!session)
		return 0;
	session->ssl = taken;
	session->verified_ms = tls->verified_ms;
	(void)cp_upstream_tls_session_free(*tls->session);
	*tls->session = session;
	return 1;
}

static bool configure(SSL_CTX *ssl, const char *ca_file)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ssl);

	X509_VERIFY_PARAM_set_hostflags(
		param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
			       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	(void)SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION |
					       SSL_OP_NO_COMPRESSION |
					       SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_session_cache_mode(
		ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ssl, keep_session);
	(void)SSL_CTX_set_timeout(ssl, SESSION_S);
	(void)SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
	if (SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1)
		return false;
	if (ca_file)
		return SSL_CTX_load_verify_file(ssl, ca_file) == 1;
	return SSL_CTX_set_default_verify_paths(ssl) == 1;
}

int cp_upstream_tls_context_new(struct cp_upstream_tls_context **ret,
				const char *ca_file, struct sn_diag *diag)
{
	sn_cleanup(cp_upstream_tls_context_freep) struct cp_upstream_tls_context
		*context = NULL;
	char why[128];

	context = calloc(1, sizeof(*context));
	if (!context)
		return sn_trace(-ENOMEM);
	ERR_clear_error();
	context->ssl = SSL_CTX_new(TLS_client_method());
	if (!context->ssl || !configure(context->ssl, ca_file)) {
		ERR_error_string_n(ERR_get_error(), why, sizeof(why));
		ERR_clear_error();
		sn_diag_set(diag, NULL,
			    "cannot read the certificates of %s to verify "
			    "upstream servers with: %s",
			    ca_file ? ca_file : "the system", why);
		return sn_trace(-EINVAL);
	}
	*ret = sn_steal(&context);
	return 0;
}

struct cp_upstream_tls_context *
cp_upstream_tls_context_free(struct cp_upstream_tls_context *context)
{
	if (!context)
		return NULL;
	SSL_CTX_free(context->ssl);
	free(context);
	return NULL;
}

static bool prepare(struct cp_upstream_tls *tls, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);

	tls->in = BIO_new(BIO_s_mem());
	tls->out = BIO_new(BIO_s_mem());
	if (!tls->in || !tls->out) {
		(void)BIO_free(tls->in);
		(void)BIO_free(tls->out);
		return false;
	}
	SSL_set_bio(tls->ssl, tls->in, tls->out);
	/* An empty input is "later", not the end. */
	(void)BIO_set_mem_eof_return(tls->in, -1);
	(void)BIO_set_mem_eof_return(tls->out, -1);
	SSL_set_connect_state(tls->ssl);
	return SSL_set_app_data(tls->ssl, tls) == 1 &&
	       X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
	       SSL_ctrl(tls->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME,
			TLSEXT_NAMETYPE_host_name,
			(void *)(uintptr_t)name) == 1;
}

/* Takes the server's last session up if it is young enough. */
static void resume(struct cp_upstream_tls *tls, uint64_t now_ms)
{
	struct cp_upstream_tls_session *last = *tls->session;

	tls->verified_ms = now_ms;
	if (!last || now_ms - last->verified_ms >= SESSION_S * 1000ULL)
		return;
	if (SSL_set_session(tls->ssl, last->ssl) == 1)
		tls->verified_ms = last->verified_ms;
}

int cp_upstream_tls_new(struct cp_upstream_tls **ret,
			struct cp_upstream_tls_context *context,
			const char *name, uint64_t now_ms,
			struct cp_upstream_tls_session **session)
{
	sn_cleanup(cp_upstream_tls_freep) struct cp_upstream_tls *tls = NULL;

	/* An empty name would switch the check off. */
	assert(name[0] != '\0');
	tls = calloc(1, sizeof(*tls));
	if (!tls)
		return sn_trace(-ENOMEM);
	tls->session = session;
	tls->ssl = SSL_new(context->ssl);
	if (!tls->ssl || !prepare(tls, name))
		return sn_trace(-ENOMEM);
	resume(tls, now_ms);
	*ret = sn_steal(&tls);
	return 0;
}

struct cp_upstream_tls *cp_upstream_tls_free(struct cp_upstream_tls *tls)
{
	if (!tls)
		return NULL;
	SSL_free(tls->ssl);
	free(tls);
	return NULL;
}

void cp_upstream_tls_forget(struct cp_upstream_tls *tls)
{
	tls->session = NULL;
}

int cp_upstream_tls_feed(struct cp_upstream_tls *tls, const uint8_t *data,
			 size_t size)
{
	if (size > INT_MAX || BIO_write(tls->in, data, (int)size) != (int)size)
		return sn_trace(-ENOMEM);
	return 0;
}

/* What a call that returned r <= 0 means. */
static int result_of(struct cp_upstream_tls *tls, int r)
{
	int error = SSL_get_error(tls->ssl, r);

	ERR_clear_error();
	if (error == SSL_ERROR_WANT_READ)
		return CP_UPSTREAM_TLS_E_MORE;
	if (error == SSL_ERROR_ZERO_RETURN)
		return CP_UPSTREAM_TLS_E_CLOSED;
	return CP_UPSTREAM_TLS_E_REFUSED;
}

int cp_upstream_tls_handshake(struct cp_upstream_tls *tls)
{
	int r;

	ERR_clear_error();
	r = SSL_do_handshake(tls->ssl);
	if (r != 1)
		return result_of(tls, r);
	/* SSL_VERIFY_PEER has seen to it; this is the second bolt. */
	if (SSL_get_verify_result(tls->ssl) != X509_V_OK)
		return CP_UPSTREAM_TLS_E_REFUSED;
	return 0;
}

int cp_upstream_tls_read(struct cp_upstream_tls *tls, uint8_t *buffer,
			 size_t size, size_t *n)
{
	int r;

	ERR_clear_error();
	r = SSL_read_ex(tls->ssl, buffer, size, n);
	return r == 1 ? 0 : result_of(tls, r);
}

int cp_upstream_tls_write(struct cp_upstream_tls *tls, const uint8_t *data,
			  size_t size)
{
	size_t n;
	int r;

	ERR_clear_error();
	r = SSL_write_ex(tls->ssl, data, size, &n);
	return r == 1 && n == size ? 0 : result_of(tls, r);
}

void cp_upstream_tls_shutdown(struct cp_upstream_tls *tls)
{
	ERR_clear_error();
	if (SSL_is_init_finished(tls->ssl))
		(void)SSL_shutdown(tls->ssl);
	ERR_clear_error();
}

size_t cp_upstream_tls_output(struct cp_upstream_tls *tls, const uint8_t **data)
{
	char *bytes = NULL;
	long n = BIO_get_mem_data(tls->out, &bytes);

	*data = (const uint8_t *)bytes;
	return n > 0 ? (size_t)n : 0;
}

void cp_upstream_tls_sent(struct cp_upstream_tls *tls)
{
	(void)BIO_reset(tls->out);
}
