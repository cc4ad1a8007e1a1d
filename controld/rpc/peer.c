/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/peer.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "shared/util.h"

enum { BASE64_CHARS = 44 };

#define refuse(diag, ...) \
	(sn_diag_set(diag, NULL, __VA_ARGS__), CP_RPC_PEER_E_REFUSED)

static void free_x509(X509 **certificate)
{
	X509_free(*certificate);
}

static void free_bio(BIO **bio)
{
	(void)BIO_free(*bio);
}

int cp_rpc_peer_parse_pin(const char *text, struct cp_rpc_peer_pin *ret,
			  struct sn_diag *diag)
{
	static const char prefix[] = "sha256/";
	const char *base64 = text + strlen(prefix);
	uint8_t bytes[BASE64_CHARS / 4 * 3];

	if (strncmp(text, prefix, strlen(prefix)) != 0 ||
	    strlen(base64) != BASE64_CHARS || base64[BASE64_CHARS - 1] != '=' ||
	    base64[BASE64_CHARS - 2] == '=' ||
	    EVP_DecodeBlock(bytes, (const unsigned char *)base64,
			    BASE64_CHARS) != (int)sizeof(bytes))
		return refuse(diag,
			      "must be sha256/ and the SHA-256 of the "
			      "public key in base64 (%d characters)",
			      BASE64_CHARS);
	(void)memcpy(ret->hash, bytes, sizeof(ret->hash));
	return 0;
}

struct cp_rpc_peer_pin *
cp_rpc_peer_copy_pins(const struct cp_rpc_peer_pin *pins, size_t n_pins)
{
	struct cp_rpc_peer_pin *copy = calloc(n_pins + 1, sizeof(*copy));

	if (copy && n_pins > 0)
		(void)memcpy(copy, pins, n_pins * sizeof(*copy));
	return copy;
}

static bool has_name(X509 *certificate, const struct cp_rpc_url *url)
{
	if (url->kind != CP_RPC_URL_KIND_NAME)
		return X509_check_ip_asc(certificate, url->host, 0) == 1;
	/* A common name is text for people (RFC 9525 2). */
	return X509_check_host(certificate, url->host, strlen(url->host),
			       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
				       X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
			       NULL) == 1;
}

static int check_pins(X509 *certificate, const struct cp_rpc_peer_pin *pins,
		      size_t n_pins, struct sn_diag *diag)
{
	uint8_t hash[CP_RPC_PEER_PIN_BYTES];
	unsigned char *der = NULL;
	int n, r;

	n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
	if (n <= 0)
		return refuse(diag, "the certificate's key cannot be read");
	r = EVP_Digest(der, (size_t)n, hash, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	if (r != 1)
		return sn_trace(-ENOMEM);
	for (size_t i = 0; i < n_pins; i++)
		if (memcmp(hash, pins[i].hash, sizeof(hash)) == 0)
			return 0;
	return refuse(diag, "the certificate's key is none of the pinned ones");
}

int cp_rpc_peer_check(const char *pem, const struct cp_rpc_url *url,
		      const struct cp_rpc_peer_pin *pins, size_t n_pins,
		      struct sn_diag *diag)
{
	sn_cleanup(free_bio) BIO *bio = NULL;
	sn_cleanup(free_x509) X509 *certificate = NULL;

	bio = BIO_new_mem_buf(pem, -1);
	if (!bio)
		return sn_trace(-ENOMEM);
	certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (!certificate)
		return refuse(diag, "the certificate cannot be read");
	if (!has_name(certificate, url))
		return refuse(diag, "the certificate is not for %s", url->host);
	return n_pins ? check_pins(certificate, pins, n_pins, diag) : 0;
}
