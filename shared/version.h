/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Version of the programs and of the packages; see also SN_ABI_VERSION and
 * SN_IPC_PROTOCOL, which rise by themselves. */
#define SN_VERSION "0.1.0"
