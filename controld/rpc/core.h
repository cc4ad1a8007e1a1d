/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The gRPC library's life in this process. Nothing may fork after the first
 * cp_rpc_core_init(): the child would lack the library's threads. */

/* May be called several times; each wants one cp_rpc_core_done(). The
 * library's own messages go to the log at level debug from then on, and TLS
 * means TLS 1.3. The first one changes the environment, so it comes before the
 * process has threads. */
void cp_rpc_core_init(void);

/* The last one ends the library's threads. Whatever was made with it must
 * have been destroyed. */
void cp_rpc_core_done(void);
