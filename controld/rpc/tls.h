/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* TLS of both ends from one description: what is read from files becomes gRPC's
 * credentials. TLS is 1.3 (core.c). */

#include <grpc/grpc_security.h>

#include "controld/rpc/secrets.h"

/* Options with the authorities, certificate and key that there are; what is made
 * of them takes them over. */
grpc_tls_credentials_options *
cp_rpc_tls_options_new(const struct cp_rpc_secrets *secrets);

/* Of a server, which needs certificate and key. With authorities clients have to
 * show a certificate that leads to one of them. */
grpc_server_credentials *
cp_rpc_tls_server_new(const struct cp_rpc_secrets *secrets);
