/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/tls.h"

grpc_tls_credentials_options *
cp_rpc_tls_options_new(const struct cp_rpc_secrets *secrets)
{
	grpc_tls_credentials_options *tls;
	grpc_tls_certificate_provider *provider;
	grpc_tls_identity_pairs *pairs = NULL;

	if (secrets->certificate) {
		pairs = grpc_tls_identity_pairs_create();
		grpc_tls_identity_pairs_add_pair(pairs, secrets->key,
						 secrets->certificate);
	}
	provider = grpc_tls_certificate_provider_static_data_create(secrets->ca,
								    pairs);
	tls = grpc_tls_credentials_options_create();
	grpc_tls_credentials_options_set_certificate_provider(tls, provider);
	if (secrets->ca)
		grpc_tls_credentials_options_watch_root_certs(tls);
	if (pairs)
		grpc_tls_credentials_options_watch_identity_key_cert_pairs(tls);
	grpc_tls_certificate_provider_release(provider);
	return tls;
}

grpc_server_credentials *
cp_rpc_tls_server_new(const struct cp_rpc_secrets *secrets)
{
	grpc_tls_credentials_options *tls = cp_rpc_tls_options_new(secrets);

	grpc_tls_credentials_options_set_cert_request_type(
		tls,
		secrets->ca ?
			GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY :
			GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
	return grpc_tls_server_credentials_create(tls);
}
