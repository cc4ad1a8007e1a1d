/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/peer.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "test/unit/t.h"

enum { PEM_BYTES = 4096, HOUR_S = 3600 };

static char pem[PEM_BYTES];

/* alternative: subjectAltName, or NULL. */
static void make_certificate(const char *common_name, const char *alternative)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_NAME *name = X509_get_subject_name(certificate);
	X509_EXTENSION *extension;
	BIO *bio = BIO_new(BIO_s_mem());
	int n;

	t_not_null(key);
	t_eq(X509_set_version(certificate, X509_VERSION_3), 1);
	t_not_null(X509_gmtime_adj(X509_getm_notBefore(certificate), 0));
	t_not_null(X509_gmtime_adj(X509_getm_notAfter(certificate), HOUR_S));
	t_eq(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					(const uint8_t *)common_name, -1, -1,
					0),
	     1);
	t_eq(X509_set_issuer_name(certificate, name), 1);
	t_eq(X509_set_pubkey(certificate, key), 1);
	if (alternative) {
		extension = X509V3_EXT_conf_nid(
			NULL, NULL, NID_subject_alt_name, alternative);
		t_not_null(extension);
		t_eq(X509_add_ext(certificate, extension, -1), 1);
		X509_EXTENSION_free(extension);
	}
	t_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	t_eq(PEM_write_bio_X509(bio, certificate), 1);
	n = BIO_read(bio, pem, sizeof(pem) - 1);
	t_true(n > 0 && n < (int)sizeof(pem) - 1);
	pem[n] = '\0';
	(void)BIO_free(bio);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static int check(const char *text)
{
	struct cp_rpc_url url;
	struct sn_diag diag = { 0 };
	int r;

	t_eq(cp_rpc_url_parse(text, &url, &diag), 0);
	r = cp_rpc_peer_check(pem, &url, NULL, 0, &diag);
	t_eq(diag.text[0] != '\0', r == CP_RPC_PEER_E_REFUSED);
	return r;
}

static void a_name_is_one_of_the_alternative_names(void)
{
	make_certificate("other.example", "DNS:a.example,DNS:*.b.example");
	t_eq(check("https://a.example:1"), 0);
	t_eq(check("https://x.b.example:1"), 0);
	t_eq(check("https://x.y.b.example:1"), CP_RPC_PEER_E_REFUSED);
	t_eq(check("https://b.example:1"), CP_RPC_PEER_E_REFUSED);
	t_eq(check("https://other.example:1"), CP_RPC_PEER_E_REFUSED);
}

/* RFC 9525 2: a common name is text for people. */
static void a_common_name_is_no_name_of_a_server(void)
{
	make_certificate("a.example", NULL);
	t_eq(check("https://a.example:1"), CP_RPC_PEER_E_REFUSED);
	make_certificate("a.example", "IP:192.0.2.1");
	t_eq(check("https://a.example:1"), CP_RPC_PEER_E_REFUSED);
	make_certificate("192.0.2.1", NULL);
	t_eq(check("https://192.0.2.1:1"), CP_RPC_PEER_E_REFUSED);
}

static void an_address_is_no_name(void)
{
	make_certificate("a", "IP:192.0.2.1,DNS:192.0.2.2");
	t_eq(check("https://192.0.2.1:1"), 0);
	t_eq(check("https://192.0.2.2:1"), CP_RPC_PEER_E_REFUSED);
}

T_MAIN("rpc_peer", a_name_is_one_of_the_alternative_names,
       a_common_name_is_no_name_of_a_server, an_address_is_no_name)
