/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/http/tls.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "shared/util.h"

static void free_credentials(gnutls_certificate_credentials_t *credentials)
{
	if (*credentials)
		gnutls_certificate_free_credentials(*credentials);
}

/* The library only reads it. */
static gnutls_datum_t borrow(const char *text)
{
	gnutls_datum_t datum = { .size = (unsigned int)strlen(text) };

	(void)memcpy(&datum.data, &text, sizeof(datum.data));
	return datum;
}

int cp_http_tls_check(const struct cp_http_tls *tls, struct sn_diag *diag)
{
	sn_cleanup(free_credentials)
		gnutls_certificate_credentials_t credentials = NULL;
	gnutls_datum_t certificate = borrow(tls->certificate);
	gnutls_datum_t key = borrow(tls->key), ca;
	int r;

	if (gnutls_certificate_allocate_credentials(&credentials) < 0)
		return sn_trace(-ENOMEM);
	r = gnutls_certificate_set_x509_key_mem(credentials, &certificate, &key,
						GNUTLS_X509_FMT_PEM);
	if (r < 0) {
		sn_diag_set(diag, NULL, "certificate and key: %s",
			    gnutls_strerror(r));
		return CP_HTTP_TLS_E_REFUSED;
	}
	if (!tls->client_ca)
		return 0;
	ca = borrow(tls->client_ca);
	if (gnutls_certificate_set_x509_trust_mem(credentials, &ca,
						  GNUTLS_X509_FMT_PEM) > 0)
		return 0;
	sn_diag_set(diag, NULL, "client_ca: there is no certificate in it");
	return CP_HTTP_TLS_E_REFUSED;
}
