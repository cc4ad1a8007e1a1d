/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rest/remote.h"

#include <arpa/inet.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "controld/rest/internal.h"
#include "shared/log.h"
#include "shared/util.h"

enum {
	STATUS_UNAUTHORIZED = 401,
	STATUS_TOO_MANY = 429,
};

/* NULL: there is none, or it is no bearer's. */
static const char *get_token(const char *header)
{
	static const char scheme[] = "Bearer";
	size_t size = sizeof(scheme) - 1;

	if (strncasecmp(header, scheme, size) != 0 || header[size] != ' ')
		return NULL;
	return header + size + strspn(header + size, " ");
}

static bool is_verified(gnutls_session_t session)
{
	gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
	};
	unsigned int status = 0;
	const char *oid = GNUTLS_KP_TLS_WWW_CLIENT;
	void *data;

	/* The library only reads it. */
	(void)memcpy(&data, &oid, sizeof(data));
	purpose.data = data;
	return gnutls_certificate_verify_peers(session, &purpose, 1, &status) ==
		       0 &&
	       status == 0;
}

/* The SHA-256 of the peer's public key, and from when on its certificate is no
 * good. False: there is no certificate, or not one that leads to the
 * authority. */
static bool read_certificate(gnutls_session_t session,
			     uint8_t hash[CP_REST_CALLERS_HASH_BYTES],
			     int64_t *until_s)
{
	size_t size = CP_REST_CALLERS_HASH_BYTES;
	const gnutls_datum_t *list;
	gnutls_x509_crt_t certificate;
	unsigned int n = 0;
	bool is_done;

	if (!session)
		return false;
	list = gnutls_certificate_get_peers(session, &n);
	if (!list || n == 0 || !is_verified(session) ||
	    gnutls_x509_crt_init(&certificate) < 0)
		return false;
	is_done = gnutls_x509_crt_import(certificate, &list[0],
					 GNUTLS_X509_FMT_DER) == 0 &&
		  gnutls_x509_crt_get_key_id(certificate,
					     GNUTLS_KEYID_USE_SHA256, hash,
					     &size) == 0 &&
		  size == CP_REST_CALLERS_HASH_BYTES;
	*until_s = gnutls_x509_crt_get_expiration_time(certificate);
	gnutls_x509_crt_deinit(certificate);
	return is_done;
}

/* A key that was proved cannot have been guessed. */
static bool may_be_guessing(const struct cp_http_call *call)
{
	gnutls_session_t session = cp_http_call_get_tls(call);
	unsigned int n = 0;

	return cp_http_call_get_header(call, "Authorization") || !session ||
	       !gnutls_certificate_get_peers(session, &n) || n == 0;
}

static const struct cp_rest_callers_entry *
find_entry(const struct cp_rest *rest, const struct cp_http_call *call,
	   int64_t *until_s, const char **text)
{
	const char *header = cp_http_call_get_header(call, "Authorization");
	uint8_t hash[CP_REST_CALLERS_HASH_BYTES];
	const char *token;

	*until_s = INT64_MAX;
	if (!rest->callers) {
		*text = "there is no list of callers";
		return NULL;
	}
	if (header) {
		token = get_token(header);
		*text = "the token is not known";
		return token ? cp_rest_callers_find_token(rest->callers,
							  token) :
			       NULL;
	}
	*text = "a bearer token or a certificate is needed";
	if (!read_certificate(cp_http_call_get_tls(call), hash, until_s))
		return NULL;
	*text = "the certificate is not known";
	return cp_rest_callers_find(rest->callers,
				    CP_REST_CALLERS_KIND_CERTIFICATE, hash);
}

static void tell(const struct sockaddr_storage *from, const char *text)
{
	const struct sockaddr_in *in4 = (const void *)from;
	const struct sockaddr_in6 *in6 = (const void *)from;
	char address[INET6_ADDRSTRLEN] = "-";

	(void)inet_ntop(from->ss_family,
			from->ss_family == AF_INET ?
				(const void *)&in4->sin_addr :
				(const void *)&in6->sin6_addr,
			address, sizeof(address));
	sn_log(SN_LOG_WARNING, "rest-refused from=%s reason='%s'", address,
	       text);
}

unsigned int cp_rest_remote_judge(const struct cp_rest_listener *listener,
				  struct cp_http_call *call,
				  struct cp_rest_caller *caller,
				  const char **text)
{
	struct cp_rest *rest = listener->rest;
	const struct cp_rest_callers_entry *entry;
	uint64_t now_ms = uv_now(rest->options.loop);
	struct sockaddr_storage from = { 0 };
	socklen_t size = sizeof(from);

	(void)getpeername(cp_http_call_get_socket(call),
			  (struct sockaddr *)&from, &size);
	if (may_be_guessing(call) &&
	    cp_rest_throttle_is_over(&rest->throttle,
				     (const struct sockaddr *)&from, now_ms)) {
		*text = "too many requests with wrong credentials; try later";
		cp_http_call_add_header(call, "Retry-After", "20");
		return STATUS_TOO_MANY;
	}
	entry = find_entry(rest, call, &caller->until_s, text);
	if (entry && time(NULL) >= entry->until_s) {
		*text = "the credential has expired";
		entry = NULL;
	}
	if (!entry) {
		cp_rest_throttle_fail(&rest->throttle,
				      (const struct sockaddr *)&from, now_ms);
		tell(&from, *text);
		cp_http_call_add_header(call, "WWW-Authenticate", "Bearer");
		return STATUS_UNAUTHORIZED;
	}
	caller->peer.uid = (uid_t)-1;
	caller->peer.gid = (gid_t)-1;
	caller->role = entry->role;
	caller->is_remote = true;
	caller->kind = entry->kind;
	(void)memcpy(caller->hash, entry->hash, sizeof(caller->hash));
	(void)snprintf(caller->name, sizeof(caller->name), "%s", entry->name);
	return 0;
}

bool cp_rest_remote_may_go_on(const struct cp_rest *rest,
			      const struct cp_rest_caller *caller,
			      const struct cp_rpc_method *method)
{
	const struct cp_rest_callers_entry *entry = NULL;

	if (!caller->is_remote)
		return true;
	if (rest->callers)
		entry = cp_rest_callers_find(rest->callers, caller->kind,
					     caller->hash);
	return entry && time(NULL) < entry->until_s &&
	       time(NULL) < caller->until_s && entry->role <= method->role;
}
